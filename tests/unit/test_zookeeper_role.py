"""The role's files: filters, modules, templates."""

from __future__ import annotations

import inspect
import re
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.plugins.filter import mathstuff
from kazoo.client import KazooClient

from chaos.cluster import SUPERUSER
from tests.unit.zookeeper_role import ROLE, load, load_file

filters = load_file("filter/zookeeper_filters.py")

PORTS = {"client_port": 2181, "quorum_port": 2888, "election_port": 3888}


def read(name: str) -> Any:
    return yaml.safe_load((ROLE / name).read_text())


def test_members_come_from_the_inventory() -> None:
    hostvars = {
        "c": {"zookeeper_id": 10, "zookeeper_observer": "false", "zookeeper_client_port": ""},
        "b": {"zookeeper_id": 2, "ansible_host": "192.0.2.2", "zookeeper_client_port": 2182}
        | {"zookeeper_observer": "yes"},
        "a": {"zookeeper_id": 1, "ansible_host": "192.0.2.1", "zookeeper_host": "a.internal"},
    }
    members = filters.zookeeper_members(["c", "b", "a"], hostvars, PORTS)
    assert [(m["name"], m["id"], m["host"], m["client_port"]) for m in members] == [
        ("a", 1, "a.internal", 2181),
        ("b", 2, "192.0.2.2", 2182),
        ("c", 10, "c", 2181),
    ]
    assert [m["observer"] for m in members] == [False, True, False]


def test_a_member_without_id_is_left_to_preflight() -> None:
    assert [
        m["id"] for m in filters.zookeeper_members(["a", "b"], {"a": {}, "b": {"zookeeper_id": 1}}, PORTS)
    ] == [1, None]


@pytest.mark.parametrize(
    ("running", "waiting", "stale", "pending"),
    [
        (True, [], [], False),
        (True, ["/etc/zookeeper/zoo.cfg"], [], True),
        (True, [], ["/usr/share/java/zookeeper.jar"], True),
        (False, ["/etc/zookeeper/zoo.cfg"], ["x"], False),  # it was started afresh
    ],
)
def test_who_must_be_restarted(running: bool, waiting: list[str], stale: list[str], pending: bool) -> None:
    known = {
        "__zookeeper_found": {"unit": {"running": running}, "stale": stale},
        "__zookeeper_files": {"waiting": waiting},
    }
    assert filters.zookeeper_pending(["zk1"], {"zk1": known}) == (["zk1"] if pending else [])


def test_a_file_that_was_restored_is_no_reason_to_restart() -> None:
    known = {
        "__zookeeper_found": {"unit": {"running": True}, "stale": ["/opt/a.jar", "/opt/b.jar"]},
        "__zookeeper_files": {"waiting": []},
    }
    for restored, pending in ((["/opt/a.jar", "/opt/b.jar"], []), (["/opt/a.jar"], ["zk1"])):
        host = known | {"__zookeeper_release": {"restored": restored}}
        assert filters.zookeeper_pending(["zk1"], {"zk1": host}) == pending


def render(name: str, **variables: object) -> str:
    """Render a template with the role's variables, as far as Jinja alone can."""
    environment = jinja2.Environment(  # noqa: S701 - configuration files, no HTML
        trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    ours = filters.FilterModule().filters()
    environment.filters |= {"bool": bool} | {f"zklab.zookeeper.{name}": ours[name] for name in ours}
    environment.filters["combine"] = lambda one, other: one | other
    environment.filters["extract"] = lambda key, container: container[key]
    constants = {key: value for key, value in read("vars/main.yml").items() if "{{" not in str(value)}
    inputs = {
        "__zookeeper_inputs": ["/etc/zookeeper/zoo.cfg"],
        "__zookeeper_way": {"classpath": "/opt/zookeeper/x/lib/*", "jars": ["/opt/zookeeper/x/lib/*.jar"]},
        "__zookeeper_found": {"heap_mb": 256},
        "__zookeeper_phase": "plain",
        "__zookeeper_tls_home": "/etc/zookeeper/tls",
        "__zookeeper_own_host": "zk1.example.org",
        "__zookeeper_superuser_known": True,
        "zookeeper_id": 1,
    }
    every = read("defaults/main.yml") | constants | inputs | variables
    text = (ROLE / "templates" / name).read_text()
    return environment.from_string(text).render(every, __zookeeper_settings=every)


def stage(*hosts: str, observers: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the template zoo.cfg.j2 knows of the members; it is rendered for the last of them."""
    members = [
        {"id": i, "host": host, "observer": host in observers, **PORTS} for i, host in enumerate(hosts, 1)
    ]
    return {"__zookeeper_stage": {"members": members}, "__zookeeper_me": members[-1]}


def test_server_lines() -> None:
    lines = render("zoo.cfg.j2", **stage("zk1", "10.0.0.2", "2001:db8::3")).splitlines()
    assert [line for line in lines if line.startswith("server.")] == [
        "server.1=zk1:2888:3888",
        "server.2=10.0.0.2:2888:3888",
        "server.3=[2001:db8::3]:2888:3888",
    ]


def test_an_observer_is_one_for_itself_and_for_the_others() -> None:
    mine = render("zoo.cfg.j2", **stage("zk1", "zk2", observers=("zk2",))).splitlines()
    others = render("zoo.cfg.j2", **stage("zk2", "zk1", observers=("zk2",))).splitlines()
    assert {"server.1=zk1:2888:3888", "server.2=zk2:2888:3888:observer", "peerType=observer"} < set(mine)
    assert "server.1=zk2:2888:3888:observer" in others
    assert "peerType=observer" not in others


@pytest.mark.parametrize("hosts", [("zk1",), ("zk1", "zk2", "zk3")])
def test_a_server_without_data_has_no_vote(hosts: tuple[str, ...]) -> None:
    assert "db.autocreate=false" in render("zoo.cfg.j2", **stage(*hosts)).splitlines()


def test_a_dead_member_has_its_line_until_its_turn_comes() -> None:
    """As the others know it, or they could not tell that it is the same."""
    voter_stages = load_file("filter/zookeeper_voter_stages.py").zookeeper_voter_stages
    lines = {str(n): f"zk{n}:2888:3888" for n in range(1, 5)} | {"5": "[fd00::5]:2889:3889"}
    found = {"data": True, "servers": lines, "unit": {"running": True}, "last_zxid": "0x1", "marker": False}
    members = [{"id": n, "name": f"zk{n}", "host": f"zk{n}", "observer": False, **PORTS} for n in (1, 2, 3)]
    seen = {m["name"]: found | {"trail": {}, "configured": True} for m in members}
    plan = voter_stages(members, seen, list(seen), "zk4,fd00::5")
    texts = [
        render("zoo.cfg.j2", __zookeeper_stage=stage, __zookeeper_me=stage["members"][0])
        for stage in plan["stages"]
    ]
    named = [[line for line in text.splitlines() if line.startswith("server.")] for text in texts]
    assert named == [
        [*(f"server.{n}=zk{n}:2888:3888" for n in (1, 2, 3)), "server.5=[fd00::5]:2889:3889"],
        [f"server.{n}=zk{n}:2888:3888" for n in (1, 2, 3)],
    ]


def test_a_single_server_has_no_server_line() -> None:
    text = render("zoo.cfg.j2", **stage("zk1"))
    assert "server." not in text
    assert "standaloneEnabled" not in text


def test_further_keys_and_admin_server() -> None:
    text = render(
        "zoo.cfg.j2",
        **stage("zk1"),
        zookeeper_config={"commitLogCount": 5, "audit.enable": True},
        zookeeper_admin_server=True,
    )
    assert {"commitLogCount=5", "audit.enable=true", "admin.serverAddress=127.0.0.1"} <= set(
        text.splitlines()
    )


def test_bounds_of_sessions_are_written_only_when_set() -> None:
    text = render("zoo.cfg.j2", **stage("zk1"), zookeeper_max_session_timeout=0)
    assert "SessionTimeout" not in text
    assert "maxSessionTimeout=120000" in render("zoo.cfg.j2", **stage("zk1")).splitlines()
    text = render("zoo.cfg.j2", **stage("zk1"), zookeeper_max_session_timeout=90000)
    assert "maxSessionTimeout=90000" in text.splitlines()
    assert "minSessionTimeout" not in text


def test_every_key_that_a_variable_has_is_written() -> None:
    several = {"zookeeper_client_address": "::1", "zookeeper_admin_server": True}
    several |= dict.fromkeys(("zookeeper_min_session_timeout", "zookeeper_max_session_timeout"), 9000)
    text = render("zoo.cfg.j2", **stage("zk1", "zk2", observers=("zk2",)), **several)
    keys = {line.partition("=")[0] for line in text.splitlines()} | {"jute.maxbuffer"}  # a flag, see below
    assert load("zookeeper_zoo_cfg").OWNED.keys() <= keys


def test_the_largest_request_is_the_same_for_server_and_shell() -> None:
    for name in ("zookeeper.service.j2", "zkCli.sh.j2"):
        assert "-Djute.maxbuffer=1048575 " in render(name)


def test_flags_reach_the_jvm_as_they_are() -> None:
    text = render("zookeeper.service.j2", zookeeper_jvm_flags=['-Da=50% of $HOME "x" \\'])
    assert '"-Da=50%% of $$HOME \\"x\\" \\\\"' in text
    assert "-Xms256m -Xmx256m" in text
    text = render("zookeeper.service.j2", zookeeper_jvm_flags="-Da=1,-Db=2")  # -e gives every value as text
    assert '    "-Da=1" \\\n    "-Db=2" \\\n' in text


def test_the_unit_may_write_where_flags_may_name_a_file() -> None:
    unit = render("zookeeper.service.j2")
    assert "\nLogsDirectory=zookeeper\n" in unit
    logs = load("zookeeper_rules").LOGS
    assert f"-XX:HeapDumpPath={logs} " in unit
    assert f"-XX:ErrorFile={logs}/hs_err_pid%%p.log " in unit, "systemd expands %p"


# What zkCli.sh does with this zoo.cfg and these words, in place of Java with what it is given.
CONNECTS = [
    ([], ["zk1.example.org:2182"]),
    (["-server", "zk2:2181/learn", "ls", "/a:2181"], ["zk2:2182/learn", "ls", "/a:2181"]),
    (["-server", "zk2,10.0.0.3:2181,[fe80::1]:2181"], ["zk2:2182,10.0.0.3:2182,[fe80::1]:2182"]),
    (["-server", "localhost:2181"], ["zk1.example.org:2182"]),
    (["-server", "127.0.1.1:2181,[::]:2182"], ["zk1.example.org:2182,zk1.example.org:2182"]),
    (
        ["-server", "[::1]/a", "create", "/b", "two words"],
        ["zk1.example.org:2182/a", "create", "/b", "two words"],
    ),
    (["-server", "zk2:2182"], ["zk2:2182"]),
    (["-server", "zk2:9999"], ["zk2:9999"]),
]


def shell(directory: Path, config: str, words: list[str], *, key: bool) -> list[str]:
    """What zkCli.sh would start, word by word."""
    (directory / "zoo.cfg").write_text(config)
    if key:
        (directory / "superuser.pem").touch()
    script = render(
        "zkCli.sh.j2",
        __zookeeper_config_dir=directory,
        __zookeeper_tls_home=directory,
        __zookeeper_java=r"printf %s\\n",
    )
    done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.processes
@pytest.mark.parametrize(("words", "expected"), CONNECTS)
def test_root_is_the_superuser_at_zkcli_whatever_port_is_typed(
    tmp_path: Path, words: list[str], expected: list[str]
) -> None:
    config = "clientPort=2181\nclientPortAddress=127.0.0.1\nsecureClientPort=2182\n"
    started = shell(tmp_path, config, words, key=True)
    assert "-Dzookeeper.client.secure=true" in started
    assert f"-Dzookeeper.ssl.keyStore.location={tmp_path}/superuser.pem" in started
    assert started[-len(expected) :] == expected


@pytest.mark.processes
@pytest.mark.parametrize(
    ("secure", "key"),
    [("", True), ("secureClientPort=2182\n", False), ("secureClientPort=2182\nportUnification=true\n", True)],
)
def test_others_are_at_the_port_of_loopback(tmp_path: Path, secure: str, key: bool) -> None:
    """And so is root, if there is no TLS, or not everywhere yet, or no certificate for root."""
    config = f"clientPort=2181\nclientPortAddress=127.0.0.1\n{secure}"
    started = shell(tmp_path, config, ["-server", "zk2:2181", "ls", "/"], key=key)
    assert started[-6:] == ["-server", "127.0.0.1:2181", "-server", "zk2:2181", "ls", "/"]
    assert not [word for word in started if "zookeeper.ssl" in word]


@pytest.mark.parametrize("phase", ["accepts", "tls"])
def test_servers_know_the_superuser_of_whom_there_is_a_certificate(phase: str) -> None:
    assert load("zookeeper_rules").SUPERUSER == SUPERUSER
    ours = f"X509AuthenticationProvider.superUser=CN={SUPERUSER}"
    lines = partial(render, "zoo.cfg.j2", **stage("zk1"), __zookeeper_phase=phase)
    assert lines(__zookeeper_superuser_known=True).splitlines().count(ours) == 1
    assert "superUser" not in lines(__zookeeper_superuser_known=False)


@pytest.mark.parametrize("phase", ["accepts", "speaks", "tls"])
def test_servers_look_out_for_renewed_certificates(phase: str) -> None:
    """Unless the inventory says that they shall not."""
    lines = partial(render, "zoo.cfg.j2", **stage("zk1"), __zookeeper_phase=phase)
    looks_out, read_config = load("zookeeper_reload").looks_out, load("zookeeper_zoo_cfg").parse_config
    assert looks_out(read_config(lines()), ())
    assert not looks_out(read_config(lines(zookeeper_config={"client.certReload": False})), ())
    assert not looks_out(read_config(render("zoo.cfg.j2", **stage("zk1"))), ())


FILE = "client/zookeeper-superuser.pem"
NAME = "X509AuthenticationProvider.superUser"


@pytest.mark.parametrize(
    ("text", "made", "config", "flags", "known"),
    [
        ("its key", [], {}, [], True),
        ("", [FILE], {}, [], True),
        ("", ["client/zk1.pem"], {}, [], False),  # from such a CA somebody else could have this name
        ("its key", [], {NAME: "CN=me"}, [], False),
        ("its key", [], {}, [f"-Dzookeeper.{NAME}=CN=me"], False),
    ],
)
def test_which_superuser_there_is(
    text: str, made: list[str], config: dict[str, str], flags: list[str], known: bool
) -> None:
    found = jinja2.Template(read("vars/main.yml")["__zookeeper_superuser_known"])
    assert found.render(
        __zookeeper_superuser_file=FILE,
        __zookeeper_tls_texts={FILE: text},
        __zookeeper_certificates={"files": made},
        zookeeper_config=config,
        zookeeper_jvm_flags=flags,
    ) == str(known)


@pytest.mark.parametrize("name", ["zkServer.sh.j2", "zkCli.sh.j2", "logback.xml.j2", "logback-cli.xml.j2"])
def test_the_other_templates_render(name: str) -> None:
    assert render(name)


def test_what_was_seen_of_all_hosts_is_joined() -> None:
    hostvars = {
        name: {"__zookeeper_found": {"data": name == "a", "deployed_ports": {"plain": 2182, "tls": 2183}}}
        for name in "ab"
    }
    left_out = [{"item": "c", "data": True}, {"item": "d", "unreachable": True}]
    seen = filters.zookeeper_seen(["a", "b"], hostvars, left_out)
    assert {name: found.get("data") for name, found in seen.items()} == {
        "a": True,
        "b": False,
        "c": True,
        "d": None,
    }
    assert filters.zookeeper_ports(["a", "b"], hostvars) == {"a": 2182, "b": 2182}
    assert filters.zookeeper_ports(["a", "b"], hostvars, True) == {"a": 2183, "b": 2183}


def test_refusals_of_all_hosts_are_told_once() -> None:
    hostvars = {
        "a": {"__zookeeper_found": {"problems": ["ids clash", "a is full"]}},
        "b": {"__zookeeper_found": {"problems": ["ids clash"]}},
        "c": {
            "__zookeeper_found": {
                "unreachable": True,
                "msg": "ssh: connect to host c port 22: No route to host",
            }
        },
        "d": {"__zookeeper_found": {"failed": True, "msg": "no python"}},
        "e": {"__zookeeper_found": {"problems": []}},
        "f": {},
        "g": {"__zookeeper_found": {"unreachable": True, "msg": "mkdir: No space left on device"}},
    }
    said = filters.zookeeper_refusals(list(hostvars), hostvars)
    assert said[:2] == ["ids clash", "a is full"]
    assert said[2].startswith(
        "c cannot be reached over SSH: connect to host c port 22: No route to host. Bring"
    )
    assert said[3] == "d could not be looked at: no python"
    assert said[2].endswith("a new host, or take it out of the group, and keep the old one off.")
    assert said[4].startswith("f is in another batch")
    assert said[5].startswith("g has no space left")
    assert said[5].endswith("and run again."), "nothing is lost for good"
    assert len(said) == 6
    assert filters.zookeeper_refusals(["e"], hostvars) == []


@pytest.mark.parametrize("said", ["Host key verification failed.", "x@zk1: Permission denied (publickey)."])
def test_the_number_of_a_server_that_runs_is_not_given_away(said: str) -> None:
    """Ansible alone does not come in; its number twice can lose a write."""
    hostvars = {"a": {"__zookeeper_found": {"unreachable": True, "msg": f"Failed via ssh: {said}"}}}
    [text] = filters.zookeeper_refusals(["a"], hostvars)
    assert text.endswith("While a member is missing, the others are left alone.")


def test_servers_with_and_without_tls_are_refused() -> None:
    hostvars = {
        name: {"__zookeeper_found": {"problems": [], "tls": tls}}
        for name, tls in {"a": True, "b": False, "c": True}.items()
    }
    assert (
        filters.zookeeper_refusals(["a", "c", "d"], hostvars | {"d": {"__zookeeper_found": {"problems": []}}})
        == []
    )
    assert filters.zookeeper_refusals(["a", "b", "c"], hostvars) == [
        "zookeeper_tls is true for a, c, but false for b: set it alike for all servers, in group_vars."
    ]


def test_a_log_that_cannot_be_read_is_told_with_the_reason() -> None:
    """The host of a server that is ill may be ill, too."""
    logs = [
        {"item": "zk1", "lines": ["ERROR x"]},
        {"item": "zk2", "unreachable": True, "msg": "Failed to make it.\nmkdir: No space left on device\n"},
        {"item": "zk3", "unreachable": True},
    ]
    gate = {"waited": 10, "problems": ["zk2 does not answer"]}
    text = render(
        "unhealthy.txt.j2",
        __zookeeper_gate=gate,
        __zookeeper_logs={"results": logs},
        ansible_play_hosts=[],
        hostvars={},
    )
    assert "zk1: its warnings and errors, the first cause first:\n  ERROR x\n" in text
    assert "zk2: its log cannot be read: mkdir: No space left on device\n" in text
    assert "zk3: its log cannot be read: no reason given\n" in text
    assert "Last zxid" not in text


def test_whoever_gives_up_data_of_an_ill_server_knows_how_far_all_others_go() -> None:
    """Those that --limit leaves out, too."""
    left_out = [
        {"item": "zk1", "data": True, "last_zxid": "0x200000032", "damaged": ""},
        {"item": "zk2", "data": True, "last_zxid": "0x200000010", "damaged": "/log.1"},
        {"item": "zk3", "data": False, "last_zxid": None},
        {"item": "zk4", "unreachable": True},
    ]
    text = render(
        "unhealthy.txt.j2",
        __zookeeper_gate={"waited": 10, "problems": []},
        __zookeeper_logs={"results": []},
        __zookeeper_left_out={"results": left_out},
        ansible_play_hosts=[],
        hostvars={},
    )
    assert (
        "run: zk1 0x200000032, epoch 2; zk2 at least 0x200000010, epoch 2 (its log /log.1 is damaged).\n"
        in text
    )
    assert "Not known, as --limit leaves them out and they could not be looked at: zk4.\n" in text


OLD, NEW = "0x200000010", "0x200000032"
KEEP = "zk3: keep its data, for "


@pytest.mark.parametrize(
    ("ill", "zk1", "modes", "told"),
    [
        (
            {"last_zxid": OLD},
            {},
            {},
            f"zk3: its data may be replaced: zk1 serves, and its last transaction, {NEW}, is not older than "
            f"{OLD}, the last of zk3. docs/operations.md says how, below reset.yml.",
        ),
        ({"last_zxid": NEW}, {}, {}, "zk3: its data may be replaced: zk1 serves"),
        (
            {"last_zxid": "0x200000033"},
            {},
            {},
            f"{KEEP}the last transaction of zk1, the newest of those that serve, is {NEW}, older than "
            "0x200000033.",
        ),
        # Restored from an early day, and an epoch that just began: its zxid is no transaction.
        (
            {"last_zxid": "0x200000011"},
            {"last_zxid": "0x300000000", "trail": {"0x100000005": 1}},
            {},
            f"{KEEP}the last transaction of zk2, the newest of those that serve, is {OLD}, older than "
            "0x200000011.",
        ),
        (
            {"last_zxid": OLD},
            {"last_zxid": "0x300000000", "trail": {"0x100000005": 1}},
            {},
            f"zk3: its data may be replaced: zk2 serves, and its last transaction, {OLD}, is not older",
        ),
        (
            {"last_zxid": OLD, "damaged": "/log.1"},
            {},
            {},
            "zk3: its log /log.1 is damaged, and may have writes that nobody else has: repair a copy of it "
            "(docs/operations.md, 'A damaged log'). If none can be repaired, what only this log has after "
            f"{OLD} is lost. Then its data may be replaced: zk1 serves",
        ),
        (
            {"last_zxid": OLD},
            {},
            {"zk1": None, "zk2": None},
            f"{KEEP}the others are not known to have a quorum",
        ),
        ({"last_zxid": OLD}, {}, {"zk2": "follower"}, f"{KEEP}the others are not known to have a quorum"),
        # Who leads has a follower, and this may be the one that does not answer.
        ({"last_zxid": OLD}, {}, {"zk1": "leader", "zk2": None}, f"{KEEP}the others are not known to have"),
        ({"last_zxid": OLD}, {"data": None}, {}, f"{KEEP}how far the data of zk1 go is not known."),
        ({"last_zxid": None}, {}, {}, None),
        ({"last_zxid": OLD}, {}, {"zk3": "follower"}, None),  # its data are not why
    ],
)
def test_whether_the_data_of_an_ill_server_may_be_replaced_is_said(
    ill: dict[str, Any], zk1: dict[str, Any], modes: dict[str, str | None], told: str | None
) -> None:
    """By name and zxid: nobody puts away what may be the newest."""
    zxids = {"zk1": {"last_zxid": NEW} | zk1, "zk2": {"last_zxid": OLD}, "zk3": ill}
    found = {name: {"data": True, "trail": {}, **its} for name, its in zxids.items()}
    if found["zk1"]["data"] is None:
        found["zk1"] = {"unreachable": True}
    modes = {"zk1": "follower", "zk2": "leader", "zk3": None} | modes
    gate = {
        "waited": 10,
        "problems": [],
        "blamed": ["zk3"],
        "members": {name: {"mode": mode} for name, mode in modes.items()},
    }
    text = render(
        "unhealthy.txt.j2",
        __zookeeper_gate=gate,
        __zookeeper_logs={"results": []},
        __zookeeper_left_out={"results": [{"item": name, **found[name]} for name in ("zk1", "zk2")]},
        ansible_play_hosts=["zk3"],
        hostvars={"zk3": {"inventory_hostname": "zk3", "__zookeeper_found": found["zk3"]}},
    )
    lines = [line for line in text.splitlines() if line.startswith("zk3: ")]
    assert len(lines) == (told is not None)
    assert told is None or lines[0].startswith(told)


def test_logs_are_shown_of_all_hosts_that_could_be_looked_at() -> None:
    """Those outside --limit, too: one of them may be why the ensemble is ill."""
    (task,) = (task for task in read("tasks/_health.yml") if "zklab.zookeeper.zookeeper_log" in task)
    environment = jinja2.Environment()  # noqa: S701 - no HTML
    environment.filters |= {"intersect": mathstuff.intersect, "union": mathstuff.union}

    def hosts(**known: Any) -> Any:
        known |= {
            "__zookeeper_gate": {"blamed": ["zk1", "zk2", "zk3", "zk4"]},
            "ansible_play_hosts": ["zk3", "zk5"],
        }
        looked = environment.from_string(task["vars"]["__zookeeper_looked_at"]).render(known)
        known["__zookeeper_looked_at"] = yaml.safe_load(looked)
        return sorted(yaml.safe_load(environment.from_string(task["loop"]).render(known)))

    left_out = [{"item": "zk1", "data": True}, {"item": "zk2", "unreachable": True}]
    assert hosts(__zookeeper_left_out={"results": left_out}) == ["zk1", "zk3"]
    assert hosts(__zookeeper_left_out={"results": []}) == hosts() == ["zk3"]


def test_who_is_held_back_until_the_newest_data_serve_is_told_when_they_do_not() -> None:
    """Two would be a quorum, and one of the first two cannot start."""

    def told(**stage: Any) -> str:
        members = [{"name": f"zk{number}"} for number in (1, 2, 3)]
        text: str = render(
            "unhealthy.txt.j2",
            __zookeeper_gate={"waited": 10, "problems": []},
            __zookeeper_stage={"asked": members[1:], **stage},
            __zookeeper_plan={"stages": [{"asked": members[1:]}, {"asked": members}]},
            __zookeeper_logs={"results": []},
            ansible_play_hosts=[],
            hostvars={},
        )
        return text

    text = told(newest_first=True)
    assert "Held back until zk2, zk3, which have the newest data, serve: zk1." in text
    assert (
        "no disk was restored from a backup or copied, any majority of the voters has all that was ack"
        in text
    )
    assert "`systemctl start zookeeper`" in text
    assert "Held back" not in told()


def test_while_servers_are_restarted_one_that_is_ill_stops_all() -> None:
    """The gate gives up on those that are idle only where they are restarted next, before a roll."""
    first = {}
    for path in (ROLE / "tasks").glob("*.yml"):
        for task in yaml.safe_load(path.read_text()):
            if "_health.yml" in (
                task.get("ansible.builtin.import_tasks"),
                task.get("ansible.builtin.include_tasks"),
            ):
                first[path.name] = task["vars"].get("__zookeeper_looks_first", False)
    rolls = dict.fromkeys(("_idle.yml", "_roll.yml", "_rolling_restart_next.yml"), False)
    # _restart.yml: one that serves nobody since it has new certificates is restarted next.
    assert first == dict.fromkeys(("_service.yml", "rolling_restart.yml", "_restart.yml"), True) | rolls
    settle = jinja2.Template(read("tasks/_health.yml")[0]["zklab.zookeeper.zookeeper_gate"]["settle"])
    gate = {"zookeeper_gate_timeout": "60", "omit": "omitted"}
    assert float(settle.render(gate)) > 600, "the time is over before, also if all answer late"
    assert settle.render(gate, __zookeeper_looks_first=True) == "omitted"


def test_who_was_asked_in_vain_to_reload_is_restarted_behind_the_gate() -> None:
    """The answer may take seconds, in which another server may have died."""
    tasks = read("tasks/_restart.yml")
    asks, gate, restart = (
        next(n for n, task in enumerate(tasks) if what in (*task, task.get("ansible.builtin.include_tasks")))
        for what in ("zklab.zookeeper.zookeeper_reload", "_health.yml", "ansible.builtin.systemd_service")
    )
    assert asks < gate < restart
    stops = jinja2.Template("{{ " + tasks[gate + 1]["ansible.builtin.assert"]["that"] + " }}")
    when = jinja2.Template("{{ " + tasks[gate]["when"] + " }}")
    answers = {"reloaded": False}, {"reloaded": True}, {"skipped": True}
    assert [when.render(__zookeeper_reload=answer) for answer in answers] == ["True", "False", "False"]
    stopped = [{"idle": idle} for idle in ([], ["zk2"], ["zk1"], ["zk1", "zk2"])]
    passes = [stops.render(__zookeeper_gate=gate, inventory_hostname="zk2") for gate in stopped]
    assert passes == ["True", "True", "False", "False"]
    # The gate may name another one first then; the one that was restarted is not restarted again.
    left = read("tasks/_roll.yml")[-1]["vars"]["__zookeeper_still_pending"].replace("}}", "| list }}")
    rolling = {"rolling": ["zk3", "zk2"]}
    assert jinja2.Template(left).render(__zookeeper_gate=rolling, __zookeeper_next="zk2") == "['zk3']"


def test_servers_answer_what_kazoo_asks_them() -> None:
    """Some of its recipes look at the version first, and fail where it is not told."""
    words = re.findall(r'self\.command\(b"(\w+)"\)', inspect.getsource(KazooClient.server_version))
    assert words == ["envi"]
    assert set(words) <= set(read("defaults/main.yml")["zookeeper_4lw_whitelist"])


def test_where_others_left_data_all_ends_are_told() -> None:
    """Or an operator would put away the newest there are."""

    def found(last: str | None, theirs: str = "", *, doubts: bool = False) -> dict[str, Any]:
        said = ["..."] if doubts else []
        return {"__zookeeper_found": {"problems": said, "doubts": said, "last_zxid": last, "theirs": theirs}}

    one, two, none = found("0x100000001"), found(None, "0x200000003", doubts=True), found(None)
    told = filters.zookeeper_refusals(["a", "b", "c"], {"a": one, "b": two, "c": none})
    assert told == [
        "...",
        "The last zxid of all data on each host is a: 0x100000001, epoch 1; b: 0x200000003, epoch 2; "
        "c: 0x0, epoch 0. Those of b must not be put away.",
    ]
    assert filters.zookeeper_refusals(["a", "c"], {"a": one, "c": none}) == []
    assert filters.zookeeper_refusals(["b", "c"], {"b": two, "c": none}) == ["..."], "there is no choice"
    limited = filters.zookeeper_refusals(["b"], {"b": two}, [{"item": "a", **one["__zookeeper_found"]}])
    assert limited[1].startswith(
        "The last zxid of all data on each host is b: 0x200000003, epoch 2; a: 0x1000"
    )
    unseen = filters.zookeeper_refusals(["b"], {"b": two}, [{"item": "a", "unreachable": True}])
    assert unseen[1].endswith("b: 0x200000003, epoch 2; a: unknown. Put none of them away.")
    adopted = found("0x200000003", "0x200000003")
    assert filters.zookeeper_refusals(["a", "b"], {"a": one, "b": adopted}) == []


@pytest.mark.parametrize("key", ["damaged", "theirs_damaged"])
@pytest.mark.parametrize("bad", ["a", "b"])
def test_where_a_log_is_damaged_no_data_may_be_put_away(bad: str, key: str) -> None:
    """What cannot be read of it may be the newest."""
    both: dict[str, dict[str, Any]] = {
        "a": {"problems": ["..."], "doubts": ["..."], "last_zxid": None, "theirs": "0x100000001"},
        "b": {"problems": ["..."], "doubts": ["..."], "last_zxid": None, "theirs": "0x200000003"},
    }
    both[bad][key] = "/log.1"
    told = filters.zookeeper_refusals(["a", "b"], {it: {"__zookeeper_found": both[it]} for it in both})[1]
    last = both[bad]["theirs"]
    assert f"{bad}: at least {last}, epoch {last[2]}, its log /log.1 is damaged" in told
    assert told.count("at least") == 1
    assert told.endswith(". Put none of them away.")
    assert "Those of" not in told


@pytest.mark.parametrize(
    "given",
    [
        {"zookeeper_config": {"skipACL": "yes"}},
        {"zookeeper_config": {"skipACL": True}},
        {"zookeeper_jvm_flags": ["-Da=b -Dzookeeper.skipACL=yes"]},
        {"zookeeper_jvm_flags": "-Da=b,-Dzookeeper.skipACL=yes"},  # of -e
    ],
)
def test_servers_do_not_ignore_lists_that_the_application_counts_on(given: dict[str, Any]) -> None:

    def found(settings: dict[str, Any]) -> dict[str, Any]:
        return {
            "__zookeeper_found": {
                "problems": [],
                "skips_lists": load("zookeeper_zoo_cfg").skips_lists(settings),
            }
        }

    for acl in ("yes", "no"):
        hostvars = {"a": found(given), "b": found({}), "mw1": {"mwapp_acl": acl}}
        told = filters.zookeeper_refusals(["a", "b"], hostvars)
        if acl == "no":
            assert told == []
        else:
            [text] = told
            assert text.startswith("skipACL is set for a (zookeeper_config or zookeeper_jvm_flags), and ")
            assert text.endswith("Remove it, or set mwapp_acl: false.")
    other = {"zookeeper_config": {"skipACL": "no"}, "zookeeper_jvm_flags": ["-Dzookeeper.skipACL=no"]}
    assert filters.zookeeper_refusals(["a"], {"a": found(other), "mw1": {"mwapp_acl": True}}) == []
