"""What a worker knows of the handler of a shard, and how long that may take for what it is told."""

from dataclasses import dataclass

from mwapp.core.session import Scope


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a handler may take, seconds."""

    begins: float = 30.0  # to open, or to become the primary
    releases: float = 10.0
    closes: float = 5.0
    pause: float = 1.0  # after a failure, the first; it doubles each time
    steady: float = 10.0  # one that was well for longer than that, and than its last pause, begins anew


DEADLINES = Deadlines()


class Handler:
    """A handler that was started, and is not closed."""

    def __init__(self, run: int, generation: int) -> None:
        self.run = run
        self.generation = generation  # the one it was told last
        self.told = "open"  # to be what: open (a replica), promote or release
        self.opened = False  # it has said so
        self.closing = False
        self.unwanted = False  # it is closed because it is not ours any more
        self.clock: Scope | None = None  # of the answer that is due
        self.said: tuple[str, float] | None = None  # the last word, and since when
        self.address = ""  # where clients reach it
