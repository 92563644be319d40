"""End the session of a process that was killed, so that its ephemeral znodes go at once.

    python -I -m mwapp.release DIR [CA CERT]

It reads ``DIR/session``, which the daemon keeps there while its session lives, takes over the session with
its id and password, and closes it. Run it only when the process is gone (systemd runs ExecStopPost then). A
standby then takes over in milliseconds, not after the session time-out.

CA and CERT are files for TLS, as --tls-ca and --tls-cert; CERT has the key, too.

It runs between a death and the take-over, so it must be fast. It uses only the standard library's lightest
modules (not even pathlib) and ZooKeeper's wire protocol, not kazoo.
"""

import os
import socket
import struct
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False  # the type checker takes it as true; typing takes too long to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SESSION_FILE = "session"
# The time to connect to one server, and for each of its answers, seconds; and for everything.
ANSWER_SECONDS = 1.0
RELEASE_SECONDS = 4.0

_CLOSE_SESSION, _SESSION_EXPIRED = -11, -112


def release(directory: str, connect: "Callable[..., Any]" = socket.create_connection) -> int:
    """Close the session noted in ``directory``; returns the exit status (see :mod:`mwapp.errors`).

    0 if there is no session left, 2 if the file cannot be used, 3 if no server could be reached.
    """
    path = os.path.join(directory, SESSION_FILE)
    try:
        with open(path, "rb") as file:
            session_line, password_line, *server_lines = file.read().decode().splitlines()
        servers = [(host, int(port)) for host, port in map(str.split, server_lines)]
        session, password = int(session_line), bytes.fromhex(password_line)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as problem:
        print(f"mwapp release: cannot use {path}: {type(problem).__name__}", file=sys.stderr)
        return 2
    try:
        end_session(servers, session, password, connect)
    except OSError as problem:
        shown = f"{session & (1 << 64) - 1:#x}"  # as everywhere: show_session would take too long to import
        print(f"mwapp release: session {shown} not closed: {problem}", file=sys.stderr)
        return 3
    os.unlink(path)
    return 0


def note(directory: str, servers: list[tuple[str, int]], session: int, password: bytes) -> None:
    """Store what :func:`release` needs, readable only by the owner. Raises OSError."""
    path = os.path.join(directory, SESSION_FILE)
    new = path + ".new"
    # Lines, not JSON, whose import takes longer than all the rest.
    lines = [str(session), password.hex(), *(f"{host} {port}" for host, port in servers)]
    with suppress(FileNotFoundError):
        os.unlink(new)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    os.replace(new, path)


def forget(directory: str) -> None:
    """Remove what :func:`note` stored: the session is closed."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, SESSION_FILE))


def end_session(
    servers: list[tuple[str, int]],
    session: int,
    password: bytes,
    connect: "Callable[..., Any]" = socket.create_connection,
    now: "Callable[[], float]" = time.monotonic,
) -> bool:
    """Close the session at the first server that can. Returns what :func:`close_session` returned. Raises
    OSError if none could, with each one's answer."""
    end = now() + RELEASE_SECONDS
    reasons = []
    for host, port in servers:
        try:
            closed = close_session(host, port, session, password, connect, now)
        except (OSError, EOFError) as problem:
            where = f"[{host}]" if ":" in host else host
            reasons.append(f"{where}:{port}: {problem}")
        else:
            return closed
        if now() >= end:
            break
    raise OSError("; ".join(reasons))


def close_session(
    host: str,
    port: int,
    session: int,
    password: bytes,
    connect: "Callable[..., Any]" = socket.create_connection,
    now: "Callable[[], float]" = time.monotonic,
) -> bool:
    """Take over the session at this server, and close it.

    True: the ensemble has closed it for us, and carries out no request of it any more. False: this server
    says that there is no such session, which proves less (docs/protocol.md, Lost sessions).

    Raises:
        OSError: the server cannot be reached, or is too slow.
        EOFError: it is not serving, or is not a ZooKeeper server.
    """
    # As bytes: text makes Python load the tables of international names. Its types know only text.
    with connect((host.encode(), port), ANSWER_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Protocol version, last zxid seen, session time-out (ms), session, password, not read-only.
        # The shortest time-out possible: a failed attempt must not prolong the session.
        hello = struct.pack(">iqiqi", 0, 0, 0, session, len(password)) + password + b"\0"
        _send(connection, hello)
        _, granted = struct.unpack_from(">ii", _receive(connection, 8, now))
        if granted <= 0:
            return False
        _send(connection, struct.pack(">ii", 1, _CLOSE_SESSION))
        _, _, error = struct.unpack_from(">iqi", _receive(connection, 16, now))
        if error not in (0, _SESSION_EXPIRED):
            raise EOFError(f"the server refuses to close it: error {error}")
        return bool(error == 0)


def _send(connection: socket.socket, packet: bytes) -> None:
    connection.sendall(struct.pack(">i", len(packet)) + packet)


def _receive(connection: socket.socket, least: int, now: "Callable[[], float]") -> bytes:
    """An answer of so many bytes or more, which is to have ended in time."""
    end = now() + ANSWER_SECONDS

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            left = end - now()
            if left <= 0:
                raise TimeoutError("timed out")
            connection.settimeout(left)  # or who sends a byte now and then would hold us up
            chunk = connection.recv(size - len(data))
            if not chunk:
                raise EOFError("the server is not serving")
            data += chunk
        return data

    (length,) = struct.unpack(">i", exactly(4))
    if not least <= length < 1 << 20:
        raise EOFError("this is not a ZooKeeper server")
    return exactly(length)


def with_tls(ca: str, cert: str) -> "Callable[..., Any]":
    """A function that connects with TLS. Raises OSError if a file cannot be used."""
    import ssl  # takes as long as all the rest

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.load_cert_chain(cert)

    def connect(address: "tuple[Any, int]", timeout: float) -> ssl.SSLSocket:
        connection = socket.create_connection(address, timeout)
        return context.wrap_socket(connection, server_hostname=address[0])  # which closes it if it fails

    return connect


def enter(directory: str) -> None:
    """Enter the directory, and as root become its owner, because its files are the owner's word, not ours.

    systemd runs us as root and outside the unit's sandbox, because setting that up would take as long as all
    the rest. Raises OSError.
    """
    os.chdir(directory)  # first: the owner may have no access to the path
    if os.geteuid() == 0:
        owner = os.stat(os.curdir)
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4) or sys.argv[1].startswith("-"):
        usage = "usage: python -I -m mwapp.release DIR [CA CERT]   (DIR: the daemon's --state-dir)"
        print(usage, file=sys.stderr)
        sys.exit(2)
    own: "Callable[..., Any]" = socket.create_connection
    try:
        if len(sys.argv) == 4 and os.path.exists(os.path.join(sys.argv[1], SESSION_FILE)):
            own = with_tls(sys.argv[2], sys.argv[3])  # as root: only root may read the key
    except OSError as problem:
        print(f"mwapp release: cannot use {' or '.join(sys.argv[2:])}: {problem.strerror}", file=sys.stderr)
        sys.exit(2)
    try:
        enter(sys.argv[1])
    except FileNotFoundError:
        sys.exit(0)  # no daemon, no session
    except OSError as problem:
        print(f"mwapp release: cannot use {sys.argv[1]}: {problem.strerror}", file=sys.stderr)
        sys.exit(2)
    sys.exit(release(os.curdir, own))
