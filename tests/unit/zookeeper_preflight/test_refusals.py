"""The module zookeeper_preflight: what it refuses."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.unit.ansible_module import run
from tests.unit.test_zookeeper_jars import jar
from tests.unit.test_zookeeper_sizes import log as large_log
from tests.unit.zookeeper_preflight.host import (
    ME,
    Host,
    preflight,
)

pytestmark = pytest.mark.processes


def test_everything_is_judged(host: Host) -> None:
    host.write("etc/os-release", "ID=fedora\nVERSION_ID=40\nPRETTY_NAME='Fedora Linux 40'\n")
    answer = host.look(size=1, zookeeper_tick_time="0")
    assert not answer["changed"]
    said = "\n".join(answer["problems"])
    assert "zookeeper_tick_time is 0" in said
    assert "zk1 runs 'Fedora Linux 40'" in said
    arguments = {"name": "zk1", "members": [{"name": "zk1", "id": None, "host": "a"} | {"observer": False}]}
    arguments["members"][0] |= {"quorum_port": 1, "election_port": 2}  # type: ignore[index, operator]
    rest = {"settings": host.settings, "packages": ["java"], "classpath": ""}
    assert "zookeeper_id is not set for zk1" in run(preflight, arguments | rest)["problems"][0]


def test_a_class_that_the_jars_do_not_have(host: Host) -> None:
    """Before they are installed nobody knows, and the caller is told to look again."""
    config = {"metricsProvider.className": "org.example.Metrics"}
    answer = host.look(zookeeper_config=config)
    assert (answer["unseen"], answer["problems"]) == (True, [])
    jar(host.root / "jars/a.jar", "org.example.Other")
    answer = host.look(zookeeper_config=config)
    assert not answer["unseen"]
    assert answer["problems"][0].startswith(
        "zookeeper_config sets metricsProvider.className to org.example.Metrics, but the jars on zk1 have no "
    )
    jar(host.root / "jars/b.jar", "org.example.Metrics")
    assert host.look(zookeeper_config=config)["problems"] == []
    assert not host.look()["unseen"]


def test_a_buffer_that_gets_smaller_must_hold_what_is_stored(host: Host) -> None:
    """The server would read its data back in vain, again and again. Otherwise nobody need read them all."""
    host.write("txnlog/version-2/log.1", "").write_bytes(large_log(50_000))
    host.write("data/myid", "1\n")
    [said] = host.look(zookeeper_max_buffer=5000)["problems"]
    assert said.startswith("zookeeper_max_buffer is 5000, but to read its data zk1 needs 25000: "), (
        "reinstalled"
    )
    host.write("etc/systemd/system/zookeeper.service", "    -Djute.maxbuffer=100000 \\\n")
    assert host.look(zookeeper_max_buffer="25000")["problems"] == []
    host.write("etc/systemd/system/zookeeper.service", "    -Djute.maxbuffer=20000 \\\n")
    assert host.look(zookeeper_max_buffer=20_000)["problems"] == [], "it is as it was"
    host.write("etc/systemd/system/zookeeper.service", "    -Djute.maxbuffer=100000 \\\n")
    [said] = host.look(zookeeper_max_buffer=24_999)["problems"]
    assert said.startswith("zookeeper_max_buffer is 24999, but to read its data zk1 needs 25000: ")


def test_a_system_that_does_not_say_what_it_is(host: Host) -> None:
    (host.root / "etc/os-release").unlink()
    assert "zk1 runs an unknown system" in host.look()["problems"][0]


def test_a_host_that_is_no_member(host: Host) -> None:
    assert host.look(4)["problems"] == [
        "zk4 is not in the group `zookeeper`, which names the members: add it."
    ]


def test_who_is_not_root_can_do_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ROOT", -1)
    user = ME["zookeeper_user"]
    said = f"zk1: the role works as user {user}, not as root: set become: true for its play."
    assert host.look()["problems"] == [said]


def test_the_first_member_warns_for_all(host: Host) -> None:
    warnings = host.look(1, size=2)["warnings"]
    assert "has 2 voting hosts, an even number" in warnings[0]["event"]["msg"]
    assert "warnings" not in host.look(2, size=2)
    assert "warnings" not in host.look(1)


def test_a_member_that_was_declared_dead_and_answers(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.configured(**{"server.4": f"127.0.0.1:2888:{port}", "server.5": "127.0.0.1:2888:1"})
        found = host.look(zookeeper_dead="127.0.0.2, 127.0.0.1", zookeeper_election_port=port)
        [said] = found["problems"]
        assert host.look()["problems"] == []
    assert said.startswith("zookeeper_dead names server 4 on 127.0.0.1, but it answers there: take it out")
    assert host.look(zookeeper_dead=["127.0.0.1"])["problems"] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_that_was_declared_dead_and_comes_back_when_no_server_knows_it_any_more(
    host: Host, address: str
) -> None:
    host.configured(**{"server.1": "zk1:2888:3888"})
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
        found = host.look(zookeeper_dead=["127.0.0.2", address, ""], zookeeper_election_port=port)
        assert found["returned"] == [address]
        [said] = found["problems"]
    assert said.startswith(f"zookeeper_dead names {address}, and a server runs there again: it may serve")
    found = host.look(zookeeper_dead=[address], zookeeper_election_port=port)
    assert (found["returned"], found["problems"]) == ([], [])


def test_the_heap_is_of_this_hosts_memory(host: Host) -> None:
    assert host.look()["heap_mb"] == 992, "a quarter of it, rounded"
    host.write("etc/systemd/system/zookeeper.service", "ExecStart=java \\\n    -Xms1000m -Xmx1000m \\\n")
    assert host.look()["heap_mb"] == 1000, "what is installed, as it is near"
    assert host.look(zookeeper_heap_mb="700")["heap_mb"] == 700
    assert "but zk1 has 4000 MB of memory" in host.look(zookeeper_heap_mb=4001)["problems"][0]


@pytest.mark.parametrize(
    "broken", [{"clientPort": "2191 # was 2192"}, {"clientPort": None}, {"dataDir": None}]
)
def test_a_configuration_broken_by_hand_does_not_end_the_run(broken: dict[str, Any], host: Host) -> None:
    """For the run would put it right. What it does not say is what the inventory says."""
    host.configured(**{"clientPort": 2182, **broken})
    host.write("data/version-2/snapshot.0", "")
    answer = host.look()
    assert (answer["deployed_ports"]["plain"], answer["data"]) == (
        2181 if "clientPort" in broken else 2182,
        True,
    )
