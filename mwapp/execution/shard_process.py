"""The process of one shard whose handler is a Python class.

    python -m mwapp.execution.shard_process CHANNEL [GROUP]

CHANNEL is the number of a socket. What it is told comes, and what it says goes, as lines of JSON. It ends
when the channel is closed. The other side, ``mwapp.execution.shard_handler``, does not rely on this one.
GROUP is the file cgroup.procs of the control group that it has to join.
"""

import ctypes
import faulthandler
import json
import os
import select
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

from mwapp import clock
from mwapp.handlers import (
    Shard,
    Term,
    UnknownHandlerError,
    choose,
    load_shard,
    offered,
    problem_of_address,
)

_PR_SET_PDEATHSIG = 1
# A replica that copies is asked this often whether it is caught up, seconds.
PAUSE = 0.05
# It gives a sign of life this often while it copies, seconds: caught_up has returned.
SIGN = 5.0
CHUNK = 64 * 1024
# How many of a traceback's innermost frames a reason shows, and how many characters.
MOST_FRAMES = 20
MOST_REASON = 4000


class CannotServeError(Exception):
    """There is no such handler, it is too late to open it, or nobody can be told its address; the message
    says why."""


class Host:
    """The shard of this process. Its methods are called in the main thread, one after the other."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._poll = (
            select.poll()
        )  # select() knows no descriptor above 1023, and a handler may have opened many
        self._poll.register(channel, select.POLLIN)
        self._received = bytearray()
        self._shard: Shard | None = None
        self._copying: int | None = None  # the generation under which it is not yet caught up
        self._signed = 0.0  # when it last gave a sign of life

    def serve(self) -> None:
        """Do what comes, until the channel is closed."""
        while True:
            line, end, rest = self._received.partition(b"\n")
            if end:
                self._received = rest
                self._do(json.loads(line))
                self._look()
            elif self._copying is not None and not self._poll.poll(PAUSE * 1000):
                self._look()
            else:
                data = os.read(self._channel, CHUNK)
                if not data:
                    return
                self._received += data

    def _do(self, request: dict[str, Any]) -> None:
        what, generation = request["do"], request["generation"]
        if what == "open":
            self._shard = _make(request)
            if clock.now() >= request["until"]:  # last of all: its import may have taken long
                raise CannotServeError("it could not be opened before the worker's session might be over")
            self._shard.open(_term(request, "replica"))
            self._copying = generation
            self._say("open", generation)
            return
        shard = self._shard
        assert shard is not None  # noqa: S101 - it was opened first; tells mypy
        if what == "promote" and clock.now() >= request["until"]:
            self._say("late", generation)
        elif what == "promote":
            self._copying = None
            shard.promote(_term(request, "primary", shard.worker))
            self._say("serving", generation)
        elif what == "demote":
            shard.demote(_term(request, "replica"))
            self._copying = generation
            self._say("open", generation)
        elif what == "handover":
            self._copying = None
            shard.handover(_term(request, "primary"), request["to"])
            self._say("released", generation)
        elif what == "close":
            shard.close()
            end(0)

    def _look(self) -> None:
        if self._copying is None or self._shard is None:
            return
        if self._shard.caught_up():
            self._say("ready", self._copying)
            self._copying = None
        elif clock.now() >= self._signed + SIGN:
            self._signed = clock.now()
            self.write({"said": "copying", "generation": self._copying})

    def _say(self, said: str, generation: int) -> None:
        address = "" if self._shard is None else self._shard.address
        problem = problem_of_address(address)
        if problem is not None:
            raise CannotServeError(problem)
        self.write({"said": said, "generation": generation, "address": address})

    def write(self, reply: dict[str, Any]) -> None:
        """For the daemon."""
        rest = memoryview(json.dumps(reply).encode() + b"\n")
        while rest:
            rest = rest[os.write(self._channel, rest) :]


def _make(request: dict[str, Any]) -> Shard:
    name = request["handler"]
    try:
        point = choose(name, offered())
        shard = load_shard(point)(request["table"], request["shard"], request["worker"])
    except UnknownHandlerError as problem:
        raise CannotServeError(str(problem)) from None
    shard.table_czxid = request["table_czxid"]
    return shard


def _term(request: dict[str, Any], role: str, primary: str = "") -> Term:
    return Term(request["generation"], role, request.get("primary", primary), request["members"])


def end(code: int) -> NoReturn:
    """At once, with all threads of the handler."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    """Be the shard until it is closed."""
    for group in sys.argv[2:]:
        joined = os.open(group, os.O_WRONLY)
        os.write(joined, b"0")
        os.close(joined)
    channel = int(sys.argv[1])
    os.set_inheritable(channel, False)
    # Nothing continues after the daemon's death.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    faulthandler.enable()
    for stream in (sys.stdout, sys.stderr):
        # Their type is TextIO, which cannot do this; the real streams can.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # see above
    process, host = os.getpid(), Host(channel)
    try:
        host.serve()
    except BaseException as problem:
        if os.getpid() == process:  # not a child that the handler forked
            with suppress(OSError):
                host.write({"reason": _told(problem)})
        end(1)
    end(0)


def _told(problem: BaseException) -> str:
    if isinstance(problem, CannotServeError):
        return str(problem)[:MOST_REASON]
    import traceback  # seldom needed

    return "".join(traceback.format_exception(problem, limit=-MOST_FRAMES))[-MOST_REASON:]


if __name__ == "__main__":
    main()
