"""The znodes of one simulated server, and what a transaction does to them.

Every rule here is a real server's; test_sim_matches_server.py compares them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mwapp.core.messages import Check, Create, Delete, Error, Failed, Node, Op, OpResult, Set, Stat, message

# From here on a server's count of children does not change, nor the next sequential number.
LAST_NUMBER = (1 << 31) - 1


@dataclass(slots=True)
class ZNode:
    """A znode with everything a server keeps about it."""

    data: bytes
    czxid: int
    mzxid: int
    pzxid: int
    owner: int = 0
    ctime: float = 0.0
    version: int = 0
    created: int = 0  # children ever created: numbers the sequential ones
    children: set[str] = field(default_factory=set)

    @property
    def cversion(self) -> int:
        """As clients see it: creations plus deletions of children."""
        return 2 * self.created - len(self.children)

    def stat(self) -> Stat:
        """Its Stat, as the core sees it."""
        return Stat(self.czxid, self.version, self.owner, len(self.children), self.ctime, self.created)

    def node(self) -> Node:
        """What a read returns."""
        return Node(self.data, self.stat())


@message
class Created:
    """A znode was created; ``owner`` is a session if it is ephemeral, else 0."""

    path: str
    data: bytes
    owner: int


@message
class Changed:
    """A znode's data was set."""

    path: str
    data: bytes


@message
class Deleted:
    """A znode was deleted."""

    path: str


Change = Created | Changed | Deleted


class RefusedError(Exception):
    """An operation is impossible."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.value)
        self.error = error


def parent_of(path: str) -> str:
    """The path above."""
    return path.rpartition("/")[0] or "/"


class Tree:
    """The znodes. Starts as a new server does, with the root and ``/zookeeper``."""

    def __init__(self) -> None:
        self.nodes = {"/": ZNode(b"", 0, 0, 0), "/zookeeper": ZNode(b"", 0, 0, 0)}
        self.nodes["/"].children.add("zookeeper")
        self.ephemerals: dict[int, list[str]] = {}  # by session, in the order of their creation

    # ------------------------------------------------------------ deciding (the leader)

    def decide(
        self, ops: Sequence[Op], session: int, zxid: int, now: float
    ) -> tuple[tuple[OpResult, ...], list[Change]] | Failed:
        """Carry out all of the operations or none; return their results and what changed.

        A refused transaction costs a zxid, but no sequential number, as on a real server.
        """
        results: list[OpResult] = []
        changes: list[Change] = []
        undo: list[Callable[[], None]] = []
        for index, op in enumerate(ops):
            try:
                change = self._resolve(op, session)
            except RefusedError as refused:
                for step in reversed(undo):
                    step()
                return Failed(refused.error, index)
            if change is None:
                results.append(None)
                continue
            if len(ops) > 1:
                undo.append(self._undo(change))
            self.apply(change, zxid, now)
            changes.append(change)
            match change:
                case Created(path):
                    results.append(path)
                case Changed(path):
                    results.append(self.nodes[path].stat())
                case Deleted():
                    results.append(None)
        return tuple(results), changes

    def _resolve(self, op: Op, session: int) -> Change | None:
        match op:
            case Check(path, version):
                self._check(path, version)
                return None
            case Create(path, data, ephemeral, sequential):
                parent = self._find(parent_of(path))
                if sequential:
                    path = f"{path}{parent.created:010d}"
                if path in self.nodes:
                    raise RefusedError(Error.NODE_EXISTS)
                if parent.owner:
                    raise RefusedError(Error.NO_NODE)  # ephemerals cannot have children
                return Created(path, data, session if ephemeral else 0)
            case Set(path, data, version):
                self._check(path, version)
                return Changed(path, data)
            case Delete(path, version):
                if self._check(path, version).children:
                    raise RefusedError(Error.NOT_EMPTY)
                return Deleted(path)

    def _find(self, path: str) -> ZNode:
        try:
            return self.nodes[path]
        except KeyError:
            raise RefusedError(Error.NO_NODE) from None

    def _check(self, path: str, version: int) -> ZNode:
        node = self._find(path)
        if version not in (-1, node.version):
            raise RefusedError(Error.BAD_VERSION)
        return node

    # ------------------------------------------------------------ applying (every server)

    def apply(self, change: Change, zxid: int, now: float) -> None:
        """Carry out a change that was decided."""
        path = change.path
        if isinstance(change, Changed):
            node = self.nodes[path]
            node.data, node.mzxid = change.data, zxid
            node.version += 1
            return
        above, _, name = path.rpartition("/")
        parent = self.nodes[above or "/"]
        parent.pzxid = zxid
        if isinstance(change, Created):
            self._link(path, ZNode(change.data, zxid, zxid, zxid, change.owner, now), parent, name)
            parent.created = min(parent.created + 1, LAST_NUMBER)
        else:
            self._unlink(path, parent, name)

    def _undo(self, change: Change) -> Callable[[], None]:
        """How to undo a change that is about to be applied."""
        path = change.path
        if isinstance(change, Changed):
            return self._unset(self.nodes[path])
        above, _, name = path.rpartition("/")
        parent = self.nodes[above or "/"]
        created, pzxid, gone = parent.created, parent.pzxid, self.nodes.get(path)

        def undo() -> None:
            if gone is None:
                self._unlink(path, parent, name)
            else:
                self._link(path, gone, parent, name)
            parent.created, parent.pzxid = created, pzxid

        return undo

    def _unset(self, node: ZNode) -> Callable[[], None]:
        data, mzxid, version = node.data, node.mzxid, node.version

        def undo() -> None:
            node.data, node.mzxid, node.version = data, mzxid, version

        return undo

    def _link(self, path: str, node: ZNode, parent: ZNode, name: str) -> None:
        self.nodes[path] = node
        parent.children.add(name)
        if node.owner:
            self.ephemerals.setdefault(node.owner, []).append(path)

    def _unlink(self, path: str, parent: ZNode, name: str) -> ZNode:
        node = self.nodes.pop(path)
        parent.children.remove(name)
        if node.owner:
            self.ephemerals[node.owner].remove(path)
        return node
