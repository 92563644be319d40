"""The model holds; it would not if a protection were missing; and it comes to what matters."""

from pathlib import Path

import pytest

from tests.model.bounds import BOUNDS, Bounds, visit
from tests.model.checker import CheckError, Finding, check

# Every planted bug of docs/model/protocol.pml: what it breaks, and how many events that takes.
BUGS = {
    "FENCING": ("no-stale-write", 1),
    "INCARNATION_ASSIGN": ("no-assign-to-absent-incarnation", 1),
    "INCARNATION_RECORD": ("status-from-holder", 2),
    "TORN": ("status-from-holder", 0),
    "DOUBLING": ("single-assignment", 1),
    "RELENTLESS": ("attempts-bounded", 2),
    "CREDULOUS": ("status-from-holder", 2),
    "UNSYNCED_WORKER": ("status-from-holder", 2),
    "UNSYNCED_MASTER": ("single-assignment", 1),
    "UNSYNCED_CLIENT": ("submit-idempotent", 1),
    "FORGETFUL": ("submit-idempotent", 1),
    "HASTY": ("submit-idempotent", 1),
    "MERCILESS": ("no-zombie-run", 1),
    "CARELESS": ("master-steps-down", 1),
    "ATTEMPTS": ("attempts-bounded", 2),
    "OUT_OF_ORDER": ("single-assignment", 1),
    "IDLE": ("assign-liveness", 1),
}
OF_PEERS = {"BUSY": ("peer-rests", 0)}
OF_RUNS_ON_REQUEST = {"HEEDLESS": ("asked-once", 2)}
OF_DEPOSITIONS = {"DEAF": ("deposed-only-if-silent", 1)}
ALL_BUGS = BUGS | OF_PEERS | OF_RUNS_ON_REQUEST | OF_DEPOSITIONS
ENDLESS = {"SILENT": 1}
# Every scene, and how many events it takes.
SCENES = {
    "DONE_AT_THE_SECOND": 1,
    "ELECTION_MEANWHILE": 2,
    "STALE_WRITE_REFUSED": 1,
    "ANOTHER_INCARNATION": 1,
    "RETURNED_MOVES_ON": 1,
    "RUN_CANCELLED": 1,
    "WAITING_CANCELLED": 1,
    "GIVEN_UP": 2,
    "RUNS_TWICE": 1,
    "FOUND_AGAIN": 1,
    "RECORDED_UNTOLD": 1,
}
SCENES_OF_PEERS = {"RESTS_AND_FINISHES": 1}
SCENES_OF_RUNS_ON_REQUEST = {"RAN_AGAIN": 1}
SCENES_OF_DEPOSITIONS = {"DEPOSED": 1}
ALL_SCENES = SCENES | SCENES_OF_PEERS | SCENES_OF_RUNS_ON_REQUEST | SCENES_OF_DEPOSITIONS


@pytest.mark.parametrize("bounds", BOUNDS[1], ids=str)
def test_every_invariant_holds(bounds: Bounds) -> None:
    finding = visit(bounds)
    assert finding.broken is None, "\n".join(finding.story)
    if bounds == BOUNDS[1][0]:
        assert not finding.never, "steps that no history takes"


@pytest.mark.parametrize("bug", ALL_BUGS)
def test_a_planted_bug_is_found(bug: str, tmp_path: Path) -> None:
    breaks, events = ALL_BUGS[bug]
    finding = _one_task(tmp_path, events, BUG=bug)
    assert finding.broken == breaks, "\n".join(finding.story)


@pytest.mark.parametrize("bug", ENDLESS)
def test_what_goes_on_for_ever_is_found(bug: str, tmp_path: Path) -> None:
    finding = check(tmp_path, Bounds(tasks=1, events=ENDLESS[bug]).defines | {"BUG": bug}, loops=True)
    assert finding.broken == "endless"


@pytest.mark.parametrize("scene", ALL_SCENES)
def test_it_comes_to_what_matters(scene: str, tmp_path: Path) -> None:
    finding = _one_task(tmp_path, ALL_SCENES[scene], SCENE=scene)
    assert finding.met
    assert finding.broken is None


def test_what_is_found_is_told_in_plain_words(tmp_path: Path) -> None:
    story = _one_task(tmp_path, 1, BUG="FENCING").story
    assert story[-1] == "m1 assigns task 1 to w1, incarnation 1"
    assert "somebody deletes /master" in story
    assert "    - it leads: epoch 2" in story
    assert not [line for line in story if "proc" in line or "spin" in line]


def test_a_search_that_was_cut_short_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.model.checker.DEEPEST", 20)
    with pytest.raises(CheckError, match="not every state"):
        check(tmp_path, Bounds(tasks=1, events=0).defines)


def test_without_spin_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckError, match="scripts/bootstrap --tests"):
        check(tmp_path, {})


def _one_task(where: Path, events: int, **defines: str) -> Finding:
    """With the shortest story: a master reads in one step, unless what is planted is in how it reads."""
    what = set(defines.values())
    bounds = Bounds(
        tasks=1,
        events=events,
        peers=bool(what & {*OF_PEERS, *SCENES_OF_PEERS}),
        whole="OUT_OF_ORDER" not in what,
        again=bool(what & {*OF_RUNS_ON_REQUEST, *SCENES_OF_RUNS_ON_REQUEST}),
        depositions=bool(what & {*OF_DEPOSITIONS, *SCENES_OF_DEPOSITIONS}),
    )
    return check(where, bounds.defines | defines, shortest=True)
