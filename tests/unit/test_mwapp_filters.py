"""What the role mwapp makes of its variables: its services, and the order in which they restart."""

from __future__ import annotations

import tomllib
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import meta, nodes

from mwapp.zookeeper.connect_string import parse_address
from testbed.tls_files import Maker, pem
from tests.unit.zookeeper_role import PROJECT, load, load_file

fingerprints = load("tls_fingerprints").fingerprints
filters = load_file("filter/mwapp_filters.py")
restart_order = load_file("filter/mwapp_restart_order.py").mwapp_restart_order

ROLE = PROJECT / "roles/mwapp"
UNIT = (ROLE / "templates/mwapp.service.j2").read_text()
VARIABLES = yaml.safe_load((ROLE / "defaults/main.yml").read_text()) | {
    "mwapp_roles": ["master", "worker"],
    "mwapp_host": "192.0.2.1",
}
SHARED = {"release": "1-abc"}


def test_the_ensemble_is_where_the_inventory_says() -> None:
    hostvars = {
        "zk1": {
            "ansible_host": "192.0.2.1",
            "zookeeper_host": "zk1.internal",
            "zookeeper_client_port": "2182",
        },
        "zk2": {"ansible_host": "2001:db8::2", "zookeeper_host": "", "zookeeper_client_port": ""},
        "zk3": {},
    }
    connect = filters.mwapp_connect(["zk1", "zk2", "zk3"], hostvars)
    assert connect == "zk1.internal:2182,[2001:db8::2]:2181,zk3:2181"
    assert filters.mwapp_connect([], {}) == ""


GROUPS = {"mwapp_masters": ["m1", "m2"], "mwapp_workers": ["w1", "m2"], "mwapp_nodes": ["n1"], "other": ["x"]}
APPLICATION: dict[str, Any] = {
    "m1": {},
    "m2": {"mwapp_name": "second"},
    "w1": {},
    "n1": {"mwapp_roles": ["node"]},
}


def test_who_may_do_what_is_told_by_name_and_by_whom() -> None:
    assert filters.mwapp_acl_hosts(GROUPS, APPLICATION) == [
        {"host": "m1", "role": "master"},
        {"host": "m2", "role": "master"},
        {"host": "n1", "role": "node"},
    ]
    told = " ".join(filters.mwapp_acl_arguments(GROUPS, APPLICATION, ["app", "app"]))
    assert told == (
        "--master m1 --master second --worker second --node n1 --worker w1 --client app"
        " --client mwapp-cli-m1 --client mwapp-cli-second --client mwapp-cli-n1 --client mwapp-cli-w1"
    )
    assert "--client b --client mwapp" in " ".join(filters.mwapp_acl_arguments(GROUPS, APPLICATION, " a, b"))
    assert filters.mwapp_acl_arguments({}, {}) == []


# ------------------------------------------------------------ services


def services(shared: dict[str, Any] = SHARED, **changed: object) -> dict[str, Any]:
    """The services of mw1 by their roles, with these variables."""
    made = filters.mwapp_services("mw1", VARIABLES | changed, shared)
    return {service["role"]: service for service in made}


def test_every_service_has_a_state_and_masters_go_first() -> None:
    """Those that are not for this host are to go: it may have been in another group."""
    assert {role: one["state"] for role, one in services().items()} == {
        "master": "ready",
        "node": "absent",
        "worker": "ready",
    }
    assert list(services()) == ["master", "node", "worker"]


def test_what_a_service_is() -> None:
    worker = services(mwapp_drain="60", mwapp_ready_timeout="5")["worker"]
    settings, revision = worker.pop("settings"), worker.pop("revision")
    assert worker == {
        "host": "mw1",
        "unit": "mwapp-worker.service",
        "role": "worker",
        "state": "ready",
        "address": "127.0.0.1",
        "port": 2224,
        "watchdog": 10,
        "stop_timeout": 70,
        "timeout": 75,
        "tls": False,
        "status_tls": False,
        "writable": [],
    }
    assert settings["drain"] == 60
    assert len(revision) == 16
    assert services(mwapp_listen="192.0.2.1")["worker"]["address"] == "192.0.2.1"
    assert services(mwapp_listen="::")["worker"]["address"] == "::1", "a certificate can be for that"


def test_a_master_does_not_drain() -> None:
    made = services(mwapp_drain=60, mwapp_ready_timeout=5)
    assert [made[role]["stop_timeout"] for role in ("master", "worker", "node")] == [10, 70, 70]
    assert [made[role]["timeout"] for role in ("master", "worker", "node")] == [15, 75, 75]


MASTERS = {
    "max_attempts": 5,
    "max_per_submitter": 0,
    "retention": 3600.0,
    "keep": 10000,
    "depose_after": 0.6,
}
WORKERS = {"prefetch": 400, "label": [], "drain": 30}


@pytest.mark.parametrize(
    ("role", "port", "own"),
    [("master", 2223, MASTERS), ("worker", 2224, WORKERS), ("node", 2223, MASTERS | WORKERS)],
)
def test_settings_of_a_service(role: str, port: int, own: dict[str, object]) -> None:
    """A node is both. What -e gives as text is a number in the file."""
    where = {"listen": f"0.0.0.0:{port}", "advertise": f"192.0.2.1:{port}"}
    assert services()[role]["settings"] == where | own | {"log_level": "info"}
    text: dict[str, Any] = {name: str(value) for name, value in VARIABLES.items() if isinstance(value, int)}
    assert services(**text) == services()


def test_what_is_given_as_text_is_read_as_ansible_does() -> None:
    for text, adopts in (("false", None), ("yes", True)):
        assert services(mwapp_adopt=text)["master"]["settings"].get("adopt") is adopts


def test_tasks_have_the_network_unless_somebody_says_no() -> None:
    """An older release knows no such setting, so it is written only then."""
    for text, written in (("false", {"worker", "node"}), ("no", {"worker", "node"}), ("yes", set())):
        made = services(mwapp_task_network=text)
        assert {role for role, it in made.items() if "task_network" in it["settings"]} == written
        assert {made[role]["settings"]["task_network"] for role in written} <= {False}


def test_limits_are_written_if_they_are_set() -> None:
    limits: dict[str, Any] = {
        "mwapp_task_memory": " 1G ",
        "mwapp_worker_cpu": "1.5",
        "mwapp_task_pids": 9,
        "mwapp_task_cpu": "0",
    }
    made = services(**limits)
    assert (
        made["worker"]["settings"].items() >= {"task_memory": "1G", "worker_cpu": 1.5, "task_pids": 9}.items()
    )
    assert "task_cpu" not in made["worker"]["settings"]
    assert "task_memory" not in made["master"]["settings"]


@pytest.mark.parametrize("host", ["mw1", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"])
def test_mwapp_can_read_where_it_listens_and_is_reached(host: str) -> None:
    settings = services(mwapp_listen=host, mwapp_host=host)["worker"]["settings"]
    for key in ("listen", "advertise"):
        assert parse_address(settings[key], key) == (host.strip("[]"), 2224)


@pytest.mark.parametrize(
    ("changed", "restarted"),
    [
        ({"mwapp_slots": 2}, {"worker", "node"}),
        ({"mwapp_labels": ["gpu"]}, {"worker", "node"}),
        ({"mwapp_drain": 60}, {"worker", "node"}),
        ({"mwapp_task_memory": "1G"}, {"worker", "node"}),
        ({"mwapp_task_user": "mwapp-task"}, {"worker", "node"}),
        ({"mwapp_task_network": "no"}, {"worker", "node"}),
        ({"mwapp_environment": {"A": "1"}}, {"worker", "node"}),
        ({"mwapp_data_directory": "yes"}, {"worker", "node"}),
        ({"mwapp_writable_paths": ["/srv/a"]}, {"worker", "node"}),
        ({"mwapp_keep": 5000}, {"master", "node"}),
        ({"mwapp_max_per_submitter": 5000}, {"master", "node"}),
        ({"mwapp_adopt": "yes"}, {"master", "node"}),
        ({"mwapp_worker_port": 2225}, {"worker"}),
        ({"mwapp_watchdog": 20}, {"master", "worker", "node"}),
        ({"mwapp_log_level": "debug"}, {"master", "worker", "node"}),
        ({"shared": {"release": "2-def"}}, {"master", "worker", "node"}),
        ({"mwapp_ready_timeout": 90}, set()),
        ({"mwapp_roles": ["node"]}, set()),
        ({"mwapp_handlers": ["x"]}, set()),  # they are part of the release
    ],
)
def test_a_setting_restarts_the_services_that_use_it(changed: dict[str, Any], restarted: set[str]) -> None:
    before, after = services(), services(**changed)
    assert {role for role in before if before[role]["revision"] != after[role]["revision"]} == restarted


def test_what_is_no_number_does_not_keep_others_from_being_looked_at() -> None:
    """It is preflight's to refuse: status shows a host whose variables are wrong, too."""
    wrong = services(mwapp_drain="soon", mwapp_retention=None, mwapp_node_port="x")
    assert (wrong["worker"]["stop_timeout"], wrong["worker"]["port"], wrong["node"]["port"]) == (10, 2224, 0)


def test_no_two_services_have_one_revision() -> None:
    assert len({service["revision"] for service in services().values()}) == 3


# ------------------------------------------------------------ their files


def test_a_unit_is_a_function_of_what_its_revision_is_made_of() -> None:
    """Or else a change would be written, and what runs would not be restarted for it."""
    tree = jinja2.Environment().parse(UNIT)  # noqa: S701 - a unit is no HTML
    assert meta.find_undeclared_variables(tree) == {
        "ansible_managed",
        "__mwapp_home",
        "__mwapp_config",
        "__mwapp_tls_home",
        "__mwapp_status_home",
        "__mwapp_service",
    }
    shared = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__mwapp_services"]
    for name in (
        "__mwapp_home",
        "__mwapp_config",
        "__mwapp_tls_home",
        "__mwapp_status_home",
        "mwapp.service.j2",
    ):
        assert name in shared
    used = {node.attr for node in tree.find_all(nodes.Getattr)}
    assert used == {
        "role",
        "revision",
        "stop_timeout",
        "watchdog",
        "tls",
        "status_tls",
        "settings",
        "task_network",
        "task_user",
        "writable",
    }


def render(name: str, **variables: object) -> str:
    """A template with these variables."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701 - no HTML
    environment.filters["to_json"] = filters.json.dumps
    environment.filters["zklab.zookeeper.mwapp_environment"] = filters.mwapp_environment
    return environment.from_string((ROLE / "templates" / name).read_text()).render(
        ansible_managed="by Ansible",
        __mwapp_home="/opt/mwapp",
        __mwapp_config="/etc/mwapp.toml",
        __mwapp_tls_home="/etc/tls",
        __mwapp_status_home="/etc/status-tls",
        **variables,
    )


@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_the_unit_of_a_service(role: str) -> None:
    service = services()[role]
    lines = render("mwapp.service.j2", __mwapp_service=service).splitlines()
    release = f"/opt/mwapp/current/bin/python -I -m mwapp.release %t/mwapp-{role}"
    assert {
        f"ExecStopPost=-+{release}",
        f"ExecStartPre=-+{release}",
        "RuntimeDirectoryPreserve=restart",  # or there is nothing left to release
        f"Environment=MWAPP_REVISION={service['revision']}",
        f"ExecStart=/opt/mwapp/current/bin/mwapp {role} --config /etc/mwapp.toml",
        f"TimeoutStopSec={service['stop_timeout']}",
        "WatchdogSec=10",
    } <= set(lines)
    assert ("DynamicUser=true" in lines) == (role != "master")
    becoming = "AmbientCapabilities=CAP_SETUID CAP_SETGID"
    assert becoming not in lines
    service = services(mwapp_task_user="mwapp-task")[role]
    lines = render("mwapp.service.j2", __mwapp_service=service).splitlines()
    assert (becoming in lines) == (role != "master")
    assert ("SystemCallFilter=@setuid capset" in lines) == (role != "master")


@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_a_service_may_filter_system_calls_if_its_tasks_are_without_network(role: str) -> None:
    """@system-service of Debian 12 does not have seccomp(), and would kill who calls it."""
    for network in (True, False):
        service = services(mwapp_task_network=network)[role]
        lines = render("mwapp.service.j2", __mwapp_service=service).splitlines()
        assert ("SystemCallFilter=seccomp" in lines) == (role != "master" and not network)


@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_tasks_cannot_ask_logind_for_processes_outside_their_unit(role: str) -> None:
    """It is on D-Bus, which need not be there."""
    for user in ("", "mwapp-task"):
        service = services(mwapp_task_user=user)[role]
        lines = render("mwapp.service.j2", __mwapp_service=service).splitlines()
        assert ("InaccessiblePaths=-/run/dbus" in lines) == (role != "master" and bool(user))


@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_handlers_write_where_they_may_and_a_master_nowhere(role: str) -> None:
    given: dict[str, Any] = {"mwapp_data_directory": "yes", "mwapp_writable_paths": ["/srv/a", "/srv/b"]}
    lines = render("mwapp.service.j2", __mwapp_service=services(**given)[role]).splitlines()
    assert ("ReadWritePaths=/var/lib/mwapp /srv/a /srv/b" in lines) == (role != "master")
    # What is mounted over the network is there first.
    assert ("After=network-online.target remote-fs.target" in lines) == (role != "master")
    lines = render("mwapp.service.j2", __mwapp_service=services()[role]).splitlines()
    assert "After=network-online.target" in lines
    assert not [line for line in lines if "ReadWritePaths" in line]


def test_handlers_get_the_variables_that_are_set_and_where_their_data_are() -> None:
    given: dict[str, Any] = {"mwapp_environment": {"B": "1 2=3", "A": ""}, "mwapp_data_directory": True}
    of = filters.mwapp_environment
    assert of(VARIABLES | given) == ["A=", "B=1 2=3", "MWAPP_DATA_DIRECTORY=/var/lib/mwapp"]
    text: dict[str, Any] = {"mwapp_data_directory": "false"}
    assert services(**text) == services()
    assert of(VARIABLES | {"mwapp_environment": {"B": "1"}}) == ["B=1"]
    assert of(VARIABLES | {"mwapp_environment": {}}) == []
    odd: dict[object, str] = {True: "1", "A": "2", 7: "3"}  # this, too
    assert len(of(VARIABLES | {"mwapp_environment": odd})) == 3
    assert of(VARIABLES | {"mwapp_environment": "text"}) == []  # preflight refuses it


def test_what_is_shown_of_a_service_in_loops_has_no_values_of_variables() -> None:
    """With -v Ansible prints whatever it loops over."""
    one, other = (services(mwapp_environment={"PIN": pin}) for pin in ("12345", "67890"))
    assert "12345" not in str(one)
    for role in ("worker", "node"):
        assert one[role]["revision"] != other[role]["revision"]
    assert one["master"] == other["master"]


def test_no_difference_of_the_config_file_is_shown() -> None:
    (written,) = (
        task
        for task in yaml.safe_load((ROLE / "tasks/_configure.yml").read_text())
        if task.get("ansible.builtin.template", {}).get("src") == "mwapp.toml.j2"
    )
    assert written["diff"] is False


# What mwapp 0.4.0 takes; and it takes no 0 for slots.
OLDER = {
    *("listen", "advertise", "log_level", "max_attempts", "max_per_submitter", "retention", "keep"),
    *("depose_after", "prefetch", "label", "drain"),
}


@pytest.mark.parametrize("off", [False, "no"])
def test_an_older_release_takes_what_is_written_by_default(off: object) -> None:
    """Somebody may go back to it, with the configuration as it is."""
    made = services(mwapp_adopt=off)
    assert {key for service in made.values() for key in service["settings"]} == OLDER


def test_what_is_not_the_default_is_written() -> None:
    made = services(mwapp_adopt="yes", mwapp_slots="2")
    assert [made[role]["settings"].get("adopt") for role in ("master", "worker", "node")] == [
        True,
        None,
        True,
    ]
    assert [made[role]["settings"].get("slots") for role in ("master", "worker", "node")] == [None, 2, 2]


def test_where_the_data_are_is_one_place() -> None:
    said = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__mwapp_data"]
    assert services(mwapp_data_directory=True)["worker"]["writable"] == [said]


@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_a_service_with_tls_gets_its_key_from_systemd(role: str) -> None:
    """On disk it is root's. So root reads it for the release of the session, too."""
    service = services(mwapp_tls="true")[role]
    lines = render("mwapp.service.j2", __mwapp_service=service).splitlines()
    release = f"/opt/mwapp/current/bin/python -I -m mwapp.release %t/mwapp-{role}"
    release += f" /etc/tls/ca.pem /etc/tls/{role}.pem"
    assert {
        f"ExecStopPost=-+{release}",
        f"ExecStartPre=-+{release}",
        f"LoadCredential=tls.pem:/etc/tls/{role}.pem",
    } <= set(lines)
    assert service["settings"]["tls_cert"] == f"/run/credentials/mwapp-{role}.service/tls.pem"
    assert service["revision"] != services()[role]["revision"]
    assert "LoadCredential" not in render("mwapp.service.j2", __mwapp_service=services()[role])


@pytest.mark.parametrize("yes", [True, "true", "yes"])
@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_an_endpoint_with_tls_gets_its_key_from_systemd_too(role: str, yes: object) -> None:
    service = services(mwapp_status_tls=yes)[role]
    lines = render("mwapp.service.j2", __mwapp_service=service).splitlines()
    assert [line for line in lines if line.startswith("LoadCredential=")] == [
        f"LoadCredential=status.pem:/etc/status-tls/{role}.pem"
    ]
    assert service["settings"]["listen_cert"] == f"/run/credentials/mwapp-{role}.service/status.pem"
    assert service["status_tls"] is True
    without = services(mwapp_status_tls="no")[role]
    assert service["revision"] != without["revision"]
    assert without == services()[role]
    assert "listen_cert" not in without["settings"], "an older release does not know it"


@pytest.mark.parametrize("which", ["tls", "status_tls"])
def test_another_certificate_is_another_revision(which: str) -> None:
    one, other = (services({**SHARED, which: [mark]})["master"]["revision"] for mark in "ab")
    assert one != other


def test_a_status_endpoints_certificate_is_for_where_it_is_asked() -> None:
    groups = {"mwapp_workers": ["mw1", "mw2", "mw3"], "mwapp_masters": ["mw1"]}
    hostvars: dict[str, dict[str, Any]] = {
        "mw1": {"mwapp_name": "one", "ansible_host": "10.0.0.1", "mwapp_status_names": ["a", "10.0.0.1"]},
        "mw2": {
            "mwapp_host": "two.example.org",
            "mwapp_roles": ["node"],
            "mwapp_listen": "::",
            "mwapp_status_names": " b, c ",  # as -e gives it
        },
        "mw3": {"mwapp_listen": "192.0.2.3"},
    }
    made = filters.mwapp_status_certificates(["mw1", "mw2", "mw3"], hostvars, groups)
    assert {one["ca"] for one in made} == {"status"}
    assert {one["name"]: one["hosts"] for one in made} == {
        "mwapp-master-one": ["10.0.0.1", "127.0.0.1", "a"],
        "mwapp-worker-one": ["10.0.0.1", "127.0.0.1", "a"],
        "mwapp-node-mw2": ["two.example.org", "::1", "b", "c"],
        "mwapp-worker-mw3": ["mw3", "192.0.2.3"],
    }


def test_which_ca_the_status_endpoints_have_is_told_of_those_that_have_one() -> None:
    ca = pem(Maker().certificate).decode()
    hostvars: dict[str, dict[str, Any]] = {
        "mw1": {"__mwapp_status_found": {"stdout": ca + ca}},
        "mw2": {"__mwapp_status_found": {"stdout": "", "rc": 1}},
        "mw3": {"__mwapp_status_found": {"unreachable": True}},
        "mw4": {},
    }
    assert filters.mwapp_status_deployed(list(hostvars), hostvars) == {
        "mw1": {"status": fingerprints(ca + ca)}
    }


@pytest.mark.parametrize(("wanted", "runs"), [("no", ["master"]), ("yes", ["worker", "node"])])
def test_which_services_run_otherwise_than_the_inventory_wants(wanted: str, runs: list[str]) -> None:
    found = "/run/credentials/mwapp-master.service/status.pem\n"
    every = list(services(mwapp_status_tls=wanted).values())
    others = filters.mwapp_others(every, found)
    assert {one["role"]: one["status_tls"] for one in others} == dict.fromkeys(runs, wanted == "no")


@pytest.mark.parametrize(
    ("servers", "application", "apart"),
    [
        ({}, {}, False),
        ({}, {"mwapp_tls_dir": "~/.config/zklab/../zklab/tls"}, False),
        ({"zookeeper_tls_dir": "/srv/tls"}, {}, False),
        ({"zookeeper_tls_dir": "/srv/tls"}, {"mwapp_tls_dir": "/srv/tls/"}, False),
        ({"zookeeper_tls_dir": "/srv/tls"}, {"mwapp_tls_dir": "/srv/mwapp"}, True),
        ({}, {"mwapp_tls_dir": "/srv/mwapp"}, True),
        ({"zookeeper_tls_dir": "/srv/tls"}, {"mwapp_tls_dir": "$PLACE/tls"}, False),
    ],
)
def test_servers_and_application_have_one_directory_or_two(
    servers: dict[str, Any], application: dict[str, Any], apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a CA is changed both must get it."""
    monkeypatch.setenv("PLACE", "/srv")
    groups = {"zookeeper": ["zk1"], "mwapp_masters": ["mw1"], "mwapp_workers": ["mw1", "mw2"]}
    hostvars = {"zk1": servers, "mw1": {}, "mw2": application}
    assert (len(filters.mwapp_tls_dirs(groups, hostvars)) > 1) is apart
    groups["zookeeper"].append("zk2")
    hostvars["zk2"] = {"zookeeper_tls_dir": "/srv/else"}
    assert len(filters.mwapp_tls_dirs(groups, hostvars)) > 1


HOSTVARS: dict[str, dict[str, Any]] = {
    "zk1": {"zookeeper_tls": "true", "ansible_host": "10.0.0.1"},
    "zk2": {
        "zookeeper_tls": True,
        "zookeeper_tls_port": 2281,
        "zookeeper_client_port": 9,
        "zookeeper_tls_days": 90,
    },
    "mw1": {"mwapp_name": "one"},
    "mw2": {"mwapp_roles": ["node"]},
}


def test_servers_with_tls_are_reached_at_their_port_for_it() -> None:
    assert filters.mwapp_connect(["zk1", "zk2", "mw1"], HOSTVARS) == "10.0.0.1:2182,zk2:2281,mw1:2181"
    assert filters.mwapp_tls(["zk1", "mw1"], HOSTVARS)
    assert not filters.mwapp_tls(["mw1"], HOSTVARS)
    assert filters.mwapp_tls_days(["zk1", "zk2"], HOSTVARS) == [90, None]


def test_servers_with_a_packet_filter_are_known_by_their_variables() -> None:
    hostvars = {
        "zk1": {"zookeeper_packet_filter": "yes"},
        "zk2": {"zookeeper_packet_filter": False},
        "zk3": {},
    }
    assert filters.mwapp_servers_filter(["zk3", "zk1"], hostvars)
    assert not filters.mwapp_servers_filter(["zk2", "zk3"], hostvars)


def test_every_service_and_the_commands_of_a_host_have_certificates() -> None:
    groups = {"mwapp_workers": ["mw1", "mw2"], "mwapp_masters": ["mw1"]}
    names = [one["name"] for one in filters.mwapp_certificates(["mw1", "mw2"], HOSTVARS, groups)]
    assert names == [
        "mwapp-cli-one",
        "mwapp-master-one",
        "mwapp-worker-one",
        "mwapp-cli-mw2",
        "mwapp-node-mw2",
    ]


def test_a_host_calls_its_files_by_its_services() -> None:
    names = filters.mwapp_tls_names(["worker", "master"], "one")
    assert list(names.items()) == [
        ("worker", "client/mwapp-worker-one.pem"),
        ("master", "client/mwapp-master-one.pem"),
        ("cli", "client/mwapp-cli-one.pem"),
    ]  # in this order their digests are in the revisions
    assert filters.mwapp_tls_names(["worker", "master"], "one", "status") == {
        "worker": "status/mwapp-worker-one.pem",
        "master": "status/mwapp-master-one.pem",
    }
    texts = {file: f"the key in {file}" for file in names.values()} | {"client-ca.pem": "the CA"}
    assert filters.mwapp_tls_secrets(names, "/tls", texts) == {
        "/tls/worker.pem": "the key in client/mwapp-worker-one.pem",
        "/tls/master.pem": "the key in client/mwapp-master-one.pem",
        "/tls/cli.pem": "the key in client/mwapp-cli-one.pem",
    }
    assert filters.mwapp_tls_secrets({}, "/tls", {}) == {}


def test_keys_are_secret_and_for_root_alone() -> None:
    ca, *keys = filters.mwapp_tls_files("/tls", "the CA")
    assert ca == {"path": "/tls/ca.pem", "content": "the CA"}
    assert {key.pop("path") for key in keys} == {
        f"/tls/{user}.pem" for user in ("cli", "master", "worker", "node")
    }
    assert keys == [{"secret": True, "mode": "0600"}] * 4


def test_the_config_file() -> None:
    odd = {"ODD": 'é "quoted" \\ % $HOME \U0001f600'}
    given = VARIABLES | {"mwapp_environment": odd}
    both = [services(mwapp_environment=odd)[role] for role in ("master", "worker")]
    common = {"connect": "zk1:2181", "name": "mw1", "session_timeout": 6.0}
    text = render("mwapp.toml.j2", __mwapp_settings=common, __mwapp_wanted=both, __mwapp_variables=given)
    tables = {service["role"]: service["settings"] for service in both}
    tables["worker"] = tables["worker"] | {"env": [f"ODD={odd['ODD']}"]}
    assert tomllib.loads(text) == common | tables
    text = render("mwapp.toml.j2", __mwapp_settings=common, __mwapp_wanted=both, __mwapp_variables=VARIABLES)
    assert "env" not in tomllib.loads(text)["worker"], "an older release does not know it"


# ------------------------------------------------------------ the order of restarts


def test_the_active_one_restarts_after_those_that_stand_by_and_workers_last() -> None:
    def seen(role: str, state: str) -> dict[str, Any]:
        return {"item": {"role": role}, "observed": {"state": state}}

    found = {
        "mw1": [seen("worker", "ready"), seen("master", "active")],
        "mw2": [seen("master", "standby"), seen("worker", "active")],  # a worker is never the leader
        "mw3": [seen("node", "ready")],
    }
    hostvars = {host: {"__mwapp_seen": {"results": results}} for host, results in found.items()}
    order = restart_order(["mw1", "mw2", "mw3"], hostvars)
    assert [(one["item"]["role"], one["observed"]["state"]) for one in order] == [
        ("master", "standby"),
        ("node", "ready"),
        ("master", "active"),
        ("worker", "ready"),
        ("worker", "active"),
    ]
    assert len(restart_order(["mw2"], hostvars)) == 2


def test_clocks_that_are_apart_are_told() -> None:
    """This machine's is one of them. Who was not looked at has none."""
    clocks = {"w1": "1000000\nroot", "w2": "1086400", "w3": ""}
    hostvars: dict[str, Any] = {host: {"__mwapp_clock": {"stdout": text}} for host, text in clocks.items()}
    hostvars["w4"] = {}
    assert filters.mwapp_clocks(list(hostvars), hostvars) == {"w1": 1000000.0, "w2": 1086400.0}
    [said] = filters.mwapp_clocks_apart(list(hostvars), hostvars, 1000060.0)
    assert said.startswith(
        "The clock of w2 is 24.0 h ahead of that of this machine: correct it (timedatectl)"
    )
    [said] = filters.mwapp_clocks_apart(["w2"], hostvars, 1000060.0)
    assert "find out which is wrong" in said
    assert filters.mwapp_clocks_apart(["w1"], hostvars, 1000060.0) == []


def test_a_service_that_is_not_for_a_host_takes_its_keys_along() -> None:
    """A worker's host that was a master's must not have what a master may do."""
    tasks = yaml.safe_load((ROLE / "tasks/_service.yml").read_text())
    given = [its for task in tasks if (its := task.get("zklab.zookeeper.mwapp_service", {})).get("state")]
    files = ["{{ __mwapp_tls_home }}/{{ item.role }}.pem", "{{ __mwapp_status_home }}/{{ item.role }}.pem"]
    assert [its.get("files") for its in given] == [files, files]
    homes = {name: f"/etc/mwapp/{name}" for name in ("__mwapp_tls_home", "__mwapp_status_home")}
    for role in ("master", "worker", "node"):
        named = {jinja2.Template(file).render(homes, item={"role": role}) for file in files}
        placed = {
            entry["path"]
            for home in homes.values()
            for entry in filters.mwapp_tls_files(home, "")
            if entry["path"].endswith(f"/{role}.pem")
        }
        assert named == placed
