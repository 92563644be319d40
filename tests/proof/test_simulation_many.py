"""Many schedules in processes: whatever a schedule does to its process, its seed is told."""

import math
import os
import signal
import time
from collections import Counter
from functools import partial
from itertools import count, pairwise
from pathlib import Path

import pytest

from mwapp.core.limits import Limits
from mwapp.core.messages import Command, Event
from mwapp.core.session import Process
from tests.simulation import many, world
from tests.simulation.schedule import Bug, Schedule
from tests.simulation.world import Violation


class Endless(Process):
    """Does not come to an end."""

    def handle(self, now: float, event: Event) -> list[Command]:  # noqa: ARG002 - as it is called
        while True:
            pass


class Deaf(Process):
    """Does not come to an end, and cannot be told to."""

    def handle(self, now: float, event: Event) -> list[Command]:
        try:
            while True:
                pass
        except Violation:
            return self.handle(now, event)


class Dying(Process):
    """Whose limits are drawn so has its process killed."""

    def __init__(self, limits: Limits) -> None:
        if limits.batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(limits)


def run(bug: Bug, seeds: range) -> int:
    return many.run(many.with_bug(bug), [seeds], math.inf, jobs=2)


@pytest.mark.parametrize(("process", "said"), [(Endless, "no-hang"), (Deaf, "was killed")])
def test_a_schedule_that_does_not_end_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], process: type[Process], said: str
) -> None:
    monkeypatch.setattr(world, "LONGEST", 0.05)
    assert run(Bug(process), range(7, 9)) == 1
    told = capsys.readouterr().out
    assert said in told
    assert "python -m tests.simulation 7\n" in told
    assert "1 failed" in told


def test_a_schedule_whose_process_is_killed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    dies = (Schedule(seed).limits.batch == 1 for seed in count())
    first = next(seed for seed, (one, next_one) in enumerate(pairwise(dies), 1) if next_one and not one)
    assert run(Bug(Dying), range(first - 1, first + 1)) == 1
    told = capsys.readouterr().out
    assert "was killed" in told
    assert f"python -m tests.simulation {first}\n" in told


def test_a_commit_has_the_same_seeds_everywhere_and_another_one_others() -> None:
    first, second = (many.number_of(name) for name in ("5801d0ee50", "77927ac14f"))
    assert first == many.number_of("5801d0ee50")
    assert abs(first - second) > 10**9
    assert min(first, second) >= 10**12


def test_without_a_commit_each_run_has_seeds_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert many.commit() == many.commit()
    monkeypatch.setattr(many, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert many.commit() != many.commit()


@pytest.mark.parametrize("number", [0, 3, 9, 10, 25])
def test_a_run_with_little_time_begins_anywhere_and_leaves_nothing_out(number: int) -> None:
    first, second = many.turned(range(100, 110), number)
    assert [*first, *second] == [*range(100 + number % 10, 110), *range(100, 100 + number % 10)]


LIMIT = 0.2  # of processor time, seconds


def lasts(waits: float, _seed: int) -> Counter[str]:
    """As a schedule that alone needs all the time that there is; and waits, which costs none."""
    time.sleep(waits)
    until = time.process_time() + LIMIT
    while time.process_time() < until:
        pass
    return Counter()


@pytest.mark.parametrize(("least", "status"), [(2, 0), (3, 1)])
def test_too_few_schedules_prove_nothing(
    least: int, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two are begun at once; time is up after the first."""
    monkeypatch.setattr(many, "CHUNK", 1)
    kind = many.Kind(partial(lasts, 0.0), str)
    assert many.run(kind, [range(4)], LIMIT, jobs=1, least=least) == status
    told = capsys.readouterr().out
    assert "2 schedules in" in told
    assert "every invariant held until time was up" in told
    assert ("fewer than 3, too few to prove anything: give it more time" in told) == bool(status)


def test_a_machine_that_is_busy_otherwise_tries_as_many(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "CHUNK", 1)
    kind = many.Kind(partial(lasts, LIMIT), str)
    assert many.run(kind, [range(4)], 3.5 * LIMIT, jobs=1, least=4) == 0
    assert "4 schedules in" in capsys.readouterr().out
