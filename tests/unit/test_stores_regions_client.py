"""Regions as programs reach them: handlers in this process at real ports, and a table without an ensemble."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stores.regions import client, files, handler, ranges
from stores.regions.client import NotDoneError, Regions
from stores.regions.handler import Region
from stores.regions.ranges import MAP, Range, Ranges
from stores.rpc import Message, RefusedError, call

import mwapp
from mwapp import ShardState
from mwapp.errors import RefusedError as EnsembleRefusesError
from mwapp.errors import TimedOutError, UnreachableError
from mwapp.handlers import Term
from testbed.waiting import wait_for

pytestmark = pytest.mark.servers

LONG = 15.0  # seconds for what takes none on a quiet machine


class Ensemble:
    """In place of a client's: all shards of a table have an owner here, at once."""

    def __init__(self, name: str, generation: int = 1) -> None:
        self.name = name
        self.generation = generation
        self.owners: list[Region] = []
        self.fails: Exception | None = None

    def __enter__(self) -> "Ensemble":
        if self.fails:
            raise self.fails
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def table(self, name: str) -> "Ensemble":
        assert name == self.name
        return self

    def create(self, *, shards: int, handler: str, timeout: float) -> None:
        assert (handler, timeout) == (client.HANDLER, LONG)
        self.resize(shards)

    def resize(self, shards: int, timeout: float = 0) -> None:  # noqa: ARG002 - as a table's
        for shard in range(len(self.owners), shards):
            owner = Region(self.name, shard, "w1")
            term = Term(self.generation, "primary", "w1", {"w1": "sync"})
            owner.open(term)
            owner.promote(term)
            self.owners.append(owner)

    def wait(self, timeout: float) -> None:
        pass

    def show(self) -> list[ShardState]:
        return [
            ShardState(owner.shard, "serving", "w1", self.generation, owner.address, {}, 0, None)
            for owner in self.owners
        ]

    def shard(self, shard: int) -> ShardState:
        return self.show()[shard]


Make = Callable[..., tuple[Ensemble, Regions]]


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of owners that have given up."""
    found: list[str] = []
    monkeypatch.setattr(handler, "_die", lambda: found.append("dead"))
    return found


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: list[str]) -> Iterator[Make]:
    monkeypatch.setenv(handler.STORAGE, str(tmp_path))
    made: list[Ensemble] = []

    def make(name: str = "regions", generation: int = 1, timeout: float = LONG) -> tuple[Ensemble, Regions]:
        ensemble = Ensemble(name, generation)
        made.append(ensemble)
        monkeypatch.setattr(mwapp, "Client", lambda: ensemble)
        as_client: Any = ensemble
        return ensemble, Regions(as_client, name, timeout)

    yield make
    for ensemble in made:
        for owner in ensemble.owners:
            owner.close()
    assert deaths == []


def test_what_is_put_is_there_before_and_after_a_split(make: Make) -> None:
    _, regions = make()
    regions.create()
    for key in ("apple", "fig", "лимон"):
        regions.put(key, key.encode())
    regions.split("fig")
    regions.split("fig")
    regions.delete("apple")
    assert list(regions.scan()) == [("fig", b"fig"), ("лимон", "лимон".encode())]
    assert [row[:6] for row in regions.show()] == [
        ("", "fig", 0, "w1", "serving", 0),
        ("fig", None, 1, "w1", "serving", 2),
    ]


def test_a_key_has_at_most_so_many_bytes(make: Make) -> None:
    _, regions = make()
    for key in ("", "a" * 1001, "л" * 501):
        with pytest.raises(ValueError, match="1 to 1000 are possible"):
            regions.get(key)


def test_a_table_of_many_regions_with_long_keys_has_a_map_that_arrives(make: Make, tmp_path: Path) -> None:
    _, regions = make()
    regions.create()
    lows = ["", *(f"{number:04}" + "л" * 490 for number in range(1, 600))]
    many = Ranges(2, tuple(Range(low, shard, "") for shard, low in enumerate(lows)))
    files.claim(tmp_path / "regions" / MAP / "2", many.encode())
    shown = regions.show()
    assert [row.low for row in shown] == lows
    assert {(row.owner, row.state) for row in shown[1:]} == {("", "missing")}


def test_a_new_table_over_the_data_of_a_deleted_one_serves_all_of_them(make: Make) -> None:
    first, regions = make()
    regions.create()
    regions.put("a", b"1")
    regions.put("f", b"2")
    regions.split("f")
    for owner in first.owners:
        owner.close()
    first.owners.clear()
    _, regions = make(generation=2)
    regions.create()
    assert dict(regions.scan()) == {"a": b"1", "f": b"2"}


def test_a_process_that_was_forked_is_another_writer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    _, regions = make()
    regions.create()
    regions.put("k", b"before")
    both_have = dict(vars(regions._thread))
    regions.put("k", b"of the parent")
    vars(regions._thread).update(both_have)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    regions.put("k", b"of the child")
    assert regions.get("k") == b"of the child"


def test_an_owner_answers_for_its_own_shard_and_table_alone(make: Make) -> None:
    _, regions = make()
    regions.create()
    other, others = make("others")
    others.create()
    regions._addresses[0] = other.owners[0].address  # which has the port that another had
    change = {"key": "k", "writer": "p", "number": 1}
    requests: list[dict[str, Any]] = [{"do": "write", "change": change}, {"do": "get", "key": "k"}]
    for request in requests:
        with pytest.raises(RefusedError, match="here is shard 0 of others"):
            regions._call("k", request, b"", time.monotonic() + LONG, LONG)
    for do in ("map", "status"):
        for asked in ({"table": "regions", "shard": 0}, {"table": "others", "shard": 1}, {}):
            with pytest.raises(RefusedError, match="here is shard 0 of others"):
                call(other.owners[0].address, {"do": do, **asked}, timeout=LONG)
    assert others.get("k") is None


@pytest.mark.parametrize(
    "fails", [TimedOutError(), UnreachableError(), EnsembleRefusesError("no"), OSError(5, "no")]
)
def test_an_owner_outlives_an_ensemble_that_does_not_split(make: Make, fails: Exception) -> None:
    ensemble, regions = make()
    regions.create()
    regions.put("a", b"1")
    ensemble.fails = fails
    with pytest.raises(RefusedError, match="which is to get half of the keys"):
        regions._call("b", {"do": "split", "key": "b"}, b"", time.monotonic() + LONG, LONG)
    ensemble.fails = None
    regions.split("b")
    assert len(regions.show()) == 2


def test_a_large_region_is_split_when_the_ensemble_is_back(
    make: Make, monkeypatch: pytest.MonkeyPatch, deaths: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(handler, "LARGEST", 10)
    monkeypatch.setattr(handler, "PAUSE", 0.0)
    ensemble, regions = make()
    regions.create()
    ensemble.fails = TimedOutError()
    for key in "abc":
        regions.put(key, b"12345678")
    owner = ensemble.owners[0]
    said: list[str] = []

    def failed() -> bool:
        """It says why after it has let the next one try."""
        said.append(capfd.readouterr().err)
        return "which is to get half of the keys" in "".join(said) and not owner._splitting.locked()

    wait_for("the split has failed", failed)
    assert deaths == []
    ensemble.fails = None
    regions.put("b", b"")
    wait_for("it is split", lambda: len(ranges.read(owner._table_place).ranges) == 2)


def test_a_request_without_a_key_splits_nothing_and_the_next_does(make: Make) -> None:
    ensemble, regions = make()
    regions.create()
    with pytest.raises(ConnectionResetError):
        call(ensemble.owners[0].address, {"do": "split", "table": "regions", "shard": 0}, timeout=LONG)
    regions.split("b")
    assert len(regions.show()) == 2


def test_an_owner_whose_storage_is_gone_answers_nothing(
    make: Make, tmp_path: Path, deaths: list[str]
) -> None:
    _, regions = make()
    regions.create()
    regions.put("a", b"1")
    (tmp_path / "regions").rename(tmp_path / "unmounted")
    with pytest.raises(ConnectionResetError):
        regions._call("a", {"do": "get", "key": "a"}, b"", time.monotonic() + LONG, LONG)
    assert deaths == ["dead"]
    deaths.clear()


def test_storage_is_not_itself_a_mount_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(handler.STORAGE, "/proc")
    with pytest.raises(ValueError, match="use a directory below it"):
        Region("regions", 0, "w1").open(Term(1, "primary", "w1", {}))


class Frozen:
    """Owners that do not answer, but for one; and a clock."""

    def __init__(self, count: int) -> None:
        self.now, self.asked = 0.0, list[str]()
        self.answers = ""
        self.name = "regions"
        self.states = [ShardState(n, "serving", "w1", 1, f"h:{n}", {}, 0, None) for n in range(count)]

    def table(self, _: str) -> "Frozen":
        return self

    def show(self) -> list[ShardState]:
        return self.states

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def call(self, address: str, fields: dict[str, Any], _body: bytes, timeout: float) -> Message:
        assert timeout > 0
        self.asked.append(f"{fields['do']} {address}")
        if address != self.answers:
            self.now += timeout
            raise TimeoutError
        if fields["do"] == "split":
            self.now += timeout
            return Message({})
        return Message(
            {"found": False}, Ranges(1, tuple(Range(s, n, "") for n, s in enumerate(" bc"))).encode()
        )


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Frozen:
    frozen = Frozen(100)
    monkeypatch.setattr(client, "time", frozen)
    monkeypatch.setattr(client, "call", frozen.call)
    return frozen


def test_an_operation_ends_in_time_however_many_owners_stand_still(frozen: Frozen) -> None:
    as_client: Any = frozen
    for do in ("get", "split"):
        begin = frozen.now
        with pytest.raises(NotDoneError):
            getattr(Regions(as_client, timeout=5.5), do)("k")
        assert 5.0 < frozen.now - begin < 5.6


def test_who_has_the_key_is_asked_first(frozen: Frozen) -> None:
    as_client: Any = frozen
    regions = Regions(as_client, timeout=1000.0)
    frozen.answers = "h:2"
    assert regions.get("d") is None
    for _ in range(3):
        frozen.asked.clear()
        regions._until(lambda end: regions._look(end, "d"), "d")
        assert frozen.asked == ["map h:2"]


def test_a_split_has_the_time_that_is_left(frozen: Frozen) -> None:
    as_client: Any = frozen
    regions = Regions(as_client, timeout=30.0)
    regions._known, frozen.answers = Ranges(1, (Range("", 2, ""),)), "h:2"
    regions.split("k")
    assert frozen.now == 30.0
