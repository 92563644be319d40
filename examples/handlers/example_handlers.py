"""Two handlers for mwapp: one that computes, and one that writes where its earlier runs may write, too."""

import json
import sqlite3
from contextlib import closing
from typing import Any

from mwapp.handlers import Run


class SupersededError(Exception):
    """A later run of the task has written already."""


def wordcount(argument: dict[str, str], _run: Run) -> dict[str, int]:
    """Count the lines, words and characters of {"text": ...}."""
    text = argument["text"]
    return {"lines": len(text.splitlines()), "words": len(text.split()), "characters": len(text)}


def record(argument: dict[str, Any], run: Run) -> str:
    """Keep {"value": ...} for this task in the SQLite file {"store": ...}, unless a later run has done so.

    A worker that was cut off may go on for a while after its task was given to another. Whoever comes first,
    the store ends with what the later run wrote: that is the one with the greater token.
    """
    row = {
        "task": run.task,
        "value": json.dumps(argument["value"]),
        "epoch": run.token[0],
        "attempt": run.attempt,
    }
    with closing(sqlite3.connect(argument["store"], timeout=30)) as store, store:
        store.execute(
            "CREATE TABLE IF NOT EXISTS record"
            " (task TEXT PRIMARY KEY, value TEXT, epoch INTEGER, attempt INTEGER)"
        )
        # One statement: nobody can come between the comparison and the write. Not older, rather than newer:
        # a run may write more than once.
        written = store.execute(
            "INSERT INTO record VALUES (:task, :value, :epoch, :attempt) ON CONFLICT (task) DO UPDATE"
            " SET value = excluded.value, epoch = excluded.epoch, attempt = excluded.attempt"
            " WHERE (excluded.epoch, excluded.attempt) >= (record.epoch, record.attempt)",
            row,
        ).rowcount
    if not written:
        raise SupersededError(
            f"attempt {run.attempt} of epoch {run.epoch} is not the latest run of {run.task}"
        )
    return "recorded"
