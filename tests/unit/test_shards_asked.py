"""What people ask of shards, and what they are shown: requests, views, and the command line before the
ensemble."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mwapp.cli import config as config_module
from mwapp.cli import run
from mwapp.core.messages import Create, Error, Failed, Set, Transaction
from mwapp.core.session import Process
from mwapp.core.shards import requests
from mwapp.core.shards.protocol import SHARD_PARENTS, Member, Record, Report, Table, encode_page
from mwapp.status.overview import Look
from mwapp.status.shards import ShardsView, read_shards, shard_states, table_state
from tests.unit.core_stage import Actor, Person, Stage, creates

# ---------------------------------------------------------------- requests

Build = Callable[..., requests.Ask]
TABLE = Table(120, 3, "zone", shared=False)


def ask(stage: Stage, build: Build, *arguments: Any, lose: str | None = None) -> list[Failed | None]:
    """What became of it; ``lose``: the first answer to a transaction that creates such a path is lost."""
    answers: list[Failed | None] = []
    actor = Actor(stage)
    build(actor.process, *arguments, finished=answers.append)
    if lose is not None:
        actor.loses = creates(lose)
    actor.connect()
    if lose is not None:
        actor.resume()
    return answers


def test_the_first_table_is_made_with_what_it_needs_and_the_last_of_it_is_what_others_look_at(
    stage: Stage,
) -> None:
    assert ask(stage, requests.create_table, "t", TABLE) == [None]
    assert [stage.data(path) for path in ("/holders", "/moves", "/drains", "/shards")] == ["", "", "", ""]
    assert Table.decode((stage.data("/shards/t") or "").encode()) == TABLE
    made = [
        op.path
        for sent in stage.actors[-1].sent
        if isinstance(sent, Transaction)
        for op in sent.ops
        if isinstance(op, Create)
    ]
    assert made[-2:] == ["/shards", "/shards/t"]


def test_a_client_that_may_not_make_parents_makes_a_table_where_they_are(stage: Stage) -> None:
    """With lists. ZooKeeper refuses to create what is there, too."""
    for parent in SHARD_PARENTS:
        stage.person().create(parent)
    stage.forbids = lambda op: isinstance(op, Create) and op.path in SHARD_PARENTS
    assert ask(stage, requests.create_table, "t", TABLE) == [None]
    assert ask(stage, requests.create_table, "u", TABLE, lose="/shards/u") == [None]
    assert stage.children("/shards") == ["t", "u"]


def test_a_table_that_is_there_is_left_alone(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", TABLE)
    for table in (Table(3), TABLE):
        (failed,) = ask(stage, requests.create_table, "t", table)
        assert failed is not None
        assert failed.error is Error.NODE_EXISTS
    assert Table.decode((stage.data("/shards/t") or "").encode()) == TABLE
    assert ask(stage, requests.create_table, "u", TABLE) == [None]


def test_whoever_lost_the_reply_finds_the_own_table(stage: Stage) -> None:
    assert ask(stage, requests.create_table, "t", TABLE, lose="/shards/t") == [None]


def test_whoever_lost_the_reply_does_not_take_the_table_of_another_for_the_own(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", Table(3))
    (failed,) = ask(stage, requests.create_table, "t", TABLE, lose="/shards/t")
    assert failed is not None
    assert failed.error is Error.NODE_EXISTS


def test_to_delete_a_table_is_one_word_in_it(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", TABLE)
    assert ask(stage, requests.delete_table, "t") == [None]
    assert stage.data("/shards/t") == "delete"
    (failed,) = ask(stage, requests.delete_table, "u")
    assert failed is not None
    assert failed.error is Error.NO_NODE


@pytest.mark.parametrize(("replicas", "shared"), [(1, True), (2, False)])
def test_whether_data_are_shared_is_stored_so_that_more_replicas_do_not_change_it(
    stage: Stage, replicas: int, shared: bool
) -> None:
    ask(stage, requests.create_table, "t", Table(3, replicas))
    assert Table.decode((stage.data("/shards/t") or "").encode()).shared is shared


def test_a_table_that_is_gone_when_a_lost_request_to_delete_it_is_sent_again_was_deleted(
    stage: Stage, person: Person
) -> None:
    ask(stage, requests.create_table, "u", TABLE)
    answers: list[Failed | None] = []
    actor = Actor(stage)
    requests.delete_table(actor.process, "u", finished=answers.append)
    actor.loses = lambda request: "delete" in str(request.operation)
    actor.connect()
    assert answers == []
    person.delete("/shards/u")
    actor.resume()
    assert answers == [None]


def test_to_move_a_shard_is_a_znode_with_its_name(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", TABLE)
    assert ask(stage, requests.move_shard, "t", 7, ["w2", "w3"]) == [None]
    assert stage.data("/moves/t:7") == "w2 w3"
    (failed,) = ask(stage, requests.move_shard, "t", 7, ["w1"])
    assert failed is not None
    assert failed.error is Error.NODE_EXISTS


def test_a_worker_can_be_drained_and_that_undone_as_often_as_one_likes(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", TABLE)
    for undo, there in ((False, ["w1"]), (False, ["w1"]), (True, []), (True, [])):
        assert ask(stage, requests.drain_worker, "w1", undo) == [None]
        assert stage.children("/drains") == there


def test_what_the_ensemble_forbids_is_told(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", TABLE)
    stage.forbids = lambda op: isinstance(op, Set)
    assert ask(stage, requests.delete_table, "t") == [Failed(Error.REFUSED, 0)]


# ---------------------------------------------------------------- views


def see(stage: Stage, only: str | None = None) -> ShardsView:
    found: list[ShardsView] = []

    def build(process: Process) -> Look:
        return Look(process, lambda scope: read_shards(scope, found.append, only))

    stage.client(build)
    (view,) = found
    return view


def test_without_tables_nothing_is_seen(stage: Stage) -> None:
    assert see(stage) == ShardsView()


SYNC = Member(0, "sync")
RECORDS = {
    0: Record(7, "w1", {"w1": SYNC, "w2": SYNC}, since=5),
    1: Record(7, "w1", {"w1": SYNC, "w2": Member(0, "copy")}, target=("w2",)),
    2: Record(8, "w2", {"w2": SYNC, "gone": SYNC}, handover=True, target=("w1",)),
    3: Record(7, "w2", {"w2": SYNC}),
    4: Record(7, "gone", {"gone": SYNC, "w1": Member(9)}),
    5: Record(7, "", {}),
}


@pytest.fixture
def person(stage: Stage) -> Person:
    """A table of six shards on two pages; one worker is gone, and one was there before under its name."""
    ask(stage, requests.create_table, "t", Table(6, 2, page=4))
    person = stage.person()
    person.create("/shards/t/0", encode_page({n: RECORDS[n] for n in range(4)}).decode())
    person.create("/shards/t/1", encode_page({n: RECORDS[n] for n in (4, 5)}).decode())
    said = {("t", 0): (7, "serving"), ("t", 1): (6, "serving"), ("t", 4): (7, "ready")}
    addresses = {("t", 0): "w1:1", ("t", 1): "w1:2", ("t", 4): "w1:3"}
    report = Report(0, (), shards=said, addresses=addresses)
    person.create("/holders/w1", report.encode().decode(), e=True)
    more = {("t", 3): (7, "failed"), ("t", 2): (8, "serving"), ("t", 1): (7, "open")}
    report = Report(0, (), shards=more, addresses={("t", 1): "w2:2"})
    person.create("/holders/w2", report.encode().decode(), e=True)
    person.create("/holders/odd", "by hand", e=True)
    person.create("/drains/w2")
    person.create("/moves/t:3", "w1")
    return person


def test_every_state_of_a_shard_is_seen(stage: Stage, person: Person) -> None:  # noqa: ARG001 - it made them
    view = see(stage)
    assert view.tables["t"].records == RECORDS
    states = [view.state("t", shard, record) for shard, record in RECORDS.items()]
    assert states == ["serving", "opening", "handover", "failed", "vacant", "vacant"]
    assert [view.lacks(view.tables["t"], record) for record in RECORDS.values()] == [False, *5 * [True]]
    assert view.member("t", 2, RECORDS[2], "gone") == "gone"
    assert view.member("t", 4, RECORDS[4], "w1") == "gone", "another incarnation"
    assert view.member("t", 1, RECORDS[1], "w2") == "copy"
    assert view.member("t", 3, RECORDS[3], "w2") == "failed"
    assert view.tables["t"].trouble is None
    assert view.held_by("w1") == 3
    assert (set(view.drained), set(view.moves), sorted(view.holders)) == ({"w2"}, {"t:3"}, ["w1", "w2"])


def test_a_replica_that_fails_is_seen_and_its_shard_serves(stage: Stage, person: Person) -> None:
    said = {("t", 0): (6, "failed")}
    person.set("/holders/w2", Report(0, shards=said).encode().decode())
    view = see(stage)
    state = shard_states(view, view.tables["t"])[0]
    assert (state.state, state.members["w2"].state) == ("serving", "failed")
    assert table_state(view, view.tables["t"]).failed == 1


def test_what_the_workers_do_not_allow_is_seen(stage: Stage, person: Person) -> None:
    def short() -> str | None:
        view = see(stage, "t")
        return table_state(view, view.tables["t"]).short

    assert short() == "each shard has 1 of 2 replicas: there are 1 workers", "the other one is drained"
    person.delete("/drains/w2")
    assert short() is None
    person.set("/shards/t", Table(6, 2, "zone").encode().decode())
    assert short() == "no worker has the label zone, so replicas are not spread over it"
    person.set("/holders/w2", Report(0, leaving=True).encode().decode())
    assert short() == "each shard has 1 of 2 replicas: there are 1 workers"


@pytest.mark.parametrize(
    ("path", "data", "problem"),
    [
        ("/shards/t/0", "oops", "/shards/t/0 holds no records"),
        ("/shards/t", '{"shards":5,"replicas":2,"page":4}', "shards: 5: it has 6, and cannot have fewer"),
        ("/shards/t", '{"shards":6,"replicas":2}', "page: it cannot be changed"),
    ],
)
def test_what_a_person_has_to_set_right_is_seen(
    stage: Stage, person: Person, path: str, data: str, problem: str
) -> None:
    person.set(path, data)
    view = see(stage)
    state = table_state(view, view.tables["t"])
    assert (state.state, state.problem) == ("active", problem)


@pytest.mark.parametrize(("path", "below"), [("/shards/t/1/x", "/shards/t/1"), ("/shards/t/x", "/shards/t")])
def test_what_keeps_a_table_from_being_deleted_is_seen(
    stage: Stage, person: Person, path: str, below: str
) -> None:
    person.create(path)
    assert see(stage).tables["t"].trouble is None
    person.set("/shards/t", "delete")
    table = see(stage).tables["t"]
    assert (table.deleting, table.trouble) == (True, f"{below} has znodes below it that are not the master's")


def test_where_clients_reach_a_shard_and_its_replicas_is_seen(
    stage: Stage,
    person: Person,  # noqa: ARG001 - it made them
) -> None:
    view = see(stage)
    states = shard_states(view, view.tables["t"])
    assert [state.address for state in states] == ["w1:1", "w1:2", "", "", "", ""]
    assert dict(states[1].members) == {"w1": ("sync", "w1:2"), "w2": ("copy", "w2:2")}
    assert states[4].members["w1"] == ("gone", ""), "of another incarnation"
    assert states[1]._replace(members={}) == (1, "opening", "w1", 7, "w1:2", {}, 0, ("w2",))


def test_a_shard_that_the_master_has_not_begun_with_is_vacant(stage: Stage) -> None:
    ask(stage, requests.create_table, "t", Table(2))
    view = see(stage)
    assert shard_states(view, view.tables["t"]) == [(n, "vacant", "", 0, "", {}, 0, None) for n in (0, 1)]


def test_one_table_is_seen_alone(stage: Stage, person: Person) -> None:
    person.create("/shards/u", "{}")
    assert sorted(see(stage, "t").tables) == ["t"]
    assert see(stage, "v").tables == {}


@pytest.mark.parametrize(
    ("data", "deleting", "problem"),
    [
        ("delete", True, None),
        ('{"shards":0}', False, "shards: 0: use a whole number"),
        ("{", False, "a table is a JSON object"),
    ],
)
def test_a_table_that_goes_or_cannot_be(
    stage: Stage, person: Person, data: str, deleting: bool, problem: str | None
) -> None:
    person.set("/shards/t", data)
    person.set("/shards/t/1", "no page")
    table = see(stage).tables["t"]
    assert table.asked is None
    assert table.deleting is deleting
    assert (problem or "") in (table.problem or "")
    assert len(table.records) == 4


# ---------------------------------------------------------------- the command line

shards_cli: Any = importlib.import_module("mwapp.cli.shards")


def test_who_else_may_have_shards() -> None:
    reports = {"a": Report(0), "b": Report(0, leaving=True), "c": Report(0), "d": Report(0)}
    assert shards_cli._others(ShardsView(holders=reports, drained=frozenset("c")), "a") == ["d"]


Mwapp = Callable[..., tuple[int, str]]


@pytest.fixture
def mwapp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Mwapp:
    """Run with these arguments, where nobody answers; exit status and stderr."""
    for name in ("MWAPP_CONNECT", "MWAPP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_module, "DEFAULT_CONFIG", tmp_path / "mwapp.toml")

    def run_it(*arguments: str) -> tuple[int, str]:
        status = run(["shards", *arguments])
        return status, capsys.readouterr().err

    return run_it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("create a/b --shards 4", "TABLE: table 'a/b': use letters"),
        ("create t", "Missing option '--shards'"),
        ("create t --shards 0", "0 is not in the range 1<=x<=100000"),
        ("create t --shards 4 --replicas 17", "17 is not in the range 1<=x<=16"),
        ("create t --shards 4 --page 9999", "9999 is not in the range"),
        ("create t --shards 4 --copies 0", "0 is not in the range 1<=x<=1000"),
        ("create t --shards 4 --grace -1", "-1.0 is not in the range"),
        ("create t --shards 4 --spread zone=a", "--spread: use its name alone"),
        ("create t --shards 4 --spread ö", "--spread: label"),
        ("create t --shards 4 --handler a:B --command c", "--handler: give it or command, not both"),
        ("create t --shards 4 --command ' '", "--command: use at least one character"),
        ("create t --shards 4 --handler ''", "--handler: it is empty"),
        ("delete ''", "TABLE: table ''"),
        ("show .t", "TABLE: table '.t'"),
        ("move t x w1", "'SHARD': 'x' is not a valid integer"),
        ("move t -- -1 w1", "'SHARD': -1"),
        ("move t 1", "Missing argument 'WORKER...'"),
        ("move t 1 w1 w1", "WORKER: the same one is there twice"),
        ("move t 1 a/b", "WORKER: 'a/b': no worker can have that name"),
        ("resize t 0", "0 is not in the range 1<=x<=100000"),
        ("resize t", "Missing argument 'SHARDS'"),
        ("resize a/b 4", "TABLE: table 'a/b'"),
        ("drain a/b", "WORKER: 'a/b': no worker can have that name"),
        ("drain w1 --undo --wait", "--wait: not with --undo"),
        ("nonsense", "No such command 'nonsense'"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anybody_is_asked(
    mwapp: Mwapp, arguments: str, message: str
) -> None:
    words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", arguments)]
    status, error = mwapp(*words)
    assert status == 2
    assert message in error


def test_a_command_that_is_too_long_for_a_znode(mwapp: Mwapp) -> None:
    status, error = mwapp("create", "t", "--shards", "4", "--command", "x" * 70_000)
    assert status == 2
    assert "at most 65536 bytes" in error


def test_an_ensemble_that_does_not_answer(mwapp: Mwapp) -> None:
    status, _ = mwapp("list", "--connect", "127.0.0.1:1", "--connect-timeout", "0.1")
    assert status == 3


@pytest.mark.parametrize("text", ["shards_replicas = 99\n", "[shards]\nshards_replicas = 99\n"])
def test_the_commands_of_the_group_have_one_table_in_the_config_file(
    mwapp: Mwapp, tmp_path: Path, text: str
) -> None:
    (tmp_path / "mwapp.toml").write_text("slots = 4\n" + text + "[worker]\nslots = 5\n")
    status, error = mwapp("create", "t", "--shards", "4")
    assert status == 2
    assert "99 is not in the range" in error


def test_an_unknown_key_of_theirs_is_refused(mwapp: Mwapp, tmp_path: Path) -> None:
    (tmp_path / "mwapp.toml").write_text("[shards]\nshards_replica = 2\n")
    status, error = mwapp("list")
    assert status == 2
    assert "unknown key 'shards_replica' of table [shards]; did you mean 'shards_replicas'?" in error
