"""What a master reads while it changes (mwapp/core/mirror.py): replies come in the order of the requests."""

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from mwapp.core.limits import LIMITS
from mwapp.core.messages import Error, Failed, Node, Stat
from mwapp.core.mirror import Mirror
from mwapp.core.protocol import NOBODY, WORKERS, Assignment, Registration
from mwapp.core.session import Follower, Scope

SESSION = 7
TASK = "task-0000000001"
REGISTERED = Registration(SESSION).encode()
ASSIGNED = Assignment(1, incarnation=0, epoch=1).encode()


class Server:
    """A scope whose requests wait until the test has the oldest answered from what is there at that time."""

    now = 100.0
    limits = LIMITS

    def __init__(self, **nodes: bytes) -> None:
        self.nodes = {f"/{path.replace('__', '/')}": data for path, data in nodes.items()}
        self.waiting: deque[tuple[str, Callable[[], None]]] = deque()
        self.watches: dict[str, Callable[[], None]] = {}
        self.followed: dict[str, tuple[Follower, Callable[[Any], None]]] = {}

    def children(
        self,
        path: str,
        then: Callable[[Any], None],
        *,
        watch: Callable[[], None] = lambda: None,
        insist: bool = True,  # noqa: ARG002 - as Scope's
    ) -> None:
        self.watches[path] = watch
        self._ask(path, lambda: then(self._below(path)))

    def get_all(self, paths: list[str], then: Callable[[Any], None]) -> None:
        self._ask(paths[0] if paths else "", lambda: then([self._node(path) for path in paths]))

    def get(self, path: str, then: Callable[[Any], None]) -> None:
        self._ask(path, lambda: then(self._node(path)))

    def exists(self, path: str, then: Callable[[Any], None], **_: Any) -> None:
        self._ask(path, lambda: then(Stat(1, 0) if path in self.nodes else None))

    def follow(self, path: str, told: Follower, then: Callable[[Any], None]) -> None:
        """Unanswered, unless a test answers ``then``."""
        self.followed[path] = told, then

    def answer(self, path: str) -> None:
        """Answer the oldest request, which is for this path."""
        asked, reply = self.waiting.popleft()
        assert asked == path
        reply()

    def answer_all(self) -> None:
        """Answer whatever is asked, until nothing is."""
        while self.waiting:
            self.answer(self.waiting[0][0])

    def _ask(self, path: str, reply: Callable[[], None]) -> None:
        self.waiting.append((path, reply))

    def _below(self, path: str) -> tuple[str, ...]:
        begin = f"{path}/"
        return tuple(
            rest for node in self.nodes if (rest := node.removeprefix(begin)) != node and "/" not in rest
        )

    def _node(self, path: str) -> Node | Failed:
        if path not in self.nodes:
            return Failed(Error.NO_NODE)
        owner = SESSION if path.startswith(WORKERS) else 0
        return Node(self.nodes[path], Stat(1, 0, owner, len(self._below(path))))


def test_a_reading_from_before_it_was_returned_does_not_count() -> None:
    """However late it is answered: the task is in /returned, and not to be assigned as a new one."""
    server = Server(workers__w1=b"", assign__w1=REGISTERED)
    server.nodes |= {f"/assign/w1/{TASK}": ASSIGNED, f"/tasks/{TASK}": b"date"}
    queued: list[str] = []
    mirror = Mirror(
        cast(Scope, server),
        wall=lambda: 0.0,
        ran=lambda *_: None,
        changed=lambda: queued.extend(mirror.tasks.queued),
        adopt=lambda *_: None,
        unreadable=lambda: None,
    )
    mirror.read()
    while server.waiting[0][0] != "/returned":
        server.answer(server.waiting[0][0])
    server.answer("/returned")  # nothing yet
    while server.waiting[0][0] != "/tasks":
        server.answer(server.waiting[0][0])
    _, tasks = server.waiting.popleft()

    server.nodes[f"/returned/{TASK}"] = Assignment(2, failures=1).encode()
    del server.nodes[f"/assign/w1/{TASK}"]
    server.watches["/assign/w1"]()
    server.waiting.append(("/tasks", tasks))  # asked for before the watch of /returned was told
    server.watches["/returned"]()

    server.answer("/assign/w1")  # it has vanished from there
    server.answer("/tasks")
    server.answer("/returned")
    server.answer(f"/tasks/{TASK}/status")  # it has not ended
    server.answer_all()
    assert not queued
    assert TASK in mirror.held[NOBODY]
    assert not mirror.tasks.unread


def mirror_of(server: Server, changed: Callable[[], None] = lambda: None) -> Mirror:
    mirror = Mirror(
        cast(Scope, server),
        wall=lambda: 0.0,
        ran=lambda *_: None,
        changed=changed,
        adopt=lambda *_: None,
        unreadable=lambda: None,
    )
    mirror.read()
    return mirror


def test_a_cancel_request_for_a_task_that_went_before_tasks_were_listed_is_pointless() -> None:
    """It was there when the request was looked at, so only the list shows that it is not."""
    server = Server(**{f"cancel__{TASK}": b"", f"tasks__{TASK}": b"date"})
    mirror = mirror_of(server)
    while server.waiting[0][0] != "/tasks":
        server.answer(server.waiting[0][0])
    assert not mirror.pointless
    del server.nodes[f"/tasks/{TASK}"]
    server.answer("/tasks")
    assert mirror.pointless == {TASK}


def test_a_cancel_request_is_not_pointless_any_more_when_its_task_comes() -> None:
    server = Server(**{f"cancel__{TASK}": b""})
    mirror = mirror_of(server)
    server.answer_all()
    assert mirror.pointless == {TASK}
    server.nodes[f"/tasks/{TASK}"] = b"date"
    server.watches["/tasks"]()
    server.answer_all()
    assert not mirror.pointless


def test_a_cancel_request_that_comes_again_is_looked_at_again() -> None:
    """Its task may have come with it, and not be listed yet."""
    server = Server(**{f"cancel__{TASK}": b""})
    mirror = mirror_of(server)
    server.answer_all()
    del server.nodes[f"/cancel/{TASK}"]
    server.watches["/cancel"]()
    server.answer_all()
    server.nodes |= {f"/cancel/{TASK}": b"", f"/tasks/{TASK}": b"date"}
    server.watches["/cancel"]()
    server.answer_all()
    assert mirror.cancels == {TASK}
    assert not mirror.pointless


def test_what_is_in_doubt_stays_so_over_a_second_reading_that_begins_before_it_was_read() -> None:
    """It was assigned, perhaps, and has ended since; as it still stood in the queue it was assigned again."""
    server = Server(**{f"tasks__{TASK}": b"date"})
    first = mirror_of(server)
    server.answer_all()
    assert TASK in first.tasks.queued
    second = first.renewed(cast(Scope, server), {TASK})
    third = second.renewed(cast(Scope, server), set())
    assert TASK in third.tasks.unread
    server.nodes[f"/tasks/{TASK}/status"] = b"done"
    third.read()
    server.answer_all()
    assert TASK not in third.tasks.queued
    assert TASK in third.tasks.finished


def test_what_is_in_doubt_is_not_acted_on_before_its_final_state_has_been_looked_for() -> None:
    server = Server(**{f"tasks__{TASK}": b"date"})
    first = mirror_of(server)
    server.answer_all()
    second = first.renewed(cast(Scope, server), {TASK})
    server.nodes[f"/tasks/{TASK}/status"] = b"done"
    second.read()
    while server.waiting[0][0] != f"/tasks/{TASK}/status":
        server.answer(server.waiting[0][0])
    assert TASK in second.tasks.unread or TASK not in second.tasks.queued
    server.answer_all()
    assert TASK in second.tasks.finished
