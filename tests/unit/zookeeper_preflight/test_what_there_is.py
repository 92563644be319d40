"""The module zookeeper_preflight: what there is."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import time

import pytest

from tests.unit.zookeeper_preflight.host import (
    ME,
    Host,
)

pytestmark = pytest.mark.processes


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


def test_the_hosts_clock_is_told(host: Host) -> None:
    assert abs(host.look()["clock"] - time.time()) < 60


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
