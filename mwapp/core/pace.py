"""Under load things go together: what was just done is done again a moment later, for what came meanwhile.

A transaction costs the ensemble about the same for one task as for many.
"""

from collections.abc import Callable
from functools import partial

from mwapp.core.session import Scope

# The moment, seconds. What comes alone never waits for it.
PACE = 0.01


class Pace:
    """Has something done: at once, or, if it just was, a moment later, once for all who ask until then.

    ``do`` returns whether there was anything to do: if not, the next need not wait.
    """

    def __init__(self, do: Callable[[], bool]) -> None:
        self._do = do
        self._done = float("-inf")  # when it last was, monotonic seconds
        self._due: Scope | None = None  # it will be, unless this ends

    def ask(self, scope: Scope) -> None:
        """Have it done, unless the scope ends before."""
        if self._due is scope:
            return
        wait = self._done + PACE - scope.now
        if wait > 0:
            self._due = scope
            scope.after(wait, partial(self._go, scope))
        else:
            self._go(scope)

    def _go(self, scope: Scope) -> None:
        self._due = None
        if self._do():
            self._done = scope.now
