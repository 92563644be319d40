"""A person who deletes, creates and sets any znode at any time.

Drawn from a separate stream, in some of the schedules; each act is an ingredient. In the end the person
removes what blocks progress; much of the rest stays.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mwapp.core.messages import Create, Delete, Set
from mwapp.core.protocol import (
    ASSIGN,
    CANCEL,
    CANDIDATES,
    EPOCH,
    MASTER,
    PARENTS,
    REMOVE,
    REQUESTS,
    RETURNED,
    RUN,
    TASKS,
    WORKERS,
    Assignment,
    Registration,
    assign_path,
    cancel_path,
    candidate_path,
    request_path,
    result_path,
    status_path,
    task_path,
    worker_path,
)
from tests.simulation.load import POISON
from tests.simulation.world import Chance

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

# The share of schedules with a person who works by hand.
SHARE = 0.25
GARBAGE = (b"", b"x", b"{", b"[]", b"\xff", b"null", b'{"attempt": "one"}', b'{"session": "0x0"}')
# A registration of a session that never existed.
DEAD = Registration(0xDEAD, slots=2).encode()
ASSIGNMENTS = (
    b"",
    Assignment(10**12).encode(),
    b'{"attempt": -3, "incarnation": -1, "failures": 7}',
    Assignment(3, incarnation=0, epoch=10**9, failures=2).encode(),
    Assignment(2, incarnation=1).encode(),
    Assignment(1, labels=("nobody-has-it",)).encode(),
)
WORDS = (b"done", b"finished", b"", b"DONE\n", b"\xff")
NOBODYS = "ghost"  # no worker has this name


class Hands:
    """A person at zkCli.sh who knows no rules."""

    def __init__(self, schedule: "Schedule") -> None:
        self._schedule = schedule
        self._world, self._person = schedule.world, schedule.person
        self._draw: Chance = schedule.world  # of the current act
        self._kinds: list[Callable[[], None]] = []
        self._in_the_way: list[str] = []  # what must go before peace
        self._stays = False  # something does that looks as if it had to
        self.met: Counter[str] = Counter()

    def begin(self, seconds: float) -> None:
        """Draw whether, what and when."""
        draw = self._world.stream("hands")
        every = [
            *(self.delete, self.delete_all, self.delete_parent, self.lose_epoch),
            *(self.misplace, self.report, self.request, self.litter, self.spoil),
            *(self.occupy_leadership, self.occupy_name, self.mistake_lifetime),
        ]
        only = self._schedule.bug.faults
        self._kinds = [kind for kind in every if kind.__name__ in only]
        if not only and draw.chance(SHARE):
            self._kinds = draw.random.sample(every, draw.random.choice([1, 1, 2, len(every)]))
        if self._kinds:
            for _ in range(draw.random.choice([1, 2, 4, 8])):
                self._world.after(draw.random.random() * seconds, self._act)

    def end(self) -> None:
        """Remove what blocks progress."""
        self._kinds = []
        for path in [*reversed(self._in_the_way), *self._uncounted()]:  # children come first
            self._person.do(Delete(path))
        self._in_the_way.clear()

    def _uncounted(self) -> list[str]:
        """Assignments over which workers die without end: those without an incarnation do not count."""
        asked = self._schedule.judge.asked
        poison = {task for task, what in asked.items() if what is not None and what.command == POISON}
        return [
            path
            for path, node in self._person.nodes.items()
            if path.startswith(f"{ASSIGN}/") and path.rpartition("/")[2] in poison
            if Assignment.decode(node.data).incarnation is None
        ]

    def _act(self) -> None:
        draw = self._world.ingredient() if self._kinds else None
        if draw is not None:
            self._draw = draw
            kind = draw.random.choice(self._kinds)
            self.met[kind.__name__] += 1
            kind()

    # ------------------------------------------------------------ deleting

    def delete(self) -> None:
        """Delete a znode that has no children."""
        nodes = self._person.nodes
        path = self._some([path for path in self._paths() if not nodes[path].children])
        if path is not None:
            self._person.do(Delete(path))

    def delete_all(self) -> None:
        """Delete a znode and everything below it."""
        path = self._some(self._paths())
        if path is not None:
            self._delete_all(path)

    def delete_parent(self) -> None:
        """Delete one of the parents that everybody needs, with everything below it, or only if it is
        empty."""
        path = self._draw.random.choice([TASKS, ASSIGN, WORKERS, RETURNED, CANCEL, REQUESTS, CANDIDATES])
        if self._draw.chance(0.5):
            self._delete_all(path)
        else:
            self._person.do(Delete(path))

    def lose_epoch(self) -> None:
        """Delete /epoch, and perhaps /master, so that somebody has to win again."""
        self._person.do(Delete(EPOCH))
        if self._draw.chance(0.5):
            self._person.do(Delete(MASTER))

    def _delete_all(self, path: str) -> None:
        """Like deleteall: delete what is there now, one by one, at once or while others continue."""
        pause = self._draw.random.choice([0.0, 0.0, 0.001, 0.02])
        for number, each in enumerate(self._person.below(path)):
            if pause:
                self._world.after(number * pause, lambda each=each: self._person.do(Delete(each)))  # type: ignore[misc]  # a default binds it
            else:
                self._person.do(Delete(each))

    # ------------------------------------------------------------ creating

    def misplace(self) -> None:
        """Put a task into a queue, which may be nobody's, or into two."""
        task = self._task()
        queue = self._draw.random.choice([*self._workers(), NOBODYS, ""])
        if queue:
            self._person.do(Create(assign_path(queue)))
        self._person.do(Create(assign_path(queue, task), self._draw.random.choice(ASSIGNMENTS)))

    def report(self) -> None:
        """Write a status or a result, in any words."""
        task, word = self._task(), self._draw.random.choice(WORDS)
        if self._draw.chance(0.7):
            self._person.do(Create(status_path(task), word))
        else:
            self._person.do(Create(result_path(task), word))

    def request(self) -> None:
        """Ask for a task to run again or be removed, whether it has ended or not; or create what a candidate
        creates."""
        words = [RUN.encode(), REMOVE.encode(), *GARBAGE]
        candidate = self._draw.random.choice(self._schedule.masters)
        session = candidate.process.session if candidate.process is not None else None
        standing = candidate_path(candidate.name.rstrip("'"), session or 0)
        path = self._draw.random.choice([*[request_path(self._task())] * 3, standing, EPOCH])
        self._person.do(Create(path, self._draw.random.choice(words)))

    def litter(self) -> None:
        """Create something in the wrong place: below a task or an assignment, or far ahead."""
        task = self._task()
        queue = self._draw.random.choice(self._workers())
        blocks = [cancel_path(task), assign_path(queue, task), assign_path("", task), worker_path(queue)]
        path = self._draw.random.choice([*blocks, task_path(task), status_path(task), TASKS, ASSIGN, "/"])
        name = self._draw.random.choice(["note", "task-2147483646", "named-1", "named-7"])
        self._person.do(Create(f"{path.rstrip('/')}/{name}", b"date"))
        if path in blocks:
            self._in_the_way.append(f"{path}/{name}")

    def mistake_lifetime(self) -> None:
        """Create a task or a worker's queue with -e: nothing can be created below it. It may stay, if other
        workers can do all that is to be done."""
        task, queue = task_path(self._task()), assign_path(self._draw.random.choice(self._workers()))
        path = self._draw.random.choice([task, queue])
        self._person.do(Delete(path))  # unless there is something below it
        self._person.do(Create(path, b"date", ephemeral=True))
        schedule = self._schedule
        alike = not schedule.labelled and schedule.masters is not schedule.workers  # an elected peer rests
        others = path == task or (alike and len(self._workers()) > 1)
        if not others or self._stays or self._draw.chance(0.5):
            self._in_the_way.append(path)
        else:
            self._stays = True

    def occupy_leadership(self) -> None:
        """Create /master: persistent, or like a master."""
        self._occupy(MASTER)

    def occupy_name(self) -> None:
        """Create a worker's znode: persistent, or like a worker, and do nothing."""
        self._occupy(worker_path(self._draw.random.choice([*self._workers(), NOBODYS])))

    def _occupy(self, path: str) -> None:
        if self._draw.chance(0.7):
            self._person.do(Delete(path))
        self._person.do(Create(path, b"by hand", ephemeral=self._draw.chance(0.3)))
        self._in_the_way.append(path)
        if self._draw.chance(0.5):
            self._world.after(self._draw.between(0.1, 4.0), partial(self._clear, path))

    def _clear(self, path: str) -> None:
        """Unless that is done: what is there in peace is somebody's."""
        if path in self._in_the_way:
            self._person.do(Delete(path))

    # ------------------------------------------------------------ setting

    def spoil(self) -> None:
        """Set a znode's data: to garbage, to another's data, or to something plausible but false."""
        path = self._some([*self._paths(), *PARENTS, MASTER]) or MASTER
        nodes = self._person.nodes
        if path in nodes:
            another = nodes[self._draw.random.choice([path, *sorted(self._paths())])].data
            data = self._draw.random.choice([*GARBAGE, *ASSIGNMENTS, *WORDS, DEAD, another, another])
            self._person.do(Set(path, data))

    # ------------------------------------------------------------ what there is

    def _paths(self) -> list[str]:
        """What is below the parents."""
        return [path for path in self._person.nodes if path.count("/") > 1 and path.startswith(PARENTS)]

    def _some(self, paths: list[str]) -> str | None:
        """One of them, each kind with the same probability."""
        by_kind: dict[tuple[str, int], list[str]] = {}
        for path in sorted(paths):
            by_kind.setdefault((path.split("/")[1], path.count("/")), []).append(path)
        if not by_kind:
            return None
        return self._draw.random.choice(by_kind[self._draw.random.choice(sorted(by_kind))])

    def _task(self) -> str:
        """Usually one that exists."""
        tasks = sorted(self._person.nodes[TASKS].children) if TASKS in self._person.nodes else []
        return self._draw.random.choice([*tasks, *tasks, "task-0000000099", "named-1"])

    def _workers(self) -> list[str]:
        return sorted({host.name.rstrip("'") for host in self._schedule.workers})
