"""What the master knows of the znodes, kept up to date by reads that leave a watch.

    /workers, each worker and its queue  -> workers: who is alive, under which incarnation
    /assign/<worker>, /returned          -> held: who has which task; what is returned is nobody's
    /cancel                              -> cancels: tasks with a cancel request
    /tasks, each task not held           -> tasks: queued, delayed, bad or finished

Of tasks that come and go it is told by name, so it need not list thousands for one. When it is told that the
list has changed, it reads that, too, but seldom: nobody is told the name of what we may not read.

The mirror only reads. It calls ``changed`` whenever something may be due. The
:class:`~mwapp.core.master.Master` decides what to do, and notes here what it has committed.

It may lag behind the ensemble, but a task that looks unassigned is unassigned: only the master creates
assignments, and the mirror reads queues before tasks. So a task that it then reads without children is
neither held nor finished.
"""

import logging
import math
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import islice

from mwapp.core.backoff import elsewhere
from mwapp.core.held import Held, LiveWorker
from mwapp.core.known_tasks import SOONEST_SECONDS, KnownTasks, Waiting
from mwapp.core.listing import list_again
from mwapp.core.messages import EventType, Failed, Node, Stat
from mwapp.core.protocol import (
    ASSIGN,
    CANCEL,
    DONE,
    FAILED,
    NOBODY,
    TASKS,
    WORKERS,
    Assignment,
    Registration,
    assign_path,
    incarnation_of,
    status_path,
    task_path,
    worker_path,
)
from mwapp.core.requests import Again, Requests, whose_is
from mwapp.core.session import AGAIN_SECONDS, GONE, REFUSED, Callback, Scope, Then
from mwapp.core.task import BadTaskError, Task, task_order

log = logging.getLogger(__name__)

# What deleted tasks mean for others is looked at together, so long after the first, seconds.
DELETED_SECONDS = 0.05

# The name, its queue if there is one, and the worker's znode.
Adopt = Callable[[str, Node | Failed, Node], None]
# The worker, the task, and whether its run succeeded.
Ran = Callable[[str, str, bool], None]


class Mirror:
    """One reading of the znodes, which ends with its ``scope``; after that :meth:`renewed` begins the next.

    ``wall`` tells the time, seconds since the Unix epoch. ``changed`` is called when something may be due;
    ``adopt`` when a worker has no registration, because a person created its znode by hand; ``unreadable``
    when a parent is missing, so that nothing is known; ``ran`` when a worker's run of a task has succeeded
    (True) or failed, at most once for each run. ``max_per_submitter``: see mwapp/core/submitters.py.
    Without ``adopts`` what an earlier master has adopted gets nothing more.

    :attr:`tasks` says what is known of each task, and who has it.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        wall: Callable[[], float],
        changed: Callback,
        adopt: Adopt,
        unreadable: Callback,
        ran: Ran,
        max_per_submitter: int = 0,
        adopts: bool = True,
    ) -> None:
        self._scope = scope
        self._ran = ran
        self._wall = wall
        self._changed = changed
        self._adopt = adopt
        self._adopts = adopts
        self._unreadable = unreadable
        self._reading = False  # a page of tasks is under way
        self._workers_due = math.inf  # when they will be looked at again, monotonic seconds
        self._watched: set[str] = set()  # queues
        self._reported: set[str] = set()  # znodes whose kind has been reported as wrong
        self._tasks_listed = -math.inf
        self._tasks_followed = False
        self._deleted = False  # some were, and what that means for others is to be looked at
        self._alarms: list[float] = []  # a heap: when we look at what time has done, monotonic seconds
        self._pause_ends: list[float] = []  # a heap of those
        self._pauses: dict[str, tuple[int, float]] = {}  # by returned task: the attempt, and when it begins
        self.blind: set[str] = set()  # queues without permission to read: they may hold what looks unassigned
        self.complete = False  # workers, queues and the tasks' names are known: something can be due
        self.worker_names: frozenset[str] = frozenset()  # all that are below /workers
        self.workers: dict[str, LiveWorker] = {}
        self.tasks = KnownTasks(max_per_submitter)
        self.cancels: set[str] = set()  # tasks with a cancel request
        self.cancels_in_order: dict[str, None] = {}  # those, and some that have none any more
        self._cancels_listed = -math.inf
        self.pointless: set[str] = set()  # requests to cancel tasks that do not exist
        self.requests = Requests(
            scope,
            changed=changed,
            unreadable=unreadable,
            ended=self._ended_while_it_waits,
            cancelled=self._to_be_cancelled,
        )
        self._vanished: set[str] = set()  # from a queue; we are looking up their state
        self._outdated: set[str] = set()  # those for which the page under way is too old

    def renewed(self, scope: Scope, in_doubt: set[str]) -> "Mirror":
        """The next reading, which :meth:`read` begins, after which this one is not to be used any more. It
        keeps what is known of tasks that are not ``in_doubt``."""
        new = Mirror(
            scope,
            wall=self._wall,
            changed=self._changed,
            adopt=self._adopt,
            adopts=self._adopts,
            unreadable=self._unreadable,
            ran=self._ran,
        )
        new.tasks, new._reported = self.tasks, self._reported
        new.tasks.begin_anew(in_doubt)
        new._pauses = self._pauses  # do not begin them again
        return new

    @property
    def held(self) -> dict[str, dict[str, Held]]:
        """By queue (worker's name) and task."""
        return self.tasks.held

    def read(self) -> None:
        """Read workers, then queues, then tasks, and keep watching them."""
        self.look_at_workers(then=partial(self._look_at_queues, self._queues_listed))
        self._look_at_cancels()
        self.requests.look()
        self._time_passed()

    # ------------------------------------------------------------ what the master has committed

    def assigned(self, queue: str, task: str, assignment: Assignment) -> None:
        """The worker has got the task."""
        self.tasks.hold(queue, task, Held(assignment))
        self._watch_if_adopted(queue, task)

    def released(self, queue: str, task: str) -> None:
        """The assignment was deleted."""
        self.tasks.release(queue, task)

    def cleared(self, queue: str, task: str) -> None:
        """A useless assignment was deleted; look again what became of its task."""
        self.released(queue, task)
        self._look_if_finished(task)

    def given_up(self, task: str) -> None:
        """The task was recorded as failed."""
        self.tasks.finish(task, self._scope.now)

    def removed(self, task: str) -> None:
        """The task was deleted."""
        self.tasks.remove(task)
        self._reported.discard(task_path(task))
        if task in self.requests:
            self.requests.close(task)

    def run_again(self, task: str, again: Again) -> None:
        """The task no longer has a final state, and is in /returned."""
        self.requests.granted(task)
        self.tasks.reopen(task)
        self.tasks.submitters.note(task, *again.whose)
        self.tasks.hold(NOBODY, task, Held(again.attempt))

    def put_off(self, task: str) -> None:
        """The finished task could not be deleted."""
        self.tasks.put_off(task, self._scope.now)

    def look_again(self, task: str) -> None:
        """It seemed finished, but somebody deleted it and there is another task of its name."""
        self.tasks.reopen(task)
        self._read_again(task)

    def granted(self, task: str) -> None:
        """The cancel request was deleted."""
        self.cancels.discard(task)
        self.pointless.discard(task)

    # ------------------------------------------------------------ workers

    def look_at_workers(self, then: Callback | None = None) -> None:
        """Read who has come and who is gone; ``then`` is called when all workers are known."""
        self._scope.children(WORKERS, partial(self._workers_seen, then), watch=self.look_at_workers)

    def look_at_workers_after(self, delay: float) -> None:
        """The same in ``delay`` seconds, or sooner: once for all callers, or reads would double each time."""
        due = self._scope.now + delay

        def look() -> None:
            if due == self._workers_due:  # otherwise a sooner look was wanted meanwhile
                self._workers_due = math.inf
                self.look_at_workers()

        # A look that a watch causes changes nothing here: the timer still runs, and one is enough.
        if due < self._workers_due:
            self._workers_due = due
            self._scope.after(delay, look)

    def _workers_seen(self, then: Callback | None, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._unreadable()
            return
        self.worker_names = frozenset(names)
        # The queue before the worker: if a worker registers between the two reads, its queue looks older than
        # itself, and adopting it fails by the queue's version.
        paths = [path for name in names for path in (assign_path(name), worker_path(name))]
        self._scope.get_all(paths, partial(self._workers_read, then, names))

    def _workers_read(
        self, then: Callback | None, names: tuple[str, ...], nodes: list[Node | Failed]
    ) -> None:
        before, self.workers = self.workers, {}
        for name, queue, worker in zip(names, nodes[::2], nodes[1::2], strict=True):
            if worker == GONE:
                continue  # again; the watch has fired
            if isinstance(worker, Failed) or (isinstance(queue, Failed) and queue != GONE):
                self._keep_worker(name)
                continue
            if not worker.stat.owner:
                self._report(worker_path(name), "is not ephemeral: no worker is there")
                continue  # it would stay whoever dies
            registered = Registration.decode(queue.data) if isinstance(queue, Node) else None
            if isinstance(queue, Failed) or not registered or registered.session != worker.stat.owner:
                self._adopt(name, queue, worker)
                # It is there and keeps what a person assigned to it, but gets nothing yet.
                self.workers[name] = LiveWorker(-1, 1, draining=True, adopted=True)
                continue
            version = queue.stat.version
            draining = worker.stat.version > 0 or (registered.adopted and not self._adopts)
            labels = frozenset(registered.labels)
            outlived = frozenset(incarnation_of(name, number) for number in registered.outlived)
            self.workers[name] = LiveWorker(
                version, registered.slots, draining, registered.adopted, labels, outlived, registered.prefetch
            )
            if name not in self._watched:
                self._look_at_queue(name)
        for name in sorted(before.keys() | self.workers.keys()):
            old, new = before.get(name), self.workers.get(name)
            if old is None or new is None or old.incarnation != new.incarnation:
                log.info("worker %s: %s", name, f"incarnation {new.incarnation}" if new else "gone")
                self._refresh_held(name)
        if then:
            then()
        self._changed()

    @property
    def by_hand(self) -> list[str]:
        """The workers that have not registered themselves."""
        return [name for name, worker in self.workers.items() if worker.adopted]

    def _keep_worker(self, name: str) -> None:
        """It is there, but we have no permission to read it: it keeps what it holds, and gets nothing."""
        self.workers[name] = LiveWorker(-1, 1, draining=True, adopted=False, readable=False)
        log.error("no permission to read worker %s: trying again", name)
        self.look_at_workers_after(AGAIN_SECONDS)

    def _report(self, path: str, what: str) -> None:
        if path not in self._reported:
            self._reported.add(path)
            log.warning("%s was created by hand and %s; delete it", path, what)

    # ------------------------------------------------------------ queues

    def _look_at_queues(self, then: Then) -> None:
        again = partial(self._look_at_queues, self._queues_changed)
        self._scope.children(ASSIGN, then, watch=again)

    def _queues_changed(self, queues: tuple[str, ...] | Failed) -> None:
        """A worker with a new name has come, or somebody works by hand."""
        if isinstance(queues, Failed):
            self._unreadable()
            return
        for queue in sorted(set(queues) - self._watched):
            self._look_at_queue(queue)

    def _queues_listed(self, queues: tuple[str, ...] | Failed) -> None:
        if isinstance(queues, Failed):
            self._unreadable()
            return
        waiting = {*queues, NOBODY}

        def read(queue: str) -> None:
            waiting.discard(queue)
            if not waiting:
                self._follow_tasks()
                self._look_at_tasks()

        for queue in [*queues, NOBODY]:
            self._look_at_queue(queue, then=partial(read, queue))

    def _look_at_queue(self, queue: str, then: Callback | None = None) -> None:
        self._watched.add(queue)
        again = partial(self._look_at_queue, queue)
        seen = partial(self._queue_seen, queue, then)
        self._scope.children(assign_path(queue), seen, watch=again, insist=False)

    def _queue_seen(self, queue: str, then: Callback | None, names: tuple[str, ...] | Failed) -> None:
        if names == REFUSED:
            log.error("no permission to read %s: nothing is assigned until there is", assign_path(queue))
            self.blind.add(queue)
            self._scope.after(AGAIN_SECONDS, partial(self._look_at_queue, queue, then))
            return
        if isinstance(names, Failed) and queue == NOBODY:
            self._unreadable()
            return
        present = () if isinstance(names, Failed) else names
        known = self.held.setdefault(queue, {})
        for task in sorted(known.keys() - set(present)):
            self.tasks.release(queue, task)
            self._look_if_finished(task, queue)
        if queue == NOBODY:
            self._pauses = {task: self._pauses[task] for task in self._pauses.keys() & set(present)}
        if isinstance(names, Failed):  # the queue itself was deleted, and no watch is left on it
            del self.held[queue]
            self._watched.discard(queue)

        def read() -> None:
            self.blind.discard(queue)
            if then:
                then()

        new = [task for task in present if task not in known]
        self._read_held(queue, new, read, arrived=then is None)

    def _read_held(
        self, queue: str, tasks: list[str], then: Callback | None = None, *, arrived: bool = False
    ) -> None:
        """``arrived``: they have come since the first reading."""
        # Read the status too: a person who held the task may have reported by hand and left the assignment.
        paths = [path for task in tasks for path in (assign_path(queue, task), status_path(task))]

        def read(nodes: list[Node | Failed]) -> None:
            for task, node, status in zip(tasks, nodes[::2], nodes[1::2], strict=True):
                if isinstance(node, Node) and (isinstance(status, Node) or status == GONE):
                    held = Held(Assignment.decode(node.data))
                    if queue == NOBODY:
                        held.begins = self._after_pause(task, held.assignment, arrived=arrived)
                    self.tasks.hold(queue, task, held)
                    if isinstance(status, Node):
                        self.tasks.finish(task, self._scope.now)
                    else:
                        self._watch_if_adopted(queue, task)
                elif node != GONE:
                    self._keep_held(queue, task)
                elif self.tasks.release(queue, task):
                    self._look_if_finished(task)
            if then:
                then()
            self._changed()

        self._scope.get_all(paths, read)

    def _after_pause(self, task: str, returned: Assignment, *, arrived: bool) -> float:
        """When it may begin. On the worker on which it failed it may begin some time after that."""
        attempt, begins = self._pauses.get(task, (0, 0.0))
        if attempt != returned.attempt:
            begins = self._scope.now + returned.pause
            self._pauses[task] = returned.attempt, begins
            if returned.failed_on and arrived:
                self._ran(returned.failed_on, task, False)
        anywhere = begins + elsewhere(returned.pause) if returned.failed_on else begins
        for end in {begins, anywhere}:
            if end > self._scope.now:
                heappush(self._pause_ends, end)
        self._time_passed()
        return begins

    def _keep_held(self, queue: str, task: str) -> None:
        """No permission to read it, or its status: it stays where it is until there is."""
        self.tasks.hold(queue, task, Held(Assignment(), fresh=False))
        log.error("no permission to read %s: trying again", assign_path(queue, task))
        self._scope.after(AGAIN_SECONDS, partial(self._read_held, queue, [task]))

    def _refresh_held(self, queue: str) -> None:
        """The worker came, went or changed, and may have handed back what it held: reread that."""
        held = self.held.get(queue, {})
        for entry in held.values():
            entry.fresh = False
        if held:
            self._read_held(queue, list(held))

    def _watch_if_adopted(self, queue: str, task: str) -> None:
        """A person reports by creating the status, and leaves the assignment for us to remove."""
        worker = self.workers.get(queue)
        held = queue != NOBODY and task in self.held.get(queue, {})
        if held and (worker is None or worker.adopted):
            again = partial(self._watch_if_adopted, queue, task)
            self._scope.exists(
                status_path(task), lambda stat: self._finished(task) if stat else None, watch=again
            )

    # ------------------------------------------------------------ cancel requests

    def _look_at_cancels(self) -> None:
        self._scope.children(CANCEL, self._cancels_seen, watch=self._look_at_cancels_again)

    def _look_at_cancels_again(self) -> None:
        list_again(self._scope, self._look_at_cancels, listed=self._cancels_listed, names=len(self.cancels))

    def _cancels_seen(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._unreadable()
            return
        self._cancels_listed = self._scope.now
        self.cancels = set(names)
        self.cancels_in_order = dict.fromkeys(sorted(names, key=task_order))
        self.pointless &= self.cancels

        def looked(task: str, stat: Stat | None) -> None:
            if (stat is None or stat.owner) and task in self.cancels:
                self.pointless.add(task)
                self._changed()

        # These may be new tasks that we have not heard of yet.
        for task in sorted(self.cancels - self.tasks.names):
            self._scope.exists(task_path(task), partial(looked, task))
        self._changed()

    def _to_be_cancelled(self, task: str) -> None:
        """A request that may be missing in our list. It was made before the task was asked to run again: if
        we heard of it only afterwards, it would end that run."""
        self.cancels.add(task)
        self.cancels_in_order[task] = None

    # ------------------------------------------------------------ tasks

    def _follow_tasks(self) -> None:
        """Before the list is read: ZooKeeper 3.8.0 tells whoever follows of no list, unless he has asked for
        that afterwards."""

        def followed(result: Failed | None) -> None:
            self._tasks_followed = result is None

        self._scope.follow(TASKS, self._task_changed, followed)

    def _task_changed(self, path: str, event: EventType) -> None:
        task = path[len(TASKS) + 1 :]
        if not self.complete or not task or "/" in task:  # the list to come has it; or it is no task
            return
        if event is EventType.DELETED:
            self._task_deleted(task)
        elif event is EventType.CREATED:
            self._outdated.add(task)  # there was one of its name, perhaps, of which we were not told
            self.tasks.appear(task)
            self.pointless.discard(task)
            self._read_tasks()

    def _task_deleted(self, task: str) -> None:
        self._outdated.add(task)
        self.removed(task)
        self.pointless |= self.cancels & {task}
        if not self._deleted:  # thousands may be at once
            self._deleted = True
            self._scope.after(DELETED_SECONDS, self._look_at_deleted)

    def _look_at_deleted(self) -> None:
        self._deleted = False
        self._changed()

    def _look_at_tasks(self) -> None:
        self._scope.children(TASKS, self._tasks_seen, watch=self._look_at_tasks_again)

    def _look_at_tasks_again(self) -> None:
        list_again(
            self._scope,
            self._look_at_tasks,
            listed=self._tasks_listed,
            names=len(self.tasks.names),
            followed=self._tasks_followed,
        )

    def _tasks_seen(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._unreadable()
            return
        self._tasks_listed = self._scope.now
        new = self.tasks.listed(names)
        # We read the known requests before this list, and a client creates each after its task.
        self.pointless = self.cancels - self.tasks.names
        ordered, size = sorted(new, key=task_order), self._scope.limits.page
        if not self.complete:
            # At a take-over the newest tasks wait, perhaps behind thousands of finished ones, and the first
            # write must not wait for those. So read some of the newest first, then continue from the oldest.
            size = self._scope.limits.newest
            ordered = ordered[-size:] + ordered[:-size]
        self.tasks.read_later(ordered)
        self.complete = True
        self._changed()
        self._read_tasks(size)

    def _read_tasks(self, size: int | None = None) -> None:
        """Read page by page: thousands at once would delay our writes, and make the server seem silent."""
        if self._reading or not self.tasks.unread:
            return
        page = list(islice(self.tasks.unread, size or self._scope.limits.page))
        self._reading, self._outdated = True, set(self._vanished)

        def read(nodes: list[Node | Failed]) -> None:
            self._reading = False
            for task, node in zip(page, nodes, strict=True):
                if task not in self._outdated:
                    self.tasks.was_read(task)
                    self._task_seen(task, node)
            self._changed()
            self._read_tasks()

        self._scope.get_all([task_path(task) for task in page], read)

    def _task_seen(self, task: str, node: Node | Failed) -> None:
        if isinstance(node, Failed) or node.stat.children:  # do not act on it until more is known
            self.tasks.take(task)
        if node == GONE:
            # Deleted by hand. If one of its name comes before the next list, it is new there.
            self.tasks.remove(task)
            return
        if isinstance(node, Failed):
            log.error("no permission to read %s: trying again", task_path(task))
            self._scope.after(AGAIN_SECONDS, partial(self._read_again, task))
        elif node.stat.owner:  # it is no task, and whoever has it is to leave it alone
            self.tasks.remove(task)
            self.pointless |= self.cancels & {task}
            self._report(task_path(task), "is ephemeral: nothing can be recorded below it, so it never runs")
        elif node.stat.children == 0:
            self._sort_in(task, node)
        else:  # a final state, unless a person created other children there
            self._scope.exists(status_path(task), partial(self._looked_at_status, task, node))

    def _read_again(self, task: str) -> None:
        self.tasks.read_later([task])
        self._read_tasks()

    def _looked_at_status(self, task: str, node: Node, stat: Stat | None) -> None:
        if stat is None:
            self._sort_in(task, node)
            self._changed()
        else:
            self._finished(task)

    def _look_if_finished(self, task: str, worker: str = NOBODY) -> None:
        """Its assignment is gone: it has ended or was returned, unless a person deleted the assignment.

        A read of the task that is under way does not count: its answer may come before we know that the task
        was returned. A read sent after this look counts, because the watch on /returned fires before its
        answer.
        """
        self._vanished.add(task)
        self._outdated.add(task)

        def looked(status: Node | Failed) -> None:
            self._vanished.discard(task)
            if isinstance(status, Node):
                if worker != NOBODY and status.data in (DONE.encode(), FAILED.encode()):
                    self._ran(worker, task, status.data == DONE.encode())
                self._finished(task)
            else:
                self._read_again(task)

        self._scope.get(status_path(task), looked)

    def _finished(self, task: str) -> None:
        if task in self.tasks.names:
            self.tasks.finish(task, self._scope.now)
        self._changed()

    def _ended_while_it_waits(self, task: str) -> None:
        """Of what waits nobody watches the status, so a person's may be news."""
        if self.tasks.waits(task):
            self._finished(task)

    def _sort_in(self, task: str, node: Node) -> None:
        """The task has no final state: queue it, unless it is assigned or can never run."""
        self.tasks.reopen(task)  # it had a final state until somebody deleted that
        if task not in self.tasks.names:
            return
        if self.tasks.submitters.most:
            self.tasks.submitters.note(task, *whose_is(node))
        if not self.tasks.holders(task):
            try:
                asked, wall = Task.decode(node.data), self._wall()
            except BadTaskError as error:
                self.tasks.spoil(task, str(error))
                return
            now = self._scope.now
            self.tasks.queue(task, Waiting.of(asked, wall - node.stat.ctime, now), now, wall)
            self._time_passed()

    def _time_passed(self) -> None:
        """See what time has done to tasks that wait, now and whenever it may have done something."""
        self._wake(self.tasks.look(self._scope.now, self._wall()))
        if self._pause_ends:
            self._wake(self._pause_ends[0])

    def _wake(self, at: float) -> None:
        """Look then, unless we look sooner: that tells when to look again."""
        if at < min(self._alarms[:1], default=math.inf):
            heappush(self._alarms, at)
            self._scope.after(at - self._scope.now, self._ring)

    def _ring(self) -> None:
        now = self._scope.now + SOONEST_SECONDS
        for times in (self._alarms, self._pause_ends):
            while times and times[0] <= now:
                heappop(times)
        self._time_passed()
        self._changed()
