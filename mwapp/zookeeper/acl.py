"""Who may do what with which znode: access control lists (ACLs) by certificate, if they are in force.

:data:`RIGHTS` is the whole table. Who the masters, workers and clients are says the znode :data:`PATH`, a
:class:`Policy`. Every process reads it when a connection begins, watches it, and gives what it creates the
ACL that the table says. ``mwapp acl`` (mwapp/cli/acl.py) writes it, and brings what is there already into
line. Without that znode there are no ACLs.

ZooKeeper compares the subject of a certificate as a whole, so an ACL names each worker. The right to delete a
znode is one on its parent, and covers all of its children.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from struct import Struct
from typing import Any

from mwapp.core.messages import Create, Delete, Op, Set
from mwapp.core.protocol import (
    ASSIGN,
    CANCEL,
    PARENTS,
    REQUESTS,
    RETURNED,
    SECRET,
    TASKS,
    WORKERS,
    secret_path,
)
from mwapp.core.shards.protocol import DRAINS, HOLDERS, MOVES, SHARD_PARENTS, TABLES

PATH = "/acl"

READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16
ALL = 31
LETTERS = {"r": READ, "w": WRITE, "c": CREATE, "d": DELETE, "a": ADMIN}

# Whom a right is for, besides masters, who may do everything, and all others, who may read everything.
ITS_WORKER = "its worker"  # that after which the znode is named
ALL_WORKERS = "workers"
ALL_CLIENTS = "clients"

# What is not in here is for masters alone.
RIGHTS: dict[str, dict[str, str]] = {
    WORKERS: {ALL_WORKERS: "c"},
    f"{WORKERS}/*": {ITS_WORKER: "w"},
    f"{ASSIGN}/*": {ITS_WORKER: "wd"},
    RETURNED: {ALL_WORKERS: "c"},
    TASKS: {ALL_CLIENTS: "c"},
    f"{TASKS}/*": {ALL_WORKERS: "c"},
    CANCEL: {ALL_CLIENTS: "c"},
    REQUESTS: {ALL_CLIENTS: "c"},
    HOLDERS: {ALL_WORKERS: "c"},
    f"{HOLDERS}/*": {ITS_WORKER: "w"},
    TABLES: {ALL_CLIENTS: "c"},
    f"{TABLES}/*": {ALL_CLIENTS: "w"},
    MOVES: {ALL_CLIENTS: "c"},
    DRAINS: {ALL_CLIENTS: "cd"},
    secret_path("*"): {ALL_WORKERS: "r"},
}
# What nobody may read who is not named.
PRIVATE = secret_path("*")

# What clients cannot create while lists are in force, and so is there.
TOPS = (*PARENTS, *SHARD_PARENTS)

# ZooKeeper's own, which it makes open to all. By a quota its owner bounds what others may write.
SYSTEM = "/zookeeper"
QUOTAS = f"{SYSTEM}/quota"

_INT = Struct("!i")


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of an ACL, as ZooKeeper has it."""

    rights: int
    scheme: str
    who: str


OPEN = (Entry(ALL, "world", "anyone"),)


def subject(name: str) -> str:
    """The subject of a certificate for this name, as ZooKeeper writes it."""
    return f"CN={name}"


@dataclass(frozen=True)
class Policy:
    """Data of :data:`PATH`: the subjects of certificates, for workers by the names of the workers."""

    masters: tuple[str, ...]
    workers: tuple[tuple[str, str], ...] = ()
    clients: tuple[str, ...] = ()
    complete: bool = False  # all that was there before has its ACL
    lifting: bool = False  # the ACLs are being lifted, so there are none any more for what is created

    @staticmethod
    def of(
        masters: Iterable[str], nodes: Iterable[str], workers: Iterable[str], clients: Iterable[str]
    ) -> "Policy":
        """By the names of services, whose certificates are named as the role mwapp does it; clients by the
        names in their certificates. A node may do what a master may, which is more than what a worker may."""
        first = [("master", name) for name in masters] + [("node", name) for name in nodes]
        return Policy(
            tuple(sorted({subject(f"mwapp-{role}-{name}") for role, name in first})),
            tuple(sorted({(name, subject(f"mwapp-worker-{name}")) for name in workers})),
            tuple(sorted({subject(client) for client in clients})),
        )

    def encode(self) -> bytes:
        """The znode's data."""
        value = {
            "masters": self.masters,
            "workers": dict(self.workers),
            "clients": self.clients,
            "complete": self.complete,
        } | ({"lifting": True} if self.lifting else {})
        return json.dumps(value, separators=(",", ":")).encode()

    @staticmethod
    def decode(data: bytes) -> "Policy | None":
        """None if it is none of ours."""
        try:
            value: Any = json.loads(data)
            masters, clients = (tuple(map(str, value[key])) for key in ("masters", "clients"))
            workers = tuple((str(name), str(who)) for name, who in value["workers"].items())
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return None
        return Policy(masters, workers, clients, value.get("complete") is True, value.get("lifting") is True)

    def with_all_of(self, other: "Policy") -> "Policy":
        """Nobody is struck off who is in the other."""
        return Policy(
            tuple(sorted({*self.masters, *other.masters})),
            tuple(sorted((dict(other.workers) | dict(self.workers)).items())),
            tuple(sorted({*self.clients, *other.clients})),
        )

    @cached_property
    def _workers(self) -> dict[str, str]:
        return dict(self.workers)

    def acl(self, path: str, creator: str | None = None) -> tuple[Entry, ...]:
        """What the znode's ACL has to be. ``creator``: who creates something below it, too."""
        if self.lifting:
            return OPEN
        pattern, name = _kind(path)
        rights = dict.fromkeys(self.masters, ALL)
        for who, letters in RIGHTS.get(pattern, {}).items():
            for one in self._who(who, name):
                rights[one] = rights.get(one, 0) | _bits(letters)
        if creator is not None:
            rights[creator] = rights.get(creator, 0) | CREATE
        named = tuple(Entry(bits, "x509", who) for who, bits in sorted(rights.items()))
        return named if pattern == PRIVATE else (*named, Entry(READ, "world", "anyone"))

    def fits(self, path: str, entries: Collection[Entry]) -> bool:
        """Whether that is an ACL that the znode may have. Whoever created a task with secret values could
        extend it. If lists are lifted, secret values stay what they are."""
        if self.lifting and _kind(path)[0] == PRIVATE:
            return True
        if set(entries) == set(self.acl(path)):
            return True
        creators = [one.who for one in entries if one.who in self.clients]
        return _kind(path)[0] == f"{TASKS}/*" and any(
            set(entries) == set(self.acl(path, creator)) for creator in creators
        )

    def keeps_secrets(self, who: str | None) -> bool:
        """Whether this client can store what others cannot read."""
        return not self.lifting and who is not None and who in (*self.masters, *self.clients)

    def packed(self, path: str, creator: str | None = None) -> bytes:
        """The same, as it travels."""
        pattern, name = _kind(path)
        key = pattern, name if ITS_WORKER in RIGHTS.get(pattern, ()) else "", creator
        if key not in self._packed:
            self._packed[key] = pack(self.acl(path, creator))
        return self._packed[key]

    @cached_property
    def _packed(self) -> dict[tuple[str, str, str | None], bytes]:
        return {}

    def _who(self, who: str, name: str) -> Iterable[str]:
        if who == ITS_WORKER:
            return (self._workers[name],) if name in self._workers else ()
        return self._workers.values() if who == ALL_WORKERS else self.clients


# There are no ACLs.
OPEN_TO_ALL = Policy((), lifting=True)


def pack(acl: Iterable[Entry]) -> bytes:
    """An ACL as it travels."""
    entries = [_INT.pack(entry.rights) + _text(entry.scheme) + _text(entry.who) for entry in acl]
    return _INT.pack(len(entries)) + b"".join(entries)


def _text(text: str) -> bytes:
    data = text.encode()
    return _INT.pack(len(data)) + data


def _bits(letters: str) -> int:
    return sum(LETTERS[letter] for letter in letters)


def kind(path: str) -> str:
    """The path in the table that means this one."""
    return _kind(path)[0]


def _kind(path: str) -> tuple[str, str]:
    """The same, and what its first asterisk stands for."""
    parts = path.strip("/").split("/")
    if len(parts) == 1:
        return path, ""
    if len(parts) == 3 and (parts[0], parts[2]) == (TASKS[1:], SECRET):
        return PRIVATE, parts[1]
    return "/".join(("", parts[0], *"*" * (len(parts) - 1))), parts[1]


# ---------------------------------------------------------------- what is told of a refusal


def denied(policy: Policy | None, operation: Op, who: str | None) -> str:
    """One line about an operation for which we have no right; ``who`` is the subject of our certificate."""
    verb, right, where = {
        Create: ("create", "c", _parent(operation.path)),
        Delete: ("delete", "d", _parent(operation.path)),
        Set: ("write", "w", operation.path),
    }.get(type(operation), ("read", "r", operation.path))
    begin = f"no permission to {verb} {operation.path}"
    if policy is None:
        return f"{begin}: the znode's access control list forbids it (zkCli.sh: getAcl {where})"
    pattern, name = _kind(where)
    may = [_named(one, name) for one, letters in RIGHTS.get(pattern, {}).items() if right in letters]
    allowed = " and ".join(["masters", *may])
    if where == ASSIGN:
        return f"{begin} as {who or 'nobody'}: only masters may; site.yml makes it, or mwapp acl on"
    return (
        f"{begin} as {who or 'nobody'}: only {allowed} may; use the certificate of one (--tls-cert), or have "
        "this one entered (mwapp acl shows who is; site.yml enters who is in the inventory)"
    )


def _named(who: str, name: str) -> str:
    return f"the worker {name}" if who == ITS_WORKER else who


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


# ---------------------------------------------------------------- all of it


def tops() -> Iterator[str]:
    """The znodes that are there in any case; the first is for the policy."""
    yield PATH
    yield from TOPS


def table() -> list[tuple[str, str, str, str, str]]:
    """For people: path, and the rights of masters, its worker, all workers, clients. All may read, but
    not what is PRIVATE."""
    paths = ["/", SYSTEM, QUOTAS, f"{QUOTAS}/*", PATH, "/master", "/candidates", "/candidates/*", "/epoch"]
    for top in (WORKERS, ASSIGN, RETURNED, CANCEL, REQUESTS, TASKS, *SHARD_PARENTS):
        paths += [top, f"{top}/*"]
    paths += [f"{ASSIGN}/*/*", f"{TASKS}/*/*", PRIVATE, f"{TABLES}/*/*"]
    rows = []
    for path in paths:
        its = RIGHTS.get(path, {})
        rows.append(
            (path, "rwcda", its.get(ITS_WORKER, ""), its.get(ALL_WORKERS, ""), its.get(ALL_CLIENTS, ""))
        )
    return rows
