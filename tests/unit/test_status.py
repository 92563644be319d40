"""playbooks/status.yml: the report of what was found on all hosts, and the table that is made of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.unit.four_letters import MNTR
from tests.unit.zookeeper_role import load_file

status = load_file("modules/zookeeper_status.py")
report = load_file("filter/status_report.py")

HOSTS = ["zk1", "zk2", "zk3"]
GROUPS = {"zookeeper": HOSTS, "mwapp_masters": ["mw1"], "mwapp_workers": ["mw1", "mw2"]}


def server(role: str) -> dict[str, Any]:
    """What is registered for a host on which all is well."""
    modes = {"zk1": "follower", "zk2": "leader", "zk3": "follower"}
    return {
        "zookeeper_tls": False,
        "__zookeeper_found": {
            "problems": [],
            "missing": [],
            "stale": [],
            "unit": {"present": True, "enabled": True, "active": True},
        },
        "__zookeeper_files": {"waiting": [], "diff": []},
        "__zookeeper_status": {
            "server": {**status.server(MNTR.format(synced=2)), "role": role, "zxid": "0x1a"},
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
                name: {"reachable": True, "mode": mode, "version": "3.9.4", "zxid": "0x1a"}
                for name, mode in modes.items()
            },
        },
    }


def service(role: str, **part: object) -> dict[str, Any]:
    document = {"role": role, "ready": True, "session": {"server": "10.0.0.1:2181"}, role: part}
    return {"item": {"role": role}, "json": document}


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

    nodes = {"n1": node("active", epoch=7, queued=3, counters={"assigned": 9}), "n2": node("ready", queued=8)}
    groups = {"mwapp_nodes": list(nodes)}
    made = report.status_report(list(nodes), nodes, groups)["application"]
    assert (made["state"], made["active_master"]) == ("working", "n1")
    seen = [(it["service"], it["state"], it["epoch"], it["queued"], it["slots"]) for it in made["services"]]
    assert seen == [("node", "active", 7, 3, 4), ("node", "ready", None, None, 4)]
    nodes["n2"] = node("active")
    made = report.status_report(list(nodes), nodes, groups)["application"]
    assert (made["problems"], made["active_master"]) == (["2 masters are active"], None)
    nodes["n1"] = nodes["n2"] = node("ready")
    made = report.status_report(list(nodes), nodes, groups)["application"]
    assert (made["state"], made["problems"]) == ("impaired", ["no master is active"])


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
    assert cells(made, "leader") == "zk2 yes leader 3.9.3 0x1a 4 3 4.57/28 0 14 244K 7.5G 47s none"
    assert cells(made, "active  ") == "master mw1 yes active 7 2 0 1 - - - 10.0.0.1:2181"
    assert [row["running"] for row in made["application"]["services"]] == [None, 1, 1]
    heading, first, *_ = report.status_table(made).splitlines()[2:]
    assert first.index("follower") == heading.index("ROLE"), "words begin below their heading"
    assert first.index("47s") + len("47s") == heading.index("UP") + len("UP"), "figures end below it"
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


def digests(found: dict[str, dict[str, Any]], host: str, **by_zxid: str) -> None:
    found[host]["__zookeeper_status"]["digests"] = by_zxid


def test_servers_that_have_the_same_data(found: dict[str, dict[str, Any]]) -> None:
    digests(found, "zk1", **{"0x80": "1", "0x100": "2"})
    digests(found, "zk2", **{"0x100": "2", "0x180": "3"})  # it is ahead
    digests(found, "zk3")  # it was just started
    assert look(found)["ok"]
    digests(found, "zk3", **{"0x200": "9"})
    assert look(found)["ok"], "there is nothing to compare"


def test_servers_that_have_other_data(found: dict[str, dict[str, Any]]) -> None:
    digests(found, "zk1", **{"0x80": "1", "0x100": "2"})
    digests(found, "zk2", **{"0x80": "1", "0x100": "3"})
    digests(found, "zk3", **{"0x80": "1", "0x100": "2", "0x180": "4"})
    made = look(found)
    assert (made["ok"], made["ensemble"]["state"]) == (False, "inconsistent")
    assert lines(made, "0x100") == [
        "- after transaction 0x100 the data of zk1, zk3 and of zk2 differ. Acknowledged writes may be lost: "
        "see 'Servers that differ' in the README of the role zookeeper."
    ]


def test_servers_that_differ_beside_one_that_was_just_started(found: dict[str, dict[str, Any]]) -> None:
    digests(found, "zk1", **{"0x100": "2"})
    digests(found, "zk2", **{"0x100": "3"})
    digests(found, "zk3")
    for host in HOSTS:
        found[host]["__zookeeper_gate"] |= {"healthy": False, "problems": ["zk3 does not serve yet"]}
    made = look(found)["ensemble"]
    assert (made["state"], len(made["problems"])) == ("degraded", 2)


def test_servers_that_once_differed(found: dict[str, dict[str, Any]]) -> None:
    """One has received a snapshot since. Only the newest that all have counts (0x100, not 0x80)."""
    for host, old in zip(HOSTS, "112", strict=True):
        digests(found, host, **{"0x80": old, "0x100": "2"})
    assert look(found)["ok"]


def test_a_server_that_has_noticed_that_it_differs(found: dict[str, dict[str, Any]]) -> None:
    found["zk3"]["__zookeeper_status"]["server"]["digest_mismatches"] = 2
    made = look(found)
    assert (made["ok"], made["ensemble"]["state"]) == (False, "inconsistent")
    (said,) = made["ensemble"]["problems"]
    assert said.startswith(
        "zk3: its data differed from the leader's 2 times since it started. Play compare.yml: if it"
    )


def test_a_server_that_was_declared_dead_and_is_back(found: dict[str, dict[str, Any]]) -> None:
    for host in "zk1", "zk2":
        found[host]["__zookeeper_found"]["returned"] = ["192.0.2.4"]
    made = look(found)
    assert (made["ok"], made["ensemble"]["state"]) == (False, "inconsistent")
    (said,) = made["ensemble"]["problems"]
    assert said.startswith("zookeeper_dead names 192.0.2.4, and a server runs there again")
    assert "stop it there (systemctl disable --now zookeeper), and keep its data." in said
    assert "If it is another one, or another ensemble's, take the address out of zookeeper_dead." in said


def test_a_clock_that_is_off_is_a_warning(found: dict[str, dict[str, Any]]) -> None:
    for host, clock in {"zk1": 1000.0, "zk2": 1000.0, "zk3": 87400.0}.items():
        found[host]["__zookeeper_found"]["clock"] = clock
    made = look(found)
    assert made["ok"]
    [said] = made["ensemble"]["warnings"]
    assert said.startswith("The clock of zk3 is 24.0 h ahead of that of zk2")


def test_the_clock_of_a_host_of_the_application_is_compared_with_the_servers(
    found: dict[str, dict[str, Any]],
) -> None:
    """Its servers are warned of already, once."""
    for host, clock in {"zk1": 1000.0, "zk2": 1000.0, "zk3": 87400.0}.items():
        found[host]["__zookeeper_found"]["clock"] = clock
        found[host]["__mwapp_clock"] = {"stdout": str(int(clock))}
    found["w1"] = {**found.get("w1", {}), "__mwapp_clock": {"stdout": "88000"}}
    found["w2"] = {**found.get("w2", {}), "__mwapp_clock": {"stdout": "1001"}}
    found["w3"] = {**found.get("w3", {}), "__mwapp_clock": {"stdout": ""}}
    groups = {"zookeeper": ["zk1", "zk2", "zk3"]}
    [said] = report.status_report(list(found), found, groups)["application"]["warnings"]
    assert said.startswith("The clock of w1 is 24.2 h ahead of that of w2")
    assert report.status_report(groups["zookeeper"], found, groups)["application"]["warnings"] == []


def test_the_view_that_sees_most_is_believed(found: dict[str, dict[str, Any]]) -> None:
    found["zk1"]["__zookeeper_gate"] = {
        "healthy": False,
        "problems": ["cut off"],
        "members": {host: {"reachable": False, "mode": None} for host in HOSTS},
    }
    assert look(found)["ensemble"]["state"] == "healthy"
    for state in found["zk1"]["__zookeeper_gate"]["members"].values():
        state["reachable"] = True
    found["zk2"]["__zookeeper_gate"]["members"]["zk3"]["reachable"] = False
    assert look(found, "zk1", "zk2")["ensemble"]["state"] == "healthy", "who serves counts, not who answers"


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
    first = made["ensemble"]["servers"][0]
    assert (first["role"], first["error"]) == ("unknown", "no answer over SSH within 20 s")


def test_a_server_whose_host_cannot_be_reached_may_serve(found: dict[str, dict[str, Any]]) -> None:
    found["zk3"] = {"__zookeeper_found": {"problems": ["it is no member", "add it"]}}
    row = look(found)["ensemble"]["servers"][2]
    assert (row["role"], row["reachable"], row["error"]) == ("follower", False, "it is no member; add it")


def test_a_gate_that_failed_is_no_view(found: dict[str, dict[str, Any]]) -> None:
    found["zk1"]["__zookeeper_gate"] = {"failed": True, "msg": "MODULE FAILURE"}
    assert look(found)["ensemble"]["state"] == "healthy"


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


def test_more_that_drifts(found: dict[str, dict[str, Any]]) -> None:
    found["zk1"]["__zookeeper_found"] |= {"problems": ["ids clash"], "missing": ["java", "jline"]}
    found["zk1"]["__zookeeper_found"]["unit"] |= {"enabled": False, "active": False}
    found["zk2"]["__zookeeper_found"]["unit"]["enabled"] = False
    found["zk2"]["__zookeeper_files"]["waiting"] = ["/etc/zookeeper/zoo.cfg"]  # but for a comment
    tick = {"key": "tickTime", "wanted": "2000", "on_disk": "1000", "running": None}
    found["zk3"]["__zookeeper_status"]["config"] = [tick]
    found["zk3"]["__zookeeper_files"]["waiting"] = ["/etc/zookeeper/zoo.cfg", "/etc/zookeeper/logback.xml"]
    made = look(found)
    drift = [[it["text"] for it in row["drift"]] for row in made["ensemble"]["servers"]]
    assert drift == [
        [
            "site.yml would refuse: ids clash",
            "not installed: java, jline",
            "zookeeper.service is not enabled",
        ],
        [
            "zookeeper.service is not enabled",
            "/etc/zookeeper/zoo.cfg differs from what the inventory makes of it",
        ],
        [
            "tickTime: the inventory has 2000, zoo.cfg has 1000, the running server has none",
            "/etc/zookeeper/logback.xml differs from what the inventory makes of it",
        ],
    ]


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
    found["mw1"]["__mwapp_status"]["results"][0] = {"item": {"role": "master"}, "msg": refused}
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


@pytest.mark.parametrize(
    ("tls", "said"),
    [(True, "with TLS, and mwapp_status_tls is false"), (False, "without TLS, and mwapp_status_tls is true")],
)
def test_a_service_that_runs_as_it_was_wanted_before_is_well(
    found: dict[str, dict[str, Any]], tls: bool, said: str
) -> None:
    """mwapp_status_tls was changed, and site.yml has not run yet."""
    results = found["mw1"]["__mwapp_status"]["results"]
    before = {"item": {"role": "master", "status_tls": tls}, "json": results[0]["json"]}
    results[0] = {"item": {"role": "master", "status_tls": not tls}, "msg": "Connection reset"}
    found["mw1"]["__mwapp_status_before"] = {"results": [before]}
    made = look(found)
    assert (made["ok"], made["application"]["active_master"]) == (True, "mw1")
    (warning,) = made["application"]["warnings"]
    assert warning == f"master on mw1 speaks {said}: run site.yml, or set it back"
    before.pop("json")
    assert look(found)["application"]["problems"][0] == "master on mw1: Connection reset"


def test_a_packet_filter_that_is_not_loaded_is_an_alarm(found: dict[str, dict[str, Any]]) -> None:
    """At boot nothing waits for it: services start without, if nft fails."""
    found["zk2"]["__zookeeper_filter"] = {"differs": ["table inet zookeeper"], "unfiltered": True}
    made = look(found)
    assert (made["ok"], made["ensemble"]["state"]) == (False, "unfiltered")
    assert made["ensemble"]["problems"][0].startswith(
        "zk2: its packet filter (zookeeper_packet_filter) is not"
    )
    found["zk2"]["__zookeeper_filter"] = {"differs": ["table inet zookeeper"], "unfiltered": False}
    assert look(found)["ok"], "it is another one than wanted"
    found["mw1"]["__mwapp_filter"] = {"unfiltered": True}
    made = look(found)
    assert (made["ok"], made["application"]["state"]) == (False, "impaired")
    (problem,) = made["application"]["problems"]
    assert problem.endswith("systemctl status mwapp-packet-filter says why")


def test_only_what_was_asked_is_judged(found: dict[str, dict[str, Any]]) -> None:
    made = look(found, "zk1", "mw2")
    assert made["ok"], "a worker alone has no active master, and needs none"
    assert [row["host"] for row in made["ensemble"]["servers"]] == ["zk1"]
    assert look(found, "mw1")["ensemble"]["state"] == "not asked"
    made = report.status_report(["mw2"], found, {"mwapp_workers": ["mw2"]})
    assert made["application"]["state"] == "working", "a group of masters there is not"


def test_a_service_says_why_it_is_not_ready(found: dict[str, dict[str, Any]]) -> None:
    found["mw2"]["__mwapp_status"]["results"][0]["json"] |= {"ready": False, "reason": "no session"}
    row = look(found)["application"]["services"][2]
    assert (row["ready"], row["error"]) == (False, "no session")


@pytest.mark.parametrize(("size", "said"), [(1, "(1 of 1 serve)"), (2, "(2 of 2 serve, zk2 leads)")])
def test_who_leads(size: int, said: str, found: dict[str, dict[str, Any]]) -> None:
    hosts = HOSTS[:size]
    for host in hosts:
        members = found[host]["__zookeeper_gate"]["members"]
        found[host]["__zookeeper_gate"]["members"] = {name: members[name] for name in hosts}
    if size == 1:
        found["zk1"]["__zookeeper_gate"]["members"]["zk1"]["mode"] = "standalone"
    made = report.status_report(hosts, found, {"zookeeper": hosts})
    assert made["ensemble"]["leader"] == hosts[-1]
    assert f"Ensemble: healthy {said}" in report.status_table(made)


def test_of_the_disks_all_that_is_used_and_the_one_that_is_full(found: dict[str, dict[str, Any]]) -> None:
    for host, used in {"zk1": 250_000, "zk2": None}.items():
        found[host]["__zookeeper_status"]["disk"]["txnlog_dir"] |= {"used": used, "free": used}
    made = look(found)
    assert " 488K 244K 47s" in cells(made, "zk1")
    assert " 244K 7.5G 47s" in cells(made, " leader ")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1.0K"), (1500, "1.5K"), (67_108_880, "64M"), (5 * 2**40, "5.0T")],
)
def test_sizes(count: int, text: str) -> None:
    assert report._size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (47, "47s"), (60, "1m 0s"), (892, "14m 52s"), (3700, "1h 1m"), (93_784, "1d 2h")],
)
def test_times(seconds: int | None, text: str) -> None:
    assert report._time(seconds) == text


def test_an_inventory_that_says_nothing_of_tls_is_a_warning_and_no_problem(
    found: dict[str, dict[str, Any]],
) -> None:
    for host in HOSTS:
        del found[host]["zookeeper_tls"]
    made = look(found)
    assert made["ok"]
    [said] = made["ensemble"]["warnings"]
    assert "Set it to true and run playbooks/tls.yml" in said


def test_a_release_that_may_lose_writes_is_a_warning_and_no_problem(found: dict[str, dict[str, Any]]) -> None:
    assert look(found)["ensemble"]["warnings"] == []
    for host in HOSTS:
        for state in found[host]["__zookeeper_gate"]["members"].values():
            state["version"] = "3.9.3"
    made = look(found)
    assert made["ok"]
    [said] = made["ensemble"]["warnings"]
    assert said.startswith("zk1, zk2, zk3: ZooKeeper 3.9.3 may lose acknowledged writes")
    assert f"\n- {said}" in report.status_table(made)
    found["zk1"]["zookeeper_config"] = {"forceSnapshotSync": "yes"}
    assert look(found)["ensemble"]["warnings"] == []
