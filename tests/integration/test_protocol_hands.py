"""People work by hand, rightly and wrongly, on the znodes of a running application."""

import json
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kazoo.exceptions import NoNodeError

from testbed.daemons import Daemon
from testbed.ensemble import Ensemble
from testbed.waiting import wait_for
from tests.integration.attack import Attack, attack_on


@pytest.fixture
def attack(ensemble: Ensemble, tmp_path: Path) -> Iterator[Attack]:
    with attack_on(ensemble, tmp_path) as attack:
        attack.staff()
        yield attack


def created(attack: Attack, *tasks: bytes) -> list[str]:
    """Create tasks as zkCli.sh does; their names."""
    return [attack.person.create("/tasks/task-", task, sequence=True).rpartition("/")[2] for task in tasks]


def deleted(attack: Attack, path: str) -> bool:
    """Delete it with all that is below, at once; whether that was possible, as others are at work there."""
    found, all_of_it = [path], attack.person.transaction()
    with suppress(NoNodeError):
        for each in found:
            found += [f"{each}/{name}" for name in attack.person.get_children(each)]
        for each in reversed(found):
            all_of_it.delete(each)
        return not any(isinstance(one, Exception) for one in all_of_it.commit())
    return False


def result(attack: Attack, task: str) -> dict[str, Any]:
    """What there is to say about how a task ended."""
    return dict(json.loads(attack.person.get(f"/tasks/{task}/result")[0]))


def test_tasks_written_by_hand(attack: Attack) -> None:
    good = created(attack, b"echo one", b"{ echo two; }", b'{"command": "echo three"}', b"echo v\xc3\xa9lo")
    bad = created(
        attack, b"", b" \n", b'{"oops', b'{"command": 1}', b'{"comand": "true"}', b"\xff\xfe", b"a\0b"
    )
    after = created(attack, b"echo after")
    tasks = attack.verdict()
    assert {task: tasks[task] for task in bad} == dict.fromkeys(bad, "failed")
    assert [result(attack, task)["output"] for task in good + after] == [
        *("one\n", "two\n", "three\n", "vélo\n"),
        "after\n",
    ]
    reasons = [result(attack, task)["reason"] for task in bad]
    for reason, word in zip(
        reasons, ["empty", "empty", "JSON", "'command'", "'comand'", "UTF-8", "NUL"], strict=True
    ):
        assert word in reason


def test_the_master_is_deleted(attack: Attack) -> None:
    """Somebody wins anew under another epoch, and the tasks go on."""
    for _ in range(5):
        attack.submit(6, seconds=0.3)
        master = attack.person.get("/master")[1]
        attack.person.delete("/master")

        def won(before: int = master.czxid) -> bool:
            stat = attack.person.exists("/master")
            return stat is not None and stat.czxid != before

        wait_for("somebody wins", won)
    tasks = attack.verdict()
    assert len(tasks) == 30
    assert attack.person.get("/epoch")[1].version >= 6
    assert all(attempt == 1 for _, attempt in attack.runs()), "no worker was disturbed"


def test_a_person_is_the_master(attack: Attack) -> None:
    """Ours stand by, and go on when the person leaves."""
    for master in attack.of("master"):
        master.stop()
    attack.person.create("/master", b"person:2223", ephemeral=True)
    for master in attack.of("master"):
        master.start()
        master.wait_for_state("standby")
    (by_hand,) = created(attack, b"echo assigned by hand")
    attack.person.create(f"/assign/w1/{by_hand}", b"")
    wait_for("it has ended", lambda: attack.person.exists(f"/tasks/{by_hand}/status"))
    created(attack, b"echo assigned by ours")
    attack.person.delete("/master")
    attack.active()
    tasks = attack.verdict()
    assert set(tasks.values()) == {"done"}


def test_a_worker_is_deleted(attack: Attack) -> None:
    """It comes back as another incarnation, and what it ran is run again, not twice at a time."""
    attack.submit(4)
    wait_for("all run", lambda: len(attack.runs()) == 4)
    worker = attack.of("worker")[0]
    running = attack.person.get_children("/assign/w1")
    before = attack.person.get("/assign/w1")[1].version
    attack.person.delete("/workers/w1")
    wait_for("it is back", lambda: (worker.status().get("incarnation") or 0) > before)
    attack.go()
    tasks = attack.verdict()
    assert set(tasks.values()) == {"done"}
    assert {task for task, attempt in attack.runs() if attempt == 2} == set(running)


@pytest.mark.parametrize("role", ["master", "worker"])
def test_a_session_is_ended(attack: Attack, role: str) -> None:
    """The process lives, its session does not: it begins a new one, and nothing is lost."""
    name = "/master" if role == "master" else "/workers/w1"

    def holder() -> Daemon | None:
        stat = attack.person.exists(name)
        return next((it for it in attack.of(role) if stat and it.session() == stat.ephemeralOwner), None)

    for _ in range(3):
        attack.submit(4, seconds=1.0)
        daemon = wait_for("somebody is there, perhaps again", holder)
        assert daemon.release() == 0
    tasks = attack.verdict()
    assert len(tasks) == 12
    assert set(tasks.values()) == {"done"}


def test_an_assignment_is_deleted(attack: Attack) -> None:
    """The command is stopped, and the task given to somebody anew."""
    noted = attack.home / "pid"
    (task,) = created(attack, f"test -s {noted} || {{ echo $$ > {noted}; exec sleep 600; }}".encode())
    pid = int(str(wait_for("it runs", lambda: noted.exists() and noted.read_text())))
    (worker,) = [w for w in attack.of("worker") if attack.person.exists(f"/assign/{w.name}/{task}")]
    master = attack.active()
    master.signal(signal.SIGSTOP)  # or it may be given to the same worker before that has looked
    attack.person.delete(f"/assign/{worker.name}/{task}")
    wait_for("it is stopped", lambda: not Path(f"/proc/{pid}").exists())
    master.signal(signal.SIGCONT)
    assert attack.verdict() == {task: "done"}


def test_everything_is_deleted(attack: Attack) -> None:
    """Queues, workers and tasks are gone from one moment to the next: ours make themselves at home again."""
    attack.submit(6)
    wait_for("all run", lambda: len(attack.runs()) == 6)
    for path in ("/assign", "/tasks", "/workers"):
        wait_for(f"{path} is deleted", partial(deleted, attack, path))
    wait_for("w1 is back", lambda: attack.person.exists("/workers/w1"))
    wait_for("w2 is back", lambda: attack.person.exists("/workers/w2"))
    wait_for("tasks can be created", lambda: attack.person.exists("/tasks"))
    (task,) = created(attack, b"echo anew")
    wait_for("it is done", lambda: attack.person.exists(f"/tasks/{task}/status"))
    assert attack.person.get(f"/tasks/{task}/status")[0] == b"done"
