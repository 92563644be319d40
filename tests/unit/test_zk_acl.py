"""Access control lists: the table, how it travels, how a session learns of it, what a refusal says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mwapp.core.messages import (
    Connected,
    Create,
    Delete,
    Error,
    Event,
    EventType,
    Exists,
    Failed,
    Fired,
    Get,
    Node,
    Operation,
    Reply,
    Resumed,
    Set,
    Stat,
    Suspended,
    Transaction,
)
from mwapp.core.request_size import MOST_BYTES
from mwapp.zookeeper import sessions as module
from mwapp.zookeeper.acl import (
    ALL,
    CREATE,
    DELETE,
    OPEN,
    OPEN_TO_ALL,
    PATH,
    READ,
    WRITE,
    Entry,
    Policy,
    denied,
    pack,
    table,
)
from mwapp.zookeeper.client import Answered, Down, Over, Up
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.sessions import AGAIN, POLICY, TELL_AGAIN, Note, Sessions
from mwapp.zookeeper.wire import Reader, encode, everybody

MINE = Policy.of(masters=["m"], nodes=["n"], workers=["w", "v"], clients=["cli"])
M, N, W, V = "CN=mwapp-master-m", "CN=mwapp-node-n", "CN=mwapp-worker-w", "CN=mwapp-worker-v"
CLI = "CN=cli"


def rights(path: str, policy: Policy = MINE) -> dict[str, int]:
    return {entry.who: entry.rights for entry in policy.acl(path)}


MASTERS = {M: ALL, N: ALL, "anyone": READ}


def test_while_lists_are_lifted_there_are_none() -> None:
    lifting = replace(MINE, lifting=True)
    assert lifting.acl("/tasks/t") == OPEN
    assert lifting.packed("/tasks/t") == pack(OPEN)
    assert Policy.decode(lifting.encode()) == lifting


def test_only_what_says_so_is_lifted() -> None:
    for says, lifted in ((b"true", True), (b"false", False), (b"null", False)):
        policy = Policy.decode(MINE.encode()[:-1] + b',"lifting":' + says + b"}")
        assert policy == replace(MINE, lifting=lifted)


def test_master_that_is_a_client_too_may_do_all_that_a_master_may() -> None:
    both = Policy.of(masters=["m"], nodes=[], workers=[], clients=["mwapp-master-m"])
    assert rights("/tasks", both) == {M: ALL, "anyone": READ}


def test_nobody_is_struck_off_by_adding_others() -> None:
    others = Policy.of(masters=["m2"], nodes=[], workers=["w2"], clients=["cli2"])
    both = Policy.of(masters=["m", "m2"], nodes=["n"], workers=["w", "v", "w2"], clients=["cli", "cli2"])
    assert others.with_all_of(replace(MINE, complete=True)) == both


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/", {}),
        ("/acl", {}),
        ("/zookeeper", {}),
        ("/zookeeper/quota", {}),
        ("/zookeeper/quota/tasks/zookeeper_limits", {}),
        ("/master", {}),
        ("/epoch", {}),
        ("/candidates", {}),
        ("/candidates/m-1", {}),
        ("/workers", {W: CREATE, V: CREATE}),
        ("/workers/w", {W: WRITE}),
        ("/workers/n", {}),
        ("/workers/stranger", {}),
        ("/assign", {}),
        ("/assign/v", {V: WRITE | DELETE}),
        ("/assign/v/task-0000000001", {}),
        ("/returned", {W: CREATE, V: CREATE}),
        ("/returned/task-0000000001", {}),
        ("/tasks", {CLI: CREATE}),
        ("/tasks/task-", {W: CREATE, V: CREATE}),
        ("/tasks/w", {W: CREATE, V: CREATE}),
        ("/tasks/task-0000000001/status", {}),
        ("/cancel", {CLI: CREATE}),
        ("/cancel/task-0000000001", {}),
        ("/requests", {CLI: CREATE}),
        ("/requests/w", {}),
        ("/holders", {W: CREATE, V: CREATE}),
        ("/holders/w", {W: WRITE}),
        ("/holders/stranger", {}),
        ("/shards", {CLI: CREATE}),
        ("/shards/t", {CLI: WRITE}),
        ("/shards/t/0", {}),
        ("/moves", {CLI: CREATE}),
        ("/moves/t:0", {}),
        ("/drains", {CLI: CREATE | DELETE}),
        ("/drains/w", {}),
        ("/tasks/w/status/below", {}),
        ("/tasks/w/secret/below", {}),
        ("/cancel/w/secret", {}),
    ],
)
def test_masters_may_do_all_others_read_and_what_else_there_is(path: str, more: dict[str, int]) -> None:
    assert rights(path) == MASTERS | more
    assert MINE.packed(path) == MINE.packed(path) == pack(MINE.acl(path))


VALUES = "/tasks/w/secret"


def test_only_masters_and_workers_read_secret_values() -> None:
    assert rights(VALUES) == {M: ALL, N: ALL, W: READ, V: READ}
    assert MINE.packed(VALUES) == pack(MINE.acl(VALUES))


def test_a_client_may_extend_a_task_that_it_creates_with_secret_values() -> None:
    by = {entry.who: entry.rights for entry in MINE.acl("/tasks/w", CLI)}
    assert by == rights("/tasks/w") | {CLI: CREATE}
    assert MINE.packed("/tasks/w", CLI) == MINE.packed("/tasks/w", CLI) == pack(MINE.acl("/tasks/w", CLI))
    assert MINE.packed("/tasks/w") == pack(MINE.acl("/tasks/w"))
    assert MINE.acl("/tasks/w", M) == MINE.acl("/tasks/w"), "it could before"


@pytest.mark.parametrize(
    ("path", "extra", "fits"),
    [
        ("/tasks/w", (), True),
        ("/tasks/w", (Entry(CREATE, "x509", CLI),), True),
        ("/tasks/w", (Entry(CREATE | WRITE, "x509", CLI),), False),
        ("/tasks/w", (Entry(CREATE, "x509", "CN=stranger"),), False),
        ("/tasks/w/status", (Entry(CREATE, "x509", CLI),), False),
        ("/cancel/w", (Entry(CREATE, "x509", CLI),), False),
        (VALUES, (), True),
        (VALUES, (Entry(READ, "world", "anyone"),), False),
    ],
)
def test_which_lists_may_stay(path: str, extra: tuple[Entry, ...], fits: bool) -> None:
    assert MINE.fits(path, (*reversed(MINE.acl(path)), *extra)) is fits


def test_lifting_lists_does_not_tell_secret_values() -> None:
    assert not OPEN_TO_ALL.fits("/tasks/w", MINE.acl("/tasks/w"))
    assert OPEN_TO_ALL.fits("/tasks/w", OPEN)
    assert OPEN_TO_ALL.fits(VALUES, MINE.acl(VALUES))


@pytest.mark.parametrize(
    ("policy", "who", "keeps"),
    [
        (MINE, CLI, True),
        (MINE, M, True),
        (MINE, W, False),
        (MINE, None, False),
        (MINE, "CN=stranger", False),
        (replace(MINE, lifting=True), CLI, False),
    ],
)
def test_who_can_store_secret_values(policy: Policy, who: str | None, keeps: bool) -> None:
    assert policy.keeps_secrets(who) is keeps


def test_lists_that_were_packed_before_are_not_taken_for_others() -> None:
    for path in ("/workers/w", "/workers/v", "/assign/w", "/assign/v", "/tasks/w", "/tasks/v", "/workers"):
        assert MINE.packed(path) == pack(MINE.acl(path)), path
    assert replace(MINE, workers=()).packed("/workers/w") != MINE.packed("/workers/w")


def test_a_policy_is_read_as_it_was_written() -> None:
    assert Policy.decode(MINE.encode()) == MINE
    assert Policy.decode(replace(MINE, complete=True).encode()) == replace(MINE, complete=True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"masters":1,"workers":{},"clients":[]}',
        b'{"masters":[],"workers":[],"clients":[]}',
    ],
)
def test_what_is_no_policy(data: bytes) -> None:
    assert Policy.decode(data) is None


def test_how_a_list_travels() -> None:
    assert pack(OPEN) == everybody("/a", False)
    list_ = (Entry(READ, "world", "anyone"), Entry(ALL, "x509", "CN=a"))
    assert pack(list_) == (b"\0\0\0\2\0\0\0\1\0\0\0\5world\0\0\0\6anyone\0\0\0\x1f\0\0\0\4x509\0\0\0\4CN=a")
    made = Transaction((Create("/tasks/a"), Create("/cancel/a")))
    body = encode(made, "/app", lambda path, _: MINE.packed(path)).body
    assert MINE.packed("/tasks/a") in body, "below the chroot"
    assert MINE.packed("/cancel/a") in body


@pytest.mark.parametrize(("code", "is_denied"), [(-102, True), (-101, False)])
def test_what_is_denied_is_told_from_what_fails(code: int, is_denied: bool) -> None:
    part = b"\xff\xff\xff\xff\0" + code.to_bytes(4, signed=True) * 2
    reader = Reader(part + b"\xff\xff\xff\xff\1\xff\xff\xff\xff")
    result = reader.result(Transaction((Create("/a"),)), 0, "")
    assert reader.denied is is_denied
    assert result == Failed(Error.REFUSED if is_denied else Error.NO_NODE, 0)


def test_the_table_for_people() -> None:
    rows = {row[0]: row[1:] for row in table()}
    assert rows["/assign/*"] == ("rwcda", "wd", "", "")
    assert rows["/tasks"] == ("rwcda", "", "", "c")
    assert rows["/master"] == ("rwcda", "", "", "")
    assert rows["/drains"] == ("rwcda", "", "", "cd")
    assert rows["/shards/*/*"] == ("rwcda", "", "", "")
    assert rows["/tasks/*/secret"] == ("rwcda", "", "r", "")


@pytest.mark.parametrize(
    ("policy", "op", "words"),
    [
        (MINE, Create("/master"), "no permission to create /master as CN=x: only masters may; "),
        (MINE, Create("/tasks/task-"), "create /tasks/task- as CN=x: only masters and clients may; "),
        (MINE, Create("/tasks/t/status"), "as CN=x: only masters and workers may; "),
        (
            MINE,
            Set("/assign/w", b""),
            "no permission to write /assign/w as CN=x: only masters and the worker w may",
        ),
        (MINE, Delete("/assign/w/t"), "delete /assign/w/t as CN=x: only masters and the worker w may"),
        (MINE, Delete("/workers/w"), "delete /workers/w as CN=x: only masters may"),
        (
            None,
            Delete("/a/b"),
            "no permission to delete /a/b: the znode's access control list forbids it (zkCli.sh: getAcl /a)",
        ),
    ],
)
def test_what_is_said_of_a_refusal(policy: Policy | None, op: Any, words: str) -> None:
    assert words in denied(policy, op, "CN=x")


# ---------------------------------------------------------------- sessions


class FakeClient:
    made: list[FakeClient]

    def __init__(self, *arguments: Any) -> None:
        self.tell: Callable[[FakeClient, Any], None] = arguments[2]
        self.asked: list[tuple[int, Operation]] = []
        self.lists = everybody
        self.closed = False
        self.made.append(self)

    def ask(self, number: int, operation: Operation, chroot: str) -> bool:
        del chroot
        self.asked.append((number, operation))
        return True

    def still(self, up: Up | None) -> bool:
        return up is not None

    def flush(self) -> None:
        pass

    def close(self, _patience: float) -> Any:
        return SimpleNamespace(wait=lambda _: None)


class Life:
    """One session with TLS."""

    def __init__(self, chroot: str = "") -> None:
        FakeClient.made = []
        self.notes: list[Note] = []
        self.now = 100.0
        servers = replace(Servers.parse(f"zk1{chroot}"), tls=SimpleNamespace(subject=CLI))  # type: ignore[arg-type]
        self.sessions = Sessions(servers, 6.0, self.notes.append)
        self.sessions.look_after(self.now)
        self.client = FakeClient.made[0]

    def tell(self, *happenings: Any) -> list[Event]:
        for happening in happenings:
            self.client.tell(self.client, happening)
        notes, self.notes[:] = list(self.notes), []
        return [event for note in notes for event in self.sessions.accept(note, self.now)]

    def up(self) -> list[Event]:
        return self.tell(Up(1, b"", 6.0, ("zk1", 2182), 99.0))

    def policy(self, policy: Policy | None, data: bytes | None = None) -> list[Event]:
        """The answer to the question that was asked last."""
        node = Node(data if data is not None else policy.encode() if policy else b"", Stat(1, 0))
        return self.tell(Answered(POLICY, Failed(Error.NO_NODE) if policy is None and data is None else node))

    def last(self) -> tuple[int, Operation]:
        """What was asked last."""
        return self.client.asked[-1]

    def uses(self, policy: Policy | None) -> bool:
        """Whether what is created from now on has the lists of this one."""
        return all(
            self.client.lists(path, False) == (policy.packed(path) if policy else everybody(path, False))
            for path in ("/", "/workers", "/workers/w", "/cancel")
        )


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Life:
    monkeypatch.setattr(module, "Client", FakeClient)
    return Life()


CONNECTED = Connected(1, 6.0, 99.0)


def test_a_session_is_told_of_when_it_is_known_who_may_do_what(life: Life) -> None:
    assert life.up() == []
    assert life.client.asked == [(POLICY, Get(PATH, watch=True))]
    assert life.policy(MINE) == [CONNECTED]
    assert life.uses(MINE)


def test_below_a_chroot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Client", FakeClient)
    life = Life("/app")
    life.up()
    assert life.tell(Answered(-1, Stat(1, 0))) == []
    assert life.last() == (POLICY, Get(f"/app{PATH}", watch=True))
    assert life.policy(MINE) == [CONNECTED]


def test_without_a_policy_all_is_open_until_there_is_one(life: Life) -> None:
    life.up()
    assert life.policy(None) == []
    assert life.last() == (POLICY, Exists(PATH, watch=True)), "a read of nothing leaves no watch"
    assert life.tell(Answered(POLICY, None)) == [CONNECTED]
    assert life.uses(None)
    assert life.tell(Fired(PATH, EventType.CHANGED)) == []
    assert life.last() == (POLICY, Get(PATH, watch=True))
    assert life.policy(MINE) == []
    assert life.uses(MINE)
    life.tell(Fired(PATH, EventType.CHANGED))
    life.policy(None)
    life.tell(Answered(POLICY, None))
    assert life.uses(None)


def test_a_policy_that_comes_between_two_looks(life: Life) -> None:
    life.up()
    life.policy(None)
    assert life.tell(Answered(POLICY, Stat(1, 0))) == []
    assert life.last() == (POLICY, Get(PATH, watch=True))
    assert life.policy(MINE) == [CONNECTED]


def test_it_is_read_anew_on_the_next_connection_and_nobody_waits_for_it(life: Life) -> None:
    life.up()
    life.policy(MINE)
    assert life.tell(Down()) == [Suspended()]
    assert life.up() == [Resumed(99.0)]
    assert life.last() == (POLICY, Get(PATH, watch=True))
    assert life.policy(replace(MINE, clients=())) == []
    assert life.uses(replace(MINE, clients=()))


def test_an_answer_of_a_connection_that_is_lost_is_none(life: Life) -> None:
    life.up()
    life.tell(Down())
    asked = len(life.client.asked)
    assert life.policy(None) == []
    assert len(life.client.asked) == asked


def test_a_cut_while_it_is_asked_for_answers_the_core_what_the_core_has_asked(life: Life) -> None:
    life.up()
    life.policy(MINE)
    life.tell(Fired(PATH, EventType.CHANGED))
    life.sessions.request(life.now, 7, Get("/a"))
    assert life.tell(Down()) == [Reply(7, Failed(Error.CONNECTION_LOSS)), Suspended()]


def test_what_was_not_sent_is_answered_behind_it(life: Life) -> None:
    """A request that is refused here, while the question for the policy is under way."""
    life.up()
    life.policy(MINE)
    life.tell(Fired(PATH, EventType.CHANGED))
    life.sessions.request(life.now, 7, Transaction((Create("/a", b"x" * MOST_BYTES),)))
    assert life.tell() == []
    assert life.policy(MINE) == [Reply(7, Failed(Error.REFUSED))]


@pytest.mark.parametrize("data", [b"damaged", b""])
def test_a_damaged_policy_is_told(life: Life, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    life.up()
    assert life.policy(None, data) == [CONNECTED]
    assert life.uses(None)
    assert "/acl is damaged" in caplog.text


def test_a_damaged_policy_leaves_the_lists_of_before(life: Life, caplog: pytest.LogCaptureFixture) -> None:
    life.up()
    life.policy(MINE)
    life.tell(Fired(PATH, EventType.CHANGED))
    life.policy(None, b"damaged")
    assert life.uses(MINE)
    assert "/acl is damaged: new znodes get the lists that it named before" in caplog.text


def test_one_that_may_not_be_read_leaves_the_lists_of_before(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.up()
    life.policy(MINE)
    life.tell(Fired(PATH, EventType.CHANGED))
    life.tell(Answered(POLICY, Failed(Error.REFUSED)))
    assert life.uses(MINE)
    assert "cannot read /acl" in caplog.text


def test_a_new_session_keeps_the_lists_of_the_one_before(life: Life) -> None:
    """If it cannot read them: nothing is created open to all meanwhile."""
    life.up()
    life.policy(None)
    life.tell(Answered(POLICY, None))
    life.tell(Fired(PATH, EventType.CHANGED))
    life.policy(MINE)
    life.tell(Over())
    life.now += 60
    life.sessions.look_after(life.now)
    life.client = FakeClient.made[1]
    assert life.up() == []
    assert life.tell(Answered(POLICY, Failed(Error.REFUSED))) == [CONNECTED]
    assert life.uses(MINE)


def test_before_any_policy_could_be_read_there_is_no_session(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.up()
    for _ in range(3):
        asked = len(life.client.asked)
        assert life.tell(Answered(POLICY, Failed(Error.REFUSED))) == []
        assert life.sessions.deadline == life.now + AGAIN
        life.now += AGAIN
        life.sessions.look_after(life.now)
        assert life.client.asked[asked:] == [(POLICY, Get(PATH, watch=True))]
    assert "cannot read /acl, so we create nothing" in caplog.text
    assert life.policy(MINE) == [CONNECTED]
    assert life.uses(MINE)


def test_one_that_could_not_be_read_is_read_again_and_a_silent_server_is_left_meanwhile(life: Life) -> None:
    life.up()
    life.policy(MINE)
    life.tell(Fired(PATH, EventType.CHANGED))
    life.tell(Answered(POLICY, Failed(Error.REFUSED)))
    life.sessions.request(life.now, 1, Get("/a"))
    deadline = life.sessions.deadline
    assert deadline is not None
    assert deadline <= life.now + AGAIN
    life.now += AGAIN
    life.sessions.look_after(life.now)
    assert (POLICY, Get(PATH, watch=True)) in life.client.asked[2:]
    life.policy(replace(MINE, clients=()))
    assert life.uses(replace(MINE, clients=()))
    life.tell(Answered(1, Failed(Error.NO_NODE)))
    assert life.sessions.deadline is None, "it is not read again and again"


def test_lists_that_make_a_request_too_large(life: Life) -> None:
    life.up()
    many = Transaction(tuple(Create("/tasks/task-", b"x" * 9_000) for _ in range(100)))
    life.policy(replace(MINE, workers=tuple((str(n), f"CN=mwapp-worker-{n}") for n in range(100))))
    life.sessions.request(life.now, 1, many)
    assert life.tell() == [Reply(1, Failed(Error.REFUSED))]
    life.tell(Fired(PATH, EventType.CHANGED))
    life.policy(MINE)
    life.sessions.request(life.now, 2, many)
    assert life.last() == (2, many)


def test_a_refusal_is_told_in_one_line_and_not_again_and_again(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    life.up()
    life.policy(MINE)
    refused = Failed(Error.REFUSED, 1)
    for number, wait in ((1, 0.0), (2, TELL_AGAIN - 1), (3, 1.0)):
        life.now += wait
        caplog.clear()
        life.sessions.request(life.now, number, Transaction((Set("/a", b""), Create(f"/workers/w{number}"))))
        assert life.tell(Answered(number, refused, denied=True)) == [Reply(number, refused)]
        assert len(caplog.messages) == (0 if number == 2 else 1)
    assert caplog.messages[0].startswith(
        "no permission to create /workers/w3 as CN=cli: only masters and workers may"
    )
    caplog.clear()
    life.sessions.request(life.now, 4, Transaction((Create("/a"),)))
    life.tell(Answered(4, Failed(Error.REFUSED, 0)))
    assert caplog.messages == [], "it is refused for another reason"


WITH_SECRET = Transaction((Create("/tasks/a", b"{}", extend=True), Create("/tasks/a/secret", b"x")))


@pytest.mark.parametrize("policy", [None, replace(MINE, lifting=True), replace(MINE, clients=())])
def test_secret_values_that_others_could_read_are_not_sent(
    life: Life, policy: Policy | None, caplog: pytest.LogCaptureFixture
) -> None:
    life.up()
    life.policy(policy)
    if policy is None:
        life.tell(Answered(POLICY, None))
    life.sessions.request(life.now, 1, WITH_SECRET)
    assert life.tell() == [Reply(1, Failed(Error.REFUSED, 1))]
    assert WITH_SECRET not in dict(life.client.asked).values()
    assert caplog.messages == [
        "/tasks/a/secret was not created: no access control list would keep it from others"
    ]


def test_secret_values_are_sent_with_lists_that_keep_them(life: Life) -> None:
    life.up()
    life.policy(MINE)
    life.sessions.request(life.now, 1, WITH_SECRET)
    assert life.last() == (1, WITH_SECRET)
    body = encode(WITH_SECRET, "", life.client.lists).body
    assert MINE.packed("/tasks/a", CLI) + b"\0\0\0\0" in body
    assert MINE.packed("/tasks/a/secret") + b"\0\0\0\0" in body
    assert life.client.lists("/tasks/a", False) == MINE.packed("/tasks/a")


def test_what_is_only_named_like_them_is_sent_without_lists(life: Life) -> None:
    life.up()
    life.policy(None)
    life.tell(Answered(POLICY, None))
    for number, path in enumerate(("/cancel/secret", "/tasks/secret", "/tasks/a/status/secret")):
        life.sessions.request(life.now, number, Transaction((Create(path),)))
        assert life.last() == (number, Transaction((Create(path),)))
