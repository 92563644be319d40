"""Which workers hold which shards."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_core_shards_placement.py"),)

placement = partial(Mutant, "mwapp/core/shards/placement.py")
primaries = partial(Mutant, "mwapp/core/shards/primaries.py")

MUTANTS = [
    # ---------------------------------------------------------------- what cannot be honoured
    placement("if can < replicas:", "if can < replicas - 1:", "one replica too few is not said"),
    placement("elif values < replicas:", "elif values < replicas - 1:", "one place too few is not said"),
    placement('[(value, "") if value', "[(value, name) if value", "the label is overlooked"),
    placement('else ("", name)', 'else ("", "")', "without a label all workers are one place"),
    placement(
        "if not workers or replicas < 1:", "if replicas < 1:", "a table without workers stops its master"
    ),
    placement("if not workers or replicas < 1:", "if not workers:", "no replicas stop the master"),
    # ---------------------------------------------------------------- the same for all
    placement(
        '(crc32(f"{salt} {name}".encode()), name)',
        '(crc32(f"{name}".encode()), name)',
        "all small tables are on the same workers",
    ),
    placement(
        'sorted(workers, key=lambda name: (crc32(f"{salt} {name}".encode()), name))',
        "list(workers)",
        "who reads the workers in another order moves shards",
    ),
    placement(
        "shards = sorted(old)", "shards = list(old)", "who reads the shards in another order moves them"
    ),
    # ---------------------------------------------------------------- the spread
    placement("sum(min(n, s) for s in sizes)", "sum(sizes)", "few places have too few replicas, for ever"),
    placement("min(size, most - 1)", "0", "of two places one has no replica"),
    placement("size >= most for", "size > most for", "a place of one worker is left empty"),
    placement(
        "if not self._needed and set(held) == set(chosen):",
        "if set(held) == set(chosen):",
        "two places must have two replicas of three each, and have not",
    ),
    placement(
        "dict.fromkeys([*held, *self._needed, *chosen])",
        "dict.fromkeys([*held, *chosen])",
        "a place that must have one gets none",
    ),
    placement(
        "self._rows = [list(dict.fromkeys(row)) for row in living]",
        "self._rows = list(living)",
        "a worker named twice has two replicas",
    ),
    # ---------------------------------------------------------------- targets
    placement(
        "(-gain[domain], domain)",
        "(gain[domain], domain)",
        "rounding favours a place that has less: what was placed moves",
    ),
    placement(
        "(-self._load[worker], worker)",
        "(self._load[worker], worker)",
        "rounding favours a worker that has less: what was placed moves",
    ),
    # ---------------------------------------------------------------- primaries
    primaries(
        "self._able(number) or self._rows[number]",
        "self._rows[number]",
        "who has no data yet follows a primary",
    ),
    primaries("key=self._count.__getitem__", "key=int", "who follows a primary has too many"),
    primaries("        self._even_out(range(len(self._rows)))\n", "", "primaries that have gathered stay so"),
    primaries(
        "        self._pass_directly(ceiling, ceiling)\n        self._pass_directly(floor, floor)\n",
        "",
        equivalent="chains do it, more slowly",
    ),
    primaries("        self._pass_by_chains()\n", "", "primaries are uneven though others could help"),
    primaries("if count[other] < below:", "if True:", "primaries are passed to and fro"),
]
