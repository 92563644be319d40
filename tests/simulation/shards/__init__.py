"""Shards under faults drawn from a seed: the master's controller, holders, and simulated handlers.

    python -m tests.simulation.shards --seeds 1000     many schedules
    python -m tests.simulation.shards 4711             one of them again, with its trace
    python -m tests.simulation.shards 24 --bug fencing with a planted bug

World, ensemble, service, hosts and faults are those of tests/simulation.

    handlers   what a worker runs for its shards: they copy, write, release, hang and fail
    clients    what people's programs ask for, and whether what they hear is so; past knows what was
    hands      a person who deletes, creates and sets any znode of theirs
    errors     what servers refuse
    judge      what must hold, by name
    schedule   all of it, from a seed to its end
    bugs       planted ones, to test the judge
"""
