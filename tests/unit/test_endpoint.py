"""The status endpoint: it tells what the main loop's picture says, and never more."""

import http.client
import json
import math
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

import pytest

from mwapp import clock
from mwapp.daemon import endpoint
from mwapp.daemon.endpoint import MOST_REQUESTS, Endpoint
from mwapp.daemon.snapshot import Snapshot
from mwapp.errors import BadInputError
from testbed.waiting import LONGEST_WAIT

pytestmark = pytest.mark.servers


def picture() -> Snapshot:
    return Snapshot(
        role="master",
        name="mw1",
        address="mw1:2223",
        turned=time.monotonic(),
        connection="connected",
        lease=clock.now() + 60,
        takes_writes=True,
        session=-2,
        timeout=6.0,
        server="zk1:2181",
        part={
            "state": "active",
            "epoch": 7,
            "queued": 3,
            "workers": ["w1", "w2"],
            "delayed": 4,
            "resting": {"w1": 2.5},
            "deposed_of_late": 1,
            "depositions": {"made": 2, "refused": 0},
            "counters": {"assigned": 5, "transactions": 2},
        },
        session_events={"connected": 1},
    )


class Harness:
    """An endpoint and the picture it shows."""

    def __init__(self, its: Callable[[], Snapshot] | None = None) -> None:
        self.snapshot = picture()
        self.endpoint = Endpoint(("127.0.0.1", 0), its or (lambda: self.snapshot))

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.endpoint.port, timeout=LONGEST_WAIT)
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text


@pytest.fixture(scope="module")
def shared() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.endpoint.close()


@pytest.fixture
def harness(shared: Harness) -> Harness:
    shared.snapshot = picture()
    return shared


def test_all_is_well(harness: Harness) -> None:
    assert harness.get("/health") == (200, "ok\n")
    assert harness.get("/ready") == (200, "ok\n")
    assert harness.get("/ready", "HEAD") == (200, "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"connection": "connecting", "lease": None}, "no session"),
        ({"connection": "suspended"}, "suspended"),
        ({"connection": "expired", "lease": None}, "expired"),
        ({"lease": 1.0}, "has not answered"),
        ({"takes_writes": False}, "no write since we connected"),
    ],
)
def test_without_a_sure_session_it_is_alive_but_not_ready(
    harness: Harness, change: dict[str, object], reason: str
) -> None:
    harness.snapshot = replace(harness.snapshot, **change)  # type: ignore[arg-type]  # by parametrize
    status, text = harness.get("/ready")
    assert status == 503
    assert reason in text
    assert harness.get("/health")[0] == 200
    document = json.loads(harness.get("/status")[1])
    assert document["ready"] is False
    assert reason in document["reason"]
    assert 'mwapp_ready{name="mw1",role="master"} 0.0' in harness.get("/metrics")[1].splitlines()


def test_a_worker_whose_name_is_taken_is_not_ready(harness: Harness) -> None:
    harness.snapshot = replace(harness.snapshot, role="worker", name="w1", part={"state": "waiting"})
    said = (503, "the name w1 is taken: by another worker, or by a znode made by hand\n")
    assert harness.get("/ready") == said
    assert harness.get("/health")[0] == 200
    part = {"state": "standby", "master": {"state": "standby"}, "worker": {"state": "waiting"}}
    harness.snapshot = replace(harness.snapshot, role="node", part=part)
    assert harness.get("/ready") == said
    harness.snapshot = replace(harness.snapshot, role="worker", part={"state": "ready"})
    assert harness.get("/ready") == (200, "ok\n")


def test_a_hanging_main_loop_is_told(harness: Harness) -> None:
    harness.snapshot = replace(harness.snapshot, turned=time.monotonic() - 1.5)
    assert harness.get("/health")[0] == 200, "it turns once a second at least"
    harness.snapshot = replace(harness.snapshot, turned=time.monotonic() - 6)
    assert harness.get("/health")[0] == 503
    assert harness.get("/ready")[0] == 503


def test_status(harness: Harness) -> None:
    status, text = harness.get("/status?x=1")
    document = json.loads(text)
    assert status == 200
    assert document["master"]["epoch"] == 7
    assert document["session"]["id"] == "0xfffffffffffffffe", "as ZooKeeper writes it"
    assert document["session"]["events"] == {"connected": 1}


def test_metrics(harness: Harness) -> None:
    text = harness.get("/metrics")[1]
    for line in (
        'mwapp_ready{name="mw1",role="master"} 1.0',
        'mwapp_state{name="mw1",role="master",state="active"} 1.0',
        'mwapp_epoch{name="mw1",role="master"} 7.0',
        'mwapp_workers{name="mw1",role="master"} 2.0',
        'mwapp_delayed{name="mw1",role="master"} 4.0',
        'mwapp_resting{name="mw1",role="master"} 1.0',
        'mwapp_deposed_of_late{name="mw1",role="master"} 1.0',
        'mwapp_depositions_total{name="mw1",result="made",role="master"} 2.0',
        'mwapp_tasks_total{event="assigned",name="mw1",role="master"} 5.0',
        'mwapp_transactions_total{name="mw1",result="committed",role="master"} 2.0',
        'mwapp_session_events_total{event="connected",name="mw1",role="master"} 1.0',
    ):
        assert line in text.splitlines()


def test_metrics_of_tables_of_shards(harness: Harness) -> None:
    counts = {"shards": 8, "without_primary": 1, "failed": 4, "under_replicated": 2, "moving": 3, "slow": 5}
    counts |= {"short": True}
    said = counts | {"short": "too few", "problem": None}
    master = {"state": "active", "shards": {"tables": {"t": said, "u": said}, "counters": {}}}
    its_worker = {"state": "ready", "shards": {"shards": {"t:0": "serving"}, "handlers": 1}}
    part = {"state": "active", "master": master, "worker": its_worker}
    harness.snapshot = replace(harness.snapshot, role="node", part=part)
    found = [line for line in harness.get("/metrics")[1].splitlines() if line.startswith("mwapp_table_")]
    labels = [f'{{name="mw1",role="master",table="{table}"}}' for table in ("t", "u")]
    values = {name: float(count) for name, count in counts.items()}
    assert found == [f"mwapp_table_{name}{its} {value}" for name, value in values.items() for its in labels]


def test_a_node_is_a_master_and_a_worker(harness: Harness) -> None:
    master = {"state": "active", "epoch": 7, "queued": 3, "finished": 9, "counters": {"assigned": 5}}
    its_worker = {"state": "paused", "incarnation": 2, "queued": 0, "counters": {"started": 1}}
    part = {"state": "active", "epoch": 7, "master": master, "worker": its_worker}
    harness.snapshot = replace(harness.snapshot, role="node", part=part)
    assert json.loads(harness.get("/status")[1])["node"]["worker"]["state"] == "paused"
    assert harness.snapshot.summary() == "node active, epoch 7, incarnation 2"
    text = harness.get("/metrics")[1]
    for line in (
        'mwapp_state{name="mw1",role="node",state="active"} 1.0',
        'mwapp_queued{name="mw1",role="master"} 3.0',
        'mwapp_queued{name="mw1",role="worker"} 0.0',
        'mwapp_finished{name="mw1",role="master"} 9.0',
        'mwapp_tasks_total{event="assigned",name="mw1",role="master"} 5.0',
        'mwapp_tasks_total{event="started",name="mw1",role="worker"} 1.0',
    ):
        assert line in text.splitlines()
    families = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families))


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/x", 404), ("POST", "/status", 501)])
def test_what_it_does_not_do(harness: Harness, method: str, path: str, status: int) -> None:
    assert harness.get(path, method)[0] == status


def test_it_listens_on_an_address_of_the_new_kind() -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
    endpoint = Endpoint(("::1", 0), picture)
    socket.create_connection(("::1", endpoint.port)).close()
    endpoint.close()


def test_a_port_in_use_names_the_option(harness: Harness) -> None:
    with pytest.raises(BadInputError, match=r"--listen.*in use"):
        Endpoint(("127.0.0.1", harness.endpoint.port), lambda: harness.snapshot)


def test_idle_connections_do_not_use_it_up_for_ever(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as soon:
        soon.setattr(endpoint._Handler, "timeout", endpoint._Handler.timeout / 20)
        before = threading.active_count()
        address = ("127.0.0.1", harness.endpoint.port)
        idle = [socket.create_connection(address) for _ in range(3 * MOST_REQUESTS)]
        end = time.monotonic() + 20
        while threading.active_count() > before and time.monotonic() < end:
            time.sleep(0.01)
    assert harness.get("/status")[0] == 200
    for connection in idle:
        connection.close()


def test_who_sends_a_byte_now_and_then_does_not_keep_a_place(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.2)
    end = time.monotonic() + 20
    with socket.create_connection(("127.0.0.1", harness.endpoint.port)) as slow, suppress(OSError):
        slow.settimeout(0.05)
        while time.monotonic() < end:
            slow.sendall(b"x")
            with suppress(TimeoutError):
                if not slow.recv(1):
                    break
    assert time.monotonic() < end, "nobody has hung up"


def test_who_has_taken_its_time_to_ask_still_gets_the_whole_answer(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for the answer is its own."""
    began = []
    judge = endpoint._Handler._judge

    def late(its: endpoint._Handler, problem: str | None) -> None:
        began.append(its.wfile)
        its.connection.settimeout(1e-6)  # what was left of the time for asking
        judge(its, problem)

    monkeypatch.setattr(endpoint._Handler, "_judge", late)
    assert harness.get("/ready") == (200, "ok\n")
    (answer,) = began
    assert isinstance(answer, endpoint._Answer)
    assert answer._end - time.monotonic() > endpoint.REQUEST_TIME - 3


MANY = 1000


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may have so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * MANY)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize(("said", "many"), [(b"", MANY), (b"GET /rea", 100)])
def test_a_thousand_connections_that_say_nothing_or_not_all_keep_nobody_out(
    harness: Harness, said: bytes, many: int
) -> None:
    with ExitStack() as held:
        for _ in range(many):
            connection = socket.create_connection(("127.0.0.1", harness.endpoint.port))
            held.enter_context(closing(connection))
            with suppress(OSError):
                connection.sendall(said)
        harness.snapshot = replace(picture(), turned=math.inf)  # it takes a while where there is much to do
        assert [harness.get("/ready") for _ in range(2 * MOST_REQUESTS)] == [
            (200, "ok\n")
        ] * 2 * MOST_REQUESTS


def test_who_is_being_answered_is_not_cut_for_another() -> None:
    going_on = threading.Event()
    answers: list[tuple[int, str]] = []
    asked = threading.Semaphore(0)

    def slow() -> Snapshot:
        asked.release()
        going_on.wait(30)
        return picture()

    harness = Harness(slow)
    threads = [
        threading.Thread(target=lambda: answers.append(harness.get("/ready"))) for _ in range(MOST_REQUESTS)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert asked.acquire(timeout=30)
    with pytest.raises((http.client.HTTPException, OSError)):
        harness.get("/ready")
    going_on.set()
    for thread in threads:
        thread.join(30)
    assert answers == [(200, "ok\n")] * MOST_REQUESTS
    harness.endpoint.close()


def test_a_request_that_has_come_is_not_cut_for_another() -> None:
    """It waits for its thread. The next one is silent, and loses its place at once."""
    harness = Harness()
    server = harness.endpoint._server
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(MOST_REQUESTS + 2)]
        for one in (one for pair in pairs for one in pair):
            stack.enter_context(closing(one))
        pairs[0][0].sendall(b"GET / HTTP/1.0")
        assert all(server._place(theirs) for _, theirs in pairs)
        assert list(server._places) == [theirs for _, theirs in (pairs[0], *pairs[3:])]
        for ours, _ in pairs[1:3]:
            assert ours.recv(1) == b"", "it was cut"
    assert not endpoint._silent(pairs[3][1]), "it is closed"
    harness.endpoint.close()


def test_summary() -> None:
    assert picture().summary() == "master active, epoch 7"
    assert "suspended" in replace(picture(), connection="suspended").summary()
