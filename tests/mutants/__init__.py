"""Mutants: realistic one-line mistakes, each of which some test must notice.

    python -m tests.mutants                   all of them, and how many were noticed
    python -m tests.mutants --only _assign    those whose area, file, place, text or reason has this in it

    mutant    one of them, and the file with it      areas/    the lists, and what is to notice them
    killers   commands that must fail with it        copies    a copy of the tree to try one in
    run       all of a list, several at a time

The lists are written by hand. A tool that makes mutants (mutmut, cosmic-ray) makes thousands of them, most of
which nobody would write by mistake, and one in five changes nothing; to tell which takes a reader for each.
And it knows one kind of test, where half of ours is a simulation that runs for as long as one lets it. What
a reader has chosen says something: a dropped check of a transaction, a condition the wrong way round, a watch
that is missing, what is stale and was not cleared. A mutant that changes nothing anybody can see is listed
with its reason; ``--equivalent`` tries these, too, and they must live.

Not part of ``make test``: it takes an hour or two. That every entry still applies is (tests/unit).
"""
