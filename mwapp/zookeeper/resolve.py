"""Whether the names of servers have addresses: an ensemble that nobody can find does not answer either."""

import socket

from mwapp.zookeeper.connect_string import Servers

# Nobody who knows could be asked.
UNCERTAIN = "the name service does not answer"


def unresolved(servers: Servers) -> dict[str, str]:
    """The names that have no address, each with the reason."""
    problems = {host: _problem(host, port) for host, port in servers.addresses}
    return {host: problem for host, problem in problems.items() if problem}


def _problem(host: str, port: int) -> str:
    """Why it has no address; "" if it has."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as problem:
        return UNCERTAIN if problem.errno == socket.EAI_AGAIN else str(problem.strerror)
    except (OSError, UnicodeError) as problem:  # a label that is too long, say
        return str(problem)
    return ""


def nobody_there(setting: str, servers: Servers) -> str | None:
    """The message if none of the names has an address; ``setting`` says where they are. None: one has, or it
    is not certain because nobody could be asked."""
    reason = ""
    for address in servers.addresses:
        reason = _problem(*address)
        if reason in ("", UNCERTAIN):
            return None
    names = ", ".join(dict.fromkeys(host for host, _ in servers.addresses))
    return (
        f"{setting} {servers}: no address for {names} ({reason}); correct the name, or add it to DNS or "
        "/etc/hosts"
    )
