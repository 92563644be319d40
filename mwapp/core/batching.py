"""Under load work is done in batches: the next run comes a moment later, for everything that came meanwhile.

A transaction costs the ensemble about the same for one task as for many. The more tasks it had, the longer
the wait, as long as nobody is idle meanwhile. So a lone task never waits, and a stream of tasks finds the
rhythm that it needs.
"""

from collections.abc import Callable
from functools import partial

from mwapp.core.session import Scope

# The wait for each task in the last batch that left others enough to do, and its least and greatest value,
# seconds.
EACH, LEAST, MOST = 0.002, 0.01, 0.05


class Batching:
    """Runs ``do`` at once; or, if it ran just now, a moment later, once for all who ask until then.

    ``do`` returns how many things the next run has to wait for; None if there was nothing to do, so it need
    not wait.
    """

    def __init__(self, do: Callable[[], int | None]) -> None:
        self._do = do
        self._not_before = float("-inf")  # monotonic seconds
        self._due: Scope | None = None  # a run is due, unless this ends

    def ask(self, scope: Scope) -> None:
        """Have it run, unless the scope ends before."""
        if self._due is scope:
            return
        wait = self._not_before - scope.now
        if wait > 0:
            self._due = scope
            scope.after(wait, partial(self._go, scope))
        else:
            self._go(scope)

    def _go(self, scope: Scope) -> None:
        self._due = None
        done = self._do()
        if done is not None:
            self._not_before = scope.now + min(MOST, max(LEAST, done * EACH))
