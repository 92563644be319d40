"""Requests about shards that servers refuse, or turn away: drawn from a separate stream, in some of the
schedules; each is an ingredient."""

from mwapp.core.messages import Operation
from mwapp.core.protocol import ASSIGN
from mwapp.core.shards.protocol import SHARD_PARENTS
from tests.simulation import errors

# The share of schedules with such errors.
SHARE = 0.15


class Errors(errors.Errors):
    """Draws them from :meth:`begin` to :meth:`end`. A page cannot be sent in parts, so the size of requests
    is not bounded."""

    def begin(self, seconds: float) -> None:
        """Draw whether, what and when."""
        draw = self._world.stream("errors")
        only = self._schedule.planted.faults
        every = [self.forbid, self.refuse, self.turn_away]
        if not only and draw.chance(SHARE):
            self._kinds = draw.random.sample(every, draw.random.choice([1, 1, 2]))
            for _ in range(draw.random.choice([1, 2, 4, 8])):
                self._world.after(draw.random.random() * seconds, self._strike)

    def forbid(self) -> None:
        """Somebody sets an access control list on one znode, which for a while forbids reads, say."""
        paths = [path for path in self._schedule.person.nodes if path.startswith((*SHARD_PARENTS, ASSIGN))]
        if paths:
            path = self._draw.random.choice(sorted(paths))
            letters = self._draw.random.choice(["r", "w", "c", "d", "cdrw"])
            self._world.note("person", f"forbids {letters} at {path}")
            self._denials.forbid(path, letters)
            self._until_later(lambda: self._denials.allow(path), f"allows all at {path}")

    def refuse(self) -> None:
        """Servers refuse some or all requests of a process."""
        host, share = self._some_host(), self._draw.random.choice([0.1, 0.5, 1.0])
        self._world.note("ensemble", f"refuses {share:.0%} of what {host.name} asks")
        self._denials.refuse(host.name, self._draw, share)
        self._until_later(lambda: self._denials.relent(host.name), f"refuses {host.name} nothing")

    def _refused(self, name: str, operation: Operation, at: int | None) -> None:  # noqa: ARG002 - who is enough
        self._schedule.refused.add(name)
