"""Equal peers: each is a worker, and they elect one of themselves.

The elected peer is the master and no longer a worker: it takes no new tasks and hands back those that have
not begun. When it loses leadership it is a worker again. So a single peer runs nothing; two or more do.
"""

from typing import Any

from mwapp.core.master import Master
from mwapp.core.session import Callback
from mwapp.core.worker import Worker


class PeerDuty:
    """The :class:`~mwapp.core.election.Duty` of a peer: that of a master, while its worker pauses."""

    def __init__(self, master: Master, worker: Worker) -> None:
        self._master, self._worker = master, worker

    def begin(self, epoch: int, fenced: Callback) -> None:
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
