"""What the report says of each fault, for a reader who does not know ZooKeeper."""

from dataclasses import dataclass

from demo.report.history import Fault


@dataclass(frozen=True, slots=True)
class Text:
    """The texts for one kind of fault. The measured time completes ``cost`` and ``seen``."""

    title: str
    cost: str  # what the figure means, in few words, after it
    done: str
    seen: str
    why: str
    invariant: str  # a name of docs/protocol.md
    read: tuple[str, str] | None  # a file of the checkout, and what to look for in it


PROTOCOL = "docs/protocol.md"
_LAB = "docs/lab.md"
_STORES = "docs/stores.md"
_KEPT = "no acknowledged write is lost"
_UNKNOWN = Text("A fault without a text of its own", "", "See the record.", "", "", "", None)

FAULTS = {
    "sigkill": Text(
        title="Master killed",
        cost="to the next",
        done="The process of the active master was killed with kill -9. It could not tell anybody.",
        seen="from the kill to the first write of its successor, the standby on the other host.",
        why="The active master holds a mark in ZooKeeper that disappears with its session. systemd notices "
        "the death and ends that session at once. ZooKeeper tells the standby, which becomes the active "
        "master under the next number, its epoch.",
        invariant="one-master-per-epoch",
        read=(PROTOCOL, "the transaction “win”"),
    ),
    "frozen": Text(
        title="Master frozen",
        cost="to the next",
        done="All processes on the active master's host stopped, as on a machine that swaps or is paused. "
        "No connection was closed, so from outside the host looked slow. Later it continued.",
        seen="from the freeze to the first write of its successor.",
        why="A standby replaces a master that it has not heard of for 0.6 s; it does not wait until the "
        "session times out (6 s). When the frozen master wakes up, it still believes that it is active, and "
        "that is dangerous. Therefore every write of a master names its epoch, and ZooKeeper refuses writes "
        "of a past epoch.",
        invariant="no-stale-write",
        read=(PROTOCOL, "“Deadlines”"),
    ),
    "worker_power_cut": Text(
        title="Worker without power",
        cost="to rerun its tasks",
        done="A worker's host was given tasks and lost its power in the middle of them.",
        seen="from the cut until the last of its tasks ran on another worker.",
        why="An acknowledged task is on the disks of most servers, and so is its assignment. When the "
        "worker's session has timed out (6 s), the master moves each task in one transaction: a task is "
        "never assigned to two workers, nor to none.",
        invariant="acked-never-lost",
        read=(PROTOCOL, "the transaction “move”"),
    ),
    "leader_kill": Text(
        title="Leader killed",
        cost="without a write",
        done="The server that leads the ensemble got kill -9. All writes go through the leader.",
        seen="was the longest that any client had to wait for a write: the time of the election.",
        why="What was acknowledged is on two of three disks, and two servers agree on a new leader that has "
        "it. Clients keep their sessions and go on at another server.",
        invariant=_KEPT,
        read=(PROTOCOL, "“The transactions”"),
    ),
    "leader_freeze": Text(
        title="Leader frozen",
        cost="without a write",
        done="The host of the server that leads the ensemble stood still. Its connections stayed open, so "
        "nobody was told. Later it continued.",
        seen="was the longest that any client had to wait for a write: the others had to notice the silence, "
        "and then elect a leader.",
        why="Followers wait for a word of their leader as long as zookeeper_sync_limit and "
        "zookeeper_tick_time say, and so do they if it has no power or is cut off. A shorter wait would "
        "take a slow disk or a long garbage collection for a dead leader.",
        invariant=_KEPT,
        read=("docs/production.md", "“A silent server”"),
    ),
    "one_of_three_down": Text(
        title="One server down",
        cost="without a write",
        done="One of the three servers, not the leader, lost its power.",
        seen="was the longest that any client had to wait: those at that server had to notice the silence "
        "and move to another. Those at the others hardly waited.",
        why="Two of three are a quorum: more than half. They go on as if nothing had happened.",
        invariant="two of three are enough",
        read=(_LAB, "“Breaking things”"),
    ),
    "two_of_three_down": Text(
        title="Quorum lost",
        cost="without a write",
        done="A second server lost its power. One was left, and later both came back.",
        seen="was the longest that any client had to wait for a write, until the quorum was back.",
        why="One of three is no quorum: for all it knows, the other two go on without it. So it serves "
        "nobody, rather than promise what it may have to take back. That is the price of never losing a "
        "write. For a while it still calls itself leader, but it acknowledges nothing. A client that was "
        "submitting tasks waits longest: its last requests may still be in flight in a session that it has "
        "given up. So it has the servers close that session, or waits three and a half session time-outs if "
        "none can. Only then does it look which of them arrived, and submits the others.",
        invariant="no write without a quorum",
        read=(_LAB, "“Breaking things”"),
    ),
    "region_server_kill": Text(
        title="Region server killed",
        cost="to the next write",
        done="A client wrote all the time to a region of a sorted table, as to HBase. The worker that served "
        "the region was killed with kill -9, and so was the process of its region.",
        seen="from the kill until the client was told that a write it began after the kill is safe. "
        "So it was the next owner that stored it.",
        why="The data of a region are where all hosts reach them. systemd notices the worker's death and "
        "ends its session at once. The master gives the region to another worker, under a greater number, "
        "its generation. That one seals the log of the generation before, reads it and serves. Nobody can "
        "acknowledge a write under the old generation any more.",
        invariant=_KEPT,
        read=(_STORES, "“Regions: HBase's picture”"),
    ),
    "partition_leader_kill": Text(
        title="Partition leader killed",
        cost="to the next write",
        done="A client appended records to a partition all the time, as to Kafka. Its leader's process was "
        "killed with kill -9. The worker that had started it lived on.",
        seen="from the kill until the client was told that a record it sent after the kill is safe.",
        why="A record is acknowledged when all replicas in sync have it on disk. The worker sees that its "
        "process is dead and says so; no session has to end. The master lets one of the others lead, under "
        "the next generation. That one has every acknowledged record.",
        invariant=_KEPT,
        read=(_STORES, "“Partitions: Kafka's picture”"),
    ),
    "data_node_kill": Text(
        title="Data node killed",
        cost="to the next write",
        done="A client stored files all the time, whose blocks three data nodes have, as in HDFS. The worker "
        "that took the blocks was killed with kill -9, and so was the process that passed them on.",
        seen="from the kill until the client was told that a file it began after the kill is safe.",
        why="A block is acknowledged when all data nodes in sync have it on disk. When the session of the "
        "dead one is over, another one receives the blocks, and two go on. The third comes back, and copies "
        "what it has missed.",
        invariant=_KEPT,
        read=(_STORES, "“Blocks: HDFS's picture”"),
    ),
}


def text_of(fault: Fault) -> Text:
    """The texts for a fault, even an unknown one."""
    return FAULTS.get(fault.key, _UNKNOWN)


def span(ms: float) -> str:
    """A time as a person would say it."""
    return f"{ms:.0f} ms" if ms < 995 else f"{ms / 1000:.1f} s"


def brief(fault: Fault, *, full: bool = True) -> str:
    """A fault and its cost in a few words; or the cost alone."""
    text = text_of(fault)
    cost = span(fault.figure["ms"]) if fault.figure else "not survived"
    if not full:
        return cost if fault.figure else "?"
    return f"{text.title}: {cost} {text.cost}".strip() if fault.figure else f"{text.title}: no figure"
