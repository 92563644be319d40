"""mwapp wait, and how tasks have ended."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from mwapp.cli.names import tasks_argument, timeout
from mwapp.cli.options import client, option
from mwapp.cli.output import printable, show_json, show_table
from mwapp.cli.session import Target, converse, target_of
from mwapp.cli.streams import show
from mwapp.client.background import End
from mwapp.client.calls import task_name
from mwapp.core.client import ClientPart
from mwapp.core.protocol import DONE, Outcome
from mwapp.core.session import Callback, Process
from mwapp.core.wait import Wait
from mwapp.errors import NotFoundError, TaskFailedError, TimedOutError
from mwapp.status.ending import explained

output_option = option(
    "--show-output",
    is_flag=True,
    help="Also print the output of each task, and what a handler has returned.",
)


@click.command()
@tasks_argument(required=True)
@timeout("Give up waiting after this long.")
@output_option
@client
def wait(tasks: tuple[str, ...], timeout: float | None, show_output: bool, **settings: Any) -> None:
    """Wait until each TASK has ended and show its result.

    TASK is a name such as task-0000000007, or its number 7. Exit status: 0 all are done; 1 one failed or
    was cancelled; 4 a task does not exist (the master removes finished tasks after a while); 5 not all
    ended in time.

    \b
    Examples:
      mwapp wait 7 8 --show-output
      mwapp wait backup-2026-11-22 --timeout 600
    """
    target, json = target_of(settings), settings["output"] == "json"
    wait_and_show(target, list(map(task_name, tasks)), timeout, show_output=show_output, json=json)


@dataclass(frozen=True, slots=True)
class Ends:
    """Those that have ended, those that do not exist, and those that have not ended in time."""

    ended: list[End]
    missing: list[str]
    open: list[str]
    asked: bool  # and the ensemble answers, so those that are open have not ended


def wait_and_show(
    target: Target,
    names: Sequence[str],
    timeout: float | None,
    *,
    show_output: bool,
    json: bool,
    existed: Mapping[str, bool | None] | None = None,
) -> None:
    """Wait for these tasks, show how they ended, and raise the error for the exit status."""
    ends = wait_until_ended(target, names, timeout, json=json, existed=existed)
    show_ends(ends, json=json, existed=existed)
    if show_output and not json:
        for end in ends.ended:
            show(f"--- {end.task}\n{end.outcome.output}{_result(end.outcome)}", end="")
    if ends.open and not ends.asked:
        raise TimedOutError(
            f"no end known of {len(ends.open)} of {len(set(names))} tasks: the ensemble has not answered in "
            "time"
        )
    if ends.open:
        raise TimedOutError(f"{len(ends.open)} of {len(set(names))} tasks have not ended in time")
    if ends.missing:
        raise NotFoundError(f"no such task: {', '.join(ends.missing)}")
    others = Counter(end.state for end in ends.ended if end.state != DONE)
    if others:
        counted = ", ".join(f"{count} {state}" for state, count in sorted(others.items()))
        raise TaskFailedError(f"not all are done: {counted}, of {len(ends.ended)} tasks")


def wait_until_ended(
    target: Target,
    names: Sequence[str],
    timeout: float | None,
    *,
    json: bool,
    already: Collection[str] | None = None,
    existed: Mapping[str, bool | None] | None = None,
) -> Ends:
    """If interrupted, show what is known, as :func:`show_ends`: nobody else may know the names."""
    names = list(dict.fromkeys(names))
    found: dict[str, End | None] = {}

    def ended(name: str, state: str | None, outcome: Outcome | None) -> None:
        found[name] = None if state is None else End(name, state, explained(outcome or Outcome()))

    def build(process: Process, finished: Callback) -> ClientPart:
        return Wait(process, names, ended=ended, finished=finished)

    try:
        with suppress(TimedOutError):  # the message counts those that have not ended
            converse(target, build, timeout)
    except BaseException:
        show_ends(_ends(names, found, asked=False), json=json, already=already, existed=existed)
        raise
    return _ends(names, found, asked=target.answers)


def _ends(names: Sequence[str], found: Mapping[str, End | None], *, asked: bool) -> Ends:
    found = dict(found)  # at one moment: the session's thread adds to it
    known = [found.get(name) for name in names]
    missing = [name for name in names if name in found and found[name] is None]
    still_open = [name for name in names if name not in found]
    return Ends([end for end in known if end is not None], missing, still_open, asked)


def show_ends(
    ends: Ends,
    *,
    json: bool,
    already: Collection[str] | None = None,
    existed: Mapping[str, bool | None] | None = None,
) -> None:
    """``already``: for `cancel`, tasks that had ended before. ``existed``: for `submit`, whether each was
    there already."""

    def there(name: str) -> dict[str, Any]:
        return {} if existed is None else {"existed": existed[name]}

    if json:
        documents = [
            {"task": end.task, "state": end.state}
            | outcome_document(end.outcome)
            | ({} if already is None else {"already_ended": end.task in already})
            | there(end.task)
            for end in ends.ended
        ]
        show_json([*documents, *({"task": name, "state": None} | there(name) for name in ends.open)])
        return
    rows: list[tuple[object, ...]] = []
    for end in ends.ended:
        it = end.outcome
        reason = "had ended already" if end.task in (already or ()) else it.reason
        rows.append((end.task, end.state, it.code, it.worker, it.attempt, it.seconds, reason))
    why = "has not ended" if ends.asked else "no end known"
    rows += [(name, None, None, None, None, None, why) for name in ends.open]
    show_table(("TASK", "STATE", "CODE", "WORKER", "ATTEMPT", "SECONDS", "REASON"), rows)


def _result(outcome: Outcome) -> str:
    """What a handler has returned, a line of its own: text as it is, anything else as JSON."""
    if outcome.result is None:
        return ""
    between = "" if outcome.output.endswith("\n") or not outcome.output else "\n"
    return f"{between}{printable(outcome.value if isinstance(outcome.value, str) else outcome.result)}\n"


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """An outcome for programs."""
    return {
        "code": outcome.code,
        "worker": outcome.worker,
        "attempt": outcome.attempt,
        "seconds": outcome.seconds,
        "reason": outcome.reason,
        "output": outcome.output,
        "result": outcome.value,
        "truncated": outcome.truncated,
    }
