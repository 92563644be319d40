"""Machines made of systemd-nspawn: an overlay on a disk image of their own, in their own cgroups."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.backends import State
from lab.backends.cgroup import Cgroup
from lab.backends.disk import Disk
from lab.errors import LabError
from lab.run import until
from lab.spec import DISKS, Node

KEEPER = Path(__file__).with_name("keeper.sh")

# systemd's "power button": orderly poweroff.
_POWER_OFF = signal.SIGRTMIN + 4


@dataclass(frozen=True)
class Nspawn:
    """The machines of one lab. `plug(node, pid)` gives the network namespace of a process its cable."""

    lab: str
    plug: Callable[[Node, int], None]

    @property
    def disks(self) -> Path:
        return DISKS / self.lab

    def boot(self, node: Node) -> None:
        directory = self._directory(node)
        group = self._group(node)
        group.kill()
        group.remove()
        group.create("keeper", "machine", "exec")
        # The kernel unmounts a moment after the last process is gone, and two mounts of one disk destroy it.
        disk = self._disk(node)
        until(lambda: not disk.in_use, 10, f"{node.name}: release of its disk by its last life")
        disk.make()
        log = directory / "console.log"
        with log.open("ab") as console:
            start = subprocess.Popen(
                [
                    *self._into(group.child("keeper")),
                    *["setsid", "--fork", "unshare", "--mount", "--propagation=private", "--net", "sh"],
                    *[str(KEEPER), str(directory), node.image, str(group.relative)],
                    *[node.name, machine_id(self.lab, node.name)],
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                text=True,
                env={"PATH": os.environ["PATH"]},
            )
        try:
            pid = _given(start.stdout).readline().strip()
            if not pid:
                raise LabError(f"{node.name} did not start: {_last_line(log)}")
            self.plug(node, int(pid))
            _given(start.stdin).write("go\n")
        finally:
            start.communicate()

    def power_off(self, node: Node) -> None:
        pid = self.pid(node)
        if pid is None:
            raise LabError(f"{node.name} has no init to shut it down: lab power-cut {node.name}")
        os.kill(pid, _POWER_OFF)
        until(lambda: not self._group(node).populated, 60, f"{node.name}: orderly shutdown")

    def power_cut(self, node: Node) -> None:
        # Processes stand still before the disk stops: an fsync caught by that very instant can return success
        # without having written, and nobody may act on that.
        group = self._group(node)
        with contextlib.suppress(LabError):  # one that cannot be frozen is killed all the same
            group.freeze(True)
        self._disk(node).shut_down()
        group.kill()

    def freeze(self, node: Node) -> None:
        self._group(node).freeze(True)

    def thaw(self, node: Node) -> None:
        self._group(node).freeze(False)

    def fill_disk(self, node: Node, leave: int) -> None:
        self._disk(node).fill(leave)

    def free_disk(self, node: Node) -> None:
        self._disk(node).free()

    def state(self, node: Node) -> State:
        group = self._group(node)
        if not group.populated:
            return "off"
        return "frozen" if group.frozen else "running"

    def pid(self, node: Node) -> int | None:
        payload = self._group(node).child("machine").child("payload")
        for group in (payload.child("init.scope"), payload):
            for pid in group.processes():
                with contextlib.suppress(OSError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    if any(
                        line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines()
                    ):
                        return pid
        return None

    def command(self, node: Node, argv: Sequence[str], environment: Sequence[str]) -> list[str]:
        pid = self.pid(node)
        if pid is None:
            raise LabError(f"{node.name} has not started its init yet")
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root"]
        return [
            # In a group of the node, so that it is frozen and killed with the rest of it.
            *self._into(self._group(node).child("exec")),
            *["nsenter", f"--target={pid}", *namespaces, "--"],
            # Whoever gives up on it, by a time-out or ^C, ends it there too.
            *["setpriv", "--pdeathsig=KILL", "--"],
            *["env", "-i", "--chdir=/", *environment, *argv],
        ]

    def last_words(self, node: Node) -> str:
        return _last_line(self._directory(node) / "console.log")

    def remove(self) -> None:
        group = Cgroup(Path("zklab") / self.lab)
        group.kill()
        group.remove()
        with contextlib.suppress(OSError):  # other labs may be in there
            Cgroup(Path("zklab")).path.rmdir()
        disks = [Disk(image) for image in self.disks.glob("*/disk.img")]
        until(lambda: not any(disk.in_use for disk in disks), 10, f"release of the disks in {self.disks}")
        if self.disks.exists():
            shutil.rmtree(self.disks)
        with contextlib.suppress(OSError):
            DISKS.rmdir()

    def _directory(self, node: Node) -> Path:
        return self.disks / node.name

    def _disk(self, node: Node) -> Disk:
        """It is mounted where the keeper of the node sees it, and nowhere else."""
        directory = self._directory(node)
        keeper = next(iter(self._group(node).child("keeper").processes()), None)
        mounted = None if keeper is None else Path(f"/proc/{keeper}/root{directory}/disk")
        return Disk(directory / "disk.img", mounted)

    def _group(self, node: Node) -> Cgroup:
        return Cgroup(Path("zklab") / self.lab / node.name)

    @staticmethod
    def _into(group: Cgroup) -> list[str]:
        """A prefix that moves a command into this group before it is run."""
        return ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(group.path / "cgroup.procs")]


def machine_id(lab: str, node: str) -> str:
    """The same at every boot, different for every node of every lab."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{node}.{lab}.zklab").hex


def _given(pipe: IO[str] | None) -> IO[str]:
    """Popen's type cannot know that it was asked for this pipe."""
    assert pipe is not None  # noqa: S101 - see above
    return pipe


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"{said[-1]} ({log})" if said else f"nothing in {log}"
