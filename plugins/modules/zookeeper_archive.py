#!/usr/bin/python
"""Ansible module: a release of ZooKeeper from an archive, whole, in a directory of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_archive
short_description: Unpack a release of ZooKeeper
description:
  - Sees to it that O(home) holds exactly what the archive held. A directory that lacks a file, or has one
    altered or added, is unpacked again; one that is whole costs no download.
  - Unpacks beside O(home) and puts it in place by a rename, so that nobody sees half of it.
  - With a new release, removes those that neither the link C(current) nor the running server refers to.
  - Touches neither the link nor the server.
options:
  archive:
    description: URL, or path on the controller, of a C(apache-zookeeper-VERSION-bin.tar.gz).
    type: str
    required: true
  checksum:
    description: SHA-512 of the archive, alone or as in the C(.sha512) file beside the release.
    type: str
    required: true
  home:
    description: Where the release should be. Its directory belongs to this module.
    type: path
    required: true
  source:
    description: Where the archive is on this host. The action plugin sets it.
    type: path
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Unpack the release
  zklab.zookeeper.zookeeper_archive:
    archive: https://archive.apache.org/dist/zookeeper/zookeeper-3.9.3/apache-zookeeper-3.9.3-bin.tar.gz
    checksum: "{{ zookeeper_archive_checksum }}"
    home: /opt/zookeeper/apache-zookeeper-3.9.3-bin
"""

RETURN = r"""
wanted: {description: Whether the archive is needed for O(source)., type: bool, returned: always}
damage: {description: What was not as released., type: list, returned: always}
restored:
  description: After a repair, the files that are again what the running server was started with.
  type: list
  returned: always
"""

import errno
import hashlib
import os
import re
import shutil
import tarfile
import urllib.error
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import ConnectionError as TlsError
from ansible.module_utils.urls import open_url
from ansible_collections.zklab.zookeeper.plugins.module_utils.refusal import RefusalError
from ansible_collections.zklab.zookeeper.plugins.module_utils.within import at_most

SUMS = "SHA256SUMS"  # of what was unpacked; the last file to be written
STARTED_WITH = Path("/run/zookeeper/started-with")
CHUNK = 1 << 20
TIMEOUT_SECONDS = 30  # of silence
DOWNLOAD_SECONDS = 3600  # for all of it
MOST_BYTES = 1 << 30  # of what is downloaded; releases have some 20 MB
OFFLINE = "download it elsewhere and set zookeeper_archive to the path of the file on the controller"


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums(path: Path) -> dict[str, str]:
    """Sums by file, as ``sha256sum`` writes them; none if there is no such list."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {name: sum_ for sum_, _, name in (line.partition("  ") for line in lines)}


def damage(home: Path) -> list[str]:
    """Files that are missing, altered or added since the release was unpacked; all of it, if it was not."""
    expected = sums(home / SUMS)
    present = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_symlink() or path.is_file()}
    differing = expected.keys() ^ (present - {SUMS})
    differing |= {name for name in expected.keys() & present if digest(home / name) != expected[name]}
    return sorted(differing) if expected else [str(home)]


def pieces(archive: str) -> Iterator[bytes]:
    """What is at a URL. Raises RefusalError if it cannot be had."""
    try:
        with open_url(archive, timeout=TIMEOUT_SECONDS, http_agent="ansible-zookeeper") as answer:
            while piece := answer.read(CHUNK):
                yield piece
            if left := getattr(answer, "length", None):
                raise ConnectionError(f"the connection was cut, {left} bytes before the end")
    except urllib.error.HTTPError as error:
        raise RefusalError(
            f"zookeeper_archive {archive}: the server answers {error.code} {error.reason}. Correct the URL "
            f"(all but the newest releases are at https://archive.apache.org/dist/zookeeper/), or {OFFLINE}."
        ) from error
    except (urllib.error.URLError, HTTPException, TlsError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise RefusalError(
            f"zookeeper_archive {archive} cannot be downloaded: {reason}. "
            f"Make sure that this host can reach it, or {OFFLINE}."
        ) from error


def download(archive: str, path: Path) -> None:
    """Raises RefusalError."""
    left = MOST_BYTES
    with path.open("wb") as file, at_most(DOWNLOAD_SECONDS):
        for piece in pieces(archive):
            file.write(piece)
            left -= len(piece)
            if left < 0:
                raise RefusalError(
                    f"zookeeper_archive {archive} is larger than {MOST_BYTES >> 20} MB, which no release is: "
                    "correct the URL."
                )


def verify(path: Path, archive: str, checksum: str) -> None:
    with path.open("rb") as file:
        seen = hashlib.file_digest(file, "sha512").hexdigest()
    if seen != checksum:
        raise RefusalError(
            f"zookeeper_archive_checksum is {checksum[:16]}..., but the SHA-512 of {archive} is {seen}. "
            "Set it to what the .sha512 file beside the release on downloads.apache.org says; if it is that, "
            "do not trust this archive: get another copy."
        )


def unpack(path: Path, home: Path, archive: str) -> None:
    """Unpack the regular files of the archive, without its topmost directory, and write down their sums."""
    unpacked = {}
    try:
        with tarfile.open(path, "r:*") as tar:
            for member in tar:
                name = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or ".." in name.parts:
                    continue
                target = home / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file, CHUNK)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)
                unpacked[str(name)] = digest(target)
    except (tarfile.TarError, EOFError) as error:
        raise RefusalError(
            f"zookeeper_archive {archive} is not a tar.gz archive ({error}): name a release of ZooKeeper, "
            "apache-zookeeper-VERSION-bin.tar.gz."
        ) from error
    require_release(unpacked, archive)
    (home / SUMS).write_text("".join(f"{sum_}  {name}\n" for name, sum_ in unpacked.items()))


def require_release(names: dict[str, str], archive: str) -> None:
    """Raises RefusalError for what could not be started, such as an archive of sources."""
    for jar in ("zookeeper", "logback-classic"):
        if not any(re.fullmatch(rf"lib/{jar}-\d[^/]*\.jar", name) for name in names):
            raise RefusalError(
                f"zookeeper_archive {archive} has no lib/{jar}-VERSION.jar: name a binary release, 3.8 or "
                "newer: apache-zookeeper-VERSION-bin.tar.gz (the one without -bin is its source)."
            )


def put(new: Path, home: Path, aside: Path) -> None:
    """Put a directory in the place of another. What the running server has open it keeps."""
    os.sync()  # a power cut must not leave files under their names that are empty
    if home.exists():
        home.rename(aside)
    new.rename(home)


def restored(home: Path) -> list[str]:
    """Files that, as released, are what the running server was started with."""
    started = sums(STARTED_WITH)
    released = {str(home / name): sum_ for name, sum_ in sums(home / SUMS).items()}
    return [path for path, sum_ in released.items() if started.get(path) == sum_]


def prune(home: Path) -> list[str]:
    """Remove the releases that nothing refers to, and tell their names."""
    parent = home.parent
    keep = {home.name, "current", (parent / "current").resolve().name}
    keep |= {
        Path(path).relative_to(parent).parts[0] for path in sums(STARTED_WITH) if parent in Path(path).parents
    }
    old = [path for path in parent.iterdir() if path.name not in keep and (path / SUMS).is_file()]
    for path in old:
        shutil.rmtree(path)
    return [path.name for path in old]


def install(archive: str, checksum: str, home: Path, source: Path | None) -> None:
    """Put the release in place. Raises RefusalError; then everything is as it was."""
    home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    work = home.parent / ".unpacking"
    shutil.rmtree(work, ignore_errors=True)  # of a run that was cut short
    try:
        work.mkdir(mode=0o755)
        if source is None:
            download(archive, work / "archive")
        verify(source or work / "archive", archive, checksum)
        unpack(source or work / "archive", work / "new", archive)
        put(work / "new", home, work / "old")
    except OSError as error:
        raise RefusalError(explain(error, home.parent)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def explain(error: OSError, directory: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"no space in {directory} to unpack zookeeper_archive (100 MB are enough): make room, such as by "
            "removing releases there that `current` does not point to, or mount a larger file system."
        )
    return f"zookeeper_archive cannot be unpacked in {directory}: {error}. Root must be able to write there."


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "str", "required": True},
            "checksum": {"type": "str", "required": True},
            "home": {"type": "path", "required": True},
            "source": {"type": "path"},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    archive, home = module.params["archive"], Path(module.params["home"])
    source = Path(module.params["source"]) if module.params["source"] else None
    found = damage(home)
    result: dict[str, Any] = {"changed": bool(found), "damage": found, "wanted": False}
    if found:
        result["diff"] = {"before": "", "after": f"{home}: {archive}\n"}
        result["wanted"] = source is None and "://" not in archive
    if found and not result["wanted"] and not module.check_mode:
        try:
            install(archive, module.params["checksum"].split()[0].lower(), home, source)
        except RefusalError as refusal:
            module.fail_json(msg=f"Nothing that runs was touched: {refusal}")
        result["removed"] = prune(home)
    result["restored"] = restored(home) if found else []
    module.exit_json(**result)


if __name__ == "__main__":
    main()
