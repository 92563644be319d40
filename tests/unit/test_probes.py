"""What servers and the master's endpoint are asked, whoever is there in their place."""

import pytest

from mwapp.daemon.endpoint import Endpoint
from mwapp.daemon.snapshot import Snapshot
from mwapp.status import probes
from mwapp.status.health import MasterStatus, ServerView
from mwapp.zookeeper.connect_string import Servers
from testbed.waiting import LONGEST_WAIT
from tests.unit.four_letters import SRVR, dripping, in_turn, serving


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
