"""What is safe without anybody asking: inventory/example, which people copy, and the lab."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.processes
SAFE = {
    "zookeeper_tls": True,
    "zookeeper_packet_filter": True,
    "mwapp_packet_filter": True,
    "mwapp_acl": True,
    "mwapp_task_user": "mwapp-task",
}
PLAIN = {name: "" if name == "mwapp_task_user" else False for name in SAFE}


def variables(inventory: str, host: str, **environment: str) -> dict[str, Any]:
    """Those of a host, as a play sees them."""
    show = "{{ dict(names | zip(names | map('extract', vars))) | to_json }}"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LAB", "ANSIBLE_"))}
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), host, f"--inventory={PROJECT / inventory}"),
            *("--connection=local", "--module-name=debug", f'--args=msg="{show}"'),
            *("--extra-vars", json.dumps({"names": [*SAFE, "zookeeper_tls_dir"]})),
        ],
        cwd=PROJECT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(yaml.safe_load(done.stdout.partition("=>")[2])["msg"])
    return found


@pytest.mark.parametrize(("inventory", "host"), [("inventory/example", "vm1"), ("inventory/lab", "zk1")])
def test_what_people_copy_and_the_lab_are_safe(inventory: str, host: str) -> None:
    found = variables(inventory, host)
    assert {name: found[name] for name in SAFE} == SAFE


def test_each_lab_has_keys_of_its_own() -> None:
    assert variables("inventory/lab", "zk1", LAB="mine")["zookeeper_tls_dir"] == "/run/zklab/mine/tls"


def test_a_lab_can_be_plain_in_all_or_in_one() -> None:
    found = variables("inventory/lab", "zk1", LAB_PLAIN="true")
    assert {name: found[name] for name in PLAIN} == PLAIN
    found = variables("inventory/lab", "zk1", LAB_TLS="false", LAB_TASK_USER="none")
    without = {"zookeeper_tls": False, "mwapp_acl": False, "mwapp_task_user": ""}
    assert {name: found[name] for name in SAFE} == SAFE | without
