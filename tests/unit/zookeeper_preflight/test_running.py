"""The module zookeeper_preflight: what runs, and with which configuration."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.zookeeper_preflight.host import (
    VARS,
    Host,
    own_address,
    preflight,
)
from tests.unit.zookeeper_role import ROLE

pytestmark = pytest.mark.processes


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


def test_a_member_that_still_runs_at_its_old_address_is_seen(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"zk2": "192.0.2.2", "old2": "192.0.2.12", "alias2": "192.0.2.2", own_address(): own_address()}

    def known(name: str, *_: object, **__: object) -> list[Any]:
        if name not in names:
            raise OSError
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", (names[name], 0))]

    def answer(lines: dict[str, str]) -> list[str]:
        asked.extend(lines.values())
        return [f"{n} on {line}" for n, line in lines.items() if "alone" not in line]

    asked: list[str] = []
    monkeypatch.setattr(preflight.socket, "getaddrinfo", known)
    monkeypatch.setattr(preflight, "still_running", answer)
    members = [{"id": "2", "host": "zk2"}, {"id": 1, "host": own_address()}]
    for there in ("old2:2888:3888", "192.0.2.12:2888:3888:observer"):
        assert preflight.elsewhere(members, {"server.2": there}) == {"2": there.partition(":")[0]}
    asked.clear()
    for same in ("zk2:2888:3888", "alias2:2888:3888", "alone:2888:3888"):
        assert preflight.elsewhere(members, {"server.2": same, "server.9": "old2:2888:3888"}) == {}
    assert asked == ["alone:2888:3888"]
    host.configured()  # with names
    assert host.look()["elsewhere"] == {"1": "zk1"}


def test_by_which_connections_followers_are_sent_data(host: Host) -> None:
    """The server's own, at the members' first port, with other hosts; as /proc has them."""

    def end(address: str, port: int) -> str:
        data = ipaddress.ip_address(address).packed
        words = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data), 4))
        return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"

    def table(*rows: tuple[str, int, str, int, str, int]) -> str:
        lines = [
            f"{n}: {end(*row[:2])} {end(*row[2:4])} {row[4]} 0:0 0:0 0 0 0 {row[5]} 1"
            for n, row in enumerate(rows)
        ]
        return "\n".join(["  sl  local_address rem_address st", *lines, ""])

    own, other = 7, 8  # sockets
    (host.root / "proc/41/fd").mkdir(parents=True)
    (host.root / "proc/41/fd/3").symlink_to(f"socket:[{own}]")
    host.write(
        "proc/net/tcp",
        table(
            ("10.0.0.1", 50001, "10.0.0.3", 2888, "01", own),
            ("10.0.0.1", 50002, "10.0.0.3", 2888, "01", other),
            ("10.0.0.1", 50003, "10.0.0.3", 2888, "06", own),
            ("10.0.0.1", 50004, "10.0.0.3", 3888, "01", own),
            ("127.0.0.1", 50005, "127.0.0.1", 2888, "01", own),
        ),
    )
    mapped = ("::ffff:10.0.0.1", 2888, "::ffff:10.0.0.2", 50001, "01", own)
    host.write("proc/net/tcp6", table(mapped, ("fd00::1", 2888, "fd00::2", 50001, "01", own)))
    assert preflight.links(41, {2888}) == [
        ("10.0.0.1:2888", "10.0.0.2:50001"),
        ("10.0.0.1:50001", "10.0.0.3:2888"),
        ("fd00::1:2888", "fd00::2:50001"),
    ]
    assert preflight.links(42, {2888}) == []
    assert host.look()["links"] == [], "no server runs"


def test_a_server_tells_its_connections_by_the_ports_of_its_zoo_cfg(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "links", lambda pid, ports: [pid, sorted(ports)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host.runs()
        host.configured(clientPort=listener.getsockname()[1])
        assert host.look()["links"] == [os.getpid(), [2888]]


def test_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        others, own = preflight.listeners({port}, os.getpid())
        assert (others, own) == ({}, {port})
        others, own = preflight.listeners({port}, 0)
        assert own == set()
        assert f"(process {os.getpid()})" in others[port]
    assert preflight.listeners({port}, 0) == ({}, set())


def test_who_listens_may_end_as_its_name_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def ends(path: Path, **how: str) -> str:
        if path.name == "comm":
            raise ProcessLookupError
        return read(path, **how)

    monkeypatch.setattr(Path, "read_text", ends)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        others, _ = preflight.listeners({port}, 0)
        assert others[port].endswith(f"(process {os.getpid()})")


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
