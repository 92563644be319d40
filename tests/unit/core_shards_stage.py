"""A stage for shards: a master, workers with handlers that answer at once, and people, on an ensemble without
faults."""

from collections.abc import Callable, Iterable

from mwapp.core.election import Election
from mwapp.core.master import Master
from mwapp.core.messages import (
    CloseShard,
    Command,
    DemoteShard,
    OpenShard,
    PromoteShard,
    ShardSays,
)
from mwapp.core.shards.controller import Controller
from mwapp.core.shards.duty import Both
from mwapp.core.shards.holder import Holder
from mwapp.core.shards.protocol import SHARD_PARENTS, Record, Report, Table, decode_page
from mwapp.core.worker import Worker
from tests.unit.core_stage import Actor, Person, Stage

TWO = Table(4, 2, shared=False)


class ShardActor(Actor):
    """A worker whose handlers answer at once, unless told to be silent."""

    def __init__(self, stage: Stage, name: str, labels: tuple[str, ...] = ()) -> None:
        super().__init__(stage)
        self.name = name
        self.handlers: dict[int, OpenShard] = {}
        self.primaries: dict[int, int] = {}  # shard, generation
        self.told: list[Command] = []
        self.silent: set[type[Command]] = set()
        self.stays = False  # handlers do not die for now: they wait for a dead disk
        self._dying: list[int] = []
        self.failing: set[int] = set()  # shards whose handlers end as soon as they serve
        self.die_later = False  # its handlers: not when they are told
        self.address = ""  # of all its handlers
        self.copies_for_ever = False  # its replicas are never caught up
        self.worker = Worker(self.process, name, f"{name}:2224", labels=labels)
        self.holder = Holder(self.process, name, labels=labels)

    @property
    def shards(self) -> list[int]:
        """What it has."""
        return sorted(opened.shard for opened in self.handlers.values())

    def break_(self, shard: int) -> None:
        """The handler ends by itself."""
        run = next(run for run, opened in self.handlers.items() if opened.shard == shard)
        self._gone(run, "exit status 1")
        self._stage.settle()

    def let_go(self) -> None:
        """They die now."""
        self.stays = False
        for run in self._dying:
            self._gone(run)
        self._stage.settle()

    def _gone(self, run: int, reason: str | None = None) -> None:
        opened = self.handlers.pop(run, None)
        if opened is not None:
            self.primaries.pop(opened.shard, None)
            self.event(ShardSays(run, "closed", 0, reason))

    def _carry_out(self, command: Command) -> None:
        super()._carry_out(command)
        if not isinstance(command, OpenShard | PromoteShard | DemoteShard | CloseShard):
            return
        self.told.append(command)
        if isinstance(command, OpenShard):
            self.handlers[command.run] = command
        if type(command) in self.silent and not (isinstance(command, CloseShard) and not command.grace):
            return
        run = command.run
        if isinstance(command, CloseShard) and self.stays:
            self._dying.append(run)
            return
        if isinstance(command, CloseShard):
            if not self.die_later:
                self._stage.soon(lambda: self._gone(run))
            return
        for said in self._answers(command):
            says = ShardSays(run, said, command.generation, address=self.address)
            self._stage.soon(lambda says=says: self.event(says))  # type: ignore[misc]  # mypy infers no lambda with a default
        if isinstance(command, PromoteShard) and self.handlers[run].shard in self.failing:
            self._stage.soon(lambda: self._gone(run, "exit status 127"))

    def _answers(self, command: OpenShard | PromoteShard | DemoteShard) -> Iterable[str]:
        shard = self.handlers[command.run].shard
        if isinstance(command, PromoteShard):
            self.primaries[shard] = command.generation
            return ("serving",)
        self.primaries.pop(shard, None)
        if isinstance(command, DemoteShard) and command.to is not None:
            return ("released",)
        return ("open",) if self.copies_for_ever else ("open", "ready")


def new_master(stage: Stage, name: str = "m", wall: Callable[[], float] = lambda: 5.0) -> Actor:
    actor = Actor(stage)
    actor.master = Master(actor.process, wall=lambda: 5.0)
    both = Both(actor.master, Controller(actor.process, wall=wall))
    actor.election = Election(actor.process, name, f"{name}:2223", both)
    return actor.connect()


def new_workers(stage: Stage, *names: str) -> list[ShardActor]:
    workers = [ShardActor(stage, name) for name in names]
    for worker in workers:
        worker.connect()
    return workers


def new_table(stage: Stage, person: Person, table: Table, name: str = "t") -> None:
    for parent in SHARD_PARENTS:
        if stage.data(parent) is None:
            person.create(parent)
    person.create(f"/shards/{name}", table.encode().decode())
    stage.settle(1.0)


def records_of(stage: Stage, name: str = "t") -> dict[int, Record]:
    records: dict[int, Record] = {}
    for page in stage.children(f"/shards/{name}"):
        records |= decode_page((stage.data(f"/shards/{name}/{page}") or "").encode()) or {}
    return records


def owners_of(*workers: ShardActor) -> list[int]:
    return sorted(shard for worker in workers for shard in worker.primaries)


def make_parents(person: Person) -> None:
    """As access control lists make them, before there is any table."""
    for parent in SHARD_PARENTS:
        person.create(parent)


def report_of(stage: Stage, worker: str) -> Report:
    report = Report.decode((stage.data(f"/holders/{worker}") or "").encode())
    assert report is not None
    return report
