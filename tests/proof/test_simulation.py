"""A short run of the simulation, and whether it would notice what it is there for."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mwapp.core.messages import Check, Event, Reply, Transaction
from tests.simulation.bugs import BUGS
from tests.simulation.denials import TurnedAway
from tests.simulation.run import carry_out, history, quiet, simulate
from tests.simulation.schedule import Bug
from tests.simulation.service import Connection, Service
from tests.simulation.world import Violation, World

SCHEDULES = 40
# A planted bug that so many schedules do not bring to light would be overlooked.
AT_MOST = 1000
# Where one that few schedules bring to light, or slow ones, is found now, tried first. Should it change, the
# search is only slower, and the new number belongs here.
FOUND_AT = {
    "transaction before reading": 520,
    "fencing": 107,
    "proof that was reported": 51,
    "what may not be read is not absent": 12,
    "proof of life": 87,
    "session kept for what dies": 25,
    "assignment known by its creation": 3913,
    "margin before the deadline": 54,
    "time to begin": 213,
    "labels": 4,
    "who lives on": 44,
    "clock that counts sleep": 9,
    "watch on one's own znode": 5,
    "request to cancel that is gone": 1243,
    "rest of who is not shown others": 108,
    "search that is cut off": 68,
    "close that is acknowledged": 72,
    "watch on leadership": 38,
    "silence that is noticed": 38,
    "depositions that are counted": 14,
    "status and result of one end": 32,
    "records that are tried again": 15,
    "names that are taken": 12,
    "ends that are over": 19,
    "request to cancel that it has outlived": 137,
    "room that there is": 19,
    "numbers that are left": 20,
    "names need no numbers": 20,
    "refusals of others": 11,
    "results that may be read": 11,
    "secret values that are there": 17,
    "removals that are possible": 39,
    "incarnation when assigning": 72,
    "incarnation when completing": 8,
    "kill at session's end": 8,
    "numbers that are taken": 11,
    "request that was turned away": 5,
    "clock that nobody sets": 15,
    "task that is none": 12,
    "assignment that is gone": 10,
    "request that makes no sense": 10,
}


@pytest.fixture(scope="module", autouse=True)
def among_many() -> Iterator[None]:
    undo = quiet()
    yield
    undo()


def test_every_invariant_holds() -> None:
    met: set[str] = set()
    by_hand: set[str] = set()
    errors: set[str] = set()
    moved = deposed = 0
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        figures = simulate(seed, short=True)
        met |= figures.faults.keys()
        by_hand |= figures.hands.keys()
        errors |= figures.errors.keys()
        moved += figures.epochs > 1
        deposed += figures.depositions
        seen.update(returned=figures.returned, cancelled=figures.cancelled, removed=figures.removed)
    assert len(met) == 17, f"not every kind of fault was met: {sorted(met)}"
    assert len(by_hand) >= 5, f"hardly anybody worked by hand: {sorted(by_hand)}"
    assert len(errors) >= 2, f"hardly any other errors were met: {sorted(errors)}"
    assert moved > SCHEDULES / 4, "leadership hardly ever moved"
    assert deposed > SCHEDULES / 20, "hardly anybody was deposed"
    assert min(seen.values()) > SCHEDULES / 4, f"hardly ever met: {seen}"


def test_every_invariant_has_a_planted_bug() -> None:
    """One that must break that invariant alone: a check that nothing has ever broken may be one that cannot
    fail."""
    page = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
    (table,) = re.findall(r"^## What holds at every zxid$(.*?)^### ", page, re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    names = {name for row in rows for name in re.findall(r"`([a-z]+(?:-[a-z]+)*)`", row[0])}
    names = names - {"assign-liveness"} | {"liveness"}  # as its row says
    assert len(names) > 30
    # The simulation has more names: of what no page promises, and of what must not happen to itself.
    names |= {"no-crash", "chroot-kept", "numbers-bounded"}
    # Among others a bug may break any of them, and perhaps always the same one.
    alone = [invariants for _, invariants in BUGS.values() if len(invariants) == 1]
    assert names <= set().union(*alone)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(bug: str) -> None:
    planted, invariants = BUGS[bug]
    for seed in (FOUND_AT.get(bug, 0), *range(AT_MOST)):
        found = _violation(seed, planted)
        if found is not None and found.invariant in invariants:
            assert f"python -m tests.simulation {seed}" in str(found)
            return
    pytest.fail(f"{AT_MOST} schedules without {' or '.join(invariants)}")


def test_a_failing_schedule_is_told_short() -> None:
    planted, _ = BUGS["labels"]
    found = (_violation(seed, planted, short=True) for seed in range(FOUND_AT["labels"], AT_MOST))
    told = next(str(violation) for violation in found if violation is not None)
    left, of = map(int, re.findall(r"with (\d+) of the (\d+) things", told)[0])
    assert left < of * 3 / 4
    assert " assigns task-" in told
    assert "Request(" not in told


def test_a_failing_schedule_is_told_in_plain_words() -> None:
    planted, _ = BUGS["bounded retries"]
    told = next(str(found) for found in (_violation(s, planted) for s in range(AT_MOST)) if found is not None)
    assert " hands task-" in told


class _Once:
    """Fails the first time only."""

    times = 0

    def __init__(self, _without: frozenset[int]) -> None:
        self.world = World(1)

    def run(self) -> None:
        _Once.times += 1
        if _Once.times == 1:
            raise Violation("liveness", "it stands still")


def test_a_failure_that_does_not_come_again_is_told_as_that() -> None:
    with pytest.raises(Violation, match="it stands still\nonce, and not a second time; repeat with: x"):
        carry_out(_Once, lambda _: [], "repeat with: x", short=True)


class _Caller:
    """Keeps what it receives."""

    name = "caller"

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.replies: list[int] = []

    def told(self, connection: Connection | None, _over: bool) -> None:
        self.connection = connection

    def received(self, _connection: Connection, event: Event | TurnedAway, _seen: int) -> None:
        if isinstance(event, Reply):
            self.replies.append(event.request)

    def lost(self, _connection: Connection) -> None:
        self.replies.append(-1)


def test_a_connection_keeps_its_order_however_long_it_stalls() -> None:
    world = World(1)
    service = Service(world, lambda _: None, slow=0.0, tick=1.0)
    caller = _Caller()
    service.dial(caller, None, 4.0, 0, caller.told)
    world.run(0.02)
    connection = caller.connection
    assert connection is not None
    for number in range(300):
        world.after(number / 1000, partial(service.send, connection, number, Transaction((Check("/"),))))
    world.after(0.1, lambda: connection.stall(0.9, up=False))
    world.after(0.6, service.drop_all)
    world.run(2.0)
    assert caller.replies == [*range(300), -1]


def _violation(seed: int, planted: Bug, *, short: bool = False) -> Violation | None:
    try:
        simulate(seed, planted, short=short)
    except Violation as violation:
        return violation
    return None


def test_a_seed_always_gives_the_same_history() -> None:
    """In another process, too, where sets have another order."""

    seeds = (3, 4, 5)
    program = f"from tests.simulation.run import history; print(*map(history, {seeds}))"
    run = [sys.executable, "-c", program]
    other = subprocess.run(
        run, env=os.environ | {"PYTHONHASHSEED": "1"}, check=True, capture_output=True, text=True
    )
    assert other.stdout.split() == [history(seed) for seed in seeds]
