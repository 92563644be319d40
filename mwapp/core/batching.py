"""Under load things go together: what was just done is done again a moment later, for what came meanwhile.

A transaction costs the ensemble about the same for one task as for many. The more it had, the longer the
moment, as long as nobody stands idle for it: what comes alone never waits, and a stream of tasks finds the
rhythm that it needs.
"""

from collections.abc import Callable
from functools import partial

from mwapp.core.session import Scope

# The moment for each thing that was done and has left as much work at hand, and what it is at least and at
# most, seconds.
EACH, LEAST, MOST = 0.002, 0.01, 0.05


class Batching:
    """Has something done: at once, or, if it just was, a moment later, once for all who ask until then.

    ``do`` returns for how many things the next is to wait; None if there was nothing to do: then it need not.
    """

    def __init__(self, do: Callable[[], int | None]) -> None:
        self._do = do
        self._not_before = float("-inf")  # monotonic seconds
        self._due: Scope | None = None  # it will be, unless this ends

    def ask(self, scope: Scope) -> None:
        """Have it done, unless the scope ends before."""
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
