"""The ports of servers change, in the steps and the order of the role, under a client that writes."""

import threading
import time
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from testbed.ensemble import Ensemble, Server
from testbed.ports import free_ports
from tests.unit.zookeeper_role import load, load_file

PATH = "/written"
plan = load_file("filter/zookeeper_voter_stages.py").zookeeper_voter_stages
gate = load_file("modules/zookeeper_gate.py")
health, rules, zoo_cfg = (load(f"zookeeper_{name}") for name in ("health", "rules", "zoo_cfg"))
rolling = load("zookeeper_restart_order").rolling


class Writer:
    """Writes a number that grows, and keeps those that were acknowledged, with their times."""

    def __init__(self, hosts: str) -> None:
        self.acknowledged: list[tuple[float, int]] = []
        self._client = KazooClient(hosts, connection_retry={"max_tries": -1, "max_delay": 0.2})
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Writer":
        self._client.start()
        self._client.create(PATH, b"0")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)
        self._client.stop()
        self._client.close()

    def _run(self) -> None:
        number = 0
        while not self._end.wait(0.02):
            number += 1
            with suppress(KazooException, KazooTimeoutError):
                self._client.set_async(PATH, str(number).encode()).get(timeout=5)
                self.acknowledged.append((time.monotonic(), number))


def members(ensemble: Ensemble, ports: list[int]) -> list[dict[str, Any]]:
    """As the inventory wants them: at these ports."""
    return [
        {"name": f"zk{server.number}", "id": server.number, "host": "127.0.0.1", "observer": False}
        | {"quorum_port": ports[2 * i], "election_port": ports[2 * i + 1]}
        for i, server in enumerate(ensemble.servers)
    ]


def seen(server: Server) -> dict[str, Any]:
    """What preflight would find."""
    servers = rules.servers(zoo_cfg.parse_config((server.directory / "zoo.cfg").read_text()))
    found = {"data": True, "marker": False, "servers": servers, "unit": {"running": server.running}}
    return found | {"last_zxid": "0x1", "trail": {}, "configured": True}


def configure(server: Server, stage: dict[str, Any]) -> None:
    """Give it the members of a stage."""
    file = server.directory / "zoo.cfg"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("server.")]
    lines = [
        f"server.{m['id']}={m['host']}:{m['quorum_port']}:{m['election_port']}" for m in stage["members"]
    ]
    file.write_text("\n".join(kept + lines) + "\n")


def roll(ensemble: Ensemble, stage: dict[str, Any]) -> None:
    """Restart all, one after the other, each only while all are well."""
    known = [health.Member(f"zk{server.number}", "127.0.0.1", server.port) for server in ensemble.servers]
    pending = {member.name for member in known}
    while True:
        found = gate.wait(known, pending, changing=False, timeout=60, settle=60, tls={})
        assert found.problems == []
        if not pending:
            return
        name = rolling(known, found.states, pending, first=stage["first"])[0]
        pending.remove(name)
        server = next(server for server in ensemble.servers if name == f"zk{server.number}")
        configure(server, stage)
        server.stop()
        server.start()


@pytest.fixture
def ensemble() -> Any:
    with Ensemble() as made:
        yield made


def test_servers_find_each_other_while_their_ports_change(ensemble: Ensemble) -> None:
    wanted = members(ensemble, free_ports(6))
    stages = plan(wanted, {f"zk{s.number}": seen(s) for s in ensemble.servers}, [m["name"] for m in wanted])
    assert [stage["first"] for stage in stages["stages"]] == ["zk1", "zk2", "zk3"]
    began = time.monotonic()
    with Writer(ensemble.connect_string) as writer:
        for stage in stages["stages"]:
            roll(ensemble, stage)
        last, count = writer.acknowledged[-1][1], len(writer.acknowledged)
    with ensemble.servers[0].client() as client:
        assert int(client.get(PATH)[0]) >= last
    for server in ensemble.servers:
        assert {int(line.split(":")[1]) for line in seen(server)["servers"].values()} == {
            m["quorum_port"] for m in wanted
        }
    longest = max(b - a for (a, _), (b, _) in pairwise(writer.acknowledged))
    print(f"{count} writes, none lost; {time.monotonic() - began:.1f} s, longest gap {longest:.1f} s")
