"""Machines made of systemd-nspawn: an overlay on a disk image of their own, in their own cgroups."""

from __future__ import annotations

import contextlib
import fcntl
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
from lab.errors import LabError
from lab.run import run, until
from lab.spec import DISKS, Node

KEEPER = Path(__file__).with_name("keeper.sh")
DISK_SIZE = "8G"  # of the sparse file; what a node sees as its disk

# linux/fs.h: stop this file system in this instant, losing what its journal has not on disk.
_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = (2).to_bytes(4, "little")

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
        disk = directory / "disk.img"
        until(lambda: not _loops(disk), 10, f"{node.name}: release of its disk by its last life")
        _make_disk(disk)
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
        group, directory = self._group(node), self._directory(node)
        with contextlib.suppress(LabError):  # one that cannot be frozen is killed all the same
            group.freeze(True)
        for keeper in group.child("keeper").processes():
            _shut_down(Path(f"/proc/{keeper}/root{directory}/disk"), directory / "disk.img")
        group.kill()

    def freeze(self, node: Node) -> None:
        self._group(node).freeze(True)

    def thaw(self, node: Node) -> None:
        self._group(node).freeze(False)

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
        images = list(self.disks.glob("*/disk.img"))
        until(lambda: not any(map(_loops, images)), 10, f"release of the disks in {self.disks}")
        if self.disks.exists():
            shutil.rmtree(self.disks)
        with contextlib.suppress(OSError):
            DISKS.rmdir()

    def _directory(self, node: Node) -> Path:
        return self.disks / node.name

    def _group(self, node: Node) -> Cgroup:
        return Cgroup(Path("zklab") / self.lab / node.name)

    @staticmethod
    def _into(group: Cgroup) -> list[str]:
        """A prefix that moves a command into this group before it is run."""
        return ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(group.path / "cgroup.procs")]


def machine_id(lab: str, node: str) -> str:
    """The same at every boot, different for every node of every lab."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{node}.{lab}.zklab").hex


def _make_disk(disk: Path) -> None:
    """Make a disk that is not there yet; under its name it is always whole."""
    if disk.exists():
        return
    new = disk.with_suffix(".new")
    new.unlink(missing_ok=True)
    run(["truncate", f"--size={DISK_SIZE}", str(new)])
    # A journal of 64 MB is enough and quicker to make; a journal there must be, for power cuts.
    run(["mkfs.ext4", "-q", "-m", "0", "-J", "size=64", "-L", "zklab", str(new)])
    new.replace(disk)


def _loops(disk: Path) -> list[Path]:
    """The loop devices that are backed by this file."""
    return [
        file.parent.parent
        for file in Path("/sys/block").glob("loop*/loop/backing_file")
        if _read(file) == str(disk)
    ]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:  # detached as we look
        return ""


def _shut_down(mounted: Path, disk: Path) -> None:
    """Stop the node's file system, if it is mounted; never that of the host, which is below it."""
    try:
        directory = os.open(mounted, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # the keeper has just gone, and its mounts with it
        return
    try:
        device = os.fstat(directory).st_dev
        block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        if _read(block / "loop" / "backing_file") == str(disk):
            fcntl.ioctl(directory, _EXT4_IOC_SHUTDOWN, _NOLOGFLUSH)
    finally:
        os.close(directory)


def _given(pipe: IO[str] | None) -> IO[str]:
    """Popen's type cannot know that it was asked for this pipe."""
    assert pipe is not None  # noqa: S101 - see above
    return pipe


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    said = [line.strip() for line in lines if line.strip()]
    return f"{said[-1]} ({log})" if said else f"nothing in {log}"
