"""The module zookeeper_preflight: TLS."""

from __future__ import annotations

import ipaddress
import socket
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from testbed.tls_files import Maker, pem
from tests.unit.zookeeper_preflight.host import (
    Host,
    own_address,
    preflight,
)

pytestmark = pytest.mark.processes


TLS: dict[str, Any] = {"ssl.keyStore.location": "/etc/zookeeper/tls/client.pem", "secureClientPort": 2182}


def test_a_server_that_runs_with_tls(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "TLS_HOME", Path("/etc/zookeeper/tls"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.runs()
        host.configured("run/zookeeper/zoo.cfg", **TLS | {"secureClientPort": port})
        answer = host.look(zookeeper_tls=True)
    assert answer["problems"] == []
    assert (answer["speaks"], answer["deployed_ports"]["tls"], answer["unit"]["running"]) == (
        "tls",
        port,
        True,
    )
    assert answer["trusts"] == {"client": [], "quorum": []}


def test_who_takes_up_renewed_certificates(host: Host) -> None:
    """Its release can, it was started so, and it runs."""
    on = {"client.certReload": "true", "sslQuorumReloadCertFiles": "true"}
    jar = host.root / "jars/zookeeper.jar"
    jar.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = {"clientPort": listener.getsockname()[1]}

        def found(keys: dict[str, str], content: bytes = b"..zookeeper.client.certReload..") -> bool:
            with zipfile.ZipFile(jar, "w") as file:
                file.writestr("org/apache/zookeeper/server/NettyServerCnxnFactory.class", content)
            host.configured("run/zookeeper/zoo.cfg", **port, **keys)
            return bool(host.look()["reloads"])

        host.runs()
        assert found(on)
        assert not found(on, b"3.8.0")
        assert not found({})
        host.runs(ActiveState="failed")
        assert not found(on)


def test_which_cas_a_server_trusts(host: Host) -> None:
    certificate = Maker().certificate
    host.runs()
    host.configured(
        "run/zookeeper/zoo.cfg", **TLS | {"ssl.keyStore.location": host.root / "etc/zookeeper/tls/client.pem"}
    )
    host.write("etc/zookeeper/tls/quorum-ca.pem", pem(certificate).decode())
    (found,) = host.look(zookeeper_tls=True)["trusts"]["quorum"]
    assert found == certificate.fingerprint(hashes.SHA256()).hex()


def test_a_server_that_runs_without_tls_or_not_at_all(host: Host) -> None:
    host.configured(**TLS)
    assert host.look()["speaks"] == "", "none runs"
    host.runs()
    host.configured(secureClientPort=2182)
    answer = host.look(zookeeper_tls=True)
    assert (answer["speaks"], answer["trusts"]) == ("plain", {}), "somebody's own TLS"


def test_a_new_host_will_be_asked_on_the_port_for_tls(host: Host) -> None:
    assert host.look(zookeeper_tls_port=2999)["deployed_ports"] == {"plain": 2181, "tls": 2999}


def test_how_far_a_server_has_come_on_the_way_to_tls(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "TLS_HOME", Path("/etc/zookeeper/tls"))
    host.runs()
    for phase, keys in {
        "accepts": {"portUnification": "true", "sslQuorum": "false"},
        "speaks": {"portUnification": "true", "sslQuorum": "true"},
        "tls": {"sslQuorum": "true"},
    }.items():
        host.configured("run/zookeeper/zoo.cfg", **TLS, **keys)
        answer = host.look()
        assert (answer["speaks"], answer["trusts"]) == (phase, {"client": [], "quorum": []})


def test_who_is_connected_from_elsewhere(host: Host) -> None:
    """As /proc tells it on this machine, whose words have their bytes the other way round, or not."""

    def text(address: str, port: int) -> str:
        data = ipaddress.ip_address(address).packed
        words = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4))
        return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"

    def table(*rows: tuple[str, int, str, str]) -> str:
        lines = [
            f"{n}: {text(here, port)} {text(there, 40000)} {state} 00000000:00000000 00:00000000 0 0 0 1 1"
            for n, (here, port, there, state) in enumerate(rows)
        ]
        return "\n".join(["  sl  local_address rem_address st", *lines, ""])

    established, listening = "01", "0A"
    host.write(
        "proc/net/tcp",
        table(
            ("10.0.0.1", 2181, "10.0.0.5", listening),
            ("10.0.0.1", 2181, "10.0.0.9", established),
            ("10.0.0.1", 2181, "10.0.0.1", established),
            ("127.0.0.1", 2181, "127.0.0.2", established),
            ("10.0.0.1", 22, "10.0.0.7", established),
            ("10.0.0.1", 2181, "10.0.0.6", "06"),
        ),
    )
    mapped = ("::ffff:10.0.0.1", 2181, "::ffff:10.0.0.8", established)
    host.write("proc/net/tcp6", table(mapped, ("fd00::1", 2181, "fd00::9", established)))
    assert preflight.clients(2181) == ["10.0.0.8", "10.0.0.9", "fd00::9"]
    assert host.look()["clients"] == {}, "no server runs"


def test_a_servers_clients_are_told_by_its_ports(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.runs()
        host.configured("run/zookeeper/zoo.cfg", clientPort=port)
        assert host.look()["clients"] == {"plain": [], "tls": []}


def test_a_hosts_addresses_are_those_that_others_see(host: Host) -> None:
    me = own_address()
    one = {"name": "zk1", "host": me, "quorum_port": 2888}
    others = [
        {"name": "zk2", "host": "127.0.0.1", "quorum_port": 2888},
        {"name": "zk3", "host": "a..b", "quorum_port": 1},
    ]
    assert preflight.sources(one, [one, *others]) == ["127.0.0.1"]
    assert host.look()["addresses"] == [me]
    assert host.look(size=1)["addresses"] == [me]


def test_settings_of_tls_are_judged(host: Host) -> None:
    def problems(**settings: Any) -> list[str]:
        return list(host.look(zookeeper_tls=True, **settings)["problems"])

    assert problems() == []
    assert (
        "zookeeper_client_port and zookeeper_tls_port are both 2181" in problems(zookeeper_tls_port=2181)[0]
    )
    assert "zookeeper_config sets sslQuorum: remove it" in problems(zookeeper_config={"sslQuorum": False})[0]
    assert (
        "zookeeper_tls_renew_days is 9, but" in problems(zookeeper_tls_days=9, zookeeper_tls_renew_days=9)[0]
    )
    assert host.look(zookeeper_tls=False, zookeeper_config={"sslQuorum": True})["problems"] == []
    assert "zookeeper_tls_clients names mwapp-x: " in problems(zookeeper_tls_clients=["a", "mwapp-x"])[0]
    assert "reserved for root of the servers" in problems(zookeeper_tls_clients=["zookeeper-superuser"])[0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.processes()
        assert f"zookeeper_tls_port {port} is taken on zk1" in problems(zookeeper_tls_port=port)[0]
        assert host.look(zookeeper_tls=False, zookeeper_tls_port=port)["problems"] == []
        host.configured(**TLS)
        assert f"zookeeper_tls_port {port} is taken on zk1" in problems(zookeeper_tls_port=port)[0]
