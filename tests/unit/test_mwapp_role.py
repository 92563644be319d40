"""The role mwapp: its scenarios, and what its preflight refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


# ------------------------------------------------------------ scenarios


def test_every_scenario_has_tests() -> None:
    """Molecule calls it a success when the verifier finds none."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=PROJECT / "molecule", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    scenarios = {found.parent.name for found in PROJECT.glob("molecule/*/molecule.yml")}
    assert set(re.findall(r"^molecule/([^/]+)/tests/", done.stdout, re.MULTILINE)) == scenarios


# ------------------------------------------------------------ preflight


def test_nodes_that_are_something_else_too_or_alone_are_refused(tmp_path: Path) -> None:
    inventory, playbook = tmp_path / "hosts.yml", tmp_path / "play.yml"
    inventory.write_text("""
zookeeper: {hosts: {zk1: }}
mwapp_nodes: {hosts: {mw1: {mwapp_labels: ["a b"], mwapp_keep: 5}}}
mwapp_workers: {hosts: {mw1: }}
""")
    playbook.write_text("""
- hosts: mwapp_nodes
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: zklab.zookeeper.mwapp, tasks_from: preflight}
""")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, playbook],
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    for problem in (
        "this host is in mwapp_nodes and in mwapp_workers, but a node is master and worker already",
        "group mwapp_nodes has only one host, mw1: the node that is the master runs no tasks",
        'mwapp_labels is ["a b"]: a label is',
        "mwapp_keep (5) 1000 to 20000 tasks",
    ):
        assert problem in done.stdout + done.stderr
