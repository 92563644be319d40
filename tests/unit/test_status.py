"""playbooks/status.yml: what servers say, how configurations differ, and the table that is made of it."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.zookeeper_role import load_file

status = load_file("library/zookeeper_status.py")
report = load_file("../../playbooks/filter_plugins/status_report.py")

MNTR = """\
zk_version\t3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 2022-02-25 08:49 UTC
zk_server_state\tleader
zk_global_sessions\t4
zk_num_alive_connections\t3
zk_avg_latency\t4.5699
zk_max_latency\t28
zk_outstanding_requests\t0
zk_znode_count\t14
zk_uptime\t47048
"""


def test_what_a_server_says() -> None:
    assert status.server(MNTR) == {
        "version": "3.8.0",
        "role": "leader",
        "sessions": 4,
        "connections": 3,
        "latency_avg_ms": 4.57,
        "latency_max_ms": 28,
        "outstanding": 0,
        "znodes": 14,
        "uptime_s": 47,
    }


@pytest.mark.parametrize(
    "answer",
    ["", "This ZooKeeper instance is not currently serving requests\n", "HTTP", "zk_version\t3.9.3\n"],
)
def test_a_server_that_serves_nobody_says_nothing(answer: str) -> None:
    assert status.server(answer) == {}


def test_a_figure_that_is_none() -> None:
    said = status.server("zk_server_state\tleader\nzk_avg_latency\tunknown\n")
    assert (said["role"], said["latency_avg_ms"], said["uptime_s"]) == ("leader", None, None)


def test_disk(tmp_path: Path) -> None:
    (tmp_path / "version-2").mkdir()
    (tmp_path / "version-2/log.1").write_bytes(b"x" * 10_000)
    found = status.disk(str(tmp_path))
    assert 10_000 <= found["used"] < 40_000
    assert found["free"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
    os.truncate(tmp_path / "version-2/log.1", 1 << 26)
    assert status.disk(str(tmp_path))["used"] < 40_000, "what is set aside for a log takes no room yet"
    assert status.disk(str(tmp_path / "none")) == {"path": f"{tmp_path}/none", "used": None, "free": None}


def test_a_file_that_is_purged_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "snapshot.0").write_bytes(b"x" * 10_000)

    def walk(top: Path) -> Iterator[Any]:
        for found in os_walk(top):
            (tmp_path / "snapshot.0").unlink()
            yield found

    os_walk = os.walk
    monkeypatch.setattr(os, "walk", walk)
    assert status.disk(str(tmp_path))["used"] == 0


def test_configurations_that_differ() -> None:
    assert status.differences("a=1\nb=2\n", "a=1\nb=2", "# comment\nb=2\na=1") == []
    assert status.differences("a=1\nb=2\nd=4", "a=1\nb=3\nc=4\nd=4", "a=1\nb=3\nd=4") == [
        {"key": "b", "wanted": "2", "on_disk": "3", "running": "3"},
        {"key": "c", "wanted": None, "on_disk": "4", "running": None},
    ]
    # of a server that does not run, or was never installed, only what is there is compared
    assert status.differences("a=1", "a=2", None) == [{"key": "a", "wanted": "1", "on_disk": "2"}]
    assert status.differences("a=1", None, None) == []
    assert status.differences("a=1", "", None) == [{"key": "a", "wanted": "1", "on_disk": None}]


HOSTS = ["zk1", "zk2", "zk3"]
GROUPS = {"zookeeper": HOSTS, "mwapp_masters": ["mw1"], "mwapp_workers": ["mw1", "mw2"]}


def server(role: str) -> dict[str, Any]:
    """What is registered for a host on which all is well."""
    modes = {"zk1": "follower", "zk2": "leader", "zk3": "follower"}
    return {
        "__zookeeper_found": {
            "problems": [],
            "missing": [],
            "stale": [],
            "unit": {"present": True, "enabled": True, "active": True},
        },
        "__zookeeper_files": {"waiting": [], "diff": []},
        "__zookeeper_status": {
            "server": {**status.server(MNTR), "role": role, "zxid": "0x1a"},
            "disk": {
                "data_dir": {"path": "/d", "used": 249_856, "free": 8_000_000_000},
                "txnlog_dir": {"path": "/t", "used": 0, "free": 9_000_000_000},
            },
            "config": [],
        },
        "__zookeeper_gate": {
            "healthy": True,
            "problems": [],
            "members": {
                name: {"reachable": True, "mode": mode, "version": "3.8.0", "zxid": "0x1a"}
                for name, mode in modes.items()
            },
        },
    }


def service(role: str, **part: object) -> dict[str, Any]:
    document = {"role": role, "ready": True, "session": {"server": "10.0.0.1:2181"}, role: part}
    return {"item": role, "json": document}


@pytest.fixture
def found() -> dict[str, dict[str, Any]]:
    """What was registered on all hosts of a system on which all is well."""
    master = service("master", state="active", epoch=7, workers=2, queued=0, assigned=1)
    worker = service("worker", state="ready", running=["task-1"], slots=4, counters={"done": 5, "failed": 1})
    return {
        **{host: server("leader" if host == "zk2" else "follower") for host in HOSTS},
        "mw1": {"__mwapp_status": {"results": [master, worker]}},
        "mw2": {"__mwapp_status": {"results": [copy.deepcopy(worker)]}},
    }


def look(found: dict[str, dict[str, Any]], *hosts: str) -> dict[str, Any]:
    made: dict[str, Any] = report.status_report(list(hosts) or list(found), found, GROUPS)
    return made


def test_nodes() -> None:
    def node(state: str, **master: object) -> dict[str, Any]:
        its_worker = {"state": "ready", "running": [], "slots": 4, "counters": {"done": 5}}
        one = service("node", state=state, epoch=master.get("epoch"), master=master, worker=its_worker)
        return {"__mwapp_status": {"results": [one]}}

    nodes = {"n1": node("active", epoch=7, queued=3, counters={"assigned": 9}), "n2": node("ready")}
    groups = {"mwapp_nodes": list(nodes)}
    made = report.status_report(list(nodes), nodes, groups)["application"]
    assert (made["state"], made["active_master"]) == ("working", "n1")
    seen = [(it["service"], it["state"], it["epoch"], it["queued"], it["slots"]) for it in made["services"]]
    assert seen == [("node", "active", 7, 3, 4), ("node", "ready", None, None, 4)]
    nodes["n1"] = node("ready")
    made = report.status_report(list(nodes), nodes, groups)["application"]
    assert made["problems"] == ["no master is active"]


def lines(made: dict[str, Any], word: str) -> list[str]:
    return [line for line in report.status_table(made).splitlines() if word in line]


def cells(made: dict[str, Any], word: str) -> str:
    """The cells of the first row with this word."""
    return " ".join(lines(made, word)[0].split())


def test_all_is_well(found: dict[str, dict[str, Any]]) -> None:
    made = look(found)
    assert made["ok"]
    assert (made["ensemble"]["state"], made["ensemble"]["leader"]) == ("healthy", "zk2")
    assert (made["application"]["state"], made["application"]["active_master"]) == ("working", "mw1")
    assert cells(made, "leader") == "zk2 yes leader 3.8.0 0x1a 4 3 4.57/28 0 14 244K 7.5G 47s none"
    assert cells(made, "active  ") == "master mw1 yes active 7 2 0 1 - - - 10.0.0.1:2181"
    assert max(map(len, report.status_table(made).splitlines())) <= 120
    assert "\n- " not in report.status_table(made)


def test_a_host_that_is_gone_is_a_row(found: dict[str, dict[str, Any]]) -> None:
    text = "Failed to connect to the host via ssh: ssh: connect to host 10.0.0.3 port 22: No route to host"
    found["zk3"] = {"__zookeeper_found": {"unreachable": True, "msg": text}}
    for host in ("zk1", "zk2"):
        gate = found[host]["__zookeeper_gate"]
        gate["members"]["zk3"] = {"reachable": False, "mode": None, "version": None, "zxid": None}
        gate |= {"healthy": False, "problems": ["zk3 does not answer"]}
    made = look(found)
    assert not made["ok"]
    assert (made["ensemble"]["state"], made["ensemble"]["serving"]) == ("degraded", 2)
    assert cells(made, "zk3") == f"zk3 no down {'- ' * 10}unknown"
    assert "- zk3 cannot be looked at: connect to host 10.0.0.3 port 22: No route to host" in lines(
        made, "zk3"
    )


def test_the_view_that_sees_most_is_believed(found: dict[str, dict[str, Any]]) -> None:
    found["zk1"]["__zookeeper_gate"] = {
        "healthy": False,
        "problems": ["cut off"],
        "members": {host: {"reachable": False, "mode": None} for host in HOSTS},
    }
    assert look(found)["ensemble"]["state"] == "healthy"


def test_no_quorum(found: dict[str, dict[str, Any]]) -> None:
    for host in HOSTS:
        found[host]["__zookeeper_gate"] = {
            "healthy": False,
            "problems": ["no server leads"],
            "members": {name: {"reachable": True, "mode": None} for name in HOSTS},
        }
        found[host]["__zookeeper_status"]["server"] = {}
    found["zk1"]["__zookeeper_found"]["unit"]["active"] = False
    made = look(found)
    assert (made["ok"], made["ensemble"]["state"]) == (False, "no quorum")
    assert [row["role"] for row in made["ensemble"]["servers"]] == ["stopped", "not serving", "not serving"]
    assert "- zk1: zookeeper.service is not active" in lines(made, "zk1")


def test_nobody_could_be_asked() -> None:
    made = look({host: {"__zookeeper_found": {"timedout": {"period": 20}}} for host in HOSTS})
    assert (made["ok"], made["ensemble"]["state"]) == (False, "unknown")
    assert made["ensemble"]["servers"][0]["error"] == "no answer over SSH within 20 s"


def test_drift(found: dict[str, dict[str, Any]]) -> None:
    tick = {"key": "tickTime", "wanted": "2000", "on_disk": "1000", "running": "1000"}
    member = {"key": "server.4", "wanted": None, "on_disk": "zk4:2888:3888", "running": "zk4:2888:3888"}
    for host in ("zk1", "zk2"):
        found[host]["__zookeeper_status"]["config"] = [tick]
        found[host]["__zookeeper_files"]["waiting"] = ["/etc/zookeeper/zoo.cfg"]
    found["zk1"]["__zookeeper_status"]["config"] = [tick, member]
    found["zk1"]["__zookeeper_found"]["stale"] = ["/usr/share/java/zookeeper.jar"]
    found["zk3"]["__zookeeper_files"]["diff"] = [{"before_header": "/usr/local/bin/zkCli.sh"}]
    made = look(found)
    assert made["ok"], "drift is no illness"
    drift = {row["host"]: [it["kind"] for it in row["drift"]] for row in made["ensemble"]["servers"]}
    assert drift == {"zk1": ["config", "members", "restart"], "zk2": ["config"], "zk3": ["files"]}
    assert lines(made, "tickTime") == [
        "- zk1, zk2: tickTime: the inventory has 2000, zoo.cfg has 1000, the running server has 1000"
    ]
    assert len(lines(made, "zk4:2888")) == len(lines(made, "zookeeper.jar")) == len(lines(made, "zkCli")) == 1


def test_a_host_without_server_differs_in_one_thing(found: dict[str, dict[str, Any]]) -> None:
    found["zk1"]["__zookeeper_found"]["unit"] = {"present": False, "enabled": False, "active": False}
    found["zk1"]["__zookeeper_files"]["waiting"] = ["/etc/zookeeper/zoo.cfg", "/etc/zookeeper/logback.xml"]
    assert look(found)["ensemble"]["servers"][0]["drift"] == [
        {"kind": "unit", "text": "no server has been set up here"}
    ]


def test_an_application_that_is_not_well(found: dict[str, dict[str, Any]]) -> None:
    refused = (
        "Status code was -1 and not [200]: Request failed: <urlopen error [Errno 111] Connection refused>"
    )
    found["mw1"]["__mwapp_status"]["results"][0] = {"item": "master", "msg": refused}
    found["mw2"] = {"__mwapp_status": {"unreachable": True, "msg": "gone"}}
    made = look(found)
    assert [(row["service"], row["host"]) for row in made["application"]["services"]] == [
        ("master", "mw1"),
        ("worker", "mw1"),
        ("worker", "mw2"),
    ]
    assert (made["ok"], made["application"]["state"]) == (False, "impaired")
    assert made["application"]["problems"] == [
        "master on mw1: its status endpoint does not answer: Connection refused",
        "worker on mw2: gone",
        "no master is active",
    ]


def test_only_what_was_asked_is_judged(found: dict[str, dict[str, Any]]) -> None:
    made = look(found, "zk1", "mw2")
    assert made["ok"], "a worker alone has no active master, and needs none"
    assert [row["host"] for row in made["ensemble"]["servers"]] == ["zk1"]
    assert look(found, "mw1")["ensemble"]["state"] == "not asked"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0B"), (999, "999B"), (1500, "1.5K"), (67_108_880, "64M"), (5 * 2**40, "5.0T")]
)
def test_sizes(count: int, text: str) -> None:
    assert report._size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (47, "47s"), (60, "1m 0s"), (892, "14m 52s"), (3700, "1h 1m"), (93_784, "1d 2h")],
)
def test_times(seconds: int | None, text: str) -> None:
    assert report._time(seconds) == text
