"""The znodes of shards: where they are, what is in them.

Nothing of this is there until somebody makes the first table. The layout is for people at zkCli.sh, too: the
records of a page are lines of text, and a move or a drain is one short znode.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mwapp.core import compact

TABLES = "/shards"
HOLDERS = "/holders"
MOVES = "/moves"
DRAINS = "/drains"
# Who makes the first table creates them, in this order: who sees the last finds the others.
SHARD_PARENTS = (HOLDERS, MOVES, DRAINS, TABLES)

# So many shards are in one znode unless the table says otherwise; and the most, so that a page is far smaller
# than jute.maxbuffer.
PAGE, MOST_IN_PAGE = 64, 128
MAX_SHARDS = 100_000
# All are deleted in one transaction.
MAX_PAGES = 2_000
MAX_REPLICAS = 16
MAX_GRACE = 24 * 3600.0
MAX_COPIES = 1000
# What a person writes into a table's znode to delete it.
DELETE = "delete"
# Of znodes that a person has spoilt, or made.
BAD_NAME = "table "
UNREADABLE, IN_THE_WAY = "holds no records", "has znodes below it that are not the master's"

# What a member of a shard is.
SYNC = "sync"  # it has everything that was acknowledged
COPY = "copy"  # it does not, or is not known to: it copies
BACK = "back"  # it was in sync, died with all the others, and has come back

# What a holder says of a shard, always with the generation.
OPEN = "open"  # a replica that is not caught up; said only if its handler has an address
READY = "ready"  # a replica that is caught up
SERVING = "serving"  # the primary, at work
RELEASED = "released"  # it was the primary, and does not act as one any more
FAILED = "failed"  # its handler could not be opened, has ended, or does not answer
SAID = (OPEN, READY, SERVING, RELEASED, FAILED)


class BadTableError(ValueError):
    """A table that cannot be; the message says why."""


# ---------------------------------------------------------------- paths


def table_path(table: str) -> str:
    """What was asked for: JSON of :class:`Table`."""
    return f"{TABLES}/{table}"


def page_path(table: str, page: int) -> str:
    """The records of some of its shards."""
    return f"{TABLES}/{table}/{page}"


def holder_path(worker: str) -> str:
    """The ephemeral znode in which a worker says what it has of its shards."""
    return f"{HOLDERS}/{worker}"


def move_path(table: str, shard: int) -> str:
    """A request to move a shard; the master deletes it when it has begun to."""
    return f"{MOVES}/{table}:{shard}"


def drain_path(worker: str) -> str:
    """As long as it is there, the worker is to have no shards."""
    return f"{DRAINS}/{worker}"


def shard_of_move(znode: str) -> tuple[str, int] | None:
    """Table and shard of a znode in /moves; None if it names none."""
    table, _, shard = znode.rpartition(":")
    return (table, int(shard)) if table and re.fullmatch(r"[0-9]{1,6}", shard) else None


def check_table_name(text: str) -> str:
    """Returns the name. Raises BadTableError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text):
        raise BadTableError(
            f"{BAD_NAME}{text[:80]!r}: use letters, digits, dot, dash and underscore, at most 63"
        )
    return text


# ---------------------------------------------------------------- tables


@dataclass(frozen=True, slots=True)
class Table:
    """Data of ``/shards/<table>``: what is wanted."""

    shards: int
    replicas: int = 1
    spread: str = ""  # replicas differ in this label: "zone" for workers with labels zone=a, zone=b
    handler: str | None = None  # name of a Python class that the workers know, or
    command: str | None = None  # for /bin/sh: runs as long as this worker has the shard
    # Whether the data are where every worker reaches them. Then any worker may become the primary at once;
    # otherwise only one that has a copy. None: if there is one replica, they are.
    shared: bool | None = None
    grace: float = 60.0  # seconds that a lost worker has to come back before its shards are copied elsewhere
    copies: int = 10  # how many shards one worker copies at a time
    page: int = PAGE  # so many are in one znode

    @property
    def anyone(self) -> bool:
        """Whether any worker may become the primary, with a copy or without."""
        return self.replicas == 1 if self.shared is None else self.shared

    def encode(self) -> bytes:
        """The znode's data. Raises BadTableError."""
        value = {f.name: getattr(self, f.name) for f in fields(self)}
        value = {k: v for k, v in value.items() if k == "shards" or v != _DEFAULTS.get(k)}
        Table.of(value)
        return compact.encode(value).encode()

    @staticmethod
    def decode(data: bytes) -> "Table":
        """Raises BadTableError."""
        value = _object(data)
        if value is None:
            raise BadTableError('a table is a JSON object such as {"shards":120,"replicas":3}')
        return Table.of(value)

    @staticmethod
    def of(value: Mapping[str, Any]) -> "Table":
        """With these settings. Raises BadTableError, whose message begins with the one that cannot be."""
        unknown = sorted(value.keys() - {f.name for f in fields(Table)})
        if unknown:
            raise BadTableError(f"{unknown[0]}: no such setting of a table")
        table = Table(
            _whole(value, "shards", None, 1, MAX_SHARDS),
            _whole(value, "replicas", 1, 1, MAX_REPLICAS),
            _text(value, "spread") or "",
            _text(value, "handler"),
            _text(value, "command"),
            _truth(value, "shared"),
            _seconds(value, "grace", 60.0, MAX_GRACE),
            _whole(value, "copies", 10, 1, MAX_COPIES),
            _whole(value, "page", PAGE, 1, MOST_IN_PAGE),
        )
        if table.handler is not None and table.command is not None:
            raise BadTableError("handler: give it or command, not both")
        if table.shards > MAX_PAGES * table.page:
            least = -(-table.shards // MAX_PAGES)
            raise BadTableError(
                f"page: {table.page}: {table.shards} shards would be in more than {MAX_PAGES} znodes; "
                f"use at least {least}; a table that is there keeps its page, so use at most "
                f"{MAX_PAGES * table.page} shards"
            )
        return table


_DEFAULTS = {"replicas": 1, "spread": "", "grace": 60.0, "copies": 10, "page": PAGE}


def remedy(table: str, problem: str) -> str:
    """What a person does about a problem of a table."""
    if UNREADABLE in problem:
        return "set it right, or delete it: then its shards begin anew, perhaps elsewhere"
    if IN_THE_WAY in problem:
        return "delete them"
    if problem.startswith(BAD_NAME):
        return f"delete the znode {table_path(table)}, and make the table under another name"
    return f"set the znode {table_path(table)} right"


def unfit(table: Table, pages: Mapping[int, Collection[int]]) -> str | None:
    """Why what is asked for cannot be, with the shards that its pages have. It begins with the setting."""
    if any(page_of(shard, table.page) != number for number, page in pages.items() for shard in page):
        return "page: it cannot be changed"
    has = max((shard + 1 for page in pages.values() for shard in page), default=0)
    if has > table.shards:
        return f"shards: {table.shards}: it has {has}, and cannot have fewer"
    return None


def decode_table(name: str, data: bytes) -> Table | None:
    """What the znode asks for; None: to delete it. Raises BadTableError, also if a person has given it a name
    that the command line does not take."""
    if data.decode(errors="replace").strip() == DELETE:
        return None
    check_table_name(name)
    return Table.decode(data)


# ---------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that has, or is to have, a replica of a shard."""

    incarnation: int
    state: str = COPY  # SYNC, COPY or BACK


@dataclass(frozen=True, slots=True)
class Record:
    """A shard as a page has it."""

    generation: int = 0
    primary: str = ""  # a member; "": nobody
    members: Mapping[str, Member] = field(default_factory=dict)
    # Who is to have it, the primary first; None: who has it now. Nobody: it is to be given up.
    target: tuple[str, ...] | None = None
    handover: bool = False  # the primary is to release it, for the first of the target
    since: int = 0  # when the generation began, seconds since the Unix epoch; only people read it

    @property
    def wanted(self) -> tuple[str, ...]:
        """Who has or is to have it, the primary first."""
        if self.target is not None:
            return self.target
        first = (self.primary,) if self.primary in self.members else ()
        return (*first, *(name for name in self.members if name != self.primary))

    def incarnation(self, name: str) -> int | None:
        """The member's; None if it is none."""
        member = self.members.get(name)
        return None if member is None else member.incarnation

    def _value(self) -> dict[str, Any]:
        value: dict[str, Any] = {"generation": self.generation, "primary": self.primary}
        value["members"] = {name: [m.incarnation, m.state] for name, m in self.members.items()}
        if self.target is not None:
            value["target"] = self.target
        if self.handover:
            value["handover"] = True
        if self.since:
            value["since"] = self.since
        return value


def encode_page(records: Mapping[int, Record]) -> bytes:
    """A line for each shard."""
    lines = (f'"{n}":{_dump(record._value()).decode()}' for n, record in sorted(records.items()))
    return ("{\n" + ",\n".join(lines) + "\n}").encode()


def decode_page(data: bytes) -> dict[int, Record] | None:
    """None if it is no page: a person has written it, and nobody acts on it until it is one again."""
    value = _object(data)
    if value is None:
        return None
    try:
        return {_shard(number): _record(one) for number, one in value.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _shard(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError(text)
    return int(text)


def _record(value: Any) -> Record:
    members = {str(name): Member(_number(m[0]), _one_of(m[1])) for name, m in value["members"].items()}
    target = value.get("target")
    primary = str(value["primary"])
    if primary and primary not in members:
        raise ValueError(primary)
    if target is not None and (not isinstance(target, list) or len(set(target)) < len(target)):
        raise ValueError(target)
    return Record(
        _number(value["generation"]),
        primary,
        members,
        None if target is None else tuple(map(str, target)),
        value.get("handover") is True,
        _number(value.get("since", 0)),
    )


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(value)
    return value


def _one_of(state: Any) -> str:
    if state not in (SYNC, COPY, BACK):
        raise ValueError(state)
    return str(state)


def page_of(shard: int, size: int) -> int:
    """The number of the page that has it."""
    return shard // size


def pages_of(table: Table) -> list[range]:
    """The shards of each page."""
    return [range(at, min(at + table.page, table.shards)) for at in range(0, table.shards, table.page)]


# ---------------------------------------------------------------- what a holder says


Saying = tuple[int, str]  # generation, one of SAID


@dataclass(frozen=True, slots=True)
class Report:
    """Data of ``/holders/<worker>``."""

    incarnation: int
    labels: tuple[str, ...] = ()
    leaving: bool = False  # it stops, and waits until it has no shards
    shards: Mapping[tuple[str, int], Saying] = field(default_factory=dict)
    addresses: Mapping[tuple[str, int], str] = field(default_factory=dict)  # of handlers that have told one

    def encode(self) -> bytes:
        """The znode's data."""
        tables: dict[str, dict[str, tuple[int | str, ...]]] = {}
        for (table, shard), saying in sorted(self.shards.items()):
            address = self.addresses.get((table, shard))
            tables.setdefault(table, {})[str(shard)] = (*saying, address) if address else saying
        value: dict[str, Any] = {"incarnation": self.incarnation, "labels": self.labels}
        if self.leaving:
            value["leaving"] = True
        return _dump(value | {"shards": tables})

    @staticmethod
    def decode(data: bytes) -> "Report | None":
        """None if a person has written it."""
        value = _object(data)
        shards: dict[tuple[str, int], Saying] = {}
        addresses: dict[tuple[str, int], str] = {}
        try:
            for table, its in (value or {})["shards"].items():
                for shard, (generation, said, *more) in its.items():
                    if said in SAID:
                        shards[table, int(shard)] = int(generation), str(said)
                        addresses |= {(table, int(shard)): str(address) for address in more[:1]}
            labels = tuple(str(label) for label in (value or {}).get("labels", ()))
            incarnation = _number((value or {})["incarnation"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        return Report(incarnation, labels, (value or {}).get("leaving") is True, shards, addresses)


def value_of(label: str, labels: tuple[str, ...]) -> str:
    """What ``zone=a`` among the labels says of ``zone``; "" if nothing does."""
    found = sorted(one.partition("=")[2] for one in labels if label and one.startswith(f"{label}="))
    return found[0] if found else ""


# ---------------------------------------------------------------- reading


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = compact.decode(data.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dump(value: dict[str, Any]) -> bytes:
    return compact.encode(value).encode(errors="replace")


def _whole(value: Mapping[str, Any], name: str, default: int | None, least: int, most: int) -> int:
    number = value.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise BadTableError(f"{name}: {number!r}: use a whole number from {least} to {most}")
    return number


def _seconds(value: Mapping[str, Any], name: str, default: float, most: float) -> float:
    number = value.get(name, default)
    if not isinstance(number, int | float) or isinstance(number, bool) or not 0 <= number <= most:
        raise BadTableError(f"{name}: {number!r}: use seconds from 0 to {most:g}")
    return float(number)


def _text(value: Mapping[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise BadTableError(f"{name}: {text!r}: use a string")
    try:
        (text or "").encode()
    except UnicodeEncodeError:  # half a character
        raise BadTableError(f"{name}: {text!r:.80}: use text in UTF-8") from None
    return text


def _truth(value: Mapping[str, Any], name: str) -> bool | None:
    truth = value.get(name)
    if truth is not None and not isinstance(truth, bool):
        raise BadTableError(f"{name}: {truth!r}: use true or false")
    return truth
