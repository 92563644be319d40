"""What an ensemble has committed, from its logs, and the proof that they were read rightly."""

from contextlib import closing, suppress
from typing import NamedTuple

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.protocol.states import ZnodeStat

from tests import txnlog
from tests.ensemble import Ensemble, Server
from tests.simulation.ensemble import Transacted
from tests.simulation.tree import Tree, ZNode

NOTHING = ZNode(b"", 0, 0, 0)


class _Shown(NamedTuple):
    """A znode as a server shows it: its data and its children, each as of their own moment."""

    data: bytes
    of_data: ZnodeStat
    children: set[str]
    of_children: ZnodeStat

    def differs(self, node: ZNode, until: int) -> bool:
        """Whether it is not the one of the logs, if it has not changed after ``until``."""
        stat, listed = self.of_data, self.of_children
        data = (self.data, stat.version, stat.czxid, stat.ephemeralOwner)
        if stat.mzxid <= until and data != (node.data, node.version, node.czxid, node.owner):
            return True
        children = (self.children, listed.cversion)
        return listed.pzxid <= until and children != (node.children, node.cversion)


def history(ensemble: Ensemble, chroot: str) -> list[Transacted]:
    """What was committed below a chroot, with paths from there, oldest first. All servers must serve.

    Raises AssertionError: a server shows something else than the logs lead to. If only some do, then they
    themselves have lost or kept what they must not, and there is no verdict on their clients.
    """
    entries, tree = [], Tree()
    for entry in txnlog.history([server.directory / "data" for server in ensemble.servers]):
        below = [change for change in entry.changes if change.path.startswith(f"{chroot}/")]
        changes = tuple(change._replace(path=change.path.removeprefix(chroot)) for change in below)
        for change in changes:
            tree.apply(change, entry.zxid, entry.time)
        entries.append(entry._replace(changes=changes))
    found = {str(server): _differences(server, chroot, tree, entries[-1].zxid) for server in ensemble.servers}
    assert not any(found.values()), f"by server, what is not as in the logs: {found}"
    return entries


def _differences(server: Server, chroot: str, tree: Tree, until: int) -> list[str]:
    nodes, shown = tree.nodes, _read(server, chroot)
    return sorted(path for path in shown if shown[path].differs(nodes.get(path, NOTHING), until))


def _read(server: Server, chroot: str) -> dict[str, _Shown]:
    """All there is at one server, by path; level by level, for one by one takes long."""
    shown = {}
    with closing(KazooClient(f"127.0.0.1:{server.port}{chroot}")) as client:
        client.start()
        client.sync("/")
        level = [f"/{name}" for name in client.get_children("/")]
        while level:
            asked = [
                (path, client.get_async(path), client.get_children_async(path, include_data=True))
                for path in level
            ]
            level = []
            for path, data, children in asked:
                with suppress(NoNodeError):  # it is gone since its parent was read
                    (content, stat), (names, listed) = data.get(), children.get()
                    shown[path] = _Shown(content, stat, set(names), listed)
                    level += [f"{path}/{name}" for name in names]
        client.stop()
    return shown
