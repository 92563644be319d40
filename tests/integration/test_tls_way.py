"""Servers go from TLS to plaintext, in the rolls of the role, under a client that writes.

The way to TLS has the same neighbours. (Both, on hosts and of two releases: molecule/tls.)
"""

import time
from itertools import pairwise
from pathlib import Path

from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now

from testbed.ensemble import Ensemble, Server
from tests.integration.test_ports_change import Writer, gate, health, rolling
from tests.unit.zookeeper_role import load

phases = load("zookeeper_tls_phases")
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


def roll(ensemble: Ensemble, phase: str) -> None:
    """Restart all, one after the other, each only while all are well."""
    known = [health.Member(f"zk{server.number}", "127.0.0.1", server.port) for server in ensemble.servers]
    pending = {member.name for member in known}
    while True:
        found = gate.wait(known, pending, changing=False, timeout=60, settle=60, tls={})
        assert found.problems == [], phase
        if not pending:
            return
        name = rolling(known, found.states, pending)[0]
        pending.remove(name)
        server = next(server for server in ensemble.servers if name == f"zk{server.number}")
        configure(server, phase)
        server.stop()
        server.start()


def test_no_server_is_alone_on_the_way(tmp_path: Path) -> None:
    store = Store(tmp_path, days=30, renew_days=3, now=utc_now())
    store.ensure([Wanted(ca, f"zk{n}", HERE) for ca in ("client", "quorum") for n in (1, 2, 3)])
    with Ensemble(tls=tmp_path) as ensemble:
        with Writer(",".join(f"127.0.0.1:{server.port}" for server in ensemble.servers)) as writer:
            for phase in phases.way(["tls"] * 3, "plain"):
                roll(ensemble, phase)
            time.sleep(0.5)
            last = writer.acknowledged[-1][1]
        with ensemble.servers[0].client() as client:
            client.sync("/written")
            assert int(client.get("/written")[0]) >= last
    longest = max(b - a for (a, _), (b, _) in pairwise(writer.acknowledged))
    print(f"{len(writer.acknowledged)} writes, none lost; longest gap {longest:.1f} s")
