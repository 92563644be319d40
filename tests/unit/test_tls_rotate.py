"""playbooks/tls_rotate.yml: when a run ends, so that clients can be given new files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.playbook import NEWEST, environment, play_in
from testbed.tls_files import Maker, pem, write
from tests.unit.zookeeper_role import PROJECT, load

fingerprints = load("tls_fingerprints").fingerprints

OLD, NEW = (pem(Maker(name).certificate).decode() for name in ("old", "new"))


def found(trusts: str, *stale: str) -> dict[str, Any]:
    return {"trusts": {"client": fingerprints(trusts)} if trusts else {}, "stale": list(stale)}


def pauses(directory: Path, *given: str, made: bool = True) -> bool:
    """Whether a run ends after a step, by the playbook's own tasks."""
    plays = yaml.safe_load((PROJECT / "playbooks/tls_rotate.yml").read_text())
    first, second = (play for play in plays if play["name"].startswith("Clients need"))
    assert first["tasks"] == second["tasks"]
    write(directory / "tls/client-ca.pem", (OLD + NEW).encode())
    its = {
        "zookeeper_tls_dir": str(directory / "tls"),
        "__zookeeper_found": found(OLD if made else OLD + NEW),
        "__zookeeper_certificates": {"files": []},
    }
    write(directory / "hosts.yml", yaml.safe_dump({"zookeeper": {"hosts": {"zk1": its}}}).encode())
    end = {"name": "Goes on", "ansible.builtin.debug": {}, "when": "not __rotate_paused | default(false)"}
    played = [first, {**second, "tasks": [*second["tasks"], end]}]
    write(directory / "play.yml", json.dumps(played).encode())
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible-playbook"), "--inventory=hosts.yml", "play.yml"),
            *(f"--extra-vars={one}" for one in given),
        ],
        cwd=directory,
        env=os.environ
        | {
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ended = "Hello world!" not in done.stdout
    assert ("Before the next step clients" in " ".join(done.stdout.split())) is ended
    assert done.stdout.count("run the same command again") <= 1, "once is enough"
    return ended


@pytest.mark.processes
def test_clients_of_ones_own_are_waited_for_unless_somebody_says_no(tmp_path: Path) -> None:
    alice = '{"zookeeper_tls_clients": ["alice"]}'
    assert pauses(tmp_path, alice)
    assert not pauses(tmp_path, alice, made=False), "it would never end"
    assert not pauses(tmp_path, alice, "rotate_pause=false")
    assert not pauses(tmp_path, alice, '{"rotate_pause": false}')
    assert not pauses(tmp_path, alice, "rotate=quorum"), "that is no client's"
    assert not pauses(tmp_path)
    assert pauses(tmp_path, "rotate_pause=true", "rotate=client")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "guards"),
    [("tls_rotate", ["Every host trusts", "Every host has"]), ("tls", ["The application, all"])],
)
def test_a_host_of_the_application_that_failed_is_not_cut_off(
    name: str, guards: list[str], tmp_path: Path
) -> None:
    """It is in no later play, and the others go on: ansible-core counts who fails in each play alone."""
    plays = yaml.safe_load((PROJECT / f"playbooks/{name}.yml").read_text())
    names = [play["name"] for play in plays]
    for at in [names.index(next(one for one in names if one.startswith(guard))) for guard in guards]:
        assert plays[at - 1]["ansible.builtin.import_playbook"] == "mwapp.yml"
        hosts: dict[str, Any] = {
            "mwapp_masters": {"hosts": {"mw1": {}}},
            "mwapp_workers": {"hosts": {"w1": {}}},
        }
        every = {"zookeeper": {"hosts": {"zk1": {}}}, **hosts}
        write(tmp_path / "hosts.yml", yaml.safe_dump(every).encode())
        fails = {"name": "Fails", "ansible.builtin.fail": {}, "when": "inventory_hostname == lost"}
        before = {"name": "Before", "hosts": "all", "gather_facts": False, "tasks": [fails]}
        goes_on = {"name": "Goes on", "ansible.builtin.debug": {}}
        after = {"name": "After", "hosts": "zookeeper", "gather_facts": False, "tasks": [goes_on]}
        write(tmp_path / "play.yml", json.dumps([before, plays[at], after]).encode())
        for lost in ("w1", "none"):
            env = environment(ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"))
            options = ("--inventory=hosts.yml", f"--extra-vars=lost={lost}")
            played = play_in(tmp_path, "play.yml", *options, tools=NEWEST, env=env)
            assert ("Hello world!" in played.output) is (lost == "none"), played.output
            assert ("ends here" in played.text and "w1 failed" in played.text) is (lost == "w1")


def test_nothing_goes_on_after_the_end() -> None:
    plays = yaml.safe_load((PROJECT / "playbooks/tls_rotate.yml").read_text())
    names = [play["name"] for play in plays]
    first = names.index("Clients need the new CA")
    assert first == names.index("Every host trusts the new CA") + 1, "the application, too, by then"
    for play in plays[first + 1 :]:
        if play["name"].startswith("Every host"):
            continue  # it changes nothing
        if "roles" in play:
            assert play["roles"][0]["when"] == "not __rotate_paused | default(false)"
        elif "ansible.builtin.import_playbook" in play:
            assert play["when"] == "not hostvars[groups.zookeeper | first].__rotate_paused | default(false)"
        else:
            assert play["tasks"][0]["when"][0] == "not __rotate_paused | default(false)"
