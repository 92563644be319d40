"""Ports on loopback for servers, such that no other process that asks here is about to take them."""

import random
import socket
from collections.abc import Iterator

# Below those that the kernel takes for outgoing connections: a server started again must find its port free.
FIRST, LAST, BLOCK = 12_000, 32_000, 100

_claims: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on. None is given twice, or to another process while this one lives."""
    return [next(_ports) for _ in range(count)]


def _unused() -> Iterator[int]:
    return (port for block in _blocks() for port in block if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _blocks() -> Iterator[range]:
    """Ranges of ports that are ours alone. A name outside the file system goes with the process that has it,
    and is known as far as a port on loopback is: in this network namespace."""
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
