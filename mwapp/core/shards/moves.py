"""What a person asks for in ``/moves``: who is to have the shard then, or why it cannot be."""

from collections.abc import Callable, Mapping, Sequence

from mwapp.core.shards.protocol import Record


class CannotMoveError(Exception):
    """The message says why."""


def target(
    record: Record,
    names: Sequence[str],
    there: Mapping[str, str],
    workers: Mapping[str, str],
    why_not: Callable[[str], str],
) -> tuple[str, ...]:
    """The workers that a person names first, then others that have it already. Raises CannotMoveError.

    Those that a person names must be ``there``; ``why_not`` says what somebody is who is not. The others are
    ``workers``, those of the plan: it counts who was lost a moment ago as there, so if such a one were left
    out and came back, nobody would plan again. Both with their values of the label.
    """
    if record.target == ():
        raise CannotMoveError("the table is being deleted")
    if not names:
        raise CannotMoveError("it names no worker")
    if len(set(names)) < len(names):
        raise CannotMoveError("it names a worker twice")
    for name in names:
        if name not in there:
            raise CannotMoveError(f"{name} {why_not(name)}")
    number = max(1, len(record.wanted))
    chosen = list(names[:number])
    rest = [name for name in record.wanted if name in workers and name not in chosen]
    rest.sort(key=lambda name: name not in there)
    while rest and len(chosen) < number:  # first those with other values of the label
        taken = {workers[name] for name in chosen} - {""}
        rest.sort(key=lambda name: workers[name] in taken)
        chosen.append(rest.pop(0))
    distinct = len({workers[name] or name for name in chosen})
    before = len({workers.get(name) or name for name in record.wanted})
    if distinct < min(len(chosen), before):
        raise CannotMoveError(f"{' '.join(chosen)} have the same value of the label that replicas differ in")
    return tuple(chosen)
