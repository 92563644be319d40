"""Who stands for election: one znode for each, which only people and `mwapp status` read. No decision depends
on it."""

from functools import partial
from typing import Any

from mwapp.core.layout import ensure_parents
from mwapp.core.messages import Create, Delete, Error, Failed, Op, Stat
from mwapp.core.protocol import candidate_path
from mwapp.core.session import AGAIN_SECONDS, Scope


def stand(scope: Scope, session: int, name: str, address: str) -> None:
    """Create the candidate's znode in ``/candidates``, and again whenever somebody has deleted it.

    Its name contains the session, so nobody else can have it, and after a lost reply it exists.
    """
    path = candidate_path(name, session)
    create = Create(path, address.encode(), ephemeral=True)

    def look() -> None:
        scope.exists(path, seen, watch=look)

    def seen(stat: Stat | None) -> None:
        if stat is None:
            scope.transact([create], created)
        elif stat.owner != session:  # made by hand, it would outlive us
            scope.transact([Delete(path), create], created)

    def created(result: tuple[Any, ...] | Failed) -> None:
        if isinstance(result, Failed) and result.error is not Error.NODE_EXISTS:  # /candidates is gone, say
            scope.after(AGAIN_SECONDS, partial(ensure_parents, scope, look))

    look()


def withdraw(scope: Scope, session: int, name: str) -> None:
    """Delete it while the session lives on. If that fails, it goes with the session."""
    ops: list[Op] = [Delete(candidate_path(name, session))]
    scope.transact(ops, lambda _: None)
