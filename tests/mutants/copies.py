"""A copy of the tree, in which one mutant after the other is tried."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.mutants.killers import Killer
from tests.mutants.mutant import Mutant
from tests.mutants.noticed_first import MUTATED, first

NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", ".*_cache", ".hypothesis", "*.egg-info")
# What a mutant makes grow without end is to fail, not to take the machine with it, bytes.
MEMORY = 4 << 30


class Copy:
    """The tree at ``root``, copied into ``home``."""

    def __init__(self, root: Path, home: Path) -> None:
        home.chmod(0o755)  # some tests become other users, who import from it
        self._tree = home / "tree"
        shutil.copytree(root, self._tree, ignore=NOT_COPIED, symlinks=True)
        self._changes = 0
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        # Of what is installed, too, this tree's comes first.
        self._environment = {**os.environ, "PYTHONPATH": str(self._tree), "TMPDIR": str(home)}

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """With the mutant in its place, and without it afterwards."""
        path = self._tree / mutant.file
        text, before, stat = mutant.text(self._tree), path.read_text(), path.stat()
        # Python keeps what it compiled by the file's size and its whole seconds: each is to have its own.
        self._changes += 1
        self._environment[MUTATED] = path.stem
        path.write_text(text)
        os.utime(path, (0, self._changes))
        try:
            yield
        finally:
            path.write_text(before)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def parts(self, killer: Killer) -> Iterator[Killer]:
        """Those of its files that have most probably something to notice, and then all: to read the files
        takes longer than most tests."""
        likely = first(self._tree, self._environment.get(MUTATED, ""), killer.files)
        if likely and len(likely) < len(killer.files):
            yield killer.only(likely)
        yield killer

    def noticed(self, killer: Killer, seconds: float) -> tuple[str, float]:
        """What the killer noticed, "" if nothing, and how long it took. Beyond ``seconds`` it is ended."""
        began = time.monotonic()
        if self._closed:
            return "", 0.0
        process = self._process = subprocess.Popen(
            killer.command,
            cwd=self._tree,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"no end after {seconds:.0f} s", time.monotonic() - began
        finally:
            self._kill(process)  # also what it has left behind
            process.wait()
            if process.stdout:
                process.stdout.close()
        took = time.monotonic() - began
        if self._closed:
            return "", took
        return (killer.reason(output) or "failed" if process.returncode else ""), took

    def close(self) -> None:
        """Run nothing more, and end what runs: it notices nothing."""
        self._closed = True
        if self._process is not None and self._process.returncode is None:
            self._kill(self._process)

    @staticmethod
    def _kill(process: "subprocess.Popen[str]") -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def copy_of(root: Path) -> Iterator[Copy]:
    """A copy that lasts as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as home:
        yield Copy(root, Path(home))
