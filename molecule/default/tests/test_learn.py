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
from chaos.load import reader
from testbed.person import catch_up
from testbed.walkthrough import Names, Step, difference, steps

PAGE = Path(__file__).parents[3] / "docs" / "learn.md"
STEP_SECONDS = 60  # for one step; far more than it takes, for a machine may be busy
PROMPT = re.compile(r"\[zk: \S+\(\w+\) \d+\] ?")
# Asking for this znode, which is not there, marks the end of what a command prints: 3.8 shows no prompt here.
MARK = "/end-of-step-"
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
        self._typed: set[str] = set()  # last; some echo it, and a notice may come in the midst of that
        self._echoed = ""  # what may be the beginning of such an echo
        self._asked = 0  # number of the last mark that was asked for
        self._marked = 0  # ... and of the last that came
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._type()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        with suppress(BrokenPipeError):
            if not self._ended:
                self._type("quit")  # else its ephemeral znodes would outlive it
            self._process.stdin.close()
        self._reader.join()
        self._process.wait()

    def type(self, command: str) -> str:
        """Type a command; what it has printed. Notices are left for `look`, but at the end of the session."""
        with self._changed:
            self._type(command)
            self._changed.wait_for(self._quiet, STEP_SECONDS)
            lines = self._lines
            self._lines = [] if self._ended else [line for line in lines if NOTICE.match(line)]
            return "\n".join(line for line in lines if line not in self._lines)

    def look(self, step: Step, names: Names) -> str:
        """What nobody has read, once it is what the step expects, or has not become so in time."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._quiet() and names.matches(step.expected, self._seen()), STEP_SECONDS
            )
            seen, self._lines = self._seen(), []
            return seen

    def _type(self, *commands: str) -> None:
        self._asked += 1
        ask = [] if "quit" in commands else [f"ls {MARK}{self._asked}"]
        self._typed = {*commands, *ask}
        assert self._process.stdin
        self._process.stdin.write("".join(f"{line}\n" for line in (*commands, *ask)).encode())
        self._process.stdin.flush()

    def _quiet(self) -> bool:
        return self._ended or self._marked == self._asked

    def _seen(self) -> str:
        # Notices last: another thread of zkCli.sh prints them, before or after what it says of itself.
        return "\n".join(sorted(self._lines, key=lambda line: bool(NOTICE.match(line))))

    def _read(self) -> None:
        assert self._process.stdout
        unread = b""
        while data := os.read(self._process.stdout.fileno(), 65536):
            unread += data
            *lines, unread = unread.split(b"\n")
            with self._changed:
                for line in lines:
                    self._take(PROMPT.sub("", line.decode()).strip("\r"))
                self._changed.notify_all()
        self._process.stdout.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        if NOTICE.match(line):
            self._lines.append(line)
            return
        echo = self._echoed + line
        if echo in self._typed:
            self._echoed = ""
        elif echo and any(typed.startswith(echo) for typed in self._typed):
            self._echoed = echo
        elif self._echoed:  # so that was none
            self._lines.append(self._echoed)
            self._echoed = ""
            self._take(line)
        elif line.strip() and MARK not in line:
            self._lines.append(line)
        if line == f"Node does not exist: {MARK}{self._asked}":
            self._marked = self._asked


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
                ssh(step.host, command), capture_output=True, text=True, timeout=STEP_SECONDS, check=False
            )
            return done.stdout + done.stderr
        if step.host is not None:
            self._terminals[step.terminal] = self._open.enter_context(Terminal(step.host, command))
        terminal = self._terminals[step.terminal]
        return terminal.type(command) if command and step.host is None else terminal.look(step, self._names)


def tree(client: KazooClient, path: str = "/") -> set[str]:
    """All znodes but the tasks, which our master removes in time, and what belongs to a session."""
    found = {path}
    with suppress(NoNodeError):
        for child in client.get_children(path) if path not in ("/tasks", "/candidates", "/holders") else ():
            found |= tree(client, f"{path.rstrip('/')}/{child}")
    return found


@pytest.fixture
def left_as_it_was(cluster: Cluster) -> Iterator[None]:
    """Afterwards the lab is as it was before, or the test fails."""
    cluster.settle()
    with reader(cluster.hosts(), cluster.tls()) as client:
        before = tree(client)
        yield
        for node in cluster.masters:
            cluster.systemctl(node, "start", "mwapp-master")
        cluster.settle()
        catch_up(client)
        left = tree(client) - before
        for path in sorted(left, reverse=True):
            with suppress(NoNodeError):
                client.delete(path)
    assert not left


@pytest.mark.usefixtures("left_as_it_was")
def test_every_step_shows_what_the_page_says() -> None:
    with Learner() as learner:
        for step in steps(PAGE.read_text()):
            learner.take(step)
