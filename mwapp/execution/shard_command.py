"""A shard whose handler is a shell command: it runs while its worker is the shard's primary."""

import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from mwapp import clock
from mwapp.core.messages import DemoteShard, OpenShard, PromoteShard
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.output import Output
from mwapp.execution.process_group import Group

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

# A command that is to end under one generation has this long, seconds; then it is killed. The core waits
# longer for the answer (Deadlines in core/shards/handler.py).
STOP_SECONDS = 8.0
# How many characters of the end of its output a reason shows.
MOST_SHOWN = 1000


class Say(Protocol):
    """Tells what a handler says: see :class:`~mwapp.core.messages.ShardSays`."""

    def __call__(
        self, said: str, generation: int, reason: str | None = None, address: str = "", /
    ) -> None: ...


class CommandShard:
    """As long as there is nothing to do for a replica, nothing runs for it.

    A shard without a command and without a handler is only assigned: nothing runs for its primary, either.
    """

    def __init__(
        self,
        loop: "AbstractEventLoop",
        opened: OpenShard,
        say: Say,
        environment: Mapping[str, str],
        output_limit: int,
        control_groups: ControlGroups | None,
    ) -> None:
        """Be a replica, which has all that it needs."""
        self._loop = loop
        self._opened = opened
        self._say = say
        self._environment = {**environment, **about(opened)}
        self._limit = output_limit
        self._control_groups = control_groups
        self._generation = opened.generation  # the one it was told last
        self._group: Group | None = None
        self._next: PromoteShard | DemoteShard | None = None  # what it will be when the command has ended
        self._closing = False
        self._be_replica()

    def promote(self, command: PromoteShard) -> None:
        """Start the command, or start it again: its generation is in its environment."""
        self._turn(command)

    def demote(self, command: DemoteShard) -> None:
        """End it."""
        self._turn(command)

    def close(self, grace: float) -> None:
        """End it for good."""
        self._closing = True
        if self._group is not None:
            self._group.kill(grace)
        else:
            self._say("closed", self._generation)

    def _turn(self, command: PromoteShard | DemoteShard) -> None:
        self._generation, self._next = command.generation, command
        if self._group is not None:
            self._group.kill(STOP_SECONDS)
        else:
            self._become()

    def _be_replica(self) -> None:
        self._say("open", self._generation)
        self._say("ready", self._generation)

    def _become(self) -> None:
        command, self._next = self._next, None
        if isinstance(command, PromoteShard):
            self._start(command)
        elif command is not None and command.to is not None:
            self._say("released", self._generation)
        elif command is not None:
            self._be_replica()

    def _start(self, command: PromoteShard) -> None:
        if clock.now() >= command.until:  # the one before has taken long to end
            self._say("late", self._generation)
            return
        if self._opened.command is not None:
            try:
                self._group = self._start_group(self._opened.command, command)
            except (OSError, ValueError) as error:
                self._say("closed", self._generation, f"the command cannot be started: {error}")
                return
        self._say("serving", self._generation)

    def _start_group(self, shell: str, command: PromoteShard) -> Group:
        control_group = None
        if self._control_groups is not None:
            control_group = self._control_groups.take()
            shell = control_group.joining(shell)
        return Group(
            self._loop,
            ["/bin/sh", "-c", shell],
            self._environment | _term(command),
            Output(self._limit),
            self._ended,
            control_group=control_group,
        )

    def _ended(self) -> None:
        group, self._group = self._group, None
        if self._closing:
            self._say("closed", self._generation)
        elif self._next is not None:
            self._become()
        elif group is not None:
            self._say("closed", self._generation, f"the command has ended: {how_it_ended(group)}")


def about(shard: OpenShard) -> dict[str, str]:
    """The variables that say for which shard something runs."""
    return {
        "MWAPP_TABLE": shard.table,
        "MWAPP_SHARD": str(shard.shard),
        "MWAPP_WORKER": shard.worker,
    }


def _term(command: PromoteShard) -> dict[str, str]:
    """The variables that say as what it runs: each generation is a run of its own."""
    return {
        "MWAPP_GENERATION": str(command.generation),
        "MWAPP_ROLE": "primary",
        "MWAPP_MEMBERS": " ".join(f"{name}={state}" for name, state in sorted(command.members.items())),
    }


def how_it_ended(group: Group) -> str:
    """In words, with the end of its output."""
    code = group.code or 0
    how = f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
    said = group.output.value().decode(errors="replace").strip()
    return f"{how}: {said[-MOST_SHOWN:]}" if said else how
