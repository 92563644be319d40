"""Whether the names of servers have addresses: an ensemble that nobody can find does not answer either."""

import socket

from mwapp.zookeeper.connect_string import Servers


def unresolved(servers: Servers) -> dict[str, str]:
    """The names that have no address, each with the reason."""
    found = {}
    for host, port in servers.addresses:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:  # a label that is too long, say
            found[host] = str(getattr(problem, "strerror", None) or problem)
    return found


def nobody_there(setting: str, servers: Servers) -> str | None:
    """The message if none of the names has an address; ``setting`` says where they are. None: one has."""
    names = unresolved(servers)
    if any(host not in names for host, _ in servers.addresses):
        return None
    return (
        f"{setting} {servers}: no address for {', '.join(names)} ({next(iter(names.values()))}); correct the "
        "name, or add it to DNS or /etc/hosts"
    )
