"""mwapp workers, mwapp status."""

import http.client
import json
import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import click

from mwapp.cli.options import client
from mwapp.cli.output import plain, show, show_json, show_table
from mwapp.cli.session import Target, look
from mwapp.core.session import Scope
from mwapp.errors import BadInputError
from mwapp.overview import OfficeView, WorkerView, read_names, read_office, read_states, read_workers
from mwapp.servers import parse_address
from mwapp.servers import show as show_address

# A server or an endpoint that is asked directly gets this long, seconds.
PATIENCE = 1.0
# Above so many tasks their states are not counted one by one.
MOST_COUNTED = 20_000


@click.command()
@client
def workers(**settings: Any) -> None:
    """List workers: those that live, and those that are gone but still hold tasks."""
    target = Target(settings["connect"], settings["connect_timeout"])
    views: list[WorkerView] = look(target, read_workers)[0]
    if settings["output"] == "json":
        show_json([asdict(view) for view in views])
        return
    show_table(
        ("WORKER", "STATE", "ADDRESS", "INCARNATION", "SLOTS", "RUNNING"),
        [(v.worker, v.state, v.address, v.incarnation, v.slots, " ".join(v.running) or None) for v in views],
    )


@click.command()
@client
def status(**settings: Any) -> None:
    """Show the whole on one screen: servers, master, workers, tasks."""
    connect, output = settings["connect"], settings["output"]
    with ThreadPoolExecutor(len(connect.addresses)) as pool:
        servers = list(pool.map(_ask_server, connect.addresses))
    if output != "json":
        show_table(("SERVER", "MODE", "VERSION", "PROBLEM"), [list(server.values()) for server in servers])
        show("")
    target = Target(connect, settings["connect_timeout"])
    office, views, tasks = look(target, read_office, read_workers, _count_tasks)
    master = _master(office)
    states = Counter(view.state for view in views)
    if output == "json":
        show_json({"servers": servers, "master": master, "workers": dict(states), "tasks": tasks})
        return
    running = sum(len(view.running) for view in views)
    slots = sum(view.slots or 0 for view in views)
    show_table(
        ("MASTER", "ADDRESS", "EPOCH", "STATE"),
        [
            (
                master["name"],
                master["address"] or "(vacant)",
                master["epoch"],
                master["problem"] or master["state"],
            )
        ],
    )
    show(f"\nworkers  {_counts(states)}; {running} of {slots} slots taken")
    show(f"tasks    {_counts(tasks)}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {plain(state)}" for state, count in counts.items()) or "none"


def _count_tasks(scope: Scope, then: Any) -> None:
    def named(names: list[str]) -> None:
        if len(names) > MOST_COUNTED:
            then({"total": len(names)})
        else:
            read_states(scope, names, then)

    read_names(scope, named)


def _ask_server(address: tuple[str, int]) -> dict[str, str | None]:
    """What a server of the ensemble says of itself (its four-letter word srvr)."""
    answer = {"address": show_address(address), "mode": None, "version": None, "problem": None}
    try:
        with socket.create_connection(address, PATIENCE) as connection:
            connection.sendall(b"srvr")
            text = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace")
    except OSError as problem:
        return answer | {"problem": problem.strerror or str(problem)}
    mode, version = re.search(r"^Mode: (\w+)", text, re.M), re.search(r"version: ([\w.]+)", text)
    if mode is None:
        return answer | {"problem": plain(text.strip().partition("\n")[0]) or "no answer"}
    return answer | {"mode": mode[1], "version": version[1] if version else None}


def _master(office: OfficeView) -> dict[str, Any]:
    """The office, and what the active master's own endpoint says."""
    master = asdict(office) | {"state": None, "ready": None, "problem": None}
    if office.address is None:
        return master | {"problem": "no master is active"}
    try:
        host, port = parse_address(office.address, "/master")
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        connection.request("GET", "/status")
        document = json.loads(connection.getresponse().read(1 << 20))
        return master | {"state": document["master"]["state"], "ready": document["ready"]}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, BadInputError) as problem:
        return master | {"problem": f"its status endpoint does not answer ({type(problem).__name__})"}
