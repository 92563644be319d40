"""The states of a part, and where it may go from each: a table, as h11 has it for HTTP."""

from collections.abc import Mapping

Transitions = Mapping[str, tuple[str, ...]]


class ImpossibleTransitionError(Exception):
    """A mistake in the part. Its process must not go on: it would act on a state that it is not in."""


def step(transitions: Transitions, state: str, to: str) -> str:
    """The next state. Raises ImpossibleTransitionError if the table has no such step."""
    if to not in transitions[state]:
        raise ImpossibleTransitionError(f"from {state} to {to}")
    return to
