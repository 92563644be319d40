"""What a worker says of a run, beside what the run did: the judge knows the runs themselves."""

from collections.abc import Iterable

from mwapp.core.protocol import Outcome
from mwapp.core.session import DRIFT
from mwapp.core.task import Task
from tests.simulation.runner import Execution


def unlike(
    outcome: Outcome,
    runs: Iterable[Execution],
    asked: Task | None,
    *,
    repeats: bool,
    cut: bool,
    unread: bool,
) -> str:
    """How the outcome is not that of any of these runs, of which one is meant; "" if it is.

    ``asked``: None if the task can never run. ``repeats``: whether attempts may have had the same number.
    ``cut``: whether a part of the output may be missing.
    ``unread``: whether its secret values could not be read, or were replaced.
    """
    differ = [_unlike_one(outcome, run, cut=cut) for run in runs]
    if "" in differ or ((repeats or not differ) and _never_ran(outcome, asked, unread)):
        return ""
    return differ[-1] if differ else "no run was like this"


def succeeded(run: Execution) -> bool:
    """Whether its worker knows that it did, in time."""
    return run.exited is not None and run.exited.code == 0 and not late(run)


def late(run: Execution) -> bool:
    """Whether the worker may have heard of its end only when its timeout was over."""
    timeout = run.asked.timeout
    return timeout is not None and run.heard is not None and run.heard - run.wanted >= timeout * (1 - DRIFT)


def _unlike_one(outcome: Outcome, run: Execution, *, cut: bool) -> str:
    told = run.exited
    if told is None or run.heard is None:
        return "its worker does not know that the run is over"
    if outcome.code != told.code:
        return f"the run exited with {told.code}"
    true = {
        None: told.code is not None,
        "cancelled": outcome.cancelled,
        f"could not be started: {told.reason}": told.code is None,
    }
    if late(run):
        true[f"timed out after {run.asked.timeout:g} s"] = True
    if not true.get(outcome.reason, False):
        return f"the run exited with {told.code}, and nothing gave the reason"
    output = told.output.decode(errors="replace")
    whole = outcome.output == output and outcome.truncated == told.truncated
    part = cut and outcome.truncated and output.startswith(outcome.output)
    if not (whole or part):
        return "the run printed something else"
    if outcome.result != (told.result if outcome.reason is None else None):
        return f"the run returned {told.result}"
    return ""


def _never_ran(outcome: Outcome, asked: Task | None, unread: bool) -> bool:
    """Whether this may be how a task ended that its worker did not begin, or killed before it began."""
    killed = outcome.code == -9 and (outcome.cancelled or (asked is not None and asked.timeout is not None))
    cannot = asked is None or (bool(asked.secrets) and unread)
    nothing = outcome.code is None and outcome.reason is not None and (outcome.cancelled or cannot)
    return (killed or nothing) and not outcome.output and outcome.result is None
