"""The way of a running ensemble between plaintext and TLS. Pure: configurations and phases in, phases out.

Servers that neighbour on this way understand each other, in the quorum and at the ports of clients:

    plain    no TLS
    accepts  accepts both, connects without; clients have both ports
    speaks   accepts both, connects with TLS; clients have both ports
    tls      TLS alone; the client port is left to programs on the host itself

No two of these rolls can be one: a server that speaks TLS is not understood by one that takes none, nor one
that takes TLS alone by one that speaks without. What clients need fits in, so that it takes no roll more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PHASES = PLAIN, ACCEPTS, SPEAKS, TLS = ("plain", "accepts", "speaks", "tls")
# In these clients can connect with TLS and without.
BOTH = (ACCEPTS, SPEAKS)


class TooFarApartError(Exception):
    """The running servers cannot talk to each other."""


def phase_of(config: Mapping[str, str], key_store: str) -> str:
    """How far a server with this zoo.cfg has come; the role's certificates are at ``key_store``."""
    if config.get("ssl.keyStore.location") != key_store:
        return PLAIN
    if config.get("portUnification") != "true":
        return TLS
    return SPEAKS if config.get("sslQuorum") == "true" else ACCEPTS


def way(running: Iterable[str], target: str, *, alone: bool = False) -> list[str]:
    """The phases to bring all servers to, one after the other; ``running`` are those of servers that run.

    The last is always the target. A single server (``alone``) has no quorum, and needs a step less.

    Raises:
        TooFarApartError: no way is safe.
    """
    places = sorted({PHASES.index(phase) for phase in running})
    if not places:
        return [target]
    first, last = places[0], places[-1]
    if last - first > 1 and not alone:
        raise TooFarApartError
    end = PHASES.index(target)
    up, down = range(min(first + 1, end), end + 1), range(max(last - 1, end), end - 1, -1)
    steps = up if end else down
    return [PHASES[step] for step in steps if not (alone and PHASES[step] == ACCEPTS)]


def asks_with_tls(running: Iterable[str], phase: str) -> bool:
    """Whether TLS is how to ask servers at one of these phases that are on the way to this one."""
    return TLS in {*running, phase}


def mismatch(phases: Mapping[str, str], target: str) -> str | None:
    """How servers run that are not what the inventory wants; None if all are."""
    what = {PLAIN: "has no TLS", TLS: "has TLS"}
    others: dict[str, list[str]] = {}
    for name, phase in sorted(phases.items()):
        if phase != target:
            others.setdefault(what.get(phase, "has come only a part of the way"), []).append(name)
    if not others:
        return None
    runs = " and ".join(f"what runs on {', '.join(names)} {how}" for how, names in others.items())
    return f"zookeeper_tls is {str(target == TLS).lower()}, but {runs}"
