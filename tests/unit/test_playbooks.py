"""What must be so of every task of the roles and playbooks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.unit.zookeeper_role import load_file

filters = load_file("filter/zookeeper_filters.py")

PROJECT = Path(__file__).parents[2]
PLAYBOOKS = [*PROJECT.glob("playbooks/*.yml")]
FILES = [*PROJECT.glob("roles/*/tasks/*.yml"), *PLAYBOOKS]


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """All that are anywhere below."""
    if isinstance(value, list):
        for one in value:
            yield from tasks(one)
    elif isinstance(value, dict):
        yield value
        for one in value.values():
            yield from tasks(one)


def test_what_runs_on_the_controller_needs_no_root_whatever_the_inventory_says() -> None:
    """The keyword become is less than the variable ansible_become of an inventory."""
    here = [
        (path.name, task)
        for path in FILES
        for task in tasks(yaml.safe_load(path.read_text()))
        if task.get("delegate_to") == "localhost"
    ]
    assert len(here) == 6
    for name, task in here:
        assert task["vars"]["ansible_become"] is False, (name, task["name"])


def test_a_task_whose_time_is_over_does_not_take_its_host_out_of_all_later_plays() -> None:
    """It has failed, whatever failed_when says: that is asked of what the module returned, and it returned
    nothing."""
    timed = [task for path in FILES for task in tasks(yaml.safe_load(path.read_text())) if "timeout" in task]
    limited = [task for task in timed if "name" in task and ("register" in task or "import" in str(task))]
    assert len(limited) > 5
    for task in limited:
        assert task["ignore_errors"] is True, task["name"]


def test_every_play_is_in_lockstep_whatever_the_environment_says() -> None:
    """Tasks look at what others found on all hosts, and run_once is nothing with another strategy."""
    plays = [play for path in PLAYBOOKS for play in yaml.safe_load(path.read_text()) if "hosts" in play]
    assert len(plays) > 20
    for play in plays:
        assert play["strategy"] == "linear", play["name"]


def test_who_would_be_cut_off_is_looked_up_before_anything_is_touched() -> None:
    """By what preflight found on each port, and only if the packet filter is to be there."""
    role = PROJECT / "roles/zookeeper/tasks"
    look, refuse, *_ = yaml.safe_load((role / "_packet_filter_look.yml").read_text())
    assert [row["port"] for row in look["vars"]["__zookeeper_connected"]] == [
        f"{{{{ __zookeeper_found.deployed_ports.{kind} }}}}" for kind in ("plain", "tls")
    ]
    assert "zookeeper_packet_filter_cut_off" in refuse["when"]
    assert "zklab.zookeeper.zookeeper_cut_off" in refuse["vars"]["__zookeeper_cut_off"]
    (play,) = yaml.safe_load((role / "main.yml").read_text())
    order = [next(iter(task.values())) for task in play["block"]]
    assert order[:2] == ["Preflight", "Packet filter, as it is"]


def test_tls_yml_sets_the_lists_when_nobody_is_left_without_a_certificate() -> None:
    """Until then clients without one write: so the role, which else ends with the lists, leaves them."""
    *_, last = yaml.safe_load((PROJECT / "roles/mwapp/tasks/main.yml").read_text())[0]["block"]
    assert (last["ansible.builtin.import_tasks"], last["when"]) == (
        "acl.yml",
        "not __mwapp_acl_later | default(false)",
    )
    plays = yaml.safe_load((PROJECT / "playbooks/tls.yml").read_text())
    moves = [play.get("vars") for play in plays if play.get("ansible.builtin.import_playbook") == "mwapp.yml"]
    assert moves == [{"__mwapp_acl_later": True}]
    parts = [
        part["tasks_from"] for task in tasks(plays) if (part := task.get("ansible.builtin.include_role"))
    ]
    assert parts == ["tls_open", "tls_close", "acl"]


def test_a_host_that_no_server_lets_in_or_that_would_get_another_ca_is_refused_first() -> None:
    """But the certificates come before: what is missing cannot be compared. In a check the filter is as it
    was, and a CA that is yet to be made is no text."""
    role = PROJECT / "roles/mwapp/tasks"
    steps = [
        step.get("ansible.builtin.import_tasks")
        for step in yaml.safe_load((role / "main.yml").read_text())[0]["block"]
    ]
    *before, reach = steps[: steps.index("_reach.yml") + 1]
    assert set(before) == {"_preflight.yml", "_certificates.yml", "_status_certificates.yml"}, (
        "these touch no host"
    )
    (task,) = yaml.safe_load((role / reach).read_text())
    assert task["zklab.zookeeper.mwapp_reach"] == {
        "connect": "{{ mwapp_connect }}",
        "required": "{{ __mwapp_let_in }}",
        "ca": "{{ __mwapp_tls_texts['client-ca.pem'] if mwapp_tls | bool else '' }}",
    }
    assert task["when"] == "mwapp_tls | bool or __mwapp_let_in"
    assert "not ansible_check_mode" in task["vars"]["__mwapp_let_in"]


def test_what_confirms_a_reset_of_one_system_does_not_fit_another_whose_hosts_have_the_same_names() -> None:
    """As all copies of the example have. Of hosts that are reached by name it is the names."""
    reset = yaml.safe_load((PROJECT / "playbooks/reset.yml").read_text())
    environment = jinja2.Environment()  # noqa: S701 - no HTML
    environment.filters |= {
        f"zklab.zookeeper.{name}": one for name, one in filters.FilterModule().filters().items()
    }
    asked = environment.from_string(reset[0]["vars"]["__reset_servers"])
    names = ["vm2", "vm1"]

    def words(**variables: dict[str, Any]) -> str:
        its = {name: {"zookeeper_id": int(name[2])} | variables.get(name, {}) for name in names}
        return asked.render(groups={"zookeeper": names}, hostvars=its)

    assert words() == "vm1,vm2"
    assert (
        words(vm1={"ansible_host": "192.0.2.11"}, vm2={"ansible_host": "fd00::12"}) == "192.0.2.11,fd00::12"
    )
    assert words(vm1={"ansible_host": "192.0.2.11", "zookeeper_host": "vm1.test"}) == "vm1.test,vm2"
    (confirm,) = (task for task in tasks(reset) if task.get("name") == "Refuse without confirmation")
    assert confirm["ansible.builtin.assert"]["that"].endswith("| trim == __reset_servers")


@pytest.mark.processes
def test_a_task_has_its_headline_when_it_begins_and_nobody_is_told_who_skips_it(tmp_path: Path) -> None:
    """The default output waits for the first host that has something to say."""
    begun = [f"{sys.executable}", "-c", "import sys; sys.exit('Takes long' not in open('said').read())"]
    long = {"name": "Takes long", "ansible.builtin.command": {"argv": begun}, "changed_when": False}
    skipped = {"name": "Skipped", "ansible.builtin.debug": {}, "when": False}
    lines = {"name": "Says two lines", "ansible.builtin.debug": {"msg": "- one\n- two"}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    play["tasks"] = [skipped, long, lines]
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    command = ["ansible-playbook", "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}"]
    with (tmp_path / "said").open("w") as said:
        subprocess.run(
            [*command, "play.yml"],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "PYTHONUNBUFFERED": "1"},
            stdout=said,
            check=True,
        )
    told = (tmp_path / "said").read_text()
    assert "TASK [Skipped]" in told
    assert "skipping" not in told
    assert "        - one\n        - two\n" in told, "as ansible.cfg wants it"
