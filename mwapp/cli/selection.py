"""Tasks that are chosen by what they are, not by their names: the same options for several commands."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mwapp.cli.options import F, option
from mwapp.status.overview import TaskView


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen; nothing chosen is everything."""

    labels: frozenset[str]
    patterns: tuple[str, ...]

    @staticmethod
    def of(settings: dict[str, Any]) -> "Selection":
        """Takes its settings out of the command's."""
        return Selection(frozenset(settings.pop("with_label")), tuple(settings.pop("match")))

    def __bool__(self) -> bool:
        return bool(self.labels or self.patterns)

    def named(self, names: Iterable[str]) -> list[str]:
        """Those whose name fits. What else they are, only reading them tells."""
        return [
            name for name in names if not self.patterns or any(fnmatchcase(name, p) for p in self.patterns)
        ]

    def fits(self, view: TaskView) -> bool:
        """Whether it has what was chosen, apart from its name."""
        return self.labels <= set(view.labels)


def selection(function: F) -> F:
    """The options; the command gets a :class:`Selection` from its settings."""
    for decorate in (
        option(
            "--match",
            multiple=True,
            metavar="PATTERN",
            help="Only tasks whose name fits this pattern, such as 'nightly-*'. May be given several "
            "times: one has to fit.",
        ),
        option(
            "--label",
            key="with_label",
            multiple=True,
            metavar="LABEL",
            help="Only tasks that require this label. May be given several times: all are required.",
        ),
    ):
        function = decorate(function)
    return function
