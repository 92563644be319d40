"""What the znodes were that people and clients ask with."""

from collections.abc import Callable

from tests.simulation.tree import Change, Deleted

ROOTS = ("shards", "moves", "drains")


class Past:
    """Every state of each table, move and drain, of what is below drains, and of the parents, with its
    time."""

    def __init__(self) -> None:
        self._states: dict[str, list[tuple[float, bytes | None]]] = {}

    def note(self, time: float, change: Change) -> None:
        """A change that is committed."""
        root, *below = change.path.strip("/").split("/")
        if root in ROOTS and len(below) < 2 + (root == "drains"):
            data = None if isinstance(change, Deleted) else change.data
            self._states.setdefault(change.path, []).append((time, data))

    def was(self, path: str, since: float, so: Callable[[bytes | None], bool]) -> bool:
        """Whether it is so, or was at some moment since then."""
        states = [(0.0, None), *self._states.get(path, ())]
        ends = [time for time, _ in states[1:]] + [float("inf")]
        return any(so(data) for (_, data), end in zip(states, ends, strict=True) if end >= since)

    def had_below(self, path: str, since: float) -> bool:
        """Whether something was below it."""
        below = [one for one in self._states if one.startswith(f"{path}/")]
        return any(self.was(one, since, lambda data: data is not None) for one in below)
