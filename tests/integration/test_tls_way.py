"""Servers go from TLS to plaintext, in the rolls of the role, under a client that writes.

The way to TLS has the same neighbours. (Both, on hosts, of two releases: molecule/tls.) One server dies for
good half-way: it leaves, and the others go on.
"""

import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now

from testbed.ensemble import Ensemble, Server
from testbed.waiting import wait_for
from tests.integration import test_ports_change as members
from tests.integration.test_ports_change import Writer, gate, health, rolling
from tests.unit.zookeeper_role import load, load_file

phases = load("zookeeper_tls_phases")
tls_way = load_file("filter/zookeeper_tls.py").zookeeper_tls_way
HERE = ("127.0.0.1", "localhost")


def configure(server: Server, phase: str) -> None:
    """As zoo.cfg.j2 has it. (The client port listens on loopback in any case.)"""
    file = server.directory / "zoo.cfg"
    ours = ("sslQuorum=", "portUnification=")
    lines = [line for line in file.read_text().splitlines() if not line.startswith(ours)]
    if phase == "plain":
        lines = [line for line in lines if not line.startswith(("ssl.", "secure"))]
    else:
        lines += [f"sslQuorum={str(phase != 'accepts').lower()}"]
        lines += ["portUnification=true"] if phase != "tls" else []
    file.write_text("\n".join(lines) + "\n")


def phase(server: Server) -> str:
    """As preflight would find it."""
    config = members.zoo_cfg.parse_config((server.directory / "zoo.cfg").read_text())
    found: str = phases.phase_of(config, config.get("ssl.keyStore.location", ""))
    return found


def play(ensemble: Ensemble, stage: dict[str, Any]) -> None:
    """One stage of the role: restart all of it, one after the other."""
    servers = {f"zk{server.number}": server for server in ensemble.servers}
    known = [health.Member(m["name"], "127.0.0.1", servers[m["name"]].port) for m in stage["asked"]]
    pending = {member.name for member in known}
    while True:
        changing = bool(pending) and stage["changing"]
        found = gate.wait(known, pending, changing=changing, timeout=60, settle=60, tls={})
        assert found.problems == [], stage["label"]
        if not pending:
            return
        name = rolling(known, found.states, pending, changing=changing)[0]
        pending.remove(name)
        members.configure(servers[name], stage)
        configure(servers[name], stage["tls"])
        servers[name].stop()
        servers[name].start()


def test_servers_that_do_not_understand_each_other_are_stopped_as_the_refusal_says(tmp_path: Path) -> None:
    """One has the zoo.cfg of a time without TLS, from a backup: it runs, and serves nobody."""
    store = Store(tmp_path, days=30, renew_days=3, now=utc_now())
    store.ensure([Wanted(ca, f"zk{n}", HERE) for ca in ("client", "quorum") for n in range(1, 4)])
    with Ensemble(3, tls=tmp_path) as ensemble:
        old = ensemble.followers()[0]
        others = [server for server in ensemble.servers if server is not old]
        with Writer(",".join(f"127.0.0.1:{server.port}" for server in others)) as writer:
            wanted = (old.directory / "zoo.cfg").read_text()
            old.stop()
            configure(old, "plain")
            old.start()
            group = [
                {"name": f"zk{n}", "id": int(n), "host": "127.0.0.1", "observer": False}
                | {"quorum_port": quorum, "election_port": election}
                for n, line in members.seen(old)["servers"].items()
                for _, quorum, election in [members.zoo_cfg.server_address(line)]
            ]

            def planned(part: str) -> Any:
                seen = {
                    f"zk{s.number}": members.seen(s) | {"speaks": phase(s) if s.running else ""}
                    for s in ensemble.servers
                }
                plan = members.plan(group, seen, sorted(seen))
                return tls_way(plan, seen, sorted(seen), True, part)

            for part in ("open", "close"):
                [said] = planned(part)["problems"]
                assert "The running servers cannot talk to each other" in said
                assert "stop those that serve nobody (systemctl stop zookeeper), and run again" in said
            wait_for("the others serve", lambda: all(it.mode() for it in ensemble.servers if it is not old))
            for server in ensemble.servers:
                if not server.mode(10.0):
                    server.stop()
            assert [server for server in ensemble.servers if not server.running] == [old]
            made = [planned(part) for part in ("open", "close")]
            assert [plan["problems"] for plan in made] == [[], []]
            assert all(stage.get("tls", "tls") == "tls" for plan in made for stage in plan["stages"])
            (old.directory / "zoo.cfg").write_text(wanted)  # as the role does where no server runs
            ensemble.start()
            since, last = time.monotonic(), writer.acknowledged[-1][1]
            wait_for("the client goes on", lambda: writer.acknowledged[-1][0] > since, 30)
        for server in ensemble.servers:
            with server.client() as client:
                assert int(client.get("/written")[0]) >= last


def test_no_server_is_alone_on_the_way_though_one_dies_for_good(tmp_path: Path) -> None:
    store = Store(tmp_path, days=30, renew_days=3, now=utc_now())
    store.ensure([Wanted(ca, f"zk{n}", HERE) for ca in ("client", "quorum") for n in range(1, 5)])
    with Ensemble(4, tls=tmp_path) as ensemble:
        *living, dead = ensemble.servers
        with Writer(",".join(f"127.0.0.1:{server.port}" for server in living)) as writer:
            first = wait_for("one follows", lambda: next((s for s in living if s.mode() == "follower"), None))
            configure(first, "speaks")
            first.stop()
            first.start()
            dead.kill()
            listed = members.seen(living[0])["servers"]
            group = [
                {"name": f"zk{s.number}", "id": s.number, "host": "127.0.0.1", "observer": False}
                | {"quorum_port": ports[0], "election_port": ports[1]}
                for s in living
                for ports in [members.zoo_cfg.server_address(listed[str(s.number)])[1:]]
            ]
            names = [member["name"] for member in group]

            def found(server: Server) -> dict[str, Any]:
                """The dead one at an address of its own, as members are known by it."""
                its = members.seen(server)
                known = {
                    n: re.sub(r"^[^:]*", "localhost" if n == "4" else "127.0.0.1", where)
                    for n, where in its["servers"].items()
                }
                return its | {"servers": known, "speaks": phase(server)}

            steps = []
            for part in ("open", "close"):
                seen = {f"zk{server.number}": found(server) for server in living}
                plan = members.plan(group, seen, names, "localhost")
                made = tls_way(plan, seen, names, False, part)
                assert made["problems"] == []
                for stage in made["stages"]:
                    steps.append((len(stage["members"]), stage["tls"]))
                    play(ensemble, stage)
            assert steps == [(3, "speaks"), (3, "accepts"), (3, "plain")]
            since, last = time.monotonic(), writer.acknowledged[-1][1]
            wait_for("the client goes on", lambda: writer.acknowledged[-1][0] > since, 30)
        with living[0].client() as client:
            assert int(client.get("/written")[0]) >= last
    longest = max(b - a for (a, _), (b, _) in pairwise(writer.acknowledged))
    print(f"{len(writer.acknowledged)} writes, none lost; longest gap {longest:.1f} s")
