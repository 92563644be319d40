"""What the simulated hosts of zookeeper_hosts.py have on their disks, as real files, and preflight of them.

The module looks at the files as on a host. What it asks the kernel and systemd is answered by the simulation.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.unit.ansible_module import run
from tests.unit.test_zookeeper_history import HEADER, entry
from tests.unit.zookeeper_hosts import Config, Host, Log
from tests.unit.zookeeper_preflight.host import DEFAULTS, ME, PORTS
from tests.unit.zookeeper_role import load, load_file

preflight = load_file("modules/zookeeper_preflight.py")
PATHS = {name: value for name, value in vars(preflight).items() if isinstance(value, Path)}
VARIABLES = [setting.variable for setting in load("zookeeper_settings").SETTINGS]
CLIENT_PORT = 2181
THEIRS = "var/lib/zookeeper"  # where Debian's zookeeperd has both


@dataclass
class Disk:
    """Of one host: whose data they are by its myid, where they are, and what else is there."""

    root: Path
    myid: int | None
    elsewhere: bool = False  # the inventory wants the data in another directory
    theirs: Config | None = None  # they are where another installation had them, with these members
    older: Log | None = None  # besides these, in the server's own directories
    left: Log | None = None  # besides these, in those of another installation
    adopt: bool = False
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Of the inventory."""
        wanted = self.root / ("new" if self.elsewhere else "data")
        return {
            **{name: DEFAULTS[name] for name in VARIABLES},
            **{f"zookeeper_{name}_port": port for name, port in PORTS.items()},
            **ME,
            "zookeeper_data_dir": str(wanted),
            "zookeeper_txnlog_dir": str(self.root / "txnlog"),
            "zookeeper_adopt": self.adopt,
        }

    def look(
        self, host: Host, members: list[dict[str, Any]], dead: str, answers: Callable[[str], bool]
    ) -> dict[str, Any]:
        """What the module says. ``answers``: whether a server runs at an address."""
        known = [line.partition(":")[0] for line in (host.running or host.config or {}).values()]
        state = repr((host, members, dead, self, [answers(one) for one in (*dead.split(","), *known)]))
        if state not in self._known:
            self._known = {state: self._look(host, members, dead, answers)}
        return self._known[state]

    def __repr__(self) -> str:
        return f"Disk({self.myid}, {self.elsewhere}, {self.theirs}, {self.older}, {self.left}, {self.adopt})"

    def _look(
        self, host: Host, members: list[dict[str, Any]], dead: str, answers: Callable[[str], bool]
    ) -> dict[str, Any]:
        shutil.rmtree(self.root, ignore_errors=True)
        self._write(host)
        running = host.running is not None
        unit = {"present": True, "active": running, "enabled": host.enabled, "pid": 1 if running else 0}
        about = {name: self.root / path.relative_to("/") for name, path in PATHS.items()} | {
            "ROOT": os.geteuid(),
            "unit": lambda _: unit,
            "listeners": lambda *_: ({}, {CLIENT_PORT} if running else set()),
            "clients": lambda _: [],
            "missing": lambda *_: [],
            "address": lambda text: {"text": text, "own": True},
            "sources": lambda *_: [],
            "system": lambda: {"id": "debian", "version": "13", "name": "Debian"},
            "memory_mb": lambda: 4000,
            "still_running": lambda lines: [
                f"{number} on {address}"
                for number, line in lines.items()
                if answers(address := line.partition(":")[0].strip("[]"))
            ],
        }
        vars(preflight).update(about)
        arguments = {
            "name": host.name,
            "members": [{**m, "client_port": CLIENT_PORT, "tls_port": 2182} for m in members],
            "settings": self.settings | {"zookeeper_dead": dead},
            "packages": ["java"],
            "classpath": "",
        }
        return run(preflight, arguments)

    # ------------------------------------------------------------ files

    def _file(self, path: str, content: bytes | str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def _write(self, host: Host) -> None:
        for path, config in (("run", host.running), ("etc", host.config)):
            if config is not None:
                self._file(f"{path}/zookeeper/zoo.cfg", self._zoo_cfg(config))
        if host.marker:
            self._file("txnlog/initialize", "")
        data, logs = "data", "txnlog"
        if self.theirs is not None:
            data = logs = THEIRS
            self._file("etc/zookeeper/conf/zoo.cfg", self._zoo_cfg(self.theirs, THEIRS, THEIRS))
        if host.log is not None:
            self._history(data, logs, host.log, since=host.snapshot)
            if self.myid is not None:
                self._file(f"{data}/myid", f"{self.myid}\n")
        if self.left is not None:
            self._history(THEIRS, THEIRS, self.left)
            self._file(f"{THEIRS}/myid", f"{host.number}\n")
        if self.older is not None:
            self._history("data", "txnlog", self.older)
            self._file("data/myid", f"{host.number}\n")

    def _zoo_cfg(self, config: Config, data: str = "data", logs: str = "txnlog") -> str:
        places = {"dataDir": self.root / data, "dataLogDir": self.root / logs}
        keys = {**places, "clientPort": CLIENT_PORT, **{f"server.{n}": where for n, where in config.items()}}
        return "".join(f"{key}={value}\n" for key, value in keys.items())

    def _history(self, data: str, logs: str, log: Log, *, since: int = -1) -> None:
        """In snapshots and logs, as a server may have them: some are purged, and a crash tears the last.

        ``since``: before that there are only snapshots."""
        zxids = sorted(log)
        chance = random.Random(repr(zxids))  # noqa: S311 - the same history has the same files
        self._file(f"{data}/version-2/currentEpoch", "1")
        newest = max(chance.choice([0, *zxids]), min(since, max(zxids, default=0)))
        self._file(f"{data}/version-2/snapshot.{newest:x}", b"")
        begins = sorted({zxids[0], *chance.sample(zxids, min(2, len(zxids)))}) if zxids else []
        for begin, end in pairwise([*begins, 1 << 63]):
            if end <= newest and chance.random() < 0.3:
                continue
            entries = [entry(zxid, log[zxid]) for zxid in zxids if max(begin, since + 1) <= zxid < end]
            if since >= 0 and not entries:
                continue
            torn = entry(1)[: chance.randint(0, 20)] if chance.random() < 0.2 else b""
            self._file(f"{logs}/version-2/log.{begin:x}", HEADER + b"".join(entries) + torn + bytes(64))
