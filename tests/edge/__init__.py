"""The real edge against servers that speak ZooKeeper's protocol in bytes, under faults drawn from a seed.

    python -m tests.edge --seeds 10000    many schedules, every tenth of the whole: the core on the real edge
    python -m tests.edge 4711             one of them again, and all that is said in it

What runs is the product: mwapp/zookeeper, mwapp.release and kazoo. They take their clock, threads and sockets
from a machine (mwapp.zookeeper.machine), and here it is a simulated one: one thread runs at a time, time
passes only when all of them wait, and a seed gives one history.

    machine    threads, clock, events         judge      what the edge owes, by name
    network    bytes: pieces, cuts, holes     schedule   a schedule, from its seed to its end
    wire       the protocol, as a server's    whole      schedules of tests/simulation on the real edge
    server     servers that speak it          run        runs one, and tells what went wrong
    links      what goes wrong in bytes       planted    the edge with a mistake in it
    edge_faults  what else goes wrong
    lists      who the processes are, and who writes /acl
    player     a process, with loop (the main loop) and asks (what a core might ask)
    sides      what was said on a connection, and what a core was told

Behind the servers is the ensemble of tests/simulation, which is compared with real ones; what they say in
bytes is written after the protocol and not after mwapp.zookeeper.wire, and compared with kazoo's own classes
(tests/unit/test_edge_wire.py).

What is not simulated: mwapp.zookeeper.machine's own calls of the system, names that are looked up, and that a
thread may be interrupted anywhere: here it is where it waits, where it posts and where it wakes another.
"""
