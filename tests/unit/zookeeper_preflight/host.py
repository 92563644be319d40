"""A host for the module zookeeper_preflight, run as Ansible runs it: below a directory of its own."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.ansible_module import reroot, run
from tests.unit.zookeeper_role import ROLE, load, load_file

preflight = load_file("modules/zookeeper_preflight.py")

DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
VARS: dict[str, Any] = yaml.safe_load((ROLE / "vars/main.yml").read_text())
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\nHOME_URL="x"\n'
PORTS = {"client": 2181, "quorum": 2888, "election": 3888, "admin": 8080}
ME = {
    "zookeeper_user": pwd.getpwuid(os.geteuid()).pw_name,
    "zookeeper_group": grp.getgrgid(os.getegid()).gr_name,
}


def own_address() -> str:
    """One of this machine's that is not loopback. (Nothing is sent.)"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


# systemctl show zookeeper.service --property=A,B: what is asked for of what there is.
SHOW = """
[ "$1 $2" = "show zookeeper.service" ] || exit 1
IFS=,
for name in ${3#--property=}; do eval "echo $name=\\$$name"; done
"""


class Host:
    """A Debian host below ``root``, on which nothing is installed or runs. Processes it has none."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        reroot(preflight, root, monkeypatch)
        monkeypatch.setattr(preflight, "ROOT", os.geteuid())
        monkeypatch.setattr(load("zookeeper_rules"), "UNSEEN", ())  # or nothing could be below /tmp
        monkeypatch.setenv("PATH", str(root / "bin"), prepend=":")
        self.write("etc/os-release", OS_RELEASE)
        self.write("proc/meminfo", "MemTotal:        4096000 kB\nMemFree:         2048000 kB\n")
        self.unit(LoadState="not-found", ActiveState="inactive", MainPID=0)
        self.packages()
        settings = {
            setting.variable: DEFAULTS[setting.variable] for setting in load("zookeeper_settings").SETTINGS
        }
        settings |= {f"zookeeper_{name}_port": port for name, port in PORTS.items()}
        self.data, self.txnlog = root / "data", root / "txnlog"
        self.theirs = ""  # where another installation has its data
        directories = {"zookeeper_data_dir": str(self.data), "zookeeper_txnlog_dir": str(self.txnlog)}
        self.settings: dict[str, Any] = settings | directories | ME

    def program(self, name: str, script: str) -> None:
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}").chmod(0o755)

    def unit(self, **state: object) -> None:
        """What systemd knows of it."""
        self.program("systemctl", "".join(f"{key}={value}\n" for key, value in state.items()) + SHOW)

    def packages(self, *known: str) -> None:
        """What dpkg knows of those that are asked for; 1 says that it does not know them all."""
        self.program("dpkg-query", "".join(f"echo {line}\n" for line in known) + "exit 1")

    def processes(self) -> None:
        """Those of this machine, among them this one."""
        if not (self.root / "proc").is_symlink():
            shutil.rmtree(self.root / "proc")
            (self.root / "proc").symlink_to("/proc")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def runs(self, **changed: object) -> None:
        """The unit is there, and its process is this one."""
        self.processes()
        state = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        self.unit(**{**state, "SubState": "running", "MainPID": os.getpid(), **changed})

    def configured(self, path: str = "etc/zookeeper/zoo.cfg", **changed: object) -> None:
        """There is a zoo.cfg of three members, with this in it."""
        config = {"dataDir": self.data, "dataLogDir": self.txnlog, "clientPort": 2181} | changed
        config |= {f"server.{n}": f"zk{n}:2888:3888" for n in (1, 2, 3)}
        self.write(path, "".join(f"{key}={value}\n" for key, value in config.items() if value is not None))

    def look(self, me: int = 1, *, size: int = 3, check: bool = False, **settings: object) -> dict[str, Any]:
        """What the module says on the host zk1 (2, 3)."""
        ports = {"client_port": 2181, "tls_port": 2182, "quorum_port": 2888, "election_port": 3888}
        members = [
            {"name": f"zk{n}", "id": n, "host": f"zk{n}", "observer": False} for n in range(1, size + 1)
        ]
        if me <= size:
            members[me - 1]["host"] = own_address()
        arguments = {
            "name": f"zk{me}",
            "members": [member | ports for member in members],
            "settings": self.settings | settings,
            "packages": ["java", "libzookeeper-java"],
            "classpath": f"{self.root}/jars/*",
        }
        return run(preflight, arguments, check=check)


def entry(zxid: int = 0x100000002) -> bytes:
    """A transaction as a log has it: the end of a session."""
    body = struct.pack(">qiqqi", 1, 7, zxid, 0, -11)
    return struct.pack(">qi", zlib.adler32(body), len(body)) + body + b"B"
