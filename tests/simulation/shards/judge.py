"""What must hold of shards, by name: docs/shards.md has the table."""

from collections import Counter
from collections.abc import Iterator, Mapping

from mwapp.core.shards.protocol import (
    COPY,
    FAILED,
    BadTableError,
    Member,
    Record,
    Report,
    Table,
    decode_page,
    decode_table,
    holder_path,
    value_of,
)
from tests.simulation.ensemble import SimEnsemble, Transacted
from tests.simulation.shards.handlers import Fleet, Handler, Key
from tests.simulation.shards.past import Past
from tests.simulation.tree import Changed, Created, Deleted
from tests.simulation.world import Violation

# A host that has just gone on may act for so long before its process has handled anything, seconds.
AWAKENING = 0.05
# A worker whose znode in /holders a person has deleted, set or made has noticed it after so many seconds: it
# looks every five (VERIFY_SECONDS), at a server that may lag, over a connection that may be silent.
NOTICES = 5.0 + 8.0
# A page with n shards is written (n + 1) times that often, while nobody comes, goes, fails or asks for
# something. It was 4.7 at most in 300 schedules.
MOST_WRITES = 20


class Judge:
    """Hears of every commit and of what handlers do. Raises Violation."""

    def __init__(self) -> None:
        self.ensemble: SimEnsemble
        self.fleet: Fleet
        self.killed: set[int] = set()  # sessions that somebody ended
        self.records: dict[Key, Record] = {}
        self.tables: dict[str, Table | None] = {}
        self.past = Past()
        self.hand = -1  # the session of the person who works by hand
        self.written: dict[Key, set[int]] = {}
        self.evicted: set[str] = set()  # workers whose registration somebody has deleted
        self.counts: Counter[str] = Counter()
        self._troubles: dict[str, object] = {}  # of each holder: what there is reason to act on
        # Of each page, since anybody came, went, failed or asked for something.
        self._writes: Counter[tuple[str, str]] = Counter()
        self._owners: dict[tuple[Key, int], tuple[str, int | None]] = {}  # as committed
        self._highest: dict[Key, int] = {}  # generation, of all tables of that name
        self._buried: dict[Key, int] = {}  # the last generation of a table or a page that was deleted
        self._lost: dict[Key, int] = {}  # the same of a page that a person has deleted under its owners
        self._struck: dict[str, float] = {}  # when a person has last been at a worker's znode in /holders
        self._pages: dict[tuple[str, str], set[Key]] = {}
        self._unread: set[Key] = set()  # shards of pages that a person has spoilt: nobody acts on them
        self._now = 0.0
        self._promoted: dict[tuple[Key, int], Handler] = {}
        self._latest: dict[Key, int] = {}  # the highest generation under which somebody was promoted
        self._fence: dict[Key, int] = {}  # what the store of shared data has seen

    # ------------------------------------------------------------ what is committed

    def committed(self, entry: Transacted) -> None:
        """Every transaction that changes something."""
        self._now = entry.time
        by_hand = entry.session == self.hand
        for change in entry.changes:
            self.past.note(entry.time, change)
        self._note_reasons(entry, by_hand)
        if not any(change.path.startswith("/shards/") for change in entry.changes):
            return
        before = dict(self.records)
        for change in entry.changes:
            match change.path.strip("/").split("/"), change:
                case ["shards", table], Created() | Changed():
                    self._table(table, change.data)
                case ["shards", table], Deleted():
                    self.tables.pop(table, None)
                case ["shards", table, page], Created() | Changed() if page.isdigit():
                    self._page(table, page, change.data, by_hand)
                    self._no_spin(table, page, change.data)
                case ["shards", table, page], Deleted() if page.isdigit() and by_hand:
                    self._lose(table, page)
                case ["shards", table, page], Deleted() if page.isdigit():
                    self._gone(table)
                case _:
                    pass
        if self.records != before:
            self._bounded(before)

    def _note_reasons(self, entry: Transacted, by_hand: bool) -> None:
        """Somebody comes, goes or fails, leads, or asks for something: there is reason to write pages."""
        for change in entry.changes:
            match change.path.strip("/").split("/"), change:
                case ["holders", name], _ if by_hand:
                    self._struck[name] = entry.time
                    news = True
                case ["holders", name], Created() | Changed():
                    troubles = _troubles(Report.decode(change.data))
                    news = troubles != self._troubles.get(name, ())
                    self._troubles[name] = troubles
                case ["holders", name], Deleted():
                    news = self._troubles.pop(name, None) is not None
                case ["shards", _], _:
                    news = True
                case [("epoch" | "moves" | "drains"), *_], _:
                    news = True
                case ["shards", *_], _:
                    news = by_hand
                case _:
                    news = False
            if news:
                self._writes.clear()

    def _no_spin(self, table: str, page: str, data: bytes) -> None:
        """A page is written so often as its shards have steps to take, and then no more before somebody comes
        or goes."""
        self._writes[table, page] += 1
        if self._writes[table, page] > MOST_WRITES * (1 + len(decode_page(data) or ())):
            raise Violation(
                "moves-bounded",
                f"/shards/{table}/{page} is written again and again, and nobody comes or goes",
            )

    def _table(self, name: str, data: bytes) -> None:
        try:
            self.tables[name] = decode_table(name, data)
        except BadTableError:
            self.tables.pop(name, None)
            return
        table = self.tables[name]
        if table is not None and table.anyone:  # if that has changed, nothing is known of its data
            for key in [key for key in self.written if key[0] == name]:
                del self.written[key]

    def _gone(self, name: str) -> None:
        """The table is deleted: nobody may have anything of it."""
        for key in [key for key in self.records if key[0] == name]:
            if self.records[key].members:
                raise Violation("one-owner-per-generation", f"{key} is deleted while somebody has it")
            self._buried[key] = self.records.pop(key).generation
            self.written.pop(key, None)
        self._pages = {page: keys for page, keys in self._pages.items() if page[0] != name}

    def _lose(self, name: str, page: str) -> None:
        """A person has deleted a page under those who have its shards: they begin anew. What its owners still
        write belongs to nothing."""
        for key in self._pages.pop((name, page), set()) & self.records.keys():
            self._buried[key] = self._lost[key] = self.records.pop(key).generation
            self.written.pop(key, None)
            self._unread.discard(key)

    def _page(self, name: str, page: str, data: bytes, by_hand: bool) -> None:
        records = decode_page(data)
        had = self._pages.setdefault((name, page), set())
        if records is None:
            if not by_hand:
                raise Violation("no-crash", f"a page of {name} is none: {data!r}")
            self._unread |= had
            return
        self._unread -= had
        had.update((name, shard) for shard in records)
        for shard, record in records.items():
            self._record((name, shard), self.records.get((name, shard)), record)
            self.records[name, shard] = record

    def _record(self, key: Key, old: Record | None, new: Record) -> None:
        if new.generation < self._highest.get(key, 0):
            raise Violation(
                "one-owner-per-generation", f"{key}: the generation has fallen to {new.generation}"
            )
        self._highest[key] = new.generation
        owner = new.primary, new.incarnation(new.primary)
        if new.primary and self._owners.setdefault((key, new.generation), owner) != owner:
            raise Violation(
                "one-owner-per-generation", f"{key}: generation {new.generation} has two: {owner}"
            )
        was = {} if old is None else old.members
        if old is not None and old.generation == new.generation and _who(old) != _who(new):
            raise Violation(
                "one-owner-per-generation", f"{key}: other members, and no other generation: {new}"
            )
        wanted = new.target or ()
        if len(set(wanted)) < len(wanted):
            raise Violation("replicas-distinct", f"{key} is to be twice on one worker: {wanted}")
        nodes = self.ensemble.decided.nodes
        for name, member in new.members.items():
            if name in was and was[name].incarnation == member.incarnation:
                continue
            queue, holder = nodes.get(f"/assign/{name}"), holder_path(name)
            if queue is None or queue.version != member.incarnation or holder not in nodes:
                raise Violation("replicas-distinct", f"{key}: {name}/{member.incarnation} is not there")
        if old is not None and old.primary not in ("", new.primary):
            self._replaced(key, old.primary)
        if old is not None:
            self.counts["moves"] += len(new.members.keys() - was.keys())
            self.counts["promotions"] += "" != new.primary != old.primary
            self.counts["handovers"] += old.handover and new.primary != old.primary

    def _replaced(self, key: Key, worker: str) -> None:
        """A primary that lives has released the shard, or its handler is gone."""
        handler = self.fleet.hosts[worker].handlers.get(key)
        holder = self.ensemble.decided.nodes.get(holder_path(worker))
        if self._was_struck(worker):
            return
        if handler is not None and handler.acting and holder is not None and holder.owner == handler.session:
            raise Violation(
                "no-write-of-stale-owner", f"{key}: {worker} acts, and is not the primary any more"
            )

    def _was_struck(self, worker: str, now: float = 0.0) -> bool:
        """Whether others may have what it has, and it does not know yet."""
        struck = self._struck.get(worker)
        return struck is not None and max(now, self._now) < struck + NOTICES

    def _copies(self, table: str, worker: str, incarnation: int) -> int:
        """How many shards of the table it copies, as far as the master can know."""
        return sum(
            key[0] == table
            and key not in self._unread
            and record.members.get(worker) == Member(incarnation, COPY)
            for key, record in self.records.items()
        )

    def _bounded(self, before: Mapping[Key, Record]) -> None:
        """Nobody is given more to copy at a time than the table says. Who has failed copies again at once."""
        given: Counter[tuple[str, str, int]] = Counter()
        for key, record in self.records.items():
            was = before.get(key)
            if was is None or was is record:
                continue
            for name, member in record.members.items():
                if member.state == COPY and was.incarnation(name) != member.incarnation:
                    given[key[0], name, member.incarnation] += 1
        after, self.records = self.records, dict(before)
        for (table, name, incarnation), number in given.items():
            asked, had = self.tables.get(table), self._copies(table, name, incarnation)
            if asked is not None and had + number > asked.copies:
                raise Violation(
                    "moves-bounded", f"{name} copies {had} shards of {table}, and is given {number} more"
                )
        self.records = after

    # ------------------------------------------------------------ what handlers do

    def promoted(self, handler: Handler) -> None:
        """It acts as the primary."""
        key, generation = handler.key, handler.generation
        first = self._promoted.setdefault((key, generation), handler)
        if first is not handler:
            raise Violation(
                "one-owner-per-generation",
                f"{key}: {handler.host.name} and {first.host.name} are primary in generation {generation}",
            )
        self.counts["promoted"] += 1
        self._latest[key] = max(self._latest.get(key, 0), generation)
        self._fence[key] = max(self._fence.get(key, 0), generation)
        self._has_all(handler)

    def _has_all(self, handler: Handler) -> None:
        missing = self.written.get(handler.key, set()) - handler.data if handler.copies else set()
        record = self.records.get(handler.key)
        if missing and record is not None and record.generation == handler.generation:
            raise Violation(
                "primary-caught-up",
                f"{handler.key}: {handler.host.name} is primary without the writes {sorted(missing)}",
            )

    def writes(self, handler: Handler) -> None:
        """Nobody may who has a successor. One on a host that has just gone on, or of whose session, znode in
        /holders or page a person has made an end, may try, and is refused."""
        key, host = handler.key, handler.host
        if handler.generation >= self._latest.get(key, 0):
            self.counts["writes"] += 1
            return
        by_hand = handler.session in self.killed or self._was_struck(host.name, handler.fleet.world.now)
        by_hand |= handler.generation <= self._lost.get(key, -1)
        if host.awake and host.awake_for > AWAKENING and not by_hand:
            raise Violation(
                "no-write-of-stale-owner",
                f"{key}: {host.name} writes in generation {handler.generation}, after {self._latest[key]}",
            )
        self.counts["stale writes refused"] += 1

    def acknowledged(self, handler: Handler, write: int) -> None:
        """A client has heard that it is written; perhaps by somebody who has slept through the table's
        end."""
        if handler.generation <= self._buried.get(handler.key, -1):
            return
        if handler.generation < self._latest.get(handler.key, 0):
            raise Violation(
                "no-write-of-stale-owner", f"{handler.key}: a write of {handler.host.name} is taken"
            )
        self.written.setdefault(handler.key, set()).add(write)

    # ------------------------------------------------------------ in the end

    def unsettled(
        self, there: Mapping[str, tuple[str, ...]], acting: Mapping[Key, list[str]]
    ) -> Iterator[str]:
        """What is not as it should be, now that everybody is there. ``there``: the workers, with their
        labels."""
        for name, table in sorted(self.tables.items()):
            if table is None:
                yield f"{name} is not deleted"
                continue
            replicas = min(table.replicas, len(there))
            for shard in range(table.shards):
                key = name, shard
                record = self.records.get(key)
                if record is None:
                    yield f"{key} has no record"
                elif acting.get(key, []) != [record.primary]:
                    yield f"{key}: {acting.get(key)} act as primary, and {record.primary} is to"
                elif record.target is not None or len(record.members) != replicas:
                    yield f"{key} is on its way: {record}"

    def final(self, there: Mapping[str, tuple[str, ...]], moved_by_hand: set[str]) -> None:
        """Everything is settled: it must be even, and spread."""
        for name, table in sorted(self.tables.items()):
            if table is None:
                continue
            values = {worker: value_of(table.spread, labels) or worker for worker, labels in there.items()}
            replicas: Counter[str] = Counter(dict.fromkeys(there, 0))
            primaries: Counter[str] = Counter(dict.fromkeys(there, 0))
            for shard in range(table.shards):
                record = self.records[name, shard]
                replicas.update(list(record.members))
                primaries[record.primary] += 1
                distinct = len({values[worker] for worker in record.members})
                if distinct < min(len(record.members), len(set(values.values()))):
                    raise Violation("spread-honoured", f"{(name, shard)}: {record.members} with {values}")
            if name in moved_by_hand:
                continue
            if not table.spread and _spread(replicas) > 1:
                raise Violation("balanced-in-the-end", f"{name}: replicas {dict(replicas)}")
            if not table.spread and _spread(primaries) > 1:
                raise Violation("balanced-in-the-end", f"{name}: primaries {dict(primaries)}")


def _who(record: Record) -> tuple[object, ...]:
    return record.primary, {name: member.incarnation for name, member in record.members.items()}


def _troubles(report: Report | None) -> object:
    if report is None:
        return None
    failed = {key: saying for key, saying in report.shards.items() if saying[1] == FAILED}
    return report.incarnation, report.leaving, failed


def _spread(counts: Mapping[str, int]) -> int:
    return max(counts.values()) - min(counts.values())
