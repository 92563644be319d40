"""How large a request may be: as large as servers usually accept, or less if they turn out to accept less.

A server drops the connection of a client that sends more than its jute.maxbuffer in one request. That looks
like any lost connection, and the client would send the request again and again. So a request that is too
large is refused, not sent, and the caller sends less at a time. Servers may have a smaller limit than we
assume: if the connection is lost several times in a row while a large request is under way, its size counts
as the reason.
"""

import logging
from collections.abc import Iterable

from mwapp.core.messages import Create, Operation, Set, Transaction

log = logging.getLogger(__name__)

# jute.maxbuffer is 1 MiB - 1 unless configured.
MOST_BYTES = 1_000_000
# Smaller requests never count as the reason of a loss.
SUSPECT_BYTES = 64 * 1024
LOSSES = 3
# After this many seconds larger requests are tried again: the network may have been the reason.
FORGET_SECONDS = 600.0


class RequestSize:
    """The bound of one process."""

    def __init__(self, most: int = MOST_BYTES, suspect: int = SUSPECT_BYTES) -> None:
        """``suspect``: from this many bytes on, a request may be the reason why a connection is lost."""
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
        """A server has accepted it."""
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
    """The request's approximate size in bytes, never less than its real size."""
    if not isinstance(operation, Transaction):
        return len(operation.path)
    # Each operation has a header, a version or flags, and an access control list beside path and data.
    total = 0
    for op in operation.ops:
        total += len(op.path) + 64 + (len(op.data) if isinstance(op, Create | Set) else 0)
    return total
