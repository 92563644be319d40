"""What the master knows of shards, kept up to date by reads that leave a watch.

    /shards, each table, its pages  -> tables: what is wanted, and who has what
    /holders, each holder           -> holders: who is there, and what they say
    /moves, /drains                 -> moves, drains: what people ask for

Pages are read before holders: so whoever a page names and is no holder then was one, and is gone.
"""

import logging
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from mwapp.core.messages import Failed, Node, Stat
from mwapp.core.protocol import MASTER, Registration, assign_path
from mwapp.core.session import AGAIN_SECONDS, REFUSED, Callback, Scope
from mwapp.core.shards.protocol import (
    DRAINS,
    HOLDERS,
    MOVES,
    TABLES,
    BadTableError,
    Record,
    Report,
    Table,
    decode_page,
    decode_table,
    holder_path,
    page_path,
    table_path,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Page:
    """The records of some shards."""

    version: int | None  # None: it is to be created
    records: dict[int, Record]
    changed: bool = False  # other than stored: it has targets that are to be written
    spoilt: bool = False  # a person has written it, and it has none


@dataclass(slots=True)
class KnownTable:
    """A table, as it was read or written last."""

    version: int = -1
    floor: int = 0  # generations of new records are greater
    asked: Table | None = None  # the last that can be; None: it is to be deleted, or we have seen none
    read: bool = False
    problem: str = ""  # why what the znode says now cannot be
    unfit: str | None = None  # why what it says cannot be, with the records that there are
    stuck: str = ""  # why it cannot be deleted
    pages: dict[int, Page] = field(default_factory=dict)
    planned_for: tuple[object, ...] = ()  # for which workers and settings its targets are
    wanted: Set[str] = frozenset()  # workers that have or are to have some of it

    def records(self) -> Iterator[tuple[int, Record]]:
        """All of them, with their shards."""
        for _, page in sorted(self.pages.items()):
            yield from page.records.items()


class Move(NamedTuple):
    """What a person asks for in a znode of /moves, as it was read last."""

    said: str
    version: int
    czxid: int


class View:
    """One reading, which ends with its ``scope``. ``changed`` is called when something may be due,
    ``missing``
    if a znode that must be there is not."""

    def __init__(self, scope: Scope, *, floors: dict[str, int], changed: Callback, missing: Callback) -> None:
        """``floors``: the highest generation of each table that was seen or given before; it is kept up to
        date."""
        self._scope, self._floors, self._changed, self._missing = scope, floors, changed, missing
        self._least = 0  # generations that earlier masters have given are not greater
        self.complete = False
        self.tables: dict[str, KnownTable] = {}
        self.holders: dict[str, Report] = {}
        self.labels: dict[str, tuple[str, ...]] = {}  # of all workers that hold or have held something
        self.moves: dict[str, Move] = {}  # by their znodes
        self.drains: set[str] = set()
        self._held: set[str] = set()  # names in /holders
        self._asked: set[str] = set()  # and in /moves

    def read(self) -> None:
        """Read everything, and keep watching."""

        def then() -> None:
            self._look_at_holders(partial(self._look_at_moves, partial(self._look_at_drains, self._all_read)))

        def elected(stat: Stat | None) -> None:
            """A generation grows by one in a transaction, so it is not above that one's zxid."""
            self._least = 0 if stat is None else stat.czxid
            self._look_at_tables(then)

        self._scope.exists(MASTER, elected)

    def _all_read(self) -> None:
        self._read_labels(self._completed)

    def _completed(self) -> None:
        self.complete = True
        self._changed()

    def _tell(self, then: Callback | None) -> None:
        if then is not None:
            then()
        elif self.complete:
            self._changed()

    # ------------------------------------------------------------ tables

    def _look_at_tables(self, then: Callback | None = None) -> None:
        self._scope.children(TABLES, partial(self._tables_seen, then), watch=self._look_at_tables)

    def _tables_seen(self, then: Callback | None, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._missing()
            return
        for name in [name for name in self.tables if name not in names]:
            del self.tables[name]
        new = sorted(set(names) - self.tables.keys())
        waiting = set(new)

        def read(name: str) -> None:
            waiting.discard(name)
            if not waiting:
                self._tell(then)

        for name in new:
            self.tables[name] = KnownTable()
            self._look_at_table(name, partial(self._list_pages, name, partial(read, name)))
        if not new:
            self._tell(then)

    def _look_at_table(self, name: str, then: Callback | None = None) -> None:
        again = partial(self._look_at_table, name)
        self._scope.get(table_path(name), partial(self._table_seen, name, then), watch=again)

    def _table_seen(self, name: str, then: Callback | None, node: Node | Failed) -> None:
        table = self.tables.get(name)
        if table is not None and isinstance(node, Node):
            known = self._floors.get(name, 0)
            table.floor = max(table.floor, node.stat.czxid, self._least, known)
            table.version = node.stat.version
            table.read = True
            try:
                table.asked, table.problem = decode_table(name, node.data), ""
            except BadTableError as problem:
                table.problem = str(problem)
                log.error("table %s: %s", name, problem)
        elif isinstance(node, Failed):
            self.tables.pop(name, None)
        self._tell(then)

    def _list_pages(self, name: str, then: Callback) -> None:
        self._scope.children(table_path(name), partial(self._pages_listed, name, then))

    def _pages_listed(self, name: str, then: Callback, names: tuple[str, ...] | Failed) -> None:
        pages = () if isinstance(names, Failed) else names
        numbers = sorted(int(page) for page in pages if page.isascii() and page.isdigit())
        waiting = set(numbers)

        def read(number: int) -> None:
            waiting.discard(number)
            if not waiting:
                then()

        for number in numbers:
            self.look_at_page(name, number, partial(read, number))
        if not numbers:
            then()

    def look_at_page(self, name: str, number: int, then: Callback | None = None) -> None:
        """Read it, and watch it: who creates a page looks at it, too."""
        again = partial(self.look_at_page, name, number)
        self._scope.get(page_path(name, number), partial(self._page_seen, name, number, then), watch=again)

    def _page_seen(self, name: str, number: int, then: Callback | None, node: Node | Failed) -> None:
        """Whoever waits for it hears, also if its table is gone by now, or if it was read twice."""
        if self._note_page(name, number, node) or then is not None:
            self._tell(then)

    def _note_page(self, name: str, number: int, node: Node | Failed) -> bool:
        """Whether it is news. What we have written ourselves we know: our watch is answered after the
        transaction."""
        table = self.tables.get(name)
        if table is None:
            return False
        known = table.pages.get(number)
        if isinstance(node, Failed):
            self._page_gone(name, table, number)
        elif known is None or known.version != node.stat.version:
            records = decode_page(node.data)
            if records is None:
                log.error("%s is no page of records: mend it, or delete it", page_path(name, number))
            table.pages[number] = Page(node.stat.version, records or {}, spoilt=records is None)
            table.planned_for = ()
            self._note_floor(name, table, known)
        else:
            return False
        return True

    def _page_gone(self, name: str, table: KnownTable, number: int) -> None:
        """A person has deleted it: it will be made anew, and no generation repeats."""
        self._note_floor(name, table, table.pages.pop(number, None))
        table.planned_for = ()

    def _note_floor(self, name: str, table: KnownTable, page: Page | None) -> None:
        seen = [record.generation for record in page.records.values()] if page is not None else []
        table.floor = self._floors[name] = max([table.floor, self._floors.get(name, 0), *seen])

    def note_given(self, name: str, records: Mapping[int, Record]) -> None:
        """Generations that are about to be stored: if the reply is lost, a person may delete them unseen."""
        given = [record.generation for record in records.values()]
        self._floors[name] = max([self._floors.get(name, 0), *given])

    def note_floors(self) -> None:
        """Before everything is read anew: a person may delete a page meanwhile."""
        for name, table in self.tables.items():
            for page in table.pages.values():
                self._note_floor(name, table, page)

    # ------------------------------------------------------------ holders

    def _look_at_holders(self, then: Callback | None = None) -> None:
        self._scope.children(HOLDERS, partial(self._holders_seen, then), watch=self._look_at_holders)

    def _holders_seen(self, then: Callback | None, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._missing()
            return
        for name in self._held - set(names):
            self.holders.pop(name, None)
        new = sorted(set(names) - self._held)
        self._held = set(names)
        waiting = set(new)

        def read(name: str) -> None:
            waiting.discard(name)
            if not waiting:
                self._tell(then)

        for name in new:
            self._look_at_holder(name, partial(read, name))
        if not new:
            self._tell(then)
        elif then is None and self.complete:
            self._changed()  # somebody may have gone: that does not wait for who has come

    def _look_at_holder(self, name: str, then: Callback | None = None) -> None:
        again = partial(self._look_at_holder, name)
        self._scope.get(holder_path(name), partial(self._holder_seen, name, then), watch=again)

    def _holder_seen(self, name: str, then: Callback | None, node: Node | Failed) -> None:
        report = Report.decode(node.data) if isinstance(node, Node) and node.stat.owner else None
        if report is not None:
            self.holders[name], self.labels[name] = report, report.labels
        else:
            self.holders.pop(name, None)
        if isinstance(node, Failed):
            self._held.discard(name)  # it may come again, and is new then
        self._tell(then)

    def _read_labels(self, then: Callback) -> None:
        """Of those that are gone; they may come back."""
        named = {
            name for table in self.tables.values() for _, record in table.records() for name in record.wanted
        }
        names = sorted(named - self.labels.keys())

        def read(nodes: list[Node | Failed]) -> None:
            for name, node in zip(names, nodes, strict=True):
                registered = Registration.decode(node.data) if isinstance(node, Node) else None
                self.labels[name] = registered.labels if registered is not None else ()
            then()

        self._scope.get_all([assign_path(name) for name in names], read)

    # ------------------------------------------------------------ what people ask for

    def _look_at_moves(self, then: Callback | None = None) -> None:
        self._scope.children(MOVES, partial(self._moves_seen, then), watch=self._look_at_moves)

    def _moves_seen(self, then: Callback | None, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._missing()
            return
        self.moves = {name: move for name, move in self.moves.items() if name in names}
        new = sorted(set(names) - self._asked)
        self._asked = set(names)

        def read(nodes: list[Node | Failed]) -> None:
            for name, node in zip(new, nodes, strict=True):
                if isinstance(node, Node):
                    self._look_at_move(name)
                else:
                    self._asked.discard(name)
                if node == REFUSED:  # that must not keep us from all else
                    self._scope.after(AGAIN_SECONDS, self._look_at_moves)
            self._tell(then)

        paths = [f"{MOVES}/{name}" for name in new]
        self._scope.get_all(paths, read)

    def _look_at_move(self, name: str) -> None:
        """And watch it: a person may say something else, or make another of that name."""
        again = partial(self._look_at_move, name)
        self._scope.get(f"{MOVES}/{name}", partial(self._move_seen, name), watch=again)

    def _move_seen(self, name: str, node: Node | Failed) -> None:
        if isinstance(node, Node):
            said = node.data.decode(errors="replace").strip()
            self.moves[name] = Move(said, node.stat.version, node.stat.czxid)
        else:
            self.moves.pop(name, None)
            self._asked.discard(name)
        self._tell(None)

    def _look_at_drains(self, then: Callback | None = None) -> None:
        self._scope.children(DRAINS, partial(self._drains_seen, then), watch=self._look_at_drains)

    def _drains_seen(self, then: Callback | None, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._missing()
            return
        self.drains = set(names)
        self._tell(then)
