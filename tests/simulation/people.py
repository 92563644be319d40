"""A person at zkCli.sh, who may do anything and sometimes plays a worker."""

from mwapp.core.messages import Create, Delete, Op
from mwapp.core.protocol import ASSIGN, DONE, assign_path, status_path, worker_path
from tests.simulation.service import Service
from tests.simulation.tree import ZNode
from tests.simulation.world import World

# No process of ours has this name.
NAME = "hand"


class Person:
    """Works on the committed state, without delay, while there is a quorum."""

    def __init__(self, world: World, service: Service) -> None:
        self._world, self._service = world, service
        self.session = service.ensemble.open(1e9, 0.0)
        self._works = False

    def do(self, *ops: Op) -> None:
        """Try a transaction."""
        if self._service.quorum:
            self._world.note("person", ops)
            self._service.ensemble.transact(self.session, ops, self._world.now)

    @property
    def nodes(self) -> dict[str, ZNode]:
        """The committed znodes."""
        return self._service.ensemble.decided.nodes

    def below(self, path: str) -> list[str]:
        """A znode and everything below it, in an order in which they can be deleted."""
        nodes = self.nodes
        children = sorted(nodes[path].children) if path in nodes else []
        return [*(each for name in children for each in self.below(f"{path}/{name}")), path]

    def play_worker(self) -> None:
        """Register as zkCli.sh can, and report on a task now and then, until :meth:`leave`."""
        self._works = True
        self._work()

    def leave(self) -> None:
        """Stop working."""
        self._works = False
        self.do(Delete(worker_path(NAME)))

    def _work(self) -> None:
        if not self._works:
            return
        nodes = self._service.ensemble.decided.nodes
        if worker_path(NAME) not in nodes:
            self.do(Create(worker_path(NAME), b"hand:2224", ephemeral=True))
        elif f"{ASSIGN}/{NAME}" in nodes:
            for task in sorted(nodes[assign_path(NAME)].children):
                if status_path(task) not in nodes:
                    self.do(Create(status_path(task), DONE.encode()))
        self._world.after(0.1 + self._world.random.random(), self._work)
