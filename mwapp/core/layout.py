"""Create the parents that every role relies on; the first process does it."""

from functools import partial

from mwapp.core.messages import Create
from mwapp.core.protocol import PARENTS
from mwapp.core.session import Callback, Scope


def ensure_parents(scope: Scope, then: Callback) -> None:
    """Create what is missing of :data:`PARENTS`, then call ``then``.

    Each in a separate transaction: another process may be doing the same, and NODE_EXISTS is success.
    """

    def look(names: object) -> None:
        missing = [path for path in PARENTS if not isinstance(names, tuple) or path[1:] not in names]
        if not missing:
            then()
            return
        waiting = set(missing)

        def made(path: str, _: object) -> None:
            waiting.discard(path)
            if not waiting:
                then()

        for path in missing:
            scope.transact([Create(path)], partial(made, path))

    scope.children("/", look)
