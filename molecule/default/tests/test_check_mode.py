"""Check mode on converged hosts tells the truth: there is nothing to change."""

import os
import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[3]


def test_check_mode_finds_nothing_to_change() -> None:
    command = ["ansible-playbook", "--check", "--diff", "--inventory", "inventory/lab", "playbooks/site.yml"]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"changed=(\d+)", done.stdout)) == {"0"}, done.stdout
