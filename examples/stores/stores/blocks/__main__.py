"""The command line: python -m stores.blocks --help"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from mwapp.errors import MwappError
from stores.blocks.files import READING_SECONDS, TABLE, TIMEOUT, ChangedError, Files
from stores.blocks.names import ConflictError, EndedError, NoSuchFileError

STDIO = "-"


def create(files: Files, given: argparse.Namespace) -> None:
    """The table, and the znodes for files."""
    files.create(given.groups, given.replicas, given.spread, given.grace)


def put(files: Files, given: argparse.Namespace) -> None:
    """From a file, or from standard input."""
    if given.source == STDIO:
        file = files.put(given.file, sys.stdin.buffer)
    else:
        with Path(given.source).open("rb") as stream:
            file = files.put(given.file, stream)
    print(f"{file.path}: {file.length} bytes in {len(file.blocks)} blocks")


def get(files: Files, given: argparse.Namespace) -> None:
    """To a file, which appears when it is whole, or to standard output."""
    if given.target == STDIO:
        for data in files.get(given.file):
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    part = Path(f"{given.target}.part")
    with part.open("wb") as stream:
        for data in files.get(given.file):
            shutil.copyfileobj(BytesIO(data), stream)
    part.rename(given.target)


def ls(files: Files, given: argparse.Namespace) -> None:
    """Length and path of each file."""
    for file in files.list(given.prefix):
        print(f"{file.length:12} {file.path}")


def rm(files: Files, given: argparse.Namespace) -> None:
    """Its blocks go with gc."""
    files.delete(given.file)


def where(files: Files, given: argparse.Namespace) -> None:
    """Which workers have each block, with their labels."""
    for number, (block, replicas) in enumerate(files.where(given.file)):
        print(f"block {number}: {block.length} bytes in group {block.group}")
        for replica in sorted(replicas):
            print(f"  {replica.worker} {replica.labels} {replica.state} {replica.has}")


def gc(files: Files, given: argparse.Namespace) -> None:
    """Remove blocks that belong to no file."""
    done = files.gc(given.older_than)
    print(f"{done.removed} blocks removed" + (f", {done.left} left for the next gc" if done.left else ""))
    if done.silent:
        print(f"what these have is not known, for they do not answer: {' '.join(done.silent)}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command, and what it is given."""
    parser = argparse.ArgumentParser(prog="python -m stores.blocks", description="Files in blocks.")
    parser.add_argument("--table", default=TABLE, help="of the groups (%(default)s)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds, for each block")
    commands = parser.add_subparsers(required=True)

    def command(does: object, about: str) -> argparse.ArgumentParser:
        name = getattr(does, "__name__", "")
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(does=does)
        return added

    made = command(create, "make the groups, and the znodes for files")
    made.add_argument("--groups", type=int, default=4)
    made.add_argument("--replicas", type=int, default=3)
    made.add_argument("--spread", help="a label in which the replicas of a group differ, such as rack")
    made.add_argument("--grace", type=float, default=60.0, help="seconds that a lost data node has")
    stored = command(put, "store a file, in place of the one that is there")
    stored.add_argument("source", help="a local file, or - for standard input")
    stored.add_argument("file")
    read = command(get, "read a file")
    read.add_argument("file")
    read.add_argument("target", nargs="?", default=STDIO, help="a local file; standard output if left out")
    command(ls, "list files").add_argument("prefix", nargs="?", default="", help="those whose paths begin so")
    command(rm, "delete a file").add_argument("file")
    command(where, "show who has the blocks of a file").add_argument("file")
    collected = command(gc, "remove blocks that belong to no file")
    collected.add_argument(
        "--older-than", type=float, default=READING_SECONDS, metavar="SECONDS", help="(%(default)g)"
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Run the command."""
    given = parse(sys.argv[1:])
    try:
        with Files(table=given.table, timeout=given.timeout) as files:
            given.does(files, given)
    except NoSuchFileError as problem:
        sys.exit(f"no such file: {problem}")
    except ConflictError as problem:
        sys.exit(f"{problem}: somebody else has changed it meanwhile: it is as they left it")
    except EndedError as problem:
        sys.exit(f"{problem}: the session with the ensemble has ended: put it again")
    except ChangedError as problem:
        sys.exit(f"{problem}: it was replaced or deleted while it was read: get it again")
    except (MwappError, OSError, ValueError) as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
