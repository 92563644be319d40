"""Random operations on znodes, for whoever compares two ensembles."""

import random

from mwapp.core.messages import Check, Children, Create, Delete, Exists, Get, Op, Operation, Set, Transaction

SESSIONS = 3


class Drawn:
    """A random sequence of operations on a few paths, so that they often meet."""

    def __init__(self, seed: int, root: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._root = root
        names = ["a", "a", "b", "b", "a/x", "b/x", "a/x/p", "a/s-", "s-", f"s-{1:010d}", f"a/s-{1:010d}"]
        self._paths = [f"{root}/{name}" for name in names]

    def session(self) -> int:
        return self._random.randrange(SESSIONS)

    def ends_session(self) -> bool:
        return self._random.random() < 0.03

    def operation(self) -> Operation:
        path = self._random.choice([self._root, *self._paths])
        watch = self._random.random() < 0.8
        match self._random.randrange(12):
            case 11:  # never allowed: ephemerals have no children
                path = f"{self._root}/e"
                return Transaction((Create(path, ephemeral=True), Create(f"{path}/x")))
            case 0:
                return Get(path, watch)
            case 1:
                return Exists(path, watch)
            case 2 | 3:
                return Children(path, watch)
            case 4 | 5 | 6:
                return Transaction((self._op(),))
            case _:
                return Transaction(tuple(self._op() for _ in range(self._random.randint(2, 3))))

    def _op(self) -> Op:
        draw = self._random
        path = draw.choice(self._paths)
        data = bytes([draw.randrange(256)]) * draw.randrange(3)
        version = draw.choice([-1, -1, -1, 0, 1])
        match draw.randrange(11):
            case 0 | 1 | 2 | 3 | 4:
                ephemeral = draw.random() < 0.3
                return Create(path, data, ephemeral, path.endswith("-") or draw.random() < 0.05)
            case 5 | 6 | 7:
                return Set(path, data, version)
            case 8:
                return Check(path, version)
            case _:
                return Delete(path, version)
