"""How much is done at once: every such bound of the core, in one place.

A process carries its limits (``Process(limits)``), and its parts find them in their scope. The simulation
draws them from the seed, from 1 upwards, so that a handful of tasks takes every path for many.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of tasks, at least 1, unless it is said otherwise."""

    # The most in one transaction, and the most data: ZooKeeper takes no request larger than jute.maxbuffer (1
    # MiB - 1 by default).
    batch: int = 100
    batch_bytes: int = 512 * 1024
    # The most children of /tasks, including finished ones. Their names must fit into one reply, and a Java
    # client (zkCli.sh) has the same limit for replies.
    max_tasks: int = 40_000

    # A worker has as many tasks at hand, beyond those that it runs, as it ends in so many seconds; and it
    # hands back what waits if no run has begun for a multiple of that. Infinite: as many as it
    # takes, for as long as it takes. Seconds.
    at_hand: float = 0.2

    # The most numbers given. ZooKeeper counts in 31 bits, and then gives numbers twice; this is lower,
    # because many clients may check it at once.
    numbers: int = (1 << 31) - 1_000_000

    # How many the master reads at once; how many of the newest it reads first at a take-over.
    page: int = 100
    newest: int = 20

    # Up to how many are listed again at every change. Of more, the pause between two readings is at least
    # this for each, seconds.
    short_list: int = 1000
    listing: float = 5e-6

    # How many reads or cancel requests a client has under way at once, and how many submissions: a few
    # transactions, each of which costs the ensemble about as much as one with a single task.
    pipeline: int = 100
    submissions: int = 400

    # A client that waits watches this many, and every second more: watched_more, or watched_many_more if none
    # has ended meanwhile. It reads the others in pages, from the smallest to the largest.
    watched: int = 10
    watched_more: int = 200
    watched_many_more: int = 1000
    smallest_look: int = 4
    largest_look: int = 50


LIMITS = Limits()
