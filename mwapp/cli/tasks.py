"""mwapp tasks, mwapp workers."""

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import click

from mwapp.cli.names import tasks_argument
from mwapp.cli.options import client, option
from mwapp.cli.output import age, several, show_json, show_table
from mwapp.cli.selection import Selection, selection
from mwapp.cli.session import look, target_of
from mwapp.cli.streams import note
from mwapp.cli.wait import outcome_document
from mwapp.client.calls import task_name
from mwapp.core.protocol import CANCELLED, DONE, FAILED, Outcome
from mwapp.core.task import Task
from mwapp.errors import BadInputError, NotFoundError
from mwapp.status.health import no_worker, unschedulable
from mwapp.status.overview import ASSIGNED, QUEUED, TaskView, WorkerView, read_names, read_tasks, read_workers

# What was asked for, beside the command and the labels.
ASKED = [field.name for field in fields(Task) if field.name not in ("command", "labels")]
# How many of a worker's tasks to name.
MOST_NAMED = 3


@click.command()
@tasks_argument(required=False)
@option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    help="Show only this many of the newest tasks; 0 shows all.",
)
@option(
    "--state",
    type=click.Choice([QUEUED, ASSIGNED, DONE, FAILED, CANCELLED]),
    multiple=True,
    help="Show only tasks in this state. May be given several times.",
)
@selection
@client
def tasks(tasks: tuple[str, ...], limit: int, state: tuple[str, ...], **settings: Any) -> None:
    """List all tasks, or each TASK, in the order of submission.

    A TASK is a name such as task-0000000007, or its number 7.

    State "cancelling" means that the task is queued or assigned and has a cancel request; "delayed", that it
    is queued and not to begin yet. A queued task with an attempt number has run before: it pauses after a
    failure, or waits for another worker. SUBMITTER is who the client claims to be; nobody checks that.

    \b
    Examples:
      mwapp tasks --state queued --state assigned
      mwapp tasks --match 'nightly-*' --label gpu --submitter 'alice@*'
      mwapp tasks 7 --output json
    """
    only = Selection.of(settings)
    if tasks and only:
        raise BadInputError("TASK: give either tasks, or --match, --label and --submitter, not both")
    target, wanted = target_of(settings), [task_name(t) for t in tasks]
    (names,) = look(target, read_names) if not wanted else (wanted,)
    names = only.named(names)
    # Only reading tells the state, the labels and the submitter: with these the limit is for what is shown.
    chosen = names[-limit:] if limit and not state and not only.reads and not wanted else names
    views, workers = look(target, lambda scope, then: read_tasks(scope, chosen, then), read_workers)
    found = {view.task for view in views}
    if state or only.reads:
        views = [view for view in views if only.fits(view) and (not state or view.state in state)]
        views = views[-limit:] if limit else views
    now = time.time()
    if settings["output"] == "json":
        show_json([_document(view, workers, now, whole=bool(wanted)) for view in views])
    else:
        show_table(
            ("TASK", "STATE", "WORKER", "ATTEMPT", "CODE", "AGE", "SUBMITTER", "COMMAND"),
            [_row(view, now) for view in views],
        )
        for labels in sorted({view.labels for view in views if unschedulable(view, workers)}):
            count = sum(view.labels == labels for view in views if unschedulable(view, workers))
            note(f"{count} queued: {no_worker(labels, workers)}")
        if len(chosen) < len(names):
            note(f"the newest {len(chosen)} of {len(names)} tasks; --limit 0 shows all")
    missing = [name for name in wanted if name not in found]
    if missing:
        raise NotFoundError(f"no such task: {', '.join(missing)}")


def _row(view: TaskView, now: float) -> tuple[object, ...]:
    code = view.outcome.code if view.outcome else None
    reason = view.outcome.reason if view.outcome else None
    command = view.command if view.command is not None else f"(malformed: {reason or 'not yet refused'})"
    delayed = view.state == QUEUED and view.begins is not None and view.begins > now
    state = "cancelling" if view.cancelling else "delayed" if delayed else view.state
    return view.task, state, view.worker, view.attempt, code, age(now - view.created), view.submitter, command


def _document(view: TaskView, workers: Sequence[WorkerView], now: float, *, whole: bool) -> dict[str, Any]:
    """``whole``: with all that was asked for and came out, not only what a list needs."""
    document = {
        "task": view.task,
        "state": view.state,
        "cancelling": view.cancelling,
        "worker": view.worker,
        "attempt": view.attempt,
        "code": view.outcome.code if view.outcome else None,
        "reason": view.outcome.reason if view.outcome else None,
        "created": round(view.created, 3),
        "age": round(max(0.0, now - view.created), 3),
        "submitter": view.submitter,
        "begins": None if view.begins is None else round(view.begins, 3),
        "labels": list(view.labels),
        "hint": no_worker(view.labels, workers) if unschedulable(view, workers) else None,
        "command": view.command,
    }
    if not whole:
        return document
    asked = {name: getattr(view.asked, name) for name in ASKED} if view.asked else {}
    # For a task that has not ended, worker and attempt come from its assignment.
    return outcome_document(view.outcome or Outcome()) | asked | document


# ---------------------------------------------------------------- workers


@click.command()
@client
def workers(**settings: Any) -> None:
    """List workers: those alive, and those gone that still hold tasks.

    State "paused": the node is the master. "unregistered": a person made it by hand, and no
    master has adopted it (mwapp master --adopt). "persistent": not a worker, but a znode that a person
    created without -e; delete it. SLOTS counts the tasks a worker runs at once; it may have more at hand
    (--prefetch).

    \b
    Examples:
      mwapp workers
      mwapp workers --output json
    """
    target = target_of(settings)
    views: list[WorkerView] = look(target, read_workers)[0]
    if settings["output"] == "json":
        show_json([worker_document(view) for view in views])
        return
    show_table(
        ("WORKER", "STATE", "INCARNATION", "SLOTS", "LABELS", "ADDRESS", "TASKS"),
        [
            (
                *(v.worker, v.state, v.incarnation, v.slots, " ".join(v.labels), v.address),
                several(v.tasks, MOST_NAMED),
            )
            for v in views
        ],
    )


def worker_document(view: WorkerView) -> dict[str, Any]:
    """A worker for programs."""
    return {
        "worker": view.worker,
        "state": view.state,
        "address": view.address,
        "incarnation": view.incarnation,
        "slots": view.slots,
        "labels": list(view.labels),
        "running": list(view.tasks),
    }
