"""Access control lists: who the processes are, and who writes /acl, the znode that says who may do what.

In one schedule of eight. What the list of a znode has to be the table in mwapp.zookeeper.acl says, which has
tests of its own (tests/unit/test_zk_acl.py); here it is whether that list goes over the wire.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mwapp.core.messages import Create, Delete, Get, Op, Operation, Set
from mwapp.zookeeper import acl
from mwapp.zookeeper.acl import Policy, subject
from mwapp.zookeeper.connect_string import Servers
from tests.simulation.service import Service
from tests.simulation.world import World

OFTEN = 1 / 8
_FIRST = Policy.of(["m"], [], ["w"], ["c"])
_SECOND = Policy.of(["m", "m2"], ["n"], ["w", "w2"], ["c", "c2"])
POLICIES = (_FIRST, _SECOND, replace(_FIRST, complete=True), replace(_SECOND, lifting=True))
# A master, a worker, a client; one who becomes a client; and a stranger.
SUBJECTS = (*(subject(name) for name in ("mwapp-master-m", "mwapp-worker-w", "c", "c2", "stranger")),)
# How long nobody may read it, at most, seconds.
LONGEST = 3.0


class Certificate:
    """Instead of mwapp.zookeeper.tls.Tls: a process with this subject. Nothing is encrypted."""

    def __init__(self, whose: str) -> None:
        self.subject = whose

    def wrap(self, connection: Any, _host: str) -> Any:
        """Encrypt nothing."""
        return connection

    def channel(self, connection: Any, _refused: Callable[[str], None]) -> Any:
        """The simulated connection never waits by itself."""
        return connection

    def connect(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        """As it would be without."""
        return connect


class Lists:
    """Who the processes are; and somebody who writes /acl now and then, until :meth:`end`."""

    def __init__(self, world: World, service: Service) -> None:
        self._world, self._service = world, service
        self._draw = world.stream("lists")
        self.there = self._draw.chance(OFTEN)
        self._session = 0  # of who writes it
        self._refuses = 0.0  # so often a server refuses a read of it
        self._at_war = True

    def certificate(self) -> Any:
        """A process's; None: it has none."""
        known = self.there and self._draw.chance(0.8)
        return Certificate(self._draw.random.choice(SUBJECTS)) if known else None

    def begin(self, seconds: float, servers: list[Servers]) -> None:
        """From now on for so long."""
        if not self.there:
            return
        self._session = self._service.ensemble.open(1e9, 0.0)
        often = self._draw.random.choice([0.0, 0.3])
        self._refuses = self._draw.random.choice([0.0, often, 1.0])
        for each in servers:
            if self._draw.chance(0.7):
                self._transact(*map(Create, each.parents))
                self._write(each, self._draw.random.choice(POLICIES).encode())
        at = self._draw.random.random() * LONGEST
        self._world.after(at, lambda: self._relents(often))
        while at < seconds:
            self._world.after(at, lambda: self._strike(servers, often))
            at += self._draw.random.expovariate(1 / 1.5)

    def end(self) -> None:
        """It may be read again, and nobody writes it any more."""
        self._at_war, self._refuses = False, 0.0

    def refuses(self, operation: Operation) -> bool:
        """Whether a server refuses this: to look whether a znode is there needs no permission."""
        its = isinstance(operation, Get) and operation.path.endswith(acl.PATH)
        return its and self._draw.chance(self._refuses)

    def change(self, servers: Servers, before: Policy | None) -> Policy | None:
        """Somebody writes another policy, or deletes it; returns that."""
        policy = self._draw.random.choice([one for one in (None, *POLICIES) if one != before])
        if policy is None:
            self._transact(Delete(servers.chroot + acl.PATH))
        else:
            self._write(servers, policy.encode())
        return policy

    # ------------------------------------------------------------ now and then

    def _strike(self, every: list[Servers], often: float) -> None:
        draw = self._world.ingredient() if self._at_war and self._service.quorum else None
        if draw is None:
            return
        servers, kind = draw.random.choice(every), draw.random.random()
        if kind < 0.5:
            self._write(servers, draw.random.choice(POLICIES).encode())
        elif kind < 0.7:
            self._transact(Delete(servers.chroot + acl.PATH))
        elif kind < 0.8:
            self._write(servers, b"{")
        else:
            self._world.note("person", f"lets nobody read {acl.PATH}")
            self._refuses = 1.0
            self._world.after(draw.between(0.1, LONGEST), lambda: self._relents(often))

    def _relents(self, often: float) -> None:
        if self._at_war:
            self._refuses = often

    def _write(self, servers: Servers, data: bytes) -> None:
        """Where there is no chroot yet, there is nobody either."""
        path = servers.chroot + acl.PATH
        there = path in self._service.ensemble.decided.nodes
        self._transact(Set(path, data) if there else Create(path, data))

    def _transact(self, *ops: Op) -> None:
        for op in ops:
            self._world.note("person", op)
            self._service.ensemble.transact(self._session, (op,), self._world.now)
