"""What the main loop shows of itself: an immutable snapshot, replaced as a whole."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mwapp import clock
from mwapp.core.protocol import show_session

# The main loop turns every second even when nothing happens; a longer silence means that it hangs.
HANGS = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of a daemon at one moment."""

    role: str
    name: str
    address: str  # host:port others see, or https://host:port
    turned: float  # when the main loop made this, monotonic seconds: a suspend does not count as a hang
    connection: str = "connecting"  # or connected, suspended, expired
    lease: float | None = None  # the session certainly lives until then, on mwapp.clock; None: no session
    takes_writes: bool = False  # the ensemble has answered a transaction on this connection
    session: int | None = None
    timeout: float | None = None  # session time-out granted, seconds
    server: str | None = None  # of the ensemble, host:port, last connected to
    started_at: float = 0.0  # seconds since the Unix epoch
    certificate_ends: str | None = None  # the first of ours for TLS to end, ISO 8601
    part: Mapping[str, Any] = field(default_factory=dict)  # what the role says of itself
    session_events: Mapping[str, int] = field(default_factory=dict)

    def unhealthy(self) -> str | None:
        """Why the process is not alive; None if it is."""
        silent = time.monotonic() - self.turned
        return f"the main loop has been stuck for {silent:.1f} s" if silent > HANGS else None

    def unready(self) -> str | None:
        """Why the process cannot do its work now; None if it can."""
        if self.connection == "connecting":
            return "no session with the ensemble yet"
        if self.connection != "connected" or self.lease is None:
            return f"session with the ensemble is {self.connection}"
        if clock.now() >= self.lease:
            return "the ensemble has not answered for nearly a session time-out"
        if not self.takes_writes:  # a server without a leader lets clients connect, again and again
            return "the ensemble has committed no write since we connected"
        if any(role == "worker" and part.get("state") == "waiting" for role, part in self.roles()):
            return f"the name {self.name} is taken: by another worker, or by a znode made by hand"
        return self.unhealthy()

    def roles(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What each role in the process says of itself. A node is a master and a worker."""
        both = [(role, self.part[role]) for role in ("master", "worker") if role in self.part]
        return both or [(self.role, self.part)]

    def document(self) -> dict[str, Any]:
        """The JSON of ``/status``."""
        return {
            "role": self.role,
            "name": self.name,
            "address": self.address,
            "ready": self.unready() is None,
            "reason": self.unready(),
            "started_at": self.started_at,
            "certificate_ends": self.certificate_ends,
            "session": {
                "state": self.connection,
                "id": None if self.session is None else show_session(self.session),
                "timeout": self.timeout,
                "server": self.server,
                "events": dict(self.session_events),
            },
            self.role: dict(self.part),
        }

    def summary(self) -> str:
        """One line for a person."""
        state = str(self.part.get("state", "starting"))
        told = {key: value for _, part in reversed(self.roles()) for key, value in part.items()}
        known = [f"{key} {told[key]}" for key in ("epoch", "incarnation") if told.get(key) is not None]
        problem = self.unready()
        return ", ".join([f"{self.role} {state}", *known, *([problem] if problem else [])])
