"""What somebody with a stolen key tries in the ensemble, and whether it was refused."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NoNodeError
from kazoo.security import ACL, OPEN_ACL_UNSAFE, Id

from mwapp.core.protocol import Assignment, secret_path
from mwapp.core.task import encode_secrets
from mwapp.zookeeper.acl import PATH, Policy
from mwapp.zookeeper.tls import Tls
from mwapp.zookeeper.tls_handler import TlsHandler

Attempt = Callable[[Any], object]
# Of a task that has been returned, and that nobody can take.
RETURNED = Assignment(2, labels=("nowhere",)).encode()
# Of a znode that is not there, so that it changes nothing.
QUOTA = "/zookeeper/quota/quiet/zookeeper_limits"


@contextmanager
def hand(connect: str, tls: Tls | None, seconds: float = 10.0, session: int | None = None) -> Iterator[Any]:
    """A client of its own, with this certificate, or none; ``session``: it takes over this one."""
    client = KazooClient(connect, handler=TlsHandler(tls), client_id=session and (session, password(session)))
    try:
        client.start(seconds)
        yield client
    finally:
        client.stop()
        client.close()


@dataclass(frozen=True)
class Scene:
    """What there is to be damaged. All of it must be there, or an attempt cannot be made."""

    candidate: str  # a master's znode
    worker: str  # runs a task
    other: str  # another worker
    ended: str  # a task
    running: str
    waiting: str  # it has been returned

    def prepare(self, master: Any) -> None:
        """With a master's key."""
        master.create(f"/returned/{self.waiting}", RETURNED, acl=master.get_acls("/epoch")[0])
        policy, secret = Policy.decode(master.get(PATH)[0]), secret_path(self.ended)
        assert policy is not None
        lists = [ACL(entry.rights, Id(entry.scheme, entry.who)) for entry in policy.acl(secret)]
        master.create(secret, encode_secrets({"TOKEN": "hush"}), acl=lists)

    def prepare_at_the_top(self, master: Any) -> None:
        """The same at the top: a quota, open to all, as zkCli.sh sets it. `mwapp acl on` has to follow."""
        master.create(QUOTA, b"count=-1,bytes=-1", makepath=True)

    def for_masters(self) -> dict[str, Attempt]:
        """What only a master may."""
        ended, running = f"/tasks/{self.ended}", f"/tasks/{self.running}"
        assigned, waiting = f"/assign/{self.worker}/{self.running}", f"/returned/{self.waiting}"
        policy = b'{"masters":["CN=evil"],"workers":{},"clients":[]}'
        return {
            "become master": _create("/master", b"evil:1", ephemeral=True),
            "be a master that never ends": _create("/master", b"evil:1"),
            "depose the master": _delete("/master"),
            "say that the master is elsewhere": _put("/master"),
            "depose it as a standby would": _at_once(("delete", "/master"), ("create", "/master")),
            "raise the epoch": _put("/epoch"),
            "begin epochs anew": _delete("/epoch"),
            "raise the epoch's second count": _put("/tasks"),
            "enter oneself as a master": _put("/acl", policy),
            "have no lists": _delete("/acl"),
            "open the top": _open_up("/"),
            "open the tasks": _open_up("/tasks"),
            "open a task": _open_up(running),
            "be a candidate": _create("/candidates/evil-1", b"evil:1", ephemeral=True),
            "delete a candidate": _delete(self.candidate),
            "beat for a silent master": _put(self.candidate),
            "end a worker": _delete(f"/workers/{self.worker}"),
            "drain a worker": _put(f"/workers/{self.worker}"),
            "begin a worker's incarnation": _put(f"/assign/{self.worker}"),
            "make a queue": _create("/assign/evil"),
            "delete a queue": _delete(f"/assign/{self.other}"),
            "assign a task": _create(f"/assign/{self.worker}/{self.ended}"),
            "take a task away": _delete(assigned),
            "change an assignment": _put(assigned),
            "take what was returned": _delete(waiting),
            "change what was returned": _put(waiting),
            "change a task": _put(running),
            "delete a task": _delete(running),
            "change a status": _put(f"{ended}/status", b"failed"),
            "have a task run again by hand": _delete(f"{ended}/status"),
            "change a result": _put(f"{ended}/result"),
            "delete a result": _delete(f"{ended}/result"),
            "delete all cancel requests": _delete("/cancel"),
            "put something else there": _create("/evil"),
            "write to the top": _put("/"),
        }

    def for_masters_at_the_top(self) -> dict[str, Attempt]:
        """The same, if the application is below no other znode: then ZooKeeper's own are its, too. A quota
        could keep masters from writing."""
        return {
            "put something among ZooKeeper's own": _create("/zookeeper/evil"),
            "write to ZooKeeper's own": _put("/zookeeper"),
            "open ZooKeeper's own": _open_up("/zookeeper"),
            "set a quota": _create("/zookeeper/quota/tasks"),
            "write to the quotas": _put("/zookeeper/quota"),
            "open the quotas": _open_up("/zookeeper/quota"),
            "change a quota": _put(QUOTA, b"count=1,bytes=-1"),
            "lift a quota": _delete(QUOTA),
            "change who is a member": _put("/zookeeper/config"),
        }

    def for_workers(self) -> dict[str, Attempt]:
        """What a worker may, too."""
        running = f"/tasks/{self.running}"
        done = ("delete", f"/assign/{self.worker}/{self.running}"), ("create", f"{running}/status")
        return {
            "register as a worker": _create("/workers/evil", b"evil:1", ephemeral=True),
            "register a worker that never ends": _create("/workers/evil", b"evil:1"),
            "read secret values": lambda zk: zk.get(secret_path(self.ended)),
            "return a task": _create(f"/returned/{self.running}"),
            "forge a status": _create(f"{running}/status", b"done"),
            "forge a result": _create(f"{running}/result", b"{}"),
            "complete a task": _at_once(*done),
        }

    def for_clients(self) -> dict[str, Attempt]:
        """What a client may, too. (And below a task with secret values that its own key has submitted it may
        create anything, so forge how that ends: docs/security.md.)"""
        return {
            "submit a task": _create("/tasks/task-", b"id", sequence=True),
            "submit a task under a name": _create("/tasks/evil", b"id"),
            "cancel a task": _create(f"/cancel/{self.running}"),
            "ask for a task to run again": _create(f"/requests/{self.ended}", b"run"),
            "assign itself a task": _create(f"/assign/{self.other}/{self.ended}"),
        }


def outcome(zk: Any, attempt: Attempt) -> str:
    """``refused``, or what happened: another answer than "no permission" is no refusal."""
    try:
        attempt(zk)
    except NoAuthError:
        return "refused"
    except Exception as problem:
        return repr(problem)
    return "done"


def tree(zk: Any, path: str = "/") -> dict[str, Any]:
    """What there is, apart from candidates, who beat."""
    data, stat = zk.get(path)
    found = {path: (data, stat.czxid, stat.version, zk.get_acls(path)[0])}
    for name in zk.get_children(path):
        below = f"{path.rstrip('/')}/{name}"
        if not below.startswith("/candidates/"):
            found |= tree(zk, below)
    return found


def ephemerals(zk: Any, path: str = "/") -> list[str]:
    """What goes with a session, or is going now."""
    try:
        found = [path] if zk.get(path)[1].ephemeralOwner else []
        for name in zk.get_children(path):
            found += ephemerals(zk, f"{path.rstrip('/')}/{name}")
    except NoNodeError:
        return [path]
    return found


def password(session: int) -> bytes:
    """That of a session: ZooKeeper computes it from the session's number alone, as java.util.Random does."""
    seed = ((session ^ 0xB3415C00) ^ 0x5DEECE66D) & (1 << 48) - 1
    found = b""
    while len(found) < 16:
        seed = (seed * 0x5DEECE66D + 0xB) & (1 << 48) - 1
        found += (seed >> 16 & 0xFFFFFFFF).to_bytes(4, "little")
    return found


def _create(path: str, data: bytes = b"", **how: bool) -> Attempt:
    return lambda zk: zk.create(path, data, **how)


def _put(path: str, data: bytes = b"forged") -> Attempt:
    return lambda zk: zk.set(path, data)


def _delete(path: str) -> Attempt:
    return lambda zk: zk.delete(path)


def _open_up(path: str) -> Attempt:
    return lambda zk: zk.set_acls(path, OPEN_ACL_UNSAFE)


def _at_once(*operations: tuple[str, str]) -> Attempt:
    """As mwapp does it: a transaction."""

    def attempt(zk: Any) -> None:
        transaction = zk.transaction()
        for verb, path in operations:
            getattr(transaction, verb)(path)
        for result in transaction.commit():
            if isinstance(result, NoAuthError):
                raise result

    return attempt
