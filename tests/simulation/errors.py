"""Errors other than a cut: requests that servers refuse, turn away, or reject because of their size.

Drawn from a separate stream, in some of the schedules; each is an ingredient.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mwapp.core.messages import Operation
from mwapp.core.protocol import ASSIGN, PARENTS, WORKERS
from tests.simulation.world import Chance

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.judge import Judge

# The share of schedules with such errors.
SHARE = 0.2


class Errors:
    """Draws them from :meth:`begin` to :meth:`end`."""

    def __init__(self, schedule: Any) -> None:
        """``schedule``: a Schedule; or one of shards, for what tests.simulation.shards.errors makes of it."""
        self._schedule = schedule
        self._world, self._denials = schedule.world, schedule.service.denials
        self._draw: Chance = schedule.world  # of the current one
        self._kinds: list[Callable[[], None]] = []
        self._ends: list[Callable[[], None]] = []
        self.bounded = False  # in the size of a request
        self.met: Counter[str] = Counter()
        self._denials.on_refusal = self._refused

    def begin(self, seconds: float) -> None:
        """Draw whether, what and when."""
        draw = self._world.stream("errors")
        every = [self.forbid, self.refuse, self.turn_away]
        only = self._schedule.bug.faults
        self._kinds = [kind for kind in every if kind.__name__ in only]
        if not only and draw.chance(SHARE):
            self._kinds = draw.random.sample(every, draw.random.choice([1, 1, 2]))
        if "bound" in only or (not only and draw.chance(SHARE)):
            self._bound(draw)
        if self._kinds:
            for _ in range(draw.random.choice([1, 2, 4, 8])):
                self._world.after(draw.random.random() * seconds, self._strike)

    def _bound(self, draw: Chance) -> None:
        """Even small requests are too large, and servers may accept less than processes assume."""
        service = self._schedule.service
        self.bounded = True
        for judge in self._judges():
            judge.denied.large = True
        service.most_sent = draw.random.choice([1200, 2000, 4000, service.most_sent])
        service.most_taken = draw.random.choice([1200, 2000, 4000, service.most_taken])
        self.met["bound"] += 1
        told = f"takes {service.most_taken} bytes at once, and processes send {service.most_sent} at most"
        self._world.note("ensemble", told)

    def end(self) -> None:
        """All requests are answered again."""
        self._kinds = []
        for end in self._ends:
            end()

    def _strike(self) -> None:
        draw = self._world.ingredient() if self._kinds else None
        if draw is not None:
            self._draw = draw
            kind = draw.random.choice(self._kinds)
            self.met[kind.__name__] += 1
            kind()

    def forbid(self) -> None:
        """Somebody sets an access control list on one znode, which for a while forbids reads, say."""
        paths = [path for path in self._schedule.person.nodes if path.startswith(PARENTS)]
        if paths:
            path = self._draw.random.choice(sorted(paths))
            letters = self._draw.random.choice(["r", "w", "c", "d", "cdrw"])
            self._world.note("person", f"forbids {letters} at {path}")
            self._schedule.judge.denied.marks |= self._workers(path)
            self._denials.forbid(path, letters)
            self._until_later(lambda: self._denials.allow(path), f"allows all at {path}")

    def _workers(self, path: str) -> set[str]:
        """Of which this is the registration, or a part of it."""
        every = {host.name.rstrip("'") for host in self._schedule.workers}
        _, parent, *below = path.split("/")
        if f"/{parent}" not in (WORKERS, ASSIGN):
            return set()
        return every & set(below[:1]) if below else every

    def refuse(self) -> None:
        """Servers refuse some or all requests of a process."""
        host, share = self._some_host(), self._draw.random.choice([0.1, 0.5, 1.0])
        self._world.note("ensemble", f"refuses {share:.0%} of what {host.name} asks")
        self._schedule.judge.denied.marks.add(host.name.rstrip("'"))
        self._denials.refuse(host.name, self._draw, share)
        self._until_later(lambda: self._denials.relent(host.name), f"refuses {host.name} nothing")

    def _refused(self, name: str, operation: Operation, at: int | None) -> None:
        """Let the judge of whoever has asked know."""
        host = next(host for host in self._schedule.hosts if host.name == name)
        neighbour = self._schedule.neighbour
        judge = neighbour.judge if neighbour is not None and host.chroot else self._schedule.judge
        judge.denied.note(operation, at, host.chroot, by_master=host.election is not None)

    def turn_away(self) -> None:
        """Servers have too much to do and skip some requests, or find that the session has moved."""
        host, share = self._some_host(), self._draw.random.choice([0.05, 0.2, 0.5])
        self._world.note("ensemble", f"turns {share:.0%} of what {host.name} asks away")
        self._denials.turn_away(host.name, self._draw, share)
        self._until_later(lambda: self._denials.relent(host.name), f"turns {host.name} not away")

    def _judges(self) -> "list[Judge]":
        neighbour = self._schedule.neighbour
        return [self._schedule.judge, *([neighbour.judge] if neighbour is not None else [])]

    def _some_host(self) -> "Host":
        hosts: list[Host] = self._schedule.hosts
        return self._draw.random.choice(hosts)

    def _until_later(self, end: Callable[[], None], told: str) -> None:
        def over() -> None:
            if end in self._ends:
                self._ends.remove(end)
                self._world.note("ensemble", told)
                end()

        self._ends.append(end)
        self._world.after(self._draw.between(0.1, 6.0), over)
