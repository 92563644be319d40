"""Machines as containers, each with its own disk, keeper and control groups."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from lab.backends import State
from lab.backends.cgroup import Cgroup
from lab.backends.disk import Disk
from lab.errors import LabError
from lab.run import remove, until
from lab.spec import DISKS, Node

KEEPER = Path(__file__).with_name("keeper.sh")

# systemd's "power button": orderly poweroff.
_POWER_OFF = signal.SIGRTMIN + 4


@dataclass(frozen=True)
class Containers(ABC):
    """The machines of one lab. `plug(node, pid)` gives the network namespace of a process its cable.

    Kinds differ only in the command that boots a container from a directory, in the namespaces and control
    group that it is started in.
    """

    lab: str
    plug: Callable[[Node, int], None]

    PROGRAMS: ClassVar[Mapping[str, str]]

    REBOOT: ClassVar[int]
    """The exit status that tells that the machine asked for a reboot."""

    PAYLOAD: ClassVar[str]
    """Where the machine's own tree of control groups begins, as a pattern below that of the node."""

    @abstractmethod
    def start(self, node: Node, root: Path) -> list[str]:
        """The command that boots the machine from the directory `root`, with `shared` at SHARED, and ends
        when it is off.

        It is run in the keeper's namespaces, in the child "machine" of the node's control group.
        """

    @property
    def disks(self) -> Path:
        return DISKS / self.lab

    @property
    def shared(self) -> Path:
        """What all nodes see at SHARED: the storage behind them. No node can have this name."""
        return self.disks / ".shared/files"

    def boot(self, node: Node) -> None:
        directory = self._directory(node)
        group = self.group(node)
        group.kill()
        group.remove()
        group.create("keeper", "machine", "exec")
        # The kernel unmounts a moment after the last process has ended, and two mounts would destroy the
        # disk.
        disk = self._disk(node)
        until(lambda: not disk.in_use, 60, f"{node.name}: release of its disk by its last life")
        disk.make()
        self._make_shared()
        log = directory / "console.log"
        with log.open("ab") as console:
            start = subprocess.Popen(
                [
                    *self._into(group.child("keeper")),
                    *["setsid", "--fork", "unshare", "--mount", "--propagation=private", "--net", "sh"],
                    *[str(KEEPER), str(directory), node.image, str(group.relative), str(self.REBOOT)],
                    *self.start(node, directory / "root"),
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
        until(lambda: not self.group(node).populated, 60, f"{node.name}: orderly shutdown")

    def power_cut(self, node: Node) -> None:
        # Stop the processes before the disk: an fsync at that very instant can return success without having
        # written, and nobody may act on that.
        group = self.group(node)
        with contextlib.suppress(
            LabError
        ):  # if freezing fails, kill it anyway, and soon: the power is to go now
            group.freeze(True, seconds=5)
        self._disk(node).shut_down()
        group.kill()

    def freeze(self, node: Node) -> None:
        self.group(node).freeze(True)

    def thaw(self, node: Node) -> None:
        self.group(node).freeze(False)

    def fill_disk(self, node: Node, leave: int) -> None:
        self._disk(node).fill(leave)

    def free_disk(self, node: Node) -> None:
        self._disk(node).free()

    def state(self, node: Node) -> State:
        group = self.group(node)
        if not group.populated:
            return "off"
        return "frozen" if group.frozen else "running"

    def pid(self, node: Node) -> int | None:
        for payload in self.group(node).matching(self.PAYLOAD):
            for pid in (*payload.child("init.scope").processes(), *payload.processes()):
                if _is_init(pid):
                    return pid
        return None

    def command(self, node: Node, argv: Sequence[str], environment: Sequence[str]) -> list[str]:
        pid = self.pid(node)
        if pid is None:
            raise LabError(f"{node.name} has not started its init yet")
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root"]
        return [
            # In a group of the node, so that it is frozen and killed with the node.
            *self._into(self.group(node).child("exec")),
            *["nsenter", f"--target={pid}", *namespaces, "--"],
            # A caller that gives up (time-out, ^C) ends it there, too. And root on a node is not root here:
            # without limits, `date -s` would set the clock of this machine.
            *["setpriv", "--pdeathsig=KILL", f"--bounding-set={_capabilities(pid)}", "--"],
            *["env", "-i", "--chdir=/", *environment, *argv],
        ]

    def last_words(self, node: Node) -> str:
        return _last_line(self._directory(node) / "console.log")

    def remove(self) -> None:
        group = Cgroup(Path("zklab") / self.lab)
        group.kill()
        group.remove()
        disks = [Disk(image) for image in self.disks.glob("*/disk.img")]
        until(lambda: not any(disk.in_use for disk in disks), 60, f"release of the disks in {self.disks}")
        remove(self.disks)

    def group(self, node: Node) -> Cgroup:
        return Cgroup(Path("zklab") / self.lab / node.name)

    def _make_shared(self) -> None:
        """For all users of the nodes, as /tmp is, and for nobody else here."""
        self.shared.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.shared.mkdir(exist_ok=True)
        self.shared.chmod(0o1777)

    def _directory(self, node: Node) -> Path:
        return self.disks / node.name

    def _disk(self, node: Node) -> Disk:
        """It is mounted where the keeper of the node sees it, and nowhere else."""
        directory = self._directory(node)
        keeper = min(
            self.group(node).child("keeper").processes(), default=None
        )  # the others are its children
        mounted = None if keeper is None else Path(f"/proc/{keeper}/root{directory}/disk")
        return Disk(directory / "disk.img", mounted)

    @staticmethod
    def _into(group: Cgroup) -> list[str]:
        """A prefix that moves a command into this group before it starts."""
        return ["sh", "-c", 'echo 0 >"$0" && exec "$@"', str(group.path / "cgroup.procs")]


def remove_parents() -> None:
    """Remove what the labs of this machine shared, once there is none and none can be created."""
    for directory in (Cgroup(Path("zklab")).path, DISKS):
        with contextlib.suppress(OSError):  # a lab with lost state may be in there
            directory.rmdir()


def machine_id(lab: str, node: str) -> str:
    """The same at every boot, different for every node of every lab."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, f"{node}.{lab}.zklab").hex


def _is_init(pid: int) -> bool:
    """Whether a process is the first of a PID namespace."""
    return _status(pid, "NSpid")[-1:] == ["1"]


def _capabilities(pid: int) -> str:
    """All that a process and its descendants can have, in setpriv's syntax."""
    mask = int("".join(_status(pid, "CapBnd")) or "0", 16)
    return ",".join(["-all", *(f"+cap_{n}" for n in range(mask.bit_length()) if mask >> n & 1)])


def _status(pid: int, key: str) -> list[str]:
    """What the kernel tells of a process under this key; nothing if it is gone."""
    lines = _text(Path(f"/proc/{pid}/status")).splitlines()
    return next((line.split()[1:] for line in lines if line.startswith(f"{key}:")), [])


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # gone as we look, or not there yet
        return ""


def _given(pipe: IO[str] | None) -> IO[str]:
    """Popen's type cannot know that it was asked for this pipe."""
    assert pipe is not None  # noqa: S101 - it was asked for; tells mypy
    return pipe


def _last_line(log: Path) -> str:
    said = [line.strip() for line in _text(log).split("\n") if line.strip()]
    return f"{said[-1]} ({log})" if said else f"nothing in {log}"
