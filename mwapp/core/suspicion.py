"""A standby takes over from a master that is silent, before its session has ended.

The active master beats: now and then it sets its znode in ``/candidates``, as long as its epoch is not over.
A standby watches that znode. If nothing has set it for a while, the standby deposes the master in the
transaction that wins, which also checks the znode's version. So a beat that the ensemble has taken meanwhile
keeps the master active, and it does not matter how late the standby's watches, reads and timers are: what
it read last is what is there, or it is refused.

A needless deposition costs an election and no more, because every write of a master is fenced. But a master
that is always a little late must not be deposed again and again. So each winner notes in ``/epoch`` how many
were deposed of late. The more there were, the longer the next one is left alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mwapp.core.messages import Check, Failed, Node, Set, Stat
from mwapp.core.protocol import EPOCH, Winner
from mwapp.core.session import Callback, Process, Scope


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a standby waits; seconds, on its own clock."""

    silence: float = 0.6  # infinite: it never deposes, and as master it does not beat and is never deposed
    beat: float = 0.2
    hold_down: float = 5.0  # a master that follows one that was deposed is left alone for so long, ...
    most: int = 3  # ... for twice as long each time, and after so many depositions ...
    memory: float = 600.0  # ... until it has led for so long; then all that is forgotten

    def leaves_alone(self, depositions: int) -> float:
        """For how long a master is left alone, after so many depositions of late."""
        if not depositions:
            return 0.0
        if depositions >= self.most:
            return self.memory
        return min(self.memory, self.hold_down * 2.0 ** (depositions - 1))


class Depositions:
    """What a candidate knows of the depositions of late. It measures from when it first saw an epoch, so it
    may leave a master alone for too long, never for too short a time."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._epoch: tuple[int, bytes] | None = None
        self._since = 0.0
        self._before = 0  # how many there were when this epoch was won
        self._counters = {"made": 0, "refused": 0}  # by this candidate

    def note(self, epoch: Node, spare: Node, now: float) -> None:
        """``/epoch`` and ``/tasks`` as they are: they note how many their winner knew of."""
        which = epoch.stat.version, epoch.data
        if which != self._epoch:
            self._epoch, self._since = which, now
        winners = [Winner.decode(node.data) for node in (epoch, spare)]
        self._before = max([winner.depositions for winner in winners if winner is not None], default=0)

    def of_late(self, now: float) -> int:
        """How many there were."""
        return self._before if now < self._since + self._patience.memory else 0

    def earliest(self, now: float) -> float:
        """Until when the master of this epoch is left alone."""
        return self._since + self._patience.leaves_alone(self.of_late(now))

    def tried(self, result: tuple[Any, ...] | Failed) -> None:
        """This candidate has tried to depose the master."""
        self._counters["refused" if isinstance(result, Failed) else "made"] += 1

    def status(self, now: float) -> dict[str, Any]:
        """For the status endpoint."""
        return {"deposed_of_late": self.of_late(now), "depositions": dict(self._counters)}


PATIENCE = Patience()
NEVER = Patience(silence=math.inf)
# Seconds; one or two beats may be late.
LEAST_SILENCE = 0.6


def beat(scope: Scope, epoch: int, path: str, address: bytes, patience: Patience, fenced: Callback) -> None:
    """Show again and again that the master of this epoch is at work. ``fenced``: the epoch is over.

    It does not wait for answers: if the ensemble stands still, the beats are in front of a deposition.
    """
    if patience.silence == math.inf:
        return

    def answered(result: tuple[Any, ...] | Failed) -> None:
        if isinstance(result, Failed) and result.index == 0:
            fenced()  # otherwise the znode is missing for now, or forbidden: then nobody deposes us

    def again() -> None:
        scope.transact([Check(EPOCH, epoch), Set(path, address)], answered)
        scope.after(patience.beat, again)

    again()


class Watcher:
    """Listens to a master, and calls ``silent`` with the version of its znode, once, when it is silent.

    Not before ``earliest``, seconds. A master that has never beaten may be one of an earlier release, which
    does not: it is never silent.
    """

    def __init__(
        self,
        process: Process,
        path: str,
        patience: Patience,
        earliest: float,
        silent: Callable[[int], None],
    ) -> None:
        self._process, self._scope = process, process.scope()
        self._path, self._patience, self._earliest, self._silent = path, patience, earliest, silent
        self._heard = 0.0
        self._version: int | None = None  # None: nothing was read yet
        self._look()

    def cancel(self) -> None:
        """Listen no more."""
        self._scope.cancel()

    def _look(self) -> None:
        self._scope.exists(self._path, self._seen, watch=self._look)

    def _seen(self, stat: Stat | None) -> None:
        first = self._version is None
        self._heard, self._version = self._process.now, stat.version if stat is not None else 0
        if first:
            self._wait()

    def _wait(self) -> None:
        """There is one timer, however many beats come."""
        due = max(self._heard + self._patience.silence, self._earliest)
        if due > self._process.now:
            self._process.call_at(due, self._scope, self._wait)
        elif self._version:
            self._silent(self._version)
        else:
            self._process.call_at(self._process.now + self._patience.silence, self._scope, self._wait)
