"""What a core might ask: anything, of a few znodes, so that they meet."""

from mwapp.core.messages import (
    Check,
    Children,
    Create,
    Delete,
    Exists,
    Follow,
    Get,
    Op,
    Operation,
    Set,
    Transaction,
)
from mwapp.core.protocol import secret_path
from tests.simulation.world import Chance

PATHS = ("/", "/a", "/b", "/a/x", "/a/y", "/gone")
LARGE, LONG = b"x" * 1_100_000, b"x" * 80_000
SECRETS = secret_path("t")
UNWRITABLE = "/\udcff"
PROOF = Transaction((Check("/"),))
# More than goes into one packet, and more than go into one request.
MUCH, MANY = [Transaction((Set("/b", LONG),))] * 5, [Children("/a")] * 60


def some(draw: Chance, *, lists: bool = False) -> list[Operation]:
    """What is asked at once; with what access control lists are for, if so."""
    asked: list[Operation] = [_one(draw) for _ in range(draw.random.choice([1, 1, 2, 5, 30]))]
    if draw.chance(0.01):
        asked += MUCH
    if draw.chance(0.02):
        asked += MANY
    if lists and draw.chance(0.5):
        asked.append(listed(draw))
    return asked


def listed(draw: Chance) -> Transaction:
    """What access control lists are for: among them secret values."""
    match draw.random.randrange(4):
        case 0:
            return Transaction((Create("/tasks"),))
        case 1:
            return Transaction((Create("/tasks/t", b"task", extend=True), Create(SECRETS, b"values")))
        case 2:
            return Transaction((Create("/workers/w", b"", ephemeral=True), Create("/assign/w")))
    return Transaction((Delete(SECRETS), Delete("/tasks/t")))


def can_be_sent(operation: Operation) -> bool:
    """Whether it is small enough, and text."""
    if not isinstance(operation, Transaction):
        return operation.path != UNWRITABLE
    return all(op.path != UNWRITABLE and getattr(op, "data", b"") is not LARGE for op in operation.ops)


def _one(draw: Chance) -> Operation:
    kind, path, watch = draw.random.random(), draw.random.choice(PATHS), draw.chance(0.3)
    if kind < 0.01:
        return Get(UNWRITABLE)
    if kind < 0.02:
        return Transaction((Check("/"), Create(UNWRITABLE)))
    if kind < 0.03:
        return Transaction((Set("/a", LARGE),))
    if kind < 0.3:
        return Get(path, watch)
    if kind < 0.45:
        return Children(path, watch)
    if kind < 0.6:
        return Exists(path, watch)
    if kind < 0.63:
        return Follow(draw.random.choice(PATHS[1:]))
    if kind < 0.7:
        return PROOF
    return Transaction(tuple(_op(draw) for _ in range(draw.random.choice([1, 1, 2, 4]))))


def _op(draw: Chance) -> Op:
    path, version = draw.random.choice(PATHS[1:]), draw.random.choice([-1, -1, -1, 0, 1, 2])
    data = draw.random.randbytes(draw.random.choice([0, 3, 40, 2000]))
    match draw.random.randrange(5):
        case 0:
            return Create(path, data, ephemeral=draw.chance(0.2))
        case 1:
            return Create("/a/s-", data, sequential=True)
        case 2:
            return Set(path, data, version)
        case 3:
            return Delete(path, version)
    return Check(path, version)
