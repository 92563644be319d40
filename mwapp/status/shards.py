"""Tables of shards, as they are read: who has what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from mwapp.core.messages import Failed, Node
from mwapp.core.session import Scope
from mwapp.core.shards.protocol import (
    DRAINS,
    FAILED,
    HOLDERS,
    MOVES,
    SERVING,
    SYNC,
    TABLES,
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
)
from mwapp.status.overview import get_many

# States of a shard, for people, beside SERVING and FAILED.
VACANT, OPENING, HANDOVER = "vacant", "opening", "handover"
# A member that is not there.
GONE = "gone"


@dataclass(frozen=True, slots=True)
class TableView:
    """A table as it was read."""

    name: str
    asked: Table | None  # None: it is being deleted, or cannot be
    problem: str | None = None  # why it cannot be
    records: Mapping[int, Record] = field(default_factory=dict)

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

    def member(self, record: Record, name: str) -> str:
        """What a member is: sync, copy, back or gone."""
        return record.members[name].state if self.is_there(record, name) else GONE

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

    def _said(self, table: str, shard: int, record: Record, name: str) -> Saying | None:
        """What a member says last, if it is there."""
        return self.holders[name].shards.get((table, shard)) if self.is_there(record, name) else None

    def lacks(self, view: TableView, record: Record) -> bool:
        """Whether it has fewer replicas than wanted that are in sync."""
        there = sum(self.member(record, name) == SYNC for name in record.members)
        return view.asked is not None and there < view.asked.replicas

    def held_by(self, worker: str) -> int:
        """How many shards a worker has, or is to have."""
        return sum(
            worker in record.members for table in self.tables.values() for record in table.records.values()
        )


def read_shards(scope: Scope, then: Callable[[ShardsView], None], only: str | None = None) -> None:
    """Read all tables, or ``only`` that one. Holders are read last: so who is not there then is gone."""

    def listed(names: tuple[str, ...] | Failed) -> None:
        known = () if isinstance(names, Failed) else names
        chosen = sorted(name for name in known if only in (None, name))
        get_many(scope, [table_path(name) for name in chosen], partial(tables_read, chosen))

    def tables_read(names: list[str], nodes: list[Node | Failed]) -> None:
        found = {name: _table(name, n) for name, n in zip(names, nodes, strict=True) if isinstance(n, Node)}
        pages: dict[str, tuple[str, ...]] = {}

        def pages_listed(name: str, numbers: tuple[str, ...] | Failed) -> None:
            pages[name] = () if isinstance(numbers, Failed) else numbers
            if len(pages) == len(found):
                read_pages(found, pages)

        for name in found:
            scope.children(table_path(name), partial(pages_listed, name))
        if not found:
            read_pages(found, pages)

    def read_pages(found: dict[str, TableView], pages: dict[str, tuple[str, ...]]) -> None:
        at = [
            (name, int(number)) for name, numbers in pages.items() for number in numbers if number.isdecimal()
        ]

        def read(nodes: list[Node | Failed]) -> None:
            records: dict[str, dict[int, Record]] = {name: {} for name in found}
            for (name, _), node in zip(at, nodes, strict=True):
                records[name] |= (decode_page(node.data) if isinstance(node, Node) else None) or {}
            tables = {
                name: TableView(name, view.asked, view.problem, dict(sorted(records[name].items())))
                for name, view in found.items()
            }
            scope.children(HOLDERS, partial(holders_listed, tables))

        get_many(scope, [page_path(*one) for one in at], read)

    def holders_listed(tables: dict[str, TableView], names: tuple[str, ...] | Failed) -> None:
        known = () if isinstance(names, Failed) else names

        def read(nodes: list[Node | Failed]) -> None:
            reports = {
                name: report
                for name, node in zip(known, nodes, strict=True)
                if isinstance(node, Node) and (report := Report.decode(node.data)) is not None
            }
            scope.children(DRAINS, partial(drains_listed, tables, reports))

        get_many(scope, [holder_path(name) for name in known], read)

    def drains_listed(
        tables: dict[str, TableView], reports: dict[str, Report], names: tuple[str, ...] | Failed
    ) -> None:
        drained = frozenset(() if isinstance(names, Failed) else names)
        then(ShardsView(tables, reports, drained, moves))

    moves: frozenset[str] = frozenset()

    def moves_listed(names: tuple[str, ...] | Failed) -> None:
        nonlocal moves
        moves = frozenset(() if isinstance(names, Failed) else names)
        scope.children(TABLES, listed)

    scope.children(MOVES, moves_listed)  # first: the record of a move that is gone by then is read later


def _table(name: str, node: Node) -> TableView:
    try:
        return TableView(name, decode_table(node.data))
    except BadTableError as problem:
        return TableView(name, None, str(problem))
