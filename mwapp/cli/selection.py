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
    submitters: tuple[str, ...]  # patterns, too

    @staticmethod
    def of(settings: dict[str, Any]) -> "Selection":
        """Takes its settings out of the command's."""
        labels, patterns = frozenset(settings.pop("with_label")), tuple(settings.pop("match"))
        return Selection(labels, patterns, tuple(settings.pop("from_submitter")))

    def __bool__(self) -> bool:
        return bool(self.patterns or self.reads)

    @property
    def reads(self) -> bool:
        """Whether only reading a task tells if it was chosen."""
        return bool(self.labels or self.submitters)

    def named(self, names: Iterable[str]) -> list[str]:
        """Those whose name fits. What else they are, only reading them tells."""
        return [name for name in names if _fits(name, self.patterns)]

    def fits(self, view: TaskView) -> bool:
        """Whether it has what was chosen, apart from its name."""
        return self.labels <= set(view.labels) and _fits(view.submitter or "", self.submitters)


def _fits(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)


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
        option(
            "--submitter",
            key="from_submitter",
            multiple=True,
            metavar="PATTERN",
            help="Only tasks whose submitter fits this pattern, such as 'alice@*'. May be given several "
            "times: one has to fit.",
        ),
    ):
        function = decorate(function)
    return function
