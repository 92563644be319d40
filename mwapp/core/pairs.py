"""Znodes that one transaction writes together are two reads, and others may write between them.

So a task may run again, or be removed, after its status was read, and then the result is of another end or of
none. Who reads such a pair here gets two that belong together.
"""

from collections.abc import Callable, Sequence
from functools import partial

from mwapp.core.messages import Failed, Node
from mwapp.core.protocol import result_path, status_path
from mwapp.core.session import REFUSED, Scope

Read = Node | Failed
Pair = tuple[Read, Read]
GetAll = Callable[[list[str], Callable[[list[Read]], None]], None]


def read_ends(
    scope: Scope, names: Sequence[str], then: Callable[[list[Pair]], None], get_all: GetAll | None = None
) -> None:
    """Read status and result of each of these tasks."""
    pairs = [(status_path(name), result_path(name)) for name in names]
    read_pairs(pairs, then, of_two_ends, get_all or scope.get_all)


def of_two_ends(status: Node, result: Read) -> bool:
    """Whether they may be: one transaction creates both."""
    return result != REFUSED and not _together(status, result)


def read_pairs(
    pairs: Sequence[tuple[str, str]],
    then: Callable[[list[Pair]], None],
    doubtful: Callable[[Node, Read], bool],
    get_all: GetAll,
) -> None:
    """Read these pairs with ``get_all``; ``then`` gets them in their order.

    A pair that is ``doubtful`` is read once more. If its first znode is still the same, the two belong
    together all the same: a person has written the second. If not, the new pair counts, in the same way.
    """
    found: dict[tuple[str, str], Pair] = {}

    def read(some: list[tuple[str, str]]) -> None:
        get_all([path for pair in some for path in pair], partial(seen, some))

    def seen(some: list[tuple[str, str]], nodes: list[Read]) -> None:
        again = []
        for paths, one, other in zip(some, nodes[::2], nodes[1::2], strict=True):
            before = found.get(paths)
            if before is not None and _together(before[0], one):
                continue
            found[paths] = one, other
            if isinstance(one, Node) and doubtful(one, other):
                again.append(paths)
        if again:
            read(again)
        else:
            then([found[paths] for paths in pairs])

    read(list(dict.fromkeys(pairs)))


def _together(one: Read, other: Read) -> bool:
    """Whether one transaction created both; or whether it is the same znode."""
    return isinstance(one, Node) and isinstance(other, Node) and one.stat.czxid == other.stat.czxid
