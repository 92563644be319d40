"""What an ensemble has committed, from its logs, and the proof that they were read rightly."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from kazoo.exceptions import NoNodeError
from kazoo.protocol.states import ZnodeStat

from testbed.ensemble import Ensemble, Server
from testbed.waiting import wait_for
from tests import txnlog
from tests.simulation.ensemble import Transacted
from tests.simulation.tree import Tree, ZNode

NOTHING = ZNode(b"", 0, 0, 0)


class Shown(NamedTuple):
    """A znode as a server shows it: its data and its children, each as of their own moment."""

    data: bytes
    of_data: ZnodeStat
    children: set[str]
    of_children: ZnodeStat


def committed(ensemble: Ensemble, chroot: str) -> list[Transacted]:
    """All transactions, oldest first, with what they changed below a chroot, as paths from there.

    All servers must serve. Raises AssertionError: the logs lead to something else than a server shows. If
    only some do, then they themselves have lost or kept what they must not: no verdict on their clients.
    """
    entries, tree = [], Tree()
    for entry in txnlog.history([server.directory / "data" for server in ensemble.servers]):
        changes = [change for change in entry.changes if f"{change.path}/".startswith(f"{chroot}/")]
        for change in changes:
            try:
                tree.apply(change, entry.zxid, entry.time)
            except KeyError:
                raise AssertionError(f"{change} at {entry.zxid:#x} does not fit what was before it") from None
        below = [replace(c, path=c.path.removeprefix(chroot)) for c in changes if c.path != chroot]
        entries.append(replace(entry, changes=tuple(below)))
    until = entries[-1].zxid
    found = {str(server): differences(_read(server, chroot), tree, until) for server in ensemble.servers}
    assert not any(found.values()), f"by server, what is not as in the logs: {found}"
    return entries


def ends(ensemble: Ensemble) -> dict[int, float]:
    """When each session ended that has, Unix seconds."""
    entries = txnlog.history([server.directory / "data" for server in ensemble.servers])
    return {entry.session: entry.time for entry in entries if entry.ended}


def end_of(ensemble: Ensemble, session: int) -> Transacted:
    """How a session ended; waits for it."""

    def look() -> Transacted | None:
        entries = txnlog.history([server.directory / "data" for server in ensemble.servers])
        return next((entry for entry in entries if entry.ended and entry.session == session), None)

    return wait_for(f"session {session:#x} has ended", look, every=0.1)


def differences(shown: Mapping[str, Shown], tree: Tree, until: int) -> dict[str, str]:
    """What is not as in the tree, by path, of all that has not changed after ``until``."""
    found = {}
    for path, (data, stat, children, listed) in shown.items():
        node = tree.nodes.get(path, NOTHING)
        there = (data, stat.version, stat.czxid, stat.ephemeralOwner)
        logged = (node.data, node.version, node.czxid, node.owner)
        if stat.mzxid <= until and there != logged:
            found[path] = f"{there}, in the logs {logged}"
        elif listed.pzxid <= until and (children, listed.cversion) != (node.children, node.cversion):
            found[path] = f"children {children ^ node.children}, at {listed.cversion} and {node.cversion}"
    return found


def _read(server: Server, root: str) -> dict[str, Shown]:
    """All there is at one server, by path; level by level, for one by one takes long."""
    shown = {}
    with server.client() as client:  # its session was opened after all that is looked for
        level = [root]
        while level:
            asked = [
                (path, client.get_async(path), client.get_children_async(path, include_data=True))
                for path in level
            ]
            level = []
            for path, data, children in asked:
                with suppress(NoNodeError):  # it is gone since its parent was read
                    (content, stat), (names, listed) = data.get(), children.get()
                    shown[path] = Shown(content, stat, set(names), listed)
                    level += [f"{path}/{name}" for name in names]
    return shown
