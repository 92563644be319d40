"""The control group of a node or a lab: what is alive in it, and how to stop all of it at once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.run import until

# On a host with the unified hierarchy, what systemd inside the nodes can set limits with.
_CONTROLLERS = ("cpu", "io", "memory", "pids")


def hierarchy() -> Path | None:
    """Where cgroup2 is mounted here (a host may carry the old hierarchies beside it), or None."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next((Path(at) for _, at, kind, *_ in mounts if kind == "cgroup2"), None)


@dataclass(frozen=True)
class Cgroup:
    """A directory of the cgroup2 hierarchy, by its path below the root of it."""

    relative: Path

    @property
    def path(self) -> Path:
        root = hierarchy()
        if root is None:
            raise LabError("no cgroup2 file system is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        return root / self.relative

    def child(self, name: str) -> Cgroup:
        return Cgroup(self.relative / name)

    def matching(self, pattern: str) -> list[Cgroup]:
        """Those below that match a pattern of names."""
        return [self.child(str(path.relative_to(self.path))) for path in self.path.glob(pattern)]

    def create(self, *children: str) -> None:
        """Make it and these children, with the controllers that the host has to give."""
        directory = self.path
        for _ in self.relative.parts:
            directory = directory.parent
        for part in self.relative.parts:
            directory /= part
            directory.mkdir(exist_ok=True)
            offered = (directory / "cgroup.controllers").read_text().split()
            for controller in set(_CONTROLLERS) & set(offered):
                (directory / "cgroup.subtree_control").write_text(f"+{controller}")
        for child in children:
            (directory / child).mkdir(exist_ok=True)

    def _event(self, key: str) -> bool:
        try:
            lines = (self.path / "cgroup.events").read_text().splitlines()
        except OSError:  # not there, or ENODEV as it goes while we read
            return False
        return f"{key} 1" in lines

    @property
    def populated(self) -> bool:
        return self._event("populated")

    @property
    def frozen(self) -> bool:
        return self._event("frozen")

    def processes(self) -> list[int]:
        """Process ids of this very directory, not of those below; as seen from here."""
        try:
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def freeze(self, frozen: bool, seconds: float = 30) -> None:
        (self.path / "cgroup.freeze").write_text("1" if frozen else "0")
        until(
            lambda: self.frozen == frozen, seconds, f"{'freezing' if frozen else 'thawing'} {self.relative}"
        )

    def kill(self) -> None:
        """SIGKILL to all at once, frozen or not, and wait for the end of the last."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "cgroup.kill").write_text("1")
        until(lambda: not self.populated, 60, f"the end of the killed processes in {self.relative}")

    def remove(self) -> None:
        """Remove it with all below. Nothing may be alive in there. It is no error if it is not there."""
        top = self.path
        for directory in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
            directory.rmdir()
        with contextlib.suppress(FileNotFoundError):
            top.rmdir()
