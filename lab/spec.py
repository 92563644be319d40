"""What a lab is: its name, its nodes with their addresses, and where each thing is kept."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.errors import LabError, UnknownError

CACHE = Path("/var/cache/zklab")  # outlives labs: images, locks
RUN = Path("/run/zklab")  # of this boot of the machine: state, keys, ssh_config
DISKS = Path("/var/lib/zklab")  # the nodes' disks
SHARED = "/srv/shared"  # on each node: a directory that all nodes of the lab share

DEFAULT_LAB = "lab"
DEFAULT_NODES = ("zk1", "zk2", "zk3", "mw1", "mw2", "mw3")
SUITES = ("trixie", "bookworm")
DEFAULT_BACKEND = "nspawn"
HOST = "host"  # this machine (and everything behind it), as the far end of a cut

# Labs take /24s out of this network. Addresses end in .1 for this machine, from .11 for nodes.
NETWORK = ipaddress.IPv4Network("10.213.0.0/16")
FIRST_NODE = 11

_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")


def check_name(what: str, name: str) -> str:
    """Return the name if it can be a host name, a path and an nft table; raise UnknownError if not."""
    if not _NAME.fullmatch(name) or name == HOST:
        raise UnknownError(f"{what} {name!r}: use 1-20 of a-z, 0-9 and '-', a letter first, and not {HOST!r}")
    return name


@dataclass(frozen=True)
class Node:
    """One machine of a lab."""

    name: str
    address: str  # IPv4
    suite: str  # Debian release
    image: str  # directories its root file system starts from, uppermost first, joined by ":"
    link: str  # this machine's end of its network cable

    @property
    def mac(self) -> str:
        """Stable over boots, so that neighbours' ARP entries stay true."""
        return "02:7a:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(self.address).packed)


@dataclass
class Spec:
    """The state of a lab that cannot be read from the machine; stored as JSON in its run directory."""

    name: str
    subnet: str
    backend: str = DEFAULT_BACKEND  # the kind of its machines
    nodes: dict[str, Node] = field(default_factory=dict)
    # (from, to): percent of what `from` sends `to` that is lost; all of it is a cut.
    losses: dict[tuple[str, str], int] = field(default_factory=dict)
    full: dict[str, int] = field(default_factory=dict)  # node with a full disk: bytes left on it

    @property
    def bridge(self) -> str:
        """At most 15 characters, as the kernel wants it; so from the subnet, not from the name."""
        return f"zkl{self._third}"

    @property
    def gateway(self) -> str:
        """This machine's address on the lab's bridge."""
        return str(next(ipaddress.IPv4Network(self.subnet).hosts()))

    @property
    def run(self) -> Path:
        return run_directory(self.name)

    @property
    def _third(self) -> int:
        return ipaddress.IPv4Network(self.subnet).network_address.packed[2]

    def node(self, name: str) -> Node:
        """Raises UnknownError if this lab has no node of that name."""
        if name not in self.nodes:
            raise UnknownError(
                f"no node {name!r} in lab {self.name!r}: it has {' '.join(self.nodes) or 'none'}"
            )
        return self.nodes[name]

    def add(self, name: str, suite: str, image: str) -> Node:
        """Give a new node the lowest free address. Raises LabError when the subnet is full."""
        used = {node.address for node in self.nodes.values()}
        for address in list(ipaddress.IPv4Network(self.subnet).hosts())[FIRST_NODE - 1 :]:
            if str(address) not in used:
                link = f"{self.bridge}-{address.packed[3]}"
                node = Node(check_name("node", name), str(address), suite, image, link)
                self.nodes[name] = node
                return node
        raise LabError(f"lab {self.name!r} is full: {len(used)} nodes in {self.subnet}")

    def hosts(self) -> list[str]:
        """The lines of /etc/hosts by which nodes know each other, and this machine."""
        nodes = [f"{node.address} {node.name}" for node in self.nodes.values()]
        return [f"{self.gateway} {HOST}", *nodes]

    def save(self) -> None:
        """Replace the file whole, so that a crash leaves the old state or the new one."""
        data = {
            "name": self.name,
            "subnet": self.subnet,
            "backend": self.backend,
            "nodes": [asdict(node) for node in self.nodes.values()],
            "cuts": [[*pair, percent] for pair, percent in sorted(self.losses.items())],
            "full": self.full,
        }
        self.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.run / f".lab.json.{os.getpid()}"
        temporary.write_text(json.dumps(data, indent=1))
        temporary.replace(self.run / "lab.json")


def run_directory(name: str) -> Path:
    return RUN / name


def default_lab() -> str:
    """The lab that is meant without a name: "lab" if it is up, otherwise the only one that is up.

    Raises UnknownError if there are several others: it lists them.
    """
    names = [lab.name for lab in labs()]
    if DEFAULT_LAB in names or not names:
        return DEFAULT_LAB
    if len(names) > 1:
        raise UnknownError(f"several labs are up: {', '.join(names)}; say which: lab --name {names[0]} ...")
    return names[0]


def load(name: str) -> Spec | None:
    """The lab of this name, or None if there is none on this machine."""
    try:
        data = json.loads((run_directory(check_name("lab", name)) / "lab.json").read_text())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise LabError(f"labs belong to root: sudo lab --name {name} ...") from error
    nodes = {node["name"]: Node(**node) for node in data["nodes"]}
    # A lab may be up that is older than backends, partial losses and full disks.
    backend = data.get("backend", DEFAULT_BACKEND)
    losses = {(a, b): rest[0] if rest else 100 for a, b, *rest in data["cuts"]}
    return Spec(data["name"], data["subnet"], backend, nodes, losses, data.get("full", {}))


def labs() -> list[Spec]:
    """All labs on this machine."""
    found = (load(file.parent.name) for file in sorted(RUN.glob("*/lab.json")))
    return [spec for spec in found if spec is not None]


def pick_subnet(name: str, taken: Iterable[str]) -> str:
    """A free /24; the same for the same name as far as possible, so that addresses stay.

    `taken`: networks in use here. Those wider than our own network are no obstacle: the narrower route wins.
    """
    others = [ipaddress.IPv4Network(net, strict=False) for net in taken]
    others = [net for net in others if net.prefixlen >= NETWORK.prefixlen]
    all_of_them = list(NETWORK.subnets(new_prefix=24))
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2])
    for step in range(len(all_of_them)):
        subnet = all_of_them[(start + step) % len(all_of_them)]
        if not any(subnet.overlaps(other) for other in others):
            return str(subnet)
    raise LabError(f"no free network for lab {name!r} in {NETWORK}: remove a lab (lab --name NAME down)")
