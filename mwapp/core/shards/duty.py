"""The elected one has two duties: tasks and shards."""

from typing import Any

from mwapp.core.election import Duty
from mwapp.core.session import Callback


class Both:
    """A :class:`~mwapp.core.election.Duty` made of two, which know nothing of each other."""

    def __init__(self, first: Duty, second: Duty) -> None:
        self._duties = first, second

    def begin(self, epoch: int, fenced: Callback) -> None:
        """Begin with the first."""
        for duty in self._duties:
            duty.begin(epoch, fenced)

    def end(self) -> None:
        """Of both."""
        for duty in self._duties:
            duty.end()

    def status(self) -> dict[str, Any]:
        """What both say."""
        first, second = (duty.status() for duty in self._duties)
        return first | second
