"""The disk of a node: an ext4 file system in a sparse file, and what happens to disks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.run import run

SIZE = "8G"  # of the sparse file; what a node sees as its disk

# linux/fs.h: stop this file system immediately, and lose what its journal does not have on disk.
_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = (2).to_bytes(4, "little")

# Takes the space of a full disk. It is beside the node's root, not in it, so nobody on the node can see or
# remove it.
_FILLER = "filler"


@dataclass(frozen=True)
class Disk:
    """A disk by its file. `mounted` is where its file system is while its node is on."""

    image: Path
    mounted: Path | None = None

    def make(self) -> None:
        """Create a disk that does not exist; under its name it is always complete."""
        if self.image.exists():
            return
        new = self.image.with_suffix(".new")
        new.unlink(missing_ok=True)
        run(["truncate", f"--size={SIZE}", str(new)])
        # A journal of 64 MB is enough, and faster to create. Power cuts need a journal.
        run(["mkfs.ext4", "-q", "-m", "0", "-J", "size=64", "-L", "zklab", str(new)])
        new.replace(self.image)

    @property
    def in_use(self) -> bool:
        """Whether a loop device is backed by it."""
        files = Path("/sys/block").glob("loop*/loop/backing_file")
        return any(_read(file) == str(self.image) for file in files)

    def shut_down(self) -> None:
        """Stop its file system immediately, if it is mounted."""
        with contextlib.suppress(LabError), self._open() as directory:
            fcntl.ioctl(directory, _EXT4_IOC_SHUTDOWN, _NOLOGFLUSH)

    def fill(self, leave: int) -> None:
        """Take its free space except for `leave` bytes; uses almost no space on this machine.

        Raises LabError if less than that is free.
        """
        with self._open() as directory:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            filler = os.open(_FILLER, flags, 0o600, dir_fd=directory)
            try:
                _resize(filler, leave)
                os.fsync(filler)  # a power cut does not empty a disk
                os.fsync(directory)
            finally:
                os.close(filler)

    def free(self) -> None:
        """Give back what `fill` took; no error if it took nothing."""
        with self._open() as directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_FILLER, dir_fd=directory)
            os.fsync(directory)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        """Its top directory; never that of the host's file system, which is below the mount.

        Raises LabError if it is not mounted.
        """
        off = LabError(f"{self.image} is not mounted: its node is off")
        if self.mounted is None:
            raise off
        try:
            directory = os.open(self.mounted, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:  # the node's last process has just ended, and its mounts with it
            raise off from error
        try:
            device = os.fstat(directory).st_dev
            block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
            if _read(block / "loop" / "backing_file") != str(self.image):
                raise off
            yield directory
        finally:
            os.close(directory)


def _resize(filler: int, leave: int) -> None:
    """Make this file large enough to leave this much."""
    size, free = os.fstat(filler).st_size, _free(filler)
    wanted = size + free - leave
    if wanted < 0:
        raise LabError(f"only {free >> 20}M are free, less than --leave: use a smaller value")
    if wanted <= size:
        os.ftruncate(filler, wanted)
        return
    # Its extents take blocks, too, so the rest of the space is filled in ever smaller pieces.
    step = wanted - size
    while step and (space := _free(filler) - leave) > 0:
        step = min(step, space)
        try:
            os.posix_fallocate(filler, os.fstat(filler).st_size, step)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            step //= 2


def _free(file: int) -> int:
    """Bytes."""
    now = os.fstatvfs(file)
    return now.f_bavail * now.f_frsize


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:  # detached as we look
        return ""
