"""The interface between a lab and a kind of machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol

from lab.spec import Node

State = Literal["running", "frozen", "off"]


class Backend(Protocol):
    """Creates and breaks single machines; addresses, keys and cuts belong to the lab.

    Every method raises LabError if it fails.
    """

    PROGRAMS: ClassVar[Mapping[str, str]]
    """What it runs here, and the Debian package of each."""

    def boot(self, node: Node) -> None:
        """Switch on a machine that is off, whatever its last life left behind."""

    def power_off(self, node: Node) -> None:
        """Shut down cleanly, as its power button would."""

    def power_cut(self, node: Node) -> None:
        """Stop everything immediately; unsynced data is lost."""

    def freeze(self, node: Node) -> None:
        """Stop its processes; its network stack still answers."""

    def thaw(self, node: Node) -> None:
        """Let its processes continue."""

    def fill_disk(self, node: Node, leave: int) -> None:
        """Fill the disk of a machine that is on, except for `leave` bytes; it stays full."""

    def free_disk(self, node: Node) -> None:
        """Give that space back."""

    def state(self, node: Node) -> State: ...

    def pid(self, node: Node) -> int | None:
        """The process here that is its PID 1, if it is on."""

    def command(self, node: Node, argv: Sequence[str], environment: Sequence[str]) -> list[str]:
        """The command that runs `argv` there as root."""

    def last_words(self, node: Node) -> str:
        """Its last words on the console, on one line."""

    def remove(self) -> None:
        """Remove every machine of the lab and its disk, however little is known about it."""
