"""Why a task failed is told in the same words, however it ended."""

import pytest

from mwapp.core.protocol import Outcome
from mwapp.status.ending import explained


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(code=-9), "killed by SIGKILL"),
        (Outcome(code=137), "killed by SIGKILL"),
        (Outcome(code=-15), "killed by SIGTERM"),
        (Outcome(code=139), "killed by SIGSEGV"),
        (Outcome(code=129), "killed by SIGHUP"),
        (Outcome(code=159), "killed by SIGSYS"),
        (Outcome(code=-40), "killed by signal 40"),
        (Outcome(code=0), None),
        (Outcome(code=1), None),
        (Outcome(code=126), None),
        (Outcome(code=127), None),
        (Outcome(code=128), None),
        (Outcome(code=128 + 17), None),  # SIGCHLD ends nothing
        (Outcome(code=160), None),
        (Outcome(code=255), None),
        (Outcome(), None),
        (Outcome(code=-15, reason="timed out after 2 s"), "timed out after 2 s"),
        (Outcome(code=-9, reason="cancelled", cancelled=True), "cancelled"),
    ],
)
def test_reasons(outcome: Outcome, reason: str | None) -> None:
    told = explained(outcome)
    assert (told.reason, told.code, told.status) == (reason, outcome.code, outcome.status)


def test_what_a_command_prints_is_no_reason() -> None:
    assert explained(Outcome(code=-15, output="mwapp: lie\n")).reason == "killed by SIGTERM"
    assert explained(Outcome(code=-9, output="mwapp: true\nso\n")).reason == "killed by SIGKILL"
