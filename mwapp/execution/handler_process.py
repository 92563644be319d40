"""The process that runs handlers, one after the other.

    python -m mwapp.execution.handler_process CHANNEL [GROUP]

CHANNEL is the number of a socket. Requests come and replies go as lines of JSON; the first reply says that
the process is ready. Output goes where stdout goes. It ends when the channel is closed. The other side,
``mwapp.execution.handler_pool``, does not rely on this one: a handler can do anything to its process.
GROUP is the file cgroup.procs of the control group that it has to join.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mwapp import clock
from mwapp.handlers import Called, Handler, Run, UnknownHandlerError, choose, load, offered, same_keys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

# What a handler may have set for itself, and must not leave to the next run.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD)

# The most that a handler may return, bytes of JSON.
MOST_RESULT = 32_000
# How many of a traceback's innermost frames to show.
MOST_FRAMES = 50
# How many characters of a text a reason shows.
MOST_REASON = 2000


class CannotRunError(Exception):
    """The handler cannot run at all; the message says why."""


class ResultError(Exception):
    """What a handler has returned cannot be kept."""


class Surroundings:
    """The parts of the process that a handler can change, and that the next run must find unchanged."""

    def __init__(self) -> None:
        # Write every line at once: then a killed handler's output is complete up to there.
        # Their type is TextIO, which cannot do this; the real streams can, until somebody replaces them.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]  # see above
        self._streams = sys.stdout, sys.stderr
        self._output = os.dup(1)
        self._directory = os.open(".", os.O_PATH | os.O_CLOEXEC)
        # The encoded dict below it: os.environ would decode every variable, one by one.
        self._environ, self._variables = os.environ, vars(os.environ)["_data"]
        self._environment = dict(self._variables)
        self._signals = {number: signal.getsignal(number) for number in _SIGNALS}
        self._umask = os.umask(0)
        os.umask(self._umask)

    def prepare(self, environment: Mapping[str, str], directory: str | None) -> None:
        """Set up the run's own environment and directory.

        Raises:
            CannotRunError: the directory cannot be used.
        """
        own = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        self._set_variables(self._environment | own)
        try:
            if directory is not None:
                os.chdir(directory)
        except OSError as error:
            raise CannotRunError(
                f"task field 'directory': cannot run in {directory}: {error.strerror}"
            ) from None

    def write(self, text: str) -> None:
        """Write to the output, whatever happened to stdout."""
        _write(self._output, text.encode(errors="backslashreplace"))

    def restore(self) -> bool:
        """Restore everything; False if that is not possible, so that nothing should use this process
        again."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, action in self._signals.items():
            signal.signal(number, action)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(self._umask)
        os.fchdir(self._directory)
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)
        sys.stdout, sys.stderr = self._streams
        os.environ = self._environ  # noqa: B003 - a handler may have put another in its place
        self._set_variables(self._environment)  # the next import, or thread, is not to see this run's
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            return False
        return not _left_behind()

    def _set_variables(self, wanted: Mapping[bytes, bytes]) -> None:
        for name in self._variables.keys() - wanted.keys():
            del os.environb[name]
        for name, value in wanted.items():
            if self._variables.get(name) != value:
                os.environb[name] = value


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _left_behind() -> bool:
    """Whether threads or processes of the run are left. Orphans of its processes are our children
    (subreaper)."""
    if threading.active_count() > 1:
        return True
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


class Handlers:
    """Handlers, which stay loaded once they are looked up."""

    def __init__(self) -> None:
        self._offered = offered()
        self._loaded: dict[str, Called] = {}

    def load(self, name: str) -> Called:
        """Import it. Raises CannotRunError if there is none or it cannot be imported."""
        if name not in self._loaded:
            try:
                point = choose(name, self._offered)
            except UnknownHandlerError as problem:
                raise CannotRunError(str(problem)) from None
            try:
                self._loaded[name] = load(point)
            except BaseException as problem:
                what = f"{type(problem).__name__}: {problem}"[:MOST_REASON]
                raise CannotRunError(f"handler {name} ({point.value}) cannot be loaded: {what}") from None
        return self._loaded[name]


def run(request: dict[str, Any], handlers: Handlers, surroundings: Surroundings) -> dict[str, Any]:
    """Run one. The reply: ``code``, and the ``result`` or the ``reason`` why there is none; or a ``reason``
    alone, if it cannot be run; or ``late``, if its time to begin is over. ``clean``: ready for another."""
    reply = _run(request, handlers, surroundings)
    # A handler's module may have kept a secret value, and the next run may be another submitter's.
    return reply | {"clean": reply["clean"] and not request["secrets"]}


def _run(request: dict[str, Any], handlers: Handlers, surroundings: Surroundings) -> dict[str, Any]:
    process = os.getpid()
    try:
        surroundings.prepare(request["environment"], request["directory"])
        function = handlers.load(request["handler"])
    except CannotRunError as problem:
        return {"reason": str(problem), "clean": surroundings.restore()}
    if clock.now() >= request["until"]:  # last of all: its import may have taken long
        return {"late": True, "clean": surroundings.restore()}
    code, text, more = _call(function, request["argument"], Run.read(request["environment"]))
    if os.getpid() != process:  # a child that the handler forked has returned to here
        os._exit(code)
    clean = surroundings.restore()
    surroundings.write(text)
    # An exception may leave anything half done, and is rare enough to justify a new process.
    return {"code": code, "clean": clean and code == 0} | more


def _call(function: Called, argument: Any, of: Run) -> tuple[int, str, dict[str, str]]:
    """The exit status, what to write, and what else to reply."""
    try:
        if isinstance(function, Handler):
            return 0, "", {"result": _result(function.function(**argument))}
        result = function(argument, of)
        return 0, "", {} if result is None else {"result": _result(result)}
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return (leaving.code or 0) & 0xFF, "", {}
        return 1, f"{leaving.code}\n", {}
    except ResultError as problem:
        return 1, "", {"reason": str(problem)}
    except BaseException as error:
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next  # start in the handler, not here
        import traceback  # seldom needed

        return 1, "".join(traceback.format_exception(error, limit=-MOST_FRAMES)), {}


def _result(value: Any) -> str:
    """As JSON. Raises ResultError."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ResultError(f"the result cannot be written as JSON: {problem}"[:MOST_REASON]) from None
    data = text.encode(errors="backslashreplace")  # as JSON has it, too
    if len(data) > MOST_RESULT:
        raise ResultError(
            f"the result has {len(data)} bytes of JSON, the limit is {MOST_RESULT}: store it elsewhere and "
            "return where it is"
        )
    twice = same_keys(text)
    if twice is not None:
        raise ResultError(f"the result cannot be written as JSON: {twice}"[:MOST_REASON])
    return data.decode()


def main() -> None:
    """Run what comes over the channel until it is closed."""
    for group in sys.argv[2:]:
        joined = os.open(group, os.O_WRONLY)
        os.write(joined, b"0")
        os.close(joined)
    channel = int(sys.argv[1])
    os.set_inheritable(channel, False)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # nothing continues after the daemon's death
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    faulthandler.enable()
    surroundings, handlers = Surroundings(), Handlers()
    _write(channel, b'{"ready":true}\n')
    with open(channel, "rb") as requests:
        for request in map(json.loads, requests):
            reply = {"run": request["run"], **run(request, handlers, surroundings)}
            line = json.dumps(reply, ensure_ascii=False).encode(errors="backslashreplace")
            _write(channel, line + b"\n")


if __name__ == "__main__":
    main()
