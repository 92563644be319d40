"""python -m stores.partitions create|produce|consume|show"""

import argparse
import sys

from mwapp import Client
from mwapp.errors import MwappError
from stores.partitions.topic import NoAnswerError, Topic


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m stores.partitions")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to try")
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="make a topic")
    create.add_argument("topic")
    create.add_argument("--partitions", type=int, default=1)
    create.add_argument("--replicas", type=int, default=3)
    create.add_argument("--spread", default="", help="a label of workers in which replicas differ")
    produce = commands.add_parser("produce", help="append records; prints the partition and offset of each")
    produce.add_argument("topic")
    produce.add_argument("value", nargs="+")
    where = produce.add_mutually_exclusive_group()
    where.add_argument("--key", default="", help="chooses the partition")
    where.add_argument("--partition", type=int)
    consume = commands.add_parser("consume", help="print offsets and values, up to what is acknowledged")
    consume.add_argument("topic")
    consume.add_argument("--partition", type=int, default=0)
    consume.add_argument("--offset", type=int, default=0)
    commands.add_parser("show", help="who leads, and who is in sync").add_argument("topic")
    given = parser.parse_args()
    try:
        with Client() as client:
            run = {"create": _create, "produce": _produce, "consume": _consume, "show": _show}[given.command]
            run(Topic(client, given.topic, timeout=given.timeout), given)
    except (MwappError, NoAnswerError, ValueError) as problem:
        sys.exit(str(problem))


def _create(topic: Topic, given: argparse.Namespace) -> None:
    topic.create(given.partitions, replicas=given.replicas, spread=given.spread)


def _produce(topic: Topic, given: argparse.Namespace) -> None:
    for value in given.value:
        print(*topic.produce(value.encode(), partition=given.partition, key=given.key.encode()), flush=True)


def _consume(topic: Topic, given: argparse.Namespace) -> None:
    offset = given.offset
    while found := topic.consume(given.partition, offset):
        for record in found:
            print(record.offset, record.value.decode(errors="replace"))
        offset = found[-1].offset + 1


def _show(topic: Topic, _given: argparse.Namespace) -> None:
    rows = [("PARTITION", "LEADER", "GENERATION", "IN SYNC", "ACKNOWLEDGED")]
    for one in topic.show():
        acknowledged = "-" if one.acknowledged is None else str(one.acknowledged)
        in_sync = ",".join(one.in_sync) or "-"
        rows.append((str(one.partition), one.leader or "-", str(one.generation), in_sync, acknowledged))
    width = max(len(row[3]) for row in rows)
    for partition, leader, generation, in_sync, acknowledged in rows:
        print(f"{partition:>9}  {leader:6}  {generation:>10}  {in_sync:{width}}  {acknowledged}")


if __name__ == "__main__":
    main()
