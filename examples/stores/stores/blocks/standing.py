"""What a replica is now: whom it obeys, and, if it is the primary, who must have what it acknowledges."""

import threading
from collections.abc import Mapping

from mwapp.handlers import Term
from stores.rpc import RefusedError


class Standing:
    """For all threads. A lock makes each answer one moment; whatever is slow happens between two of them.

    A primary asks :meth:`missing` last of all. If that is nobody, the block is acknowledged in that moment:
    under that generation, and with everybody who must have it then.
    """

    def __init__(self, worker: str, least: int) -> None:
        """``least``: how many replicas must be in sync, itself included, for anything to be acknowledged."""
        self._worker, self._least = worker, least
        self._lock = threading.Lock()
        self._generation = 0  # that it was told
        self._seen = 0  # the greatest that it was told, or that anybody has written with
        self._primary = False
        self._must: set[str] = set()  # in sync
        self._joining: dict[str, int] = {}  # they copy, and get what is new meanwhile; in which attempt
        self._attempts: dict[str, int] = {}  # the last one of each under this generation

    def be(self, term: Term, *, primary: bool) -> None:
        """What it was told: to be a primary once for each generation. Of a copy it is not known any more that
        it had joined: it has to do so anew."""
        in_sync = {name for name, state in term.members.items() if state == "sync"} - {self._worker}
        with self._lock:
            self._must, self._joining, self._attempts = in_sync, {}, {}
            self._generation, self._primary = term.generation, primary
            self._seen = max(self._seen, term.generation)

    def obey(self, generation: int) -> int:
        """Of a write by the primary of that generation: the greatest that we have seen. If that is greater,
        the write counts for nothing."""
        with self._lock:
            self._seen = max(self._seen, generation)
            return self._seen

    def overtaken(self, generation: int) -> None:
        """Somebody has seen that one: we acknowledge nothing under a smaller one."""
        self.obey(generation)

    def missing(self, have: Mapping[str, int]) -> tuple[int, set[str]]:
        """The generation, and who must have a block and has not got it under this generation.

        Raises RefusedError: this is not the primary, or so it seems; or too few are in sync.
        """
        with self._lock:
            if not self._primary:
                raise RefusedError("this replica is not the primary")
            if self._seen > self._generation:
                raise RefusedError("this primary has been replaced, or will have another generation soon")
            if 1 + len(self._must) < self._least:
                raise RefusedError(f"{1 + len(self._must)} of {self._least} replicas are in sync")
            wanted = self._must | self._joining.keys()
            return self._generation, {name for name in wanted if have.get(name) != self._generation}

    def join(self, worker: str, generation: int, attempt: int) -> None:
        """From now on it gets all new blocks. Raises RefusedError, also if it has made a later attempt: a
        request that comes late would hide that it has missed a block since."""
        with self._lock:
            self._check(generation)
            if attempt <= self._attempts.get(worker, 0):
                raise RefusedError(f"{worker} has made another attempt to join")
            self._attempts[worker] = attempt
            if worker not in self._must:
                self._joining[worker] = attempt

    def joined(self, worker: str, generation: int, attempt: int) -> None:
        """It has the old ones, too: nothing is acknowledged without it. Raises RefusedError."""
        with self._lock:
            self._check(generation)
            if worker not in self._must and self._joining.get(worker) != attempt:
                raise RefusedError(f"{worker} has missed a block: it has to join again")
            self._joining.pop(worker, None)
            self._must.add(worker)

    def missed(self, worker: str) -> None:
        """It did not take a block. If it is only joining, it begins again, and nobody waits for it."""
        with self._lock:
            self._joining.pop(worker, None)

    def _check(self, generation: int) -> None:
        if not self._primary or self._generation != generation or self._seen > generation:
            raise RefusedError(f"this is not the primary of generation {generation}")
