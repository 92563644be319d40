"""The recorder: what is written down, and when. The cluster is a script of answers, played in real time."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.cluster import Cluster
from chaos.load import Submitter, Writer
from chaos.stores import Store
from demo.recorder import ClusterRecorder, EventLog, RecordedCluster
from lab import Lab, LabError
from mwapp.errors import UnreachableError
from testbed.stores import Done
from testbed.waiting import wait_for


class _Lab:
    def __init__(self) -> None:
        self.states = {"zk1": "running", "mw1": "running"}

    def state(self, node: str) -> str:
        if self.states[node] == "switching":
            raise LabError("busy")
        return self.states[node]


class _Cluster:
    """One server and one host with a master and a worker, which answer what a test says."""

    servers, masters, workers = ("zk1",), ("mw1",), ("mw1",)

    def __init__(self) -> None:
        self.lab = _Lab()
        self.master: dict[str, Any] = {"state": "standby"}
        self.answer = "Zookeeper version: 3.9.3\nMode: follower\n"
        self.looks = 0  # at the master

    def endpoint(self, node: str, port: int) -> dict[str, Any]:  # noqa: ARG002 - as Cluster's
        self.looks += 1
        return self.master

    def state(self, node: str, port: int) -> str | None:  # noqa: ARG002 - as Cluster's
        return "ready"

    def ask(self, node: str, word: str) -> str:  # noqa: ARG002 - as Cluster's
        return self.answer


def _events(path: Path, **wanted: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    return [event for event in events if wanted.items() <= event.items()]


def _states(path: Path, kind: str) -> list[str]:
    return [event["state"] for event in _events(path, event="seen", kind=kind)]


def test_changes_are_written_down_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "events.jsonl"
    cluster = _Cluster()
    with EventLog(path) as log, ClusterRecorder(log, cast(Cluster, cluster)):
        wait_for("a first look at all", lambda: len(_events(path, event="seen")) == 4)
        cluster.master = {"state": "active", "epoch": 7, "elected_at": 0.0}
        cluster.answer = "This ZooKeeper instance is not currently serving requests\n"
        cluster.lab.states["mw1"] = "switching"
        wait_for("active", lambda: _states(path, "master") == ["standby", "active"])
        wait_for("no quorum", lambda: _states(path, "server")[1:] == ["not serving"])
        cluster.master, cluster.answer = {}, ""
        cluster.lab.states["mw1"] = "off"
        wait_for("silence", lambda: _states(path, "master")[2:] == ["no answer"])
        wait_for("silence", lambda: _states(path, "server")[2:] == ["no answer"])
        wait_for("no power", lambda: "off" in _states(path, "host"))
    assert _states(path, "server") == ["follower", "not serving", "no answer"]
    assert sorted(_states(path, "host")) == ["off", "running", "running"]
    assert _states(path, "worker") == ["ready"]
    (active,) = _events(path, state="active")
    assert active["epoch"] == 7
    assert active["elected"] < 0  # long before the record began


def test_a_change_is_written_down_with_the_last_look_that_saw_it_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    cluster = _Cluster()
    with EventLog(path) as log, ClusterRecorder(log, cast(Cluster, cluster)):
        wait_for("a first look at all", lambda: len(_events(path, event="seen")) == 4)
        again, looks = log.now(), cluster.looks
        # One may have begun before, and the last may not have read what it sees.
        wait_for("it has looked again", lambda: cluster.looks > looks + 2)
        before = log.now()
        cluster.master = {"state": "looking"}
        changed = log.now()
        wait_for("the change", lambda: _states(path, "master") == ["standby", "looking"])
    first, second = _events(path, event="seen", kind="master")
    assert "after" not in first
    assert first["t"] <= again <= second["after"] <= changed
    assert before <= second["t"]


def test_a_leader_is_written_down_with_its_epoch(tmp_path: Path) -> None:
    """It is in its last transaction's number, and tells it from one that was deposed and does not know it."""
    path = tmp_path / "events.jsonl"
    cluster = _Cluster()
    cluster.answer = "Zookeeper version: 3.9.3\nZxid: 0x1200000003\nMode: leader\nNode count: 5\n"
    with EventLog(path) as log, ClusterRecorder(log, cast(Cluster, cluster)):
        wait_for("leader", lambda: _states(path, "server") == ["leader"])
        cluster.answer = cluster.answer.replace("leader", "follower")
        wait_for("follower", lambda: _states(path, "server")[1:] == ["follower"])
    leader, follower = _events(path, event="seen", kind="server")
    assert leader["epoch"] == 18
    assert "epoch" not in follower  # it learns its leader's with the next transaction


def test_every_acknowledgement_is_written_down_once_up_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    class Load:
        def __init__(self) -> None:
            self.accepted = [(1.0, "task-0")]
            self.acknowledged = [(2.0, 1), (3.0, 2)]

    load = Load()
    with EventLog(path) as log, ClusterRecorder(log, cast(Cluster, _Cluster())) as recorder:
        recorder.follow(cast(Submitter, load), {"zk1": cast(Writer, load)})
        wait_for("the first", lambda: _events(path, event="writes"))
        load.accepted.append((4.0, "task-1"))
        load.acknowledged.append((5.0, 3))
    names = [name for event in _events(path, event="accepted") for _, name in event["tasks"]]
    times = [time for event in _events(path, event="writes", client="zk1") for time in event["times"]]
    assert names == ["task-0", "task-1"]
    assert times == [log.at(at) for at in (2.0, 3.0, 5.0)]


class _Store:
    """A store whose owner and whose client's writes are what a test says."""

    table = "demo-region"

    def __init__(self) -> None:
        self.writer = SimpleNamespace(done=[Done(1.0, 1.5, 0)])
        self.looks = 0
        self.shard: dict[str, Any] | None = {"state": "serving", "primary": "mw1", "generation": 7}

    def state(self) -> SimpleNamespace:
        self.looks += 1
        if self.shard is None:
            raise UnreachableError
        return SimpleNamespace(**self.shard)


def test_who_owns_a_store_is_written_down_and_every_write_to_it_once(tmp_path: Path) -> None:
    path, store = tmp_path / "events.jsonl", _Store()

    def owners() -> list[tuple[str, int | None]]:
        seen = _events(path, event="seen", kind="owner", node="demo-region")
        return [(event["state"], event.get("generation")) for event in seen]

    def wait_until_shown(state: str) -> None:
        wait_for(state, lambda: owners()[-1][0] == state)

    with EventLog(path) as log, ClusterRecorder(log, cast(Cluster, _Cluster())) as recorder:
        with recorder.following(cast(Store, store)):
            wait_for("the owner", lambda: owners() == [("mw1", 7)])
            wait_for("the first write", lambda: _events(path, event="stored"))
            store.writer.done.append(Done(1.6, 1.7, 0))
            store.shard, unknown = None, store.looks  # the ensemble does not answer
            wait_for("it has looked again", lambda: store.looks > unknown + 2)
            for state, generation, shown in (
                ("failed", 7, "nobody"),
                ("handover", 8, "handover"),
                ("serving", 8, "mw2"),
            ):
                store.shard = {"state": state, "primary": "mw2", "generation": generation}
                wait_until_shown(shown)
        store.shard = {"state": "serving", "primary": "mw3", "generation": 9}
    assert owners() == [("mw1", 7), ("nobody", None), ("handover", None), ("mw2", 8), ("not watched", None)]
    times = [pair for event in _events(path, event="stored", store="demo-region") for pair in event["writes"]]
    assert times == [[log.at(1.0), log.at(1.5)], [log.at(1.6), log.at(1.7)]]


def test_the_kill_of_an_owner_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr(Cluster, "kill_owner", lambda *_args, **_more: (100.0, 100.1))
    with EventLog(path) as log:
        cluster = RecordedCluster(Lab("none"), log)
        assert cluster.kill_owner("mw1", "demo-blocks", worker=True) == (100.0, 100.1)
        cluster.kill_owner("mw2", "demo-partition", worker=False)
        both = {"event": "kill", "t": log.at_unix(100.0), "over": log.at_unix(100.1)}
    assert _events(path, event="kill") == [
        both | {"kind": "worker", "node": "mw1", "unit": "mwapp-worker.service"},
        both | {"kind": "handler", "node": "mw2", "unit": "demo-partition"},
    ]


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:

        def write() -> None:
            for _ in range(50):
                log.write("said", text="x" * 5000)

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(_events(path, event="said")) == 400
