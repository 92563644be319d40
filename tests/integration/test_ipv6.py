"""A real ensemble at ::1: all that asks servers finds them, with brackets where a port follows."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.daemons import Site
from testbed.ensemble import Ensemble
from tests.unit.ansible_module import run
from tests.unit.test_zookeeper_role import render
from tests.unit.zookeeper_role import load, load_file

gate, status = load_file("modules/zookeeper_gate.py"), load_file("modules/zookeeper_status.py")
reach = load_file("modules/mwapp_reach.py")
connect_string = load_file("filter/mwapp_filters.py").mwapp_connect


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


@pytest.fixture(scope="module")
def there() -> Iterator[Ensemble]:
    with Ensemble(address="::1") as ensemble:
        yield ensemble


def test_the_gate_sees_a_quorum(there: Ensemble) -> None:
    members = [
        {"name": f"zk{one.number}", "host": "::1", "client_port": one.port, "observer": False}
        for one in there.servers
    ]
    answer = run(gate, {"members": members, "timeout": 10})
    assert (answer["healthy"], answer["problems"]) == (True, [])
    assert sorted(state["mode"] for state in answer["members"].values()) == ["follower", "follower", "leader"]


def test_a_member_that_runs_is_seen_where_its_zoo_cfg_says(there: Ensemble) -> None:
    config = load("zookeeper_zoo_cfg").parse_config((there.servers[0].directory / "zoo.cfg").read_text())
    lines = load("zookeeper_rules").servers(config)
    assert all(line.startswith("[::1]:") for line in lines.values())
    assert load("zookeeper_health").still_running(lines) == [f"{n} on ::1" for n in lines]


def test_status_is_asked_for(there: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ON_DISK", "RUNNING"):
        monkeypatch.setattr(status, name, tmp_path / name)
    leader = there.leader()
    answer = run(
        status,
        {"host": "::1", "port": leader.port, "config": (leader.directory / "zoo.cfg").read_text()},
    )
    assert "error" not in answer
    assert answer["server"]["role"] == "leader"


def test_zk_server_finds_it(there: Ensemble, tmp_path: Path) -> None:
    """With the zoo.cfg that the server has."""
    leader = there.leader()
    script = tmp_path / "zkServer.sh"
    text = render("zkServer.sh.j2")
    line = next(line for line in text.splitlines() if line.startswith("config="))
    script.write_text(text.replace(line, f"config={leader.directory / 'zoo.cfg'}"))
    ended = subprocess.run(["bash", script, "status"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Client address: ::1." in ended.stdout
    assert "Mode: leader" in ended.stdout


def test_tasks_are_submitted_and_run(there: Ensemble, tmp_path: Path) -> None:
    """With the connect string that the role makes of the inventory."""
    hostvars: dict[str, Any] = {
        f"zk{one.number}": {"zookeeper_host": "::1", "zookeeper_client_port": one.port}
        for one in there.servers
    }
    connect = connect_string(list(hostvars), hostvars)
    assert connect == there.connect_string
    assert connect.startswith("[::1]:")
    assert run(reach, {"connect": connect})["server"] == connect.split(",")[0]
    with Site(f"{connect}/ipv6", tmp_path) as site:
        site.start("master", "m").wait_for_state("active")
        site.start("worker", "w").wait_for_state("ready")
        [end] = site.json("submit", "--wait", "echo here")
        assert end["output"] == "here\n"
        assert "[::1]:" in site.mwapp("status")
