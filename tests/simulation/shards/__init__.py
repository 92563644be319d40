"""Shards under faults drawn from a seed: the master's controller, holders, and simulated handlers.

    python -m tests.simulation.shards --seeds 1000     many schedules
    python -m tests.simulation.shards 4711             one of them again, with its trace
    python -m tests.simulation.shards 24 --bug fencing with a planted bug

World, ensemble, service, hosts and faults are those of tests/simulation.

    handlers   what a worker runs for its shards: they copy, write, release, hang and fail
    judge      what must hold, by name
    schedule   all of it, from a seed to its end
    bugs       planted ones, to test the judge
"""
