"""python -m stores.regions create, put KEY VALUE, get KEY, delete KEY, scan [LOW [HIGH]], split KEY, show"""

import argparse
import sys

from mwapp import Client
from mwapp.errors import MwappError
from stores.regions.client import NotDoneError, Regions


def main() -> int:
    """The exit status: 0, or 1 if there is no such key, or 2 with a reason."""
    parser = argparse.ArgumentParser(prog="python -m stores.regions", description="A sorted table in regions")
    parser.add_argument("--table", default="regions")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    commands = parser.add_subparsers(dest="do", required=True)
    commands.add_parser("create")
    commands.add_parser("show")
    put = commands.add_parser("put")
    put.add_argument("key")
    put.add_argument("value")
    for name in ("get", "delete", "split"):
        commands.add_parser(name).add_argument("key")
    scan = commands.add_parser("scan")
    scan.add_argument("low", nargs="?", default="")
    scan.add_argument("high", nargs="?")
    asked = parser.parse_args()
    try:
        with Client() as client:
            return _do(asked, Regions(client, asked.table, asked.timeout))
    except (MwappError, NotDoneError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2


def _do(asked: argparse.Namespace, regions: Regions) -> int:
    if asked.do == "create":
        regions.create()
    elif asked.do == "put":
        regions.put(asked.key, asked.value.encode())
    elif asked.do == "delete":
        regions.delete(asked.key)
    elif asked.do == "split":
        regions.split(asked.key)
    elif asked.do == "get":
        value = regions.get(asked.key)
        if value is None:
            return 1
        print(value.decode(errors="replace"))
    elif asked.do == "scan":
        for key, value in regions.scan(asked.low, asked.high):
            print(key, value.decode(errors="replace"), sep="\t")
    else:
        line = "{:<12} {:<12} {:>5} {:<8} {:<10} {:>6} {:>8}".format
        print(line("FROM", "TO", "SHARD", "OWNER", "STATE", "KEYS", "BYTES"))
        for low, high, *rest in regions.show():
            print(line(low or "-", high or "-", *("?" if field is None else field for field in rest)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
