"""Another application on the same ensemble, below its own path: neither must notice the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from mwapp.core.messages import Create
from mwapp.core.task import Task
from tests.simulation.clients import Submitter
from tests.simulation.ensemble import SimEnsemble, Transacted
from tests.simulation.host import Host
from tests.simulation.judge import Judge, Znodes
from tests.simulation.past import Past, rewind
from tests.simulation.runner import Execution
from tests.simulation.tree import Tree, ZNode
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

CHROOT = "/other"


class _Nodes(Mapping[str, ZNode]):
    """The znodes below the chroot, by their paths there."""

    def __init__(self, tree: Callable[[], Tree]) -> None:
        self._tree = tree

    def __getitem__(self, path: str) -> ZNode:
        return self._tree().nodes[CHROOT + path]

    def __iter__(self) -> Iterator[str]:
        paths = self._tree().nodes
        return (path.removeprefix(CHROOT) for path in paths if path.startswith(f"{CHROOT}/"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class _Tree:
    nodes: Mapping[str, ZNode]


class _Below:
    """The ensemble as the judge of this application sees it."""

    def __init__(self, ensemble: SimEnsemble) -> None:
        self.sessions = ensemble.sessions
        self.decided = _Tree(_Nodes(lambda: ensemble.decided))


class Neighbour:
    """A master, a worker, a client, and what they are judged by."""

    def __init__(self, schedule: "Schedule", max_attempts: int) -> None:
        self._world = schedule.world
        self.judge = Judge(max_attempts=max_attempts)
        self.judge.ensemble = _Below(schedule.service.ensemble)
        self.judge.killed = schedule.judge.killed
        self.judge.clocks_stop = schedule.judge.clocks_stop
        self.judge.limits = schedule.limits
        self.judge.depositions.patience = schedule.patience
        self.judge.shares.most = schedule.judge.shares.most
        self._submitter = Submitter(self.judge, "other", schedule.limits.max_tasks)
        self._submitter.host = schedule.host("other", self._submitter.build, chroot=CHROOT)
        self.hosts = [
            schedule.host("other-m1", schedule.build_master, chroot=CHROOT),
            schedule.host(
                "other-w1", partial(schedule.build_worker, (1, 0, ())), chroot=CHROOT, on_run=self._run
            ),
            self._submitter.host,
        ]
        self.judge.hosts = self.hosts
        self._names = {host.name for host in self.hosts}
        schedule.person.do(Create(CHROOT))
        for _ in range(self._world.random.randint(1, 5)):
            draw = self._world.ingredient()
            if draw is not None:
                self._world.after(draw.random.random() * 2.0, self._submit)

    @property
    def waits(self) -> bool:
        """Whether something has not ended, or a client still waits."""
        return not self.judge.all_ended() or self._submitter.waits

    def committed(self, entry: Transacted, hosts: Iterable[Host]) -> None:
        """Let the judge see what concerns this application. ``hosts``: of both."""
        who = [host.name for host in hosts if entry.session in host.lives] if entry.changes else []
        for change in entry.changes if who else ():
            below = f"{change.path}/".startswith(f"{CHROOT}/")
            if below is not self._names.issuperset(who):
                raise Violation("chroot-kept", f"{who} of another application: {change}")
        self.judge.committed(self._concerns(entry))

    def lost(self, log: Iterable[Transacted], lost: Iterable[Transacted]) -> None:
        """The ensemble has lost something; this is left."""
        rewind(self.judge, log, lost, self._concerns, self._seen)

    @staticmethod
    def _seen(past: Past) -> Znodes:
        return _Tree(_Nodes(lambda: past.tree))

    @staticmethod
    def _concerns(entry: Transacted) -> Transacted:
        below = f"{CHROOT}/"
        changes = tuple(
            replace(change, path=change.path.removeprefix(CHROOT))
            for change in entry.changes
            if change.path.startswith(below)
        )
        return replace(entry, changes=changes)

    def _submit(self) -> None:
        self._submitter.submit([(Task("echo other"), None)])

    def _run(self, host: Host, execution: Execution) -> None:
        self.judge.runs.started(execution)
        host.after(self._world.random.random() * 0.3, lambda: host.finish(execution, 0))
