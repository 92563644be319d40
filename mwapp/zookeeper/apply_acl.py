"""Bring access control lists in force, change them, or lift them, on an application that runs.

Whatever order things are done in, running processes must go on. What is created from now on comes first (the
policy, which all watch), then what is there. Each step can be repeated: a run that was cut short is finished
by the next.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    InvalidACLError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import ACL, Id

from mwapp.core.protocol import ASSIGN, MASTER, worker_path
from mwapp.core.shards.protocol import holder_path
from mwapp.errors import RefusedError, UnreachableError
from mwapp.zookeeper.acl import OPEN_TO_ALL, PATH, PRIVATE, QUOTAS, SYSTEM, TOPS, Entry, Policy, kind
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.tls_handler import TlsHandler

# Requests under way at once.
AT_ONCE = 500
# Processes have heard of a new policy after this many seconds; what they created before is looked at again.
HEARD = 0.3
# What is still created with other lists after so many looks is somebody else's doing.
LOOKS = 5


@dataclass
class Report:
    """What was found, and done."""

    policy: Policy | None = None  # in force now
    changed: list[str] = field(default_factory=list)  # znodes whose lists were set, or would be
    problems: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)  # single znodes that are somebody else's


class Lists:
    """A session that reads and sets access control lists. A context manager."""

    def __init__(self, servers: Servers, patience: float, *, look_only: bool = False) -> None:
        """``look_only``: tell what would be done, and do nothing."""
        self._chroot = servers.chroot
        self._system = () if servers.chroot else (SYSTEM, QUOTAS)
        self._servers = servers
        self._patience = patience
        self._look_only = look_only
        self._handler = TlsHandler(servers.tls)
        self._client = KazooClient(
            hosts=servers.hosts, timeout=10.0, handler=self._handler, logger=_unheard()
        )
        self._report = Report()
        self._sees_all = True  # lists of secret values, too: only who may read a znode may see its list

    def __enter__(self) -> "Lists":
        try:
            self._client.start(self._patience)
        except KazooTimeoutError:
            self.__exit__()
            why = self._handler.refused or f"the ensemble has not answered for {self._patience:g} s"
            raise UnreachableError(f"--connect {self._servers}: {why}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop()
        self._client.close()

    # ------------------------------------------------------------ what can be done

    def show(self) -> Report:
        """Who may do what, and the znodes whose lists are others."""
        policy = self._read()
        self._look_only, self._report.policy = True, policy
        self._sees_all = policy is not None and self._own() in policy.masters
        self._walk(policy or OPEN_TO_ALL)
        return self._report

    def on(self, wanted: Policy, *, quick: bool = False, if_on: bool = False, keep: bool = False) -> Report:
        """Have these in force.

        ``quick``: if they are, look only at what is there in any case. ``if_on``: only if any are in force.
        ``keep``: strike nobody off.
        """
        present = self._read()
        in_force = present is not None and not present.lifting
        if if_on and not in_force:
            return self._report
        if keep and present is not None:
            wanted = wanted.with_all_of(present)
        current = present == replace(wanted, complete=True)
        if not current:
            self._write(wanted, present)
        self._make(wanted)
        if current and quick:
            self._bring(("", PATH, *TOPS, *_queues(wanted)), wanted)
            self._walk_down([*self._system], wanted)  # zkCli.sh leaves a new quota open to all
            settled = True
        else:
            settled = self._settle(wanted)
        if present is not None:
            self._strike_off(present, wanted)
        if not current and settled and not self._report.problems:
            self._write(replace(wanted, complete=True), wanted)
        self._report.policy = self._read()
        return self._report

    def off(self) -> Report:
        """Have none in force. Without a policy there are none of ours, and nothing is touched."""
        if self._client.exists(self._path(PATH)) is None:
            return self._report
        present = self._read()
        self._write(replace(present or Policy(()), complete=False, lifting=True), present)
        if not self._look_only:
            time.sleep(HEARD)
        self._walk(OPEN_TO_ALL, last="")
        if self._report.problems:
            self._report.policy = present
        else:  # so that a run which is cut short is finished by the next
            self._do(lambda: self._client.delete(self._path(PATH)), PATH)
        return self._report

    def _strike_off(self, before: Policy, now: Policy) -> None:
        """Workers that may write nothing any more can end nothing either: others get their tasks
        and shards."""
        names = dict(before.workers).keys() - dict(now.workers).keys()
        for name in names:
            self._delete(worker_path(name))
        if names and not self._look_only:
            time.sleep(HEARD)  # they have killed what they ran for shards, and cannot say so any more
        for name in names:
            self._delete(holder_path(name))

    def _delete(self, path: str) -> None:
        self._do(lambda: self._client.delete(self._path(path)), path)

    # ------------------------------------------------------------ the policy, and what has to be there

    def _read(self) -> Policy | None:
        try:
            data, _ = self._client.get(self._path(PATH))
        except NoNodeError:
            return None
        return Policy.decode(data)

    def _write(self, policy: Policy, present: Policy | None) -> None:
        if present == policy:
            return
        if PATH not in self._report.changed:
            self._report.changed.append(PATH)
        data, path = policy.encode(), self._path(PATH)

        def write() -> None:
            self._client.ensure_path(self._chroot or "/")
            try:
                self._client.create(path, data, acl=_kazoo(policy.acl(PATH)))
            except NodeExistsError:
                self._client.set(path, data)

        if not self._do(write, PATH):
            who = ", ".join(present.masters) if present else "nobody"
            raise RefusedError(
                f"{PATH}: no permission to change it as {self._own()}: run this with the key of a master "
                f"that is in it already ({who}), or as the ensemble's superuser"
            )

    def _make(self, policy: Policy) -> None:
        """The parents, and each worker's queue, which it may not create itself."""
        wanted = (*TOPS, *_queues(policy))
        missing = [path for path, found in self._each(self._client.exists_async, wanted) if found is None]
        for path in missing:
            self._report.changed.append(path)

            def make(path: str = path) -> None:
                self._client.create(self._path(path), b"", acl=_kazoo(policy.acl(path)))

            self._do(make, path, fine=NodeExistsError)

    def _settle(self, policy: Policy) -> bool:
        """Returns whether the last look found nothing to do."""
        for _ in range(1 if self._look_only else LOOKS):
            before = len(self._report.changed)
            self._walk(policy)
            if len(self._report.changed) == before:
                return True
            if not self._look_only:
                time.sleep(HEARD)
        return False

    # ------------------------------------------------------------ all znodes

    def _walk(self, policy: Policy, last: str | None = None) -> None:
        """From the top down, so that nobody adds what is not seen. ``last``: this one after all others."""
        level = [path for path in ("", *self._system, MASTER, *TOPS) if path != last]
        if last is None:  # while lists are lifted, it goes at the very end, and nobody else may write it
            level.append(PATH)
        self._walk_down(level, policy)
        if last is not None and not self._report.problems:
            self._bring([last], policy)

    def _walk_down(self, level: list[str], policy: Policy) -> None:
        while level:
            children = self._bring(level, policy)
            level = [
                f"{path}/{name}"
                for path, names in self._each(self._client.get_children_async, children)
                for name in names or ()
            ]

    def _bring(self, paths: Iterable[str], policy: Policy) -> list[str]:
        """Set the lists that are others; returns those that have children of ours."""
        found = [
            (path, its) for path, its in self._each(self._client.get_acls_async, paths) if its is not None
        ]
        wrong = [path for path, (entries, _) in found if not policy.fits(path or "/", _entries(entries))]
        if self._look_only:
            self._report.changed += [path or "/" for path in wrong if path not in self._report.changed]
        else:

            def put(path: str) -> Any:
                return self._client.set_acls_async(path, _kazoo(policy.acl(path[len(self._chroot) :] or "/")))

            self._report.changed += [path or "/" for path, done in self._each(put, wrong) if done is not None]
        return [path for path, (_, stat) in found if stat.numChildren and path not in ("", SYSTEM)]

    def _each(self, ask: Callable[[str], Any], paths: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """What is answered for each; None if it is not there, or forbidden, which is noted."""
        paths = list(paths)
        for at in range(0, len(paths), AT_ONCE):
            asked = [(path, ask(self._path(path))) for path in paths[at : at + AT_ONCE]]
            for path, answer in asked:
                try:
                    yield path, answer.get(timeout=60.0)
                except NoNodeError:
                    yield path, None
                except NoAuthError:
                    if self._sees_all or kind(path) != PRIVATE:
                        self._problem(path)
                    yield path, None
                except (KazooException, KazooTimeoutError) as problem:
                    raise _explained(problem) from None

    def _do(self, call: Callable[[], Any], path: str, fine: type[Exception] = NoNodeError) -> bool:
        """Whether it is so now."""
        if self._look_only:
            return True
        try:
            call()
        except fine:
            return True
        except (NoAuthError, NotEmptyError):
            self._problem(path)
            return False
        except (KazooException, KazooTimeoutError) as problem:
            raise _explained(problem) from None
        return True

    def _problem(self, path: str) -> None:
        """A single znode below a parent may be anybody's; it must not keep us from the others."""
        single = path not in ("", PATH, MASTER, *TOPS)
        told = self._report.foreign if single else self._report.problems
        told.append(
            f"{path or '/'}: no permission to change it or its list as {self._own()}: it is somebody else's; "
            "the ensemble's superuser can delete it or set it"
        )

    def _own(self) -> str:
        return (self._servers.tls and self._servers.tls.subject) or "nobody (there is no certificate)"

    def _path(self, path: str) -> str:
        return self._chroot + path or "/"


def _unheard() -> logging.Logger:
    """What kazoo says of each attempt to connect is in our error, in one line."""
    logger = logging.getLogger(f"{__name__}.kazoo")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _explained(problem: Exception) -> Exception:
    if isinstance(problem, InvalidACLError):
        return RefusedError(
            "the servers do not know certificates in access control lists: do they have TLS for clients?"
        )
    return UnreachableError(f"the ensemble does not do it: {problem!r}")


def _queues(policy: Policy) -> list[str]:
    return [f"{ASSIGN}/{name}" for name, _ in policy.workers]


def _entries(acls: Iterable[Any]) -> tuple[Entry, ...]:
    return tuple(Entry(acl.perms, acl.id.scheme, acl.id.id) for acl in acls)


def _kazoo(entries: Iterable[Entry]) -> list[Any]:
    return [ACL(entry.rights, Id(entry.scheme, entry.who)) for entry in entries]
