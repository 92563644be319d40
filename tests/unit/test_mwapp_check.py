"""playbooks/mwapp_check.yml: what speaks against the application is told before any host is touched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.playbook import Played, play
from testbed.tls_files import DAY, Maker, pem, write
from tests.unit.zookeeper_role import PROJECT

INVENTORY = """
all:
  vars: {zookeeper_tls: true, mwapp_task_user: mwapp-task}
  children:
    zookeeper: {hosts: {zk1: {}}}
    mwapp_masters: {hosts: {mw1: {}, mw2: {}}}
    mwapp_workers: {hosts: {mw1: {}}}
  hosts:
    mw1: {ansible_connection: local}
    mw2: {ansible_host: 127.0.0.1, ansible_port: 1}
"""


@pytest.mark.parametrize("name", ["site", "tls", "tls_rotate"])
def test_no_playbook_changes_servers_and_refuses_the_application_then(name: str) -> None:
    plays: list[dict[str, Any]] = yaml.safe_load((PROJECT / f"playbooks/{name}.yml").read_text())
    at = [play.get("ansible.builtin.import_playbook") for play in plays].index("mwapp_check.yml")
    assert all(play["name"] == "What to change" for play in plays[:at]), "it looks at the inventory alone"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Certificates that were brought: no CA has its key here."""
    ca = Maker("client-ca")
    write(tmp_path / "tls/client-ca.pem", pem(ca.certificate))
    for name in ("cli-mw1", "cli-mw2", "master-mw1", "master-mw2"):
        write(tmp_path / f"tls/client/mwapp-{name}.pem", ca.pair(f"mwapp-{name}"))
    write(tmp_path / "tls/client/mwapp-worker-mw1.pem", ca.pair("mwapp-worker-mw1", ends=-DAY))
    return tmp_path / "tls"


def check(tmp_path: Path, keys: Path, *more: str) -> Played:
    write(tmp_path / "hosts.yml", INVENTORY.encode())
    return play(
        *("mwapp_check", f"--inventory={tmp_path / 'hosts.yml'}", f"--extra-vars=zookeeper_tls_dir={keys}"),
        f"--extra-vars=ansible_become=false ansible_python_interpreter={sys.executable}",
        *(f"--extra-vars={one}" for one in more),
    )


@pytest.mark.processes
def test_an_expired_certificate_and_lists_without_tls_are_refused(tmp_path: Path, keys: Path) -> None:
    played = check(tmp_path, keys)
    assert played.status != 0, played.text
    assert "client/mwapp-worker-mw1.pem: it expired on" in played.text
    played = check(tmp_path, keys, "{zookeeper_tls: false, mwapp_acl: true}")
    assert played.status != 0
    assert "mwapp_acl is true, but the application connects without TLS" in played.text


@pytest.mark.processes
def test_nothing_is_missed_that_is_made_later_nor_a_host_that_is_away(tmp_path: Path) -> None:
    """A host is told of by the play that needs it: here a dead worker kept servers from being repaired."""
    played = check(tmp_path, tmp_path / "new", "mwapp_status_tls=true")
    assert (played.status, played.changed) == (0, 0), played.text
    assert not (tmp_path / "new").exists()
