"""Keys and files with which this machine and its nodes know each other, created before a node's first
boot."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from lab import network
from lab.backends.containers import machine_id
from lab.run import remove, run
from lab.spec import DISKS, Node, Spec

_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"

# OpenSSH 9.8 and later refuse clients that often connect without logging in. `answers` does that, and Ansible
# and all others would be refused with it. Older versions do not know the setting.
_PENALTIES = "etc/ssh/sshd_config.d/penalties.conf"
_WITHOUT_PENALTIES = ("bookworm",)

_CONFIG = """Host {name}
  HostName {address}
  User root
  IdentityFile {run}/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile {run}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  ControlMaster auto
  ControlPath {run}/ctl/%r@%n
  ControlPersist 60
  ConnectTimeout 5
  ServerAliveInterval 5
  ServerAliveCountMax 3
  LogLevel ERROR

"""


def seed(spec: Spec, node: Node) -> None:
    """Write the files of this node's identity; existing files stay, so it keeps its keys."""
    directory = seed_directory(spec, node)
    if directory.exists():
        return
    new = directory.with_name("seed.new")
    remove(new)
    for path, mode in (
        ("", 0o755),
        ("etc", 0o755),
        ("etc/ssh", 0o755),
        ("etc/ssh/sshd_config.d", 0o755),
        ("root", 0o700),
        ("root/.ssh", 0o700),
    ):
        (new / path).mkdir(parents=True)
        (new / path).chmod(mode)
    _key(new / _HOST_KEY, f"root@{node.name}")
    if node.suite not in _WITHOUT_PENALTIES:
        _write(new / _PENALTIES, "PerSourcePenalties no\n", 0o644)
    servers = "".join(f"nameserver {server}\n" for server in network.resolvers())
    _write(new / "etc/resolv.conf", servers, 0o644)
    _write(new / "etc/hostname", f"{node.name}\n", 0o644)
    _write(new / "etc/hosts", "\n".join(["127.0.0.1 localhost", *spec.hosts(), ""]), 0o644)
    _write(new / "etc/machine-id", machine_id(spec.name, node.name) + "\n", 0o444)
    _write(new / "root/.ssh/authorized_keys", (spec.run / "id_ed25519.pub").read_text(), 0o600)
    new.replace(directory)


def seed_directory(spec: Spec, node: Node) -> Path:
    return DISKS / spec.name / node.name / "seed"


def make_key(spec: Spec) -> None:
    """The key that opens every node of the lab.

    It is made in a directory of its own: ssh-keygen of an `up` that was killed may live a moment longer.
    """
    (spec.run / "ctl").mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (spec.run / "id_ed25519.pub").exists():
        with tempfile.TemporaryDirectory(dir=spec.run) as new:
            _key(Path(new, "id_ed25519"), f"lab {spec.name}")
            for name in ("id_ed25519", "id_ed25519.pub"):
                Path(new, name).replace(spec.run / name)


def write_client_files(spec: Spec) -> None:
    """known_hosts and ssh_config for all nodes that have been seeded."""
    known, config = [], []
    for node in spec.nodes.values():
        public = (seed_directory(spec, node) / f"{_HOST_KEY}.pub").read_text().split()
        known.append(f"{node.name},{node.address} {public[0]} {public[1]}\n")
        config.append(_CONFIG.format(name=node.name, address=node.address, run=spec.run))
    _write(spec.run / "known_hosts", "".join(known), 0o600)
    _write(spec.run / "ssh_config", "".join(config), 0o600)


def answers(node: Node, seconds: float = 1.0) -> bool:
    """Whether an SSH server speaks there."""
    with contextlib.suppress(OSError), socket.create_connection((node.address, 22), seconds) as connection:
        connection.settimeout(seconds)
        return connection.recv(4) == b"SSH-"
    return False


def hang_up(spec: Spec, node: Node) -> None:
    """End the shared connections to a node: they would hang until they notice that it is dead."""
    for socket_file in (spec.run / "ctl").glob(f"*@{node.name}"):
        user = socket_file.name.removesuffix(f"@{node.name}")
        argv = ["ssh", "-F", str(spec.run / "ssh_config"), "-O", "exit", "-l", user, node.name]
        subprocess.run(argv, capture_output=True, check=False)


def _key(path: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def _write(path: Path, text: str, mode: int) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
