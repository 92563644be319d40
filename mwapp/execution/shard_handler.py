"""A shard whose handler is a Python class, as the daemon sees it: a process of its own, and the channel to
it."""

import json
import socket
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mwapp.core.messages import DemoteShard, OpenShard, PromoteShard
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.output import Output
from mwapp.execution.process_group import CLOSED, LAST_WORDS, MEDDLED, Group
from mwapp.execution.shard_command import Say, about, how_it_ended
from mwapp.handlers import problem_of_address

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

# A reply is a line, and not longer.
MOST_REPLY = 64 * 1024
SAID = ("open", "ready", "serving", "late", "released")
# What a replica that copies says again and again, and how long it may be silent, seconds. That is counted in
# two halves: after a pause of this machine it has the second.
COPYING, SILENCE = "copying", 30.0


class HandlerShard:
    """The process is :mod:`mwapp.execution.shard_process`. It does what it is told in that order, one after
    the other; the handler can do anything to it, so nothing here relies on it. Use it only in the loop's
    thread."""

    def __init__(
        self,
        loop: "AbstractEventLoop",
        opened: OpenShard,
        say: Say,
        environment: Mapping[str, str],
        output_limit: int,
        control_groups: ControlGroups | None,
    ) -> None:
        """Start it. Raises OSError."""
        self._loop = loop
        self._say = say
        self._generation = opened.generation  # the one it was told last
        self._closing = False
        self._due: TimerHandle | None = None  # a sign of life
        self._reason: str | None = None  # why it has failed, as it says itself
        self._received = bytearray()
        self._unsent = bytearray()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            number = theirs.fileno()
            # -P: do not import from the daemon's directory.
            arguments = [sys.executable, "-P", "-m", "mwapp.execution.shard_process", str(number)]
            try:
                control_group = None
                if control_groups is not None:
                    control_group = control_groups.take()
                    arguments.append(control_group.processes)
                self._group = Group(
                    loop,
                    arguments,
                    {**environment, **about(opened)},
                    Output(output_limit),
                    self._ended,
                    pass_fds=[number],
                    control_group=control_group,
                )
            except OSError:
                self._channel.close()
                raise
        loop.add_reader(self._channel, self._receive)
        self._tell(
            "open",
            table=opened.table,
            shard=opened.shard,
            worker=opened.worker,
            handler=opened.handler,
            primary=opened.primary,
            members=dict(opened.members),
            until=opened.until,
            table_czxid=opened.table_czxid,
        )

    def promote(self, command: PromoteShard) -> None:
        """Tell it."""
        self._expect(0)  # this has its own time
        self._generation = command.generation
        self._tell("promote", members=dict(command.members), until=command.until)

    def demote(self, command: DemoteShard) -> None:
        """Tell it."""
        self._expect(0)  # this has its own time
        self._generation = command.generation
        members = dict(command.members)
        if command.to is None:
            self._tell("demote", primary=command.primary, members=members)
        else:
            self._tell("handover", primary=command.primary, members=members, to=command.to)

    def close(self, grace: float) -> None:
        """Let it close what it has, and end; then kill what is left."""
        self._expect(0)
        if grace <= 0:
            self._closing = True
            self._group.kill()
        elif not self._closing:
            self._closing = True
            self._tell("close")
            self._loop.call_later(grace, self._group.kill)

    # ------------------------------------------------------------ channel

    def _tell(self, what: str, **more: Any) -> None:
        request = {"do": what, "generation": self._generation, **more}
        self._unsent += json.dumps(request).encode() + b"\n"
        self._send()

    def _send(self) -> None:
        try:
            del self._unsent[: self._channel.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it has ended, and we shall hear of it
            self._unsent.clear()
        if self._unsent:
            self._loop.add_writer(self._channel, self._send_the_rest)

    def _send_the_rest(self) -> None:
        self._loop.remove_writer(self._channel)
        self._send()

    def _receive(self) -> None:
        try:
            data = self._channel.recv(MOST_REPLY)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, rest = (self._received + data).split(b"\n")
        self._received = bytearray(rest)
        if not data or len(rest) > MOST_REPLY or not all(map(self._replied, lines)):
            # It has ended or failed, or the handler has taken the channel.
            self._loop.remove_reader(self._channel)
            if data:
                self._lose(MEDDLED)
            else:
                self._loop.call_later(LAST_WORDS, self._lose, CLOSED)

    def _lose(self, reason: str) -> None:
        if self._group.code is None:
            self._reason = self._reason or (None if self._closing else reason)
            self._group.kill()

    def _replied(self, line: bytearray) -> bool:
        """Whether it was a reply, and not that it has failed."""
        try:
            reply: Any = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(reply, dict):
            return False
        said, generation, reason = (reply.get(key) for key in ("said", "generation", "reason"))
        address = reply.get("address", "")
        if isinstance(reason, str):
            self._reason = self._reason or reason
            return False
        if said not in (*SAID, COPYING) or type(generation) is not int:
            return False
        self._expect(2 if said in ("open", COPYING) and not self._closing else 0)
        if said == COPYING:
            return True
        if problem_of_address(address) is not None:
            return False
        self._say(said, generation, None, address)
        return True

    def _expect(self, halves: int) -> None:
        """A sign of life, within so many halves of the time; 0: none."""
        if self._due is not None:
            self._due.cancel()
        self._due = self._loop.call_later(SILENCE / 2, self._silent, halves - 1) if halves else None

    def _silent(self, halves: int) -> None:
        if halves:
            self._expect(halves)
        else:
            self._lose(f"caught_up has not returned for {SILENCE:g} s")

    def _ended(self) -> None:
        self._expect(0)
        self._loop.remove_reader(self._channel)
        self._loop.remove_writer(self._channel)
        self._channel.close()
        reason = self._reason
        if reason is None and not self._closing:
            reason = f"its process has ended: {how_it_ended(self._group)}"
        self._say("closed", self._generation, reason)
