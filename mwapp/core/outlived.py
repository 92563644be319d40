"""The incarnations that a worker has outlived, or that were told to stop. Its registration names them: no
task is to blame for their end."""

from mwapp.core.messages import Failed, Node
from mwapp.core.protocol import Registration

# A registration names this many at most.
OUTLIVED = 20


class Outlived:
    """Those of this process, and in a registration those of the processes before it, too."""

    def __init__(self, ended: tuple[int, ...] = ()) -> None:
        """``ended``: sessions of those before it that were told to stop, and may have handed nothing back."""
        self.last = -1  # what started under it or earlier must not start again
        self._numbers: list[int] = []
        # The last ones in which we, or who ended before us, asked for an incarnation.
        self._sessions: list[int] = [*ended]

    def add(self, incarnation: int) -> None:
        """This one is over, and we live."""
        self.last = max(self.last, incarnation)
        self._numbers = [*self._numbers, incarnation][-OUTLIVED:]

    def in_registration(self, queue: Node | Failed, session: int) -> tuple[int, ...]:
        """What a registration in this session names. Only the queue remembers those of the processes before
        us."""
        before = Registration.decode(queue.data) if isinstance(queue, Node) else None
        known = {*(before.outlived if before is not None else ()), *self._numbers}
        if isinstance(queue, Node) and before is not None and before.session in self._sessions:
            known.add(queue.stat.version)  # we never heard of it: seed 9068067
        self._sessions = [*self._sessions, session][-OUTLIVED:]
        return tuple(sorted(known)[-OUTLIVED:])
