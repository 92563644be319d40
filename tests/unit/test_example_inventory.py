"""inventory/example, which people copy, and what others take from such an inventory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from testbed.playbook import PROJECT, environment

pytestmark = pytest.mark.processes


def ask(expression: str, *options: str, inventory: str | Path = "inventory/example") -> str:
    """What it is for a server, as a play sees it."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), "vm1", f"--inventory={inventory}", *options),
            *("--connection=local", "--module-name=debug", f'--args=msg="{expression}"'),
        ],
        cwd=PROJECT,
        env=environment(ANSIBLE_COLLECTIONS_PATH=str(PROJECT / "playbooks/collections")),
        capture_output=True,
        text=True,
        check=True,
    )
    return str(yaml.safe_load(done.stdout.partition("=>")[2])["msg"])


def test_other_roles_connect_as_the_readme_has_it() -> None:
    readme = (PROJECT / "roles/zookeeper/README.md").read_text()
    snippet = readme.partition("## For other roles")[2].partition("```yaml")[2].partition("```")[0]
    expression = yaml.safe_load(snippet)["connect"]
    assert ask(expression) == "192.0.2.11:2182,192.0.2.12:2182,192.0.2.13:2182"


def test_copies_of_one_name_share_no_keys(tmp_path: Path) -> None:
    places = set()
    for parent in ("one", "other"):
        shutil.copytree(PROJECT / "inventory/example", tmp_path / parent / "mine")
        places.add(ask("{{ zookeeper_tls_dir }}", inventory=tmp_path / parent / "mine"))
    assert len(places) == 2
    assert all(re.fullmatch(r"~/\.config/zklab/mine-[0-9a-f]{8}", place) for place in places)
    assert ask("{{ zookeeper_tls_dir }}", "--extra-vars=system_name=prod") == "~/.config/zklab/prod"
