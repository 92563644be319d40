"""The worker's part in shards: it has what the records say, and nothing else.

It belongs to the incarnation of the worker beside it. It says in ``/holders/<worker>`` what it has, watches
the pages, and tells the handlers of its shards what to be:

    a member, not the primary  -> open; it says ``ready`` when it is caught up
    the primary                -> open, and when it is, promoted; it says ``serving``
    the primary, to hand over  -> demoted; it says ``released``, and is not promoted again before the
                                  generation is another
    not a member               -> closed
    the session over           -> every handler is killed before the ensemble may give its shards to others

A handler that ends, or does not answer in time, has failed. It begins again after a pause, and only under
another generation: so the master knows, and may choose somebody else.
"""

import logging
from functools import partial
from itertools import count
from typing import Any

from mwapp.core.backoff import pause
from mwapp.core.batching import Batching
from mwapp.core.messages import (
    Check,
    CloseShard,
    Create,
    Delete,
    DemoteShard,
    Error,
    Exited,
    Failed,
    Node,
    Op,
    OpenShard,
    PromoteShard,
    Set,
    ShardSays,
    Stat,
)
from mwapp.core.protocol import Registration, assign_path, worker_path
from mwapp.core.session import Process, Scope
from mwapp.core.shards.handler import DEADLINES, Deadlines, Handler
from mwapp.core.shards.protocol import (
    FAILED,
    HOLDERS,
    OPEN,
    READY,
    RELEASED,
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

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
# It looks this often, in seconds, whether its znode and its incarnation are still there: a person may work
# here.
VERIFY_SECONDS = 5.0
DRAIN_SECONDS = 30.0
# From this size on, bytes, what we say may be larger than servers take (jute.maxbuffer).
LARGE = 500_000
# Who has left is no holder for the master. A worker may not delete its znode where lists are in force: that
# would be a right to delete those of all workers. It goes with the session.
NO_HOLDER = b""

Key = tuple[str, int]  # table and shard


class Holder:
    """A :class:`~mwapp.core.session.Part` of a worker's process; ``name`` and ``labels`` are the worker's.

    ``drain``: how many seconds a graceful stop waits until others have its shards. While there are no tables
    it does nothing but watch for the first: it reads nothing else, and has no znode.
    """

    def __init__(
        self,
        process: Process,
        name: str,
        *,
        labels: tuple[str, ...] = (),
        drain: float = DRAIN_SECONDS,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        self._process = process
        self._name, self._labels, self._drain, self._deadlines = name, labels, drain, deadlines
        self._scope: Scope = process.scope()
        self._any_table = False  # as far as we know
        self._asked_who = False  # whether we watch our registration, on this connection
        self._incarnation: int | None = None
        self._was: int | None = None  # the last one
        self._enrolled = False  # our znode is there, as far as we know
        self._stored: bytes | None = None  # what it says
        self._version = 0  # that it has then
        self._reporting = False
        self._unsaid: str | None = None  # why nobody hears what we say
        self._too_large: int | None = None  # so many bytes were refused
        self._batching = Batching(self._report)
        self._runs = count(1)
        self._handlers: dict[Key, Handler] = {}
        self._said: dict[Key, Saying] = {}
        self._failures: dict[Key, int] = {}  # in a row
        self._not_before: dict[Key, float] = {}
        self._waking: dict[Key, Scope] = {}  # those that will be looked at again, unless that ends
        self._tables: dict[str, Table] = {}
        self._czxids: dict[str, int] = {}  # of the tables; and below of the pages
        self._page_czxids: dict[tuple[str, int], int] = {}
        self._pages: dict[tuple[str, int], dict[int, Record]] = {}  # what of them is ours
        self._listed: dict[str, set[int]] = {}  # the pages of each table that we watch
        self._stopped: int | None = None  # it has left, and was this incarnation; -1: none
        self.counters = {"opened": 0, "promoted": 0, "released": 0, "failed": 0, "killed": 0}
        process.add(self)

    # ------------------------------------------------------------ Part

    def connected(self) -> None:
        """Look whether there are tables, and whether we are still who we were."""
        self._scope.cancel()
        self._scope = self._process.scope()
        if self._stopped is not None:
            self._end_if_closed()
            return
        if self._process.stopping:
            self._look_for_others()
        self._enrolled, self._stored, self._reporting = False, None, False
        self._asked_who = False
        self._look()
        self._verify_later()

    def suspended(self) -> None:
        """What we have continues: the session may live."""
        self._scope.cancel()

    def expired(self) -> None:
        """Nothing here is ours any more."""
        self._scope.cancel()
        self._forget("session over")
        if self._process.stopping:
            self._leave()  # at once, or when what was killed is gone

    def closed(self, session: int) -> None:
        """Whose shards we had is in the records."""

    def exited(self, event: Exited) -> None:
        """Tasks are not ours."""

    def stop(self) -> None:
        """Have others take what we have; then leave."""
        if self._incarnation is None or not self._mine():
            self._leave()
            return
        self._process.scope().after(self._drain, self._leave)
        self._report_soon()
        self._look_for_others()

    def status(self) -> dict[str, Any]:
        """What it has, and what that is."""
        return {
            "incarnation": self._incarnation,
            "shards": {f"{t}:{n}": said[1] for (t, n), said in sorted(self._said.items())},
            "handlers": len(self._handlers),
            "problem": self._unsaid,
            "counters": dict(self.counters),
        }

    # ------------------------------------------------------------ whether there are tables, and who we are

    def _look(self) -> None:
        self._scope.exists(TABLES, self._seen, watch=self._look)

    def _seen(self, stat: Stat | None) -> None:
        if stat is not None:
            self._list_tables()

    def _look_at_registration(self) -> None:
        self._scope.exists(worker_path(self._name), self._registered, watch=self._look_at_registration)

    def _registered(self, stat: Stat | None) -> None:
        if stat is None or stat.owner != self._process.session:
            self._forget("the worker is not registered")
            self._withdraw()
        else:
            self._scope.get(assign_path(self._name), self._incarnation_read)

    def _incarnation_read(self, queue: Node | Failed) -> None:
        registered = Registration.decode(queue.data) if isinstance(queue, Node) else None
        if not isinstance(queue, Node) or registered is None or registered.session != self._process.session:
            self._forget("the worker is not registered")
            self._scope.after(RETRY_SECONDS, self._look_at_registration)
        elif queue.stat.version == self._incarnation:
            self._report_soon()
            self._look_at_tables()
        else:
            self._forget("the worker is another incarnation")
            self._begin(queue.stat.version)

    def _begin(self, incarnation: int) -> None:
        """Not before everything that an earlier incarnation had is closed."""
        if self._handlers:
            self._scope.after(RETRY_SECONDS / 10, self._look_at_registration)
            return
        self._incarnation = self._was = incarnation
        self._said.clear()
        self._report_soon()
        self._look_at_tables()

    def _withdraw(self) -> None:
        """Somebody has the name, or we were struck off, and our session may live on for long. Once all that
        we had is closed, our znode must not say that we serve it."""
        if self._incarnation is None and self._stopped is None and not self._handlers:
            self._scope.exists(holder_path(self._name), self._empty)

    def _empty(self, stat: Stat | None) -> None:
        """If this comes late, another process may have a znode there of the same version: but then it is
        another incarnation."""
        mine = stat is not None and stat.owner == self._process.session
        if self._incarnation is None and stat is not None and mine and self._was is not None:
            ops: list[Op] = [
                Check(assign_path(self._name), self._was),
                Set(holder_path(self._name), NO_HOLDER, stat.version),
            ]
            self._scope.transact(ops, lambda _: None)

    def _forget(self, why: str, grace: float = 0.0) -> None:
        """We have nothing any more: kill what there is, or have it end by itself if there is ``grace``."""
        self._incarnation, self._enrolled, self._stored = None, False, None
        self._pages.clear()
        self._listed.clear()
        for key, handler in self._handlers.items():
            if not handler.closing:
                log.warning("shard %s:%d: %s: %s", *key, "closed" if grace else "killed", why)
                self.counters["killed"] += not grace
            self._close(handler, grace)

    # ------------------------------------------------------------ what we say

    def _report_soon(self) -> None:
        self._batching.ask(self._scope)

    def _report(self) -> int | None:
        if self._incarnation is None or self._reporting or not self._process.usable:
            return None
        if not (self._any_table or self._enrolled):
            return None
        leaving = self._process.stopping
        mine = self._mine()
        told = {key: its for key, its in self._handlers.items() if its.address}
        said = {key: (its.generation, OPEN) for key, its in told.items()} | self._said
        said = {key: saying for key, saying in said.items() if key in mine}
        addresses = {key: its.address for key, its in told.items()}
        data = Report(self._incarnation, self._labels, leaving, said, addresses).encode()
        if self._too_large is not None and len(data) >= self._too_large:
            said = {key: saying for key, saying in said.items() if _matters(saying, mine[key], self._name)}
            data = Report(self._incarnation, self._labels, leaving, said).encode()
        else:
            self._too_large = None
        if self._enrolled and data == self._stored:
            return None
        self._reporting = True
        if self._enrolled:
            self._store([Set(holder_path(self._name), data)], data, self._version + 1)
        else:
            enroll = partial(self._enroll, self._incarnation, data)
            self._scope.exists(holder_path(self._name), enroll)
        return 1

    def _enroll(self, incarnation: int, data: bytes, stat: Stat | None) -> None:
        if self._incarnation != incarnation:
            self._reporting = False
            self._report_soon()
            return
        path = holder_path(self._name)
        create: list[Op] = [Create(path, data, ephemeral=True)]
        if stat is None:
            self._store(create, data, 0)
        elif stat.owner == self._process.session:
            self._store([Set(path, data)], data, stat.version + 1)
        else:  # a person made it
            self._store([Delete(path), *create], data, 0)

    def _store(self, ops: list[Op], data: bytes, version: int) -> None:
        incarnation, scope = self._incarnation, self._scope
        assert incarnation is not None  # noqa: S101 - only then there is a report; tells mypy

        def done(result: tuple[Any, ...] | Failed) -> None:
            self._reporting = False
            if isinstance(result, tuple):
                self._unsaid = self._unsaid if self._too_large is not None else None
                if self._incarnation == incarnation:
                    self._enrolled, self._stored, self._version = True, data, version
                self._report_soon()
                return
            self._enrolled = False
            if result.index == 0 and result.error is not Error.REFUSED:
                scope.after(RETRY_SECONDS, self._look_at_registration)
            else:  # deleted by hand, a parent is missing, or it is larger than servers take
                self._note_refusal(result, len(data))
                scope.after(RETRY_SECONDS, self._report_soon)

        self._scope.transact([Check(assign_path(self._name), incarnation), *ops], done)

    def _note_refusal(self, result: Failed, size: int) -> None:
        """Until it can be written, the master acts on what we have said before."""
        before = self._unsaid
        self._unsaid = f"{holder_path(self._name)} cannot be written ({result.error.value})"
        if result.error is Error.REFUSED and size >= LARGE and self._too_large is None:
            self._too_large = size
            self._unsaid += f": {size} bytes may be more than servers take: let it have fewer shards"
        if before is None:
            log.error("%s: the master does not hear everything that our handlers report", self._unsaid)

    def _verify_later(self) -> None:
        def verify() -> None:
            if self._any_table and self._enrolled and not self._reporting:
                self._scope.exists(holder_path(self._name), self._verified)
                self._scope.get(assign_path(self._name), self._verify_incarnation)
            self._verify_later()

        self._scope.after(VERIFY_SECONDS, verify)

    def _verified(self, stat: Stat | None) -> None:
        """A person may have deleted it, or said something else there."""
        if stat is None or stat.owner != self._process.session or stat.version != self._version:
            self._enrolled = False
            self._report_soon()

    def _verify_incarnation(self, queue: Node | Failed) -> None:
        if self._incarnation is not None and (
            isinstance(queue, Failed) or queue.stat.version != self._incarnation
        ):
            self._look_at_registration()

    # ------------------------------------------------------------ what is ours

    def _mine(self) -> dict[Key, Record]:
        """Of our incarnation."""
        return {
            (table, shard): record
            for (table, _), records in self._pages.items()
            for shard, record in records.items()
            if record.incarnation(self._name) == self._incarnation
        }

    def _record(self, key: Key) -> Record | None:
        its = (records for (table, _), records in self._pages.items() if table == key[0])
        return next((records[key[1]] for records in its if key[1] in records), None)

    def _look_at_tables(self) -> None:
        """All of them, anew."""
        self._listed.clear()
        self._list_tables()

    def _list_tables(self) -> None:
        self._scope.children(TABLES, self._tables_seen, watch=self._list_tables)

    def _tables_seen(self, names: tuple[str, ...] | Failed) -> None:
        present = () if isinstance(names, Failed) else names
        self._any_table = bool(present)
        if isinstance(names, Failed):  # deleted by hand
            self._look()
        if present and not self._asked_who:
            self._asked_who = True
            self._look_at_registration()  # and then at the tables
        elif self._incarnation is not None:
            self._note_tables(present)

    def _note_tables(self, present: tuple[str, ...]) -> None:
        for name in [name for name in self._listed if name not in present]:
            del self._listed[name]
            self._tables.pop(name, None)
        for name in sorted(set(present) - self._listed.keys()):
            self._listed[name] = set()
            self._look_at_table(name)
        self._pages = {at: records for at, records in self._pages.items() if at[0] in self._listed}
        self._reconcile_all()

    def _look_at_table(self, name: str) -> None:
        """There is one watch for both."""
        again = partial(self._look_at_table, name)
        self._scope.get(table_path(name), partial(self._table_seen, name), watch=again)
        self._scope.children(table_path(name), partial(self._pages_listed, name), watch=again)

    def _table_seen(self, name: str, node: Node | Failed) -> None:
        if isinstance(node, Failed):  # deleted; if there is one of that name again, it is another
            self._listed.pop(name, None)
            self._tables.pop(name, None)
        try:
            table = decode_table(name, node.data) if isinstance(node, Node) else None
        except BadTableError:
            return  # the master says so
        if table is None or not isinstance(node, Node):
            return
        if (self._tables.get(name), self._czxids.get(name)) != (table, node.stat.czxid):
            self._tables[name], self._czxids[name] = table, node.stat.czxid
            self._reconcile_all()

    def _pages_listed(self, name: str, names: tuple[str, ...] | Failed) -> None:
        known = self._listed.get(name)
        if known is None or isinstance(names, Failed):
            return
        present = {int(page) for page in names if page.isascii() and page.isdigit()}
        self._pages = {at: its for at, its in self._pages.items() if at[0] != name or at[1] in present}
        self._listed[name] = present
        for page in sorted(present - known):
            self._look_at_page(name, page)
        self._reconcile_all()

    def _look_at_page(self, name: str, page: int) -> None:
        again = partial(self._look_at_page, name, page)
        self._scope.get(page_path(name, page), partial(self._page_seen, name, page), watch=again)

    def _page_seen(self, name: str, page: int, node: Node | Failed) -> None:
        before = self._pages.get((name, page), {})
        if isinstance(node, Failed):
            self._pages.pop((name, page), None)
            self._page_czxids.pop((name, page), None)
            if page in self._listed.get(name, ()):
                self._listed[name].discard(page)
        else:
            records = decode_page(node.data)
            if records is None:
                log.error("%s is no page of records: what is here stays as it is", page_path(name, page))
                return
            self._note_page(name, page, node.stat.czxid)
            self._pages[name, page] = {
                n: record for n, record in records.items() if self._name in record.members
            }
        for shard in sorted(before.keys() | self._pages.get((name, page), {}).keys()):
            self._reconcile((name, shard), self._pages.get((name, page), {}).get(shard))
        self._report_soon()
        self._leave_if_done()

    def _note_page(self, name: str, page: int, czxid: int) -> None:
        """If it is another page than before, so is its table, though we have not seen either go: what we have
        belongs to the one before, and perhaps its settings are all that we know."""
        before = self._page_czxids.get((name, page), czxid)
        self._page_czxids[name, page] = czxid
        if before == czxid:
            return
        for shard in self._pages.pop((name, page), {}):
            self._reconcile((name, shard), None)
        if self._czxids.get(name, czxid) < before and self._tables.pop(name, None) is not None:
            self._scope.get(table_path(name), partial(self._table_seen, name))

    # ------------------------------------------------------------ what the handlers are to be

    def _reconcile_all(self) -> None:
        mine = self._mine()
        for key in sorted(mine.keys() | self._handlers.keys()):
            self._reconcile(key, mine.get(key))
        self._report_soon()
        self._leave_if_done()

    def _reconcile(self, key: Key, record: Record | None) -> None:
        """Have the handler be what the record says, if there is one."""
        if self._incarnation is None:
            return
        if record is None or record.incarnation(self._name) != self._incarnation:
            self._said.pop(key, None)
            self._failures.pop(key, None)
            self._not_before.pop(key, None)
            if key in self._handlers:
                self._handlers[key].unwanted = True
                self._close(self._handlers[key], self._deadlines.closes)
            return
        handler = self._handlers.get(key)
        if handler is None:
            self._without_handler(key, record)
        elif not handler.closing:
            self._tell(key, handler, record)

    def _without_handler(self, key: Key, record: Record) -> None:
        generation, said, table = record.generation, self._said.get(key), self._tables.get(key[0])
        if record.primary == self._name and record.handover:
            self._say(key, (generation, RELEASED))  # it is not, and will not be under this generation
        elif table is None or (said is not None and said[0] >= generation and said[1] in (RELEASED, FAILED)):
            pass
        elif said is not None and record.members[self._name].state == SYNC and not table.anyone:
            self._say(
                key, (generation, FAILED)
            )  # what was in sync is gone, and the master does not know it yet
        elif self._not_before.get(key, 0.0) > self._process.now:
            self._wake_later(key)
        else:
            self._open(key, record)

    def _wake_later(self, key: Key) -> None:
        if self._waking.get(key) is not self._scope:
            self._waking[key] = self._scope
            self._scope.after(self._not_before[key] - self._process.now, partial(self._wake, key))

    def _wake(self, key: Key) -> None:
        self._waking.pop(key, None)
        self._reconcile(key, self._mine().get(key))

    def _open(self, key: Key, record: Record) -> None:
        table = self._tables[key[0]]
        handler = self._handlers[key] = Handler(next(self._runs), record.generation)
        self.counters["opened"] += 1
        members = {name: member.state for name, member in record.members.items()}
        command = OpenShard(
            handler.run,
            *key,
            self._name,
            table.handler,
            table.command,
            record.generation,
            record.primary,
            members,
            self._process.lease,
            self._czxids[key[0]],
        )
        self._process.open_shard(command, partial(self._heard, key, handler))
        self._expect(key, handler, self._deadlines.begins)
        self._tell(key, handler, record)

    def _tell(self, key: Key, handler: Handler, record: Record) -> None:
        """What is new to it."""
        generation = record.generation
        if record.primary != self._name:
            be = "open"
        elif record.handover or self._said.get(key) == (generation, RELEASED):
            be = "release"
        else:
            be = "promote"
        if (handler.generation, handler.told) == (generation, be) or generation < handler.generation:
            return
        if be == "release" and handler.told == "open":  # it has not become the primary
            self._say(key, (generation, RELEASED))
        if not handler.opened:
            return  # it may take longer to open than our session is sure to live now
        handler.generation, handler.told = generation, be
        members = {name: member.state for name, member in record.members.items()}
        if be == "promote":
            self._expect(key, handler, self._deadlines.begins)
            self._promote(handler, record)
        elif be == "release":
            self._expect(key, handler, self._deadlines.releases)
            to = record.wanted[0] if record.wanted else ""
            self._process.tell_shard(DemoteShard(handler.run, generation, self._name, members, to))
        else:
            self._expect(key, handler, self._deadlines.begins)
            self._process.tell_shard(DemoteShard(handler.run, generation, record.primary, members))

    def _promote(self, handler: Handler, record: Record) -> None:
        members = {name: member.state for name, member in record.members.items()}
        self._process.tell_shard(PromoteShard(handler.run, record.generation, members, self._process.lease))

    def _expect(self, key: Key, handler: Handler, seconds: float) -> None:
        """An answer in time."""
        self._expect_nothing(handler)
        handler.clock = self._process.scope()

        def late() -> None:
            log.error("shard %s:%d: its handler does not answer: killed", *key)
            self._close(handler, 0.0)

        handler.clock.after(seconds, late)

    @staticmethod
    def _expect_nothing(handler: Handler) -> None:
        if handler.clock is not None:
            handler.clock.cancel()
        handler.clock = None

    def _close(self, handler: Handler, grace: float) -> None:
        if handler.closing and grace:
            return
        handler.closing = True
        self._expect_nothing(handler)
        self._process.tell_shard(CloseShard(handler.run, grace))

    # ------------------------------------------------------------ what they say

    def _heard(self, key: Key, handler: Handler, event: ShardSays) -> None:
        if event.said == "closed":
            self._closed(key, handler, event.reason)
            return
        expected = {"open": ("open", READY), "promote": (SERVING, "late"), "release": (RELEASED,)}
        if (
            handler.closing
            or event.generation != handler.generation
            or event.said not in expected[handler.told]
        ):
            return
        if event.said == "late":  # it was busy when it was told; it may be as long as that may take
            if (record := self._record(key)) is not None and record.generation == handler.generation:
                self._promote(handler, record)
            return
        self._expect_nothing(handler)
        if handler.address != event.address:
            handler.address = event.address
            self._report_soon()
        if event.said == "open":  # it may copy for as long as it takes
            handler.opened = True
            self._reconcile(key, self._record(key))
            return
        if handler.said is None or handler.said[0] != event.said:
            handler.said = event.said, self._process.now
        self.counters["promoted"] += event.said == SERVING
        self.counters["released"] += event.said == RELEASED
        self._say(key, (event.generation, event.said))

    def _closed(self, key: Key, handler: Handler, reason: str | None) -> None:
        self._expect_nothing(handler)
        del self._handlers[key]
        record = self._mine().get(key) if self._incarnation is not None else None
        if record is not None and not handler.unwanted:
            self._failed(key, handler, record, reason)
        if record is not None:
            self._reconcile(key, record)
        if self._stopped is not None:
            self._end_if_closed()
        else:
            self._withdraw()
            self._leave_if_done()

    def _failed(self, key: Key, handler: Handler, record: Record, reason: str | None) -> None:
        """It was to go on."""
        self.counters["failed"] += 1
        before = self._failures.get(key, 0)
        well = 0.0 if handler.said is None else self._process.now - handler.said[1]
        if well > max(self._deadlines.steady, self._pause(key, before)):
            before = 0
        self._failures[key] = before + 1
        wait = self._pause(key, before)  # the first time at once
        log.error("shard %s:%d: its handler has failed (%s): again in %g s", *key, reason or "killed", wait)
        self._not_before[key] = self._process.now + wait
        self._say(key, (record.generation, FAILED))

    def _pause(self, key: Key, failures: int) -> float:
        return pause(f"{key[0]}:{key[1]}", failures, self._deadlines.pause) if failures else 0.0

    def _say(self, key: Key, saying: Saying) -> None:
        before = self._said.get(key)
        if (
            before is None
            or before[0] < saying[0]
            or before[1] not in (RELEASED, FAILED)
            or saying[1] == FAILED
        ):
            self._said[key] = saying
            self._report_soon()

    # ------------------------------------------------------------ leaving

    def _leave_if_done(self) -> None:
        """Others have what we had."""
        if self._process.stopping and self._stopped is None and not self._mine() and not self._handlers:
            self._leave()

    def _look_for_others(self) -> None:
        """Do not wait for nobody: all others may be leaving, too."""
        if self._stopped is None:
            self._scope.children(HOLDERS, self._others_listed)

    def _others_listed(self, names: tuple[str, ...] | Failed) -> None:
        others = set() if isinstance(names, Failed) else set(names) - {self._name}
        self._ask_others(sorted(others))

    def _ask_others(self, names: list[str]) -> None:
        """One after the other: the first mostly stays."""
        if self._stopped is not None:
            return
        if not names:
            self._leave()
            return

        def seen(node: Node | Failed) -> None:
            report = Report.decode(node.data) if isinstance(node, Node) else None
            if report is None or report.leaving:
                self._ask_others(names[1:])
            else:
                self._scope.after(RETRY_SECONDS, self._look_for_others)

        self._scope.get(holder_path(names[0]), seen)

    def _leave(self) -> None:
        """With whatever is left. It may end by itself while our session is sure to live."""
        if self._stopped is None:
            self._stopped = -1 if self._incarnation is None else self._incarnation
            self._scope.cancel()
            self._forget("worker stops", self._deadlines.closes if self._process.usable else 0.0)
        self._end_if_closed()

    def _end_if_closed(self) -> None:
        """Our session is not closed before everything here is: others begin at once."""
        if self._handlers:
            return
        if self._stopped in (None, -1) or self._process.session is None:
            self._process.part_stopped(self)
        elif self._process.usable:
            path = assign_path(self._name)
            gone: list[Op] = [Check(path, self._stopped), Set(holder_path(self._name), NO_HOLDER)]
            self._process.scope().transact(gone, lambda _: self._process.part_stopped(self))
        # Otherwise when connected again, or when the session is over.


def _matters(saying: Saying, record: Record, name: str) -> bool:
    """Whether the master has to hear it: it is not what the record says already."""
    copied = saying[1] == READY and record.members[name].state != SYNC
    return copied or saying[1] in (FAILED, RELEASED)
