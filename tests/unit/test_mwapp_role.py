"""The role mwapp: its scenarios, and what its preflight refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

PROJECT = Path(__file__).parents[2]


# ------------------------------------------------------------ scenarios


def test_every_scenario_has_tests() -> None:
    """Molecule calls it a success when the verifier finds none."""
    for scenario in PROJECT.glob("molecule/*/molecule.yml"):
        tests = "".join(file.read_text() for file in (scenario.parent / "tests").glob("test_*.py"))
        assert re.search(r"^def test_", tests, re.MULTILINE), scenario


# ------------------------------------------------------------ preflight


def refusal(directory: Path, inventory: str, role: str = "zklab.zookeeper.mwapp") -> str:
    """What the role says to the hosts of an inventory, all of which it must refuse: on one line."""
    hosts, playbook = directory / "hosts.yml", directory / "play.yml"
    hosts.write_text(inventory)
    playbook.write_text(f"[{{hosts: all, gather_facts: false, roles: [{role}]}}]")
    where = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
    }
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", hosts, playbook],
        env=os.environ | where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    return " ".join((done.stdout + done.stderr).split())


def test_settings_that_cannot_work_are_all_told_at_once(tmp_path: Path) -> None:
    said = refusal(
        tmp_path,
        """
mwapp_nodes: {hosts: {mw1: {mwapp_labels: ["a b"], mwapp_keep: 5, mwapp_handlers: [/no/such.whl]}}}
mwapp_workers: {hosts: {mw1: }}
""",
    )
    for problem in (
        "mw1: - this host is in mwapp_nodes and in mwapp_workers, but a node is master and worker already",
        "- group mwapp_nodes has only one host, mw1: the node that is the master runs no tasks",
        '- mwapp_connect is "": put the servers in group zookeeper',
        '- mwapp_labels has "a b": a label is',
        "- mwapp_keep is 5: use 1000 to 20000 tasks",
        "there is no /no/such.whl",
    ):
        assert problem in said


def test_a_copy_of_the_role_says_which_setting_it_lacks(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "roles/mwapp", tmp_path / "roles/mwapp")
    said = refusal(
        tmp_path,
        """
zookeeper: {hosts: {mw1: }}
mwapp_masters: {hosts: {mw1: }}
""",
        role="mwapp",
    )
    lacks = "pyproject.toml, requirements.txt, constraints.txt, mwapp"
    assert (
        f"mw1: - mwapp_checkout is {tmp_path}, and there is no {lacks}: set it to a checkout of zklab" in said
    )


# ------------------------------------------------------------ TLS


def test_each_service_of_a_host_gets_the_file_of_its_name(tmp_path: Path) -> None:
    """As Ansible reads the role's variables: what the host calls the files, and what is in them."""
    names = ("mwapp-master-one", "mwapp-worker-one", "mwapp-cli-one")
    for name in names:
        (tmp_path / "client").mkdir(exist_ok=True)
        (tmp_path / f"client/{name}.pem").write_text(f"the key of {name}\n")
    (tmp_path / "client-ca.pem").write_text("the CA\n")
    hosts, playbook = tmp_path / "hosts.yml", tmp_path / "play.yml"
    hosts.write_text(
        f"""
zookeeper: {{hosts: {{zk1: {{zookeeper_tls: true, zookeeper_tls_dir: {tmp_path}}}}}}}
mwapp_masters: {{hosts: {{mw1: {{mwapp_name: one}}}}}}
mwapp_workers: {{hosts: {{mw1: }}}}
"""
    )
    wanted = "mwapp_connect, __mwapp_settings.tls_cert, __mwapp_tls_secrets, __mwapp_tls_files.0.content"
    told = f"{{{{ [{wanted}] | to_json }}}}"
    role = {"name": "zklab.zookeeper.mwapp", "tasks_from": "status", "rolespec_validate": False}
    tasks = [
        {"ansible.builtin.import_role": role, "when": False},  # for its variables
        {"ansible.builtin.debug": {"msg": told}},
    ]
    playbook.write_text(json.dumps([{"hosts": "mw1", "gather_facts": False, "tasks": tasks}]))
    where = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(hosts), str(playbook)]
    done = subprocess.run(command, env=os.environ | where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (message,) = re.findall(r'"msg": (".*")$', done.stdout, re.MULTILINE)
    connect, cert, secrets, ca = json.loads(json.loads(message))
    assert (connect, cert, ca) == ("zk1:2182", "/etc/mwapp/tls/cli.pem", "the CA\n")
    assert secrets == {
        f"/etc/mwapp/tls/{role}.pem": f"the key of mwapp-{role}-one\n" for role in ("master", "worker", "cli")
    }
