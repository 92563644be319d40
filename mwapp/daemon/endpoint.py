"""The status endpoint, with HTTP or HTTPS: /health, /ready, /status, /metrics.

It shows the main loop's latest :class:`Snapshot`, and has no other connection to it, so neither can delay the
other.
"""

import io
import json
import logging
import select
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mwapp.certificates import Serving
from mwapp.daemon.snapshot import Snapshot
from mwapp.errors import BadInputError
from mwapp.within import Within
from mwapp.zookeeper.connect_string import show

log = logging.getLogger(__name__)

# How many requests to answer at once, and how long a client may take to send one, the handshake of TLS
# included, and then to read the answer, seconds. If all places are taken, the connection that is silent for
# longest loses its own. If none is, the new one is turned away.
MOST_REQUESTS = 16
REQUEST_TIME = 5.0
# No request of HTTP begins like this.
TLS_BEGINS = b"\x16"

# Counters of the master and the worker that do not count tasks.
_TRANSACTIONS = {"transactions": "committed", "refused": "refused"}
_LABELS = ["role", "name"]
_GAUGES = {
    "epoch": "Epoch of this master, while it is active.",
    "incarnation": "Incarnation this worker is registered under.",
    "workers": "Live workers known to the active master.",
    "queued": "Tasks waiting: at the active master for a worker, at a worker for a slot.",
    "delayed": "Tasks that are not to begin yet, as known to the active master.",
    "resting": "Workers that get no task for a while, because their last runs all failed.",
    "assigned": "Tasks assigned to workers, as known to the active master.",
    "finished": "Finished tasks kept, as known to the active master.",
    "slots": "Tasks this worker runs at once at most.",
    "running": "Tasks this worker runs now.",
    "deposed_of_late": "Silent masters that were deposed of late; after three the next one is left alone.",
    "elected_at": "When this master won its current epoch, seconds since the Unix epoch.",
    "first_write_at": "When it committed its first fenced write in that epoch, seconds since the Unix epoch.",
}


# Of a table of shards.
_TABLES = {
    "shards": "Shards of a table.",
    "without_primary": "Shards of a table that no live worker owns.",
    "failed": "Shards of a table of which a handler has failed, or the owner's is not at work in time.",
    "under_replicated": "Shards of a table with fewer replicas in sync than wanted.",
    "moving": "Shards of a table that are to have other workers.",
    "slow": "Shards of a table of which a replica has copied for more than ten minutes.",
    "short": "Whether a table asks for more replicas, or another spread, than its workers allow.",
}


class Metrics:
    """Collects a snapshot's numbers for Prometheus."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def describe(self) -> list[Metric]:
        """Nothing: the metrics depend on the role."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric of the current snapshot. A node has those of a master and of a worker."""
        now = self._snapshot()
        yield from self._of_process(now)
        families = {name: self._gauge(name, text) for name, text in _GAUGES.items()}
        tasks = self._counter("tasks", "What happened to tasks here.", "event")
        transactions = self._counter("transactions", "Fenced writes of this master.", "result")
        depositions = self._counter(
            "depositions", "Silent masters that this one deposed, or tried to.", "result"
        )
        tables = {
            name: GaugeMetricFamily(f"mwapp_table_{name}", text, labels=[*_LABELS, "table"])
            for name, text in _TABLES.items()
        }
        for role, part in now.roles():
            labels = [role, now.name]
            for table, its in part.get("shards", {}).get("tables", {}).items():
                for name, family in tables.items():
                    value = its[name]
                    family.add_metric([*labels, table], value if isinstance(value, int) else bool(value))
            for name, family in families.items():
                value = part.get(name)
                if value is not None:
                    family.add_metric(labels, len(value) if isinstance(value, list | dict) else value)
            for result, count in part.get("depositions", {}).items():
                depositions.add_metric([*labels, result], count)
            for event, count in part.get("counters", {}).items():
                if event in _TRANSACTIONS:
                    transactions.add_metric([*labels, _TRANSACTIONS[event]], count)
                else:
                    tasks.add_metric([*labels, event], count)
        found = (*families.values(), *tables.values(), tasks, transactions, depositions)
        yield from (it for it in found if it.samples)

    def _of_process(self, now: Snapshot) -> Iterator[Metric]:
        labels = [now.role, now.name]
        ready = self._gauge("ready", "Whether the process can do its work now.")
        ready.add_metric(labels, now.unready() is None)
        state = GaugeMetricFamily("mwapp_state", "1 for the current state.", labels=[*_LABELS, "state"])
        state.add_metric([*labels, str(now.part.get("state", "starting"))], 1)
        started = self._gauge("start_time_seconds", "When the process started, Unix time.")
        started.add_metric(labels, now.started_at)
        events = self._counter("session_events", "What happened to the session.", "event")
        for event, count in now.session_events.items():
            events.add_metric([*labels, event], count)
        yield from (ready, state, started, events)

    @staticmethod
    def _gauge(name: str, text: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"mwapp_{name}", text, labels=_LABELS)

    @staticmethod
    def _counter(name: str, text: str, label: str) -> CounterMetricFamily:
        return CounterMetricFamily(f"mwapp_{name}", text, labels=[*_LABELS, label])


class _Answer(io.BufferedIOBase):
    """What is sent, within a time in all. (A time-out of TLS is for each of its records.)"""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        sent = 0
        with memoryview(data) as view:
            while sent < len(view):
                left = self._end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("timed out")
                self._connection.settimeout(left)
                sent += self._connection.send(view[sent:])
        return sent


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: "_Server"
    server_version = "mwapp"
    sys_version = ""
    timeout = REQUEST_TIME

    def setup(self) -> None:
        super().setup()
        self.rfile.close()  # it would wait so long for each byte
        within = Within(self.connection, self.timeout)
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.do_handshake()  # within the connection's time-out, in all
        self.rfile = self._said = io.BufferedReader(within)

    def handle(self) -> None:
        # Who begins with TLS waits for an answer in TLS, and would wait for the time-out.
        if self.server.tls is not None or self._said.peek(1)[:1] != TLS_BEGINS:
            super().handle()

    def do_GET(self) -> None:
        self.wfile = _Answer(self.connection, self.timeout)
        self.server.keep(self.connection)
        snapshot = self.server.snapshot()
        path = self.path.partition("?")[0]
        if path == "/health":
            self._judge(snapshot.unhealthy())
        elif path == "/ready":
            self._judge(snapshot.unready())
        elif path in ("/", "/status"):
            self._send(HTTPStatus.OK, "application/json", json.dumps(snapshot.document(), indent=1).encode())
        elif path == "/metrics":
            self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"try /health /ready /status /metrics")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _judge(self, problem: str | None) -> None:
        status = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
        self._send(status, "text/plain", (problem or "ok").encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + 1))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body + b"\n")

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024  # so many may come at once before a client has to try again, a second later

    def __init__(
        self, address: tuple[str, int], snapshot: Callable[[], Snapshot], tls: ssl.SSLContext | None
    ) -> None:
        self.tls = tls
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.snapshot = snapshot
        self.registry = CollectorRegistry()
        self.registry.register(Metrics(snapshot))
        self._places: dict[socket.socket, bool] = {}  # the oldest first; whether its request has been read
        self._lock = threading.Lock()  # for that
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks up the host's name, which may take many seconds and is useless here.
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls is None:
            return connection, address
        try:
            # Nothing is said yet: who has not even begun holds up only the thread of its own request.
            secured = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:
            connection.close()
            raise
        return secured, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._place(request):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._places.pop(request, None)

    def keep(self, request: socket.socket) -> None:
        """Its request has been read: it is answered whoever comes."""
        with self._lock:
            if request in self._places:
                self._places[request] = True

    def _place(self, request: socket.socket) -> bool:
        with self._lock:
            if len(self._places) >= MOST_REQUESTS:
                silent = next((one for one, read in self._places.items() if not read and _silent(one)), None)
                if silent is None:
                    return False
                del self._places[silent]
                with suppress(OSError):
                    # Its thread reads the end of it. SSLSocket's own would make it read what is encrypted.
                    socket.socket.shutdown(silent, socket.SHUT_RDWR)
            self._places[request] = False
            return True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver gives it
        log.debug("a request to the status endpoint failed", exc_info=True)


def _silent(connection: socket.socket) -> bool:
    """Whether it is open, and there is nothing to read."""
    number, poll = connection.fileno(), select.poll()
    if number < 0:
        return False
    poll.register(number, select.POLLIN)
    return not poll.poll(0)


class Endpoint:
    """The endpoint, which listens from its creation to :meth:`close`."""

    def __init__(
        self, listen: tuple[str, int], snapshot: Callable[[], Snapshot], tls: Serving | None = None
    ) -> None:
        """``snapshot`` is called on other threads. With ``tls`` it speaks HTTPS, and nothing else.

        Raises:
            BadInputError: it cannot listen on the address.
        """
        try:
            self._server = _Server(listen, snapshot, None if tls is None else tls.context)
        except OSError as problem:
            raise BadInputError(
                f"--listen: cannot listen on {show(listen)}: {problem.strerror or problem}; "
                "choose another address or port, or stop what uses it"
            ) from None
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
