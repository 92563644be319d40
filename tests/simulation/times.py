"""When a task may begin, and when it expires: the judge reckons itself, from what was asked and committed."""

from mwapp.core.session import DRIFT
from mwapp.core.task import Task

# A pause doubles until it is this long, seconds.
LONGEST_PAUSE = 600.0


class Times:
    """For every task: when it was submitted, and what it has to wait for. Times are the world's, seconds.

    ``right``: whether the wall clocks of masters are right. Otherwise delays and expiry may be anything.
    """

    def __init__(self) -> None:
        self.right = True
        self._submitted: dict[str, float] = {}
        self._paused: dict[str, float] = {}  # until then
        self._again: set[str] = set()
        self._taken: set[str] = set()  # tasks that some worker has had

    def begin(self, task: str, now: float) -> None:
        """It was created; it has nothing to do with an earlier task of its name."""
        self._submitted[task] = now
        self._paused.pop(task, None)
        self._again.discard(task)
        self._taken.discard(task)

    def again(self, task: str) -> None:
        """It had ended, and is to run again: at once."""
        self._again.add(task)
        self._paused.pop(task, None)

    def failed(self, task: str, asked: Task | None, failures: int, now: float) -> None:
        """A run failed and is to be repeated; that is its failure number ``failures``."""
        if asked is not None:
            pause = min(asked.retry_delay * 2 ** (failures - 1), max(asked.retry_delay, LONGEST_PAUSE))
            self._paused[task] = now + pause * (1 - DRIFT)

    def taken(self, task: str, asked: Task | None, now: float) -> str:
        """A worker gets it. Returns why it is too early; "" if it is not."""
        self._taken.add(task)
        if now < self._paused.get(task, 0.0):
            return f"it pauses until {self._paused[task]:.3f}"
        if asked is None or not self.right or task in self._again:
            return ""
        delay = (asked.delay or 0.0) * (1 - DRIFT)
        if now < self._submitted.get(task, now) + delay:
            return f"it was submitted at {self._submitted[task]:.3f}, with a delay of {asked.delay} s"
        if asked.not_before is not None and now < asked.not_before - DRIFT:
            return f"it is not to begin before {asked.not_before:.3f}"
        return ""

    def expired(self, task: str, asked: Task | None, now: float) -> str:
        """A master says that it has. Returns why it has not; "" if it has."""
        if asked is None or asked.expires is None:
            return "it does not expire"
        if task in self._taken | self._again:
            return "a worker had it, or was to have it"
        if self.right and now < self._submitted.get(task, now) + asked.expires * (1 - DRIFT):
            return f"it was submitted at {self._submitted[task]:.3f}, and expires after {asked.expires} s"
        return ""
