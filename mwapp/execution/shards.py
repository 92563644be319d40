"""Handlers of shards: each lives as long as its worker has the shard, in processes that nothing else uses."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from mwapp import clock
from mwapp.core.messages import CloseShard, DemoteShard, OpenShard, PromoteShard, ShardCommand, ShardSays
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.shard_command import CommandShard
from mwapp.execution.shard_handler import HandlerShard

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

LATE = "it could not be started before the worker's session might be over"


class Shard(Protocol):
    """What runs for one shard. It is told one thing after the other, and does them in that order."""

    def promote(self, command: PromoteShard) -> None:
        """See :class:`~mwapp.core.messages.PromoteShard`."""

    def demote(self, command: DemoteShard) -> None:
        """See :class:`~mwapp.core.messages.DemoteShard`."""

    def close(self, grace: float) -> None:
        """See :class:`~mwapp.core.messages.CloseShard`. What it was told before need not be done."""


class Shards:
    """The handlers of all shards; ``post`` gets what they say. Use it only in the loop's thread."""

    def __init__(
        self,
        loop: "AbstractEventLoop",
        post: Callable[[ShardSays], None],
        environment: Mapping[str, str],
        output_limit: int,
        control_groups: ControlGroups | None = None,
    ) -> None:
        self._loop = loop
        self._post = post
        self._each = environment, output_limit, control_groups
        self._shards: dict[int, Shard | None] = {}  # None: it is being started

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return not self._shards

    def carry_out(self, command: ShardCommand) -> None:
        """Do it, if the handler is not closed already."""
        if isinstance(command, OpenShard):
            self._open(command)
            return
        shard = self._shards.get(command.run)
        if shard is None:
            return
        match command:
            case PromoteShard():
                shard.promote(command)
            case DemoteShard():
                shard.demote(command)
            case CloseShard(_, grace):
                shard.close(grace)

    def kill_all(self) -> None:
        """Kill every handler."""
        for shard in list(self._shards.values()):
            if shard is not None:
                shard.close(0.0)

    def lose(self, reason: str) -> None:
        """A defect: kill every handler, and say that it is gone."""
        lost, self._shards = self._shards, {}  # so that nothing else is told of them
        for run, shard in lost.items():
            if shard is not None:
                with suppress(OSError):  # each is told
                    shard.close(0.0)
            self._post(ShardSays(run, "closed", 0, reason))

    def _open(self, command: OpenShard) -> None:
        self._shards[command.run] = None
        say = partial(self._say, command.run)
        if clock.now() >= command.until:
            say("closed", command.generation, LATE)
            return
        kind = CommandShard if command.handler is None else HandlerShard
        try:
            shard = kind(self._loop, command, say, *self._each)
        except (OSError, ValueError) as error:
            say("closed", command.generation, f"no process for the handler: {error}")
            return
        if command.run in self._shards:
            self._shards[command.run] = shard

    def _say(
        self, run: int, said: str, generation: int, reason: str | None = None, address: str = ""
    ) -> None:
        if run not in self._shards:
            return
        if said == "closed":
            del self._shards[run]
        self._post(ShardSays(run, said, generation, reason, address))
