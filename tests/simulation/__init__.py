"""The deterministic core on a simulated ensemble, under faults drawn from a seed.

    python -m tests.simulation --seeds 10000     many schedules
    python -m tests.simulation 4711              one of them again, with its trace and the core's log
    python -m tests.simulation 24 --bug fencing  with a planted bug

    world      time and chance                     edge, host  a process: session, timers, crashes
    clock      of a host: it drifts, and sleeps    runner      what it runs: it takes time to begin and to end
    tree       znodes and transactions             people      somebody at zkCli.sh
    ensemble   servers, sessions, watches          faults      what goes wrong
    service    connections, expiry, lag            judge       what must hold, by name
    schedule   all of it, from a seed to its end   attempts    what it counts of them
    past       what is left of what was committed  excuses     what people may break
    limits     how much is done at once, drawn     bugs        planted ones, to test the judge
    hands      what a person does to any znode     excuses     what that explains, and for whom
    errors     what servers refuse, and when       denials     how they do
    server_faults  what goes wrong with servers         depositions  of silent masters: when, and how often

``ensemble`` and ``tree`` are compared with real servers by tests/integration/test_sim_matches_server.py.
"""
