"""playbooks/tls_clients.yml: it makes a client's certificate, and says what else the client needs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from testbed.playbook import Played, play
from testbed.tls_files import Maker, pem, pem_key, write

pytestmark = pytest.mark.processes


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """As site.yml leaves them: with the CAs."""
    for name in ("client-ca", "quorum-ca"):
        ca = Maker(name)
        write(tmp_path / f"{name}.pem", pem(ca.certificate))
        write(tmp_path / f"{name}.key", pem_key(ca.key))
    return tmp_path


def alice(keys: Path, *options: str) -> Played:
    played = play(
        *("tls_clients", "--inventory=inventory/example", "--extra-vars=client=alice"),
        f"--extra-vars=zookeeper_tls_dir={keys}",
        *options,
    )
    assert played.status == 0, played.output
    assert stat.S_IMODE((keys / "client/alice.pem").stat().st_mode) == 0o600
    return played


def test_it_says_what_to_copy_and_what_else_keeps_the_client_out(keys: Path) -> None:
    said = alice(keys).text
    assert f"{keys}/client/alice.pem is valid until" in said
    assert "--connect 192.0.2.11:2182,192.0.2.12:2182,192.0.2.13:2182" in said
    assert "until its name is in zookeeper_tls_clients (or in mwapp_acl_clients" in said
    assert "until its host is in zookeeper_client_networks" in said


def test_of_what_is_off_it_says_nothing(keys: Path) -> None:
    said = alice(keys, "--extra-vars={mwapp_acl: false, zookeeper_packet_filter: false}").text
    assert f"{keys}/client/alice.pem is valid until" in said
    assert "mwapp_acl" not in said
    assert "zookeeper_packet_filter" not in said
