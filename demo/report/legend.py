"""How each state looks in the picture, and what it means."""

from dataclasses import dataclass

from demo.report.lanes import ALONE, DEPOSED, NO_ANSWER

BAR = 14  # a bar's height
# How to draw a state, and how thick. Any other state is that of a part without a session.
LOOKS = {
    "active": ("loud", BAR),
    "leader": ("loud", BAR),
    "standby": ("quiet", 4),
    "follower": ("quiet", 4),
    "ready": ("quiet", 4),
    "not serving": ("lost", BAR),
    ALONE: ("lost", BAR),
    DEPOSED: ("deposed", BAR),
    NO_ANSWER: ("silent", 3),
    "off": ("off", BAR),
    "frozen": ("frozen", BAR),
}
OTHER = ("adrift", 2)
HATCHED = ("off", "frozen", "lost", "deposed", "silent")


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend: how it looks, how thick it is, its name, and what it means."""

    look: str
    thick: int
    name: str
    meaning: str


LEGEND = (
    Key("master loud", 10, "active master", "The master that hands out tasks. The number is its epoch."),
    Key("server loud", 10, "leading server", "The server that orders all writes. Enough others follow it."),
    Key("master quiet", 4, "standby", "A master that waits until it is needed."),
    Key("server quiet", 4, "following", "A server that follows the leader."),
    Key("worker quiet", 4, "worker ready", "A worker that takes and runs tasks."),
    Key(
        "owner loud",
        10,
        "owner of data",
        "The worker that serves what a client writes to, as long as it lives and no other does. Each has a "
        "generation of its own.",
    ),
    Key("adrift", 2, "without a connection", "A master or worker that looks for a server that serves it."),
    Key(
        "lost",
        10,
        "server without a quorum",
        "It runs, but too few others are with it. It serves nobody, even if it still calls itself leader.",
    ),
    Key(
        "deposed",
        10,
        "deposed",
        "It still says that it is active, or leader, but a later epoch has begun. Its writes are refused.",
    ),
    Key("silent", 3, "no answer", "It was asked how it is and did not answer: dead, slow, or starting."),
    Key("off", 10, "no power", "The host was off, and everything on it."),
    Key("frozen", 10, "frozen", "All processes on the host stood still."),
    Key("kill", 0, "kill -9", "The process was killed here."),
    Key(
        "write",
        10,
        "writes acknowledged",
        "This client was told again and again that a write is safe. Where it is blank, it was not told so.",
    ),
    Key("stored", 0, "writes to a store", "Writes that its client was told are safe, one step each."),
    Key("submitted", 0, "tasks submitted", "How many tasks clients were told are accepted."),
    Key("ended", 0, "tasks ended", "How many have a result. The area between the two lines is open tasks."),
)
