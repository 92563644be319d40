"""Many submissions whose answers are lost, and a search for them that is cut off: the real command line."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from testbed.ensemble import Ensemble
from testbed.network import Trap
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.integration.attack import Attack, attack_on

MULTI_READ = 22  # what ZooKeeper calls several reads in one request
MANY = 400  # several pages, in several transactions under way at once


@pytest.fixture
def attack(ensemble: Ensemble, tmp_path: Path) -> Iterator[Attack]:
    with attack_on(ensemble, tmp_path) as attack:
        yield attack


@pytest.mark.parametrize("cut_at", [1, 5, 9])
def test_a_search_that_is_cut_off_doubles_nothing(attack: Attack, cut_at: int) -> None:
    """No answer arrives until all are created; then the connection is cut again, at a read of the search."""
    attack.network.mute_from(b"/tasks/task-")
    submitter = subprocess.Popen(
        [
            *(sys.executable, "-m", "mwapp", "submit", "--connect", attack.site.connect),
            *("--connect-timeout", str(LONGEST_WAIT), "-"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with submitter:
        assert submitter.stdin
        submitter.stdin.write("".join(f"echo {number}\n" for number in range(MANY)))
        submitter.stdin.close()
        person = attack.person
        wait_for("all are created", lambda: person.exists("/tasks") and _tasks(attack) == MANY)
        reads = count(1)
        trap = attack.network.trap = Trap(
            lambda frame: _kind(frame) == MULTI_READ and next(reads) == cut_at, committed=False
        )
        attack.network.heal()
        wait_for("the search is cut off", trap.caught.is_set)
        assert submitter.stdout
        names = submitter.stdout.read().split()
        assert submitter.wait(LONGEST_WAIT) == 0
    assert sorted(names) == sorted(person.get_children("/tasks"))
    assert len(names) == MANY


def _tasks(attack: Attack) -> int:
    return len(attack.person.get_children("/tasks"))


def _kind(frame: bytes) -> int:
    """What a request asks for: it follows its length and number."""
    return int(struct.unpack_from(">i", frame, 8)[0])
