"""The connect string: where the ensemble is, and which znode contains everything."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mwapp.errors import BadInputError

if TYPE_CHECKING:
    from mwapp.zookeeper.tls import Tls

CLIENT_PORT = 2181
# Where commands and clients look if nobody tells them.
DEFAULT = f"127.0.0.1:{CLIENT_PORT}"
# Before the address of a status endpoint that speaks HTTPS.
HTTPS = "https://"

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
# What no znode's name has: servers refuse it each time they are asked. (What takes two characters in Java,
# too.)
NO_NAME = "/\0-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\U0010ffff"
_CHROOT = re.compile(f"(/[^{NO_NAME}]+)+")


@dataclass(frozen=True, slots=True)
class Servers:
    """The ensemble's client addresses, the chroot ("" or ``/path``), and how to connect with TLS, if so.

    ``creates_chroot``: whether to create the chroot if it is missing. Who only reads leaves no trace.
    """

    addresses: tuple[tuple[str, int], ...]
    chroot: str = ""
    tls: "Tls | None" = None
    creates_chroot: bool = True

    @classmethod
    def parse(cls, connect: str, setting: str = "--connect") -> "Servers":
        """Read ``host[:port],host[:port]...[/chroot]``, the value of this setting.

        Raises:
            BadInputError: it is not of that form.
        """
        hosts, slash, path = connect.strip().partition("/")
        chroot = (slash + path).rstrip("/")
        if chroot and not (_CHROOT.fullmatch(chroot) and not {".", ".."} & set(chroot.split("/"))):
            raise BadInputError(f"{setting}: {chroot!r} is not a znode's path; write for example /mwapp")
        return cls(tuple(_address(part.strip(), setting) for part in hosts.split(",")), chroot)

    @property
    def hosts(self) -> str:
        """The addresses as kazoo takes them."""
        return ",".join(show(address) for address in self.addresses)

    @property
    def parents(self) -> tuple[str, ...]:
        """The chroot and its parents, outermost first."""
        names = self.chroot.split("/")[1:]
        return tuple("/" + "/".join(names[: i + 1]) for i in range(len(names)))

    def __str__(self) -> str:
        return self.hosts + self.chroot


def show(address: tuple[str, int]) -> str:
    """Write an address as host:port, an IPv6 address in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str, setting: str) -> tuple[str, int]:
    """Read ``host:port`` of a setting such as ``--listen``.

    Raises:
        BadInputError: it is not of that form.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or match["port"] is None or int(match["port"]) > 65535:
        raise BadInputError(f"{setting}: {text!r} is not HOST:PORT; write for example 0.0.0.0:2223")
    return match["host"].strip("[]"), int(match["port"])


def parse_endpoint(text: str, setting: str) -> tuple[tuple[str, int], bool]:
    """Read what a daemon publishes of its status endpoint: ``host:port``, and whether it speaks HTTPS.

    Raises:
        BadInputError: it is neither ``host:port`` nor ``https://host:port``.
    """
    return parse_address(text.removeprefix(HTTPS), setting), text.startswith(HTTPS)


def _address(text: str, setting: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"] or CLIENT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise BadInputError(
            f"{setting}: {text!r} is not HOST[:PORT]; write for example zk1:2181,zk2:2181,zk3:2181/mwapp"
        )
    return match["host"].strip("[]"), port
