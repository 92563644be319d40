"""The connection is lost at every write there is: before the request is sent, or after it was carried out.

One short story has every kind of write in it. It is told for each kind and way, and always ends the same.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.ensemble import Ensemble
from testbed.network import Trap
from testbed.waiting import wait_for
from tests.integration.attack import Attack, attack_on

Frame = Callable[[bytes], bool]


def has(*parts: bytes, without: tuple[bytes, ...] = ()) -> Frame:
    """A request in which all of these are, and none of those."""
    return lambda frame: all(part in frame for part in parts) and not any(part in frame for part in without)


BY_MASTER = b"/epoch"
WRITES: dict[str, Frame] = {
    "set up": has(b"/returned", without=(b"/returned/", BY_MASTER)),
    "win": has(b"/master", BY_MASTER),
    "register": has(b"/workers/w1", b'"session"'),
    "submit": has(b"/tasks/task-", without=(BY_MASTER, b"/assign")),
    "assign": has(BY_MASTER, b"/assign/w1/", b'"attempt"', without=(b"/returned/",)),
    "complete": has(b"/assign/w1/", b"/status", b"done", without=(BY_MASTER,)),
    "hand back": has(b"/assign/w1/", b"/returned/", without=(BY_MASTER,)),
    "move": has(BY_MASTER, b"/returned/", b"/assign/w1/"),
    "give up": has(BY_MASTER, b"/status", b"failed"),
    "ask to cancel": has(b"/cancel/", without=(BY_MASTER,)),
    "cancel": has(b"/assign/w1/", b"/status", b"cancelled", without=(BY_MASTER,)),
    "take back a cancel request": has(BY_MASTER, b"/cancel/"),
    "drain": has(b"/workers/w1", b"/assign/w1", without=(BY_MASTER, b'"session"', b"/status", b"/returned/")),
}


@pytest.fixture
def attack(ensemble: Ensemble, tmp_path: Path) -> Iterator[Attack]:
    with attack_on(ensemble, tmp_path) as attack:
        yield attack


WAYS = pytest.mark.parametrize("committed", [False, True], ids=["never sent", "reply lost"])


@WAYS
@pytest.mark.parametrize("write", WRITES)
def test_connection_lost_at_a_write(attack: Attack, write: str, committed: bool) -> None:
    trap = attack.network.trap = Trap(WRITES[write], committed=committed)
    attack.site.start("master", "m1").wait_for_state("active")
    worker = attack.site.start("worker", "w1", "--slots", "2")
    worker.wait_for_state("ready")
    site, person = attack.site, attack.person

    bad = person.create("/tasks/task-", b'{"oops', sequence=True).rpartition("/")[2]
    flaky = f'test "$MWAPP_ATTEMPT" = 2; code=$?; echo {attack.home}; exit $code'
    (tried_again,) = site.mwapp("submit", "--retries", "1", flaky).split()
    (endless,) = site.mwapp("submit", "sleep 60").split()
    wait_for("it runs", lambda: endless in worker.running())
    ended = site.json("cancel", endless)
    tasks = (bad, tried_again, endless)
    wait_for("all have ended", lambda: all(person.exists(f"/tasks/{task}/status") for task in tasks))
    states = {task: person.get(f"/tasks/{task}/status")[0] for task in tasks}
    assert states == {bad: b"failed", tried_again: b"done", endless: b"cancelled"}
    assert [task["state"] for task in ended] == ["cancelled"]

    places = ("/cancel", "/returned", "/assign/w1")
    wait_for("nothing is left", lambda: not any(map(person.get_children, places)))
    assert worker.stop() == 0
    assert trap.caught.is_set(), "there was no such write"
    attack.verdict()


@WAYS
def test_connection_lost_when_finished_tasks_are_removed(attack: Attack, committed: bool) -> None:
    trap = attack.network.trap = Trap(has(BY_MASTER, b"/status", b"/result"), committed=committed)
    attack.site.start("master", "m1", program="tests.integration.tidy").wait_for_state("active")
    attack.site.start("worker", "w1").wait_for_state("ready")
    names = attack.site.mwapp("submit", "true", "true", "false").split()
    wait_for("they are removed", lambda: trap.caught.is_set() and not attack.person.get_children("/tasks"))
    judge = attack.judge()
    assert judge.removed == judge.status.keys() == set(names)
