"""Servers that have a snapshot and no log: whose data they are, and that the newest of all still lead."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_zookeeper_history import HEADER, entry, history, write
from tests.unit.test_zookeeper_tree import snapshot, text
from tests.unit.zookeeper_hosts import CutError, Ensemble, Host, Run, line
from tests.unit.zookeeper_plans import (
    Found,
    holds,
    orders,
    plan,
    refusal,
    reinstalled,
    replaced,
    steps,
    written,
)

BARE: Found = {"trail": {}}
DOWN: Found = {"unit": {"running": False}}


def bare(found: Found, *zxids: int, at: int = 0) -> Found:
    """It has no log; its snapshot tells of these transactions, and it goes as far as the last."""
    times = {f"{zxid:#x}": at for zxid in zxids}
    return found | BARE | ({"last_zxid": f"{max(zxids):#x}", "times": times} if zxids else {})


def led(leader: str, *followers: str) -> dict[str, list[tuple[str, str]]]:
    """The connections of these servers, each at the address of its number."""
    ends = {n: (f"10.0.0.{n}:5000{n}", f"10.0.0.{leader}:2888") for n in followers}
    return {n: [end] for n, end in ends.items()} | {leader: [end[::-1] for end in ends.values()]}


MOVED = {"1": bare(replaced("123", "123")), "2": bare(holds("123")), "3": bare(holds("123"))}


def test_those_that_have_one_leader_are_one_ensemble() -> None:
    """A change of all addresses that was cut short, and nobody has written anything yet."""
    links = led("3", "1", "2")
    seen = {n: found | {"links": links[n]} for n, found in MOVED.items()}
    answer = plan(seen)
    assert (steps(answer), answer["stages"][0]["changing"]) == (["123"], False)
    assert "not one ensemble's" in refusal(plan(MOVED)), "nothing tells"


@pytest.mark.parametrize(
    ("first", "third"),
    [
        ([], []),  # the first follows nobody
        (led("3", "1")["1"], []),  # whoever leads it, it is not the third
        ([("10.0.0.1:50001", "10.0.0.3:3888")], [("10.0.0.3:3888", "10.0.0.1:50001")]),  # an election
        (led("3", "1")["1"], [("10.0.0.3:2888", "10.0.0.1:50002")]),  # another one follows
    ],
)
def test_only_a_connection_by_which_data_are_sent_is_a_proof(first: list[Any], third: list[Any]) -> None:
    links = led("3", "2") | {"1": first}
    links["3"] += third
    seen = {n: found | {"links": links[n]} for n, found in MOVED.items()}
    assert "at other addresses: that is not one ensemble's" in refusal(plan(seen))


def test_one_leader_is_no_proof_against_different_transactions() -> None:
    links = led("3", "1", "2")
    seen = {n: holds("123", links=links[n]) | written(1, 2, at=n == "1") for n in "123"}
    assert "have different transactions" in refusal(plan(seen))


def test_two_addresses_of_one_host_are_no_move() -> None:
    """Nothing runs, nobody has written, and the members were given names: they are the same hosts."""
    here = {n: {"addresses": [f"new{n}", "10.0.0.1"]} for n in "123"}
    seen = {n: found | DOWN | here[n] for n, found in MOVED.items()}
    assert steps(plan(seen)) == ["123"]
    seen["2"]["addresses"] = seen["3"]["addresses"] = []
    assert "at other addresses" in refusal(plan(seen)), "two of three may be elsewhere"


def test_what_a_snapshot_tells_shows_that_it_is_one_ensemble() -> None:
    """Nothing runs: one was sent a snapshot, the addresses have changed, and the run was cut short."""
    log = {n: holds("123", **DOWN) | written(1, 2, 3, 4) | {"times": {"0x3": 7, "0x4": 8}} for n in "23"}
    moved = replaced("123", "123", **DOWN)
    one = bare(moved, 2, 3, at=7)
    assert steps(plan(log | {"1": one})) == ["123"]
    forked = bare(moved, 3, 4) | {"times": {"0x3": 7, "0x4": 9}}
    for other in (bare(moved, 2, 3, at=9), forked):
        said = refusal(plan(log | {"1": other}))
        assert said.startswith("The data of servers 1 and 2 have different transactions")
    assert "at other addresses" in refusal(plan(log | {"1": bare(moved, 2, at=7)})), "nothing in common"


def test_a_restored_snapshot_on_hosts_installed_anew_is_one_ensembles() -> None:
    seen = {n: bare(reinstalled(5), 3, 5, at=7) for n in "123"}
    assert steps(plan(seen))[-1] == "123"
    assert "none of its last transactions" in refusal(plan(seen | {"3": bare(reinstalled(5), 4, at=7)}))


@pytest.mark.parametrize("last", ["0x9", "0x100000000"])
def test_a_snapshot_is_no_proof_for_data_that_would_lead(last: str) -> None:
    """It may be a copy that served by itself: what it lacks of the others' is not in it, whatever else is."""
    log = {n: holds("123", **DOWN) | written(3, 4) | {"times": {"0x3": 7, "0x4": 7}} for n in "12"}
    newer = bare(reinstalled(9), 3, 9, at=7) | {"last_zxid": last}
    assert "they may be another ensemble's" in refusal(plan(log | {"3": newer}))
    as_new = bare(reinstalled(4), 3, 4, at=7)
    assert steps(plan(log | {"3": as_new}))[-1] == "123"
    answer = plan({n: one | {"configured": False} for n, one in (log | {"3": as_new}).items()})
    assert orders(answer) == ["12|12", "123|123"]


# ------------------------------------------------------------ whole runs


def ensemble(size: int) -> Ensemble:
    """It serves, under addresses that its hosts are about to lose, and has no log."""
    hosts = {n: Host(n, f"10.0.0.{n}") for n in range(1, size + 1)}
    known = {n: line(host.address) for n, host in hosts.items()}
    for host in hosts.values():
        host.config, host.running, host.log, host.snapshot = known, known, {1: 1}, 1
    found = Ensemble(hosts, random.Random(size), acknowledged={1: 1})  # noqa: S311 - always the same
    found.settle()
    for host in hosts.values():  # nobody writes
        host.log = {1: 1}
    found.acknowledged = {1: 1}
    return found


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("serving", [True, False])
def test_a_change_of_all_addresses_is_finished_wherever_it_is_cut_short(
    size: int, serving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ensemble, "_write", lambda *_: None)
    for cut in range(3 * size):
        found = ensemble(size)
        for host in found.hosts.values():
            host.names = {host.address}
            host.address = f"10.0.3.{host.number}"
            if not serving:
                found.stop(host)
        ports = {"quorum_port": 2888, "election_port": 3888}
        members = [
            {"name": h.name, "id": n, "host": h.address, "observer": False, **ports}
            for n, h in found.hosts.items()
        ]
        with suppress(CutError):
            Run(found, members, steps=cut).play()
        Run(found, members).play()
        wanted = {n: line(h.address) for n, h in found.hosts.items()}
        assert all(host.running == wanted for host in found.hosts.values())


# ------------------------------------------------------------ on the disk


def timed(*nodes: tuple[str, int, int, int, int]) -> bytes:
    """A snapshot of nodes: path, created, when, modified, when."""
    whole = snapshot()[: -len(text("/") + bytes(12))]
    for path, made, at, changed, then in nodes:
        stat = struct.pack(">qqqqqiiiqq", 1, made, changed, at, then, 0, 0, 0, 0, 0)
        whole += text(path) + text("x") + stat
    return whole + text("/") + bytes(12)


def read(directory: Path) -> Any:
    return history.read_history([str(directory)])


def test_a_log_tells_when_its_transactions_were_made(tmp_path: Path) -> None:
    write(tmp_path, "log.1", HEADER + entry(1, 700) + entry(2, 701) + bytes(64))
    write(tmp_path, "snapshot.0", timed(("/other", 9, 9, 9, 9)))
    assert read(tmp_path).times == {1: 700, 2: 701}


def test_the_newest_snapshot_tells_it_where_there_is_no_log(tmp_path: Path) -> None:
    write(tmp_path, "snapshot.3", timed(("/a", 1, 700, 1, 700)))
    write(tmp_path, "log.4", HEADER)
    nodes = [("/a", 1, 700, 5, 705), ("/zookeeper/config", 4, 4, 4, 4), ("/b", 2, 701, 2, 701)]
    write(tmp_path, "snapshot.5", timed(*nodes))
    found = read(tmp_path)
    assert (found.times, found.trail, found.last) == ({1: 700, 2: 701, 5: 705}, {}, 5)
    write(tmp_path, "snapshot.5", timed(*nodes)[:-100])
    assert read(tmp_path).times == {1: 700, 5: 705}, "as far as it can be read"
    write(tmp_path, "snapshot.7.snappy", b"?")
    assert read(tmp_path).times == {}


def test_beside_a_damaged_log_a_snapshot_tells_nothing(tmp_path: Path) -> None:
    write(tmp_path, "snapshot.3", timed(("/a", 1, 700, 1, 700)))
    write(tmp_path, "log.4", bytes(16) + entry(4))
    found = read(tmp_path)
    assert (found.damaged.rpartition("/")[2], found.times) == ("log.4", {})


def found_on(directory: Path, base: Found) -> Found:
    """As zookeeper_preflight tells it."""
    its = read(directory)
    return base | {
        "last_zxid": f"{its.last:#x}",
        "trail": {f"{zxid:#x}": one for zxid, one in its.trail.items()},
        "times": {f"{zxid:#x}": one for zxid, one in its.times.items()},
    }


@pytest.mark.parametrize("own", [4900, 30_000])
def test_a_copy_that_went_its_own_way_beside_a_log_with_a_gap(tmp_path: Path, own: int) -> None:
    """The others were sent all data: what the copy did by itself may be in their gap, so nothing shows it."""
    past = [entry(zxid) for zxid in range(1, 100)]
    for n in "12":
        write(tmp_path / n, "log.1", HEADER + b"".join(past) + bytes(64))
        write(tmp_path / n, "snapshot.1400")
        log = [entry(zxid) for zxid in range(0x1401, 20_000)]
        write(tmp_path / n, "log.1401", HEADER + b"".join(log) + bytes(64))
    alone = [entry(zxid, 7) for zxid in range(100, 100 + own)]
    write(tmp_path / "3", "log.1", HEADER + b"".join(past + alone) + bytes(64))
    seen = {n: found_on(tmp_path / n, holds("123")) for n in "12"}
    text = refusal(plan(seen | {"3": found_on(tmp_path / "3", reinstalled(1))}))
    assert text.startswith("Server 3 has data, but no zoo.cfg") or "different transactions" in text
    few = HEADER + b"".join(past + [entry(zxid) for zxid in range(100, 120)])
    write(tmp_path / "behind", "log.1", few)
    behind = found_on(tmp_path / "behind", reinstalled(1))
    assert steps(plan(seen | {"3": behind}))[-1] == "123"
