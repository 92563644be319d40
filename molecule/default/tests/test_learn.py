"""docs/learn.md is true: every command in it is run, in order, and what it shows is seen."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from chaos.cluster import Cluster
from lab import Lab
from tests.walkthrough import Names, Step, difference, steps

PAGE = Path(__file__).parents[3] / "docs" / "learn.md"
SECONDS = 60  # for one step; far more than it takes, for a machine may be busy
PROMPT = re.compile(rb"\[zk: \S+\(\w+\) (\d+)\] ?")
NOTICE = re.compile(r"WATCHER::|WatchedEvent ")


def ssh(host: str, command: str) -> list[str]:
    """How that command is run on that host."""
    return ["ssh", "-F", f"/run/zklab/{os.environ['LAB']}/ssh_config", host, command]


class Terminal:
    """A zkCli.sh that stays open. Use as a context manager."""

    def __init__(self, host: str, command: str) -> None:
        argv = ssh(host, f"exec {command} 2>&1")
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._lines: list[str] = []  # nobody has read them yet
        self._typed = 0
        self._prompt = -1  # the last that was seen; each bears the number of the commands before it
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"quit\n")  # else its ephemeral znodes would outlive it
            self._process.stdin.close()
        self._reader.join()
        self._process.wait()

    def type(self, command: str) -> str:
        """Type a command; what it has printed, when the next prompt is there. Notices are left for `look`."""
        assert self._process.stdin
        with self._changed:
            self._changed.wait_for(lambda: self._prompt == self._typed, SECONDS)
            self._process.stdin.write(f"{command}\n".encode())
            self._process.stdin.flush()
            self._typed += 1
            self._changed.wait_for(lambda: self._prompt == self._typed or self._ended, SECONDS)
            lines = list(self._lines)
            if command in lines:
                lines.remove(command)  # it echoes what is typed
            notices = [] if self._ended else [line for line in lines if NOTICE.match(line)]
            self._lines = notices
            return "\n".join(line for line in lines if line not in notices)

    def look(self, step: Step, names: Names) -> str:
        """What nobody has read, once it is what the step expects, or has not become so in time."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._prompt >= 0 and names.matches(step.expected, self._seen()), SECONDS
            )
            seen, self._lines = self._seen(), []
            return seen

    def _seen(self) -> str:
        # Notices last: another thread of zkCli.sh prints them, before or after what it says of itself.
        return "\n".join(sorted(self._lines, key=lambda line: bool(NOTICE.match(line))))

    def _read(self) -> None:
        assert self._process.stdout
        unread = b""
        while data := os.read(self._process.stdout.fileno(), 65536):
            unread += data
            with self._changed:
                unread = self._sort(unread)
                self._changed.notify_all()
        self._process.stdout.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _sort(self, unread: bytes) -> bytes:
        """Take prompts and whole lines; what is left."""
        while True:
            if prompt := PROMPT.match(unread):
                self._prompt = int(prompt[1])
                unread = unread[prompt.end() :]
            elif b"\n" in unread:
                line, _, unread = unread.partition(b"\n")
                if line.strip():
                    self._lines.append(line.decode().rstrip())
            else:
                return unread


class Learner:
    """Takes the steps, with as many terminals as they ask for. Use as a context manager: closes them."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._terminals: dict[str, Terminal] = {}
        self._names = Names()

    def __enter__(self) -> "Learner":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def take(self, step: Step) -> None:
        """Take a step. Raises DifferenceError when something else is seen than it says."""
        seen = self._do(step)
        if not self._names.matches(step.expected, seen):
            raise difference(PAGE, step, seen)

    def _do(self, step: Step) -> str:
        command = self._names.command(step.command)
        if step.terminal is None:
            assert step.host
            done = subprocess.run(
                ssh(step.host, command), capture_output=True, text=True, timeout=SECONDS, check=False
            )
            return done.stdout + done.stderr
        if step.host is not None:
            self._terminals[step.terminal] = self._open.enter_context(Terminal(step.host, command))
        terminal = self._terminals[step.terminal]
        return terminal.type(command) if command and step.host is None else terminal.look(step, self._names)


def tree(client: KazooClient, path: str = "/") -> set[str]:
    """All znodes but the tasks, which our master removes in time."""
    found = {path}
    with suppress(NoNodeError):
        for child in client.get_children(path) if path != "/tasks" else ():
            found |= tree(client, f"{path.rstrip('/')}/{child}")
    return found


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """The lab of this scenario; afterwards it is as it was, or the test fails."""
    cluster = Cluster(Lab(os.environ["LAB"]))
    cluster.settle()
    client = KazooClient(cluster.hosts())
    client.start()
    before = tree(client)
    yield cluster
    for node in cluster.masters:
        cluster.systemctl(node, "start", "mwapp-master")
    cluster.settle()
    left = tree(client) - before
    for path in sorted(left, reverse=True):
        with suppress(NoNodeError):
            client.delete(path)
    client.stop()
    client.close()
    assert not left


@pytest.mark.usefixtures("cluster")
def test_every_step_shows_what_the_page_says() -> None:
    with Learner() as learner:
        for step in steps(PAGE.read_text()):
            learner.take(step)
