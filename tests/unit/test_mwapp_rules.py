"""What the role mwapp refuses: each refusal names the variable and the remedy, and mwapp itself agrees."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mwapp.cli.daemons import master, node, worker
from mwapp.errors import BadInputError
from mwapp.execution import environment
from mwapp.logs import LEVELS
from tests.unit.zookeeper_role import PROJECT, load_file

rules = load_file("filter/mwapp_rules.py")

ROLE = PROJECT / "roles/mwapp"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]

GROUPS = {"zookeeper": ["zk1"], "mwapp_masters": ["mw1", "mw2"], "mwapp_workers": ["mw1", "mw3"]}
HOSTVARS: dict[str, dict[str, Any]] = {name: {} for name in ("zk1", "mw1", "mw2", "mw3")}
GIVEN = {name: option["default"] for name, option in OPTIONS.items() if "default" in option} | {
    "mwapp_roles": ["master", "worker"],
    "mwapp_connect": "zk1:2181",
    "mwapp_tls": False,
    "mwapp_name": "mw1",
    "mwapp_checkout": str(PROJECT),
}


def problems(
    changed: dict[str, Any] | None = None,
    hostvars: dict[str, dict[str, Any]] | None = None,
    groups: dict[str, list[str]] | None = None,
) -> list[str]:
    """Of mw1, which is a master and a worker, with these settings and these variables of hosts."""
    made: list[str] = rules.mwapp_problems(
        "mw1", GIVEN | (changed or {}), HOSTVARS | (hostvars or {}), groups or GROUPS, ["mw2", "mw1", "mw3"]
    )
    return made


MAY_WRITE = {"mwapp_task_user": "mwapp-task"}


def test_what_fits_together_passes() -> None:
    assert problems() == []
    assert problems({"mwapp_task_user": "mwapp-task"}) == []
    assert problems({"mwapp_task_user": "mwapp-task", "mwapp_task_network": False}) == []
    assert problems({"mwapp_roles": ["master"], "mwapp_task_network": False}) == [], "it runs no tasks"
    given = {
        "A": "",
        "_b1": "50 % of $é",
        "MWAPP_CONNECT": "zk1",
        "MWAPP_TLS_KEY": "/a",
        "PATHS": "x",
        "LDAP": "y",
    }
    paths = ["/srv/a_b@c+d-e.f/..g", "/srv/a", "/opt/mwapp2", "/var/lib/mwapp-2", "/mnt/etc"]
    assert problems(MAY_WRITE | {"mwapp_environment": given, "mwapp_writable_paths": paths}) == []
    assert problems({"mwapp_roles": ["master"], "mwapp_data_directory": True}) == []
    assert problems({"mwapp_acl": True, "mwapp_tls": "yes"}) == []
    assert problems({"mwapp_roles": ["node"]}, groups={"mwapp_nodes": ["mw1", "mw2"]}) == []
    assert problems({"mwapp_roles": ["worker"]}, groups={"mwapp_nodes": ["mw2", "mw3"]}) == []


def test_status_endpoints_have_tls_on_all_hosts_or_on_none() -> None:
    some = {"mw1": {"mwapp_status_tls": "yes"}, "mw2": {"mwapp_status_tls": "no"}}
    [said] = problems({"mwapp_status_tls": True}, hostvars=some)
    assert said.startswith("mwapp_status_tls is true for mw1, and not for mw2, mw3: set it alike for all")
    every = {name: {"mwapp_status_tls": True} for name in HOSTVARS}
    assert problems({"mwapp_status_tls": True}, hostvars=every) == []


def test_lists_are_for_all_hosts_or_for_none() -> None:
    some = {"mw1": HOSTVARS["mw1"] | {"mwapp_acl": "yes"}}
    [said] = problems({"mwapp_acl": True, "mwapp_tls": True}, hostvars=some)
    assert said.startswith("mwapp_acl is true for mw1, and not for mw2, mw3: set it alike for all hosts")
    every = {name: its | {"mwapp_acl": True} for name, its in HOSTVARS.items()}
    assert problems({"mwapp_acl": True, "mwapp_tls": True}, hostvars=every) == []


def test_lists_that_servers_ignore_are_none() -> None:
    ignores = {"zk1": HOSTVARS["zk1"] | {"zookeeper_config": {"skipACL": "yes"}}}
    [said] = problems({"mwapp_acl": True, "mwapp_tls": True}, hostvars=ignores)
    assert said.startswith("mwapp_acl is true, but skipACL is set for zk1")
    assert problems(hostvars=ignores) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mwapp_roles": []}, "mwapp_roles is empty: put this host in group mwapp_masters, mwapp_workers"),
        ({"mwapp_roles": ["worker", "node"]}, "is in mwapp_nodes and in mwapp_workers, but a node is master"),
        ({"mwapp_connect": ""}, 'mwapp_connect is "": put the servers in group zookeeper'),
        ({"mwapp_connect": "zk1:0"}, 'mwapp_connect is "zk1:0": put the servers'),
        ({"mwapp_acl": "true"}, "mwapp_acl is true, but the application connects without TLS: "),
        ({"mwapp_session_timeout": 1.9}, "mwapp_session_timeout is 1.9 s, but the servers grant 2 to 120 s"),
        ({"mwapp_session_timeout": "121"}, "choose one of these, or set zookeeper_min_session_timeout or"),
        ({"mwapp_name": "a b"}, 'mwapp_name is "a b": use letters, digits, dot'),
        ({"mwapp_master_port": 0}, "mwapp_master_port is 0: use 1 to 65535."),
        ({"mwapp_worker_port": "65536"}, "mwapp_worker_port is 65536: use 1 to 65535."),
        (
            {"mwapp_worker_port": "2223"},
            "mwapp_master_port and mwapp_worker_port all use port 2223 on this host",
        ),
        ({"mwapp_slots": -1}, "mwapp_slots is -1: use 0 to 1000 tasks at once; 0 is one for each CPU."),
        ({"mwapp_slots": 1001}, "mwapp_slots is 1001: use 0 to 1000 tasks at once; 0 is"),
        ({"mwapp_slots": "many"}, "mwapp_slots is many: use 0 to 1000 tasks at once; 0 is"),
        ({"mwapp_drain": "soon"}, "mwapp_drain is soon: use 0 or more seconds."),
        ({"mwapp_slots": None}, "mwapp_slots is None: use 0 to 1000 tasks at once; 0 is"),
        ({"mwapp_prefetch": -1}, "mwapp_prefetch is -1: use 0 to 1000 tasks beyond the slots."),
        ({"mwapp_retention": 59.9}, "mwapp_retention is 59.9: use 60 or more seconds; a client that was"),
        ({"mwapp_keep": 999}, "mwapp_keep is 999: use 1000 to 20000 tasks; a client that was cut off"),
        ({"mwapp_keep": 20001}, "mwapp_keep is 20001: use 1000 to 20000 tasks; a client"),
        ({"mwapp_max_attempts": 0}, "mwapp_max_attempts is 0: use 1 or more attempts."),
        (
            {"mwapp_max_per_submitter": -1},
            "mwapp_max_per_submitter is -1: use 0 to 40000 tasks; 0 is no limit.",
        ),
        ({"mwapp_drain": -1}, "mwapp_drain is -1: use 0 or more seconds."),
        ({"mwapp_watchdog": 0}, "mwapp_watchdog is 0: use 1 or more seconds."),
        ({"mwapp_ready_timeout": "0"}, "mwapp_ready_timeout is 0: use 1 or more seconds."),
        ({"mwapp_task_pids": -1}, "mwapp_task_pids is -1: use 0 or more processes; 0 is no limit."),
        ({"mwapp_worker_pids": "x"}, "mwapp_worker_pids is x: use 0 or more processes"),
        (
            {"mwapp_task_cpu": 0.001},
            "mwapp_task_cpu is 0.001: use 0.01 CPUs or more, up to 10000; 0 is no limit.",
        ),
        ({"mwapp_worker_cpu": "x"}, "mwapp_worker_cpu is x: use 0.01 CPUs or more"),
        ({"mwapp_task_memory": "1.5G"}, 'mwapp_task_memory is "1.5G": use 1M or more'),
        ({"mwapp_worker_memory": "100K"}, 'mwapp_worker_memory is "100K": use 1M or'),
        ({"mwapp_depose_after": 0.5}, "mwapp_depose_after is 0.5: use 0.6 or more seconds; 0 is never."),
        ({"mwapp_depose_after": "soon"}, "mwapp_depose_after is soon: use 0.6 or more seconds"),
        ({"mwapp_task_user": "mwapp"}, 'mwapp_task_user is "mwapp": give tasks a user of their own'),
        ({"mwapp_task_user": "Bad User"}, 'mwapp_task_user is "Bad User": give tasks a user'),
        (
            {"mwapp_task_network": False},
            "mwapp_task_network is false, but tasks run as the worker's own user, which needs the network",
        ),
        ({"mwapp_environment": ["A=1"]}, "mwapp_environment is not a mapping: write NAME: value below it"),
        (
            {"mwapp_environment": {"A=B": "1"}},
            'mwapp_environment: "A=B" is no name of a variable: use letters',
        ),
        (
            {"mwapp_environment": {True: "1"}},
            'mwapp_environment: a name is True, which is not text: put the name in quotes, as in "ON": "1".',
        ),
        ({"mwapp_environment": {"1A": "1"}}, '"1A" is no name of a variable: use letters'),
        (
            {"mwapp_environment": {"MWAPP_SLOTS": "1"}},
            "MWAPP_SLOTS is mwapp's own: leave it out; of these names",
        ),
        (
            {"mwapp_environment": {"MWAPP_DATA_DIRECTORY": "/a"}},
            "set mwapp_data_directory: true, and leave it",
        ),
        ({"mwapp_environment": {"NOTIFY_SOCKET": "1"}}, "NOTIFY_SOCKET is systemd's: choose another name."),
        (
            {"mwapp_environment": {"STATE_DIRECTORY": "1"}},
            "STATE_DIRECTORY is systemd's: choose another name.",
        ),
        ({"mwapp_environment": {"PATH": "/a"}}, "programs start with PATH, and mwapp's, too: leave it out"),
        ({"mwapp_environment": {"HOME": "/a"}}, "programs start with HOME, and mwapp's, too: leave it out"),
        ({"mwapp_environment": {"LD_PRELOAD": "/a"}}, "programs start with LD_PRELOAD, and mwapp's, too"),
        ({"mwapp_environment": {"PYTHONPATH": "/a"}}, "for Python packages use mwapp_handlers."),
        ({"mwapp_environment": {"A": 12345}}, "mwapp_environment: A is not text: put its value in quotes"),
        ({"mwapp_environment": {"A": None}}, "mwapp_environment: A is not text"),
        (
            {"mwapp_environment": {"A": "1\n2"}},
            "A has a control character, such as a line break: put the text",
        ),
        (
            MAY_WRITE | {"mwapp_writable_paths": ["/srv/a/b", "/srv/ab", "/srv/a"]},
            "mwapp_writable_paths has /srv/a/b and /srv/a, which it is in: a task could remove it",
        ),
        (
            MAY_WRITE | {"mwapp_writable_paths": ["srv"]},
            'mwapp_writable_paths has "srv": use a path from / on',
        ),
        (MAY_WRITE | {"mwapp_writable_paths": ["/"]}, 'has "/": use a path from / on'),
        (MAY_WRITE | {"mwapp_writable_paths": ["/srv/"]}, 'has "/srv/": use a path from / on'),
        (MAY_WRITE | {"mwapp_writable_paths": ["/srv/../etc"]}, 'has "/srv/../etc": use a path from / on'),
        (MAY_WRITE | {"mwapp_writable_paths": ["/srv/a b"]}, 'has "/srv/a b": use a path from / on'),
        (
            MAY_WRITE | {"mwapp_writable_paths": ["/etc/mwapp"]},
            "has /etc/mwapp, but services cannot write to /etc:",
        ),
        (
            MAY_WRITE | {"mwapp_writable_paths": ["/home/a"]},
            "has /home/a, but services cannot write to /home:",
        ),
        (
            MAY_WRITE | {"mwapp_writable_paths": ["/var"]},
            "has /var, but services cannot write to /var/lib/mwapp:",
        ),
        (
            {"mwapp_writable_paths": ["/srv/a"]},
            "mwapp_writable_paths is set, and mwapp_task_user is empty: systemd",
        ),
        (
            {"mwapp_data_directory": "yes"},
            "mwapp_data_directory is set, and mwapp_task_user is empty: systemd",
        ),
        ({"mwapp_labels": ["gpu", "a b", "-"]}, 'mwapp_labels has "a b", "-": a label is up to 63 letters'),
    ],
)
def test_a_setting_that_cannot_work(changed: dict[str, Any], said: str) -> None:
    [problem] = problems(changed)
    assert said in problem


ALL = "cpuset cpu io memory pids\n"
LIMITED = {"mwapp_task_memory": " 500M ", "mwapp_worker_cpu": "1.5", "mwapp_worker_pids": 100}


@pytest.mark.parametrize(
    ("changed", "controllers", "said"),
    [
        ({}, "", ""),
        (dict.fromkeys(rules.LIMITS, "0"), "", ""),
        (dict.fromkeys(rules.LIMITS, "0.0"), "", ""),
        (LIMITED, ALL, ""),
        (LIMITED | {"mwapp_roles": ["master"]}, "", ""),
        (LIMITED, "", "mwapp_task_memory, mwapp_worker_cpu, mwapp_worker_pids: the kernel"),
        (
            LIMITED | {"mwapp_roles": ["node"]},
            "cpu pids",
            "mwapp_task_memory: the kernel of this host cannot",
        ),
        (LIMITED, "cpuset io memory pids", "cgroup.controllers has: cpuset io memory pids). Boot it with"),
        ({"mwapp_task_pids": "7"}, "", "cgroup.controllers has: nothing). Boot it with cgroup v2 alone"),
    ],
)
def test_a_limit_takes_a_controller_of_the_kernel(
    changed: dict[str, Any], controllers: str, said: str
) -> None:
    told = "".join(rules.mwapp_kernel_problems(GIVEN | changed, controllers))
    assert said in told
    assert bool(told) == bool(said)


WRITES = MAY_WRITE | {"mwapp_data_directory": "yes", "mwapp_writable_paths": ["/srv/a", "/srv/b"]}


# What who has no such user yet is told to do first, and once.
MAKES = "useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin mwapp-task && "


def foreign(name: str, path: str, owner: str, first: str = "") -> str:
    return (
        f"{name}: {path} belongs to {owner} on this host, so mwapp-task (mwapp_task_user) cannot write "
        f"there: stop the service, and {first}chown --recursive mwapp-task {path}"
    )


def missing(path: str, first: str = "") -> str:
    return (
        f"mwapp_writable_paths: there is no {path} on this host: mount it, or make it and give it to "
        f"mwapp-task: {first}install --directory --owner=mwapp-task {path}"
    )


OWN_BUT_SHUT = (
    "mwapp_writable_paths: /srv/b belongs to mwapp-task (mwapp_task_user) on this host, but its mode, or "
    "that of a directory above it, keeps this user out: set it with chmod, as namei --long /srv/b shows."
)
A_LINK = "mwapp_writable_paths: /srv/b is no directory on this host: name one, and no symbolic link."
DATA, PATHS_OF = "mwapp_data_directory", "mwapp_writable_paths"


@pytest.mark.parametrize(
    ("found", "writable", "said"),
    [
        # The kernel says whom a group or a list lets in.
        ("41f8:root:/srv/a\n41c0:mwapp-task:/srv/b\n", ["/srv/a", "/srv/b"], []),
        ("41c0:root:/var/lib/mwapp\n41c0:root:/srv/a\n41f8:root:/srv/b\n", ["/srv/a", "/srv/b"], []),
        ("41ed:mwapp-task:/var/lib/mwapp\n41ff:root:/srv/a\n41ff:root:/srv/b\n", None, []),
        (
            "41f8:root:/srv/a\n41c0:mwapp-task:/srv/b\n",
            [],
            [foreign(PATHS_OF, "/srv/a", "root"), OWN_BUT_SHUT],
        ),
        ("41c0:mwapp-task:/srv/b", ["/srv/b"], [missing("/srv/a")]),
        (
            "41ff:old:/var/lib/mwapp\n41f8:root:/srv/a\na1ff:mwapp-task:/srv/b",
            None,
            [
                foreign(DATA, "/var/lib/mwapp", "old", MAKES),
                foreign(PATHS_OF, "/srv/a", "root"),
                A_LINK,
            ],
        ),
        # To write alone is not enough for a new file.
        ("", None, [missing("/srv/a", MAKES), missing("/srv/b")]),
        ("41f6:root:/srv/a", None, [foreign(PATHS_OF, "/srv/a", "root", MAKES), missing("/srv/b")]),
    ],
)
def test_directories_that_a_host_must_have(found: str, writable: list[str] | None, said: list[str]) -> None:
    assert rules.mwapp_directory_problems(GIVEN | WRITES, found, writable) == said


@pytest.mark.parametrize("changed", [{}, WRITES | {"mwapp_roles": ["master"]}])
def test_who_writes_nowhere_needs_no_directory(changed: dict[str, Any]) -> None:
    assert rules.mwapp_directory_problems(GIVEN | changed, "") == []


def test_directories_are_those_of_workers_and_nodes() -> None:
    assert rules.mwapp_directories(GIVEN | WRITES) == ["/var/lib/mwapp", "/srv/a", "/srv/b"]
    assert rules.mwapp_directories(GIVEN | WRITES | {"mwapp_roles": ["master"]}) == []
    assert rules.mwapp_directories(GIVEN | {"mwapp_writable_paths": ["/srv/a"]}) == ["/srv/a"]


def test_all_problems_are_told_at_once() -> None:
    assert len(problems({"mwapp_slots": -1, "mwapp_keep": 0, "mwapp_name": "", "mwapp_labels": [""]})) == 4


def test_numbers_may_be_text_and_text_numbers() -> None:
    """-e gives all as text, and an inventory may call a host 7."""
    text = {name: str(GIVEN[name]) for name in rules.BOUNDS} | {"mwapp_session_timeout": "6"}
    assert problems(text | {"mwapp_name": 7, "mwapp_labels": [7], "mwapp_master_port": "2223"}) == []
    assert "name of mw2" in problems({"mwapp_name": "7"}, {"mw2": {"mwapp_name": 7}})[0]


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"mwapp_workers": ["mw1"]}, "group mwapp_masters is empty, so no task would ever be assigned"),
        ({"mwapp_nodes": ["mw1"]}, "group mwapp_nodes has only one host, mw1: the node that is the master"),
    ],
)
def test_groups_that_would_run_nothing(groups: dict[str, list[str]], said: str) -> None:
    [problem] = problems(groups=groups)
    assert said in problem


@pytest.mark.parametrize(
    ("tick", "shortest", "longest", "least", "most"),
    [
        (None, None, None, 2, 120),
        (2000, 0, 0, 4, 40),
        ("500", "0", "0", 1, 10),
        (20, 0, 0, 0.1, 0.4),
        (200_000, None, 4_000_000, 400, 3600),
        (2000, 3000, 30_000, 3, 30),
    ],
)
def test_a_session_lasts_as_long_as_the_servers_grant(
    tick: object, shortest: object, longest: object, least: float, most: float
) -> None:
    """And neither shorter nor longer than mwapp takes."""
    names = ("zookeeper_tick_time", "zookeeper_min_session_timeout", "zookeeper_max_session_timeout")
    server = {
        key: value for key, value in zip(names, (tick, shortest, longest), strict=True) if value is not None
    }
    for timeout in (least, most):
        assert problems({"mwapp_session_timeout": timeout}, {"zk1": server}) == []
    for timeout in (least - 0.01, most + 0.01):
        [said] = problems({"mwapp_session_timeout": timeout}, {"zk1": server})
        assert f"the servers grant {least} to {most} s" in said


def test_the_defaults_of_the_servers_are_their_roles() -> None:
    role = yaml.safe_load((PROJECT / "roles/zookeeper/defaults/main.yml").read_text())
    for defaults in (rules.ZOOKEEPER_SESSIONS, rules.ZOOKEEPER_PORTS):
        assert defaults == {name: role[name] for name in defaults}


def test_a_name_that_others_have() -> None:
    """Though they have it from the inventory, or only in another group."""
    assert problems({"mwapp_name": "mw2"})[0].startswith("mwapp_name mw2 is the name of mw2, too: give each")
    [said] = problems({"mwapp_name": "x"}, {"mw2": {"mwapp_name": "x"}, "mw3": {"mwapp_name": "x"}})
    assert "is the name of mw2 and mw3, too" in said
    nodes = GROUPS | {"mwapp_nodes": ["n1", "n2"]}
    [said] = problems({}, {"n1": {"mwapp_name": "mw1"}, "n2": {}}, nodes)
    assert "is the name of n1, too" in said


def test_ports_of_a_zookeeper_server_on_the_same_host() -> None:
    both = GROUPS | {"zookeeper": ["mw1"]}
    [said] = problems({"mwapp_master_port": 2181}, groups=both)
    assert said.startswith("mwapp_master_port and zookeeper_client_port all use port 2181 on this host")
    moved = {"mw1": {"zookeeper_client_port": "2224"}}
    assert problems({"mwapp_master_port": 2181}) == problems({}, moved) == []
    [said] = problems({}, moved, both)
    assert "mwapp_worker_port and zookeeper_client_port all use port 2224" in said
    assert problems({}, {"mw1": {"zookeeper_quorum_port": 2181}}, both) == [], "the server's own affair"


def test_a_port_of_a_service_that_is_not_here() -> None:
    assert problems({"mwapp_roles": ["master"], "mwapp_worker_port": 2223, "mwapp_node_port": 0}) == []


# ------------------------------------------------------------ sources


@pytest.mark.parametrize("lacks", [["pyproject.toml"], ["mwapp"], ["requirements.txt", "constraints.txt"]])
def test_a_checkout_without_sources(
    lacks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is by default if somebody has copied the role."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("pyproject.toml", "requirements.txt", "constraints.txt", "mwapp"):
        (tmp_path / name).touch()
    assert problems({"mwapp_checkout": "~"}) == []
    for name in lacks:
        (tmp_path / name).unlink()
    [said] = problems({"mwapp_checkout": "~"})
    assert said.startswith(f"mwapp_checkout is ~, and there is no {', '.join(lacks)}: set it to a checkout")


def test_handlers_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.whl").touch()
    handlers = ["examples/handlers", "~/own.whl", str(tmp_path / "own.whl"), "none", "~/none.whl"]
    [said] = problems({"mwapp_handlers": handlers}, {"mw2": {"mwapp_handlers": handlers}})
    assert f"there is no {PROJECT}/none, {tmp_path}/none.whl; a relative path begins at" in said


def test_handlers_that_are_not_the_same_for_all() -> None:
    [said] = problems({"mwapp_handlers": ["examples/handlers"]})
    assert said.startswith("mwapp_handlers is examples/handlers here and empty on mw2, but all hosts get one")
    [said] = problems({}, {"mw2": {"mwapp_handlers": ["examples/handlers"]}})
    assert said.startswith("mwapp_handlers is empty here and examples/handlers on mw2, but all hosts get one")


# ------------------------------------------------------------ what mwapp itself takes


def takes(command: click.Command, key: str, value: object) -> bool:
    """Whether a daemon takes this for its option, or as this key of its config file."""
    [option] = [one for one in command.params if one.name == key]
    try:
        option.process_value(click.Context(command), value)
    except (click.BadParameter, BadInputError):
        return False
    return True


WORDS = st.text(st.sampled_from("aZ09._=/:-[] ,\n\té٣"), max_size=8)
LONG = st.sampled_from([62, 63, 64, 127, 128, 129]).map(lambda length: "x" * length)


@given(WORDS | LONG)
def test_a_name_is_what_mwapp_takes_for_one(name: str) -> None:
    assert (rules.name_problems(name, []) == []) == takes(node, "name", name)


@given(WORDS | LONG)
def test_a_label_is_what_mwapp_takes_for_one(label: str) -> None:
    assert (rules.label_problems([label]) == []) == takes(worker, "label", (label,))


# fmt: off
VARIABLES = [
    "", "A", "_", "1", "é", "A=B", "PATH", "PATHS", "HOME", "USERS", "LD_A", "LDA", "PYTHONPATH", "PYTHO",
    "MWAPP_", "MWAPP_RUN", "MWAPP_REVISION",
]
# fmt: on


@pytest.mark.parametrize("name", [*VARIABLES, *rules.OF_CLIENTS, *sorted(environment._SERVICE)])
@pytest.mark.parametrize("value", ["", "a=b \\ é", "\t", "a\n", "\x7f"])
def test_a_variable_is_what_mwapp_takes_for_one(name: str, value: str) -> None:
    role_takes = rules.environment_problems({name: value}) == []
    assert role_takes == takes(worker, "env", (f"{name}={value}",)) or "=" in name


def test_what_the_role_itself_sets_mwapp_takes() -> None:
    assert takes(node, "env", ("MWAPP_DATA_DIRECTORY=/var/lib/mwapp",))
    assert not takes(node, "env", ("A",))


SERVERS = ["zk1", "10.0.0.1", "[::1]", "::1", "[]", "a_b.c", "é", "", "a b"]
PORTS = ["", ":", ":0", ":1", ":65535", ":65536", ":021810", ":٣", ":1 ", ":1,zk2", ":1, zk2:3", ":1,", ","]
PATHS = [
    "",
    "/",
    "//",
    "/a/",
    "/a/b",
    "a",
    "/a//b",
    "/.",
    "/..",
    "/../a",
    "/.a",
    "/...",
    "/a\x7fb",
    "/\x85",
    "/\ue000",
    "/\ufff0",
    "/\U0001f600",
    "/\ufdd0é",
    "/\x1f",
    "/é",
    "/a b",
    "\n",
]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("port", PORTS)
def test_a_connect_string_is_what_mwapp_takes_for_one(server: str, port: str) -> None:
    for connect in (server + port + path for path in PATHS):
        assert (rules.connect_problems(connect) == []) == takes(worker, "connect", connect), connect


@given(WORDS)
def test_whatever_else_is_given_for_a_connect_string(connect: str) -> None:
    assert (rules.connect_problems(connect) == []) == takes(worker, "connect", connect)


@pytest.mark.parametrize(
    "setting", ["slots", "prefetch", "retention", "keep", "max_attempts", "max_per_submitter", "drain"]
)
def test_bounds_are_those_of_mwapp(setting: str) -> None:
    least, most, *_ = rules.BOUNDS[f"mwapp_{setting}"]
    for value in {least - 1, least, min(most, 10**9), min(most, 10**9) + 1}:
        wrong = rules.amount_problems(GIVEN | {f"mwapp_{setting}": value})
        assert (wrong == []) == takes(node, setting, value)


@given(st.from_regex(r"\A ?[0-9]{0,9}[kKMGTPB]? ?\Z") | WORDS)
def test_an_amount_of_memory_is_what_mwapp_takes_for_one(value: str) -> None:
    none = value.strip() in ("", "0")
    wrong = rules.limit_problems(GIVEN | {"mwapp_task_memory": value})
    assert (wrong == []) == (none or takes(worker, "task_memory", value)), value


@given(st.sampled_from([1e4, 10_001.0, math.nan, math.inf]) | st.floats(0.0001, 10))
def test_a_number_of_cpus_is_what_mwapp_takes_for_one(value: float) -> None:
    wrong = rules.limit_problems(GIVEN | {"mwapp_worker_cpu": value})
    assert (wrong == []) == takes(worker, "worker_cpu", value)


@given(st.sampled_from([-1.0, 0.0, 0.59, 0.6, 1e9, math.nan, math.inf]) | st.floats(-1, 1))
def test_a_silence_is_what_mwapp_takes_for_one(value: float) -> None:
    wrong = rules.silence_problems(value)
    assert (wrong == []) == takes(node, "depose_after", value), value


@given(st.floats(0, 5000), st.floats(1, 1e6), st.floats(1, 1e7))
def test_a_session_that_the_role_takes_is_one_for_mwapp(timeout: float, least: float, most: float) -> None:
    assert rules.session_problems(timeout, least, most) or takes(worker, "session_timeout", timeout)


@given(st.integers(-1, 70_000))
def test_a_port_that_the_role_takes_is_one_for_mwapp(port: int) -> None:
    changed = {"mwapp_roles": ["worker"], "mwapp_worker_port": port}
    assert rules.port_problems(GIVEN | changed, {}) or takes(worker, "listen", f"0.0.0.0:{port}")


@pytest.mark.parametrize("command", [master, worker, node], ids=lambda command: command.name)
def test_defaults_are_those_of_mwapp(command: click.Command) -> None:
    own: dict[Any, Any] = {option.name: option.default for option in command.params}
    own["listen"], _, port = own["listen"].rpartition(":")
    own[f"{command.name}_port"] = int(port)
    for name in own.keys() & {variable.removeprefix("mwapp_") for variable in GIVEN} - {"connect", "name"}:
        if re.fullmatch("(task|worker)_(memory|cpu|pids|user)", name):  # none, in their own ways
            assert GIVEN[f"mwapp_{name}"] in ("", 0)
        else:
            assert GIVEN[f"mwapp_{name}"] == own[name], name


def test_levels_of_the_log_are_those_of_mwapp() -> None:
    assert sorted(OPTIONS["mwapp_log_level"]["choices"]) == sorted(LEVELS)
