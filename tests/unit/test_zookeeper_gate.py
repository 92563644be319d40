"""The module zookeeper_gate, run as Ansible runs it, against servers on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.ansible_module import run
from tests.unit.four_letters import Serve, Server, closed_port, in_turn, serving
from tests.unit.zookeeper_role import load_file

pytestmark = pytest.mark.servers

gate = load_file("modules/zookeeper_gate.py")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr(gate, "PAUSE_SECONDS", 0.001)
    with serving() as start:
        yield start


def member(number: int, port: int, **other: object) -> dict[str, object]:
    return {"name": f"zk{number}", "host": "127.0.0.1", "client_port": port, "observer": False} | other


def ask(*servers: Server | int, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Ask about zk1, zk2 ... (or what listens on a port); if not well, they have a moment to become so."""
    ports = [server.port if isinstance(server, Server) else server for server in servers]
    members = [member(number, port) for number, port in enumerate(ports, 1)]
    return run(gate, {"members": members, "timeout": 20} | arguments, check=check)


def test_an_ensemble_that_is_healthy(serve: Serve) -> None:
    modes = ("follower", "leader", "follower")
    answer = ask(*(serve(in_turn(mode)) for mode in modes), pending=["zk2", "zk3"])
    assert answer["healthy"]
    assert not answer["changed"]
    assert (answer["problems"], answer["blamed"], answer["idle"]) == ([], [], [])
    assert answer["rolling"] == ["zk3", "zk2"]
    assert answer["waited"] < 20
    assert answer["members"]["zk1"] == {
        "reachable": True,
        "mode": "follower",
        "version": "3.9.3",
        "zxid": "0x10000000a",
        "synced_followers": None,
        "synced_others": 0,
        "error": None,
    }
    assert {name: state["mode"] for name, state in answer["members"].items()} == {
        "zk1": "follower",
        "zk2": "leader",
        "zk3": "follower",
    }
    assert answer["members"]["zk2"]["synced_followers"] == 2


def test_without_a_timeout_it_looks_once(serve: Serve) -> None:
    one = serve(in_turn("idle", "standalone"))
    answer = ask(one, timeout=0, pending=["zk1"])
    assert (answer["healthy"], answer["idle"], answer["waited"] < 20) == (False, [], True)
    assert one.words == ["srvr"]


def test_check_mode_looks_too(serve: Serve) -> None:
    assert ask(serve(in_turn("standalone")), check=True)["healthy"]


def test_an_observer_is_expected_to_observe(serve: Serve) -> None:
    modes = ("leader", "follower", "observer")
    servers = [serve(in_turn(mode, synced=1)) for mode in modes]
    members = [member(n, server.port, observer=n == 3) for n, server in enumerate(servers, 1)]
    answer = ask(members=members, timeout=0)
    assert answer["problems"] == ["the leader zk1 has 0 observers in sync, not 1"]
    assert "zk3 only observes" in ask(*servers, timeout=0)["problems"][0]


def test_who_is_pending_is_asked_where_it_still_listens(serve: Serve) -> None:
    """A changed port: it listens there once it was restarted, and is asked there then."""
    one, two, three = (serve(in_turn(mode)) for mode in ("follower", "leader", "follower"))
    ports = {"zk1": closed_port(), "zk2": str(two.port), "zk3": three.port}
    answer = ask(one, closed_port(), three, deployed_ports=ports, pending=["zk2", "zk3"])
    assert answer["healthy"], answer["problems"]
    assert one.words, "it has been restarted, and is where it is wanted"


def test_all_are_asked_at_once(serve: Serve) -> None:
    together = threading.Barrier(3)

    def meeting(mode: str) -> Server:
        answer = in_turn(mode)

        def wait(word: str) -> str | None:
            if word == "srvr":
                together.wait(10)
            return answer(word)

        return serve(wait)

    assert ask(*(meeting(mode) for mode in ("follower", "leader", "follower")))["healthy"]


def test_a_server_that_says_nothing_is_not_waited_for(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "ANSWER_SECONDS", 0.02)
    answer = ask(serve(in_turn(None)), timeout=0)
    assert answer["members"]["zk1"]["error"] == "no answer within 0.02 s"
    assert answer["problems"][0].endswith("no answer within 0.02 s")


def test_health_is_waited_for(serve: Serve) -> None:
    """Not even those that serve nobody are given up before they have had time to find each other."""
    two = serve(in_turn("idle", "idle", "leader"))
    servers = [serve(in_turn("follower")), two, serve(in_turn("idle", "follower"))]
    answer = ask(*servers, pending=["zk2", "zk3"])
    assert (answer["healthy"], answer["idle"], answer["problems"]) == (True, [], [])
    assert two.words == ["srvr", "srvr", "srvr", "mntr"]
    assert run(gate, {"members": [member(1, serve(in_turn("idle", "standalone")).port)]})["healthy"]


def test_a_pending_server_that_serves_nobody_is_given_up_at_last(serve: Serve) -> None:
    modes = ("leader", "follower", "idle", "idle")
    three, *others = [serve(in_turn(mode)) for mode in reversed(modes)]
    answer = ask(*reversed(others), three, pending=["zk4", "zk1"], settle=0)
    assert not answer["changed"]
    assert not answer["healthy"], "the caller restarts who is idle, but rolls on only when all is well"
    assert (answer["idle"], answer["rolling"]) == (["zk4"], ["zk1"])
    assert answer["blamed"] == ["zk3", "zk4"]
    assert three.words == ["srvr"], "nothing else is waited for"


def test_who_is_not_pending_is_waited_for(serve: Serve) -> None:
    one, two = serve(in_turn("idle", "leader", synced=1)), serve(in_turn("follower"))
    answer = ask(one, two, settle=0)
    assert (answer["healthy"], answer["idle"]) == (True, [])


def test_each_is_blamed_once_and_the_ensemble_is_nobody(serve: Serve) -> None:
    one, two = serve(in_turn("leader")), serve(in_turn("leader"))
    members = [member(1, one.port, observer=True), member(2, two.port), member(3, closed_port())]
    answer = ask(members=members, timeout=0)
    assert len(answer["problems"]) == 4, "zk1 leads, as does another, and is to observe"
    assert answer["blamed"] == ["zk1", "zk3", "zk2"]
    assert ask(serve(in_turn("idle")), closed_port(), timeout=0)["blamed"] == ["zk1", "zk2"]


def test_while_voters_change_who_is_pending_may_be_what_it_was(serve: Serve) -> None:
    """And what waits for its restart under a new leader is to be restarted, too."""
    modes = ("leader", "observer", "idle")
    servers = [serve(in_turn(mode, synced=1)) for mode in modes]
    answer = ask(*servers, pending=["zk2", "zk3"], changing=True, settle=0)
    assert answer["healthy"], answer["problems"]
    assert (answer["rolling"], answer["idle"]) == (["zk2", "zk3"], [])
    answer = ask(*servers, pending=["zk2", "zk3"], timeout=0)
    assert not answer["healthy"]
    assert answer["rolling"] == ["zk2"]


def test_when_all_have_learnt_of_the_change_all_must_be_well(serve: Serve) -> None:
    """Of two voters one may wait while the other is pending; with none pending nobody may."""
    servers = [serve(in_turn("leader", synced=0)), serve(in_turn("idle"))]
    assert ask(*servers, pending=["zk1"], changing=True, timeout=0)["healthy"]
    assert not ask(*servers, pending=[], changing=True, timeout=0)["healthy"]


def test_a_former_member_that_still_runs_is_warned_of(serve: Serve) -> None:
    one, former = serve(in_turn("standalone")), serve(in_turn("idle"))
    gone = {
        "4": f"127.0.0.1:2888:{former.port}",
        "5": f"[127.0.0.1]:2888:{former.port}:observer",
        "6": f"127.0.0.1:{former.port}:{closed_port()}",
        "7": "unreadable",
        "8": "no..name:2888:3888",
    }
    said = [warning["event"]["msg"] for warning in ask(one, gone=gone)["warnings"]]
    assert [text.partition(" is no longer")[0] for text in said] == [
        "Server 4 on 127.0.0.1",
        "Server 5 on 127.0.0.1",
    ]
    assert "systemctl disable --now zookeeper" in said[0]


def test_a_release_that_may_lose_writes_is_warned_of_at_the_end(serve: Serve) -> None:
    servers = [serve(in_turn(mode)) for mode in ("follower", "leader", "follower")]
    [warning] = ask(*servers)["warnings"]
    assert warning["event"]["msg"].startswith("zk1, zk2, zk3: ZooKeeper 3.9.3 may lose acknowledged writes")
    assert "warnings" not in ask(*servers, snapshots=True)
    [warning] = ask(*servers, snapshots=True, unsaid=True)["warnings"]
    assert "zookeeper_tls is not in the inventory" in str(warning)
    assert "warnings" not in ask(*servers, pending=["zk1"])


def test_a_clock_that_is_a_day_off_is_warned_of(serve: Serve) -> None:
    one = serve(in_turn("standalone"))
    clocks = {"zk1": 1_000_000.0, "zk2": 1_000_060.0, "zk3": 1_086_400.0}
    [said] = [warning["event"]["msg"] for warning in ask(one, clocks=clocks)["warnings"]]
    assert said.startswith("The clock of zk3 is 24.0 h ahead of that of zk2: correct it (timedatectl).")


def test_a_former_member_is_left_in_peace_until_all_know(serve: Serve) -> None:
    one, former = serve(in_turn("standalone")), serve(in_turn("idle"))
    gone = {"4": f"127.0.0.1:2888:{former.port}"}
    assert "warnings" not in ask(one, gone=gone, pending=["zk1"])
    assert "warnings" not in ask(closed_port(), gone=gone, timeout=0)


def test_a_name_that_cannot_be_one_is_told(serve: Serve) -> None:
    members = [member(1, serve(in_turn("leader")).port), member(2, 2181, host="zk2..example.org")]
    answer = ask(members=members, timeout=0)
    assert "zk2 does not answer at zk2..example.org:2181: zk2..example.org cannot be" in answer["problems"][0]
