"""Each fault as one function: do it, wait until it is survived, return what it cost.

Times are milliseconds by this machine's clock, which lab nodes share. What is broken stays broken if mending
it is part of the story; ``Cluster.settle`` waits until all is well again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from kazoo.exceptions import KazooException

from chaos.cluster import MASTER_PORT, WORKER_UNIT, BrokenPromiseError, Cluster
from chaos.load import PATH, Ending, Submitter, Writer, longest_gap, reader
from mwapp.core.protocol import CANDIDATES, EPOCH, TASKS, show_session
from testbed.waiting import LONGEST_WAIT, wait_for

MASTER_UNIT = "mwapp-master.service"
SERVER_UNIT = "zookeeper.service"
REFUSAL_SECONDS = 3  # how long to check that no write is acknowledged without a quorum


@dataclass(frozen=True, slots=True)
class Takeover:
    """Who took over, under which epoch, and how long after the fault its first write came."""

    master: str
    epoch: int
    ms: float


def _await_takeover(cluster: Cluster, old: str, epoch: int, began: float, seconds: float) -> Takeover:
    (other,) = (node for node in cluster.masters if node != old)

    def look() -> Takeover | None:
        status = cluster.endpoint(other, MASTER_PORT)
        if status.get("state") != "active" or not status.get("first_write_at"):
            return None
        return Takeover(other, status["epoch"], (status["first_write_at"] - began) * 1000)

    takeover = wait_for(f"{other} takes over from {old}", look, seconds, every=0.02)
    if takeover.epoch <= epoch:
        raise BrokenPromiseError(f"epoch did not grow: {epoch} -> {takeover.epoch}")
    return takeover


def _active(cluster: Cluster) -> tuple[str, int]:
    master = cluster.master()
    return master, cluster.epoch(master)


def about_to_fall_silent(cluster: Cluster) -> tuple[str, int]:
    """The active master and its epoch. Earlier depositions are forgotten first, or it would be left alone for
    longer each time; if there were any, that takes an election."""
    master = cluster.master()
    told = wait_for(f"{master} tells its state", lambda: cluster.endpoint(master, MASTER_PORT))
    if told.get("deposed_of_late"):
        with reader(cluster.hosts(), cluster.tls()) as client:
            for path in (EPOCH, TASKS):
                client.set(path, b"")

    def look() -> bool:
        status = [cluster.endpoint(node, MASTER_PORT) for node in cluster.masters]
        known = {it.get("state"): it.get("deposed_of_late") for it in status}
        return known.get("active") == 0 and "standby" in known

    wait_for("a master, a standby, and no deposition of late", look)
    return _active(cluster)


def session_of(cluster: Cluster, path: str) -> int:
    """Whose session this ephemeral znode is."""
    with reader(cluster.hosts(), cluster.tls()) as client:
        return int(client.retry(client.get, path)[1].ephemeralOwner)


def was_closed(cluster: Cluster, session: int) -> bool:
    """Whether somebody has closed this session; if it is a candidate's for leadership, waits for its end.

    Of a session that nobody closes a server says that it expires.
    """
    shown = show_session(session)

    def over() -> bool:
        with reader(cluster.hosts(), cluster.tls()) as client:
            names = client.retry(client.get_children, CANDIDATES)
        return not any(name.endswith(f"-{shown.removeprefix('0x')}") for name in names)

    wait_for(f"session {shown} is over", over, every=0.2)
    told = f"journalctl --sync; journalctl --quiet --output=cat --since=-10min --unit={SERVER_UNIT}"
    said = [cluster.lab.exec(node, ["sh", "-c", told], check=True).stdout for node in cluster.servers]
    return not any(f"Expiring session {shown}," in journal for journal in said)


def kill_master(cluster: Cluster) -> Takeover:
    """SIGKILL the active master's process. systemd ends its session and starts it again as a standby."""
    old, epoch = _active(cluster)
    began = cluster.kill(old, MASTER_UNIT)
    return _await_takeover(cluster, old, epoch, began, LONGEST_WAIT)


def kill_master_unit(cluster: Cluster) -> Takeover:
    """SIGKILL all of the active master's unit. The kernel then kills what ends its session, too; the next
    start does that."""
    old, epoch = _active(cluster)
    began = time.time()
    cluster.lab.exec(old, ["systemctl", "kill", "--signal=KILL", MASTER_UNIT], check=True)
    return _await_takeover(cluster, old, epoch, began, LONGEST_WAIT)


def stop_master(cluster: Cluster) -> Takeover:
    """SIGTERM to the active master, which gives up leadership. Then start it again."""
    old, epoch = _active(cluster)
    began = cluster.kill(old, MASTER_UNIT, "TERM")
    takeover = _await_takeover(cluster, old, epoch, began, LONGEST_WAIT)
    cluster.systemctl(old, "start", MASTER_UNIT)
    return takeover


def freeze_master(cluster: Cluster) -> Takeover:
    """Freeze the active master's host until it is replaced, then thaw it: it must find itself deposed."""
    old, epoch = about_to_fall_silent(cluster)
    began = time.time()
    cluster.lab.freeze(old)
    try:
        return _await_takeover(cluster, old, epoch, began, LONGEST_WAIT)
    finally:
        cluster.lab.thaw(old)


def write_as(cluster: Cluster, epoch: int) -> bool:
    """Send a transaction like a master of this epoch. Returns whether it was committed."""
    with reader(cluster.hosts(), cluster.tls()) as client:
        transaction = client.transaction()
        transaction.check(EPOCH, epoch)
        transaction.create(f"{PATH}/as-epoch-{epoch}", ephemeral=True)
        return not any(isinstance(result, KazooException) for result in transaction.commit())


def power_cut_master(cluster: Cluster) -> Takeover:
    """The active master's host loses power. It stays off until you boot it."""
    old, epoch = about_to_fall_silent(cluster)
    began = time.time()
    cluster.lab.power_cut(old)
    return _await_takeover(cluster, old, epoch, began, LONGEST_WAIT)


def cut_master(cluster: Cluster) -> Takeover:
    """Cut off the active master's host until it is replaced, then heal it: it must find itself deposed."""
    old, epoch = about_to_fall_silent(cluster)
    began = time.time()
    cluster.lab.cut(old)
    try:
        return _await_takeover(cluster, old, epoch, began, LONGEST_WAIT)
    finally:
        cluster.lab.heal()


def lose_worker(cluster: Cluster, submitter: Submitter, *, power: bool) -> tuple[list[Ending], float]:
    """mw3 loses power, or just the worker's process, while it runs something.

    Returns how its tasks ended, and the time until the last of them ran elsewhere, ms. After a power cut it
    stays off until you boot it.
    """
    command = "sleep 3; echo on $MWAPP_WORKER, attempt $MWAPP_ATTEMPT"
    names = [submitter.submit(command) for _ in range(9)]
    held = wait_for("mw3 runs some", lambda: [n for n in names if n in cluster.running("mw3")])
    began = time.time()
    if power:
        cluster.lab.power_cut("mw3")
    else:
        cluster.kill("mw3", WORKER_UNIT)
    over = time.time()
    endings = [submitter.wait(name) for name in held]
    endings = [ending for ending in endings if ending.at > over]  # not those that ended just before
    if not endings:
        raise BrokenPromiseError("mw3 ran nothing any more when it was lost")
    for ending in endings:
        if ending.state != "done" or (power and ending.outcome.worker == "mw3"):
            raise BrokenPromiseError(f"{ending.task} of mw3 was not run elsewhere: {ending}")
    return endings, max(ending.began - began for ending in endings) * 1000


def kill_leader(cluster: Cluster, writers: list[Writer]) -> tuple[str, float]:
    """SIGKILL the ensemble's leader. Returns who leads now and the longest write gap of any client, ms."""
    old = cluster.leader()
    began = time.monotonic()
    cluster.kill(old, SERVER_UNIT)
    new = cluster.leader()
    return new, _survived_since(began, writers, 60)


def freeze_leader(cluster: Cluster, writers: list[Writer]) -> float:
    """Freeze the leader's host until all clients write again. The longest write gap of any client, ms."""
    old = cluster.leader()
    try:
        return write_gap(writers, lambda: cluster.lab.freeze(old))
    finally:
        cluster.lab.thaw(old)


def write_gap(writers: list[Writer], fault: Callable[[], object]) -> float:
    """The longest write gap of any client under a fault of the ensemble, ms. What is broken stays broken."""
    began = time.monotonic()
    fault()
    time.sleep(0.5)  # affected clients stop at once
    return _survived_since(began, writers, 60)


def lose_server(cluster: Cluster, node: str, writers: list[Writer]) -> float:
    """One server of three loses power and stays off. The longest write gap of any client, ms.

    The writers may all have left it for another server by now, so it gets a client of its own first.
    """
    with Writer(cluster, node) as connected:
        began = time.monotonic()
        cluster.lab.power_cut(node)
        clients = [*writers, connected]
        wait_for("writes go on", lambda: all(w.writes_since(began + 1) > 20 for w in clients))
        connected.verify()
        return _longest_gap(began, clients)


@dataclass(frozen=True, slots=True)
class Outage:
    """When the quorum was lost (monotonic), and how many writes were still acknowledged."""

    since: float
    written: int


def lose_quorum(cluster: Cluster, node: str, writers: list[Writer]) -> Outage:
    """Another server loses power and stays off: one of three is no quorum."""
    cluster.lab.power_cut(node)
    time.sleep(1)  # what the leader had under way when it lost its last follower
    since = time.monotonic()
    time.sleep(REFUSAL_SECONDS)
    return Outage(since, sum(w.writes_since(since) for w in writers))


def regain_quorum(cluster: Cluster, outage: Outage, writers: list[Writer]) -> float:
    """Switch all on again. The longest write gap of any client since then, ms."""
    cluster.mend()
    cluster.leader()
    healed = time.monotonic()
    wait_for("every client writes again", lambda: all(w.writes_since(healed) for w in writers), 60)
    return _longest_gap(outage.since, writers)


def _survived_since(began: float, writers: list[Writer], seconds: float) -> float:
    def write() -> bool:
        return all(w.writes_since(time.monotonic() - 0.3) for w in writers)

    wait_for("every client writes again", write, seconds)
    time.sleep(1)  # a client that moves to another server later would show its gap now
    return _longest_gap(began, writers)


def _longest_gap(began: float, writers: list[Writer]) -> float:
    """The longest of any client from then until now, ms."""
    return longest_gap(writers, began, time.monotonic()) * 1000
