"""A short run of the edge's simulation, and whether it would notice what it is there for."""

import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge import judge
from tests.edge.planted import Edge, edge
from tests.edge.run import history, simulate
from tests.edge.schedule import Schedule
from tests.mutants.areas import acl, secrets
from tests.mutants.areas.edge import MUTANTS
from tests.simulation.run import quiet
from tests.simulation.world import Violation

SCHEDULES = 20
ALL = (*MUTANTS, *acl.MUTANTS, *secrets.MUTANTS)
# Mutants that are found in no time, by a part of what they are called; what is not kept then, and a seed that
# brings it to light now. Should that change, the search is only slower, and the new number belongs here.
PLANTED = {
    "Resumed(up.asked) -> Resumed()": ("asked", 0),
    "up.timeout, up.asked) -> , up.timeout)": ("asked", 0),
    "last_zxid = max(zxid, self.client.last_zxid) -> nothing": ("seen", 0),
    "self._received.clear() -> nothing": ("faithful", 0),
    "present.again = now + AGAIN return [] -> nothing": ("chroot", 84),
    "elif now > due + GRACE: -> elif False:": ("silence", 53),
    "another's session": ("nothing-after", 58),
    "half a greeting is waited for": ("liveness", 40),
    "a change that is longer than it says": ("faithful", 57),
    "what cannot be read is taken for seen": ("seen", 3),
    "if code and error(code) is not Error.SESSION_EXPIRED": ("closed", 25),
    "what is only asked to end is told to be closed": ("truly-over", 0),
    "a lost connection is told of when the next is begun": ("at-once", 3),
    "pauses grow from one to the next": ("at-once", 0),
    "reads in one request without a bound": ("bounded", 2),
    "an attempt prolongs it": ("credentials", 0),
    "self._given_up = self._present": ("given-up", 0),
    "replies come after the cut": ("one-reply", 0),
    "a read is sent twice": ("own-session", 0),
    "sockets are left": ("no-crash", 0),
    "a session that cannot read /acl creates everything open to all": ("lists", 3),
    "who may not read opens all": ("lists", 123),
    "acl.PATH, watch=True) -> Get(self._servers.chroot + acl.PATH)": ("lists", 3),
    "without lists everybody reads them": ("secrets", 3),
    "the core has an answer to no question, after a cut": ("one-reply", 54),
}
# One that so many schedules do not bring to light would be overlooked.
AT_MOST = 300


@pytest.fixture(scope="module", autouse=True)
def among_many() -> Iterator[None]:
    undo = quiet()
    yield
    undo()


def test_every_invariant_holds() -> None:
    met: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        met.update(simulate(seed, short=True))
    assert len(met) == 23, f"not every kind of fault was met: {sorted(met)}"
    assert met["answers"] > 100 * SCHEDULES, "hardly anything was answered"
    assert met["told"] > SCHEDULES, "hardly anybody was told that a session is closed"
    assert met["whole"] == SCHEDULES / 10


def test_every_invariant_has_a_planted_mistake() -> None:
    """A check that nothing has ever broken may be one that cannot fail."""
    names = re.findall(r"^([a-z]+(?:-[a-z]+)*)  +\S", judge.__doc__ or "", re.MULTILINE)
    assert len(names) > 15
    assert set(names) == {invariant for invariant, _ in PLANTED.values()}


def test_no_check_has_a_name_that_is_not_in_the_list() -> None:
    """Each is in what the judge says of itself, and so has a planted mistake."""
    sources = "".join(file.read_text() for file in Path(judge.__file__).parent.glob("*.py"))
    raised = set(re.findall(r'(?:Violation\(|_until\([^"]*?)"([a-z-]+)"', sources))
    assert raised == {invariant for invariant, _ in PLANTED.values()}


@pytest.mark.parametrize("name", PLANTED)
def test_a_mistake_is_noticed(name: str) -> None:
    invariant, found_at = PLANTED[name]
    (mutant,) = [mutant for mutant in ALL if name in f"{mutant} {mutant.why}"]
    planted = edge(mutant)
    for seed in (found_at, *range(AT_MOST)):
        found = _violation(seed, planted)
        if found is not None and found.invariant == invariant:
            assert f"python -m tests.edge {seed}" in str(found)
            return
    pytest.fail(f"{AT_MOST} schedules without {invariant}")


def _violation(seed: int, planted: Edge) -> Violation | None:
    try:
        simulate(seed, planted)
    except Violation as violation:
        return violation
    return None


def test_a_failing_schedule_is_told_short() -> None:
    """What it takes is a session and one connection that is lost."""
    (mutant,) = [mutant for mutant in MUTANTS if mutant.old == "Resumed(up.asked)"]
    with pytest.raises(Violation, match=r"here with 0 of the \d+ things") as told:
        simulate(2, edge(mutant), short=True)
    assert "is told Resumed(asked=None)" in str(told.value)


def test_a_seed_always_gives_the_same_history() -> None:
    """In another process, too, where sets have another order; of the whole as well."""

    seeds = (3, 9)
    program = f"from tests.edge.run import history; print(*map(history, {seeds}))"
    run = [sys.executable, "-c", program]
    other = subprocess.run(
        run, env=os.environ | {"PYTHONHASHSEED": "1"}, check=True, capture_output=True, text=True
    )
    assert other.stdout.split() == [history(seed) for seed in seeds]


def test_passwords_get_into_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Also if what a server answers cannot be read: kazoo's own way logs the request then."""
    caplog.set_level(logging.DEBUG, "mwapp")
    schedule = Schedule(102)
    schedule.run()
    assert "this is not a ZooKeeper server" in caplog.text
    assert schedule.passwords
    for password in schedule.passwords.values():
        assert password.hex() not in caplog.text
        assert repr(password)[2:-1] not in caplog.text
