"""The one interface between a lab and what its machines are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol

from lab.spec import Node

State = Literal["running", "frozen", "off"]


class Backend(Protocol):
    """Makes and breaks single machines; addresses, keys and cuts belong to the lab.

    Every method raises LabError when it cannot do its work.
    """

    PROGRAMS: ClassVar[Mapping[str, str]]
    """What it runs here, and the Debian package of each."""

    def boot(self, node: Node) -> None:
        """Switch on a machine that is off, over whatever its last life left behind."""

    def power_off(self, node: Node) -> None:
        """Shut down in order, as its power button would."""

    def power_cut(self, node: Node) -> None:
        """Stop everything in this instant; what was not synced to its disk is lost."""

    def freeze(self, node: Node) -> None:
        """Stop its processes where they stand; its network stack still answers."""

    def thaw(self, node: Node) -> None:
        """Let its processes go on."""

    def fill_disk(self, node: Node, leave: int) -> None:
        """Take the space of the disk of a machine that is on, but for `leave` bytes; it stays taken."""

    def free_disk(self, node: Node) -> None:
        """Give that space back."""

    def state(self, node: Node) -> State: ...

    def pid(self, node: Node) -> int | None:
        """The process here that is its PID 1, if it is on."""

    def command(self, node: Node, argv: Sequence[str], environment: Sequence[str]) -> list[str]:
        """What to run here so that `argv` runs there as root."""

    def last_words(self, node: Node) -> str:
        """The end of what it has said on its console, on one line."""

    def remove(self) -> None:
        """Remove every machine of the lab, its disk too, however little is known about it."""
