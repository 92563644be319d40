"""Handlers of a program that has a client."""

import os
import time
from pathlib import Path
from typing import Any

from mwapp import handler
from mwapp.handlers import Run


@handler
def add(x: int, y: int = 2) -> int:
    """Add, and say something about it, without an end of the line."""
    print(f"adding {x} and {y}", end="")
    return x + y


@handler
def returns(value: Any) -> Any:
    """Whatever it is given."""
    return value


@handler
def fails(why: str) -> None:
    """Never returns."""
    raise ValueError(why)


@handler
def sleeps(seconds: float) -> float:
    """Takes as long as it says."""
    time.sleep(seconds)
    return seconds


@handler
def awaits(path: str, value: int) -> int:
    """Returns as soon as there is such a file."""
    while not Path(path).exists():
        time.sleep(0.02)
    return value


@handler
def large(size: int) -> str:
    """More than can be kept, perhaps."""
    return "ä" * size


@handler
def tells_its_run() -> list[Any]:
    """Which run it is."""
    run = Run.read(os.environ)
    return [run.task, run.attempt, run.worker]


@handler
def dies(number: int) -> None:
    """Ended by a signal."""
    os.kill(os.getpid(), number)


def no_handler() -> None:
    """Nobody can submit it."""
