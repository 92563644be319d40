"""The packet filter: rules, and the module with real nftables in a network namespace; systemd is scripted."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ansible_module import reroot, run
from tests.unit.zookeeper_role import load, load_file

rules = load("packet_filter")
module = load_file("modules/packet_filter.py")

needs_nft = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nftables: the kernel filters"
)

NAMES = {"zk1": ["192.0.2.1", "2001:db8::1"], "zk2": ["192.0.2.2"]}
CLONE_NEWNET = 0x40000000
MINE = Path("/proc/thread-self/ns/net")
# A neighbour's addresses.
THERE = """addr add 192.0.2.2/24 dev there
addr add 192.0.2.3/24 dev there
addr add 2001:db8::2/64 dev there nodad
addr add 2001:db8::3/64 dev there nodad
link set there up
"""

# ``enable`` and ``restart`` do what systemd would with the unit's file; all calls are noted.
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")/.."
echo "$*" >>told
if [ -e "fails-$1" ]; then echo "no $1 today" >&2; exit 1; fi
wants=etc/systemd/system/sysinit.target.wants
case "$1" in
enable) mkdir -p $wants && ln -sf ../x $wants/"$2" ;;
disable) rm -f $wants/"$3" ;;
restart) nft -f etc/zookeeper/packet-filter.nft ;;
esac
"""


def lookup(name: str) -> list[Any]:
    if name not in NAMES:
        raise rules.UnknownSourceError("does not resolve")
    return [ip_network(address) for address in NAMES[name]]


def source(address: str, setting: str = "a setting", **more: bool) -> dict[str, Any]:
    return {"address": address, "setting": setting, **more}


# ------------------------------------------------------------ rules


@pytest.mark.parametrize(
    ("said", "networks"),
    [
        ("192.0.2.7", ["192.0.2.7/32"]),
        (" 192.0.2.0/24", ["192.0.2.0/24"]),
        ("[2001:db8::7]", ["2001:db8::7/128"]),
        ("0.0.0.0/0", ["0.0.0.0/0"]),
    ],
)
def test_addresses_and_networks_are_taken_as_they_are(said: str, networks: list[str]) -> None:
    assert [str(network) for network in rules.look_up(said)] == networks


def test_names_are_looked_up_with_all_their_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(0, 0, 0, "", (address, 0)) for address in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0")]
    monkeypatch.setattr(rules.socket, "getaddrinfo", lambda *_, **__: found)
    assert [str(network) for network in rules.look_up("zk1")] == [
        "192.0.2.1/32",
        "2001:db8::1/128",
        "fe80::1/128",
    ]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("no-such-host.invalid", "does not resolve on this host: correct it, or give an address"),
        ("x" * 70, "does not resolve"),
        ("192.0.2.300/24", "does not resolve"),
        ("192.0.2.7/24", "has bits set behind the prefix: write 192.0.2.0/24"),
    ],
)
def test_what_stands_for_nothing_is_told(said: str, problem: str) -> None:
    with pytest.raises(rules.UnknownSourceError) as raised:
        rules.look_up(said)
    assert problem in str(raised.value)


def test_sources_become_networks_and_each_problem_is_told_once() -> None:
    wanted = [
        {"ports": [3888, 2888, 3888], "sources": [source("zk1"), source("nobody", "zookeeper_host of zk3")]},
        {"ports": [2181], "sources": [source("nobody", "zookeeper_host of zk3"), source("zk2")]},
        {"ports": [], "sources": []},
    ]
    resolved, problems = rules.resolve(wanted, lookup)
    assert [rule.ports for rule in resolved] == [(2888, 3888), (2181,)]
    assert [str(network) for network in resolved[0].networks] == ["192.0.2.1/32", "2001:db8::1/128"]
    assert [str(network) for network in resolved[1].networks] == ["192.0.2.2/32"]
    assert problems == ["zookeeper_host of zk3: 'nobody' does not resolve."]


def test_one_that_leaves_need_not_be_known() -> None:
    wanted = [{"ports": [1], "sources": [source("nobody", optional=True), source("zk2", optional=True)]}]
    resolved, problems = rules.resolve(wanted, lookup)
    assert (len(resolved[0].networks), problems) == (1, [])


@pytest.mark.parametrize("leaves_first", [False, True])
def test_one_that_leaves_and_must_be_known_elsewhere_must_be_known(leaves_first: bool) -> None:
    sources = [source("nobody", optional=True), source("nobody", "zookeeper_host of zk3")]
    wanted = [{"ports": [1], "sources": sources if leaves_first else sources[::-1]}]
    assert rules.resolve(wanted, lookup)[1] == ["zookeeper_host of zk3: 'nobody' does not resolve."]


def lines(*networks: str, ports: tuple[int, ...] = (2181,)) -> list[str]:
    rule = rules.Rule(ports, tuple(ip_network(network) for network in networks))
    text: str = rules.ruleset("zookeeper", [rule])
    return [line.strip() for line in text.splitlines() if "tcp dport" in line]


def test_each_family_has_its_line_and_all_others_are_refused() -> None:
    assert lines("192.0.2.1", "192.0.2.4", "2001:db8::1", ports=(2888, 3888)) == [
        "tcp dport { 2888, 3888 } ip saddr { 192.0.2.1, 192.0.2.4 } accept",
        "tcp dport { 2888, 3888 } ip6 saddr { 2001:db8::1 } accept",
        "tcp dport { 2888, 3888 } reject with tcp reset",
    ]
    assert lines() == ["tcp dport { 2181 } reject with tcp reset"]


def test_networks_do_not_overlap_and_all_addresses_are_two_halves() -> None:
    assert lines("192.0.2.0/24", "192.0.2.7", "192.0.2.7")[0].count("192.0.2.") == 1
    assert "{ 0.0.0.0/1, 128.0.0.0/1 }" in lines("0.0.0.0/0", "192.0.2.7")[0]


def test_who_is_shut_out_is_known_beforehand() -> None:
    """As the kernel decides: the first rule that has the port, and nothing else."""
    members, clients = [ip_network("192.0.2.1/32")], [ip_network("192.0.2.0/28"), ip_network("2001:db8::/64")]
    known = [rules.Rule((2888,), tuple(members)), rules.Rule((2181, 2182, 2888), tuple(clients))]
    there = ["192.0.2.1", "192.0.2.15", "192.0.2.16", "2001:db8::1", "2001:db8:1::1"]
    assert rules.shut_out(known, 2181, there) == ["192.0.2.16", "2001:db8:1::1"]
    assert rules.shut_out(known, 2888, there) == there[1:]
    assert rules.shut_out(known, 2171, there) == []
    assert rules.shut_out([rules.Rule((2181,), ())], 2181, there) == there


def test_loopback_is_open_and_other_ports_are_others_business() -> None:
    text = rules.ruleset("mwapp", [])
    assert 'iif "lo" accept' in text
    assert "policy accept;" in text
    assert text.index("delete table inet mwapp") < text.index("chain input")


# ------------------------------------------------------------ the kernel


@contextmanager
def other_network() -> Iterator[None]:
    """Be in a network namespace of one's own: the table is nobody else's, and gone afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    with MINE.open() as before:
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), CLONE_NEWNET) == 0


class Host:
    """A host below a directory: its files, a scripted systemd, and real nftables."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def filter(self, *names: str, check: bool = False, **more: Any) -> dict[str, Any]:
        wanted = [{"ports": [2888, 3888], "sources": [source(name) for name in names]}]
        arguments = {"name": "zookeeper", "rules": wanted, "services": ["zookeeper.service"]}
        return run(module, arguments | more, check=check)

    @property
    def table(self) -> str:
        return str(module.listed("zookeeper"))

    @property
    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in (self.root / "etc").rglob("*"))

    @property
    def told(self) -> list[str]:
        log = self.root / "told"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin/systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    reroot(module, tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    before = os.umask(0o077)
    with other_network():
        yield Host(tmp_path)
    os.umask(before)


UNIT = "etc/systemd/system/zookeeper-packet-filter.service"
DROP_IN = "etc/systemd/system/nftables.service.d/zookeeper-packet-filter.conf"


@pytest.mark.processes
@needs_nft
def test_the_table_is_loaded_once(host: Host) -> None:
    expected = host.filter("192.0.2.1", "192.0.2.0/28", check=True)
    assert expected["changed"]
    assert expected["unfiltered"]
    assert not host.filter(state="absent", check=True)["unfiltered"], "there should be none"
    assert (host.table, host.told) == ("", [])
    first = host.filter("192.0.2.1", "192.0.2.0/28")
    assert (first["changed"], first["differs"]) == (True, expected["differs"])
    assert "192.0.2.0/28" in host.table
    assert {UNIT, DROP_IN, "etc/zookeeper/packet-filter.nft"} < set(host.files)
    assert not [name for name in host.files if "/." in name]
    assert {(host.root / name).stat().st_mode & 0o777 for name in (UNIT, DROP_IN)} == {0o644}
    told = [
        "daemon-reload",
        "enable zookeeper-packet-filter.service",
        "restart zookeeper-packet-filter.service",
    ]
    assert host.told == told
    again = host.filter("192.0.2.1", "192.0.2.0/28")
    assert (again["changed"], again["differs"], again["diff"], host.told) == (False, [], [], told)
    assert not again["unfiltered"]
    assert not host.filter("192.0.2.9", check=True)["unfiltered"], "another one is loaded"


@pytest.mark.processes
@needs_nft
def test_a_change_is_shown_and_replaces_the_table_whole(host: Host) -> None:
    host.filter("192.0.2.1", "2001:db8::1")
    answer = host.filter("192.0.2.2", check=True)
    assert answer["differs"] == [f"{host.root}/etc/zookeeper/packet-filter.nft", "table inet zookeeper"]
    assert "192.0.2.1" in answer["diff"][1]["before"]
    assert "192.0.2.2" in answer["diff"][1]["after"]
    assert "192.0.2.1" in host.table
    host.filter("192.0.2.2")
    assert "192.0.2.2" in host.table
    assert not [gone for gone in ("192.0.2.1", "2001:db8::1") if gone in host.table]


@pytest.mark.processes
@needs_nft
@pytest.mark.parametrize(
    "damage", ["flush ruleset", "flush chain inet zookeeper input", "add rule inet zookeeper input accept"]
)
def test_a_table_that_somebody_changed_is_noticed_and_put_right(host: Host, damage: str) -> None:
    host.filter("192.0.2.1")
    whole = host.table
    subprocess.run(["nft", damage], check=True)
    answer = host.filter("192.0.2.1")
    assert (answer["changed"], answer["differs"]) == (True, ["table inet zookeeper"])
    assert host.table == whole


@pytest.mark.processes
@needs_nft
def test_a_unit_that_is_not_enabled_is_noticed(host: Host) -> None:
    host.filter("192.0.2.1")
    (host.root / "etc/systemd/system/sysinit.target.wants/zookeeper-packet-filter.service").unlink()
    assert host.filter("192.0.2.1")["differs"] == ["zookeeper-packet-filter.service, enabled"]
    assert not host.filter("192.0.2.1")["changed"]


@pytest.mark.processes
@needs_nft
def test_switched_off_nothing_is_left(host: Host) -> None:
    subprocess.run(["nft", "add table inet others"], check=True)
    before = host.files
    host.filter("192.0.2.1")
    gone = host.filter(state="absent", check=True)
    assert gone["changed"]
    assert host.table
    assert host.filter(state="absent")["differs"] == gone["differs"]
    assert host.table == ""
    assert "disable --now zookeeper-packet-filter.service" in host.told
    left = {"etc/zookeeper", "etc/systemd/system/sysinit.target.wants"}
    assert set(host.files) - left == set(before)
    assert not host.filter(state="absent")["changed"]
    assert (
        "inet others"
        in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.processes
@needs_nft
def test_drop_ins_of_others_stay(host: Host) -> None:
    host.filter("192.0.2.1")
    other = (host.root / DROP_IN).with_name("local.conf")
    other.write_text("[Unit]\n")
    host.filter(state="absent")
    assert other.exists()


@pytest.mark.processes
@needs_nft
def test_a_name_that_does_not_resolve_changes_nothing(host: Host) -> None:
    host.filter("192.0.2.1")
    before = host.table
    answer = host.filter("192.0.2.2", "no-such-host.invalid")
    assert answer["failed"]
    assert answer["msg"].startswith("a setting: 'no-such-host.invalid' does not resolve on this host")
    assert host.table == before
    assert "192.0.2.1" in (host.root / "etc/zookeeper/packet-filter.nft").read_text()


@pytest.mark.processes
@needs_nft
def test_what_systemd_refuses_is_told(host: Host) -> None:
    (host.root / "fails-restart").touch()
    answer = host.filter("192.0.2.1")
    assert answer["msg"] == "systemctl restart zookeeper-packet-filter.service: no restart today"


@pytest.mark.processes
@needs_nft
def test_what_nft_refuses_is_told_before_anything_changes(host: Host) -> None:
    answer = host.filter("192.0.2.1", name="input output")
    assert answer["failed"]
    assert "syntax error" in answer["msg"]
    assert host.told == []


@pytest.mark.processes
@needs_nft
def test_where_namespaces_are_forbidden_a_missing_table_is_noticed(host: Host) -> None:
    unshare = host.root / "bin/unshare"
    unshare.write_text("#!/bin/sh\nexit 1\n")
    unshare.chmod(0o755)
    assert host.filter("192.0.2.1")["changed"]
    assert not host.filter("192.0.2.1")["changed"]
    subprocess.run(["nft", "flush ruleset"], check=True)
    assert host.filter("192.0.2.1")["differs"] == ["table inet zookeeper"]


def test_without_nftables_check_mode_tells_and_a_run_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reroot(module, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "NFT", str(tmp_path / "nft"))
    host = Host(tmp_path)
    answer = host.filter("192.0.2.1", check=True)
    assert (answer["changed"], answer["nft"]) == (True, False)
    assert "install the package nftables" in host.filter("192.0.2.1")["msg"]
    assert not host.filter(state="absent")["changed"]


def test_switched_on_it_says_whom_it_cuts_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reroot(module, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "NFT", str(tmp_path / "nft"))
    host = Host(tmp_path)
    connected = [
        {"port": 2888, "addresses": ["192.0.2.9", "192.0.2.1"]},
        {"port": "3888", "addresses": ["192.0.2.9", "192.0.2.10"]},
        {"port": 22, "addresses": ["192.0.2.11"]},
    ]
    answer = host.filter("192.0.2.1", check=True, connected=connected)
    assert answer["cut_off"] == ["192.0.2.10", "192.0.2.9"]
    assert host.filter(state="absent", connected=connected)["cut_off"] == []
    (tmp_path / "etc/zookeeper").mkdir(parents=True)
    (tmp_path / "etc/zookeeper/packet-filter.nft").touch()
    answer = host.filter("192.0.2.1", check=True, connected=connected)
    assert answer["cut_off"] == ["192.0.2.10", "192.0.2.9"], "a run died before it loaded the file"
    (tmp_path / "nft").touch()
    monkeypatch.setattr(module, "as_listed", lambda *_: None)
    monkeypatch.setattr(module, "listed", lambda _: "table inet zookeeper {\n}\n")
    assert host.filter("192.0.2.1", check=True, connected=connected)["cut_off"] == []


# ------------------------------------------------------------ packets


@pytest.fixture
def connect(host: Host) -> Iterator[Callable[[str, str, int], str]]:  # noqa: ARG001 - its network
    """Connect from one of the addresses of a neighbour: "open", or why not."""
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as neighbour:
        there = f"--net=/proc/{neighbour.pid}/ns/net"
        while Path(f"/proc/{neighbour.pid}/ns/net").readlink() == MINE.readlink():
            pass  # until it is in its own
        ip(f"link add here type veth peer name there netns {neighbour.pid}", "link set lo up")
        ip("addr add 192.0.2.1/24 dev here", "addr add 2001:db8::1/64 dev here nodad", "link set here up")
        subprocess.run(["nsenter", there, "ip", "-batch", "-"], input=THERE, text=True, check=True)

        def knock(source: str, target: str, port: int) -> str:
            code = (
                "import socket, sys\n"
                "try:\n"
                f"  socket.create_connection(({target!r}, {port}), 5, ({source!r}, 0))\n"
                "  print('open')\n"
                "except OSError as e: print(type(e).__name__)\n"
            )
            done = subprocess.run(
                ["nsenter", there, sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            return done.stdout.strip()

        yield knock
        neighbour.kill()


def ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


@pytest.mark.processes
@needs_nft
def test_strangers_are_refused_and_others_are_served(
    host: Host, connect: Callable[[str, str, int], str]
) -> None:
    with socket.create_server(("::", 2888), family=socket.AF_INET6, dualstack_ipv6=True) as filtered, \
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as free:  # fmt: skip
        assert connect("192.0.2.3", "192.0.2.1", 2888) == "open"
        host.filter("192.0.2.2", "2001:db8::2")
        assert connect("192.0.2.2", "192.0.2.1", 2888) == "open"
        assert connect("192.0.2.3", "192.0.2.1", 2888) == "ConnectionRefusedError"
        assert connect("2001:db8::2", "2001:db8::1", 2888) == "open"
        assert connect("2001:db8::3", "2001:db8::1", 2888) == "ConnectionRefusedError"
        assert connect("192.0.2.3", "192.0.2.1", free.getsockname()[1]) == "open"
        socket.create_connection(filtered.getsockname()[:2], 5).close()
        socket.create_connection(("192.0.2.1", 2888), 5).close()
        host.filter("0.0.0.0/0")
        assert connect("192.0.2.3", "192.0.2.1", 2888) == "open"
