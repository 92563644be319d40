"""A runner in a process of its own, which is another user: the worker's side, and what travels between.

The worker believes the other side nothing but how runs have ended: a task can do to that process whatever it
likes, because it is the same user. If that process ends, the worker ends, too, without closing its session:
only when all processes are gone may somebody else run its tasks.
"""

import json
import logging
import math
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import BinaryIO

from mwapp.core.messages import Exited, OpenShard, Run, ShardCommand, ShardSays
from mwapp.core.protocol import MAX_OUTPUT_BYTES
from mwapp.errors import BadInputError
from mwapp.execution import privileges
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.environment import of_runs
from mwapp.execution.guard_process import LAG
from mwapp.execution.processes import kill
from mwapp.execution.runner import THREAD_END
from mwapp.handlers import problem_of_address

log = logging.getLogger(__name__)

# The other side reads all the time. If it takes longer, it is stuck, seconds.
SEND_TIME = 5.0
# The same of how long it takes to start and to leave the network.
START_TIME = 60.0
# A head is a line of JSON; the output follows it, and what a handler has returned, and the reason.
MOST_HEAD = 1000
# The mark of what was left out takes some bytes more than the limit.
MOST_OUTPUT = MAX_OUTPUT_BYTES + 1000

START, KILL, SHARD, KEEP = "start", "kill", "shard", "keep"
NETWORK, NO_NETWORK = "network", "no-network"
_SIZE = struct.Struct("!I")
# The types of a head: of the end of a run, and of what a shard says.
_HEAD = [int, int, bool, float, bool, int, int, int]
_SAYS = [int, str, int, int, str]
# What a shard can say.
_SAID = ("open", "ready", "serving", "late", "released", "closed")


def write_order(*order: object) -> bytes:
    """For the process that runs tasks."""
    data = pickle.dumps(order)
    return _SIZE.pack(len(data)) + data


def read_orders(received: bytearray) -> Iterator[tuple[object, ...]]:
    """From the worker: takes what is complete out of what was received."""
    while len(received) >= _SIZE.size:
        end = _SIZE.size + _SIZE.unpack_from(received)[0]
        if len(received) < end:
            return
        order = pickle.loads(received[_SIZE.size : end])  # noqa: S301 - only the worker has that end
        del received[:end]
        yield order


def write_answer(answer: Exited | ShardSays) -> bytes:
    """For the worker."""
    return _write_exited(answer) if isinstance(answer, Exited) else _write_says(answer)


def _write_says(says: ShardSays) -> bytes:
    reason = None if says.reason is None else says.reason.encode(errors="backslashreplace")[:MOST_OUTPUT]
    head = [says.run, says.said, says.generation, -1 if reason is None else len(reason), says.address]
    return json.dumps(head, ensure_ascii=False).encode() + b"\n" + (reason or b"")


def _write_exited(exited: Exited) -> bytes:
    texts = [exited.result, exited.reason]
    parts = [exited.output, *((text or "").encode(errors="backslashreplace") for text in texts)]
    sizes = [
        len(parts[0]),
        *(-1 if text is None else len(it) for text, it in zip(texts, parts[1:], strict=True)),
    ]
    head = [exited.run, exited.code, exited.truncated, exited.seconds, exited.begun, *sizes]
    return json.dumps(head).encode() + b"\n" + b"".join(parts)


def read_answer(channel: BinaryIO) -> Exited | ShardSays | None:
    """From the process that runs tasks; None: it has ended. Raises ValueError or RecursionError if it says
    anything else."""
    line = channel.readline(MOST_HEAD)
    if not line:
        return None
    head = json.loads(line)
    kinds = [type(value) for value in head] if isinstance(head, list) else []
    if kinds == _SAYS and _may_say(*head[1:]):
        return _read_says(channel, *head)
    if kinds not in (_HEAD, [int, type(None), *_HEAD[2:]]):
        raise ValueError(f"no such answer: {line[:80]!r}")
    run, code, truncated, seconds, begun, size, *others = head
    few = 0 <= size <= MOST_OUTPUT and all(-1 <= other <= MOST_OUTPUT for other in others)
    if not few or not 0 <= seconds < math.inf:
        raise ValueError(f"no such answer: {line[:80]!r}")
    output, *texts = (channel.read(max(0, size)) for size in (size, *others))
    if len(output) + sum(map(len, texts)) < size + sum(max(0, other) for other in others):
        return None
    result, reason = (None if size < 0 else text.decode() for size, text in zip(others, texts, strict=True))
    return Exited(run, code, output, truncated, seconds, begun, result, reason)


def _may_say(said: str, _generation: int, size: int, address: str) -> bool:
    return said in _SAID and -1 <= size <= MOST_OUTPUT and problem_of_address(address) is None


def _read_says(
    channel: BinaryIO, run: int, said: str, generation: int, size: int, address: str
) -> ShardSays | None:
    reason = channel.read(max(0, size))
    if len(reason) < size:
        return None
    why = None if size < 0 else reason.decode(errors="replace")
    return ShardSays(run, said, generation, why, address)


def _start(
    user: privileges.User, arguments: list[str], environment: dict[str, str], channel: int
) -> subprocess.Popen[bytes]:
    """A process of that user. Raises BadInputError if we may not become that one."""
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[channel],
            env=environment,
            cwd="/",
            user=user.uid,
            group=user.gid,
            extra_groups=list(user.groups),
        )
    except PermissionError:
        raise privileges.may_not_become(user) from None


def _own(user: privileges.User) -> dict[str, str]:
    """The user's variables, and what the log needs."""
    own = {"HOME": user.home, "SHELL": user.shell, "USER": user.name, "LOGNAME": user.name}
    return own | {name: os.environ[name] for name in ("JOURNAL_STREAM",) if name in os.environ}


class RemoteRunner:
    """The process, as the worker sees it. It is used like a :class:`~mwapp.execution.runner.Runner`."""

    def __init__(
        self,
        user: privileges.User,
        control_groups: ControlGroups | None,
        log_level: str,
        log_format: str,
        given: Mapping[str, str] | None = None,
        *,
        network: bool = True,
    ) -> None:
        """Start it, and give up the right to start another. Call it before there are other threads. The
        ``given`` variables are for what it runs, and not for itself.

        Raises:
            BadInputError: this process may not become that user, or keep what it runs off the network.
        """
        self._post: Callable[[Exited | ShardSays], None] = lambda _: None
        self._running: set[int] = set()
        self._shards: set[int] = set()  # whose numbers are apart from those of runs
        self._control_groups = control_groups
        self._closing = False
        self._lease = 0.0  # as it was told last
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [sys.executable, "-P", "-m", "mwapp.execution.runner_process", str(theirs.fileno())]
            arguments += [log_level, log_format, NETWORK if network else NO_NETWORK]
            if control_groups is not None:
                arguments += control_groups.lend()
            privileges.keep_to_this_process()
            self._process = _start(user, arguments, of_runs() | _own(user), theirs.fileno())
        assert self._process.stdin is not None  # noqa: S101 - it was asked for; tells mypy
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # if it has ended, we shall hear of it
            pipe.write(json.dumps(dict(given or {})).encode())
        if os.getuid() != 0:  # whom nothing keeps from having them
            privileges.give_up()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SEND_TIME), 0))
        self._answers = ours.makefile("rb")
        self._socket = ours
        if not network:
            self._await_no_network()
        self._thread = threading.Thread(target=self._listen, name="runner", daemon=True)

    def begin(self, post: Callable[[Exited | ShardSays], None]) -> "RemoteRunner":
        """From now on ``post`` gets each run's Exited, and what shards say."""
        self._post = post
        self._thread.start()
        return self

    def start(self, run: Run) -> None:
        """See Runner."""
        self._running.add(run.run)
        self._order(START, run)

    def kill(self, run: int, grace: float = 0.0) -> None:
        """See Runner."""
        self._order(KILL, run, grace)

    def tell_shard(self, command: ShardCommand) -> None:
        """See Runner."""
        if isinstance(command, OpenShard):
            self._shards.add(command.run)
        self._order(SHARD, command)

    def keep(self, lease: float) -> None:
        """See Runner."""
        if lease >= self._lease + LAG:
            self._lease = lease
            self._order(KEEP, lease)

    def kill_all(self) -> None:
        """Kill all that runs, at the end of the process, and wait until it is gone."""
        self._closing = True
        if self._control_groups is not None:
            self._control_groups.kill()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(THREAD_END + 1)
        except subprocess.TimeoutExpired:
            log.error("the process that runs tasks does not end")
            return
        self._thread.join()  # it has read the end
        self._answers.close()
        self._socket.close()

    def _await_no_network(self) -> None:
        """Wait until it has left the network: nothing of a task is there yet, so what it says is true."""
        self._socket.settimeout(START_TIME)
        try:
            line = self._answers.readline().decode()
        except TimeoutError:
            line = (
                f"the process that runs tasks has said nothing for {START_TIME:g} s: look at the host's load"
            )
            kill(self._process.pid)  # or, if we may not, systemd does when this one ends
        self._socket.settimeout(None)
        if line == "\n":
            return
        self._answers.close()
        self._socket.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(THREAD_END)
        problem = line.strip() or _end_at_start(self._process.returncode)
        raise BadInputError(f"--no-task-network (task_network = false): {problem}, or leave this out")

    def _order(self, *order: object) -> None:
        try:
            self._socket.sendall(write_order(*order))
        except OSError as problem:
            self._lost(str(problem))

    def _listen(self) -> None:
        try:
            while (answer := read_answer(self._answers)) is not None:
                going = self._running if isinstance(answer, Exited) else self._shards
                if answer.run in going:
                    if isinstance(answer, Exited) or answer.said == "closed":
                        going.discard(answer.run)
                    self._post(answer)
            problem = "it has ended"
        except (OSError, ValueError, RecursionError) as error:
            problem = str(error)
        self._lost(problem)

    def _lost(self, problem: str) -> None:
        if self._closing:
            return
        log.critical(
            "the process that runs tasks is lost: %s; this one ends, too, and systemd starts both again",
            problem,
        )
        if self._control_groups is not None:
            self._control_groups.kill()
        os._exit(1)


def _end_at_start(code: int | None) -> str:
    """Why the process has ended before it said anything, and the remedy."""
    if code == -signal.SIGSYS:
        return (
            "its unit forbids this process to filter system calls: add SystemCallFilter=seccomp to the unit"
        )
    return f"the process that runs tasks has ended with exit status {code}: look at what it has said"
