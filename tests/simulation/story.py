"""The story of a schedule for people: faults, commands and commits in plain words."""

from mwapp.core.messages import Abandon, Close, Connected, Expired, Resumed, Stop, Suspended
from mwapp.core.protocol import Assignment, Outcome, Winner
from tests.simulation.ensemble import Transacted
from tests.simulation.tree import Change, Created, Deleted
from tests.simulation.world import World

_SAID = {
    Suspended: "has lost its connection",
    Resumed: "is connected again",
    Expired: "is told that its session is over",
    Abandon: "takes its session for over",
    Close: "closes its session",
    Stop: "is asked to end",
}


def tell(world: World) -> list[str]:
    """One line for everything that matters."""
    names: dict[int, str] = {}
    lines = []
    for time, who, what in world.trace:
        match what:
            case Connected(session):
                names[session] = who
                text = f"has session {session:#x}"
            case Transacted() if what.changes:
                who = names.get(what.session, "person")
                text = _committed(what)
            case str():
                text = what
            case _:
                text = _SAID.get(type(what), "")
        if text and who.strip() != "log":
            lines.append(f"{time:9.4f} {who:8} {text}")
    return lines


def _committed(entry: Transacted) -> str:
    if entry.ended:
        return "its session is over" + "".join(f", {c.path} is gone" for c in entry.changes)
    said = [text for change in entry.changes if (text := _change(change, entry))]
    return f"[zxid {entry.zxid}] {', '.join(said)}" if said else ""


def _change(change: Change, entry: Transacted) -> str:
    verb = {Created: "creates", Deleted: "deletes"}.get(type(change), "sets")
    data = b"" if isinstance(change, Deleted) else change.data
    paths = {other.path for other in entry.changes}
    match change.path.strip("/").split("/"):
        case ["epoch"] if "/master" in paths:
            winner = Winner.decode(data)
            deposes = "deposes the master, and " * (Deleted("/master") in entry.changes)
            return deposes + (f"wins leadership as {winner.name}" if winner else "wins leadership")
        case ["candidates", _] if entry.ops[0].path == "/epoch":
            return ""  # a beat
        case ["master" | "tasks"] if {"/master", "/epoch"} <= paths:
            return ""
        case ["workers", worker] if isinstance(change, Created):
            return f"registers {worker}"
        case ["assign", worker] if f"/workers/{worker}" in paths:
            return ""
        case ["assign", worker, task] if isinstance(change, Created):
            return f"assigns {task} to {worker} ({_attempt(data)})"
        case ["returned", task] if isinstance(change, Created):
            return f"hands {task} back ({_attempt(data)} comes next)"
        case ["tasks", task, "status"] if isinstance(change, Created):
            return f"ends {task} as {data.decode(errors='replace')}"
        case ["tasks", _, "result"] if isinstance(change, Created):
            reason = Outcome.decode(data).reason
            return f"because: {reason}" if reason else ""
        case ["tasks", _] if isinstance(change, Created):
            return f"submits {change.path}: {data.decode(errors='replace')}"
        case ["requests", task] if isinstance(change, (Created, Deleted)):
            return (
                f"asks of {task}, which has ended: {data.decode(errors='replace')}"
                if isinstance(change, Created)
                else f"deletes the request for {task}"
            )
        case ["cancel", task] if isinstance(change, (Created, Deleted)):
            return (
                f"asks to cancel {task}"
                if isinstance(change, Created)
                else f"deletes the request to cancel {task}"
            )
    return f"{verb} {change.path}" + (f" {data.decode(errors='replace')}" if data else "")


def _attempt(data: bytes) -> str:
    assignment = Assignment.decode(data)
    meant = "" if assignment.incarnation is None else f" for incarnation {assignment.incarnation}"
    return f"attempt {assignment.attempt}{meant}"
