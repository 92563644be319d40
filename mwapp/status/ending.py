"""Why a task failed, in the same words for whoever asks."""

import signal
from dataclasses import replace

from mwapp.core.protocol import Outcome
from mwapp.execution.output import REMARK

# A shell whose last command was ended by a signal exits with this and the signal's number.
_SHELL = 128
# The last of the signals that have a name.
_LAST = 31
# These end no process, so a shell never exits because of one.
_HARMLESS = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP),
    *(signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH),
}


def explained(outcome: Outcome) -> Outcome:
    """With a reason, also if a signal is the reason."""
    if outcome.reason is not None or outcome.code is None:
        return outcome
    number = _signal(outcome.code)
    if number is None:
        return outcome
    last = outcome.output.rstrip().rpartition("\n")[2]
    why = f": {last.removeprefix(REMARK)}" if number == signal.SIGKILL and last.startswith(REMARK) else ""
    return replace(outcome, reason=f"killed by {_name(number)}{why}")


def _signal(code: int) -> int | None:
    if code < 0:
        return -code
    number = code - _SHELL
    return number if 0 < number <= _LAST and number not in _HARMLESS else None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return f"signal {number}"
