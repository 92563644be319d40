"""docs/python.md is true: its wheel is installed, its programs are run, and what they print is seen."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.ensemble import Ensemble
from testbed.walkthrough import Names, Step, difference, fences

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/python.md"
STEP_SECONDS = 180  # for one command; far more than it takes, for a machine may be busy


def steps() -> Iterator[Step | tuple[str, str]]:
    """Every program (its file's name and text) and every command, in their order."""
    for start, language, lines in fences(PAGE.read_text()):
        if language == "python":
            name = re.fullmatch(r"# (\w+\.py)", lines[0])
            assert name, f"line {start + 1}: the block has to begin with its file's name"
            yield name[1], "\n".join(lines) + "\n"
        elif language == "console":
            yield from commands(start, lines)


def commands(start: int, lines: list[str]) -> Iterator[Step]:
    at = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert at[:1] == [0], f"line {start + 1}: the block has to begin with a command"
    for begin, end in zip(at, [*at[1:], len(lines)], strict=True):
        yield Step(start + 1 + begin, None, "here", lines[begin][2:], tuple(lines[begin + 1 : end]))


class Shell:
    """Somebody who follows the page, in a directory and a virtual environment of their own."""

    def __init__(self, home: Path, connect: str) -> None:
        self._home = home
        self._background: list[subprocess.Popen[bytes]] = []
        subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
        self._environment = {
            "PATH": f"{home}/venv/bin:{os.environ['PATH']}",
            "HOME": str(home),
            "PIP_CONSTRAINT": str(PROJECT / "constraints.txt"),
            "MWAPP_CONNECT": connect,
            "MWAPP_LISTEN": "127.0.0.1:0",  # others may have tests here
        } | {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}

    def run(self, command: str) -> str:
        """What it prints."""
        if command.endswith(" &"):
            self._background.append(self._start(command.removesuffix("&")))
            return ""
        with self._start(command) as process:
            return process.communicate(timeout=STEP_SECONDS)[0].decode()

    def close(self) -> None:
        for process in self._background:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, command: str) -> "subprocess.Popen[bytes]":
        to_log = command.startswith("mwapp master") or "mwapp worker" in command
        output = subprocess.DEVNULL if to_log else subprocess.PIPE
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self._home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL if to_log else subprocess.STDOUT,
            start_new_session=True,
        )


@pytest.fixture
def shell(ensemble: Ensemble, tmp_path: Path) -> Iterator[Shell]:
    checkout = tmp_path / "zklab"
    shutil.copytree(PROJECT / "mwapp", checkout / "mwapp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", checkout)
    shell = Shell(tmp_path, f"{ensemble.connect_string}/python-page")
    yield shell
    shell.close()


def test_what_the_page_says_is_what_happens(shell: Shell, tmp_path: Path) -> None:
    names = Names()
    programs: list[str] = []
    for step in steps():
        if isinstance(step, Step):
            seen = shell.run(step.command)
            if not names.matches(step.expected, seen):
                raise difference(PAGE, step, seen)
        else:
            name, text = step
            (tmp_path / name).write_text(text)
            programs.append(name)
    checks = (sys.executable, "-m", "mypy", "--strict", "--python-executable", "venv/bin/python")
    typed = subprocess.run(
        [*checks, *programs],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert typed.returncode == 0, typed.stdout
