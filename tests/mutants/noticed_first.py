"""A plugin of pytest: tests that have noticed a mutant come first, then those that have the file's name.

Mistakes in one file are mostly noticed by the same few tests, which would otherwise come after hundreds.
"""

import os
from pathlib import Path

import pytest

# The mutated file's name without its suffix, in the environment.
MUTATED = "MUTATED"
# Test ids, one a line, the last that noticed first; at the root of the copy in which the mutants are tried.
NOTICED = ".noticed"


class _Order:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._noticed = file.read_text().splitlines() if file.is_file() else []

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
