"""mwapp cancel."""

import time
from typing import Any

import click

from mwapp.cli.names import tasks_argument, timeout
from mwapp.cli.options import client, option
from mwapp.cli.selection import Selection, selection
from mwapp.cli.session import Target, converse, look, target_of
from mwapp.cli.streams import tell
from mwapp.cli.wait import Ends, show_ends, wait_until_ended
from mwapp.client.calls import task_name
from mwapp.core.client import Cancel, ClientPart
from mwapp.core.session import Callback, Process
from mwapp.errors import BadInputError, NotFoundError, TimedOutError
from mwapp.status.overview import ASSIGNED, QUEUED, TaskView, read_names, read_tasks

# How long it waits by default, seconds: a command may take two to end.
CANCEL_SECONDS = 30.0
# When its requests are stored it looks in any case, for so many seconds, what has become of the tasks.
LEAST_SECONDS = 0.1


@click.command()
@tasks_argument(required=False)
@option(
    "--state",
    type=click.Choice([QUEUED, ASSIGNED]),
    multiple=True,
    help="Instead of TASK: cancel the tasks in this state. May be given several times.",
)
@selection
@timeout("Give up after this long; the cancel requests remain.", default=CANCEL_SECONDS)
@client
def cancel(tasks: tuple[str, ...], timeout: float, state: tuple[str, ...], **settings: Any) -> None:
    """Cancel each TASK, wait until it has ended, and show its result.

    Without TASK, cancel every unfinished task that matches the options. See them first:
    mwapp tasks --state queued, with the same options.

    A task that has not begun will not run. A running task gets SIGTERM, two seconds later SIGKILL, and so
    do the processes that it started. A task that is about to end may still end as done or failed; it does
    not run again.

    Exit status: 0 all have ended; 4 a task does not exist; 5 not all ended in time.

    \b
    Examples:
      mwapp cancel 7
      mwapp cancel backup-2026-11-22 --output json
      mwapp cancel --state queued --label gpu --match 'nightly-*' --submitter 'alice@*'
    """
    only = Selection.of(settings)
    target, json = target_of(settings), settings["output"] == "json"
    if bool(tasks) == bool(only or state):
        raise BadInputError("TASK: give either tasks, or one of --state, --match, --label and --submitter")
    names = list(dict.fromkeys(map(task_name, tasks)))
    views = _named(target, names) if tasks else _matching(target, only, state)
    ended = {view.task for view in views if view.ended}
    requested = [view.task for view in views if not view.ended]
    end = time.monotonic() + timeout
    if requested:
        try:
            _ask(target, requested, timeout)
        except BaseException:  # ^C, too
            show_ends(Ends([], [], requested, asked=False), json=json, already=ended)
            raise
    left = max(LEAST_SECONDS, end - time.monotonic())
    ends = wait_until_ended(target, [view.task for view in views], left, json=json, already=ended)
    show_ends(ends, json=json, already=ended)
    if ends.open:
        known = "tasks have not ended in time" if ends.asked else "tasks are not known to have ended"
        raise TimedOutError(
            f"{len(ends.open)} of {len(views)} {known}; their cancel requests remain. "
            "Check with `mwapp status` that a master and the tasks' workers are running"
        )
    there = {view.task for view in views}
    missing = [name for name in names if name not in there]
    if missing or ends.missing:
        raise NotFoundError(f"no such task: {', '.join([*missing, *ends.missing])}")


def _named(target: Target, names: list[str]) -> list[TaskView]:
    """These tasks, without those that do not exist."""
    views: list[TaskView]
    (views,) = look(target, lambda scope, then: read_tasks(scope, names, then))
    return views


def _matching(target: Target, only: Selection, states: tuple[str, ...]) -> list[TaskView]:
    """All unfinished tasks that match."""
    views = _named(target, only.named(look(target, read_names)[0]))
    found = [v for v in views if not v.ended and only.fits(v) and (not states or v.state in states)]
    if not found:
        tell("no unfinished task matches")
    return found


def _ask(target: Target, tasks: list[str], timeout: float) -> None:
    """Store a cancel request for each."""

    def build(process: Process, finished: Callback) -> ClientPart:
        return Cancel(process, tasks, asked=lambda *_: None, finished=finished)

    try:
        converse(target, build, timeout)
    except TimedOutError:
        raise TimedOutError(
            f"not all {len(tasks)} cancel requests were stored in time; those that were remain. The ensemble "
            "is slow, or refuses them (mwapp acl)"
        ) from None
