"""What ZooKeeper servers say of themselves, and what that makes of the ensemble.

Everything but `look` and `ask` is pure: texts and states in, judgements out.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

MAX_ANSWER = 1 << 20  # an answer longer than this does not come from ZooKeeper
NOT_SERVING = "is not currently serving requests"

_VERSION = re.compile(r"^Zookeeper version: (\d+\.\d+\.\d+)", re.MULTILINE)
_MODE = re.compile(r"^Mode: (leader|follower|observer|standalone)\s*$", re.MULTILINE)
_ZXID = re.compile(r"^Zxid: (0x[0-9a-f]+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Member:
    """One expected server: its inventory name and where its clients reach it."""

    name: str
    host: str
    port: int


@dataclass(frozen=True)
class State:
    """What one server said.

    ``mode`` is leader, follower, observer, standalone, or None for a server that serves nobody.
    ``synced_followers`` is known of a leader only. ``error`` says why a server did not answer.
    """

    reachable: bool
    mode: str | None = None
    version: str | None = None
    zxid: str | None = None
    synced_followers: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Problem:
    """Why the ensemble is not healthy, and the member to look at (None: all of them)."""

    text: str
    member: str | None = None


def parse(srvr: str, mntr: str = "") -> State:
    """Read the answers to ``srvr`` and, of a leader, ``mntr``."""
    mode = _MODE.search(srvr)
    if mode is None:
        if NOT_SERVING in srvr:
            return State(reachable=True)
        start = " ".join(srvr.split())[:60]
        return State(
            reachable=False,
            error=f"something that is not ZooKeeper answers: {start!r}"
            if start
            else "it hung up without a word",
        )
    version = _VERSION.search(srvr)
    zxid = _ZXID.search(srvr)
    return State(
        reachable=True,
        mode=mode[1],
        version=version[1] if version else None,
        zxid=zxid[1] if zxid else None,
        synced_followers=_number(mntr, "zk_synced_followers"),
    )


def _number(mntr: str, key: str) -> int | None:
    """A number of ``mntr``; some versions write counts as decimal fractions."""
    found = re.search(rf"^{key}\s+(\d+)(?:\.\d+)?\s*$", mntr, re.MULTILINE)
    return int(found[1]) if found else None


def judge(members: list[Member], states: dict[str, State]) -> list[Problem]:
    """Why the ensemble is not healthy; empty if it is.

    Healthy: every expected member serves, exactly one leads, and all others are in sync with it.
    """
    problems = [problem for member in members if (problem := _member_problem(member, states, len(members)))]
    if len(members) == 1:
        return problems
    leaders = [member.name for member in members if states[member.name].mode == "leader"]
    if not leaders:
        problems.append(Problem("no server leads"))
    elif len(leaders) > 1:
        problems += [Problem(f"{name} claims to lead, as does another", name) for name in leaders]
    else:
        synced, wanted = states[leaders[0]].synced_followers, len(members) - 1
        if synced is None:
            problems.append(
                Problem(f"the leader {leaders[0]} does not tell how many followers are in sync", leaders[0])
            )
        elif synced != wanted:
            problems.append(Problem(f"the leader {leaders[0]} has {synced} followers in sync, not {wanted}"))
    return problems


def _member_problem(member: Member, states: dict[str, State], size: int) -> Problem | None:
    state, name = states[member.name], member.name
    where = f"{member.host}:{member.port}"
    if not state.reachable:
        return Problem(f"{name} does not answer at {where}: {state.error}", name)
    if state.mode is None:
        return Problem(f"{name} runs at {where} but serves nobody: it has not joined a quorum", name)
    if size == 1 and state.mode != "standalone":
        return Problem(f"{name} is a {state.mode}, though the only host of the group", name)
    if size > 1 and state.mode == "standalone":
        return Problem(f"{name} runs alone: its configuration names no other server", name)
    if state.mode == "observer":
        return Problem(f"{name} only observes, where a voting member is expected", name)
    return None


def rolling(members: list[Member], states: dict[str, State], pending: set[str]) -> list[str]:
    """The order in which serving servers are restarted: the leader last, so that one election is enough."""
    names = [member.name for member in members if member.name in pending and states[member.name].mode]
    return sorted(names, key=lambda name: states[name].mode in ("leader", "standalone"))


def idle(members: list[Member], states: dict[str, State], pending: set[str]) -> list[str]:
    """Servers that say they serve nobody: restarting them takes nothing from the quorum.

    One that cannot be reached is not among them: it may well serve others.
    """
    return [
        member.name
        for member in members
        if member.name in pending and states[member.name].reachable and states[member.name].mode is None
    ]


def look(member: Member, timeout: float) -> State:
    """Ask one server. Never raises: what went wrong is in ``State.error``."""
    try:
        srvr = ask(member, "srvr", timeout)
        leads = parse(srvr).mode == "leader"
        return parse(srvr, ask(member, "mntr", timeout) if leads else "")
    except TimeoutError:
        return State(reachable=False, error=f"no answer within {timeout:g} s")
    except OSError as error:
        return State(reachable=False, error=error.strerror or str(error))


def ask(member: Member, word: str, timeout: float) -> str:
    """The answer to a four-letter word. Raises OSError, TimeoutError after so many seconds of silence."""
    with socket.create_connection((member.host, member.port), timeout=timeout) as connection:
        connection.sendall(word.encode())
        answer = b""
        while len(answer) < MAX_ANSWER and (part := connection.recv(65536)):
            answer += part
    return answer.decode(errors="replace")
