"""What is safe without anybody asking: inventory/example, which people copy, and the lab."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.playbook import PROJECT, environment

pytestmark = pytest.mark.processes
SAFE = {
    "zookeeper_tls": True,
    "zookeeper_packet_filter": True,
    "mwapp_packet_filter": True,
    "mwapp_acl": True,
    "mwapp_task_user": "mwapp-task",
}
PLAIN = {name: "" if name == "mwapp_task_user" else False for name in SAFE}


def ask(inventory: str | Path, host: str, expression: str, *options: str, **said: str) -> str:
    """What it is for a host, as a play sees it; ``said``: environment variables."""
    ours = environment(ANSIBLE_COLLECTIONS_PATH=str(PROJECT / "playbooks/collections"))
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), host, f"--inventory={inventory}", *options),
            *("--connection=local", "--module-name=debug", f'--args=msg="{expression}"'),
        ],
        cwd=PROJECT,
        env={key: value for key, value in ours.items() if not key.startswith("LAB")} | said,
        capture_output=True,
        text=True,
        check=True,
    )
    return str(yaml.safe_load(done.stdout.partition("=>")[2])["msg"])


def variables(inventory: str, host: str, **said: str) -> dict[str, Any]:
    """Those that decide what is safe, and where keys are."""
    show = "{{ dict(names | zip(names | map('extract', vars))) | to_json }}"
    names = json.dumps({"names": [*SAFE, "zookeeper_tls_dir"]})
    found: dict[str, Any] = json.loads(ask(inventory, host, show, "--extra-vars", names, **said))
    return found


@pytest.mark.parametrize(("inventory", "host"), [("inventory/example", "vm1"), ("inventory/lab", "zk1")])
def test_what_people_copy_and_the_lab_are_safe(inventory: str, host: str) -> None:
    found = variables(inventory, host)
    assert {name: found[name] for name in SAFE} == SAFE


@pytest.mark.parametrize(
    ("inventory", "host", "adopts"), [("inventory/example", "vm1", "False"), ("inventory/lab", "zk1", "True")]
)
def test_only_in_the_lab_people_play_workers(inventory: str, host: str, adopts: str) -> None:
    assert ask(inventory, host, "{{ mwapp_adopt | default(false) }}") == adopts


def test_each_lab_has_keys_of_its_own() -> None:
    assert variables("inventory/lab", "zk1", LAB="mine")["zookeeper_tls_dir"] == "/run/zklab/mine/tls"


def test_a_lab_can_be_plain_in_all_or_in_one() -> None:
    found = variables("inventory/lab", "zk1", LAB_PLAIN="true")
    assert {name: found[name] for name in PLAIN} == PLAIN
    found = variables("inventory/lab", "zk1", LAB_TLS="false", LAB_TASK_USER="none")
    without = {"zookeeper_tls": False, "mwapp_acl": False, "mwapp_task_user": ""}
    assert {name: found[name] for name in SAFE} == SAFE | without


def test_a_lab_has_the_stores_where_their_data_have_an_owner() -> None:
    names = ("mwapp_handlers", "mwapp_data_directory", "mwapp_writable_paths", "mwapp_environment")
    show = "{{ [" + ", ".join(names) + "] | to_json }}"
    known = ["examples/handlers", "examples/stores"]
    own = {"STORES_DIR": "/var/lib/mwapp", "STORES_REGIONS_DIR": "/srv/shared/regions", "STORES_HOST": "mw1"}
    more = ("--extra-vars", json.dumps({"mwapp_host": "mw1", "mwapp_connect": "zk1:2182"}))
    connect = {"MWAPP_CONNECT": "zk1:2182"}
    tls = {"MWAPP_TLS_CA": "/etc/mwapp/tls/ca.pem", "MWAPP_TLS_CERT": "/etc/mwapp-stores.pem"}

    def found(**said: str) -> object:
        return json.loads(ask("inventory/lab", "mw1", show, *more, **said))

    assert found() == [known, True, ["/srv/shared"], own | connect | tls]
    assert found(LAB_TLS="false") == [known, True, ["/srv/shared"], own | connect]
    for said in ({"LAB_PLAIN": "true"}, {"LAB_STORES": "false"}):
        assert found(**said) == [known[:1], False, [], {}]


def test_other_roles_connect_as_the_readme_has_it() -> None:
    readme = (PROJECT / "roles/zookeeper/README.md").read_text()
    snippet = readme.partition("## For other roles")[2].partition("```yaml")[2].partition("```")[0]
    expression = yaml.safe_load(snippet)["connect"]
    assert ask("inventory/example", "vm1", expression) == "192.0.2.11:2182,192.0.2.12:2182,192.0.2.13:2182"


def test_copies_of_one_name_share_no_keys(tmp_path: Path) -> None:
    show, places = "{{ zookeeper_tls_dir }}", set()
    for parent in ("one", "other"):
        shutil.copytree(PROJECT / "inventory/example", tmp_path / parent / "mine")
        places.add(ask(tmp_path / parent / "mine", "vm1", show))
    assert len(places) == 2
    assert all(re.fullmatch(r"~/\.config/zklab/mine-[0-9a-f]{8}", place) for place in places)
    named = ask("inventory/example", "vm1", show, "--extra-vars=system_name=prod")
    assert named == "~/.config/zklab/prod"
