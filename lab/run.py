"""Programs, locks and waiting, which everything else here uses."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lab.errors import LabError
from lab.spec import CACHE

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Progress nobody watches."""


def run(argv: Sequence[str], *, stdin: str | None = None) -> str:
    """Run a program to its end and return its standard output.

    Raises LabError with the program's last words if it fails.
    """
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        raise LabError(f"{' '.join(argv)}: {words}")
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether a program ends with status 0; its output is dropped."""
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition, looking every 10 ms. Raises LabError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


def remove(tree: Path) -> None:
    """Remove a directory and everything in it. No error if it does not exist.

    Children of a killed command may live a moment longer and still write there: wait for them.
    """

    def gone() -> bool:
        shutil.rmtree(tree, ignore_errors=True)
        return not tree.exists()

    until(gone, 10, f"removal of {tree}")


@contextlib.contextmanager
def lock(name: str, say: Say = silent) -> Iterator[None]:
    """Hold the machine-wide lock of this name; the kernel frees it when its holder dies.

    The files stay in the cache, because a removed lock file locks nothing.
    """
    path = CACHE / "locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+")
    except PermissionError as error:
        raise LabError("labs belong to root: sudo lab ...") from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            say(f"waiting for {name}, held by process {file.read().strip() or '?'}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
