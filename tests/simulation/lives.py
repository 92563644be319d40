"""Which process each incarnation of a worker belongs to, and whether that process lived on when it ended."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.attempts import Lost
from tests.simulation.host import Host

# A master may take this long to hear of a registration, seconds: it stood still, or its server lagged.
UNHEARD = 5.0


@dataclass(frozen=True, slots=True)
class Life:
    """One process of a host."""

    host: str
    number: int


class Lives:
    """What the judge sees when workers register."""

    def __init__(self) -> None:
        self._registered: dict[str, list[tuple[int, Life | None, float]]] = {}  # by worker

    def registered(
        self, worker: str, incarnation: int, session: int, hosts: Iterable[Host], now: float
    ) -> None:
        """That session has the worker's name from now on, under this incarnation. Its process may have died
        since it sent this: seed 1111304."""
        life = next((Life(host.name, host.lives[session]) for host in hosts if session in host.lives), None)
        self._registered.setdefault(worker, []).append((incarnation, life, now))

    def lives(self, lost: Lost, now: float) -> bool:
        """Whether everybody knows that the process lived on: it registered again some time ago, and is
        registered."""
        later = self._later(lost)
        last = self._registered.get(lost[0], [])[-1:]
        return bool(later) and later[-1:] == last and later[-1][2] <= now - UNHEARD

    def died(self, lost: Lost, hosts: Iterable[Host]) -> bool:
        """Whether its process is certainly gone, and never registered again. If somebody deleted the queue,
        another incarnation had the same number, and may have lived on."""
        life, numbers = self._life(lost), [number for number, _, _ in self._registered.get(lost[0], [])]
        if life is None or self._later(lost) or numbers.count(lost[1] or 0) > 1:
            return False
        host = next((host for host in hosts if host.name == life.host), None)
        return host is not None and (host.process is None or host.life != life.number)

    def _life(self, lost: Lost) -> Life | None:
        worker, incarnation = lost
        lives = [life for number, life, _ in self._registered.get(worker, []) if number == incarnation]
        return lives[-1] if lives else None

    def _later(self, lost: Lost) -> list[tuple[int, Life | None, float]]:
        life, (worker, incarnation) = self._life(lost), lost
        if life is None:
            return []
        known = self._registered[worker]
        return [it for it in known if it[1] == life and it[0] > (incarnation or 0)]
