"""Jinja filter: why the role mwapp refuses what it is given. Each reason names the setting and the remedy.

mwapp itself refuses some of it, too, but only when a service starts on a host. tests/unit/test_mwapp_rules.py
holds the two together.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.common.validation import check_type_path
from ansible_collections.zklab.zookeeper.plugins.module_utils.mwapp_roles import DATA, ROLES, written
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import (
    CLIENT_PORT,
    ELECTION_PORT,
    QUORUM_PORT,
    is_true,
)

Variables = Mapping[str, Any]
Hostvars = Mapping[str, Variables]
Groups = Mapping[str, Sequence[str]]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=/:-]{0,62}")
SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?")
# As mwapp has it: no znode's name has these characters.
CHROOT = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[^/\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\U0010ffff]+)*/*")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# These may do or read what tasks may not.
OTHERS = ("root", "mwapp", "mwapp-worker", "mwapp-node", "zookeeper")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# mwapp's own that a person may set, for handlers that are clients of the ensemble.
OF_CLIENTS = ("MWAPP_CONNECT", "MWAPP_SUBMITTER", "MWAPP_TLS_CA", "MWAPP_TLS_CERT", "MWAPP_TLS_KEY")
# What programs start with, and what systemd tells a service.
STARTS = re.compile(r"PATH|HOME|SHELL|USER|LOGNAME|(LD_|PYTHON).*")
SYSTEMD = re.compile(
    "NOTIFY_SOCKET|WATCHDOG_(PID|USEC)|LISTEN_(PID|FDS|FDNAMES)|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID"
    "|MEMORY_PRESSURE_(WATCH|WRITE)|(CREDENTIALS|RUNTIME|STATE|CACHE|LOGS|CONFIGURATION)_DIRECTORY"
)
PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._@+-]+)+")
# No handler writes into, or above, one of these: others have it, the unit does not see the host's, or it does
# not stay.
TAKEN = (
    *(
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/opt/mwapp",
        "/opt/zookeeper",
        "/proc",
        "/root",
    ),
    *(
        "/run",
        "/sbin",
        "/sys",
        "/tmp",  # noqa: S108 - refused
        "/usr",
        "/var/lib/mwapp",
        "/var/lib/zookeeper",
        "/var/log/zookeeper",
        "/var/run",
        "/var/tmp",  # noqa: S108 - refused
    ),
)
# The user that the role makes, for who has to make it first; and a mode with which each user can write.
NEW_USER = "--system --home-dir /nonexistent --shell /usr/sbin/nologin"
ANYBODY = stat.S_IWOTH | stat.S_IXOTH
SIZE = re.compile(r"([0-9]+)([KMGTkmgt]?)")
UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
MEMORY = (1 << 20, 1 << 60)  # from this to less than that, bytes
LEAST_CPU = 0.01
MOST_CPU = 10000
# Of tasks. Each takes a controller of the kernel, which has the name at the limit's end.
LIMITS = tuple(f"mwapp_{whose}_{what}" for whose in ("task", "worker") for what in ("memory", "cpu", "pids"))
LEAST_SILENCE = 0.6  # three beats of a master, seconds
PORTS = (1, 65535)
SESSION = (0.1, 3600)  # seconds, whatever the servers grant
FORGOTTEN = "a client that was cut off must still find the task it submitted, or it would submit it again"
# The least, the most, of what, and why.
BOUNDS = {
    "mwapp_slots": (0, 1000, "tasks at once; 0 is one for each CPU", ""),
    "mwapp_prefetch": (0, 1000, "tasks beyond the slots", ""),
    "mwapp_retention": (60, math.inf, "seconds", FORGOTTEN),
    "mwapp_keep": (1000, 20000, "tasks", FORGOTTEN),
    "mwapp_task_pids": (0, math.inf, "processes; 0 is no limit", ""),
    "mwapp_worker_pids": (0, math.inf, "processes; 0 is no limit", ""),
    "mwapp_max_attempts": (1, math.inf, "attempts", ""),
    "mwapp_max_per_submitter": (0, 40000, "tasks; 0 is no limit", ""),
    "mwapp_drain": (0, math.inf, "seconds", ""),
    "mwapp_watchdog": (1, math.inf, "seconds", ""),
    "mwapp_ready_timeout": (1, math.inf, "seconds", ""),
}
ZOOKEEPER_PORTS = {
    "zookeeper_client_port": CLIENT_PORT,
    "zookeeper_quorum_port": QUORUM_PORT,
    "zookeeper_election_port": ELECTION_PORT,
}
# The defaults of the role zookeeper: what decides how long sessions may be.
ZOOKEEPER_SESSIONS = {
    "zookeeper_tick_time": 1000,
    "zookeeper_min_session_timeout": 0,
    "zookeeper_max_session_timeout": 120_000,
}
SOURCES = ("pyproject.toml", "requirements.txt", "constraints.txt", "mwapp")


def mwapp_problems(
    host: str, variables: Variables, hostvars: Hostvars, groups: Groups, play_hosts: Sequence[str]
) -> list[str]:
    """Tell everything that speaks against what a host is given.

    Args:
        host: its inventory name.
        variables: the role's, by name, as they are for this host.
        hostvars: of every host. The defaults of a role are not among them.
        groups: of the inventory.
        play_hosts: names of the hosts of the play; one bundle is built for all, of what the first one says.
    """
    checkout, handlers = variables["mwapp_checkout"], variables["mwapp_handlers"]
    name = str(variables["mwapp_name"])
    return [
        *role_problems(variables["mwapp_roles"], groups),
        *connect_problems(str(variables["mwapp_connect"])),
        *acl_problems(variables, hostvars, groups),
        *_alike("mwapp_status_tls", hostvars, groups),
        *session_problems(variables["mwapp_session_timeout"], *_granted_ms(hostvars, groups)),
        *name_problems(name, [one for one in _named(name, hostvars, groups) if one != host]),
        *port_problems(variables, _server_ports(host, hostvars, groups)),
        *amount_problems(variables),
        *limit_problems(variables),
        *silence_problems(variables["mwapp_depose_after"]),
        *user_problems(variables),
        *environment_problems(variables["mwapp_environment"]),
        *path_problems([str(path) for path in variables["mwapp_writable_paths"]]),
        *owner_problems(variables),
        *label_problems([str(label) for label in variables["mwapp_labels"]]),
        *source_problems(checkout, handlers),
        *release_problems(handlers, play_hosts[0], hostvars[play_hosts[0]].get("mwapp_handlers", [])),
    ]


def mwapp_kernel_problems(variables: Variables, controllers: str) -> list[str]:
    """Tell which limits of tasks the kernel of a host cannot enforce.

    Args:
        variables: the role's, by name, as they are for this host.
        controllers: the kernel's, as /sys/fs/cgroup/cgroup.controllers has them.

    Returns:
        A reason to refuse, if there are any. A master runs no tasks.
    """
    there = controllers.split()
    limits = LIMITS if {*variables["mwapp_roles"]} - {"master"} else ()
    wanted = [name for name in limits if number(str(variables[name]).strip() or 0) != 0]
    impossible = [name for name in wanted if name.rpartition("_")[2] not in there]
    if not impossible:
        return []
    return [
        f"{', '.join(impossible)}: the kernel of this host cannot limit this for services "
        f"(/sys/fs/cgroup/cgroup.controllers has: {' '.join(there) or 'nothing'}). Boot it with cgroup v2 "
        "alone (systemd.unified_cgroup_hierarchy=1, no cgroup_disable), or unset the variable."
    ]


def mwapp_directories(variables: Variables) -> list[str]:
    """Tell where handlers and commands of a host may write, besides what they have for themselves.

    Args:
        variables: the role's, by name, as they are for this host.

    Returns:
        Their directory that stays, and mwapp_writable_paths. A master runs neither.
    """
    return written(variables) if {*variables["mwapp_roles"]} - {"master"} else []


def mwapp_directory_problems(
    variables: Variables, found: str, writable: Sequence[str] | None = None
) -> list[str]:
    """Tell what speaks against the directories of a host that handlers and commands write into.

    Args:
        variables: the role's, by name, as they are for this host.
        found: a line for each that is there, as stat --format=%f:%U:%n writes it.
        writable: those into which mwapp_task_user can write, as the host says; None if it has no such user.
    """
    user = str(variables["mwapp_task_user"])
    there = {
        path: (int(mode, 16), owner) for mode, owner, path in (it.split(":", 2) for it in found.splitlines())
    }
    first = "" if writable is not None else f"useradd {NEW_USER} {user} && "
    problems = []
    for path in mwapp_directories(variables):
        name = "mwapp_data_directory" if path == DATA else "mwapp_writable_paths"
        if path not in there:
            if path != DATA:  # which the role makes
                problems.append(
                    f"{name}: there is no {path} on this host: mount it, or make it and give it to {user}: "
                    f"{first}install --directory --owner={user} {path}"
                )
                first = ""  # the user is there when the others' commands run
            continue
        mode, owner = there[path]
        if path == DATA:
            passes = owner in (user, "root")  # the role gives it to the user
        else:
            passes = mode & ANYBODY == ANYBODY if writable is None else path in writable
        if not stat.S_ISDIR(mode):
            problems.append(f"{name}: {path} is no directory on this host: name one, and no symbolic link.")
        elif not passes and owner == user:
            problems.append(
                f"{name}: {path} belongs to {user} (mwapp_task_user) on this host, but its mode, or that of "
                f"a directory above it, keeps this user out: set it with chmod, as namei --long {path} shows."
            )
        elif not passes:
            problems.append(
                f"{name}: {path} belongs to {owner} on this host, so {user} (mwapp_task_user) cannot write "
                f"there: stop the service, and {first}chown --recursive {user} {path}"
            )
            first = ""
    return problems


# ------------------------------------------------------------ what the inventory says of others


def _granted_ms(hostvars: Hostvars, groups: Groups) -> tuple[float, float]:
    """The shortest and the longest session that the servers grant. 0 stands for 2 and 20 ticks."""

    def said(name: str) -> float:
        values = (hostvars[host].get(name) for host in groups.get("zookeeper", []))
        return number(next((value for value in values if value is not None), ZOOKEEPER_SESSIONS[name]))

    tick, least, most = map(said, ZOOKEEPER_SESSIONS)
    return least or 2 * tick, most or 20 * tick


def _named(name: str, hostvars: Hostvars, groups: Groups) -> list[str]:
    """The application's hosts with this name."""
    hosts = dict.fromkeys(host for role in ROLES for host in groups.get(f"mwapp_{role}s", []))
    return [host for host in hosts if str(hostvars[host].get("mwapp_name", host)) == name]


def _server_ports(host: str, hostvars: Hostvars, groups: Groups) -> dict[str, Any]:
    if host not in groups.get("zookeeper", []):
        return {}
    return {name: hostvars[host].get(name, port) for name, port in ZOOKEEPER_PORTS.items()}


# ------------------------------------------------------------ rules


def number(value: Any) -> float:
    """Read a number, which is text if -e gave it. What is none is NaN, and so within no bounds."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def acl_problems(variables: Variables, hostvars: Hostvars, groups: Groups) -> list[str]:
    """Of access control lists, which one host sets for all."""
    if apart := _alike("mwapp_acl", hostvars, groups):
        return apart
    if not is_true(variables["mwapp_acl"]):
        return []
    if not is_true(variables["mwapp_tls"]):
        return [
            "mwapp_acl is true, but the application connects without TLS: access control lists are by "
            "certificate. Set zookeeper_tls: true for the servers (and leave mwapp_tls to its default), or "
            "mwapp_acl: false."
        ]
    # Their flags may need what only their own role knows: it looks at these.
    config = {host: hostvars[host].get("zookeeper_config") for host in groups.get("zookeeper", [])}
    skips = [host for host, its in config.items() if isinstance(its, Mapping) and is_true(its.get("skipACL"))]
    if skips:
        return [
            f"mwapp_acl is true, but skipACL is set for {', '.join(skips)}: these servers ignore access "
            "control lists. Take it out of zookeeper_config, or set mwapp_acl: false."
        ]
    return []


def _alike(name: str, hostvars: Hostvars, groups: Groups) -> list[str]:
    """Of a switch that one run sets for all hosts."""
    hosts = {host for group, members in groups.items() if group.startswith("mwapp_") for host in members}
    on = sorted(host for host in hosts if is_true(hostvars.get(host, {}).get(name)))
    if not on or len(on) == len(hosts):
        return []
    return [
        f"{name} is true for {', '.join(on)}, and not for {', '.join(sorted(hosts - {*on}))}: set it "
        "alike for all hosts of the groups mwapp_*."
    ]


def role_problems(roles: Sequence[str], groups: Groups) -> list[str]:
    """Of the services of this host, and of the groups they follow from."""
    masters, nodes = groups.get("mwapp_masters", []), groups.get("mwapp_nodes", [])
    others = [f"mwapp_{role}s" for role in roles if role != "node"]
    problems = []
    if not roles:
        problems.append(
            "mwapp_roles is empty: put this host in group mwapp_masters, mwapp_workers or both, or in "
            "mwapp_nodes."
        )
    if "node" in roles and others:
        problems.append(
            f"this host is in mwapp_nodes and in {' and '.join(others)}, but a node is master and worker "
            "already: take it out of one of them."
        )
    if len(nodes) == 1:
        problems.append(
            f"group mwapp_nodes has only one host, {nodes[0]}: the node that is the master runs no tasks, so "
            "none would run. Put two or more in it, or use mwapp_masters and mwapp_workers."
        )
    if not masters and not nodes:
        problems.append(
            "group mwapp_masters is empty, so no task would ever be assigned: put a host in it (two, so that "
            "one may fail)."
        )
    return problems


def connect_problems(connect: str) -> list[str]:
    """Of the connect string."""
    servers, slash, path = connect.strip().partition("/")
    found = [SERVER.fullmatch(server.strip()) for server in servers.split(",")]
    if all(one and _is_port(one[1] or 1) for one in found) and CHROOT.fullmatch(slash + path):
        return []
    return [
        f'mwapp_connect is "{connect}": put the servers in group zookeeper, or set it to host:port,host:port '
        "with the znode it may use, if not all, at the end (/path)."
    ]


def _is_port(value: Any) -> bool:
    return PORTS[0] <= number(value) <= PORTS[1]


def session_problems(timeout: Any, shortest_ms: float, longest_ms: float) -> list[str]:
    """Of the session time-out, which servers would silently change to what they grant."""
    least, most = max(SESSION[0], shortest_ms / 1000), min(SESSION[1], longest_ms / 1000)
    if least <= number(timeout) <= most:
        return []
    return [
        f"mwapp_session_timeout is {timeout} s, but the servers grant {least:g} to {most:g} s: choose one of "
        "these, or set zookeeper_min_session_timeout or zookeeper_max_session_timeout."
    ]


def name_problems(name: str, others: Sequence[str]) -> list[str]:
    """Of the name in the ensemble; ``others`` are other hosts that have it."""
    problems = []
    if not NAME.fullmatch(name):
        problems.append(
            f'mwapp_name is "{name}": use letters, digits, dot, dash and underscore, at most 128, and begin '
            "with a letter or digit."
        )
    if others:
        problems.append(f"mwapp_name {name} is the name of {' and '.join(others)}, too: give each its own.")
    return problems


def port_problems(variables: Variables, server: Mapping[str, Any]) -> list[str]:
    """Of the status endpoints' ports, beside those of a ZooKeeper ``server`` here."""
    own = {f"mwapp_{role}_port": variables[f"mwapp_{role}_port"] for role in variables["mwapp_roles"]}
    problems = [
        f"{name} is {port}: use {PORTS[0]} to {PORTS[1]}." for name, port in own.items() if not _is_port(port)
    ]
    users: dict[float, list[str]] = {}
    for name, port in {**own, **server}.items():
        users.setdefault(number(port), []).append(name)
    for port, names in users.items():
        if len(names) > 1 and names[0] in own:
            problems.append(f"{' and '.join(names)} all use port {port:g} on this host: give each its own.")
    return problems


def amount_problems(variables: Variables) -> list[str]:
    """Of numbers that are too small or too large."""
    return [
        f"{name} is {variables[name]}: use {_range(least, most)} {unit}{why and f'; {why}'}."
        for name, (least, most, unit, why) in BOUNDS.items()
        if not least <= number(variables[name]) <= most
    ]


def limit_problems(variables: Variables) -> list[str]:
    """Of limits of tasks."""
    problems = []
    for name in ("mwapp_task_memory", "mwapp_worker_memory"):
        value = str(variables[name]).strip()
        if value not in ("", "0") and not MEMORY[0] <= _bytes(value) < MEMORY[1]:
            problems.append(f'{name} is "{value}": use 1M or more, such as 500M or 2G; "" is no limit.')
    for name in ("mwapp_task_cpu", "mwapp_worker_cpu"):
        if not (number(variables[name]) == 0 or LEAST_CPU <= number(variables[name]) <= MOST_CPU):
            problems.append(
                f"{name} is {variables[name]}: use {LEAST_CPU} CPUs or more, up to {MOST_CPU}; 0 is no limit."
            )
    return problems


def silence_problems(seconds: Any) -> list[str]:
    """Of how long a master may be silent."""
    if number(seconds) == 0 or LEAST_SILENCE <= number(seconds) < math.inf:
        return []
    return [f"mwapp_depose_after is {seconds}: use {LEAST_SILENCE} or more seconds; 0 is never."]


def user_problems(variables: Variables) -> list[str]:
    """Of the tasks' user, and whether it may use the network. A master runs no tasks."""
    user, runs = str(variables["mwapp_task_user"]), {*variables["mwapp_roles"]} - {"master"}
    if runs and not user and not is_true(variables["mwapp_task_network"]):
        return [
            "mwapp_task_network is false, but tasks run as the worker's own user, which needs the network: "
            "set mwapp_task_user, to mwapp-task for example."
        ]
    if not user or (USER.fullmatch(user) and user not in OTHERS):
        return []
    return [
        f'mwapp_task_user is "{user}": give tasks a user of their own, such as mwapp-task (small letters, '
        f'digits, dash and underscore, at most 32), and none of {", ".join(OTHERS)}; "" is the worker\'s own.'
    ]


def environment_problems(given: Any) -> list[str]:
    """Of the variables that tasks and handlers get."""
    if not isinstance(given, Mapping):
        return ["mwapp_environment is not a mapping: write NAME: value below it, a line for each variable."]
    return [
        f"mwapp_environment: {problem}."
        for name, value in given.items()
        if (problem := _variable_problem(name, value))
    ]


def _variable_problem(name: Any, value: Any) -> str:
    if not isinstance(name, str):  # YAML takes YES, NO, ON and OFF for true and false
        return f'a name is {name}, which is not text: put the name in quotes, as in "ON": "1"'
    if not VARIABLE.fullmatch(name):
        return (
            f'"{name}" is no name of a variable: use letters, digits and underscore, and begin with no digit'
        )
    if name == "MWAPP_DATA_DIRECTORY":
        return f"{name} is set by the role: set mwapp_data_directory: true, and leave it out here"
    if name.startswith("MWAPP_") and name not in OF_CLIENTS:
        return f"{name} is mwapp's own: leave it out; of these names you can set {', '.join(OF_CLIENTS)}"
    if SYSTEMD.fullmatch(name):
        return f"{name} is systemd's: choose another name"
    if STARTS.fullmatch(name):
        return (
            f"programs start with {name}, and mwapp's, too: leave it out, and set it in the command; for "
            "Python packages use mwapp_handlers"
        )
    if not isinstance(value, str):
        return f"{name} is not text: put its value in quotes (or add | string to a template)"
    if CONTROL.search(value):
        return (
            f"{name} has a control character, such as a line break: put the text into a file, and name that"
        )
    return ""


def path_problems(paths: Sequence[str]) -> list[str]:
    """Of directories that handlers and commands may write into, whatever host it is."""
    problems = []
    for path in paths:
        upper = [other for other in paths if other != path and _within(path, other)]
        taken = [one for one in TAKEN if _within(path, one) or _within(one, path)]
        if not PATH.fullmatch(path):
            problems.append(
                f'mwapp_writable_paths has "{path}": use a path from / on, such as /srv/shared, of letters, '
                "digits and any of . _ @ + -, without // . and .. in it and without / at its end."
            )
        elif taken:
            problems.append(
                f"mwapp_writable_paths has {path}, but services cannot write to {taken[0]}: the system uses "
                "it, it is temporary, or services cannot see it. Use a directory of its own, such as "
                "/srv/shared."
            )
        elif upper:
            problems.append(
                f"mwapp_writable_paths has {path} and {upper[0]}, which it is in: a task could remove it, "
                f"and the service would not start again. Name {upper[0]} alone."
            )
    return problems


def _within(path: str, top: str) -> bool:
    return f"{path}/".startswith(f"{top}/")


def owner_problems(variables: Variables) -> list[str]:
    """Of whose the data are that handlers and commands write."""
    if variables["mwapp_task_user"] or not mwapp_directories(variables):
        return []
    name = "mwapp_data_directory" if is_true(variables["mwapp_data_directory"]) else "mwapp_writable_paths"
    return [
        f"{name} is set, and mwapp_task_user is empty: systemd then creates a temporary user, and its files "
        "would belong to nobody after the service stops. Set mwapp_task_user: mwapp-task."
    ]


def _bytes(value: str) -> int:
    found = SIZE.fullmatch(value)
    return int(found[1]) << UNITS[found[2].upper()] if found else 0


def _range(least: float, most: float) -> str:
    return f"{least} or more" if math.isinf(most) else f"{least} to {most}"


def label_problems(labels: Sequence[str]) -> list[str]:
    """Of the labels."""
    wrong = [f'"{label}"' for label in labels if not LABEL.fullmatch(label)]
    if not wrong:
        return []
    return [
        f"mwapp_labels has {', '.join(wrong)}: a label is up to 63 letters, digits and any of . _ = / : - "
        "and begins with a letter or digit, such as gpu or zone=a."
    ]


def source_problems(checkout: str, handlers: Sequence[str]) -> list[str]:
    """Of what the release is made of, on this machine, where Ansible runs."""
    top = Path(check_type_path(checkout))
    lacks = [name for name in SOURCES if not (top / name).exists()]
    paths = [top / check_type_path(handler) for handler in handlers]
    missing = [str(path) for path in paths if not path.exists()]
    problems = []
    if lacks:
        problems.append(
            f"mwapp_checkout is {checkout}, and there is no {', '.join(lacks)}: set it to a checkout of "
            "zklab, or to the collection zklab.zookeeper, on this machine, where Ansible runs."
        )
    if missing:
        problems.append(
            f"mwapp_handlers: on this machine, where Ansible runs, there is no {', '.join(missing)}; a "
            "relative path begins at mwapp_checkout."
        )
    return problems


def release_problems(handlers: Sequence[str], first: str, of_first: Sequence[str]) -> list[str]:
    """Of handlers that are not the same for all: one release is made, for the ``first`` host of the play."""
    if list(handlers) == list(of_first):
        return []
    return [
        f"mwapp_handlers is {_show(handlers)} here and {_show(of_first)} on {first}, but all hosts get one "
        "release: set it for all of them (group_vars/all.yml)."
    ]


def _show(values: Sequence[str]) -> str:
    return ", ".join(values) or "empty"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "mwapp_directories": mwapp_directories,
            "mwapp_directory_problems": mwapp_directory_problems,
            "mwapp_kernel_problems": mwapp_kernel_problems,
            "mwapp_problems": mwapp_problems,
        }
