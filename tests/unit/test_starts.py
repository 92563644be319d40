"""A test that starts a process says so, or fails."""

import os
import subprocess

import pytest


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run(["true"], check=True),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        os.fork,
    ],
    ids=["subprocess", "posix_spawn", "fork"],
)
def test_who_does_not_say_so_cannot(start) -> None:  # type: ignore[no-untyped-def]  # lambdas
    with pytest.raises(AssertionError, match=r"@pytest\.mark\.processes"):
        start()


@pytest.mark.processes
def test_who_says_so_can() -> None:
    subprocess.run(["true"], check=True)
