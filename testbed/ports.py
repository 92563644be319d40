"""Ports on loopback for servers, which no other process that asks here gets."""

import errno
import random
import socket
from collections.abc import Iterator

# Below the kernel's ports for outgoing connections: a restarted server must find its port free.
FIRST, LAST, BLOCK = 12_000, 32_000, 100
NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_claims: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens, at 127.0.0.1 and ::1. Each is given once, and to no other process while
    this one lives."""
    return [next(_ports) for _ in range(count)]


def _unused() -> Iterator[int]:
    return (port for block in _blocks() for port in block if _is_free(port))


def _is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.bind((address, port))
        except OSError as problem:
            if problem.errno not in NO_SUCH_ADDRESS:  # nobody listens at one that this machine has not
                return False
    return True


def _blocks() -> Iterator[range]:
    """Ranges of ports that are only ours. A socket name outside the file system disappears with its process,
    and has the scope of a port on loopback: this network namespace."""
    begins = list(range(FIRST, LAST, BLOCK))
    random.shuffle(begins)
    for begin in begins:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0zklab-ports-{begin}")
        except OSError:  # another process has it
            claim.close()
            continue
        _claims.append(claim)
        yield range(begin, begin + BLOCK)
    raise RuntimeError(f"no port from {FIRST} to {LAST} is left: end some of the test runs on this machine")


_ports = _unused()
