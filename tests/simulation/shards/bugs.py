"""Planted bugs: each takes one protection of shards away. The judge must notice."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import ClassVar

from mwapp.core.messages import (
    Check,
    CloseShard,
    Command,
    Error,
    Event,
    Failed,
    Op,
    Reply,
    Set,
    ShardSays,
    Stat,
    Transaction,
)
from mwapp.core.protocol import EPOCH
from mwapp.core.session import Process
from mwapp.core.shards.controller import Controller
from mwapp.core.shards.handler import Handler
from mwapp.core.shards.holder import Holder
from mwapp.core.shards.protocol import COPY, FAILED, READY, RELEASED, SYNC, Record, Table
from mwapp.core.shards.steps import Situation, _Step
from mwapp.core.shards.view import KnownTable
from tests.simulation.bugs import Careless
from tests.simulation.rewriting import Rewriting
from tests.simulation.shards.schedule import Bug

COPIES = Table(5, 3, handler="copies", shared=False, grace=0.5, page=4)
SHARED = Table(9, handler="shared", shared=True, grace=3.0)


class Unfenced(Rewriting):
    """A master writes pages in any epoch, and over any version."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if by_master and isinstance(op, Check) and op.path == EPOCH:
            return replace(op, version=-1)
        page = isinstance(op, Set) and op.path.startswith("/shards/")
        return replace(op, version=-1) if by_master and isinstance(op, Set) and page else op


class Merciless(Process):
    """Handlers outlive the session."""

    def handle(self, now: float, event: Event) -> list[Command]:
        commands = super().handle(now, event)
        return [c for c in commands if not (isinstance(c, CloseShard) and self.session is None)]


class _Impatient(_Step):
    def _says(self, name: str, word: str) -> bool:
        return word == RELEASED or super()._says(name, word)


class _Gullible(_Step):
    def _says(self, name: str, word: str) -> bool:
        return (word == READY and self._lives(name)) or super()._says(name, word)


class _Anyone(_Step):
    def _in_sync(self) -> set[str]:
        return {name for name in self._up if self._state(name) in (SYNC, COPY)}


class _Stuck(_Step):
    """The generation stays."""

    def next(self) -> Record:
        return replace(super().next(), generation=max(1, self._record.generation))


class _Blind(_Step):
    """A replica that is lost remains a member."""

    def _note_losses(self) -> bool:
        return False


class _Stepping(Controller):
    """A master that steps like this."""

    step: ClassVar[type[_Step]] = _Step

    def _next(self, record: Record, situation: Situation) -> Record:
        return self.step(record, situation).next()


class Impatient(_Stepping):
    """It gives a shard to its next owner before the last has released it."""

    step = _Impatient


class Gullible(_Stepping):
    """It makes a primary of whoever is ready."""

    step = _Gullible


class Anyone(_Stepping):
    """It makes a primary of whoever has a copy."""

    step = _Anyone


class Stuck(_Stepping):
    """It leaves the generation as it is."""

    step = _Stuck


class Blind(_Stepping):
    """It keeps a replica that is lost."""

    step = _Blind


class Uncaring(Controller):
    """A master that knows no label."""

    def _eligible(self, table: Table, wanted: Collection[str] = ()) -> dict[str, str]:
        return dict.fromkeys(super()._eligible(table, wanted), "")


class Hasty(Controller):
    """A master for which a shard is lost if nobody is there who is to have it, and which gives some of each
    table to everybody who is away for a moment."""

    def _is_lost(self, record: Record) -> bool:
        return not any(name in self._view.holders for name in record.wanted)

    def _eligible(self, table: Table, wanted: Collection[str] = ()) -> dict[str, str]:
        return super()._eligible(table, wanted and self._missing_since)


class Greedy(Controller):
    """A master that has everything copied at once."""

    def _next(self, record: Record, situation: Situation) -> Record:
        return super()._next(record, replace(situation, may_copy=lambda _: True))


class Unchecked(Controller):
    """A master that does not check who is there."""

    def _workers(self, changes: object) -> Iterator[Op]:  # noqa: ARG002 - it checks nobody
        return iter(())


class Content(Controller):
    """A master that plans once."""

    def _plan(self, name: str, known: KnownTable) -> None:
        if known.asked is None or not any(record.members for _, record in known.records()):
            super()._plan(name, known)


class Ungrateful(Controller):
    """A master that has a table deleted while somebody has its shards."""

    def _next(self, record: Record, situation: Situation) -> Record:
        if record.target == () and record.members:
            return Record(record.generation + 1, target=())
        return super()._next(record, situation)


class Silent(Holder):
    """A worker that does not say that a handler has failed."""

    def _say(self, key: tuple[str, int], saying: tuple[int, str]) -> None:
        if saying[1] != FAILED:
            super()._say(key, saying)


class Fond(Holder):
    """A worker that tells the first address of each shard for ever."""

    def _heard(self, key: tuple[str, int], handler: Handler, event: ShardSays) -> None:
        first: dict[tuple[str, int], str] = vars(self).setdefault("first", {})
        if event.address:
            event = replace(event, address=first.setdefault(key, event.address))
        super()._heard(key, handler, event)


class Forgetful(Controller):
    """A master that forgets the generations of its last term."""

    def end(self) -> None:
        super().end()
        self._floors.clear()


class Trusting(Holder):
    """A worker that only looks whether its znode is there, not whether it says what it has said."""

    def _verified(self, stat: Stat | None) -> None:
        super()._verified(stat if stat is None else replace(stat, version=self._version))


class Gloomy(Controller):
    """A master for which no primary is at work."""

    def _serves(self, at: tuple[str, int], record: Record) -> bool:  # noqa: ARG002 - it looks at nothing
        return False


class Hopeful(Process):
    """A client for which a transaction without a reply is done."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.result == Failed(Error.CONNECTION_LOSS):
            asked = self._pending.get(event.request)
            if asked is not None and isinstance(asked.operation, Transaction):
                event = Reply(event.request, ())
        return super().handle(now, event)


# Each bug, and the invariants of which one must break.
BUGS: dict[str, tuple[Bug, set[str]]] = {
    "fencing": (Bug(Unfenced, faults=("freeze", "unseat", "stall")), {"one-owner-per-generation"}),
    "own deadline": (Bug(Careless, faults=("freeze", "isolate")), {"no-write-of-stale-owner"}),
    "kill at session's end": (Bug(Merciless, faults=("freeze", "suspend")), {"no-write-of-stale-owner"}),
    "release before the successor": (Bug(controller=Impatient), {"no-write-of-stale-owner"}),
    "ready before in sync": (Bug(controller=Gullible, tables=(COPIES,)), {"primary-caught-up"}),
    "only who is in sync": (Bug(controller=Anyone, tables=(COPIES,)), {"primary-caught-up"}),
    "generation of each owner": (Bug(controller=Stuck), {"one-owner-per-generation"}),
    "loss of a replica": (Bug(controller=Blind, tables=(COPIES,)), {"shard-liveness"}),
    "spread": (
        Bug(controller=Uncaring, tables=(replace(COPIES, spread="zone", replicas=2),)),
        {"spread-honoured"},
    ),
    "copies at a time": (Bug(controller=Greedy, tables=(replace(COPIES, copies=1),)), {"moves-bounded"}),
    "plan once for who is lost": (
        Bug(controller=Hasty, faults=("crash",), tables=(SHARED, replace(COPIES, grace=3.0))),
        {"moves-bounded"},
    ),
    "who is there": (Bug(controller=Unchecked), {"replicas-distinct"}),
    "plan again": (Bug(controller=Content), {"balanced-in-the-end", "shard-liveness"}),
    "deletion when released": (
        Bug(controller=Ungrateful),
        {"no-write-of-stale-owner", "one-owner-per-generation"},
    ),
    "failure that is told": (Bug(holder=Silent, trouble=0.1), {"shard-liveness"}),
    "address of who is there now": (Bug(holder=Fond), {"shard-liveness"}),
    "generations of an earlier term": (
        Bug(controller=Forgetful, faults=("cut", "crash", "lose_page")),
        {"one-owner-per-generation"},
    ),
    "what a person says for a worker": (
        Bug(holder=Trusting, faults=("spoil_holder",)),
        {"shard-liveness", "balanced-in-the-end"},
    ),
    "what people are told": (Bug(controller=Gloomy), {"shard-liveness"}),
    "reply that is lost": (Bug(client=Hopeful, faults=("cut", "stall")), {"asked-is-done"}),
}
