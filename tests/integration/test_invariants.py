"""Every invariant of docs/protocol.md by its name, in a fixed schedule on a real ensemble.

The transaction log is judged at the end of each: what the judge of the simulation knows to be wrong is found
here as well, so a test may just do what could break its invariant.
"""

import json
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mwapp.core.suspicion import LEAST_SILENCE
from testbed.daemons import LEFT_ALONE, LONG_SESSION, NO_DEPOSITIONS, Daemon
from testbed.ensemble import Ensemble
from testbed.network import Trap
from testbed.waiting import LONGEST_WAIT, alive, wait_for
from tests.integration import replay
from tests.integration.attack import Attack, attack_on


@pytest.fixture
def bare(ensemble: Ensemble, tmp_path: Path) -> Iterator[Attack]:
    with attack_on(ensemble, tmp_path) as attack:
        yield attack


@pytest.fixture
def attack(bare: Attack) -> Attack:
    bare.staff()
    return bare


def submitted(attack: Attack, *arguments: str) -> list[str]:
    """Names of the tasks."""
    return attack.site.mwapp("submit", *arguments).split()


def ended(attack: Attack, *tasks: str) -> list[dict[str, Any]]:
    """How they ended, once all have."""
    return list(attack.site.json("wait", *tasks, status=None))


def znode(attack: Attack, path: str) -> tuple[str, int]:
    """Its data and its version."""
    data, stat = attack.person.get(path)
    return data.decode(), stat.version


def depose(attack: Attack) -> Daemon:
    """Freeze the active master until another one is; returns the frozen one."""
    frozen = attack.active()
    before = znode(attack, "/epoch")[1]
    frozen.signal(signal.SIGSTOP)
    wait_for("another one wins", lambda: znode(attack, "/epoch")[1] > before)
    return frozen


class Held(Trap):
    """Cuts nothing: the request it catches, and all that follows on its connection, waits to be let go."""

    def __init__(self, catches: Callable[[bytes], bool]) -> None:
        super().__init__(catches, committed=False)
        self.let_go = threading.Event()

    def request(self, frame: bytes, server: socket.socket) -> bool:
        if super().request(frame, server):
            self.let_go.wait(LONGEST_WAIT)
        return False


@contextmanager
def held_assignment(attack: Attack) -> Iterator[threading.Event]:
    """The next assignment of a task is on its way until this ends; yields what is set when it is."""
    trap = attack.network.trap = Held(lambda frame: b"/epoch" in frame and b'"attempt":1' in frame)
    try:
        yield trap.caught
    finally:
        trap.let_go.set()


def lines(attack: Attack, name: str = "runs") -> list[list[str]]:
    """What commands have written to a file, in words."""
    path = attack.home / name
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def running(attack: Attack, task: str) -> Daemon:
    """The worker that has the task, as the znodes say: what a worker says of itself may be a moment old."""

    def probe() -> Daemon | None:
        for worker in attack.of("worker"):
            if attack.person.exists(f"/assign/{worker.name}/{task}"):
                return worker
        return None

    return wait_for("somebody has it", probe)


# ---------------------------------------------------------------- leadership


def test_one_master_per_epoch(attack: Attack) -> None:
    frozen = depose(attack)
    frozen.signal(signal.SIGCONT)
    frozen.wait_for_state("standby")
    assert attack.active() is not frozen
    before = znode(attack, "/epoch")[1]
    winners = len(attack.judge().leadership.winners)
    assert 2 <= before <= winners <= znode(attack, "/epoch")[1]


def test_epoch_monotonic(attack: Attack) -> None:
    epochs = []
    for _ in range(3):
        master = attack.active()
        epochs.append(master.status()["epoch"])
        master.stop()
        master.start()
    assert epochs == sorted(set(epochs))
    assert znode(attack, "/epoch")[1] >= epochs[-1]
    attack.judge()


def test_no_stale_write(attack: Attack) -> None:
    """A write is under way when leadership goes to another, and arrives when all it says has come to pass."""
    master = attack.active()
    with held_assignment(attack) as caught:
        (task,) = submitted(attack, "true")
        assert caught.wait(LONGEST_WAIT)
        attack.person.delete("/master")
        assert [end["state"] for end in ended(attack, task)] == ["done"]
    master.wait_for_state("standby")  # which it asked for after that write
    assert attack.verdict() == {task: "done"}


def test_master_steps_down(attack: Attack) -> None:
    """By its own deadline, though its connection stays open and it goes on asking."""
    master = attack.active()
    session = attack.person.exists("/master").ephemeralOwner
    attack.submit(30, seconds=0.05)
    attack.network.silence()
    wait_for("its session is over", lambda: not attack.person.exists("/master"))
    assert set(attack.verdict().values()) == {"done"}
    assert master.said_at("session given up") < replay.ends(attack.ensemble)[session]


def test_deadline_first(attack: Attack) -> None:
    """Whoever is cut off gives its session up before the ensemble ends it, also who has nothing to do."""
    sessions = {daemon: daemon.session() for daemon in attack.site.daemons}
    attack.network.silence()
    over = lambda: set(sessions.values()) <= replay.ends(attack.ensemble).keys()  # noqa: E731 - for the next line only
    wait_for("every session is over", over)
    ends = replay.ends(attack.ensemble)
    assert all(daemon.said_at("session given up") < ends[session] for daemon, session in sessions.items())


def test_election_bounded(bare: Attack) -> None:
    """A killed master whose session is released is followed at once, not after the session time-out."""
    bare.staff(*NO_DEPOSITIONS, *LONG_SESSION)
    master = bare.active()
    session = master.session()
    master.kill()
    killed_at = time.time()
    master.release()
    elected_at = float(bare.active().status()["elected_at"])
    assert elected_at - killed_at < LEFT_ALONE
    assert not replay.end_of(bare.ensemble, session).expired
    bare.judge()


def test_deposed_only_if_silent(bare: Attack) -> None:
    """A standby that stood still, and so heard nothing, deposes nobody."""
    bare.staff(*LONG_SESSION)
    master = bare.active()
    (standby,) = (one for one in bare.of("master") if one is not master)
    for _ in range(2):
        standby.signal(signal.SIGSTOP)
        time.sleep(2 * LEAST_SILENCE)
        standby.signal(signal.SIGCONT)
        time.sleep(2 * LEAST_SILENCE)
    # On a busy machine the master may have been silent, too. Whether it was, the log tells the judge.
    assert bare.judge().depositions.times or bare.active() is master


def test_take_over_bounded(bare: Attack) -> None:
    """A master that stands still is followed long before its session ends, which lives on."""
    bare.staff("--depose-after", "2", *LONG_SESSION)
    session = bare.active().session()
    frozen = depose(bare)
    elected_at = float(bare.active().status()["elected_at"])
    assert elected_at < replay.ends(bare.ensemble).get(session, math.inf)
    frozen.signal(signal.SIGCONT)
    frozen.wait_for_state("standby")
    assert bare.judge().depositions.times


def test_depositions_damped(bare: Attack) -> None:
    """The second one is left alone for a while; the judge knows for how long."""
    bare.staff(*LONG_SESSION)
    for _ in range(2):
        frozen = depose(bare)
        frozen.signal(signal.SIGCONT)
        frozen.wait_for_state("standby")
    assert bare.judge().depositions.times


def test_candidates_listed(attack: Attack) -> None:
    """The one that stands by is shown, also after somebody has deleted its znode, until it is active."""

    def standbys() -> list[str]:
        return [standby["name"] for standby in attack.site.json("status")["standbys"]]

    (name,) = standbys()
    for znode_name in attack.person.get_children("/candidates"):
        attack.person.delete(f"/candidates/{znode_name}")
    wait_for("the standby is listed again", lambda: standbys() == [name])
    master = attack.active()
    master.kill()
    master.release()
    attack.active()
    wait_for("the new active one stands by no more", lambda: not standbys())
    assert any("no master stands by" in warning for warning in attack.site.json("status")["warnings"])
    attack.judge()


# ---------------------------------------------------------------- tasks


def test_acked_never_lost(attack: Attack) -> None:
    for server in attack.ensemble.servers[:2]:  # no quorum any more
        attack.begin_to_submit(300, seconds=0.01)  # several transactions
        server.kill()
    time.sleep(1.0)
    for server in attack.ensemble.servers[:2]:
        server.start()
    assert set(attack.verdict().values()) == {"done"}


def test_submit_idempotent(attack: Attack) -> None:
    """The reply is lost, and the client does not submit again; nor does a name make two tasks."""
    attack.network.trap = Trap(lambda frame: b"/tasks/task-" in frame, committed=True)
    (task,) = submitted(attack, "true")
    assert attack.network.trap.caught.is_set()
    for _ in range(2):
        assert submitted(attack, "--name", "nightly", "true") == ["nightly"]
    assert attack.verdict().keys() == {task, "nightly"}


def test_assign_liveness(bare: Attack) -> None:
    """Nobody is there when tasks come; they run when somebody comes."""
    tasks = submitted(bare, "true", "true", "true")
    bare.staff(masters=1, workers=0)
    wait_for("they are seen", lambda: bare.active().status().get("queued") == 3)
    bare.site.start("worker", "w1")
    assert [end["state"] for end in ended(bare, *tasks)] == ["done"] * 3


def test_one_final_status(attack: Attack) -> None:
    """A worker that was taken for dead comes back with a result: the state stays what it is."""
    (task,) = submitted(attack, attack.command())
    wait_for("it runs", lambda: lines(attack))
    worker = running(attack, task)
    worker.signal(signal.SIGSTOP)
    attack.go()
    (end,) = ended(attack, task)
    before = attack.person.get(f"/tasks/{task}/status")[1]
    worker.signal(signal.SIGCONT)
    worker.wait_for_state("ready")
    assert attack.person.get(f"/tasks/{task}/status")[1].mzxid == before.mzxid
    assert (end["state"], end["attempt"]) == ("done", 2)
    assert attack.verdict() == {task: "done"}


def test_status_from_holder(attack: Attack) -> None:
    """A worker's registration is taken from it while it runs a task: it kills that, and records nothing."""
    (task,) = submitted(attack, attack.command())
    wait_for("it runs", lambda: lines(attack))
    worker = running(attack, task)
    attack.person.delete(f"/workers/{worker.name}")
    wait_for("it runs again", lambda: [task, "2"] in lines(attack))
    attack.go()
    (end,) = ended(attack, task)
    assert end["attempt"] == 2
    attack.verdict()


def test_result_faithful(attack: Attack) -> None:
    commands = ["echo out; echo err >&2", "exit 3", "kill -9 $$", "printf x; exit 0"]
    ends = ended(attack, *submitted(attack, *commands))
    assert [end["code"] for end in ends] == [0, 3, -9, 0]
    assert [end["state"] for end in ends] == ["done", "failed", "failed", "done"]
    assert [end["output"] for end in ends] == ["out\nerr\n", "", "", "x"]
    attack.verdict()


def test_single_assignment(attack: Attack) -> None:
    """Workers drain and come back while tasks come; every zxid has each task in one place."""
    for worker in [*attack.of("worker"), *attack.of("worker")]:
        attack.begin_to_submit(12, seconds=0.1)
        worker.stop()
        worker.start()
    assert set(attack.verdict().values()) == {"done"}


def test_no_assign_to_absent_incarnation(bare: Attack) -> None:
    """A worker dies, and another has its name, while a task is on its way to it."""
    bare.staff(workers=1)
    (worker,) = bare.of("worker")
    namesake = bare.site.start("worker", worker.name, "--state-dir", str(bare.home / "namesake"))
    namesake.wait_for_state("waiting")
    with held_assignment(bare) as caught:
        (task,) = submitted(bare, "true")
        assert caught.wait(LONGEST_WAIT)
        worker.kill()
        worker.release()
        namesake.wait_for_state("ready")
    assert [end["state"] for end in ended(bare, task)] == ["done"]
    bare.verdict()


def test_labels_honoured(attack: Attack) -> None:
    (waits,) = submitted(attack, "--label", "gpu", "--label", "zone=a", "true")
    (runs,) = submitted(attack, "true")
    assert [end["state"] for end in ended(attack, runs)] == ["done"]
    assert not attack.person.exists(f"/tasks/{waits}/status")
    attack.site.start("worker", "gpu1", "--label", "gpu")
    gpu2 = attack.site.start("worker", "gpu2", "--label", "gpu", "--label", "zone=a")
    assert [end["worker"] for end in ended(attack, waits)] == [gpu2.name]


STAYS = (*NO_DEPOSITIONS, *LONG_SESSION)  # who is elected, as far as nobody stops


def test_peer_rests(bare: Attack) -> None:
    """The elected peer runs nothing; when it is gone the next one rests, and it works again as a worker."""
    peers = {name: bare.site.start("node", name, "--slots", "2", *STAYS) for name in ("n1", "n2", "n3")}

    def elected() -> str:
        holder = znode(bare, "/epoch")[0]
        return str(json.loads(holder)["name"])

    wait_for("all have come", lambda: all(bare.person.exists(f"/workers/{name}") for name in peers))
    for _ in range(2):
        chief = elected()
        wait_for("it rests", partial(_rests, bare, chief))
        # Quick ones might all go to one of the two.
        ends = ended(bare, *submitted(bare, *["sleep 0.3"] * 9))
        assert {end["worker"] for end in ends} == peers.keys() - {chief}
        peers[chief].stop()
        peers[chief].start()
        wait_for("another one is elected", partial(_is_other, elected, chief))
        wait_for("all are back", lambda: all(bare.person.exists(f"/workers/{name}") for name in peers))
    bare.verdict()


def _rests(attack: Attack, peer: str) -> bool:
    return znode(attack, f"/workers/{peer}")[1] > 0


def _is_other(elected: Callable[[], str], peer: str) -> bool:
    return elected() != peer


def test_attempts_bounded(bare: Attack) -> None:
    """A task that takes down its worker is given up; one that fails is tried as often as it asks for."""
    bare.site.start("master", "m1", "--max-attempts", "2")
    worker = bare.site.start("worker", "w1")
    (poison,) = submitted(bare, f'echo "$MWAPP_ATTEMPT" >> {bare.home}/noted; kill -9 $PPID')
    for _ in range(2):
        worker.process.wait(LONGEST_WAIT)
        worker.release()
        worker.start()
    (failing,) = submitted(bare, "--retries", "2", "exit 1")
    ends = ended(bare, poison, failing)
    assert [(end["state"], end["attempt"]) for end in ends] == [("failed", 2), ("failed", 3)]
    assert lines(bare, "noted") == [["1"], ["2"]]
    bare.verdict(max_attempts=2)


def _has_run(attack: Attack, times: int) -> bool:
    return len(lines(attack, "noted")) == times


def test_token_grows(attack: Attack) -> None:
    """(epoch, attempt) of a later run is the greater, so a store can refuse the earlier."""
    # With a comma, so that one without an epoch would be seen.
    task = f'echo "$MWAPP_EPOCH,$MWAPP_ATTEMPT" >> {attack.home}/noted; test "$MWAPP_ATTEMPT" = 3 || sleep 60'
    (name,) = submitted(attack, task)
    for count in (1, 2):
        wait_for("it runs", partial(_has_run, attack, count))
        if count == 1:
            master = attack.active()
            master.stop()
            master.start()
        worker = running(attack, name)
        attack.person.delete(f"/workers/{worker.name}")
    assert [end["state"] for end in ended(attack, name)] == ["done"]
    tokens = [tuple(map(int, line.split(","))) for (line,) in lines(attack, "noted")]
    epochs, attempts = zip(*tokens, strict=True)
    assert attempts == (1, 2, 3)
    assert epochs[0] < epochs[1] <= epochs[2], "another master has assigned the second"


def test_duplicates_explained(attack: Attack) -> None:
    """A task runs twice only if its worker was lost: every attempt once, and one more for each loss."""
    tasks = submitted(attack, *[attack.command()] * 4)
    wait_for("all run", lambda: len(lines(attack)) == 4)
    worker = running(attack, tasks[0])
    lost = set(attack.person.get_children(f"/assign/{worker.name}"))
    worker.signal(signal.SIGSTOP)
    attack.go()
    ended(attack, *tasks)
    worker.signal(signal.SIGCONT)
    attack.verdict()
    assert {task for task, attempt in lines(attack) if attempt == "2"} == lost
    assert len(lines(attack)) == 4 + len(lost)


def test_timeout_enforced(attack: Attack) -> None:
    """Even if the command ignores SIGTERM, and whatever it has started."""
    command = f"trap '' TERM; sleep 300 & echo $! > {attack.home}/child; wait; sleep 300"
    (end,) = ended(attack, *submitted(attack, "--run-timeout", "2", command))
    assert (end["state"], end["reason"]) == ("failed", "timed out after 2 s")
    child = int((attack.home / "child").read_text())
    wait_for("what it started is gone", lambda: not alive(child))
    attack.verdict()


def test_cancel_final(attack: Attack) -> None:
    """A running one is killed, a waiting one never runs, a finished one stays what it is."""
    running = submitted(attack, *[f"echo r >> {attack.home}/noted; sleep 300"] * 6)  # every slot
    wait_for("all run", lambda: len(lines(attack, "noted")) == 6)
    (waiting,) = submitted(attack, f"echo w >> {attack.home}/noted")
    cancelled = attack.site.json("cancel", waiting, *running)
    assert {task["state"] for task in cancelled} == {"cancelled"}
    (finished,) = submitted(attack, "true")
    ended(attack, finished)
    (told,) = attack.site.json("cancel", finished, status=None)
    assert told["state"] == "done"
    assert ["w"] not in lines(attack, "noted")
    assert sorted(attack.verdict().values()) == ["cancelled"] * 7 + ["done"]


def test_no_zombie_run(attack: Attack) -> None:
    """The network is silent: workers kill what they run before the ensemble can give it to others."""
    lives = f"while [ $MWAPP_ATTEMPT = 1 ]; do date +%s.%N >> {attack.home}/$MWAPP_TASK; sleep 0.05; done"
    tasks = submitted(attack, *[lives] * 3)
    wait_for("all run", lambda: all((attack.home / task).exists() for task in tasks))
    workers = {task: running(attack, task).name for task in tasks}
    sessions = {task: attack.person.exists(f"/workers/{workers[task]}").ephemeralOwner for task in tasks}
    attack.network.silence()
    wait_for("the sessions are over", lambda: not attack.person.get_children("/workers"))
    assert set(attack.verdict().values()) == {"done"}
    over = replay.ends(attack.ensemble)
    lived = {task: float((attack.home / task).read_text().split()[-1]) for task in tasks}
    assert {task: lived[task] for task in tasks if lived[task] > over[sessions[task]]} == {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("how", ["timeout 600", "env -i MWAPP_ATTEMPT=1 MWAPP_TASK=$MWAPP_TASK PATH=$PATH"])
def test_no_zombie_run_of_a_worker_that_is_killed_or_stands_still(
    attack: Attack, number: signal.Signals, how: str
) -> None:
    """No systemd is there to kill what such a worker was running, and what has left its process group."""
    lives = f"while [ $MWAPP_ATTEMPT = 1 ]; do date +%s.%N >> {attack.home}/$MWAPP_TASK; sleep 0.05; done"
    (task,) = submitted(attack, f"[ $MWAPP_ATTEMPT != 1 ] || {how} setsid -w sh -c '{lives}'; true")
    wait_for("it runs", (attack.home / task).exists)
    worker = running(attack, task)
    session = attack.person.exists(f"/workers/{worker.name}").ephemeralOwner
    worker.signal(number)
    assert attack.verdict() == {task: "done"}
    over = replay.ends(attack.ensemble)[session]
    assert float((attack.home / task).read_text().split()[-1]) <= over


def test_retention_kept(bare: Attack) -> None:
    """What has ended is removed in its time, and what runs is not."""
    bare.site.start("master", "m1", program="tests.integration.tidy")
    bare.site.start("worker", "w1", "--slots", "2")
    (slow,) = submitted(bare, bare.command())
    (quick,) = submitted(bare, "true")
    ended(bare, quick)
    wait_for("it is removed", lambda: not bare.person.exists(f"/tasks/{quick}"))
    assert bare.person.exists(f"/tasks/{slow}")
    bare.go()
    wait_for("all are removed", lambda: not bare.person.get_children("/tasks"))
    judge = bare.judge()
    assert judge.removed == {slow, quick}
    assert all(entry == b"done" for entry in judge.status.values())


# ---------------------------------------------------------------- leaving, and what is left


def test_drain(attack: Attack) -> None:
    """SIGTERM: what runs is finished, what waits is handed back unstarted, and nothing is lost."""
    drains = attack.site.start("worker", "w3", "--slots", "1")
    drains.wait_for_state("ready")
    for worker in attack.of("worker")[:2]:
        worker.stop()
    tasks = submitted(attack, *[attack.command()] * 6)
    wait_for("one runs", lambda: lines(attack))
    (waits,) = submitted(attack, "true")
    attack.person.create(f"/assign/w3/{waits}", b"")
    drains.signal(signal.SIGTERM)
    wait_for("what waits is handed back", lambda: attack.person.exists(f"/returned/{waits}"))
    attack.of("worker")[0].start()
    attack.go()
    assert drains.process.wait(LONGEST_WAIT) == 0
    ends = ended(attack, *tasks, waits)
    assert [end["attempt"] for end in ends] == [1] * 7
    assert {end["worker"] for end in ends} == {"w1", "w3"}
    attack.verdict()


def known(attack: Attack) -> list[str]:
    """The watches and ephemerals that the servers know of."""
    told = [server.ask(word) for server in attack.ensemble.servers for word in ("wchp", "dump")]
    return [line for text in told for line in text.splitlines() if attack.person.chroot in line]


def test_no_leak(attack: Attack) -> None:
    """After all has ended and all have left there is no ephemeral, assignment, cancel request or watch."""
    tasks = submitted(attack, "--retries", "1", "exit 1", "exit 1", "true")
    ended(attack, *tasks)
    (endless,) = submitted(attack, "sleep 300")
    attack.site.mwapp("cancel", endless)
    # The master takes the request away only after the task's final state, for which the client waits:
    # a master that is stopped between the two leaves it to the next one, and there is none here.
    wait_for("the request is taken away", lambda: not attack.person.get_children("/cancel"))
    assert known(attack)
    for daemon in attack.site.daemons:
        assert daemon.stop() == 0
    person = attack.person
    assert not person.exists("/master")
    assert not any(map(person.get_children, ("/workers", "/returned", "/cancel")))
    assert [name for name in person.get_children("/assign") if person.get_children(f"/assign/{name}")] == []
    wait_for("no server knows of a watch or an ephemeral", lambda: not known(attack))
    attack.verdict()


def test_health_honest(attack: Attack) -> None:
    """Ready only while it can do its work: not when it is cut off, though its process is well."""
    master, worker = attack.active(), attack.of("worker")[0]

    def codes(daemon: Daemon) -> tuple[int | None, int | None]:
        answers = (daemon.get("/health"), daemon.get("/ready"))
        return (answers[0] or (None,))[0], (answers[1] or (None,))[0]

    assert codes(master) == codes(worker) == (200, 200)
    attack.network.silence()
    wait_for("they say so", lambda: codes(master) == codes(worker) == (200, 503))
    attack.network.heal()
    wait_for("they are ready again", lambda: codes(worker) == (200, 200))
    attack.judge()
