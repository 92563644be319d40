"""playbooks/mwapp_check.yml: what speaks against the application is told before any host is touched."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.playbook import NEWEST, TOOLS, Played, environment, play, play_in
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
    played = check(tmp_path, tmp_path / "new", f"mwapp_tls_dir={tmp_path}/nowhere")
    assert played.status != 0, "nobody makes a CA there"
    assert "nowhere/client-ca.pem is missing: the ensemble's is needed. Set mwapp_tls_dir" in played.text


NEXT = """
- name: The servers
  hosts: all
  gather_facts: false
  tasks:
    - name: Change them
      ansible.builtin.debug:
        msg: "Changing the servers with {{ ansible_play_hosts | sort | join(' and ') }}."
      run_once: true
"""


def play_then_servers(
    tmp_path: Path, book: str, hosts: dict[str, Any], seconds: int = 20, tools: Path = NEWEST, **more: str
) -> Played:
    """Play the playbook, giving up frozen hosts after so many seconds, and then a play for all hosts."""
    collection = tmp_path / "collections/ansible_collections/zklab/zookeeper"
    shutil.copytree(PROJECT / "roles", collection / "roles", dirs_exist_ok=True)
    for name in ("meta", "plugins", "pyproject.toml", "requirements.txt", "constraints.txt", "mwapp"):
        if not (collection / name).exists():
            (collection / name).symlink_to(PROJECT / name)
    for path in (collection / "roles/mwapp/tasks").glob("*.yml"):
        path.write_text(path.read_text().replace("timeout: 20", f"timeout: {seconds}"))
    plays = (PROJECT / f"playbooks/{book}.yml").read_text()
    write(tmp_path / "play.yml", (plays + NEXT).encode())
    write(tmp_path / "frozen", b"#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "frozen").chmod(0o755)
    write(tmp_path / "hosts.yml", yaml.safe_dump(hosts).encode())
    env = environment(
        ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"),
        ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "collections"),
        **more,
    )
    return play_in(tmp_path, "play.yml", "--inventory=hosts.yml", tools=tools, env=env)


def local(**its: Any) -> dict[str, Any]:
    here = {"ansible_connection": "local", "ansible_become": False, "mwapp_task_user": "mwapp-task"}
    here["mwapp_connect"] = "zk1"
    return {**here, "ansible_python_interpreter": sys.executable, **its}


@pytest.mark.processes
@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_what_is_wrong_with_one_host_ends_the_run(tmp_path: Path, strategy: str) -> None:
    """Also the wrong type of a variable, which is refused before the first task of the role."""
    for wrong in ({"mwapp_tls": "perhaps"}, {"mwapp_master_port": 70_000}):
        hosts: dict[str, Any] = {"zookeeper": {"hosts": {"zk1": {}}}}
        hosts["mwapp_masters"] = {"hosts": {"mw1": local(), "mw2": local(**wrong)}}
        played = play_then_servers(tmp_path, "mwapp_check", hosts, ANSIBLE_STRATEGY=strategy)
        assert played.status != 0, played.text
        assert next(iter(wrong)) in played.text
        assert "Changing the servers" not in played.text, played.output


@pytest.mark.processes
@pytest.mark.parametrize("version", TOOLS)
def test_a_frozen_host_is_left_out_of_the_check_and_of_nothing_else(tmp_path: Path, version: str) -> None:
    """One that had failed would be in no later play: tls_rotate.yml cut it off."""
    if not TOOLS[version].exists():
        pytest.skip("run make setup-oldest")
    frozen = local(ansible_python_interpreter=str(tmp_path / "frozen"))
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {"mwapp_masters": {"hosts": {"mw1": local(), "mw2": frozen, "mw3": away}}, "zookeeper": {}}
    played = play_then_servers(tmp_path, "mwapp_check", hosts, seconds=4, tools=TOOLS[version])
    assert "Changing the servers with mw1 and mw2 and mw3." in played.text, played.output
    assert played.status == 0


@pytest.mark.processes
def test_status_tells_of_a_frozen_host_and_waits_for_none_twice(tmp_path: Path) -> None:
    frozen = local(ansible_python_interpreter=str(tmp_path / "frozen"))
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1, "mwapp_status_tls": True, "zookeeper_tls": True}
    given = {"status_file": str(tmp_path / "status.json"), "mwapp_packet_filter": True}
    hosts = {
        "all": {"vars": given},
        "zookeeper": {},
        "mwapp_masters": {"hosts": {"mw1": frozen}},
        "mwapp_workers": {"hosts": {"mw2": away}},
    }
    played = play_then_servers(tmp_path, "status", hosts, seconds=4)
    status = json.loads((tmp_path / "status.json").read_text())
    assert (played.status, status["ok"]) == (2, False)
    assert [(row["host"], row["ready"]) for row in status["application"]["services"]] == [
        ("mw1", False),
        ("mw2", False),
    ]
    assert "no answer over SSH within 4 s" in status["application"]["services"][0]["error"]
    asked = played.output.split("TASK [")
    assert not [task for task in asked if "Ask them as they run" in task and "mw2" in task], played.output
    assert played.output.count("UNREACHABLE") == 1
    assert played.output.count("imed out") <= 2, "once, and in the report"
