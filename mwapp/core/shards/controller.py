"""The master's part in shards: every shard gets its workers, whatever dies.

While it leads, it keeps a :class:`~mwapp.core.shards.view.View` of the znodes. It plans (who is to have what:
placement.py) when workers have come or gone for good, when a table has changed and when a person asks for a
move; the plan stands in the records as their ``target``. Then it takes one step after the other (steps.py),
all that are due at once, in one transaction:

    check(/epoch, my epoch); of each worker that is to do something new: it is there, and of that incarnation;
    set each page whose records change, at the version known

The view may lag; the transaction decides. If it is refused, and not by its epoch, the master rereads
everything, tries one page at a time, and puts one that is refused alone aside for a while.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mwapp.core.messages import Check, Create, Delete, Error, Failed, Op, Set, Stat
from mwapp.core.protocol import EPOCH, assign_path
from mwapp.core.session import Callback, Process
from mwapp.core.shards.failures import PLANNED_AFTER, Resting, Rests
from mwapp.core.shards.moves import CannotMoveError, target
from mwapp.core.shards.placement import place, shortfall
from mwapp.core.shards.protocol import (
    COPY,
    FAILED,
    IN_THE_WAY,
    MOVES,
    SERVING,
    SHARD_PARENTS,
    SYNC,
    TABLES,
    UNREADABLE,
    Record,
    Table,
    encode_page,
    holder_path,
    page_path,
    pages_of,
    shard_of_move,
    table_path,
    unfit,
    value_of,
)
from mwapp.core.shards.steps import Holder, Situation, settled, step
from mwapp.core.shards.view import KnownTable, Move, Page, View

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
ASIDE_SECONDS = 10.0
RESTS = Rests()
# A timer is not to come before the end that was computed in another way.
ROUNDING_SECONDS = 0.001
# A primary that is not at work by then counts as failed for people: it is a little more than its handler may
# take to be promoted.
SERVES_SECONDS = 35.0
# A replica that copies for longer is told to people: its handler may never be caught up.
COPIES_SECONDS = 600.0


@dataclass(slots=True)
class _Change:
    """A page as it is to be, and the workers that are to do something new. ``version`` None: it is
    created."""

    table: str
    page: int
    records: dict[int, Record]
    workers: set[str]
    version: int | None


@dataclass(slots=True)
class _Work:
    """A transaction: pages to write, what else belongs to it, and what is so once it is committed. ``name``:
    what is left alone for a while if it is refused, instead of the pages. ``refused``: is told why it was,
    and says whether everything need not be read anew."""

    changes: list[_Change]
    ops: list[Op] = field(default_factory=list)
    done: Callable[[], object] = lambda: None
    name: str = ""
    refused: Callable[[Failed], bool] | None = None


class Controller:
    """A :class:`~mwapp.core.election.Duty` of the elected one. If there are no tables, it has read whether
    there are, and does nothing.

    ``wall`` tells the time, seconds since the Unix epoch: when a generation began, for people.
    """

    def __init__(self, process: Process, *, wall: Callable[[], float], rests: Rests = RESTS) -> None:
        self._process, self._wall = process, wall
        self._scope = process.scope()
        self._begun = False  # reading
        self._reading = process.scope()  # what is read anew after a refusal ends
        # Of tables: no generation of theirs that we have seen, or given, is greater. Kept between terms: one
        # that begins anew after a cut may be under the same /master.
        self._floors: dict[str, int] = {}
        self._view = self._blank()
        self._epoch = -1
        self._fenced: Callback
        self._committing = False
        self._refusals = 0  # in a row
        # Pages that are left alone for now, and deletions of tables and of moves.
        self._aside: set[tuple[str, int | str]] = set()
        self._missing_since: dict[str, float] = {}  # of workers that are wanted and not there
        self._grace_ends: set[float] = set()  # when we look again
        self._resting = Resting(rests)
        counted = ("transactions", "refused", "promoted", "handed_over", "copies", "moves", "moves_refused")
        self.counters = dict.fromkeys(counted, 0)

    # ------------------------------------------------------------ Duty

    def begin(self, epoch: int, fenced: Callback) -> None:
        """Look whether there are tables; then read everything, and act."""
        self._epoch, self._fenced = epoch, fenced
        self._scope = self._process.scope()
        self._missing_since.clear()
        self._grace_ends.clear()
        self._resting.clear()
        self._aside.clear()
        self._refusals = 0
        self._look()

    def end(self) -> None:
        """Forget everything but the generations: the next term rereads it."""
        self._scope.cancel()
        self._stop_reading()

    def status(self) -> dict[str, Any]:
        """What each table has and lacks."""
        tables = {name: self._describe(name, known) for name, known in sorted(self._view.tables.items())}
        return {"shards": {"tables": tables, "counters": dict(self.counters)}} if tables else {}

    # ------------------------------------------------------------ the view

    def _blank(self) -> View:
        return View(self._reading, floors=self._floors, changed=self._act, missing=self._read_later)

    def _look(self) -> None:
        self._scope.exists(TABLES, self._seen, watch=self._look)

    def _seen(self, stat: Stat | None) -> None:
        if stat is not None and not self._begun:
            self._read()
        elif stat is None:
            self._stop_reading()

    def _read(self) -> None:
        self._stop_reading()
        self._begun = True
        self._view.read()

    def _stop_reading(self) -> None:
        self._reading.cancel()
        self._view.note_floors()
        self._reading = self._process.scope()
        self._begun = self._committing = False
        self._view = self._blank()

    def _read_later(self) -> None:
        """A parent is missing, because a person works here. Do not act on what is known, and do not spin."""
        self._stop_reading()
        self._scope.after(RETRY_SECONDS, self._mend)

    def _mend(self) -> None:
        for parent in SHARD_PARENTS[:-1]:
            self._scope.transact([Check(EPOCH, self._epoch), Check(TABLES), Create(parent)], lambda _: None)
        self._look()

    # ------------------------------------------------------------ acting

    def _act(self) -> None:
        """Plan, and commit what is due."""
        if not self._view.complete or self._committing:
            return
        self._note_who_is_missing()
        for name, known in sorted(self._view.tables.items()):
            self._plan(name, known)
            self._keep_away(name, known)
        work = self._steps() or self._move() or self._deletion()
        if work is None:
            return
        self._committing = True
        for change in work.changes:
            self._view.note_given(change.table, change.records)
        ops = [Check(EPOCH, self._epoch), *self._workers(work.changes), *work.ops]
        self._reading.transact([*ops, *map(_written, work.changes)], partial(self._committed, work))

    def _workers(self, changes: list[_Change]) -> Iterator[Op]:
        """They are there, and of the incarnations that we know."""
        for name in sorted(set().union(*(change.workers for change in changes))):
            yield Check(holder_path(name))
            yield Check(assign_path(name), self._view.holders[name].incarnation)

    def _committed(self, work: _Work, result: tuple[Any, ...] | Failed) -> None:
        self._committing = False
        if isinstance(result, tuple):
            self.counters["transactions"] += 1
            self._refusals = 0
            for change in work.changes:
                self._note(change)
            work.done()
            self._act()
        elif result.index == 0 and result.error is not Error.REFUSED:
            self._fenced()
        elif work.refused is not None and work.refused(result):
            self.counters["refused"] += 1
            self._act()
        else:
            log.info("transaction refused (%s at operation %s): rereading", result.error.value, result.index)
            self.counters["refused"] += 1
            self._refusals += 1
            if self._refusals == 1:
                self._read()
                return
            pages: set[tuple[str, int | str]] = {(change.table, change.page) for change in work.changes}
            self._put_aside({(work.name, "deletion")} if work.name else pages)
            self._stop_reading()
            self._begun = True  # it will be
            self._scope.after(RETRY_SECONDS, self._read)

    def _note(self, change: _Change) -> None:
        known = self._view.tables.get(change.table)
        page = None if known is None else known.pages.get(change.page)
        if page is None:
            return
        for shard, record in change.records.items():
            self._count(page.records.get(shard, record), record)
        created = page.version is None
        page.version = 0 if page.version is None else page.version + 1
        page.records, page.changed = change.records, False
        if created:
            self._view.look_at_page(change.table, change.page)

    def _count(self, old: Record, new: Record) -> None:
        moved = "" not in (old.primary, new.primary) and old.primary != new.primary
        self.counters["handed_over"] += moved and old.handover
        self.counters["promoted"] += moved and not old.handover
        self.counters["copies"] += sum(
            member.state == COPY != getattr(old.members.get(name), "state", "")
            for name, member in new.members.items()
        )

    def _put_aside(self, which: set[tuple[str, int | str]]) -> None:
        log.error("%s: cannot be written, trying others first", sorted(which))
        self._aside |= which

        def take_up() -> None:
            self._aside -= which
            self._act()

        self._scope.after(ASIDE_SECONDS, take_up)

    # ------------------------------------------------------------ planning

    def _note_who_is_missing(self) -> None:
        now, there = self._scope.now, self._view.holders
        tables = self._view.tables.values()
        for known in tables:
            known.wanted = {name for _, record in known.records() for name in record.wanted}
        wanted = set().union(*(known.wanted for known in tables))
        before = self._missing_since
        self._missing_since = {name: before.get(name, now) for name in wanted if name not in there}
        for name in sorted(self._missing_since.keys() - before.keys()):
            log.info("%s is not there, and is to have shards", name)
        graces = {known.asked.grace for known in tables if known.asked is not None}
        ends = {since + grace for since in self._missing_since.values() for grace in graces}
        for end in ends - self._grace_ends:  # a table may be new, or its grace another than it was
            if end > now:
                self._scope.after(end - now + ROUNDING_SECONDS, self._act)
        self._grace_ends = ends

    def _eligible(self, table: Table, wanted: Collection[str] = ()) -> dict[str, str]:
        """Who may have shards, with their values of the label. A worker that was lost a moment ago is one of
        them if it is ``wanted``."""
        view, now = self._view, self._scope.now
        names = {name for name, report in view.holders.items() if not report.leaving}
        missing = self._missing_since
        names |= {name for name in missing.keys() & wanted if now < missing[name] + table.grace}
        return {
            name: value_of(table.spread, view.labels.get(name, ())) for name in sorted(names - view.drains)
        }

    def _plan(self, name: str, known: KnownTable) -> None:
        """Note the targets, unless they are for the same workers and settings already. If a person has
        spoilt the table's znode, what it said before holds."""
        table = known.asked
        if table is None:
            if known.read and not known.problem:
                _give_up(known)
            return
        urgent = table.anyone and any(self._is_lost(record) for _, record in known.records())
        workers = self._eligible(table) if urgent else self._eligible(table, known.wanted)
        for_what = tuple(workers.items()), table.replicas, table.shards, table.page
        if not workers or for_what == known.planned_for:
            return
        known.planned_for = for_what
        known.unfit = unfit(table, {number: page.records for number, page in known.pages.items()})
        if known.unfit is not None:
            log.error("table %s: %s", name, known.unfit)
        else:
            _make_room(known, table)
        short = shortfall(workers, table.replicas, table.spread)
        if short is not None:
            log.warning("table %s: %s", name, short.why)
        old = {shard: _old(record, workers) for shard, record in known.records()}
        _aim(known, place(old, workers, table.replicas, salt=name))

    def _keep_away(self, name: str, known: KnownTable) -> None:
        """A shard that has one worker alone, on which it fails again and again, goes to whoever has fewest.
        When that one has rested, it is planned again."""
        table, now = known.asked, self._scope.now
        if table is None or not table.anyone:
            return
        for shard in self._resting.shards(name, now):
            page = next((page for page in known.pages.values() if shard in page.records), None)
            tired = self._resting.who((name, shard), now, PLANNED_AFTER)
            if page is None or page.spoilt or page.records[shard].wanted not in {(one,) for one in tired}:
                continue
            others = self._eligible(table).keys() - tired
            has = Counter(who for _, record in known.records() for who in record.wanted)
            if others:
                to = min(others, key=lambda who: (has[who], who))
                log.warning("%s:%d fails on %s: moving it to %s", name, shard, *sorted(tired)[:1], to)
                page.records[shard] = settled(replace(page.records[shard], target=(to,)))
                page.changed = True

    def _is_lost(self, record: Record) -> bool:
        """Nobody who has it, as the incarnation that got it, is there, nor anybody who is to have it."""
        has_it = any(self._is_there(name, member.incarnation) for name, member in record.members.items())
        return not has_it and self._view.holders.keys().isdisjoint(record.wanted)

    # ------------------------------------------------------------ what is due

    def _deletion(self) -> _Work | None:
        """A table of which nobody has anything any more goes, with its generations: those of the next table
        of its name begin with a later zxid."""
        for name, known in sorted(self._view.tables.items()):
            if (
                known.problem
                or not known.read
                or known.asked is not None
                or any(record.members for _, record in known.records())
            ):
                continue
            if any(page.spoilt for page in known.pages.values()) or (name, "deletion") in self._aside:
                continue
            ops: list[Op] = [
                Delete(page_path(name, number), page.version)
                for number, page in sorted(known.pages.items())
                if page.version is not None
            ]
            ops.append(Delete(table_path(name), known.version))
            done, refused = partial(self._view.tables.pop, name, None), partial(self._keep_table, name, ops)
            return _Work([], ops, done, name, refused)
        return None

    def _keep_table(self, name: str, ops: list[Op], result: Failed) -> bool:
        """It could not be deleted, if a person has made znodes below it or its pages."""
        known = self._view.tables.get(name)
        if known is None or result.error is not Error.NOT_EMPTY or result.index is None:
            return False
        known.stuck = f"{ops[result.index - 1].path} {IN_THE_WAY}"
        self._put_aside({(name, "deletion")})
        return True

    def _move(self) -> _Work | None:
        """What a person asks for becomes a target; or nothing, if it cannot be."""
        for znode, move in sorted(self._view.moves.items()):
            if (znode, "move") in self._aside:
                continue
            change, why = None, ""
            try:
                change = self._moved(znode, move.said.split())
            except CannotMoveError as problem:
                why = str(problem)
            if change is not None and (change.table, change.page) in self._aside:
                continue
            return _Work(
                [] if change is None else [change],
                [Delete(f"{MOVES}/{znode}", move.version)],
                partial(self._move_done, znode, move, why),
                znode,
                partial(self._keep_move, znode, move),
            )
        return None

    def _moved(self, znode: str, names: list[str]) -> _Change:
        """What is to be so then. Raises CannotMoveError."""
        which = shard_of_move(znode)
        if which is None:
            raise CannotMoveError("it is no TABLE:SHARD")
        known = self._view.tables.get(which[0])
        if known is None:
            raise CannotMoveError("there is no such table")
        if known.asked is None:
            raise CannotMoveError(known.problem or "the table is being deleted")
        number = next((n for n, page in known.pages.items() if which[1] in page.records), None)
        if number is None:
            raise CannotMoveError(self._problem(which[0], known) or "there is no such shard")
        page, table = known.pages[number], known.asked
        there, workers = self._eligible(table), self._eligible(table, known.wanted)
        chosen = target(page.records[which[1]], names, there, workers, self._why_not)
        record = settled(replace(page.records[which[1]], target=chosen))
        return _Change(which[0], number, page.records | {which[1]: record}, set(), page.version)

    def _why_not(self, name: str) -> str:
        if name in self._view.drains:
            return "is drained"
        return "is stopping" if name in self._view.holders else "is not there"

    def _move_done(self, znode: str, move: Move, why: str) -> None:
        """Or it cannot be, and is deleted."""
        which = shard_of_move(znode)
        if why:
            log.error("cannot move %s to %s: %s", znode, move.said, why)
        elif which is not None:
            self._resting.forget(which, move.said.split()[0])
        self.counters["moves_refused" if why else "moves"] += 1
        self._forget_move(znode, move)

    def _forget_move(self, znode: str, move: Move) -> None:
        """Unless it is another by now."""
        if self._view.moves.get(znode) == move:
            del self._view.moves[znode]

    def _keep_move(self, znode: str, move: Move, result: Failed) -> bool:
        """It could not be deleted. Nobody carries it out, or it would be done again and again."""
        if result.index != 1:
            return False
        if result.error in (Error.NO_NODE, Error.BAD_VERSION):
            self._forget_move(znode, move)  # it is another, and its watch tells us
        else:
            log.error("%s/%s cannot be deleted (%s), so it is not done", MOVES, znode, result.error.value)
            self._put_aside({(znode, "move")})
        return True

    def _steps(self) -> _Work | None:
        """Each page in which a shard has a step to take, or a new target; after a refusal one page at a
        time. A table's znode that a person has spoilt holds nothing up."""
        limits = self._process.limits
        changes: list[_Change] = []
        room = limits.batch_bytes
        for name, known in sorted(self._view.tables.items()):
            if not known.read:
                continue
            step_of = self._stepper(name, known)
            for number, page in sorted(known.pages.items()):
                if page.spoilt or (name, number) in self._aside:
                    continue
                records = {shard: step_of(shard, record) for shard, record in page.records.items()}
                if not page.changed and records == page.records and page.version is not None:
                    continue
                room -= len(encode_page(records))
                if changes and (room < 0 or len(changes) == limits.batch or self._refusals):
                    return _Work(changes)
                changes.append(
                    _Change(name, number, records, _new_to_it(page.records, records), page.version)
                )
        return _Work(changes) if changes else None

    def _stepper(self, name: str, known: KnownTable) -> Callable[[int, Record], Record]:
        """If we have seen no settings that can be, who is in sync is promoted, and nobody copies."""
        holders = self._view.holders
        copies = known.asked.copies if known.asked is not None else 0
        anyone = known.asked is not None and known.asked.anyone
        copying = Counter(
            member
            for _, record in known.records()
            for member, its in record.members.items()
            if its.state == COPY and self._is_there(member, its.incarnation)
        )

        def may_copy(worker: str) -> bool:
            if copying[worker] >= copies:
                return False
            copying[worker] += 1
            return True

        def step_of(shard: int, record: Record) -> Record:
            at = name, shard
            if record.target is None and not record.handover and self._is_well(at, record):
                return record
            there = {
                who: Holder(holders[who].incarnation, holders[who].shards.get(at))
                for who in {*record.members, *record.wanted}
                if who in holders
            }
            self._note_failure(at, record)
            resting = self._resting.who(at, self._scope.now)
            after = self._next(record, Situation(there, anyone, may_copy, resting))
            return after if after.generation == record.generation else replace(after, since=int(self._wall()))

        return step_of

    def _note_failure(self, at: tuple[str, int], record: Record) -> None:
        if not self._has_primary(record):
            return
        if self._view.holders[record.primary].shards.get(at) == (record.generation, FAILED):
            lasted = self._wall() - record.since
            rest = self._resting.note(at, record.primary, record.generation, lasted, self._scope.now)
            if rest is not None:
                self._scope.after(rest + ROUNDING_SECONDS, partial(self._rested, at, record.primary))

    def _rested(self, at: tuple[str, int], worker: str) -> None:
        known = self._view.tables.get(at[0])
        if known is not None and self._resting.is_planned_for(at, worker):
            known.planned_for = ()
        self._act()

    def _next(self, record: Record, situation: Situation) -> Record:
        return step(record, situation)

    def _is_there(self, name: str, incarnation: int) -> bool:
        report = self._view.holders.get(name)
        return report is not None and report.incarnation == incarnation

    def _is_well(self, at: tuple[str, int], record: Record) -> bool:
        """Everybody who has it is there, in sync, and has not failed."""
        failed = (record.generation, FAILED)
        return bool(record.primary) and all(
            member.state == SYNC
            and self._is_there(name, member.incarnation)
            and self._view.holders[name].shards.get(at) != failed
            for name, member in record.members.items()
        )

    # ------------------------------------------------------------ for people

    def _has_primary(self, record: Record) -> bool:
        return record.primary in record.members and self._is_there(
            record.primary, record.members[record.primary].incarnation
        )

    def _serves(self, at: tuple[str, int], record: Record) -> bool:
        """Or may yet: its handler has not had all the time that it has."""
        said = self._view.holders[record.primary].shards.get(at)
        if record.handover or said == (record.generation, SERVING):
            return True
        return self._wall() < record.since + SERVES_SECONDS

    def _copies_long(self, record: Record) -> bool:
        copies = (
            n for n, m in record.members.items() if m.state == COPY and self._is_there(n, m.incarnation)
        )
        return any(copies) and self._wall() > record.since + COPIES_SECONDS

    def _fails(self, at: tuple[str, int], record: Record) -> bool:
        """The handler of somebody who has it has failed, or that of its primary is not at work in time."""
        said = (
            self._view.holders[name].shards.get(at)
            for name, member in record.members.items()
            if self._is_there(name, member.incarnation)
        )
        # Perhaps in an earlier generation, and it is not open again.
        failed = any(its is not None and its[1] == FAILED for its in said)
        return self._has_primary(record) and (failed or not self._serves(at, record))

    def _problem(self, name: str, known: KnownTable) -> str | None:
        """Why it is not, and will not be, as it is asked for."""
        spoilt = (page_path(name, n) for n, page in sorted(known.pages.items()) if page.spoilt)
        unreadable = next((f"{path} {UNREADABLE}" for path in spoilt), None)
        stuck = known.stuck if known.asked is None else ""
        return known.problem or unreadable or stuck or (known.unfit if known.asked is not None else None)

    def _short(self, known: KnownTable) -> str | None:
        table = known.asked
        if table is None:
            return None
        short = shortfall(self._eligible(table, known.wanted), table.replicas, table.spread)
        return None if short is None else short.why

    def _describe(self, name: str, known: KnownTable) -> dict[str, Any]:
        """A shard that nobody could be found for has no record yet."""
        records = [record for _, record in known.records()]
        number = len(records) if known.asked is None else max(known.asked.shards, len(records))
        replicas = known.asked.replicas if known.asked is not None else 0
        there = self._view.holders
        return {
            "problem": self._problem(name, known),
            "short": self._short(known),
            "shards": number,
            "without_primary": number - sum(self._has_primary(record) for record in records),
            "failed": sum(self._fails((name, n), its) for n, its in known.records()),
            "under_replicated": sum(
                sum(m.state == SYNC and n in there for n, m in record.members.items()) < replicas
                for record in records
            ),
            "moving": sum(record.target is not None for record in records),
            "slow": sum(map(self._copies_long, records)),
        }


def _written(change: _Change) -> Op:
    path, data = page_path(change.table, change.page), encode_page(change.records)
    return Create(path, data) if change.version is None else Set(path, data, change.version)


def _new_to_it(before: Mapping[int, Record], after: Mapping[int, Record]) -> set[str]:
    """The workers that are to begin something: they must be there."""
    names: set[str] = set()
    for shard, record in after.items():
        old = before[shard]
        names |= {name for name in record.members if record.incarnation(name) != old.incarnation(name)}
        if record.primary != old.primary:
            names |= {record.primary} - {""}
        if record.handover > old.handover:
            names |= {*record.wanted[:1]}
    return names


def _make_room(known: KnownTable, table: Table) -> None:
    """Pages and records for shards that have none yet."""
    for number, shards in enumerate(pages_of(table)):
        page = known.pages.setdefault(number, Page(None, {}))
        new = [shard for shard in shards if shard not in page.records]
        if new and not page.spoilt:
            page.records |= {shard: Record(known.floor, target=()) for shard in new}
            page.changed = True


def _old(record: Record, workers: Mapping[str, str]) -> tuple[str, ...]:
    """For whom it was planned; who is the primary now comes first if the one that was to be is gone."""
    wanted = record.wanted
    if wanted and wanted[0] not in workers and record.primary in wanted:
        return (record.primary, *(name for name in wanted if name != record.primary))
    return wanted


def _aim(known: KnownTable, placed: Mapping[int, tuple[str, ...]]) -> None:
    for page in known.pages.values():
        for shard, record in page.records.items():
            if placed[shard] != record.wanted:
                page.records[shard] = settled(replace(record, target=placed[shard]))
                page.changed = True


def _give_up(known: KnownTable) -> None:
    """Nobody is to have its shards."""
    known.planned_for = ()
    for page in known.pages.values():
        for shard, record in page.records.items():
            if record.target != ():
                page.records[shard] = replace(record, target=(), handover=False)
                page.changed = True
