"""Text to standard output and standard error, either of which may be closed, full, or of another encoding."""

import os
import sys
from typing import TextIO


class _State:
    """Of standard output: whether something could not be written there."""

    lost = False


def lost() -> bool:
    """Whether something for standard output is on standard error, because it could not be written."""
    return _State.lost


def lose(problem: OSError) -> None:
    """Somebody else could not write to standard output."""
    _drop(sys.stdout)
    _State.lost = True
    tell(f"standard output: {problem.strerror}")


def show(text: str, end: str = "\n") -> bool:
    """Print now. Returns whether somebody reads it. If nobody does, the command continues, and its exit
    status tells its result. What cannot be written, on a full disk say, is told on standard error: names of
    tasks must not be lost."""
    if not _State.lost:
        try:
            print(_encodable(text), end=end, flush=True)
            return sys.stdout is not None
        except BrokenPipeError:
            _drop(sys.stdout)
            return False
        except OSError as problem:
            _drop(sys.stdout)
            _State.lost = True
            tell(f"standard output: {problem.strerror}; what was for it:")
    _tell(text + end)
    return False


def tell(message: str) -> None:
    """A message for people, on standard error."""
    note(f"mwapp: {message}")


def note(text: str) -> None:
    """The same for what comes below a table."""
    _tell(f"{text}\n")


def on_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout is not None and sys.stdout.isatty()


def encoding() -> str:
    """Of standard output."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _encodable(text: str) -> str:
    """What this encoding does not have is escaped; so are half characters, which none has."""
    return text.encode(encoding(), "backslashreplace").decode(encoding())


def _tell(text: str) -> None:
    if sys.stderr is not None:  # print would take standard output in its place
        try:
            print(text, end="", file=sys.stderr, flush=True)
        except OSError:
            _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """What is left in its buffer goes nowhere, or Python ends with a status of its own, 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
