"""What preflight refuses: each refusal names the variable and the remedy."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.zookeeper_role import ROLE, load

rules = load("zookeeper_rules")
zoo_cfg = load("zookeeper_zoo_cfg")

DIGEST = "DigestAuthenticationProvider.superDigest"
DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())


def member(number: object, name: str = "", **other: object) -> dict[str, Any]:
    name = name or f"zk{number}"
    return {
        "name": name,
        "id": number,
        "host": name,
        "observer": False,
        "client_port": 2181,
        "quorum_port": 2888,
        "election_port": 3888,
    } | other


THREE = [member(i) for i in (1, 2, 3)]
CONFIG = {"dataDir": "/var/lib/zookeeper/zkData"} | {f"server.{i}": f"zk{i}:2888:3888" for i in (1, 2, 3)}


def settings(**changed: object) -> dict[str, Any]:
    return DEFAULTS | changed


def directory(path: str, myid: str | None = None, *, filled: bool = True) -> dict[str, Any]:
    return {"path": path, "myid": myid, "owner": 105, "filled": filled, "logs": False}


def found(**changed: object) -> dict[str, Any]:
    return {
        "os": {"id": "debian", "version": "13", "name": "Debian GNU/Linux 13 (trixie)"},
        "memory_mb": 2000,
        "listeners": {},
        "config": {},
        "data_dir": directory("/var/lib/zookeeper/zkData", filled=False),
        "txnlog_dir": directory("/var/lib/zookeeper/txnlog", filled=False),
        "targets": {name: DEFAULTS[name] for name in ("zookeeper_data_dir", "zookeeper_txnlog_dir")},
        "nowhere": {},
        "lacking": {},
        "unit": {"active": True},
        "other": None,
        "deployed_port": 2181,
        "buffer": 0,
        "account": {"uid": 105, "gid": 110, "uid_owner": None, "gid_owner": None},
        "address": {"text": "192.0.2.1", "own": True},
    } | changed


def with_data(myid: str = "1", config: dict[str, str] | None = None) -> dict[str, Any]:
    data = directory("/var/lib/zookeeper/zkData", myid)
    return found(config=CONFIG if config is None else config, data_dir=data)


def host(me: dict[str, Any] = THREE[0], members: list[dict[str, Any]] = THREE, **other: Any) -> str:
    return "\n".join(
        rules.host_problems(me, members, other.get("wanted", settings()), other.get("seen", found()))
    )


def test_a_sound_plan_passes() -> None:
    assert rules.member_problems(THREE, settings()) == []
    assert rules.setting_problems(settings()) == []
    assert rules.warnings(THREE) == []
    assert host() == ""
    assert host(seen=with_data()) == ""


def test_a_buffer_that_garbage_may_ask_for() -> None:
    """ZooKeeper reads a length, however large, before it sees that the log has ended."""
    said = host(seen=found(buffer=75826566))
    assert "but to read its data zk1 needs 75826566: set that or more" in said
    assert "If nothing so large was ever stored, one of its logs ends in garbage, as after a crash" in said
    assert "keep a copy of its logs first" in said


def targets(**changed: str) -> dict[str, Any]:
    """Where the links of the directories lead."""
    return found(targets=found()["targets"] | changed)


def test_a_link_leads_where_the_server_can_see_it() -> None:
    assert host(seen=targets(zookeeper_data_dir="/disk2/zk")) == ""
    said = host(seen=targets(zookeeper_data_dir="/home/zk"))
    assert said.startswith(
        "zookeeper_data_dir is /var/lib/zookeeper/zkData, which on zk1 leads to /home/zk: "
    )


def test_a_link_to_a_disk_that_is_not_mounted() -> None:
    """To remove it is the last resort: an empty server would begin there."""
    where = {"link": "/var/lib/zookeeper", "target": "/mnt/zk"}
    said = host(seen=found(nowhere={"zookeeper_data_dir": where}))
    assert said == (
        "zookeeper_data_dir is /var/lib/zookeeper/zkData, but on zk1 the link /var/lib/zookeeper leads to "
        "/mnt/zk, which is not there. Mount it, and run again. (If there is nothing to keep, remove the "
        "link.)"
    )


def test_two_links_do_not_lead_to_one_directory() -> None:
    """ZooKeeper looks at the names alone, and then refuses to start."""
    both = {"zookeeper_data_dir": "/disk2/zk", "zookeeper_txnlog_dir": "/disk2/zk"}
    said = host(seen=targets(**both))
    assert said.startswith(f"{' and '.join(both)} lead to the same directory on zk1, /disk2/zk: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not resolve"),
        ("127.0.1.1", "is 127.0.1.1, a loopback address"),
        ("::1", "is ::1, a loopback address"),
        ("0.0.0.0", "is 0.0.0.0, which is no address of a single host"),  # noqa: S104 - refused
        ("::", "is ::, which is no address of a single host"),
        ("224.0.0.1", "is 224.0.0.1, which is no address of a single host"),
        ("192.0.2.9", "is 192.0.2.9, which is no address of zk1"),
        ("fe80::1%eth0", "is fe80::1%eth0, which is no address of zk1"),
    ],
)
def test_a_server_must_be_able_to_listen_where_the_others_look_for_it(text: str | None, said: str) -> None:
    """Debian's installer gives a host's own name 127.0.1.1: the server waits there alone, and never joins."""
    nowhere = text is None or "single" in said
    seen = found(address={"text": text, "own": nowhere or text in ("127.0.1.1", "::1")})
    assert host(seen=seen).startswith(f"zookeeper_host of zk1 is zk1, which on zk1 itself {said}")
    assert host(members=THREE[:1], seen=seen) == "", "a single server waits for nobody"
    everywhere = settings(zookeeper_config={"quorumListenOnAllIPs": True})
    assert bool(host(seen=seen, wanted=everywhere)) == nowhere


@pytest.mark.parametrize("number", [0, 256, -1, "one", 1.5, True])
def test_an_id_that_is_no_id(number: object) -> None:
    [said] = rules.member_problems([member(number, "zk9")], settings())
    assert said.startswith(f"zookeeper_id of zk9 is {number!r}: give every host")


def test_a_missing_id() -> None:
    [said] = rules.member_problems([member(1), member(None, "zk2")], settings())
    assert "zookeeper_id is not set for zk2" in said
    assert len(rules.member_problems([member(None, "a"), member(None, "b")], settings())) == 2


@pytest.mark.parametrize("second", [2, "2"])
def test_an_id_given_twice(second: object) -> None:
    [said] = rules.member_problems([member(2, "a"), member(second, "b")], settings())
    assert said.startswith("zookeeper_id 2 is given to a and b")


@pytest.mark.parametrize(
    "changed",
    [
        {"zookeeper_config": {"extendedTypesEnabled": True}},
        {"zookeeper_jvm_flags": ["-Dzookeeper.extendedTypesEnabled=true"]},
    ],
)
def test_extended_types_take_the_highest_id(changed: dict[str, object]) -> None:
    assert rules.member_problems([member(255)], settings()) == []
    [said] = rules.member_problems([member(255)], settings(**changed))
    assert "from 1 to 254" in said


@pytest.mark.parametrize(
    ("host", "address"), [("10.0.0.1", "10.0.0.1:2888"), ("fd00::11", "[fd00::11]:2888")]
)
def test_two_servers_at_one_address(host: str, address: str) -> None:
    [said] = rules.member_problems([member(1, host=host), member(2, host=host)], settings())
    assert f"zk1 and zk2 both have the address {address}: set zookeeper_host" in said


@pytest.mark.parametrize(("size", "losses"), [(2, 0), (4, 1), (6, 2)])
def test_an_even_ensemble_is_only_warned_of(size: int, losses: int) -> None:
    members = [member(i) for i in range(1, size + 1)]
    assert rules.member_problems(members, settings()) == []
    assert f"survives the loss of {losses}," in rules.warnings(members)[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"zookeeper_client_port": 2888}, "zookeeper_client_port and zookeeper_quorum_port are both 2888"),
        ({"zookeeper_election_port": 70000}, "zookeeper_election_port is 70000: use 1 to 65535"),
        (
            {"zookeeper_admin_server": True, "zookeeper_admin_port": 2181},
            "zookeeper_admin_port are both 2181",
        ),
        ({"zookeeper_quorum_port": 0}, "zookeeper_quorum_port is 0: use 1 to 65535"),
        ({"zookeeper_quorum_port": 65536}, "zookeeper_quorum_port is 65536: use 1 to 65535"),
        ({"zookeeper_data_dir": "/run"}, "zookeeper_data_dir is /run: use an absolute path outside"),
        ({"zookeeper_snapshot_every": 1}, "zookeeper_snapshot_every is 1: use 2 or more"),
        ({"zookeeper_min_session_timeout": 120001}, "(120001 ms, 2 ticks if not set) is above"),
        ({"zookeeper_jvm_flags": ["-Xms1g"]}, "set zookeeper_heap_mb instead"),
        ({"zookeeper_data_dir": "data"}, "zookeeper_data_dir is data: use an absolute path"),
        ({"zookeeper_txnlog_dir": "/tmp/log"}, "zookeeper_txnlog_dir is /tmp/log"),  # noqa: S108 - to be refused
        (
            {"zookeeper_txnlog_dir": DEFAULTS["zookeeper_data_dir"]},
            "zookeeper_txnlog_dir is zookeeper_data_dir",
        ),
        ({"zookeeper_tick_time": 0}, "zookeeper_tick_time is 0"),
        ({"zookeeper_purge_keep": 2}, "zookeeper_purge_keep is 2: use 3 or more"),
        ({"zookeeper_tick_time": 2147483648}, "zookeeper_tick_time is 2147483648: use 2147483647 or less"),
        ({"zookeeper_max_buffer": 1 << 40}, "zookeeper_max_buffer is 1099511627776: use 2147483647 or less"),
        ({"zookeeper_max_outstanding": 0}, "zookeeper_max_outstanding is 0: use 1 or more"),
        ({"zookeeper_min_session_timeout": 150000}, "(150000 ms, 2 ticks if not set) is above"),
        ({"zookeeper_max_session_timeout": 1999}, "zookeeper_max_session_timeout (1999 ms"),
        (
            {"zookeeper_min_session_timeout": 20001, "zookeeper_max_session_timeout": 0},
            "zookeeper_max_session_timeout (20000 ms, 20 ticks if not set)",
        ),
        ({"zookeeper_jvm_flags": ["-Djute.maxbuffer=1"]}, "set zookeeper_max_buffer instead"),
        ({"zookeeper_4lw_whitelist": ["srvr"]}, "zookeeper_4lw_whitelist lacks mntr"),
        ({"zookeeper_jvm_flags": ["-Xmx1g"]}, "set zookeeper_heap_mb instead"),
        ({"zookeeper_jvm_flags": ["-Xlog:gc*:file=/var/log/gc.log:time"]}, "Choose a place in /var/log/zoo"),
        ({"zookeeper_jvm_flags": ["-Xlog:gc:gc.log"]}, "has -Xlog:gc:gc.log: the server cannot write there"),
        ({"zookeeper_jvm_flags": ["-Xloggc:/tmp/gc.log"]}, "the server cannot write there"),
        ({"zookeeper_jvm_flags": ["-XX:HeapDumpPath=/var/log/zookeeper/../x"]}, "the server cannot write"),
        ({"zookeeper_jvm_flags": ["-XX:ErrorFile=/var/log/zookeeper2/x"]}, "the server cannot write there"),
        (
            {"zookeeper_config": {"ssl.quorum.keyStore.password": "secret"}},
            "mode 0640, and set ssl.quorum.keyStore.passwordPath in zookeeper_config to the path",
        ),
        (
            {"zookeeper_jvm_flags": ["-Dzookeeper.ssl.trustStore.password=secret"]},
            "zookeeper_jvm_flags sets zookeeper.ssl.trustStore.password: a password there",
        ),
        (
            {"zookeeper_jvm_flags": ["-Dzookeeper.ssl.trustStore.password=secret"]},
            "and set ssl.trustStore.passwordPath in zookeeper_config",
        ),
        (
            {"zookeeper_jvm_flags": ["-Djavax.net.ssl.keyStorePassword=secret"]},
            "name it by ssl.keyStore.passwordPath or its like",
        ),
        (
            {"zookeeper_jvm_flags": [f"-Dzookeeper.{DIGEST}=secret"]},
            f"zookeeper_jvm_flags sets zookeeper.{DIGEST}: everybody on the host can read it in the process",
        ),
        (
            {"zookeeper_jvm_flags": [f"-Dzookeeper.{DIGEST}=secret"]},
            f"Set {DIGEST} in zookeeper_config: only root and the server read zoo.cfg.",
        ),
        (
            {"zookeeper_jvm_flags": [f"-Da=1 -Dzookeeper.{DIGEST}=secret"]},
            f"Set {DIGEST} in zookeeper_config",
        ),
        ({"zookeeper_jvm_flags": ["-Dmine.SECRET=secret"]}, "sets mine.SECRET: everybody on the host can"),
        ({"zookeeper_jvm_flags": ["-javaagent:a.jar=password=secret"]}, "a password there gets into logs"),
        (
            {"zookeeper_jvm_flags": ["-Dzookeeper.client.portUnification=true"], "zookeeper_tls": True},
            "zookeeper_jvm_flags sets zookeeper.client.portUnification: remove it while zookeeper_tls is tr",
        ),
        (
            {"zookeeper_jvm_flags": ["-Da=1 -Dzookeeper.ssl.keyStore.location=/x"], "zookeeper_tls": True},
            "sets zookeeper.ssl.keyStore.location: remove it while zookeeper_tls is true: keys and",
        ),
        (
            {"zookeeper_jvm_flags": ["-Dzookeeper.db.autocreate=true"]},
            "zookeeper_jvm_flags sets zookeeper.db.autocreate: remove it, the role keeps it false",
        ),
        (
            {"zookeeper_jvm_flags": ["-Dzookeeper.snapCount=5"]},
            "zookeeper_jvm_flags sets zookeeper.snapCount: set zookeeper_snapshot_every instead",
        ),
        ({"zookeeper_config": {DIGEST: ["super:=secret"]}}, f"sets {DIGEST} to ********: give it one number"),
        ({"zookeeper_config": {"flushdelay": 1}}, "unknown key flushdelay: did you mean flushDelay?"),
        ({"zookeeper_config": {"snapcount": 1}}, "unknown key snapcount: did you mean snapCount?"),
        ({"zookeeper_config": {"snapCount": 1}}, "set zookeeper_snapshot_every instead"),
        ({"zookeeper_config": {"db.autocreate": True}}, "remove it, the role keeps it false"),
        (
            {"zookeeper_config": {"admin.serverAddress": "::"}},
            "remove it, AdminServer always listens on loop",
        ),
        ({"zookeeper_config": {"weight.1": 2}}, "remove it, the role counts on plain majorities"),
        ({"zookeeper_config": {"whatever": 1}}, "unknown key whatever: a system property"),
        ({"zookeeper_config": {"tickTime": 1}}, "set zookeeper_tick_time instead"),
        ({"zookeeper_config": {"server.4": "zk4:2888:3888"}}, "the members come from the group"),
        (
            {"zookeeper_config": {"flushDelay": "1\nserver.4=evil"}},
            "give it one number, boolean or line of text",
        ),
        ({"zookeeper_config": {"flushDelay": None}}, "give it one number"),
        ({"zookeeper_config": {"flushDelay": [1]}}, "give it one number"),
    ],
)
def test_a_setting_that_cannot_work(changed: dict[str, object], said: str) -> None:
    problems = "\n".join(rules.setting_problems(settings(**changed)))
    assert said in problems
    assert "=secret" not in problems


@pytest.mark.parametrize(
    "changed",
    [
        {"zookeeper_admin_port": 2181},  # the admin server is off
        {"zookeeper_jvm_flags": ['-Xlog:gc*:file="/var/log/zookeeper/gc-%t.log":time:filecount=5']},
        {"zookeeper_jvm_flags": ["-Xlog:gc*", "-Xlog:gc:stdout:time", "-Xlog:disable", "-Xlog:gc::time"]},
        {"zookeeper_jvm_flags": [f"-XX:HeapDumpPath={DEFAULTS['zookeeper_data_dir']}/dumps"]},
        {"zookeeper_jvm_flags": ["-XX:+HeapDumpOnOutOfMemoryError", "-XX:HeapDumpPath=/var/log/zookeeper"]},
        {"zookeeper_jvm_flags": ["-Dcom.sun.management.jmxremote.password.file=/etc/zookeeper/jmx"]},
        {"zookeeper_jvm_flags": ["-Dzookeeper.client.portUnification=true", "-Dzookeeper.mine=1"]},
        {"zookeeper_jvm_flags": ["-Dzookeeper.server.principal=x"], "zookeeper_tls": True},
        {"zookeeper_config": {DIGEST: "super:secret"}},
        {"zookeeper_quorum_port": 1, "zookeeper_election_port": 65535},
        {"zookeeper_data_dir": "/running/zk", "zookeeper_txnlog_dir": "/devices"},
        {"zookeeper_min_session_timeout": 120_000},
        {"zookeeper_max_session_timeout": 2000},
        {"zookeeper_snapshot_every": 2, "zookeeper_purge_keep": 3, "zookeeper_preallocate_kb": 64},
    ],
)
def test_a_setting_that_is_just_right(changed: dict[str, object]) -> None:
    assert rules.setting_problems(settings(**changed)) == []


def test_a_word_for_all_words_is_enough() -> None:
    assert rules.setting_problems(settings(zookeeper_4lw_whitelist=["*"])) == []


@pytest.mark.parametrize(
    "key", ["ssl.keyStore.location", "metricsProvider.className", "commitLogCount", "server.principal"]
)
def test_keys_of_zoo_cfg_without_a_variable(key: str) -> None:
    assert zoo_cfg.setting_problem(key, "x") is None


def test_an_unsupported_system() -> None:
    seen = found(os={"id": "fedora", "version": "40", "name": "Fedora Linux 40"})
    assert (
        host(seen=seen) == "zk1 runs Fedora Linux 40: this role installs from the packages of debian 12/13."
    )


def test_a_heap_beyond_the_memory() -> None:
    assert "zookeeper_heap_mb is 3000, but zk1 has 2000 MB" in host(wanted=settings(zookeeper_heap_mb=3000))


def test_a_buffer_into_which_the_data_do_not_fit() -> None:
    least = DEFAULTS["zookeeper_max_buffer"]
    assert host(seen=found(buffer=least)) == ""
    assert f"needs {least + 1}: set that or more" in host(seen=found(buffer=least + 1))


def test_a_port_that_is_taken() -> None:
    said = host(seen=found(listeners={2181: "redis (process 7)", 8080: "nginx (process 8)"}))
    assert (
        said
        == "zookeeper_client_port 2181 is taken on zk1 by redis (process 7): stop that, or set another port."
    )


def test_an_id_changed_under_data() -> None:
    said = host(seen=with_data(myid="2"))
    assert "zookeeper_id of zk1 is 1, but its data belongs to server 2: set zookeeper_id back to 2" in said


def test_an_id_may_change_before_there_is_data() -> None:
    assert host(seen=found(data_dir=directory("/d", "2", filled=False), config=CONFIG)) == ""


def test_data_must_not_be_left_behind() -> None:
    said = host(seen=with_data(), wanted=settings(zookeeper_data_dir="/srv/zk"))
    assert "zookeeper_data_dir is /srv/zk, but zk1 has its data in /var/lib/zookeeper/zkData" in said


def test_observers_do_not_make_an_ensemble_even() -> None:
    assert rules.warnings([*THREE, member(4, observer=True)]) == []
    assert "survives the loss of 0," in rules.warnings([*THREE[:2], member(3, observer=True)])[0]


def test_the_members_a_configuration_names() -> None:
    config = {
        "server.1": "zk1:2888:3888:participant;2181",
        "server.2": "[2001:db8::2]:2888:3888",
        "server.3": "zk3:2888:3888:observer",
        "serverCnxnFactory": "x",
    }
    assert rules.servers(config) == {
        "1": "zk1:2888:3888",
        "2": "[2001:db8::2]:2888:3888",
        "3": "zk3:2888:3888:observer",
    }


def test_a_host_may_get_another_name() -> None:
    assert host(members=[member(i, host=f"10.0.0.{i}") for i in (1, 2, 3)], seen=with_data()) == ""


def test_zoo_cfg_is_read() -> None:
    text = "# c=1\n! c=1\n\ndataDir = /d \nserver.1=zk1:2888:3888\nbroken\nautopurge.snapRetainCount=3"
    assert zoo_cfg.parse_config(text) == {
        "dataDir": "/d",
        "server.1": "zk1:2888:3888",
        "autopurge.snapRetainCount": "3",
    }
