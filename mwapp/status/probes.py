"""What the servers, the master's endpoint and the tasks as a whole say, when they are asked."""

import io
import json
import re
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from typing import Any

from mwapp.certificates import reason, refused, trusting
from mwapp.core.messages import Stat
from mwapp.core.protocol import CANCELLED, DONE, FAILED, REQUESTS
from mwapp.core.session import Scope
from mwapp.errors import BadInputError
from mwapp.status.health import MasterStatus, ServerView, TableStatus, TasksView
from mwapp.status.overview import (
    ASSIGNED,
    QUEUED,
    Removals,
    TaskView,
    read_names,
    read_removals,
    read_states,
    read_tasks,
)
from mwapp.within import Within, page
from mwapp.zookeeper.connect_string import Servers, parse_endpoint, show

# How long the answer of a server or an endpoint may take, seconds; and how large it may be.
PROBE_SECONDS = 1.0
MOST_BYTES = 1 << 20
# Above this many tasks we do not count their states one by one.
MOST_COUNTED = 20_000
# How many failures to show, and of how many queued tasks to check the labels.
FAILURES = 3
MOST_WAITING = 500
STATUS_CA = "--status-ca"  # what the user calls it
_NO_DOCUMENT = (ValueError, LookupError, TypeError, AttributeError)


def read_tasks_view(scope: Scope, before: TasksView | None, then: Callable[[TasksView], None]) -> None:
    """The tasks as a whole. Final states that an earlier view told are not read again, unless somebody has
    asked since then for a task to run again."""

    def asked(stat: Stat | None) -> None:
        requests = None if stat is None or stat.children else stat.created
        same = before is not None and requests is not None and requests == before.requests
        _read_tasks_view(scope, before.states if before and same else {}, requests, then)

    scope.exists(REQUESTS, asked)


def _read_tasks_view(
    scope: Scope, known: Mapping[str, str], requests: int | None, then: Callable[[TasksView], None]
) -> None:

    def named(removals: Removals, names: list[str]) -> None:
        if len(names) > MOST_COUNTED:  # why they wait, the oldest tell; what fails, the newest
            some = [*names[:MOST_WAITING], *names[-MOST_WAITING:]]
            read_states(scope, some, known, removals, partial(counted, len(names)))
        else:
            read_states(scope, names, known, removals, partial(counted, None))

    def counted(total: int | None, states: dict[str, str]) -> None:
        failures = [name for name, state in states.items() if state == FAILED][: -FAILURES - 1 : -1]
        waiting = [name for name, state in states.items() if state == QUEUED][:MOST_WAITING]
        none = dict.fromkeys((QUEUED, ASSIGNED, DONE, FAILED, CANCELLED), 0)
        counts = none | Counter(states.values())
        ended = {name: state for name, state in states.items() if state not in (QUEUED, ASSIGNED)}

        def read(views: list[TaskView]) -> None:
            found = {view.task: view for view in views}
            failed, queued = (  # unless they have changed since
                [found[name] for name in some if name in found and found[name].state == state]
                for some, state in ((failures, FAILED), (waiting, QUEUED))
            )
            if total is None:
                then(TasksView(len(states), counts, failed, queued, ended, requests))
            else:
                then(TasksView(total, None, failed, queued, ended, requests))

        read_tasks(scope, [*failures, *waiting], read)

    read_removals(scope, lambda removals: read_names(scope, partial(named, removals)))


def ask_servers(servers: Servers) -> list[ServerView]:
    """What the servers say of themselves (their four-letter word srvr)."""
    connect = servers.tls.connect() if servers.tls else socket.create_connection
    with ThreadPoolExecutor(len(servers.addresses)) as pool:
        return list(pool.map(lambda address: _ask_server(address, connect), servers.addresses))


def _ask_server(address: tuple[str, int], connect: Callable[..., Any]) -> ServerView:
    name = show(address)
    try:
        with connect(address, PROBE_SECONDS) as connection:
            connection.sendall(b"srvr")
            with io.BufferedReader(Within(connection, PROBE_SECONDS)) as said:
                text = said.read(MOST_BYTES).decode(errors="replace")
    except OSError as problem:
        return ServerView(name, problem=problem.strerror or str(problem))

    def find(pattern: str) -> str | None:
        found = re.search(pattern, text, re.M)
        return found[1] if found else None

    mode = find(r"^Mode: (\w+)")
    if mode is None:
        return ServerView(name, problem=text.strip().partition("\n")[0] or "no answer")
    mean, worst = find(r"^Latency.*: \d+/([\d.]+)/\d+"), find(r"^Latency.*/(\d+)")
    clients = find(r"^Connections: (\d+)")
    return ServerView(
        name,
        mode,
        find(r"version: ([\w.]+)"),
        float(mean) if mean else None,
        int(worst) if worst else None,
        int(clients) if clients else None,
    )


def ask_master(address: str, ca: str | None = None) -> MasterStatus:
    """Ask the endpoint of the active master. ``ca``: whose certificates to trust (--status-ca)."""
    try:
        where, https = parse_endpoint(address, "/master")
    except BadInputError:
        return MasterStatus(problem="no status: the znode /master has no HOST:PORT")
    try:
        tls = _trusting(ca) if https else None
    except BadInputError as problem:
        return MasterStatus(problem=str(problem))
    try:
        document: Any = json.loads(page(where, "/status", PROBE_SECONDS, MOST_BYTES, tls))
        part = document[document["role"]]
        master = part.get("master", part)
        resting = {str(name): float(seconds) for name, seconds in master.get("resting", {}).items()}
        not_adopted = tuple(map(str, master.get("not_adopted", ())))
        deposed = int(master.get("deposed_of_late", 0))
        return MasterStatus(str(master["state"]), None, resting, not_adopted, deposed, _tables(master))
    except ssl.SSLCertVerificationError as problem:
        remedy = "--advertise (mwapp_host) must be a name or address that is in it"
        why = refused(problem, str(ca), STATUS_CA, remedy)
        return MasterStatus(problem=f"its certificate is refused: {why}")
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return MasterStatus(problem="it hung up: perhaps no TLS is spoken there (mwapp master --listen-cert)")
    except ssl.SSLError as problem:
        return MasterStatus(problem=f"no TLS is possible there: {reason(problem)}")
    except OSError as problem:
        return MasterStatus(problem=problem.strerror or str(problem))
    except (HTTPException, *_NO_DOCUMENT) as problem:
        return MasterStatus(problem=f"no status ({type(problem).__name__})")


def _trusting(ca: str | None) -> ssl.SSLContext:
    if not ca:
        raise BadInputError(
            f"it speaks HTTPS: give the CA of its certificate by {STATUS_CA} (status_ca in mwapp.toml)"
        )
    return trusting(ca, STATUS_CA)


def _tables(master: Mapping[str, Any]) -> dict[str, TableStatus]:
    return {
        str(name): TableStatus(
            int(its["shards"]),
            int(its["without_primary"]),
            int(its["under_replicated"]),
            int(its["moving"]),
            its["problem"] and str(its["problem"]),
            int(its.get("failed", 0)),
            int(its.get("slow", 0)),
            str(its["short"]) if its.get("short") else None,
        )
        for name, its in master.get("shards", {}).get("tables", {}).items()
    }
