"""A master/worker application coordinated by ZooKeeper."""

TYPE_CHECKING = False  # the type checker takes it as true; typing takes too long to import
if TYPE_CHECKING:
    from typing import Any

    from mwapp.client.aio import AsyncClient, AsyncTable, AsyncTask
    from mwapp.client.background import End
    from mwapp.client.calls import Call
    from mwapp.client.threads import Client, Table, Task
    from mwapp.handlers import handler
    from mwapp.status.shards import Member, ShardState, TableState

__all__ = [
    "AsyncClient",
    "AsyncTable",
    "AsyncTask",
    "Call",
    "Client",
    "End",
    "Member",
    "ShardState",
    "Table",
    "TableState",
    "Task",
    "handler",
]

# Where each is. Imported when it is first used: daemons and commands start faster without them.
_HOMES = {
    "AsyncClient": "mwapp.client.aio",
    "AsyncTable": "mwapp.client.aio",
    "AsyncTask": "mwapp.client.aio",
    "Call": "mwapp.client.calls",
    "Client": "mwapp.client.threads",
    "End": "mwapp.client.background",
    "Member": "mwapp.status.shards",
    "ShardState": "mwapp.status.shards",
    "Table": "mwapp.client.threads",
    "TableState": "mwapp.status.shards",
    "Task": "mwapp.client.threads",
    "handler": "mwapp.handlers",
}


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
