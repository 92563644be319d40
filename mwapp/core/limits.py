"""How much is done at once: every such bound of the core, in one place.

A process carries its limits (``Process(limits)``), and its parts find them in their scope. The simulation
draws them from the seed, from 1 upwards, so that a handful of tasks walks every path that is there for many.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of tasks unless the name says otherwise. All are at least 1."""

    # One transaction takes so many, and so much of their data: ZooKeeper takes no request of more than
    # jute.maxbuffer (1 MiB - 1 by default).
    batch: int = 100
    batch_bytes: int = 512 * 1024
    # /tasks has at most so many children, finished ones included: their names must fit into one reply, which
    # a Java client (zkCli.sh) takes only up to the same limit.
    max_tasks: int = 40_000

    # So many are numbered, for ZooKeeper counts in 31 bits and then begins to give numbers twice: some fewer,
    # for many clients may look at once how far it is.
    numbers: int = (1 << 31) - 1_000_000

    # The master reads so many at once; at a take-over so many of the newest first; and it lists up to so many
    # anew at every change.
    page: int = 100
    newest: int = 20
    short_list: int = 1000

    # A client has so many reads or cancel requests under way at once, and so many submissions: a few
    # transactions, each of which costs the ensemble about as much as one with a single task.
    pipeline: int = 100
    submissions: int = 400

    # Who waits watches so many, and more every second: watched_more, or watched_many_more if none has ended
    # meanwhile. It looks at the others in pages, from the smallest to the largest.
    watched: int = 10
    watched_more: int = 200
    watched_many_more: int = 1000
    smallest_look: int = 4
    largest_look: int = 50


LIMITS = Limits()
