"""Servers take up renewed certificates while they run, or are said not to, as the role asks them.

(On hosts, of two releases, under clients: molecule/tls.)
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_jars import mentions
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_reload import CLIENT_KEY, CLIENT_PORT

from testbed import releases
from testbed.ensemble import CLASSPATH, Ensemble, Server
from tests.unit.ansible_module import run
from tests.unit.zookeeper_role import load_file

reload = load_file("modules/zookeeper_reload.py")
HERE = ("127.0.0.1", "localhost")
CAN = "3.9.4"


def make(tls: Path) -> None:
    """What is missing of the certificates."""
    store = Store(tls, days=30, renew_days=3, now=utc_now())
    servers = [Wanted(ca, f"zk{n}", HERE) for ca in ("client", "quorum") for n in (1, 2)]
    store.ensure(servers)
    assert store.problems == []


def home(tls: Path, server: Server) -> Path:
    """What this server's host has, as the role names it."""
    there = server.directory / "tls"
    there.mkdir(exist_ok=True)
    for ca in ("client", "quorum"):
        shutil.copy(tls / f"{ca}-ca.pem", there)
        shutil.copy(tls / ca / f"zk{server.number}.pem", there / f"{ca}.pem")
    return there


def election_port(server: Server) -> int:
    """By its own line."""
    lines = (server.directory / "zoo.cfg").read_text().splitlines()
    (own,) = (line for line in lines if line.startswith(f"server.{server.number}="))
    return int(own.split(":")[2])


@pytest.mark.parametrize(("release", "size"), [("packages", 1), (CAN, 2)])
def test_whether_certificates_are_taken_up_is_seen(
    release: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars: Sequence[Path] = CLASSPATH
    if release != "packages":
        try:
            jars = releases.jars(release)
        except releases.ReleaseError as problem:
            pytest.skip(str(problem))
    can = mentions(CLIENT_PORT, CLIENT_KEY, ":".join(map(str, jars)))
    assert can or release == "packages"
    tls, record = tmp_path / "tls", tmp_path / "started-with"
    monkeypatch.setattr(reload, "STARTED_WITH", record)
    make(tls)
    with Ensemble(size, tls=tls, jars=jars) as ensemble:
        for server in ensemble.servers:
            there = home(tls, server)
            record.write_text(f"{'0' * 64}  {there}/client.pem\n{'0' * 64}  /etc/zookeeper/zoo.cfg\n")
            arguments: dict[str, Any] = {"host": "127.0.0.1", "home": str(there), "timeout": 30 if can else 1}
            arguments |= {"client_port": server.secure_port}
            arguments |= {"election_port": election_port(server) if size > 1 else 0}
            # 3.8.0 reads its certificate only when the first client comes.
            assert run(reload, arguments | {"timeout": 30})["reloaded"], (
                "it has the certificates that it was started with"
            )
            record.write_text(f"{'0' * 64}  {there}/client.pem\n{'0' * 64}  /etc/zookeeper/zoo.cfg\n")
            for ca in ("client", "quorum"):
                (tls / ca / f"zk{server.number}.pem").unlink()
            make(tls)
            home(tls, server)
            found = run(reload, arguments)
            assert (found["reloaded"], found["changed"]) == (can, can), found
            first, second = record.read_text().splitlines()
            new = hashlib.sha256((there / "client.pem").read_bytes()).hexdigest()
            assert (first.split()[0] == new) is can
            assert second == f"{'0' * 64}  /etc/zookeeper/zoo.cfg", "it was started with another"
