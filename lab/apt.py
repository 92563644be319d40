"""How this machine reaches Debian packages, so that nodes reach them the same way.

The project contains nothing about mirrors, proxies or certificates: the lab reads all of it from the host.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.run import run

ETC = Path("/etc/apt")

# Other names of the current and the last release.
_ALIASES = ("stable", "oldstable", "trixie", "bookworm")
_PARTS = ("", "-updates", "-security", "/updates")
# Settings of apt about the way to the packages, not this host's preferences.
_TRANSPORT = re.compile(
    r"Acquire::(http|https|ftp|Check-|Retries|ForceIPv|Max-ValidTime|AllowInsecure)", re.I
)


@dataclass(frozen=True)
class Source:
    """A stanza of a deb822 sources file. `signed_by`: a path, an embedded key, or "" for the default keys."""

    uris: str
    suites: tuple[str, ...]
    components: str
    signed_by: str = ""

    def render(self) -> str:
        lines = ["Types: deb", f"URIs: {self.uris}", f"Suites: {' '.join(self.suites)}"]
        lines.append(f"Components: {self.components}")
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"

    def adapted(self, suite: str) -> Source | None:
        """The same archive for another release; None if it is not an archive of Debian's releases."""
        suites = []
        for name in self.suites:
            base = next((alias for alias in _ALIASES if name.startswith(alias)), None)
            if base is not None and name.removeprefix(base) in _PARTS:
                suites.append(suite + name.removeprefix(base).replace("/updates", "-security"))
        if not suites or "main" not in self.components.split():
            return None
        # The archive's own keys are apt's default, under a path that differs between releases.
        signed_by = "" if "/debian-archive-" in self.signed_by else self.signed_by
        return Source(self.uris, tuple(dict.fromkeys(suites)), self.components, signed_by)


def parse_deb822(text: str) -> list[Source]:
    """The enabled binary sources of a `.sources` file."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in (
            "no",
            "false",
        ):
            suites = tuple(fields.get("suites", "").split())
            uris = " ".join(fields.get("uris", "").split())
            components = " ".join(fields.get("components", "").split())
            found.append(Source(uris, suites, components, fields.get("signed-by", "")))
    return found


def parse_one_line(text: str) -> list[Source]:
    """The binary sources of a `.list` file."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.partition("#")[0].strip())
        if match:
            options = dict(pair.split("=", 1) for pair in shlex.split(match[1] or "") if "=" in pair)
            components = " ".join(match[4].split())
            found.append(Source(match[2], (match[3],), components, options.get("signed-by", "")))
    return found


def sources(suite: str, etc: Path = ETC) -> list[Source]:
    """This machine's Debian sources, for this release.

    Raises LabError if it has none; the variable LAB_SOURCES then names a file to use instead.
    """
    elsewhere = os.environ.get("LAB_SOURCES")
    directory = etc / "sources.list.d"
    files = [Path(elsewhere)] if elsewhere else [etc / "sources.list", *sorted(directory.glob("*"))]
    found: list[Source] = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".sources":
            found += parse_deb822(file.read_text())
        elif file.suffix == ".list":
            found += parse_one_line(file.read_text())
    adapted = [source.adapted(suite) for source in found]
    result = list(dict.fromkeys(source for source in adapted if source is not None))
    if not result:
        raise LabError(
            f"no Debian archive in {etc}: write one to a file *.list and set LAB_SOURCES to its path"
        )
    return result


def keyrings(of: Iterable[Source]) -> list[Path]:
    """This machine's files with the keys of the sources."""
    return [Path(source.signed_by) for source in of if source.signed_by.startswith("/")]


def transport() -> str:
    """The host's apt settings for reaching archives, as an apt.conf, with proxies from the environment."""
    lines = [line for line in run(["apt-config", "dump"]).splitlines() if _TRANSPORT.match(line)]
    for scheme in ("http", "https"):
        proxy = os.environ.get(f"{scheme}_proxy")
        if proxy and not any(line.lower().startswith(f"acquire::{scheme}::proxy ") for line in lines):
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return "".join(f"{line}\n" for line in lines if not line.endswith('""') and not line.endswith('"";'))
