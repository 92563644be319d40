"""Waits for something, as long as a busy machine may need."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
# What takes a moment may take this long on a busy machine, seconds.
LONGEST_WAIT = 30.0


class NotInTimeError(AssertionError):
    """The message says what did not come."""


def wait_for(
    what: str, probe: Callable[[], T | None], seconds: float = LONGEST_WAIT, every: float = 0.01
) -> T:
    """Ask until the answer is true, with pauses, and return it. Raises NotInTimeError."""
    deadline = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not within {seconds:g} s: {what}")
        time.sleep(every)
    return answer


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie that nobody reaps does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before we look, or as we look
        return False


def read_number(path: Path) -> int:
    """The number that another process writes to a file, as soon as it is there."""
    text = wait_for(f"a number in {path}", lambda: path.read_text().strip() if path.exists() else "")
    return int(text)
