"""A warm process that runs handlers, as the daemon sees it: its group, the channel to it, its current run."""

import json
import socket
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mwapp.core.messages import Exited
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.output import Output
from mwapp.execution.process_group import CLOSED, LAST_WORDS, MEDDLED, Group

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

# How long a dismissed process may take to close what it has open, seconds.
FAREWELL = 5.0

# A reply contains no output.
MOST_REPLY = 64 * 1024


class Owner(Protocol):
    """Hears what becomes of a process."""

    def over(self, exited: Exited) -> None:
        """A run is over."""

    def free(self, process: "WarmProcess") -> None:
        """It can run the next one."""

    def useless(self, process: "WarmProcess") -> None:
        """It cannot run anything, even if it seemed free."""

    def gone(self, process: "WarmProcess", why: str | None) -> None:
        """It has ended; ``why`` if it never became ready."""


class WarmProcess:
    """One process that runs handlers, and the channel to it. Use it only in the loop's thread."""

    def __init__(
        self,
        loop: "AbstractEventLoop",
        environment: Mapping[str, str],
        output_limit: int,
        owner: Owner,
        control_groups: ControlGroups | None = None,
    ) -> None:
        """Start it. Raises OSError."""
        self.run: int | None = None  # the run's number
        self.runs = 0  # how many it has had
        self.idle_since = 0.0
        self._loop = loop
        self._limit = output_limit
        self._owner = owner
        self._ready = False
        self._began = 0.0
        self._killed = False  # on purpose
        self._reason: str | None = None  # why it was killed, if not on purpose
        self._answer: Exited | None = None  # given once the group is gone
        self._received = bytearray()
        self._unsent = bytearray()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            number = theirs.fileno()
            # -P: do not import from the daemon's directory.
            arguments = [sys.executable, "-P", "-m", "mwapp.execution.handler_process", str(number)]
            output = Output(output_limit)
            try:
                control_group = None
                if control_groups is not None:
                    control_group = control_groups.take()
                    arguments.append(control_group.processes)
                self._group = Group(
                    loop,
                    arguments,
                    environment,
                    output,
                    self._ended,
                    pass_fds=[number],
                    control_group=control_group,
                )
            except OSError:
                self._channel.close()
                raise
        loop.add_reader(self._channel, self._receive)

    def begin(self, number: int, request: bytes) -> None:
        """Run a handler."""
        self.run = number
        self.runs += 1
        self._began = time.monotonic()
        self._group.output = Output(self._limit)
        self._unsent += request
        self._send()

    def kill(self, grace: float = 0.0) -> None:
        """Kill it; nothing uses it again."""
        self._killed = True
        self._group.kill(grace)

    def dismiss(self) -> None:
        """Let it end by itself, with some time to do so."""
        self._close_channel()
        self._loop.call_later(FAREWELL, self._group.kill)

    # ------------------------------------------------------------ channel

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
        self._received += data
        line, end, rest = self._received.partition(b"\n")
        reply = _read(line) if end and not rest else None
        if reply is not None and self._expects(reply):
            self._received.clear()
            self._replied(reply)
        elif not data or end or len(self._received) > MOST_REPLY:
            # It has ended, or a handler has taken the channel.
            self._loop.remove_reader(self._channel)
            self._owner.useless(self)
            if data:
                self._lose(MEDDLED)
            else:
                self._loop.call_later(LAST_WORDS, self._lose, CLOSED)

    def _lose(self, reason: str) -> None:
        if self._group.code is None and not self._killed:
            self._reason = reason
            self._group.kill()

    def _expects(self, reply: dict[str, Any]) -> bool:
        if not self._ready:
            return reply.get("ready") is True
        return self.run is not None and reply.get("run") == self.run

    def _close_channel(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel)
            self._loop.remove_writer(self._channel)
            self._channel.close()

    # ------------------------------------------------------------ what becomes of it

    def _replied(self, reply: dict[str, Any]) -> None:
        if not self._ready:
            self._ready = True
            self._free()
            return
        self._group.read_all()
        exited = self._exited(reply)
        clean = reply.get("clean") is True
        if self._killed or not clean:
            self._answer = exited
            if self._group.asked_to_end and not clean:
                self._close_channel()  # it ends by itself, and what it has started has the rest of the time
            else:
                self.kill()
            return
        self.run = None
        self._owner.over(exited)
        self._free()

    def _free(self) -> None:
        self.idle_since = self._loop.time()
        self._owner.free(self)

    def _exited(self, reply: dict[str, Any]) -> Exited:
        output = self._group.output
        seconds = time.monotonic() - self._began
        number = self.run or 0
        code, result, reason = reply.get("code"), _text(reply.get("result")), _text(reply.get("reason"))
        if isinstance(code, int):
            return Exited(number, code, output.value(), output.truncated, seconds, True, result, reason)
        return Exited(
            number, None, seconds=seconds, begun=not reply.get("late"), reason=reason or "no reason"
        )

    def _ended(self) -> None:
        self._close_channel()
        if self.run is not None:
            self._owner.over(self._answer or self._lost())
        why = None
        if not self._ready and not self._killed:
            said = self._group.output.value().decode(errors="replace").strip()
            why = f"no process for the handler, exit status {self._group.code}: {said[-1000:]}"
        self._owner.gone(self, why)

    def _lost(self) -> Exited:
        """It ended during the run."""
        code = self._group.code
        if code == 0:
            code = 1
            self._group.output.write(b"the handler ended its process before it returned\n")
        return self._exited({"code": code, "reason": self._reason})


def _text(value: object) -> str | None:
    """Of a process to which a handler may have done anything."""
    return value if isinstance(value, str) else None


def _read(line: bytearray) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
