"""Building an image can be interrupted at any time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from lab.run import until

# Builds into a cache of its own.
BUILD = """
import sys
from pathlib import Path
from lab import debs, image, run
run.CACHE = Path(sys.argv[1])
image.IMAGES = Path(sys.argv[1]) / "images"
debs.STORE = Path(sys.argv[1]) / "debs"
print(image.layers("trixie", lambda text: print(text, flush=True)))
"""


def test_a_killed_build_ends_whole_and_leaves_no_half_image(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", BUILD, str(tmp_path)]
    before = temporary()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        for line in build.stdout:
            if "extracting" in line:
                break
        build.kill()
    until(lambda: not any(str(tmp_path) in text for text in commands_and_mounts()), 30, "the end of it all")
    assert not list((tmp_path / "images").glob("trixie-*"))
    assert temporary() <= before
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    root = Path(done.stdout.splitlines()[-1])
    assert (root / "usr/bin/systemctl").exists()
    assert not list((tmp_path / "images").glob(".building*"))


def temporary() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("mmdebstrap*"))


def commands_and_mounts() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found += [(process / "cmdline").read_text(), (process / "mounts").read_text()]
        except OSError:  # gone as we look
            continue
    return found
