"""How much of the model is visited: by CI, and by who has more time."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.model.checker import Finding, check


@dataclass(frozen=True)
class Bounds:
    """``events`` things out of the ordinary, of those that docs/model/world.pml lists.

    ``whole``: a master's first reading is one step, instead of five. ``loops``: what is shown is not that
    every invariant holds, but that every history comes to an end, and to a good one.

    ``again``: the client may want that what has ended runs again. ``depositions``: standbys may depose a
    silent master. Both are left out elsewhere, so that they do not multiply the states of the rest.
    """

    tasks: int
    events: int
    peers: bool = False
    whole: bool = False
    loops: bool = False
    again: bool = False
    depositions: bool = False

    def __str__(self) -> str:
        who = "two peers" if self.peers else "two masters, two workers"
        parts = ", runs on request" * self.again + ", depositions" * self.depositions
        return f"{who}, a client, {_some(self.tasks, 'task')}, {_some(self.events, 'event')}{parts}"

    @property
    def defines(self) -> dict[str, int | str]:
        """For the model."""
        return {
            "TASKS": self.tasks,
            "EVENTS": self.events,
            "PEERS": int(self.peers),
            "WHOLE": int(self.whole),
            "AGAIN": int(self.again),
            "DEPOSITIONS": int(self.depositions),
        }


BOUNDS: dict[int, list[Bounds]] = {
    1: [
        Bounds(tasks=2, events=2, whole=True),
        Bounds(tasks=1, events=3, whole=True),
        Bounds(tasks=1, events=2),
        Bounds(tasks=1, events=2, peers=True),
        Bounds(tasks=1, events=2, whole=True, again=True),
        Bounds(tasks=1, events=2, whole=True, depositions=True),
        Bounds(tasks=2, events=1, loops=True),
        Bounds(tasks=1, events=1, peers=True, loops=True),
    ],
    2: [
        Bounds(tasks=2, events=2),
        Bounds(tasks=1, events=3),
        Bounds(tasks=2, events=2, peers=True),
        Bounds(tasks=1, events=3, peers=True, whole=True),
        Bounds(tasks=1, events=3, whole=True, again=True),
        Bounds(tasks=1, events=2, depositions=True),
        Bounds(tasks=2, events=2, whole=True, loops=True),
        Bounds(tasks=1, events=2, peers=True, loops=True),
    ],
}


def visit(bounds: Bounds) -> Finding:
    """Visit every state within these bounds, and say what was found."""
    with tempfile.TemporaryDirectory(prefix="zklab-model-") as where:
        finding = check(Path(where), bounds.defines, loops=bounds.loops)
    if finding.broken is None:
        found = "every history ends well" if bounds.loops else "every invariant holds"
    else:
        found = f"{finding.broken} is broken:\n" + "\n".join(finding.story)
    print(f"{bounds}: {finding.states:,} states in {finding.seconds:.1f} s: {found}", flush=True)
    return finding


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
