"""mwapp status: its warnings, and what a screen of 80 columns shows of it."""

from dataclasses import replace
from typing import Any

import pytest

from mwapp.cli.status import _screen
from mwapp.core.limits import LIMITS
from mwapp.core.protocol import Outcome
from mwapp.core.task import Task
from mwapp.daemon.endpoint import Endpoint
from mwapp.daemon.snapshot import Snapshot
from mwapp.status.health import MasterStatus, ServerView, System, TableStatus, TasksView
from mwapp.status.overview import MasterView, StandbyView, TaskView, WorkerView
from mwapp.status.probes import ask_master
from mwapp.zookeeper.connect_string import Servers

CONNECT = Servers.parse("zk1,zk2,zk3/mwapp")


def worker(name: str = "w", state: str = "ready", **more: Any) -> WorkerView:
    return WorkerView(name, state, f"{name}:2224", 0, 4, (), **more)


def master(*standbys: StandbyView) -> MasterView:
    return MasterView("m:2223", 3, "m", 0.0, standbys=standbys)


SECOND = StandbyView("s", "s:2223", 7000.0)
WELL = System(
    servers=[ServerView("zk1:2181", "leader", "3.9.3", 0.41, 12, 7)],
    master=master(SECOND),
    master_status=MasterStatus("active"),
    workers=[worker()],
    tasks=TasksView(0, {"queued": 0, "done": 0}),
)


def test_all_is_well() -> None:
    assert WELL.warnings() == []


def test_tables_of_shards_are_on_the_screen_those_with_problems_first() -> None:
    tables = {f"t{n}": TableStatus(8, 0, 0, n) for n in range(9)} | {"u": TableStatus(8, 3)}
    system = replace(WELL, master_status=MasterStatus("active", tables=tables))
    lines = _screen(system, CONNECT)
    at = next(n for n, line in enumerate(lines) if line.startswith("SHARD TABLE"))
    assert [line.split() for line in lines[at : at + 3]] == [
        ["SHARD", "TABLE", "SHARDS", "VACANT", "FAILED", "FEWER", "MOVING"],
        ["u", "8", "3", "0", "0", "0"],
        ["t0", "8", "0", "0", "0", "0"],
    ]
    assert lines[at + 9] == "... and 2 more (mwapp shards list)"
    assert not any(line.startswith("SHARD TABLE") for line in _screen(WELL, CONNECT))


ALL = ("gpu", "zone=a")
WAITING = TaskView("task-1", "queued", Task("true", labels=ALL), 0.0)
GPU = TaskView("task-2", "queued", Task("true", labels=("gpu",)), 0.0)


def test_a_task_waits_for_nobody_if_a_worker_can_take_it() -> None:
    both = [worker("n", "paused", labels=ALL), worker(labels=ALL)]
    assert replace(WELL, tasks=TasksView(1, waiting=[WAITING]), workers=both).warnings() == []


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"servers": [ServerView("zk1:2181", problem="Connection refused")]}, "zk1:2181 does not answer"),
        ({"master": MasterView(None, 3, None, None)}, "no master is active"),
        ({"master": MasterView("x", 3, None, 0.0, persistent=True)}, "/master was created by hand"),
        ({"master": master()}, "no master stands by"),
        ({"master": master(), "workers": [worker("n", "paused")]}, "n is the master, and there is no other"),
        ({"workers": [worker(), worker("v", "persistent")]}, "/workers/v was created by hand"),
        ({"master_status": MasterStatus(problem="Connection refused")}, "m:2223: Connection refused"),
        (
            {"master_status": MasterStatus("active", deposed=2)},
            "stood still or was cut off (2 of late): look",
        ),
        ({"workers": []}, "no worker accepts tasks"),
        ({"workers": [worker(state="draining"), worker("v", "gone")]}, "no worker accepts tasks"),
        ({"workers": [worker("n", "paused")]}, "n is the master, and there is no other node"),
        ({"tasks": TasksView(int(0.95 * LIMITS.max_tasks))}, f"at {LIMITS.max_tasks} clients submit no more"),
        (
            {"tasks": TasksView(2, waiting=[WAITING, WAITING]), "workers": [worker(labels=("gpu",))]},
            "2 queued: no worker has the labels gpu zone=a; "
            "start one (mwapp worker --label gpu --label zone=a)",
        ),
        (
            {"tasks": TasksView(1, waiting=[GPU]), "workers": [worker(), worker("n", "paused", labels=ALL)]},
            "1 queued: only n (the master) has the label gpu, and takes no tasks; "
            "start another (mwapp worker --label gpu)",
        ),
        (
            {
                "tasks": TasksView(1, waiting=[WAITING]),
                "workers": [
                    worker(labels=("gpu",)),
                    worker("gone", "gone", labels=ALL),
                    worker("n", "paused", labels=ALL),
                    *(worker(f"v{number}", "draining", labels=ALL) for number in range(4)),
                ],
            },
            "1 queued: only n (the master), v0 (draining), v1 (draining) and 2 more have the labels "
            "gpu zone=a, and take no tasks; start another (mwapp worker --label gpu --label zone=a)",
        ),
        (
            {"master_status": MasterStatus("active", resting={"w": 3.7})},
            "w gets no task for 4 s: its last runs all failed, but other workers' runs succeed. Check its",
        ),
        (
            {"master_status": MasterStatus("active", not_adopted=["hand"])},
            "hand gets no task: /workers/hand was made by hand. Delete it; or, if a person is to",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, 3, 3, 1)})},
            "table t: 3 of 8 shards have no owner: start workers, or see what becomes of them",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, 0, 2, failed=5)})},
            "table t: the handlers of 5 of 8 shards are not at work: the logs of their workers say",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, 0, 2)})},
            "table t: 2 of 8 shards have fewer replicas than wanted: start workers, or wait",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, 8, 8, 8, "page: no")})},
            "table t is faulty: page: no; set the znode /shards/t right",
        ),
        (
            {
                "master_status": MasterStatus(
                    "active", tables={"t": TableStatus(8, 8, problem="/shards/t/0 holds no records")}
                )
            },
            "table t is faulty: /shards/t/0 holds no records; set it right, or delete it: then its shards",
        ),
        (
            {
                "master_status": MasterStatus(
                    "active",
                    tables={
                        "t": TableStatus(problem="/shards/t has znodes below it that are not the master's")
                    },
                )
            },
            "/shards/t has znodes below it that are not the master's; delete them",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, 0, 2, short="too few")})},
            "table t: 2 of 8 shards have fewer replicas than wanted (too few): start workers, or wait",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, 0, 2, slow=2)})},
            "table t: replicas of 2 of 8 shards have copied for more than 10 minutes: if that is too long",
        ),
        (
            {"master_status": MasterStatus("active", tables={"t": TableStatus(8, short="too few")})},
            "table t: too few: start workers that have it, or set /shards/t to what there is",
        ),
        ({"master": None, "tasks": None, "problem": "no quorum"}, "no quorum"),
    ],
)
def test_warnings(change: dict[str, Any], warning: str) -> None:
    (told,) = replace(WELL, **change).warnings()
    assert warning in told


def master_that_says(*parts: Any) -> list[MasterStatus]:
    """What is read of a master that says these, one after the other."""
    said = iter(parts)
    endpoint = Endpoint(("127.0.0.1", 0), lambda: Snapshot("master", "m", "m:2223", 0.0, part=next(said)))
    try:
        return [ask_master(f"127.0.0.1:{endpoint.port}") for _ in parts]
    finally:
        endpoint.close()


@pytest.mark.servers
def test_what_the_master_says() -> None:
    part = {"state": "active", "resting": {"w1": 2.5}, "deposed_of_late": 3, "not_adopted": ["hand"]}
    active = MasterStatus("active", resting={"w1": 2.5}, deposed=3, not_adopted=("hand",))
    wrong = MasterStatus(problem="no status (AttributeError)")
    assert master_that_says(
        {"state": "active"}, part, {"master": part}, {"state": "active", "resting": 7}
    ) == [MasterStatus("active"), active, active, wrong]


@pytest.mark.servers
def test_what_the_master_says_of_shards() -> None:
    counts = {"shards": 8, "without_primary": 1, "under_replicated": 2, "moving": 3}
    more = {"failed": 4, "slow": 5, "short": "too few"}
    tables = {"t": counts | {"problem": None} | more, "u": counts | {"problem": "page: no"}}
    part = {"state": "active", "shards": {"tables": tables, "counters": {}}}
    wrong = {"state": "active", "shards": {"tables": {"t": {}}}}
    (said, nonsense) = master_that_says(part, wrong)
    told = TableStatus(8, 1, 2, 3, failed=4, slow=5, short="too few")
    assert said.tables == {"t": told, "u": TableStatus(8, 1, 2, 3, "page: no")}
    assert nonsense == MasterStatus(problem="no status (KeyError)")


def test_who_stands_by_is_not_known_of_masters_that_do_not_say_so() -> None:
    unlisted = MasterView("m:2223", 3, "m", 0.0, standbys=None)
    assert replace(WELL, master=unlisted).warnings() == []


def test_a_label_that_a_worker_has() -> None:
    tasks = TasksView(1, waiting=[WAITING])
    assert replace(WELL, tasks=tasks, workers=[worker(labels=("gpu", "x", "zone=a"))]).warnings() == []


def test_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 7300.0)
    failed = TaskView("task-0000000002", "failed", Task("exit 3\nor so"), 7200.0, "w", 1, Outcome(code=3))
    tasks = TasksView(9, {"queued": 1, "assigned": 1, "done": 6, "failed": 1}, [failed])
    down = ServerView("zk2:2181", problem="Connection refused")
    system = replace(WELL, servers=[*WELL.servers, down], tasks=tasks, workers=[worker(labels=("gpu",))])
    lines = _screen(system, CONNECT)
    assert lines[0].startswith("zk1:2181,zk2:2181,zk3:2181/mwapp  ")
    assert len(lines[0]) == 80
    assert lines[1:] == [
        "",
        "SERVER             ROLE       VERSION  MEAN MS  WORST MS  CLIENTS",
        "zk1:2181           leader     3.9.3        0.4        12        7",
        "zk2:2181           no answer  -              -         -        -",
        "",
        "MASTER             STATE        EPOCH  SINCE  ADDRESS",
        "m                  active           3  2h     m:2223",
        "s                  standby          -  5m     s:2223",
        "",
        "WORKER             STATE      TASKS    LABELS  ADDRESS",
        "w                  ready      0/4      gpu     w:2224",
        "",
        "TASKS              QUEUED  ASSIGNED  DONE  FAILED",
        "9 of 40000              1         1     6       1",
        "",
        "NEWEST FAILURES    WORKER     CODE  AGE   COMMAND OR REASON",
        "task-0000000002    w             3  100s  exit 3\\nor so",
        "",
        "! server zk2:2181 does not answer: Connection refused",
    ]


def test_a_screen_without_a_quorum() -> None:
    lines = _screen(System(WELL.servers, problem="the ensemble does not answer"), CONNECT)
    assert lines[-1] == "! the ensemble does not answer"
    assert not any(line.startswith("MASTER") for line in lines)


def test_a_warning_is_yellow_on_a_terminal_unless_colours_are_unwanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = System(WELL.servers, problem="no quorum")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert _screen(system, CONNECT)[-1] == "\x1b[33m! no quorum\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert _screen(system, CONNECT)[-1] == "! no quorum"


def test_many_standbys_fit_on_a_screen() -> None:
    crowd = [StandbyView(f"n{number}", "n:2224", 0.0) for number in range(500)]
    lines = _screen(replace(WELL, master=master(*crowd)), CONNECT)
    assert len(lines) < 30
    assert "... and 497 more, standby" in lines


def test_many_workers_fit_on_a_screen() -> None:
    crowd = [worker(f"w{number}") for number in range(500)] + [worker("z", "draining")]
    lines = _screen(replace(WELL, workers=crowd), CONNECT)
    assert len(lines) < 30
    assert any(line.startswith("z  ") for line in lines), "those that need a look are shown"
    assert "... and 489 more, ready (mwapp workers)" in lines
