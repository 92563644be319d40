"""Files on shared storage: records that show where they were torn, and files that are there whole or not at
all."""

import json
import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_HEAD, _TEXT = struct.Struct(">II"), struct.Struct(">I")


def encode(fields: dict[str, Any], body: bytes = b"") -> bytes:
    """A record: length and checksum of the rest, which is length of the JSON, JSON, body."""
    text = json.dumps(fields, separators=(",", ":")).encode()
    content = _TEXT.pack(len(text)) + text + body
    return _HEAD.pack(len(content), zlib.crc32(content)) + content


def decode(data: bytes) -> Iterator[tuple[dict[str, Any], bytes, int]]:
    """Each whole record, and where it ends. Who wrote the rest has died meanwhile."""
    at = 0
    while len(head := data[at : at + _HEAD.size]) == _HEAD.size:
        length, checksum = _HEAD.unpack(head)
        content = data[at + _HEAD.size : at + _HEAD.size + length]
        if not length or len(content) < length or zlib.crc32(content) != checksum:
            return  # nothing but zeros is no record either
        at += _HEAD.size + length
        body = _TEXT.size + _TEXT.unpack_from(content)[0]
        yield json.loads(content[_TEXT.size : body]), content[body:], at


def append(file: int, data: bytes) -> None:
    """Behind what is there, and on disk when this returns."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)


def write(path: Path, data: bytes) -> None:
    """A new file, on disk; its name is not yet (``sync``)."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        append(file, data)
    finally:
        os.close(file)


def sync(directory: Path) -> None:
    """Names in it are on disk when this returns."""
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make(directory: Path) -> None:
    """On disk when this returns, whoever has made it."""
    with suppress(FileExistsError):
        os.mkdir(directory)
    sync(directory.parent)


def replace(path: Path, data: bytes) -> None:
    """Whoever opens it finds the old content or the new one."""
    draft = path.with_name(f"{path.name}.draft")
    write(draft, data)
    os.rename(draft, path)
    sync(path.parent)


def claim(path: Path, data: bytes) -> None:
    """Of all who want to create it one does, with all its content. Raises FileExistsError for the others."""
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    write(draft, data)
    try:
        os.link(draft, path)
        sync(path.parent)
    finally:
        os.unlink(draft)


def numbers(directory: Path) -> list[int]:
    """The names in it that are numbers, ascending."""
    return sorted(int(name) for name in os.listdir(directory) if name.isdecimal())
