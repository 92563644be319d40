"""mwapp rerun, mwapp remove: what becomes of tasks that have ended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from mwapp.cli.names import tasks_argument, timeout
from mwapp.cli.options import client, option
from mwapp.cli.output import show_json, show_table
from mwapp.cli.selection import Selection, selection
from mwapp.cli.session import Target, converse, look, target_of
from mwapp.cli.streams import tell
from mwapp.cli.wait import wait_and_show
from mwapp.client.calls import task_name
from mwapp.core.again import CHANGED, NO_SUCH_TASK, NOT_ENDED, AskEnded
from mwapp.core.client import ClientPart
from mwapp.core.protocol import CANCELLED, DONE, FAILED, REMOVE, RUN
from mwapp.core.session import Callback, Process
from mwapp.errors import BadInputError, NotFoundError, RefusedError, TimedOutError
from mwapp.status.overview import read_names, read_tasks

# How long to wait for the master by default, seconds. It removes no task sooner than 20 s after its end.
MASTER_SECONDS = 60.0

state_option = option(
    "--state",
    type=click.Choice([DONE, FAILED, CANCELLED]),
    multiple=True,
    help="Instead of TASK: all finished tasks in this state. May be given several times.",
)


@click.command()
@tasks_argument(required=False)
@state_option
@selection
@option("--wait", is_flag=True, help="Then wait until they have ended again, and show the results.")
@timeout("Give up waiting for the master after this long.", default=MASTER_SECONDS)
@client
def rerun(
    tasks: tuple[str, ...], state: tuple[str, ...], wait: bool, timeout: float, **settings: Any
) -> None:
    """Run each finished TASK again.

    It keeps its name. Its status and result are deleted, and its retries start at zero again. The number of
    its attempts goes on, so that a store that checks fencing tokens accepts it. It begins at once, whatever
    --delay and --expires were when it was submitted.

    Without TASK, rerun every finished task that matches the options. See them first:
    mwapp tasks --state failed, with the same options.

    Exit status: 0 all run again; 1 with --wait: not all are done in the end; 4 a task does not exist; 5 no
    master has acted in time, the requests remain; 7 a task has not ended.

    \b
    Examples:
      mwapp rerun 7
      mwapp rerun --state failed --match 'nightly-*' --wait
    """
    target, json = target_of(settings), settings["output"] == "json"
    chosen = _chosen(target, tasks, state, Selection.of(settings))
    with _shown("runs again", json=json, always=not (wait and chosen)) as told:
        _ask(target, RUN, chosen, state, timeout, told)
        _check(told, named=bool(tasks))
    if wait and chosen:
        names = [name for name, problem in told.items() if problem is None]
        wait_and_show(target, names, None, show_output=False, json=json)


@click.command()
@tasks_argument(required=False)
@state_option
@selection
@timeout("Give up waiting for the master after this long.", default=MASTER_SECONDS)
@client
def remove(tasks: tuple[str, ...], state: tuple[str, ...], timeout: float, **settings: Any) -> None:
    """Remove each finished TASK and its result.

    The master removes it, 20 seconds after its end at the earliest: a client that was cut off may still look
    for it. Without this command, tasks are removed after a while (mwapp master --retention, --keep). To end a
    task that has not ended: mwapp cancel.

    Without TASK, remove every finished task that matches the options. See them first:
    mwapp tasks --state done, with the same options.

    Exit status: 0 all are removed; 4 a task does not exist; 5 not all are removed in time, their requests
    remain; 7 a task has not ended.

    \b
    Examples:
      mwapp remove 7
      mwapp remove --state done --match 'probe-*'
    """
    target = target_of(settings)
    chosen = _chosen(target, tasks, state, Selection.of(settings))
    with _shown("removed", json=settings["output"] == "json") as told:
        _ask(target, REMOVE, chosen, state, timeout, told)
        _check(told, named=bool(tasks))


# For each task what is wrong, or None if it was done.
Told = dict[str, str | None]


def _ask(target: Target, do: str, names: list[str], only: Sequence[str], timeout: float, told: Told) -> None:
    parts: list[AskEnded] = []
    heard: Told = {}  # the session's thread adds to it, and does so after a time-out, too

    def build(process: Process, finished: Callback) -> ClientPart:
        parts.append(AskEnded(process, names, do, told=heard.__setitem__, finished=finished, only=only))
        return parts[-1]

    try:
        try:
            converse(target, build, timeout)
        finally:
            told.update(dict(heard))
    except TimedOutError:
        requested = parts[-1].requested if parts else 0  # the session may not have begun
        # Either somebody else has made the same requests, or none can be made.
        refused = "" if requested else ". If nobody asked before, the ensemble refuses requests (mwapp acl)"
        raise TimedOutError(
            f"timed out: {len(names) - len(told)} of {len(names)} are not done. {requested} requests stay "
            "stored, and the next active master carries them out; repeat the command for the others. "
            "Check with `mwapp status` that a master is active. A master of an earlier release ignores them"
            f"{refused}"
        ) from None


@contextmanager
def _shown(what: str, *, json: bool, always: bool = True) -> Iterator[Told]:
    """What was done is shown whatever goes wrong; ``always``: also if nothing does."""
    told: Told = {}
    try:
        yield told
    except BaseException:
        _show(told, what, json=json)
        raise
    if always:
        _show(told, what, json=json)


def _check(told: Told, *, named: bool) -> None:
    """Raises if something was not done. What was chosen, not ``named``, may have changed meanwhile."""
    if not named:
        for name in [name for name, why in told.items() if why in (NO_SUCH_TASK, NOT_ENDED, CHANGED)]:
            del told[name]
    missing = [name for name, why in told.items() if why == NO_SUCH_TASK]
    refused = [f"{name}: {why}" for name, why in told.items() if why not in (None, NO_SUCH_TASK)]
    if refused:
        raise RefusedError("; ".join(refused))
    if missing:
        raise NotFoundError(f"no such task: {', '.join(missing)}")


def _chosen(target: Target, tasks: Sequence[str], state: Sequence[str], only: Selection) -> list[str]:
    if bool(tasks) == bool(only or state):
        raise BadInputError("TASK: give either tasks, or one of --state, --match, --label and --submitter")
    if tasks:
        return list(dict.fromkeys(map(task_name, tasks)))
    names = only.named(look(target, read_names)[0])
    (views,) = look(target, lambda scope, then: read_tasks(scope, names, then))
    names = [v.task for v in views if v.ended and only.fits(v) and (not state or v.state in state)]
    if not names:
        tell("no finished task matches")
    return names


def _show(told: Mapping[str, str | None], what: str, *, json: bool) -> None:
    names = [name for name, why in told.items() if why is None]
    if json:
        show_json([{"task": name} for name in names])
    elif names:
        show_table(("TASK", ""), [(name, what) for name in names])
