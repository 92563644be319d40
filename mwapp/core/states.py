"""The states of a part, or of a job, and its possible steps as a table, like h11's for HTTP."""

from collections.abc import Mapping

Transitions = Mapping[str, tuple[str, ...]]


class ImpossibleTransitionError(Exception):
    """A defect in the part. Its process must stop, or it would act on a state that it is not in."""


def step(transitions: Transitions, state: str, to: str) -> str:
    """The next state. Raises ImpossibleTransitionError if the table has no such step."""
    if to not in transitions[state]:
        raise ImpossibleTransitionError(f"from {state} to {to}")
    return to
