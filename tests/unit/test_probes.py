"""What servers and the master's endpoint are asked, whoever is there in their place."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mwapp import certificates
from mwapp.certificates import Names
from mwapp.daemon.endpoint import Endpoint
from mwapp.daemon.snapshot import Snapshot
from mwapp.status import probes
from mwapp.status.health import MasterStatus, ServerView
from mwapp.zookeeper.connect_string import Servers
from testbed.tls_files import DAY, Maker, pem, write
from testbed.waiting import LONGEST_WAIT
from tests.unit.four_letters import SRVR, dripping, in_turn, serving

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers may take longer than an operator would wait."""
    monkeypatch.setattr(probes, "PROBE_SECONDS", LONGEST_WAIT)


def ask(port: int) -> ServerView:
    (view,) = probes.ask_servers(Servers.parse(f"127.0.0.1:{port}"))
    return view


def test_what_a_server_says() -> None:
    with serving() as serve:
        port = serve(in_turn("leader")).port
        assert ask(port) == ServerView(f"127.0.0.1:{port}", "leader", "3.9.3", 0.5, 12, 2)


def test_a_server_that_sends_a_byte_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.2)
    with dripping(SRVR.format(mode="leader")) as port:
        assert ask(port) == ServerView(f"127.0.0.1:{port}", problem="timed out")


def test_a_server_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MOST_BYTES", 1000)
    with serving() as serve:
        assert ask(serve(lambda _: "x" * 300_000).port).problem == "x" * 1000


@pytest.mark.parametrize("start", ["", "HTTP/1.0 200 OK\r\n\r\n{"])
def test_a_master_that_sends_a_byte_now_and_then(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.2)
    with dripping(start) as port:
        assert probes.ask_master(f"127.0.0.1:{port}") == MasterStatus(problem="timed out")


def test_a_master_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MOST_BYTES", 30)
    endpoint = Endpoint(("127.0.0.1", 0), lambda: Snapshot("master", "m", "m:1", 0.0, part={"state": "x"}))
    try:
        said = probes.ask_master(f"127.0.0.1:{endpoint.port}")
    finally:
        endpoint.close()
    assert said == MasterStatus(problem="no status (JSONDecodeError)")


Ask = Callable[..., MasterStatus]


@pytest.fixture
def asked(tmp_path: Path) -> Ask:
    """What is read of a master whose endpoint has a certificate for these hosts, or no TLS at all."""
    maker = Maker()
    write(tmp_path / "ca.pem", pem(maker.certificate))

    def ask_it(
        *hosts: str, ca: str | None = "ca.pem", ends: timedelta = DAY, https: bool = True
    ) -> MasterStatus:
        tls = None
        if hosts:
            cert = write(tmp_path / "me.pem", maker.pair("me", hosts, ends=ends))
            tls = certificates.serving(str(cert), None, Names(cert="--listen-cert"))
        snapshot = Snapshot("master", "m", "m:1", 0.0, part={"state": "active"})
        endpoint = Endpoint(("127.0.0.1", 0), lambda: snapshot, tls)
        try:
            address = f"{'https://' if https else ''}127.0.0.1:{endpoint.port}"
            return probes.ask_master(address, str(tmp_path / ca) if ca else ca)
        finally:
            endpoint.close()

    return ask_it


def test_a_master_with_tls_is_asked_with_tls(asked: Ask) -> None:
    assert asked("127.0.0.1") == MasterStatus("active")
    assert asked(https=False) == MasterStatus("active"), "of an older release, or without TLS"
    assert asked(https=False, ca=None) == MasterStatus("active")


@pytest.mark.parametrize("none", [None, ""])
def test_without_a_ca_nobody_is_trusted_and_it_is_said_what_to_give(asked: Ask, none: str | None) -> None:
    said = "it speaks HTTPS: give the CA of its certificate by --status-ca (status_ca in mwapp.toml)"
    assert asked("127.0.0.1", ca=none) == MasterStatus(problem=said)


def test_what_cannot_be_verified_is_one_line_with_a_remedy(asked: Ask, tmp_path: Path) -> None:
    write(tmp_path / "other.pem", pem(Maker().certificate))
    other, gone = tmp_path / "other.pem", tmp_path / "gone.pem"
    assert asked("127.0.0.1", ca="gone.pem").problem == (
        f"--status-ca: cannot read {gone}: No such file or directory"
    )
    told = {
        asked(
            "127.0.0.1", ca="other.pem"
        ).problem: f"; {other} (--status-ca) must have the CA of the servers'",
        asked("10.0.0.1").problem: "; --advertise (mwapp_host) must be a name or address that is in it",
    }
    for problem, remedy in told.items():
        assert problem is not None
        assert problem.startswith("its certificate is refused: ")
        assert remedy in problem
        assert "\n" not in problem


def test_a_master_that_does_not_speak_tls_after_all(asked: Ask) -> None:
    assert (asked().problem or "").startswith("it hung up: perhaps no TLS is spoken there")


def test_an_address_that_is_none() -> None:
    for address in ("https://", "w1", "http://mw1:2223", "https://mw1:2223/x"):
        said = "no status: the znode /master has no HOST:PORT"
        assert probes.ask_master(address) == MasterStatus(problem=said)
