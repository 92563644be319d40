"""The module zookeeper_preflight, run as Ansible runs it, on a host below a directory of its own."""

from __future__ import annotations

import grp
import hashlib
import ipaddress
import os
import pwd
import shutil
import socket
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import hashes

from testbed.tls_files import Maker, pem
from tests.unit.ansible_module import reroot, run
from tests.unit.test_zookeeper_jars import jar
from tests.unit.test_zookeeper_sizes import log as large_log
from tests.unit.zookeeper_role import ROLE, load, load_file

pytestmark = pytest.mark.processes

preflight = load_file("modules/zookeeper_preflight.py")

DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
VARS: dict[str, Any] = yaml.safe_load((ROLE / "vars/main.yml").read_text())
OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\nHOME_URL="x"\n'
PORTS = {"client": 2181, "quorum": 2888, "election": 3888, "admin": 8080}
ME = {
    "zookeeper_user": pwd.getpwuid(os.geteuid()).pw_name,
    "zookeeper_group": grp.getgrgid(os.getegid()).gr_name,
}


def own_address() -> str:
    """One of this machine's that is not loopback. (Nothing is sent.)"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


# systemctl show zookeeper.service --property=A,B: what is asked for of what there is.
SHOW = """
[ "$1 $2" = "show zookeeper.service" ] || exit 1
IFS=,
for name in ${3#--property=}; do eval "echo $name=\\$$name"; done
"""


class Host:
    """A Debian host below ``root``, on which nothing is installed or runs. Processes it has none."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        reroot(preflight, root, monkeypatch)
        monkeypatch.setattr(preflight, "ROOT", os.geteuid())
        monkeypatch.setattr(load("zookeeper_rules"), "UNSEEN", ())  # or nothing could be below /tmp
        monkeypatch.setenv("PATH", str(root / "bin"), prepend=":")
        self.write("etc/os-release", OS_RELEASE)
        self.write("proc/meminfo", "MemTotal:        4096000 kB\nMemFree:         2048000 kB\n")
        self.unit(LoadState="not-found", ActiveState="inactive", MainPID=0)
        self.packages()
        settings = {
            setting.variable: DEFAULTS[setting.variable] for setting in load("zookeeper_settings").SETTINGS
        }
        settings |= {f"zookeeper_{name}_port": port for name, port in PORTS.items()}
        self.data, self.txnlog = root / "data", root / "txnlog"
        self.theirs = ""  # where another installation has its data
        directories = {"zookeeper_data_dir": str(self.data), "zookeeper_txnlog_dir": str(self.txnlog)}
        self.settings: dict[str, Any] = settings | directories | ME

    def program(self, name: str, script: str) -> None:
        self.write(f"bin/{name}", f"#!/bin/sh\n{script}").chmod(0o755)

    def unit(self, **state: object) -> None:
        """What systemd knows of it."""
        self.program("systemctl", "".join(f"{key}={value}\n" for key, value in state.items()) + SHOW)

    def packages(self, *known: str) -> None:
        """What dpkg knows of those that are asked for; 1 says that it does not know them all."""
        self.program("dpkg-query", "".join(f"echo {line}\n" for line in known) + "exit 1")

    def processes(self) -> None:
        """Those of this machine, among them this one."""
        if not (self.root / "proc").is_symlink():
            shutil.rmtree(self.root / "proc")
            (self.root / "proc").symlink_to("/proc")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def runs(self, **changed: object) -> None:
        """The unit is there, and its process is this one."""
        self.processes()
        state = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
        self.unit(**{**state, "SubState": "running", "MainPID": os.getpid(), **changed})

    def configured(self, path: str = "etc/zookeeper/zoo.cfg", **changed: object) -> None:
        """There is a zoo.cfg of three members, with this in it."""
        config = {"dataDir": self.data, "dataLogDir": self.txnlog, "clientPort": 2181} | changed
        config |= {f"server.{n}": f"zk{n}:2888:3888" for n in (1, 2, 3)}
        self.write(path, "".join(f"{key}={value}\n" for key, value in config.items() if value is not None))

    def look(self, me: int = 1, *, size: int = 3, check: bool = False, **settings: object) -> dict[str, Any]:
        """What the module says on the host zk1 (2, 3)."""
        ports = {"client_port": 2181, "tls_port": 2182, "quorum_port": 2888, "election_port": 3888}
        members = [
            {"name": f"zk{n}", "id": n, "host": f"zk{n}", "observer": False} for n in range(1, size + 1)
        ]
        if me <= size:
            members[me - 1]["host"] = own_address()
        arguments = {
            "name": f"zk{me}",
            "members": [member | ports for member in members],
            "settings": self.settings | settings,
            "packages": ["java", "libzookeeper-java"],
            "classpath": f"{self.root}/jars/*",
        }
        return run(preflight, arguments, check=check)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


# ------------------------------------------------------------ what there is


def test_a_host_with_nothing_on_it(host: Host) -> None:
    host.write("var/lib/apt/lists/lock", "")  # apt has one even when it has no list
    answer = host.look()
    assert answer["problems"] == []
    assert not answer["changed"]
    expected = {"present": False, "active": False, "enabled": False, "pid": 0, "running": False}
    assert answer["unit"] == expected
    assert (answer["data"], answer["marker"], answer["servers"], answer["stale"]) == (False, False, {}, [])
    assert answer["deployed_ports"]["plain"] == host.settings["zookeeper_client_port"]
    assert answer["missing"] == ["java", "libzookeeper-java"]
    assert (answer["manuals"], answer["apt_lists"]) == (False, False)
    assert answer["heap_mb"] == 992


def test_check_mode_looks_too(host: Host) -> None:
    assert "unit" in host.look(check=True)


def test_a_host_with_a_server_that_runs(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.runs()
        host.configured(clientPort=port)
        host.configured("run/zookeeper/zoo.cfg", clientPort=port)
        answer = host.look()
    assert answer["problems"] == []
    expected = {"present": True, "active": True, "enabled": True, "pid": os.getpid(), "running": True}
    assert answer["unit"] == expected
    assert answer["deployed_ports"]["plain"] == port
    assert answer["servers"] == {str(n): f"zk{n}:2888:3888" for n in (1, 2, 3)}


# ------------------------------------------------------------ TLS


TLS: dict[str, Any] = {"ssl.keyStore.location": "/etc/zookeeper/tls/client.pem", "secureClientPort": 2182}


def test_a_server_that_runs_with_tls(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "TLS_HOME", Path("/etc/zookeeper/tls"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.runs()
        host.configured("run/zookeeper/zoo.cfg", **TLS | {"secureClientPort": port})
        answer = host.look(zookeeper_tls=True)
    assert answer["problems"] == []
    assert (answer["speaks"], answer["deployed_ports"]["tls"], answer["unit"]["running"]) == (
        "tls",
        port,
        True,
    )
    assert answer["trusts"] == {"client": [], "quorum": []}


def test_which_cas_a_server_trusts(host: Host) -> None:
    certificate = Maker().certificate
    host.runs()
    host.configured(
        "run/zookeeper/zoo.cfg", **TLS | {"ssl.keyStore.location": host.root / "etc/zookeeper/tls/client.pem"}
    )
    host.write("etc/zookeeper/tls/quorum-ca.pem", pem(certificate).decode())
    (found,) = host.look(zookeeper_tls=True)["trusts"]["quorum"]
    assert found == certificate.fingerprint(hashes.SHA256()).hex()


def test_a_server_that_runs_without_tls_or_not_at_all(host: Host) -> None:
    host.configured(**TLS)
    assert host.look()["speaks"] == "", "none runs"
    host.runs()
    host.configured(secureClientPort=2182)
    answer = host.look(zookeeper_tls=True)
    assert (answer["speaks"], answer["trusts"]) == ("plain", {}), "somebody's own TLS"


def test_a_new_host_will_be_asked_on_the_port_for_tls(host: Host) -> None:
    assert host.look(zookeeper_tls_port=2999)["deployed_ports"] == {"plain": 2181, "tls": 2999}


def test_how_far_a_server_has_come_on_the_way_to_tls(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "TLS_HOME", Path("/etc/zookeeper/tls"))
    host.runs()
    for phase, keys in {
        "accepts": {"portUnification": "true", "sslQuorum": "false"},
        "speaks": {"portUnification": "true", "sslQuorum": "true"},
        "tls": {"sslQuorum": "true"},
    }.items():
        host.configured("run/zookeeper/zoo.cfg", **TLS, **keys)
        answer = host.look()
        assert (answer["speaks"], answer["trusts"]) == (phase, {"client": [], "quorum": []})


def test_who_is_connected_from_elsewhere(host: Host) -> None:
    """As /proc tells it on this machine, whose words have their bytes the other way round, or not."""

    def text(address: str, port: int) -> str:
        data = ipaddress.ip_address(address).packed
        words = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4))
        return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"

    def table(*rows: tuple[str, int, str, str]) -> str:
        lines = [
            f"{n}: {text(here, port)} {text(there, 40000)} {state} 00000000:00000000 00:00000000 0 0 0 1 1"
            for n, (here, port, there, state) in enumerate(rows)
        ]
        return "\n".join(["  sl  local_address rem_address st", *lines, ""])

    established, listening = "01", "0A"
    host.write(
        "proc/net/tcp",
        table(
            ("10.0.0.1", 2181, "10.0.0.5", listening),
            ("10.0.0.1", 2181, "10.0.0.9", established),
            ("10.0.0.1", 2181, "10.0.0.1", established),
            ("127.0.0.1", 2181, "127.0.0.2", established),
            ("10.0.0.1", 22, "10.0.0.7", established),
            ("10.0.0.1", 2181, "10.0.0.6", "06"),
        ),
    )
    mapped = ("::ffff:10.0.0.1", 2181, "::ffff:10.0.0.8", established)
    host.write("proc/net/tcp6", table(mapped, ("fd00::1", 2181, "fd00::9", established)))
    assert preflight.clients(2181) == ["10.0.0.8", "10.0.0.9", "fd00::9"]
    assert host.look()["clients"] == {}, "no server runs"


def test_a_servers_clients_are_told_by_its_ports(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.runs()
        host.configured("run/zookeeper/zoo.cfg", clientPort=port)
        assert host.look()["clients"] == {"plain": [], "tls": []}


def test_a_hosts_addresses_are_those_that_others_see(host: Host) -> None:
    me = own_address()
    one = {"name": "zk1", "host": me, "quorum_port": 2888}
    others = [
        {"name": "zk2", "host": "127.0.0.1", "quorum_port": 2888},
        {"name": "zk3", "host": "a..b", "quorum_port": 1},
    ]
    assert preflight.sources(one, [one, *others]) == ["127.0.0.1"]
    assert host.look()["addresses"] == [me]
    assert host.look(size=1)["addresses"] == [me]


def test_the_hosts_clock_is_told(host: Host) -> None:
    assert abs(host.look()["clock"] - time.time()) < 60


def test_settings_of_tls_are_judged(host: Host) -> None:
    def problems(**settings: Any) -> list[str]:
        return list(host.look(zookeeper_tls=True, **settings)["problems"])

    assert problems() == []
    assert (
        "zookeeper_client_port and zookeeper_tls_port are both 2181" in problems(zookeeper_tls_port=2181)[0]
    )
    assert "zookeeper_config sets sslQuorum: remove it" in problems(zookeeper_config={"sslQuorum": False})[0]
    assert (
        "zookeeper_tls_renew_days is 9, but" in problems(zookeeper_tls_days=9, zookeeper_tls_renew_days=9)[0]
    )
    assert host.look(zookeeper_tls=False, zookeeper_config={"sslQuorum": True})["problems"] == []
    assert "zookeeper_tls_clients names mwapp-x: " in problems(zookeeper_tls_clients=["a", "mwapp-x"])[0]
    assert "reserved for root of the servers" in problems(zookeeper_tls_clients=["zookeeper-superuser"])[0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.processes()
        assert f"zookeeper_tls_port {port} is taken on zk1" in problems(zookeeper_tls_port=port)[0]
        assert host.look(zookeeper_tls=False, zookeeper_tls_port=port)["problems"] == []
        host.configured(**TLS)
        assert f"zookeeper_tls_port {port} is taken on zk1" in problems(zookeeper_tls_port=port)[0]


def test_what_apt_needs_to_know(host: Host) -> None:
    host.packages("java installed", "libzookeeper-java config-files")
    host.write("var/lib/apt/lists/deb.debian.org_dists_trixie_main_binary-amd64_Packages.lz4", "")
    (host.root / "usr/share/man/man1").mkdir(parents=True)
    answer = host.look()
    assert answer["missing"] == ["libzookeeper-java"]
    assert (answer["manuals"], answer["apt_lists"]) == (True, True)


def test_a_user_and_a_group_that_are_not_there(host: Host) -> None:
    assert host.look()["account"] == {"user": True, "group": True, "uid": 0, "gid": 0}
    answer = host.look(zookeeper_user="no-such-user", zookeeper_uid="61234", zookeeper_gid=61235)
    assert answer["problems"] == [
        f"zookeeper_gid is 61235, but group {ME['zookeeper_group']} on zk1 has "
        f"{os.getegid()}: set that, or 0."
    ]
    answer = host.look(zookeeper_group="no-such-group", zookeeper_gid=61235)
    assert answer["problems"] == []
    assert answer["account"] == {"user": True, "group": False, "uid": 0, "gid": 61235}


def test_ids_that_another_has(host: Host) -> None:
    [said] = host.look(zookeeper_user="no-such-user", zookeeper_uid=1)["problems"]
    assert (
        said
        == f"zookeeper_uid is 1, which on zk1 is user {pwd.getpwuid(1).pw_name}: set another, or 0 for any."
    )
    [said] = host.look(zookeeper_group="no-such-group", zookeeper_gid=1)["problems"]
    assert (
        said
        == f"zookeeper_gid is 1, which on zk1 is group {grp.getgrgid(1).gr_name}: set another, or 0 for any."
    )
    known = pwd.getpwuid(1).pw_name
    assert host.look(zookeeper_user=known, zookeeper_uid=1)["problems"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives data away")
def test_another_user_while_the_server_runs(host: Host) -> None:
    """All data are given to the user at once, and a server that runs could not write them any more."""
    host.write("data/version-2/snapshot.0", "")
    host.write("data/myid", "1\n")
    os.chown(host.data / "version-2", 61234, 0)
    assert host.look()["problems"] == [], "as on a disk from another host"
    host.runs()
    for user in (ME["zookeeper_user"], "no-such-user"):
        [said] = host.look(zookeeper_user=user)["problems"]
        assert f"zookeeper_user is {user}, but the server of zk1 runs" in said
        assert "user 61234 has its data. Set it back" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"LoadState": "not-found"}, "present"),
        ({"ActiveState": "activating"}, "active"),
        ({"UnitFileState": "disabled"}, "enabled"),
    ],
)
def test_the_units_state(changed: dict[str, str], said: str, host: Host) -> None:
    host.runs(**changed)
    unit = host.look()["unit"]
    assert [key for key in ("present", "active", "enabled") if not unit[key]] == [said]


def test_a_systemd_that_does_not_answer_is_a_failure(host: Host) -> None:
    host.program("systemctl", "exit 1")
    answer = host.look()
    assert answer["failed"]
    assert "problems" not in answer


# ------------------------------------------------------------ active, and running


def test_what_is_active_but_does_not_listen_does_not_run(host: Host) -> None:
    """It starts, or fails again and again: nothing may be held back from it, and no port is to be asked."""
    host.runs()
    host.configured()
    unit = host.look()["unit"]
    assert (unit["active"], unit["running"]) == (True, False)


def test_what_listens_for_another_process_does_not_run(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host.runs(MainPID=os.getppid())
        host.configured(clientPort=listener.getsockname()[1])
        assert not host.look()["unit"]["running"]


def test_what_listens_and_is_not_active_does_not_run(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host.runs(ActiveState="deactivating")
        host.configured(clientPort=listener.getsockname()[1])
        assert not host.look()["unit"]["running"]


def test_a_server_runs_on_the_port_it_has_not_on_the_one_it_is_to_have(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host.runs()
        host.configured()
        port = listener.getsockname()[1]
        assert not host.look(zookeeper_client_port=port)["unit"]["running"]
        host.configured(clientPort=port)
        answer = host.look()
    assert answer["unit"]["running"]
    assert answer["problems"] == [], "its own ports are not taken"


def test_a_port_that_another_process_has(host: Host) -> None:
    host.processes()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        [said] = host.look(zookeeper_election_port=port)["problems"]
        assert said.startswith(f"zookeeper_election_port {port} is taken on zk1 by ")
        assert f"(process {os.getpid()})" in said
        assert host.look(zookeeper_admin_port=port)["problems"] == []
        [said] = host.look(zookeeper_admin_port=port, zookeeper_admin_server=True)["problems"]
        assert said.startswith(f"zookeeper_admin_port {port} is taken")


def test_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        others, own = preflight.listeners({port}, os.getpid())
        assert (others, own) == ({}, {port})
        others, own = preflight.listeners({port}, 0)
        assert own == set()
        assert f"(process {os.getpid()})" in others[port]
    assert preflight.listeners({port}, 0) == ({}, set())


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        with client, listener.accept()[0]:
            assert preflight.listeners({client.getsockname()[1]}, 0) == ({}, set())


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_java_listens_by_ipv6() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        assert preflight.listeners({port}, os.getpid()) == ({}, {port})


# ------------------------------------------------------------ the configuration in force


def test_in_force_is_what_the_server_was_started_with(host: Host) -> None:
    """Not the zoo.cfg that waits for the next start."""
    host.runs()
    (host.root / "old/version-2").mkdir(parents=True)
    (host.root / "old/version-2/snapshot.0").touch()
    host.configured(clientPort=2191, dataDir=host.root / "new")
    host.configured("run/zookeeper/zoo.cfg", clientPort=2182, dataDir=host.root / "old")
    answer = host.look(zookeeper_data_dir=str(host.root / "old"))
    assert (answer["deployed_ports"]["plain"], answer["data"], answer["problems"]) == (2182, True, [])


@pytest.mark.parametrize("before", [None, ""])
def test_when_nothing_runs_what_is_on_disk_counts(before: str | None, host: Host) -> None:
    if before is not None:
        host.write("run/zookeeper/zoo.cfg", before)
    host.configured(clientPort=2191)
    answer = host.look()
    assert answer["deployed_ports"]["plain"] == 2191
    assert list(answer["servers"]) == ["1", "2", "3"]


def test_what_changed_since_the_start(host: Host) -> None:
    record = host.root / "run/zookeeper/started-with"
    host.runs()
    assert host.look()["stale"] == [str(record)], "not started by our unit"
    config, jar = host.write("zoo.cfg", "a"), host.write("a name.jar", "b")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}\n" for file in (config, jar)]
    host.write("run/zookeeper/started-with", "".join(sums))
    assert host.look()["stale"] == []
    config.write_text("b")
    assert host.look()["stale"] == [str(config)]
    jar.unlink()
    assert host.look()["stale"] == [str(config), str(jar)]
    host.runs(ActiveState="failed")
    assert host.look()["stale"] == [], "what does not run is started with what there is"


def test_the_unit_notes_what_it_starts_with_where_the_module_looks() -> None:
    unit = (ROLE / "templates/zookeeper.service.j2").read_text()
    assert f"cp {{{{ __zookeeper_config_dir }}}}/zoo.cfg {preflight.RUNNING.parent}/ " in unit
    assert f">{preflight.STARTED_WITH}'" in unit
    assert str(preflight.ON_DISK) == f"{VARS['__zookeeper_config_dir']}/zoo.cfg"


# ------------------------------------------------------------ data


def entry(zxid: int = 0x100000002) -> bytes:
    """A transaction as a log has it: the end of a session."""
    body = struct.pack(">qiqqi", 1, 7, zxid, 0, -11)
    return struct.pack(">qi", zlib.adler32(body), len(body)) + body + b"B"


@pytest.mark.parametrize("file", ["data/version-2/snapshot.0", "txnlog/version-2/log.1"])
def test_a_snapshot_or_a_log_is_data(file: str, host: Host) -> None:
    host.write("data/version-2/currentEpoch", "-1")
    assert not host.look()["data"], "one that waits for its first data has its epochs"
    assert host.look()["last_zxid"] is None
    host.write(file, "")
    assert host.look()["data"]


def test_a_server_that_lost_its_snapshots_has_its_logs_where_it_had_them(host: Host) -> None:
    host.configured(dataLogDir=host.root / "logs")
    host.write("logs/version-2/log.1", "")
    answer = host.look()
    assert answer["data"]
    assert "zk1 has its data in" in answer["problems"][0]
    assert "/logs" in answer["problems"][0]


def test_without_a_directory_of_its_own_the_log_is_with_the_data(host: Host) -> None:
    host.configured(dataLogDir=None)
    host.write("txnlog/version-2/log.1", "")
    host.write("txnlog/initialize", "")
    host.runs()
    answer = host.look()
    assert (answer["data"], answer["marker"]) == (False, False), "these are nobody's"


@pytest.mark.parametrize("variable", ["zookeeper_data_dir", "zookeeper_txnlog_dir"])
def test_a_directory_is_moved_as_the_refusal_says(host: Host, variable: str) -> None:
    """Stopped, and moved to where the inventory wants it: the server has its data, and is no new one."""
    host.configured()
    host.write("data/myid", "1\n")
    host.write("data/version-2/snapshot.0", "")
    host.write("txnlog/version-2/log.1", "")
    new = host.root / "new"
    moved: dict[str, Any] = {variable: str(new)}
    [said] = host.look(**moved)["problems"]
    old = host.settings[variable]
    assert f"set it back to {old}; or stop the server, move the directory, and run again." in said
    shutil.copytree(old, new)
    assert said in host.look(**moved)["problems"], "what is in force counts"
    shutil.rmtree(old)
    assert host.look(**moved)["problems"] == []
    shutil.rmtree(host.txnlog if variable == "zookeeper_data_dir" else host.data)
    assert host.look(**moved)["data"]
    (new / "version-2").rename(new / "lost")
    assert not host.look(**moved)["data"]


def test_a_log_beside_the_snapshots_gets_a_directory_of_its_own(host: Host) -> None:
    """As a zoo.cfg by hand has it: one directory for both. It cannot be moved to two places."""
    host.configured(dataLogDir=None)
    host.write("data/myid", "1\n")
    host.write("data/version-2/snapshot.0", "")
    log = host.write("data/version-2/log.1", "")
    log.write_bytes(b"ZKLG" + bytes(12) + entry())
    [said] = host.look()["problems"]
    assert f"zk1 has its transaction log beside its snapshots, in {host.data}: " in said
    assert f"move {host.data}/version-2/log.* to {host.txnlog}/version-2, run with --limit zk1" in said
    shutil.copytree(host.data / "version-2", host.txnlog / "version-2")
    (host.txnlog / "version-2/snapshot.0").unlink()
    assert [said] == host.look()["problems"], "a copy would be two logs"
    log.unlink()
    answer = host.look()
    assert (answer["problems"], answer["last_zxid"]) == ([], "0x100000002")
    (host.data / "version-2/snapshot.0").unlink()
    assert host.look()["data"], "the log is data, where it is now"


def test_the_marker_is_beside_the_log(host: Host) -> None:
    host.write("data/initialize", "")
    assert not host.look()["marker"], "there ZooKeeper does not look"
    host.write("txnlog/initialize", "")
    assert host.look()["marker"]
    host.configured(dataLogDir=host.root / "elsewhere")
    assert not host.look()["marker"]


def test_whose_data_it_is(host: Host) -> None:
    host.write("data/myid", "2\n")
    host.write("data/version-2/snapshot.0", "")
    assert host.look(2)["problems"] == []
    [said] = host.look(1)["problems"]
    assert (
        "zookeeper_id of zk1 is 1, but its data belongs to server 2: set zookeeper_id back to 2, or" in said
    )


def test_whose_logs_alone_are(host: Host) -> None:
    """Its snapshots are lost."""
    host.write("data/myid", "2\n")
    host.write("txnlog/version-2/log.1", "")
    answer = host.look(1)
    assert "its data belongs to server 2" in answer["problems"][0]
    assert answer["doubts"] == answer["problems"]
    assert host.look(2)["doubts"] == []


def test_data_without_zoo_cfg(host: Host) -> None:
    """As after the host was installed anew: they are those of the server that myid names."""
    host.write("data/version-2/snapshot.0", "")
    [said] = host.look(1)["problems"]
    assert f"neither zoo.cfg nor {host.data}/myid tells" in said
    assert f"write 1 to {host.data}/myid" in said
    host.write("data/myid", "1\n")
    answer = host.look(1)
    assert (answer["problems"], answer["configured"]) == ([], False)
    host.configured()
    assert host.look(1)["configured"]


# ------------------------------------------------------------ what another installation left


@pytest.fixture
def debians(host: Host) -> Host:
    """Debian's zookeeperd was here: snapshots and logs in one directory, and a zoo.cfg of its own."""
    path = host.root / "var/lib/zookeeper"
    host.write("var/lib/zookeeper/version-2/snapshot.0", "snapshot")
    host.write("var/lib/zookeeper/version-2/log.100000001", "").write_bytes(b"ZKLG" + bytes(12) + entry())
    host.write("var/lib/zookeeper/myid", "1\n")
    host.configured("etc/zookeeper/conf/zoo.cfg", dataDir=path, dataLogDir=None, clientPort=2182)
    host.theirs = str(path)
    return host


def test_data_of_another_installation_are_not_passed_by(debians: Host) -> None:
    answer = debians.look()
    [said] = answer["problems"]
    assert f"zk1 has data of another installation in {debians.theirs} (last zxid 0x100000002)" in said
    assert "set zookeeper_adopt: true" in said
    assert (answer["data"], answer["adopt"]) == (False, {})
    assert (answer["doubts"], answer["theirs"]) == ([said], "0x100000002")


def test_data_of_another_installation_are_adopted(debians: Host) -> None:
    """They count as the server's own: whose they are, how far they go, who the other members are."""
    answer = debians.look(zookeeper_adopt="true")
    assert answer["problems"] == []
    assert answer["adopt"] == {"data_dir": debians.theirs, "txnlog_dir": debians.theirs}
    assert (answer["data"], answer["last_zxid"], answer["configured"]) == (True, "0x100000002", True)
    assert answer["servers"]["3"] == "zk3:2888:3888"
    [said] = debians.look(2, zookeeper_adopt=True)["problems"]
    assert "its data belongs to server 1: set zookeeper_id back to 1" in said


def test_without_their_zoo_cfg_data_are_where_debian_has_them(debians: Host) -> None:
    (debians.root / "etc/zookeeper/conf/zoo.cfg").unlink()
    answer = debians.look(size=1, zookeeper_adopt=True)
    assert answer["adopt"] == {"data_dir": debians.theirs, "txnlog_dir": debians.theirs}
    assert answer["servers"] == {}


def test_their_two_directories(debians: Host) -> None:
    debians.configured(
        "etc/zookeeper/conf/zoo.cfg", dataDir=debians.theirs, dataLogDir=debians.root / "theirlogs"
    )
    expected = {"data_dir": debians.theirs, "txnlog_dir": str(debians.root / "theirlogs")}
    assert debians.look(zookeeper_adopt=True)["adopt"] == expected


def test_a_sentence_where_debian_has_the_id(debians: Host) -> None:
    debians.write("var/lib/zookeeper/myid", "replace this text with the cluster-unique id\n")
    assert debians.look(size=1, zookeeper_adopt=True)["problems"] == []


@pytest.mark.parametrize("path", ["etc/zookeeper/zoo.cfg", "run/zookeeper/zoo.cfg"])
def test_a_server_that_is_set_up_needs_nothing_of_others(debians: Host, path: str) -> None:
    debians.configured(path)
    for adopt in (False, True):
        answer = debians.look(zookeeper_adopt=adopt)
        assert (answer["problems"], answer["adopt"]) == ([], {})


def test_nothing_is_adopted_while_the_old_server_runs(debians: Host) -> None:
    debians.processes()
    with socket.create_server(("127.0.0.1", 0)) as old:
        port = old.getsockname()[1]
        debians.configured(
            "etc/zookeeper/conf/zoo.cfg", dataDir=debians.theirs, dataLogDir=None, clientPort=port
        )
        [said] = debians.look(zookeeper_adopt=True)["problems"]
        assert "the old server of zk1 runs (" in said
        assert "systemctl disable --now zookeeper" in said
    debians.runs(MainPID=0)
    assert "the old server of zk1 runs: stop it" in debians.look(zookeeper_adopt=True)["problems"][0]


def test_data_of_ones_own_beside_those_of_another_installation(debians: Host) -> None:
    """As after the host was installed anew. Which are wanted is not for us to say."""
    debians.write("data/version-2/snapshot.500000001", "")
    debians.write("data/myid", "1\n")
    answer = debians.look()
    assert (answer["problems"], answer["last_zxid"]) == ([], "0x500000001")
    answer = debians.look(zookeeper_adopt=True)
    [said] = answer["problems"]
    assert "(last zxid 0x100000002); but it also has other data in" in said
    assert "(last zxid 0x500000001), which are as new or newer: set zookeeper_adopt: false to go on w" in said
    assert "move" not in said, "nobody is told to put the newest data away"
    assert answer["adopt"] == {}


def test_newer_data_of_another_installation_are_not_passed_by(debians: Host) -> None:
    """As after the host was installed anew, and an old copy of the server's own directories was put back."""
    debians.write("data/version-2/snapshot.0", "")
    debians.write("data/myid", "1\n")
    [said] = debians.look()["problems"]
    assert f"in {debians.theirs} (last zxid 0x100000002), and older data of its own in {debians.data}" in said
    assert f"{debians.txnlog} (last zxid 0x0): with these it would go back" in said
    assert f"Move what is in {debians.data} and {debians.txnlog} to another place, do not delete" in said
    assert "version-2" not in said, "nobody is told to put the newest data away"
    assert debians.look(zookeeper_adopt=True)["problems"] == [said]
    (debians.data / "version-2/snapshot.0").rename(debians.data / "version-2/snapshot.100000002")
    assert debians.look()["problems"] == []


def test_newer_data_where_the_servers_own_are_are_not_moved(debians: Host) -> None:
    """For the server's own would go with them."""
    logs = debians.root / "theirlogs"
    debians.configured("etc/zookeeper/conf/zoo.cfg", dataDir=debians.theirs, dataLogDir=logs)
    (logs / "version-2").mkdir(parents=True)
    (Path(debians.theirs) / "version-2/log.100000001").rename(logs / "version-2/log.100000001")
    debians.write("txnlog/version-2/log.1", "")
    [said, *_] = debians.look(zookeeper_data_dir=debians.theirs)["problems"]
    assert "go back. Set zookeeper_data_dir and zookeeper_txnlog_dir to other directories than these" in said
    assert "move" not in said


def test_data_of_ones_own_with_the_names_and_sizes_of_theirs(debians: Host) -> None:
    """Young servers begin with snapshot.0 and log.100000001, and make their files equally large."""
    shutil.copytree(Path(debians.theirs) / "version-2", debians.data / "version-2")
    log = debians.data / "version-2/log.100000001"
    debians.write("txnlog/version-2/log.100000001", "").write_bytes(
        log.read_bytes()[:16] + entry(0x1000001F4)
    )
    log.unlink()
    debians.write("data/myid", "1\n")
    answer = debians.look()
    assert (answer["problems"], answer["last_zxid"]) == ([], "0x1000001f4")
    answer = debians.look(zookeeper_adopt=True)
    [said] = answer["problems"]
    assert "but it also has other data in" in said
    assert answer["adopt"] == {}


@pytest.mark.parametrize("stage", ["logs copied", "all copied", "logs renamed"])
def test_an_adoption_that_was_cut_short_goes_on(debians: Host, stage: str) -> None:
    theirs, logs = Path(debians.theirs), debians.root / "theirlogs"
    (logs / "version-2").mkdir(parents=True)
    (theirs / "version-2/log.100000001").rename(logs / "version-2/log.100000001")
    debians.configured("etc/zookeeper/conf/zoo.cfg", dataDir=theirs, dataLogDir=logs)
    shutil.copytree(logs / "version-2", debians.txnlog / "version-2")
    if stage != "logs copied":
        shutil.copytree(theirs / "version-2", debians.data / "version-2")
    if stage == "logs renamed":
        (logs / "version-2").rename(logs / "version-2.adopted")
    assert "zookeeper_adopt: true" in debians.look()["problems"][0], "half of it is not to be gone on with"
    answer = debians.look(zookeeper_adopt=True)
    assert answer["problems"] == []
    assert answer["adopt"] == {"data_dir": str(theirs), "txnlog_dir": str(logs)}


def test_data_where_the_servers_own_are_to_be(debians: Host) -> None:
    """A server that found its logs beside its snapshots, though they are to be elsewhere, would not start."""
    for adopt, said in ((False, "set zookeeper_adopt: true"), (True, "set zookeeper_data_dir and")):
        answer = debians.look(zookeeper_adopt=adopt, zookeeper_data_dir=debians.theirs)
        assert any(said in problem for problem in answer["problems"])
        assert answer["adopt"] == {}


def test_the_servers_own_data_in_debians_directory(debians: Host) -> None:
    (Path(debians.theirs) / "version-2/log.100000001").unlink()
    (debians.root / "etc/zookeeper/conf/zoo.cfg").unlink()
    answer = debians.look(zookeeper_data_dir=debians.theirs)
    assert (answer["problems"], answer["data"]) == ([], True)


def test_an_adoption_needs_room(debians: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "free", lambda _: 1 << 20)
    assert debians.look(zookeeper_adopt=True)["problems"] == []
    with (Path(debians.theirs) / "version-2/log.200000000").open("wb") as log:
        log.truncate(6 << 20)
    [said] = debians.look(zookeeper_adopt=True)["problems"]
    assert "zk1 lacks 5 MB for a copy" in said


def test_how_far_the_data_go(host: Host) -> None:
    host.write("data/version-2/snapshot.0", "")
    host.write("txnlog/version-2/log.100000002", "").write_bytes(b"ZKLG" + bytes(12) + entry())
    answer = host.look()
    assert answer["last_zxid"] == "0x100000002"
    assert answer["trail"] == {"0x100000002": zlib.crc32(entry()[12:-1])}


def test_a_log_that_is_damaged_is_told(host: Host) -> None:
    log = host.write("txnlog/version-2/log.100000002", "")
    log.write_bytes(b"ZKLG" + bytes(12) + entry())
    assert host.look()["damaged"] == ""
    log.write_bytes(bytes(16) + entry())
    answer = host.look()
    assert (answer["damaged"], answer["last_zxid"]) == (str(log), "0x100000002")


@pytest.mark.parametrize("whose", ["data", "theirs"])
def test_which_data_are_newer_is_not_said_if_a_log_is_damaged(debians: Host, whose: str) -> None:
    debians.write("data/version-2/snapshot.500000001", "")
    debians.write("data/myid", "1\n")
    log = (debians.txnlog if whose == "data" else Path(debians.theirs)) / "version-2/log.100000001"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(bytes(16) + entry())
    [said] = debians.look()["problems"]
    assert f"but {log} is damaged: which are newer cannot be told." in said


def test_where_links_lead_is_looked_at(host: Host) -> None:
    host.txnlog.mkdir()
    host.data.symlink_to(host.txnlog)
    assert "lead to the same directory on zk1" in host.look()["problems"][0]


@pytest.mark.parametrize(
    ("name", "text", "own"),
    [
        ("127.0.1.1", "127.0.1.1", True),
        ("192.0.2.9", "192.0.2.9", False),
        ("zk1..example.org", None, False),
        ("", None, False),
    ],
)
def test_what_a_name_is_here(name: str, text: str | None, own: bool) -> None:
    assert preflight.address(name) == {"text": text, "own": own}
    assert preflight.address(own_address()) == {"text": own_address(), "own": True}


# ------------------------------------------------------------ what it refuses


def test_everything_is_judged(host: Host) -> None:
    host.write("etc/os-release", "ID=fedora\nVERSION_ID=40\nPRETTY_NAME='Fedora Linux 40'\n")
    answer = host.look(size=1, zookeeper_tick_time="0")
    assert not answer["changed"]
    said = "\n".join(answer["problems"])
    assert "zookeeper_tick_time is 0" in said
    assert "zk1 runs 'Fedora Linux 40'" in said
    arguments = {"name": "zk1", "members": [{"name": "zk1", "id": None, "host": "a"} | {"observer": False}]}
    arguments["members"][0] |= {"quorum_port": 1, "election_port": 2}  # type: ignore[index, operator]
    rest = {"settings": host.settings, "packages": ["java"], "classpath": ""}
    assert "zookeeper_id is not set for zk1" in run(preflight, arguments | rest)["problems"][0]


def test_a_class_that_the_jars_do_not_have(host: Host) -> None:
    """Before they are installed nobody knows, and the caller is told to look again."""
    config = {"metricsProvider.className": "org.example.Metrics"}
    answer = host.look(zookeeper_config=config)
    assert (answer["unseen"], answer["problems"]) == (True, [])
    jar(host.root / "jars/a.jar", "org.example.Other")
    answer = host.look(zookeeper_config=config)
    assert not answer["unseen"]
    assert answer["problems"][0].startswith(
        "zookeeper_config sets metricsProvider.className to org.example.Metrics, but the jars on zk1 have no "
    )
    jar(host.root / "jars/b.jar", "org.example.Metrics")
    assert host.look(zookeeper_config=config)["problems"] == []
    assert not host.look()["unseen"]


def test_a_buffer_that_gets_smaller_must_hold_what_is_stored(host: Host) -> None:
    """The server would read its data back in vain, again and again. Otherwise nobody need read them all."""
    host.write("txnlog/version-2/log.1", "").write_bytes(large_log(50_000))
    host.write("data/myid", "1\n")
    assert host.look(zookeeper_max_buffer=5000)["problems"] == [], "nothing is installed yet"
    host.write("etc/systemd/system/zookeeper.service", "    -Djute.maxbuffer=100000 \\\n")
    assert host.look(zookeeper_max_buffer="25000")["problems"] == []
    [said] = host.look(zookeeper_max_buffer=24_999)["problems"]
    assert said.startswith("zookeeper_max_buffer is 24999, but to read its data zk1 needs 25000: ")


def test_a_system_that_does_not_say_what_it_is(host: Host) -> None:
    (host.root / "etc/os-release").unlink()
    assert "zk1 runs an unknown system" in host.look()["problems"][0]


def test_a_host_that_is_no_member(host: Host) -> None:
    assert host.look(4)["problems"] == [
        "zk4 is not in the group `zookeeper`, which names the members: add it."
    ]


def test_who_is_not_root_can_do_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ROOT", -1)
    user = ME["zookeeper_user"]
    said = f"zk1: the role works as user {user}, not as root: set become: true for its play."
    assert host.look()["problems"] == [said]


def test_the_first_member_warns_for_all(host: Host) -> None:
    warnings = host.look(1, size=2)["warnings"]
    assert "has 2 voting hosts, an even number" in warnings[0]["event"]["msg"]
    assert "warnings" not in host.look(2, size=2)
    assert "warnings" not in host.look(1)


def test_a_member_that_was_declared_dead_and_answers(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        host.configured(**{"server.4": f"127.0.0.1:2888:{port}", "server.5": "127.0.0.1:2888:1"})
        found = host.look(zookeeper_dead="127.0.0.2, 127.0.0.1", zookeeper_election_port=port)
        [said] = found["problems"]
        assert host.look()["problems"] == []
    assert said.startswith("zookeeper_dead names server 4 on 127.0.0.1, but it answers there: take it out")
    assert host.look(zookeeper_dead=["127.0.0.1"])["problems"] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_one_that_was_declared_dead_and_comes_back_when_no_server_knows_it_any_more(
    host: Host, address: str
) -> None:
    host.configured(**{"server.1": "zk1:2888:3888"})
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
        found = host.look(zookeeper_dead=["127.0.0.2", address, ""], zookeeper_election_port=port)
        assert found["returned"] == [address]
        [said] = found["problems"]
    assert said.startswith(f"zookeeper_dead names {address}, and a server runs there again: it may serve")
    found = host.look(zookeeper_dead=[address], zookeeper_election_port=port)
    assert (found["returned"], found["problems"]) == ([], [])


def test_the_heap_is_of_this_hosts_memory(host: Host) -> None:
    assert host.look()["heap_mb"] == 992, "a quarter of it, rounded"
    host.write("etc/systemd/system/zookeeper.service", "ExecStart=java \\\n    -Xms1000m -Xmx1000m \\\n")
    assert host.look()["heap_mb"] == 1000, "what is installed, as it is near"
    assert host.look(zookeeper_heap_mb="700")["heap_mb"] == 700
    assert "but zk1 has 4000 MB of memory" in host.look(zookeeper_heap_mb=4001)["problems"][0]


@pytest.mark.parametrize(
    "broken", [{"clientPort": "2191 # was 2192"}, {"clientPort": None}, {"dataDir": None}]
)
def test_a_configuration_broken_by_hand_does_not_end_the_run(broken: dict[str, Any], host: Host) -> None:
    """For the run would put it right. What it does not say is what the inventory says."""
    host.configured(**{"clientPort": 2182, **broken})
    host.write("data/version-2/snapshot.0", "")
    answer = host.look()
    assert (answer["deployed_ports"]["plain"], answer["data"]) == (
        2181 if "clientPort" in broken else 2182,
        True,
    )
