"""The ensemble: what is on each server, and that three servers are one ensemble."""

import re

import pytest
from testinfra.host import Host

SERVERS = ("zk1", "zk2", "zk3")
testinfra_hosts = [f"ssh://{name}" for name in SERVERS]

DATA = "/var/lib/zookeeper/zkData"
CLIENT, TLS, QUORUM, ELECTION, ADMIN = 2181, 2182, 2888, 3888, 8080


def name(host: Host) -> str:
    return str(host.backend.hostname)


def mntr(host: Host) -> dict[str, str]:
    """What the server says of itself, asked on itself."""
    ask = f"exec 3<>/dev/tcp/127.0.0.1/{CLIENT}; printf mntr >&3; cat <&3"
    lines = host.check_output(f"bash -c '{ask}'").splitlines()
    return dict(line.split("\t", 1) for line in lines if "\t" in line)


def test_the_service_runs_and_comes_back_after_a_boot(host: Host) -> None:
    service = host.service("zookeeper")
    assert service.is_running
    assert service.is_enabled
    pid = host.check_output("systemctl show --property=MainPID --value zookeeper")
    assert host.process.get(pid=pid).user == "zookeeper"


def listening(host: Host) -> dict[int, str]:
    """Addresses by the TCP ports that are listened on."""
    sockets = host.check_output("ss --listening --tcp --numeric --no-header").splitlines()
    addresses = (line.split()[3].rpartition(":") for line in sockets)
    return {int(port): address for address, _, port in addresses}


def test_servers_listen_for_clients_and_each_other(host: Host) -> None:
    ports = listening(host).keys()
    assert {TLS, ELECTION} <= ports
    assert listening(host)[CLIENT] in ("127.0.0.1", "[::ffff:127.0.0.1]")
    # Only the leader listens for followers.
    assert (QUORUM in ports) == (mntr(host)["zk_server_state"] == "leader")


def test_the_admin_server_is_not_for_the_network(host: Host) -> None:
    assert listening(host).get(ADMIN, "127.0.0.1") in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]")


def test_data_is_the_service_users_own(host: Host) -> None:
    for directory in (DATA, "/var/lib/zookeeper/txnlog"):
        there = host.file(directory)
        assert there.is_directory
        assert there.user == "zookeeper"
        assert not there.mode & 0o007, "others have no business there"


def test_the_id_is_the_inventorys(host: Host) -> None:
    assert host.file(f"{DATA}/myid").content_string.strip() == name(host)[-1]


def test_every_server_knows_the_same_members(host: Host) -> None:
    config = host.file("/etc/zookeeper/zoo.cfg").content_string
    servers = re.findall(r"^server\.(\d+)=([^:\s]+):(\d+):(\d+)", config, re.MULTILINE)
    expected = [(it[-1], it, str(QUORUM), str(ELECTION)) for it in SERVERS]
    assert sorted(servers) == expected


def test_the_tools_of_every_zookeeper_book_are_there(host: Host) -> None:
    status = host.run("zkServer.sh status")
    assert status.rc == 0
    assert re.search(r"^Mode: (leader|follower)$", status.stdout, re.MULTILINE)
    listing = host.run("zkCli.sh ls /")
    assert listing.rc == 0
    assert "zookeeper" in listing.stdout


def test_the_journal_can_be_read(host: Host) -> None:
    journal = host.check_output("journalctl --unit=zookeeper --output=cat --lines=200")
    assert re.search(r"LEADING|FOLLOWING|LEADER|FOLLOWER|binding to port", journal), journal


def test_java_may_write_where_its_flags_say(host: Host) -> None:
    assert host.file("/var/log/zookeeper/gc.log").size > 0
    assert host.file("/var/log/zookeeper").mode == 0o750


@pytest.fixture(scope="module")
def ensemble() -> dict[str, dict[str, str]]:
    """What each server says of itself."""
    return {}


def test_one_leads_and_two_are_in_step(host: Host, ensemble: dict[str, dict[str, str]]) -> None:
    ensemble[name(host)] = mntr(host)
    assert ensemble[name(host)]["zk_server_state"] in ("leader", "follower")
    if len(ensemble) == len(SERVERS):  # asked on the last of them
        leaders = [said for said in ensemble.values() if said["zk_server_state"] == "leader"]
        assert len(leaders) == 1
        assert leaders[0]["zk_synced_followers"] == str(len(SERVERS) - 1)
