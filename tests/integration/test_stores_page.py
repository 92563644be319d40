"""docs/stores.md is true: a test types each section, on a system of its own, and compares what it sees."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.ensemble import Ensemble
from testbed.walkthrough import DifferenceError, Names, Step, difference, fences

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/stores.md"
HEAD = "Start"
STEP_SECONDS = 120  # for one command; far more than it takes, for a machine may be busy


def sections() -> dict[str, list[Step]]:
    """The commands below each heading, if there are any."""
    text = PAGE.read_text().splitlines()
    found: dict[str, list[Step]] = {}
    for start, language, lines in fences(PAGE.read_text()):
        if language == "console":
            heading = next(line[3:] for line in reversed(text[:start]) if line.startswith("## "))
            found.setdefault(heading, []).extend(commands(start, lines))
    return found


def commands(start: int, lines: list[str]) -> Iterator[Step]:
    at = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert at[:1] == [0], f"line {start + 1}: the block has to begin with a command"
    for begin, end in zip(at, [*at[1:], len(lines)], strict=True):
        expected = tuple(line.rstrip() for line in lines[begin + 1 : end] if line.strip())
        yield Step(start + 1 + begin, None, "here", lines[begin][2:], expected)


class Terminal:
    """One bash, into which all is typed: it knows its jobs and variables. Its stderr is not compared."""

    def __init__(self, home: Path, connect: str) -> None:
        (home / "zklab").symlink_to(PROJECT)
        self._errors = home / "errors"
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{PROJECT}:{os.environ.get('PYTHONPATH', '')}",
            "MWAPP_CONNECT": connect,
        }
        with self._errors.open("wb") as errors:
            self._bash = subprocess.Popen(
                ["bash"],
                cwd=home,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def type(self, command: str) -> str:
        """What it prints until it has ended, or is a job."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        typed = f"{{ {command}\n}} </dev/null\nprintf '\\n%s\\n' end-of-it\n"
        self._bash.stdin.write(typed.encode())
        self._bash.stdin.flush()
        seen: list[str] = []
        before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"{command}: {seen} {self.errors()}"))
        signal.alarm(STEP_SECONDS)
        try:
            for line in iter(self._bash.stdout.readline, b""):
                if line == b"end-of-it\n":
                    break
                seen.append(line.decode())
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        return "".join(seen)

    def errors(self) -> str:
        return self._errors.read_text()

    def close(self) -> None:
        """Kill it and its jobs: without job control they are one process group."""
        os.killpg(self._bash.pid, signal.SIGKILL)
        with self._bash:  # closes its pipes, too, and waits
            pass


@pytest.fixture
def terminal(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    chroot = "stores-page-" + request.node.callspec.id.partition(":")[0].lower()
    terminal = Terminal(tmp_path, f"{ensemble.connect_string}/{chroot}")
    yield terminal
    terminal.close()


@pytest.mark.parametrize("section", [heading for heading in sections() if heading != HEAD])
def test_what_the_page_says_is_what_happens(terminal: Terminal, section: str) -> None:
    names = Names()
    found = sections()
    for step in [*found[HEAD], *found[section]]:
        seen = terminal.type(step.command)
        if not names.matches(step.expected, seen):
            raise DifferenceError(f"{difference(PAGE, step, seen)}\n{terminal.errors()[-4000:]}")
