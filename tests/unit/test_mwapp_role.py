"""The role mwapp: its scenarios, and what its preflight refuses."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.playbook import TOOLS
from tests.unit.zookeeper_role import load_file

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


@pytest.mark.parametrize(
    ("user", "looks", "stops"),
    [("1000 me", False, True), ("1000 me", True, False), ("0 root", False, False), ("0 toor", False, False)],
)
def test_who_is_not_root_is_told_what_is_missing(user: str, looks: bool, stops: bool, tmp_path: Path) -> None:
    """Whoever only looks, for another play, need not be root."""
    (tmp_path / "bin").mkdir()
    number, name = user.split()
    (tmp_path / "bin/id").write_text(f"#!/bin/sh\ncase $1 in -u) echo {number} ;; *) echo {name} ;; esac\n")
    (tmp_path / "bin/id").chmod(0o755)
    first = tasks_of("_preflight.yml", "Read the clock, and who reads it", "Ensure the role works as root")
    tells = {"ansible.builtin.debug": {"msg": "{{ ['localhost'] | zklab.zookeeper.mwapp_clocks(hostvars) }}"}}
    within = f'PATH={tmp_path}/bin:$PATH "$@"'
    code, said = play_here(tmp_path, [*first, tells], {"__mwapp_looks": looks}, within=within)
    text = "localhost: the role works as user me, not as root: set become: true for its play."
    assert (code != 0, text in " ".join(said.split())) == (stops, stops), said
    assert stops or re.search(r"localhost: 1\d{9}\.0", said), "the time can still be read"


# ------------------------------------------------------------ TLS


def test_each_service_of_a_host_gets_the_file_of_its_name(tmp_path: Path) -> None:
    """As Ansible reads the role's variables: what the host calls the files, and what is in them."""
    names = ("mwapp-master-one", "mwapp-worker-one", "mwapp-cli-one")
    for name in names:
        (tmp_path / "client").mkdir(exist_ok=True)
        (tmp_path / f"client/{name}.pem").write_text(f"the key of {name}\n")
    (tmp_path / "client-ca.pem").write_text("the CA\n")
    (tmp_path / "status").mkdir()
    for name in names[:2]:
        (tmp_path / f"status/{name}.pem").write_text(f"the status key of {name}\n")
    (tmp_path / "status-ca.pem").write_text("the status CA\n")
    hosts, playbook = tmp_path / "hosts.yml", tmp_path / "play.yml"
    hosts.write_text(
        f"""
zookeeper: {{hosts: {{zk1: {{zookeeper_tls: true, zookeeper_tls_dir: {tmp_path}}}}}}}
mwapp_masters: {{hosts: {{mw1: {{mwapp_name: one, mwapp_status_tls: "yes"}}}}}}
mwapp_workers: {{hosts: {{mw1: }}}}
"""
    )
    wanted = "mwapp_connect, __mwapp_settings.tls_cert, __mwapp_tls_secrets, __mwapp_tls_files.0.content"
    wanted += (
        ", __mwapp_settings.status_ca, __mwapp_status_secrets, __mwapp_status_files.0, __mwapp_status_marks"
    )
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
    connect, cert, secrets, ca, *of_status = json.loads(json.loads(message))
    assert (connect, cert, ca) == ("zk1:2182", "/etc/mwapp/tls/cli.pem", "the CA\n")
    assert secrets == {
        f"/etc/mwapp/tls/{role}.pem": f"the key of mwapp-{role}-one\n" for role in ("master", "worker", "cli")
    }
    status_ca, secrets, ca, marks = of_status
    assert status_ca == "/etc/mwapp/status-tls/ca.pem"
    assert ca == {"path": status_ca, "content": "the status CA\n"}
    texts = [f"the status key of mwapp-{role}-one\n" for role in ("master", "worker")]
    assert secrets == {
        f"/etc/mwapp/status-tls/{role}.pem": text
        for role, text in zip(("master", "worker"), texts, strict=True)
    }
    assert marks == [hashlib.sha256(text.encode()).hexdigest() for text in texts], "not of the CA"


# ------------------------------------------------------------ variables of tasks

INVENTORY = r"""
mwapp_masters: {hosts: {mw1: }}
mwapp_workers:
  hosts:
    mw1:
      looks_like: "[1, 2]"
      greeting: "yes"
      mwapp_environment: "{{ texts | combine({'COMBINED': greeting, 'LOOKS': looks_like}) }}"
      texts:
        A: "1"
        B: "1.50"
        C: "None"
        D: ""
        E: "50 % off"
        F: "{'a': 1}"
        G: "a'b\"c \\ $HOME"
        H: "é\U0001F600"
        I: "{{ greeting }}"
        J: "{{ 5 | string }}"
        K: "{{ looks_like | string }}"
        L: !unsafe "{{ no template }}"
"""
ENV = [
    *("A=1", "B=1.50", "C=None", "COMBINED=yes", "D=", "E=50 % off", "F={'a': 1}", "G=a'b\"c \\ $HOME"),
    *("H=é\U0001f600", "I=yes", "J=5", "K=[1, 2]", "L={{ no template }}", "LOOKS=[1, 2]"),
]


@pytest.mark.parametrize("player", TOOLS)
def test_each_ansible_writes_the_variables_as_they_are(tmp_path: Path, player: str) -> None:
    """Old ones make text of what a template yields, and then what that looks like."""
    tools = TOOLS[player]
    if not tools.exists():
        pytest.skip("make setup-oldest has not been there")
    role = {"name": "zklab.zookeeper.mwapp", "tasks_from": "status", "rolespec_validate": False}
    writes = {
        "src": str(PROJECT / "roles/mwapp/templates/mwapp.toml.j2"),
        "dest": str(tmp_path / "made.toml"),
    }
    asks = "inventory_hostname | zklab.zookeeper.mwapp_problems(__mwapp_variables, hostvars, groups, ['mw1'])"
    play = {
        "hosts": "mw1",
        "gather_facts": False,
        "vars": {"role_path": str(PROJECT / "roles/mwapp"), "mwapp_connect": "zk1:2181"},
        "tasks": [
            {"ansible.builtin.import_role": role, "when": False},  # for its variables
            {"ansible.builtin.assert": {"that": f"({asks}) == []"}},
            {"ansible.builtin.template": writes, "delegate_to": "localhost"},
        ],
    }
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    where = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
    }
    command = [str(tools / "ansible-playbook"), "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
    done = subprocess.run(command, env=os.environ | where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tomllib.loads((tmp_path / "made.toml").read_text())["worker"]["env"] == ENV


# ------------------------------------------------------------ the tasks' user and directories


def tasks_of(file: str, *names: str) -> list[dict[str, Any]]:
    """Some of the role's tasks, as they are."""
    tasks = yaml.safe_load((PROJECT / "roles/mwapp/tasks" / file).read_text())
    found = {task["name"]: task for task in tasks}
    return [found[name] for name in names]


def play_here(
    directory: Path,
    tasks: list[dict[str, Any]],
    variables: dict[str, Any],
    *options: str,
    within: str = '"$@"',
) -> tuple[int, str]:
    """Play them on this machine, with what a shell script does for them before."""
    playbook = directory / "play.yml"
    playbook.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}])
    )
    where = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
    }
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "--connection=local",
        str(playbook),
        *options,
    ]
    done = subprocess.run(
        ["sh", "-ec", within, "sh", *command],
        env=os.environ | where,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("user", "changes"),
    [("no-such-user", 2), ("root", 1)],  # which is not at home in /nonexistent
)
def test_check_mode_tells_of_a_directory_whose_user_is_not_there_yet(
    tmp_path: Path, user: str, changes: int
) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    tasks = tasks_of(
        "_install.yml",
        "Ensure the tasks' user exists",
        "Ensure there is a directory for the data of handlers and commands",
    )
    code, said = play_here(
        tmp_path,
        tasks,
        {
            "mwapp_task_user": user,
            "mwapp_roles": ["worker"],
            "__mwapp_data": str(tmp_path / "data"),
            "__mwapp_variables": {
                "mwapp_roles": ["worker"],
                "mwapp_data_directory": False,
                "mwapp_writable_paths": [str(tmp_path / "data")],
            },
        },
        "--check",
    )
    assert code == 0, said
    assert f"changed={changes} " in said


def refused(home: Path, user: str, *paths: Path, within: str = '"$@"') -> list[str]:
    """What the role says against directories of this machine, once for each."""
    looks = tasks_of(
        "_preflight.yml",
        "See whose directories these are that services may write into",
        "See where the tasks' user can write",
    )
    (ends,) = tasks_of("_preflight.yml", "Ensure services can write there")
    tells = {
        "ansible.builtin.copy": {"content": "{{ __mwapp_problems | to_json }}", "dest": str(home / "said")}
    }
    its = {
        "mwapp_data_directory": False,
        "mwapp_writable_paths": list(map(str, paths)),
        "mwapp_roles": ["worker"],
    }
    its["mwapp_task_user"] = user
    variables = {"mwapp_task_user": user, "__mwapp_variables": its}
    code, said = play_here(home, [*looks, tells | {"vars": ends["vars"]}], variables, within=within)
    assert code == 0, said
    told: list[str] = json.loads((home / "said").read_text())
    return told


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that others can reach, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        yield Path(home)


module = load_file("modules/mwapp_writable.py")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes another user")


@needs_root
def test_a_group_s_directory_passes_if_the_tasks_user_is_in_the_group(
    tmp_path: Path, open_to_all: Path
) -> None:
    own, other, shut = open_to_all / "own", open_to_all / "other", tmp_path / "shut"
    read_only, not_entered = open_to_all / "read-only", open_to_all / "not-entered"
    for path, group, mode in (
        *((own, "nogroup", 0o770), (other, "daemon", 0o770), (shut, "nogroup", 0o770)),
        *((read_only, "nogroup", 0o750), (not_entered, "nogroup", 0o760)),
    ):
        path.mkdir()
        shutil.chown(path, group=group)
        path.chmod(mode)
    told = refused(tmp_path, "nobody", own, other, shut, read_only, not_entered)
    assert [problem.split(" belongs to ")[0] for problem in told] == [
        f"mwapp_writable_paths: {path}" for path in (other, shut, read_only, not_entered)
    ]


@needs_root
def test_who_is_the_tasks_user_can_do_nothing_to_the_process_that_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel lets nobody signal or trace a process whose real and saved user is root."""
    nobody, seen = pwd.getpwnam("nobody"), []

    def access(*_: object, effective_ids: bool) -> bool:
        seen.append((os.getresuid(), os.getegid(), os.getgroups()))
        return effective_ids

    before = os.getresuid(), os.getresgid(), os.getgroups()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", access)
        assert module.writable("nobody", ["/srv"]) == ["/srv"]
    assert seen == [
        ((0, nobody.pw_uid, 0), nobody.pw_gid, os.getgrouplist("nobody", nobody.pw_gid)),
    ]
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


@needs_root
def test_who_cannot_ask_is_told_and_does_not_take_the_user_for_missing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Let Ansible be root on this host"):
        refused(tmp_path, "nobody", tmp_path, within='setpriv --bounding-set=-setgid "$@"')


@needs_root
def test_the_advice_works_to_the_letter_where_the_user_is_not_there_yet(open_to_all: Path) -> None:
    """What this machine knows of users is a copy meanwhile."""
    new, old, user = open_to_all / "new", open_to_all / "old", "mwapp-task-of-tests"
    old.mkdir()
    shutil.copytree("/etc", open_to_all / "etc", symlinks=True, ignore_dangling_symlinks=True)
    within = 'mount --bind "$HOME_OF_TEST/etc" /etc; mount -t tmpfs none /var/log; sh -ec "$ADVICE"; "$@"'
    within = f"unshare --mount sh -ec '{within}' sh \"$@\""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME_OF_TEST", str(open_to_all))
        patch.setenv("ADVICE", "true")
        told = refused(open_to_all, user, new, old, within=within)
        assert len(told) == 2
        commands = [re.split(f"give it to {user}: |stop the service, and ", problem)[1] for problem in told]
        patch.setenv("ADVICE", "; ".join(commands))
        assert refused(open_to_all, user, new, old, within=within) == []
