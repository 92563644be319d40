"""A disk of which it is known what a power cut leaves."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGING = ("pwrite", "ftruncate", "fsync", "fdatasync")


class Disk:
    """In place of ``os``, for any thread: contents of files that were opened through it, and names below
    ``place``, are sure to be there after a power cut when they were synced. It waits for no real disk."""

    def __init__(self, place: Path) -> None:
        self.at: Callable[[str], None] = lambda _: None  # called before each change, with its name
        # Errors, by the name of the call and a part of the path.
        self.broken: dict[tuple[str, str], int] = {}
        self._place = place
        self._contents: dict[int, bytes] = {}  # by inode
        self._names: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return (lambda *given: self._change(name, real, *given)) if name in CHANGING else real

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        new = not path.exists()
        file = os.open(path, flags, mode)
        if new:
            self._contents[os.fstat(file).st_ino] = b""
        return file

    def _change(self, name: str, real: Callable[..., Any], file: int, *given: Any) -> Any:
        path = str(Path(f"/proc/self/fd/{file}").readlink())
        self.at(name)
        for (call, part), error in self.broken.items():
            if call == name and part in path:
                raise OSError(error, os.strerror(error), path)
        if name not in ("fsync", "fdatasync"):
            return real(file, *given)
        with self._lock:
            self._synced(Path(path))
        return None

    def _synced(self, path: Path) -> None:
        if path.is_dir():
            self._names[path.stat().st_ino] = {entry.name for entry in path.iterdir()}
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def cut_power(self, directory: Path, draw: Callable[[], float]) -> None:
        """Of the host that has only this directory. How much is left of each change that was not synced is
        drawn: from 0.0, nothing, to 1.0, all."""
        for parent in reversed(directory.relative_to(self._place).parents):
            above = self._place / parent
            below = directory.relative_to(above).parts[0]
            if below not in self._names.get(above.stat().st_ino, ()) and draw() < 0.5:
                shutil.rmtree(above / below, ignore_errors=True)
                return
        self._cut(directory, draw)

    def _cut(self, directory: Path, draw: Callable[[], float]) -> None:
        inode = directory.stat().st_ino
        for path in sorted(directory.iterdir()):
            if path.name not in self._names.get(inode, ()) and draw() < 0.5:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif path.is_dir():
                self._cut(path, draw)
            else:
                path.write_bytes(self._left(path, draw()))
                self._synced(path)
        self._synced(directory)

    def _left(self, path: Path, share: float) -> bytes:
        now = path.read_bytes()
        synced = self._contents.get(path.stat().st_ino, now)
        if now.startswith(synced):
            return now[: len(synced) + round(share * (len(now) - len(synced)))]
        return now if share >= 0.5 else synced
