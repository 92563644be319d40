"""A plugin of pytest: tests that have noticed a mutant come first, then those that have the file's name.

Mistakes in one file are mostly noticed by the same few tests, which would otherwise come after hundreds.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

# The mutated file's name without its suffix, in the environment.
MUTATED = "MUTATED"
# Test ids, one a line, the last that noticed first; at the root of the copy in which the mutants are tried.
NOTICED = ".noticed"


# The files of so many of them are likely to notice the next.
LAST = 6


def first(tree: Path, mutated: str, files: Sequence[str]) -> list[str]:
    """Of the files those with the mutated one's name, and those with the tests that noticed last."""
    last = {test.partition("::")[0] for test in _noticed(tree / NOTICED)[:LAST]}
    return [file for file in files if file in last or mutated.strip("_") in Path(file).stem]


def _noticed(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.is_file() else []


class _Order:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._noticed = _noticed(file)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        place = {test: index for index, test in enumerate(self._noticed)}
        name = os.environ.get(MUTATED, "").strip("_")
        items.sort(key=lambda item: (place.get(item.nodeid, len(place)), name not in item.path.stem))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            others = [test for test in self._noticed if test != report.nodeid]
            self._file.write_text("\n".join([report.nodeid, *others]))


def pytest_configure(config: pytest.Config) -> None:
    """Used with ``-p tests.mutants.noticed_first``."""
    config.pluginmanager.register(_Order(config.rootpath / NOTICED))
