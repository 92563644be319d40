"""Equal peers: every one is a worker, and one of them is elected.

It is the master then and no worker: it takes nothing new, hands back what has not begun, and is a worker
again when it has lost leadership. So a single peer runs nothing; two or more do.
"""

from typing import Any

from mwapp.core.master import Master
from mwapp.core.session import Call
from mwapp.core.worker import Worker


class PeerDuty:
    """The :class:`~mwapp.core.election.Duty` of a peer: the master's, and its worker pauses meanwhile."""

    def __init__(self, master: Master, worker: Worker) -> None:
        self._master, self._worker = master, worker

    def begin(self, epoch: int, fenced: Call) -> None:
        """Lead, and leave the work to the others."""
        self._worker.pause()
        self._master.begin(epoch, fenced)

    def end(self) -> None:
        """Be a worker again."""
        self._master.end()
        self._worker.resume()

    def status(self) -> dict[str, Any]:
        """The master's."""
        return self._master.status()
