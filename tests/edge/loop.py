"""Plays the main loop (mwapp.loop): what the edge posts it gives to the core, in turns."""

from collections.abc import Callable
from typing import Any

from mwapp.core.messages import Event
from mwapp.core.request_size import RequestSize
from mwapp.loop import LONGEST_TURN
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.sessions import POLICY, Note
from tests.edge.machine import SimMachine
from tests.edge.network import Link
from tests.edge.planted import Edge


class Loop:
    """One process's. ``handle`` is given each event, and the last connection of the thread it comes from."""

    def __init__(
        self,
        edge: Edge,
        machine: SimMachine,
        servers: Servers,
        timeout: float,
        handle: Callable[[Event, Link | None], None],
        request_size: RequestSize | None = None,
        learns: Callable[[Link | None], None] = lambda _: None,
    ) -> None:
        """``learns`` is called before the edge hears who may do what, which it alone has asked."""
        self.sessions: Any = edge.sessions(servers, timeout, self._post, machine, request_size)
        self._machine, self._world, self._handle = machine, machine.world, handle
        self._learns = learns
        self._notes: list[tuple[Note, Link | None]] = []
        self._turns_at: float | None = None
        self._stopped = False

    def stop(self) -> None:
        """Turn no more."""
        self._stopped = True

    def soon(self) -> None:
        """Turn now: something was asked for."""
        self._plan(0.0)

    def _post(self, note: Note) -> None:
        running = self._machine.running
        self._notes.append((note, running.link if running is not None else None))
        self._plan(self._machine.latency())
        if running is not None:
            self._machine.interrupted()

    def _plan(self, delay: float) -> None:
        at = self._world.now + delay
        if not self._stopped and (self._turns_at is None or at < self._turns_at):
            self._turns_at = at
            self._world.at(at, lambda: self._turn(at))

    def _turn(self, at: float) -> None:
        if self._stopped or self._machine.deferred(lambda: self._turn(at)) or at != self._turns_at:
            return
        notes, self._notes = self._notes, []
        now = self._machine.now()
        for note, link in notes:
            if getattr(note.happening, "number", None) == POLICY:
                self._learns(link)
            for event in self.sessions.accept(note, now):
                self._handle(event, link)
                if self._stopped:
                    return
        self.sessions.flush()
        if not notes:
            self.sessions.look_after(now)
        self._turns_at = None
        if self._notes:  # posted meanwhile
            self._plan(self._machine.latency())
        due = self.sessions.deadline
        self._plan(LONGEST_TURN if due is None else min(LONGEST_TURN, max(0.0, due - now) + 1e-6))
