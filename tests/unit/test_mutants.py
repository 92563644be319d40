"""The lists of mutants fit the files they are about, and what tries them would tell if one lived."""

import sys
from pathlib import Path

import pytest

from tests.mutants.__main__ import sample
from tests.mutants.areas import Area, every
from tests.mutants.killers import Killer
from tests.mutants.mutant import DriftError, Mutant
from tests.mutants.run import RedError, Verdict, run

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("area", every(), ids=lambda area: area.name)
def test_every_entry_applies_and_makes_another_program(area: Area) -> None:
    drifted = []
    for mutant in area.mutants:
        try:
            mutant.text(ROOT)
        except DriftError as error:
            drifted.append(str(error))
    assert not drifted, "\n".join(drifted)
    assert len(set(area.mutants)) == len(area.mutants)
    assert area.mutants
    assert area.killers


def test_the_files_that_are_to_notice_them_are_there() -> None:
    words = {word for area in every() for killer in area.killers for word in killer.command}
    files = {word for word in words if word.endswith(".py")}
    assert files
    assert {file for file in files if not (ROOT / file).is_file()} == set()


def test_a_sample_is_of_all_lists_and_of_the_size_asked_for() -> None:
    areas = every()
    of_all = {mutant for area in areas for mutant in area.mutants}
    drawn = [area.mutants for area in sample(areas, len(of_all) // 2)]
    assert sum(map(len, drawn)) == len(of_all) // 2
    assert sum(map(bool, drawn)) > len(areas) / 2
    assert set().union(*drawn) < of_all
    assert sample(areas, 2 * len(of_all)) == list(areas)


SOURCE = """
def low(a):
    return a < 1

def lower(a):
    if a < 1:
        return True
    return a < 1

class Lowest:
    def a(self):
        return self.a

    def b(self):
        return self.a == 1
"""
CHECK = "from it import low; import sys; sys.exit('test_low: wrong' if low(1) or not low(0) else 0)"
KILLER = Killer("check", (sys.executable, "-c", CHECK), r"^(\w+): ")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "it.py").write_text(SOURCE)
    return tmp_path


def verdict(tree: Path, mutant: Mutant, killer: Killer = KILLER) -> Verdict:
    (verdict,) = run(tree, [Area("it", [mutant], [killer])], 1)
    assert (tree / "it.py").read_text() == SOURCE, "only a copy is changed"
    return verdict


@pytest.mark.processes
def test_what_is_noticed_is_killed_and_what_is_not_survives(tree: Path) -> None:
    noticed = verdict(tree, Mutant("it.py", "a < 1", "a < 2", "wrong", at="low"))
    assert (noticed.killer, noticed.reason, noticed.as_it_should) == ("check", "test_low", True)
    survives = verdict(tree, Mutant("it.py", "if a < 1", "if a < 2", "wrong"))
    assert (survives.killer, survives.as_it_should) == ("", False)
    assert verdict(tree, Mutant("it.py", "if a < 1", "if a < 0", equivalent="the same follows")).as_it_should
    false = Mutant("it.py", "a < 1", "a < 0", equivalent="it is said", at="low")
    assert not verdict(tree, false).as_it_should


@pytest.mark.processes
def test_one_after_the_other_of_the_same_size_is_tried_and_not_what_was_compiled_before(tree: Path) -> None:
    mutants = [Mutant("it.py", "a < 1", f"a < {n}", "wrong", at="low") for n in (2, 0, 9)]
    mutants.append(Mutant("it.py", "return True", "return None", "wrong"))
    verdicts = {verdict.mutant: verdict.killer for verdict in run(tree, [Area("it", mutants, [KILLER])], 2)}
    assert [verdicts[mutant] for mutant in mutants] == ["check", "check", "check", ""]


@pytest.mark.processes
def test_what_does_not_end_is_noticed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutants.run.SPARE", 1.0)
    endless = Mutant("it.py", "return a < 1", "__import__('time').sleep(99)", "wrong", at="low")
    assert "no end" in verdict(tree, endless).reason


@pytest.mark.processes
def test_a_killer_that_fails_without_a_mutant_kills_nothing(tree: Path) -> None:
    red = Killer("red", (sys.executable, "-c", "import sys; sys.exit('test_other: red')"), r"^(\w+): ")
    with pytest.raises(RedError, match="test_other"):
        verdict(tree, Mutant("it.py", "a < 1", "a < 2", "wrong", at="low"), red)


@pytest.mark.parametrize(
    ("mutant", "problem"),
    [
        (Mutant("it.py", "a < 1", "a < 2", "wrong"), "occurs 3 times"),
        (Mutant("it.py", "a < 1", "a < 2", "wrong", at="lower"), "occurs 2 times"),
        (Mutant("it.py", "a > 1", "a < 2", "wrong"), "occurs 0 times"),
        (Mutant("it.py", "a < 1", "a < 2", "wrong", at="lowest"), "lowest occurs 0 times"),
        (Mutant("it.py", "if a < 1:", "if a < 1", "wrong"), "no Python"),
        (Mutant("it.py", "return True\n", "return True", "wrong"), "no Python"),
        (Mutant("it.py", "return True", "return True  # so", "wrong"), "the same program"),
        (Mutant("it.py", "== 1", "== (1)", "wrong"), "the same program"),
        (Mutant("it.py", "    def a", "def a", "wrong"), "no Python"),
        (Mutant("it.py", "if a < 1", "if a < 2"), "needs a reason"),
        (Mutant("it.py", "if a < 1", "if a < 2", "wrong", equivalent="not wrong"), "needs a reason"),
        (Mutant("other.py", "a", "b", "wrong"), "no such file"),
    ],
)
def test_an_entry_that_does_not_fit_says_what_to_mend(tree: Path, mutant: Mutant, problem: str) -> None:
    with pytest.raises(DriftError, match=problem) as error:
        verdict(tree, mutant)
    assert mutant.file in str(error.value)
