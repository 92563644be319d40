"""How large a request may be: as large as servers usually take, or less where they prove to take less.

A server drops the connection of whoever sends more than its jute.maxbuffer in one request. That looks like
any lost connection, after which the request would be sent again, and again. So what is too large is not sent
but refused, and whoever asked sends less at a time. Servers may be set to take less than we think: when the
connection is lost some times in a row while a large request is under way, its size is taken for the reason.
"""

import logging
from collections.abc import Iterable

from mwapp.core.messages import Operation, Transaction

log = logging.getLogger(__name__)

# jute.maxbuffer is 1 MiB - 1 unless configured.
MOST_BYTES = 1_000_000
# Smaller requests are never taken for the reason of a loss.
SUSPECT_BYTES = 64 * 1024
LOSSES = 3
# What was learnt is tried again after so many seconds: it may have been the network.
FORGET_SECONDS = 600.0


class RequestSize:
    """The bound of one process."""

    def __init__(self, most: int = MOST_BYTES, suspect: int = SUSPECT_BYTES) -> None:
        """``suspect``: from so many bytes on a request may be the reason why a connection is lost."""
        self._usual, self._most, self._suspect = most, most, suspect
        self._losses = 0
        self._smallest = 0  # of the largest ones under way when the connection was lost
        self._until = 0.0

    def allows(self, operation: Operation, now: float) -> bool:
        """Whether it may be sent at that time."""
        if now >= self._until:
            self._most = self._usual
        return not isinstance(operation, Transaction) or size(operation) <= self._most

    def answered(self, operation: Operation) -> None:
        """A server has taken it."""
        if self._losses and size(operation) >= self._smallest:
            self._losses = 0

    def lost(self, operations: Iterable[Operation], now: float) -> None:
        """The connection was lost before these were answered."""
        largest = max(map(size, operations), default=0)
        if largest < self._suspect:
            return
        self._smallest = min(self._smallest, largest) if self._losses else largest
        self._losses += 1
        if self._losses == LOSSES:
            self._losses, self._most, self._until = 0, self._smallest - 1, now + FORGET_SECONDS
            log.error(
                "the connection is lost whenever a request of %d bytes is sent: sending less at a time; "
                "set the servers' jute.maxbuffer to 1 MiB or more",
                self._smallest,
            )


def size(operation: Operation) -> int:
    """Of the request in bytes, about: no less than it has."""
    if not isinstance(operation, Transaction):
        return len(operation.path)
    # Each operation has a header, a version or flags, and an access control list beside path and data.
    return sum(len(op.path) + len(getattr(op, "data", b"")) + 64 for op in operation.ops)
