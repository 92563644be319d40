"""Which of the classes that a configuration names are not in the jars. Java tells only when it dies of it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

# Keys of zoo.cfg whose value is a class; one that ends in a dot begins such keys.
NAME_CLASSES = ("metricsProvider.className", "serverCnxnFactory", "audit.impl.class", "authProvider.")
MANIFEST = "META-INF/MANIFEST.MF"


def named(config: Mapping[str, object]) -> dict[str, str]:
    """The classes that entries of ``zookeeper_config`` name, by their key."""
    return {
        key: str(value).strip()
        for key, value in config.items()
        if key in NAME_CLASSES or any(one.endswith(".") and key.startswith(one) for one in NAME_CLASSES)
    }


def lacking(classes: Mapping[str, str], classpath: str) -> dict[str, str] | None:
    """Those that no jar of the class path has; None if there are no jars yet."""
    missing, seen = dict(classes), set()
    for jar in jars(classpath.split(":")):
        seen.add(jar)
        with zipfile.ZipFile(jar) as file:
            files = set(file.namelist())
        missing = {
            key: name for key, name in missing.items() if f"{name.replace('.', '/')}.class" not in files
        }
        if not missing:
            return {}
    return missing if seen else None


def mentions(name: str, text: str, classpath: str) -> bool:
    """Whether the class of this name has this text in it; not if no jar of the class path has the class."""
    entry = f"{name.replace('.', '/')}.class"
    for jar in jars(classpath.split(":")):
        with zipfile.ZipFile(jar) as file:
            if entry in file.namelist():
                return text.encode() in file.read(entry)
    return False


def jars(entries: Iterable[str]) -> Iterator[Path]:
    """The jars of a class path and those that these name in turn, each once."""
    todo, seen = [jar for entry in entries for jar in _expanded(entry)], set()
    while todo:
        jar = todo.pop(0)
        if jar.resolve() in seen or not zipfile.is_zipfile(jar):
            continue
        seen.add(jar.resolve())
        yield jar
        todo += _references(jar)


def _expanded(entry: str) -> list[Path]:
    """An entry that ends in ``*`` stands for all jars of its directory."""
    return sorted(Path(entry).parent.glob("*.jar")) if entry.endswith("/*") else [Path(entry)]


def _references(jar: Path) -> list[Path]:
    """What the jar's manifest adds to the class path; long lines of it go on after a blank."""
    with zipfile.ZipFile(jar) as file:
        if MANIFEST not in file.namelist():
            return []
        text = re.sub(r"\r?\n ", "", file.read(MANIFEST).decode(errors="replace"))
    found = re.search(r"^Class-Path: *(.*?)\s*$", text, re.MULTILINE)
    return [jar.parent / name.removeprefix("file:") for name in found[1].split()] if found else []
