"""Tables of shards, as they are read: who has what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from mwapp.core.messages import Failed, Node
from mwapp.core.session import Scope
from mwapp.core.shards.placement import shortfall
from mwapp.core.shards.protocol import (
    DRAINS,
    FAILED,
    HOLDERS,
    IN_THE_WAY,
    MOVES,
    SERVING,
    SYNC,
    TABLES,
    UNREADABLE,
    BadTableError,
    Record,
    Report,
    Saying,
    Table,
    decode_page,
    decode_table,
    holder_path,
    page_path,
    table_path,
    unfit,
    value_of,
)
from mwapp.status.overview import get_many

# States of a shard, for people, beside SERVING and FAILED.
VACANT, OPENING, HANDOVER = "vacant", "opening", "handover"
# A member that is not there.
GONE = "gone"


class Member(NamedTuple):
    """A worker that has a shard."""

    # sync (it has everything), copy (it copies), back (it was in sync, and has come back), failed (its
    # handler could not be opened, has ended, or does not answer), or gone
    state: str
    address: str  # where clients reach its handler; empty: unknown


class ShardState(NamedTuple):
    """A shard: who has it."""

    shard: int
    state: str  # serving, opening, handover, failed or vacant (mwapp shards show --help)
    primary: str  # the worker that is its owner; empty: nobody
    generation: int  # the fencing token of that owner
    address: str  # where clients reach the owner; empty: unknown, or the owner is gone
    members: Mapping[str, Member]  # by worker; the owner is one of them
    since: int  # when the generation began, seconds since the Unix epoch; 0: unknown
    target: tuple[str, ...] | None  # who is to have it, the owner first; None: who has it


class TableState(NamedTuple):
    """A table: what is wanted, and what it lacks. What cannot be read is None."""

    table: str
    state: str  # active, deleting or unusable
    problem: str | None  # why it is unusable, or is not as asked for
    shards: int
    replicas: int | None
    spread: str | None
    handler: str | None
    command: str | None
    shared: bool | None
    grace: float | None  # seconds
    copies: int | None
    vacant: int  # shards without an owner that lives
    failed: int  # shards of which the handler of a worker has failed
    under_replicated: int  # shards with fewer replicas in sync than wanted
    moving: int  # shards that are to have other workers
    short: str | None  # what is asked for that the workers do not allow


@dataclass(frozen=True, slots=True)
class TableView:
    """A table as it was read."""

    name: str
    asked: Table | None  # None: it is being deleted, or cannot be
    problem: str | None = None  # why it cannot be
    records: Mapping[int, Record] = field(default_factory=dict)
    wrong: str | None = None  # what else is: a page, or settings that do not fit the records

    @property
    def trouble(self) -> str | None:
        """What a person has to set right."""
        return self.problem or self.wrong

    @property
    def deleting(self) -> bool:
        """Whether somebody has asked to delete it."""
        return self.asked is None and self.problem is None


@dataclass(frozen=True, slots=True)
class ShardsView:
    """The tables, and who is there to have shards."""

    tables: Mapping[str, TableView] = field(default_factory=dict)
    holders: Mapping[str, Report] = field(default_factory=dict)
    drained: frozenset[str] = frozenset()
    moves: frozenset[str] = frozenset()  # table:shard, which the master has not seen to yet

    def is_there(self, record: Record, name: str) -> bool:
        """Whether that member lives, and is the incarnation that has the shard."""
        report = self.holders.get(name)
        return report is not None and report.incarnation == record.incarnation(name)

    def member(self, table: str, shard: int, record: Record, name: str) -> str:
        """What a member is: sync, copy, back, failed or gone."""
        if not self.is_there(record, name):
            return GONE
        said = self._said(table, shard, record, name)
        return FAILED if said is not None and said[1] == FAILED else record.members[name].state

    def state(self, table: str, shard: int, record: Record) -> str:
        """What the shard is: serving, opening, handover, failed, or vacant if it has no owner that lives."""
        there = record.primary if self.is_there(record, record.primary) else ""
        said = {name: self._said(table, shard, record, name) for name in record.members}
        if any(it is not None and it[1] == FAILED for name, it in said.items() if there in (name, "")):
            return FAILED  # or has, under an earlier generation, and is not open again
        if not there:
            return VACANT
        if record.handover:
            return HANDOVER
        return SERVING if said[there] == (record.generation, SERVING) else OPENING

    def address(self, table: str, shard: int, record: Record, name: str) -> str:
        """Where clients reach the handler of a member; empty: it has told none, or is gone."""
        there = self.is_there(record, name)
        return self.holders[name].addresses.get((table, shard), "") if there else ""

    def _said(self, table: str, shard: int, record: Record, name: str) -> Saying | None:
        """What a member says last, if it is there."""
        return self.holders[name].shards.get((table, shard)) if self.is_there(record, name) else None

    def fails(self, table: str, shard: int, record: Record) -> bool:
        """Whether the handler of somebody who has it has failed."""
        return any(self.member(table, shard, record, name) == FAILED for name in record.members)

    def lacks(self, view: TableView, record: Record) -> bool:
        """Whether it has fewer replicas than wanted that are in sync."""
        there = sum(
            member.state == SYNC and self.is_there(record, name) for name, member in record.members.items()
        )
        return view.asked is not None and there < view.asked.replicas

    def short(self, view: TableView) -> str | None:
        """What it asks for that the workers that are there do not allow."""
        if view.asked is None:
            return None
        may = {
            name: value_of(view.asked.spread, report.labels)
            for name, report in self.holders.items()
            if not report.leaving and name not in self.drained
        }
        short = shortfall(may, view.asked.replicas, view.asked.spread)
        return None if short is None else short.why

    def held_by(self, worker: str) -> int:
        """How many shards a worker has, or is to have."""
        return sum(
            worker in record.members for table in self.tables.values() for record in table.records.values()
        )


def shard_states(view: ShardsView, table: TableView) -> list[ShardState]:
    """Of all of its shards, by their numbers. One that the master has not begun with has no record yet."""
    known = table.records
    wanted = known.keys() | range(table.asked.shards if table.asked is not None else 0)
    return [_shard_state(view, table.name, shard, known.get(shard, Record())) for shard in sorted(wanted)]


def _shard_state(view: ShardsView, table: str, shard: int, record: Record) -> ShardState:
    members = {
        name: Member(view.member(table, shard, record, name), view.address(table, shard, record, name))
        for name in record.members
    }
    address = members[record.primary].address if record.primary in members else ""
    state = view.state(table, shard, record)
    return ShardState(
        *(shard, state, record.primary, record.generation, address, members, record.since, record.target)
    )


def table_state(view: ShardsView, table: TableView) -> TableState:
    """What is wanted, and what it lacks. A shard without a record is vacant."""
    asked, records = table.asked, table.records
    states = [view.state(table.name, shard, record) for shard, record in records.items()]
    return TableState(
        table.name,
        "deleting" if table.deleting else "unusable" if asked is None else "active",
        table.trouble,
        asked.shards if asked is not None else len(records),
        asked.replicas if asked is not None else None,
        (asked.spread if asked is not None else None) or None,
        asked.handler if asked is not None else None,
        asked.command if asked is not None else None,
        asked.anyone if asked is not None else None,
        asked.grace if asked is not None else None,
        asked.copies if asked is not None else None,
        states.count(VACANT) + (max(0, asked.shards - len(records)) if asked is not None else 0),
        sum(view.fails(table.name, shard, record) for shard, record in records.items()),
        sum(view.lacks(table, record) for record in records.values()),
        sum(record.target is not None for record in records.values()),
        view.short(table),
    )


def read_shards(scope: Scope, then: Callable[[ShardsView], None], only: str | None = None) -> None:
    """Read all tables, or ``only`` that one. Holders are read last: so who is not there then is gone."""
    _Reading(scope, then, only).begin()


class _Reading:
    """Moves, tables, their pages, holders and drains, one after the other; a method for each answer.

    Moves are the first: the record of one that is gone by then is read later.
    """

    def __init__(self, scope: Scope, then: Callable[[ShardsView], None], only: str | None) -> None:
        self._scope, self._then, self._only = scope, then, only
        self._moves: frozenset[str] = frozenset()
        self._tables: dict[str, TableView] = {}
        self._below: dict[str, tuple[str, ...]] = {}  # by table, its pages, and what else is there
        self._reports: dict[str, Report] = {}

    def begin(self) -> None:
        self._scope.children(MOVES, self._moves_listed)

    def _moves_listed(self, names: tuple[str, ...] | Failed) -> None:
        self._moves = frozenset(_known(names))
        self._scope.children(TABLES, self._tables_listed)

    def _tables_listed(self, names: tuple[str, ...] | Failed) -> None:
        chosen = sorted(name for name in _known(names) if self._only in (None, name))
        get_many(self._scope, [table_path(name) for name in chosen], partial(self._tables_read, chosen))

    def _tables_read(self, names: list[str], nodes: list[Node | Failed]) -> None:
        found = zip(names, nodes, strict=True)
        self._tables = {name: _table(name, node) for name, node in found if isinstance(node, Node)}
        for name in self._tables:
            self._scope.children(table_path(name), partial(self._pages_listed, name))
        if not self._tables:
            self._read_pages()

    def _pages_listed(self, name: str, numbers: tuple[str, ...] | Failed) -> None:
        self._below[name] = _known(numbers)
        if len(self._below) == len(self._tables):
            self._read_pages()

    def _read_pages(self) -> None:
        at = [(name, int(n)) for name, numbers in self._below.items() for n in numbers if n.isdecimal()]
        get_many(self._scope, [page_path(*one) for one in at], partial(self._pages_read, at))

    def _pages_read(self, at: list[tuple[str, int]], nodes: list[Node | Failed]) -> None:
        read: dict[str, dict[int, Node]] = {name: {} for name in self._tables}
        for (name, page), node in zip(at, nodes, strict=True):
            if isinstance(node, Node):
                read[name][page] = node
        odd = {name for name, numbers in self._below.items() if any(not it.isdecimal() for it in numbers)}
        self._tables = {
            name: _with_pages(view, read[name], name in odd) for name, view in self._tables.items()
        }
        self._scope.children(HOLDERS, self._holders_listed)

    def _holders_listed(self, names: tuple[str, ...] | Failed) -> None:
        known = _known(names)
        get_many(self._scope, [holder_path(name) for name in known], partial(self._holders_read, known))

    def _holders_read(self, names: tuple[str, ...], nodes: list[Node | Failed]) -> None:
        self._reports = {
            name: report
            for name, node in zip(names, nodes, strict=True)
            if isinstance(node, Node) and (report := Report.decode(node.data)) is not None
        }
        self._scope.children(DRAINS, self._drains_listed)

    def _drains_listed(self, names: tuple[str, ...] | Failed) -> None:
        self._then(ShardsView(self._tables, self._reports, frozenset(_known(names)), self._moves))


def _known(names: tuple[str, ...] | Failed) -> tuple[str, ...]:
    return () if isinstance(names, Failed) else names


def _with_pages(view: TableView, nodes: Mapping[int, Node], odd: bool) -> TableView:
    """``odd``: whether the table has other znodes below it."""
    pages = {number: decode_page(node.data) for number, node in sorted(nodes.items())}
    spoilt = [page_path(view.name, number) for number, page in pages.items() if page is None]
    wrong = f"{spoilt[0]} {UNREADABLE}" if spoilt else None
    if view.deleting and wrong is None:
        there = [page_path(view.name, number) for number, node in sorted(nodes.items()) if node.stat.children]
        there += [table_path(view.name)] if odd else []
        wrong = f"{there[0]} {IN_THE_WAY}" if there else None
    elif view.asked is not None and wrong is None:
        wrong = unfit(view.asked, {number: page or () for number, page in pages.items()})
    records = {shard: record for page in pages.values() for shard, record in (page or {}).items()}
    return replace(view, records=dict(sorted(records.items())), wrong=wrong)


def _table(name: str, node: Node) -> TableView:
    try:
        return TableView(name, decode_table(name, node.data))
    except BadTableError as problem:
        return TableView(name, None, str(problem))
