"""What ZooKeeper servers say of themselves, and what that makes of the ensemble.

Everything but `look` and `ask` is pure: texts and states in, judgements out.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.zklab.zookeeper.plugins.module_utils.host_port import host_port
from ansible_collections.zklab.zookeeper.plugins.module_utils.within import Within
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import server_address

MAX_ANSWER = 1 << 20  # an answer longer than this does not come from ZooKeeper
# Releases before this may lose acknowledged writes, unless who joins gets a snapshot (README of the role).
KEEPS_WRITES = (3, 9, 4)
CLOCK_SECONDS = 900  # with TLS more is refused (tls_certificates)
NOT_SERVING = "is not currently serving requests"

_VERSION = re.compile(r"^Zookeeper version: (\d+\.\d+\.\d+)", re.MULTILINE)
_MODE = re.compile(r"^Mode: (leader|follower|observer|standalone)\s*$", re.MULTILINE)
_ZXID = re.compile(r"^Zxid: (0x[0-9a-f]+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Member:
    """One expected server: its inventory name, where its clients reach it, whether it only observes."""

    name: str
    host: str
    port: int
    observer: bool = False


@dataclass(frozen=True)
class State:
    """What one server said.

    ``mode`` is leader, follower, observer, standalone, or None for a server that serves nobody.
    The counts are known of a leader only: ``synced_followers`` of the voters it knows, ``synced_others`` of
    observers and of followers it does not count. ``error`` says why a server did not answer.
    """

    reachable: bool
    mode: str | None = None
    version: str | None = None
    zxid: str | None = None
    synced_followers: int | None = None
    synced_others: int = 0
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
            else "it closed the connection without an answer",
        )
    version = _VERSION.search(srvr)
    zxid = _ZXID.search(srvr)
    followers = _number(mntr, "zk_synced_followers")
    uncounted = _number(mntr, "zk_synced_non_voting_followers") or 0
    return State(
        reachable=True,
        mode=mode[1],
        version=version[1] if version else None,
        zxid=zxid[1] if zxid else None,
        synced_followers=None if followers is None else followers - uncounted,
        synced_others=uncounted + (_number(mntr, "zk_synced_observers") or 0),
    )


def _number(mntr: str, key: str) -> int | None:
    """A number of ``mntr``; some versions write counts as decimal fractions."""
    found = re.search(rf"^{key}\s+(\d+)(?:\.\d+)?\s*$", mntr, re.MULTILINE)
    return int(found[1]) if found else None


def judge(members: list[Member], states: dict[str, State]) -> list[Problem]:
    """Why the ensemble is not healthy; empty if it is.

    Healthy: every expected member serves as what it should be, exactly one leads, and all others are in sync
    with it. Observers do not make a quorum, but a change that broke one would break the next server, too.
    """
    size = len(members)
    problems = [
        problem for member in members if (problem := _member_problem(member, states[member.name], size))
    ]
    if size == 1:
        return problems
    leaders = [member.name for member in members if states[member.name].mode == "leader"]
    if len(leaders) != 1:
        return problems + _leader_problems(leaders)
    observers = sum(member.observer for member in members)
    leader, wanted = states[leaders[0]], size - observers - 1
    if leader.synced_followers is None:
        text = f"the leader {leaders[0]} does not tell how many followers are in sync"
        problems.append(Problem(text, leaders[0]))
    elif leader.synced_followers != wanted:
        text = f"the leader {leaders[0]} has {leader.synced_followers} followers in sync, not {wanted}"
        problems.append(Problem(text))
    elif leader.synced_others < observers:
        text = f"the leader {leaders[0]} has {leader.synced_others} observers in sync, not {observers}"
        problems.append(Problem(text))
    return problems


def judge_change(members: list[Member], states: dict[str, State], pending: set[str]) -> list[Problem]:
    """The same while the voters change, when some members (``pending``) go by the old list of voters.

    They still serve as what they were; or wait for their restart, once a server leads that is not on their
    list. So do those that have the new list, while one leads that only observes by it. Among one or two
    voters, one that has the new list may have to wait until all have it, too: to come in it needs the word of
    a majority besides itself.
    """
    leaders = [member.name for member in members if states[member.name].mode == "leader"]
    few = sum(not member.observer for member in members) <= 2
    demoted = any(member.observer for member in members if member.name in leaders and member.name in pending)
    problems: list[Problem] = []
    for member in members:
        state, due = states[member.name], member.name in pending
        waits = state.reachable and state.mode is None
        may_wait = few or (leaders and leaders[0] not in pending if due else demoted)
        if not (waits and may_wait):
            problems += filter(None, [_member_problem(member, state, len(members), what_it_was=due)])
    if few:
        return problems
    if len(leaders) != 1:
        problems += _leader_problems(leaders)
        if not leaders and any(states[member.name].mode == "follower" for member in members):
            text = (
                "they follow a server that is not in the group any more: restart it (systemctl restart "
                "zookeeper, there), so that another leads, and run again"
            )
            problems.append(Problem(text))
        return problems
    leader, serving = states[leaders[0]], sum(states[member.name].mode is not None for member in members)
    synced = (leader.synced_followers or 0) + leader.synced_others
    if synced < serving - 1:
        problems.append(Problem(f"the leader {leaders[0]} has {synced} others in sync, not {serving - 1}"))
    return problems


def _leader_problems(leaders: list[str]) -> list[Problem]:
    if not leaders:
        return [Problem("no server leads")]
    return [Problem(f"{name} claims to lead, as does another", name) for name in leaders]


def _member_problem(member: Member, state: State, size: int, *, what_it_was: bool = False) -> Problem | None:
    name = member.name
    where = host_port(member.host, member.port)
    if not state.reachable:
        return Problem(f"{name} does not answer at {where}: {state.error}", name)
    if state.mode is None:
        return Problem(f"{name} runs at {where} but serves no clients: it has not joined a quorum", name)
    if what_it_was:
        return None
    if size == 1 and state.mode != "standalone":
        return Problem(f"{name} is a {state.mode}, but the group has no other host", name)
    if size > 1 and state.mode == "standalone":
        return Problem(f"{name} runs alone: its configuration names no other server", name)
    if state.mode == "observer" and not member.observer:
        return Problem(f"{name} only observes, where a voting member is expected", name)
    if state.mode != "observer" and member.observer:
        return Problem(f"{name} is a {state.mode}, where an observer is expected", name)
    return None


def losing(versions: dict[str, str | None], *, snapshots: bool) -> list[str]:
    """Of servers by their versions: which may lose acknowledged writes, and the remedy."""
    found: dict[str, list[str]] = {}
    for name, version in sorted(versions.items()):
        if not version or len(versions) < 2 or snapshots:
            continue
        if tuple(map(int, version.split("."))) < KEEPS_WRITES:
            found.setdefault(version, []).append(name)
    return [
        f"{', '.join(names)}: ZooKeeper {version} may lose acknowledged writes if a leader dies under load "
        "and comes back. Install 3.9.4 or newer (zookeeper_install_from: archive), or set zookeeper_config: "
        "{forceSnapshotSync: true}; 'Which version to choose' in the README of the role zookeeper has more."
        for version, names in found.items()
    ]


# Of an ensemble without TLS whose inventory does not say that this is meant.
UNSAID = (
    "zookeeper_tls is not in the inventory, so servers have no TLS: whoever reaches a client port may read "
    "and change everything, and run commands on the workers. Set it to true and run playbooks/tls.yml, which "
    "switches a running ensemble while clients write; or to false, if you trust all who are on the network."
)


def clocks_apart(clocks: Mapping[str, float]) -> list[str]:
    """Of hosts by the time there: whose clock is far from the others', and what that spoils."""
    order = sorted(clocks, key=lambda name: (clocks[name], name))
    middle = order[(len(order) - 1) // 2] if order else ""
    off = {name: clocks[name] - clocks[middle] for name in sorted(clocks)}
    agree = [name for name, seconds in off.items() if abs(seconds) <= CLOCK_SECONDS]
    if order and 2 * len(agree) <= len(order):  # nobody knows who is right
        hours = (clocks[order[-1]] - clocks[order[0]]) / 3600
        return [
            f"The clocks of {order[0]} and {order[-1]} differ by {hours:.1f} h: find out which is wrong, and "
            "correct that one (timedatectl). No data depend on it, but packages, certificates, logs do."
        ]
    return [
        f"The clock of {name} is {abs(seconds) / 3600:.1f} h {'ahead of' if seconds > 0 else 'behind'} that "
        f"of {middle}: correct it (timedatectl). No data depend on it, but packages, certificates, logs do."
        for name, seconds in off.items()
        if abs(seconds) > CLOCK_SECONDS
    ]


def look(member: Member, timeout: float, tls: ssl.SSLContext | None = None) -> State:
    """Ask one server. Never raises: what went wrong is in ``State.error``."""
    try:
        srvr = ask(member, "srvr", timeout, tls)
        leads = parse(srvr).mode == "leader"
        return parse(srvr, ask(member, "mntr", timeout, tls) if leads else "")
    except TimeoutError:
        return State(reachable=False, error=f"no answer within {timeout:g} s")
    except OSError as error:
        return State(reachable=False, error=reason(error))


def reason(error: OSError) -> str:
    """Why a server could not be asked, in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS is possible with it: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return error.strerror or str(error)


def tls_context(tls: Mapping[str, str] | None) -> ssl.SSLContext | None:
    """How to ask with TLS: only servers of this ``ca``, as a client with this ``certificate`` (and key).

    Raises OSError, which names the file.
    """
    if not tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks host names
    for key, load in (("ca", context.load_verify_locations), ("certificate", context.load_cert_chain)):
        try:
            load(tls[key])
        except OSError as error:
            raise OSError(f"{tls[key]} cannot be used: {error.strerror or error}") from error
    return context


def ask(member: Member, word: str, timeout: float, tls: ssl.SSLContext | None = None) -> str:
    """The answer to a four-letter word, which is to have ended after so many seconds.

    Raises OSError, and TimeoutError.
    """
    end = time.monotonic() + timeout
    try:
        connection = socket.create_connection((member.host, member.port), timeout=timeout)
    except UnicodeError as error:  # of "zk1..example.org", say
        raise OSError(f"{member.host} cannot be the name of a host") from error
    # If the handshake fails, wrap_socket closes it.
    with tls.wrap_socket(connection, server_hostname=member.host) if tls else connection as connection:
        connection.sendall(word.encode())
        with io.BufferedReader(Within(connection, end - time.monotonic())) as said:
            return said.read(MAX_ANSWER).decode(errors="replace")


def still_running(gone: dict[str, str], timeout: float = 2) -> list[str]:
    """Which of these members take part in elections, as far as can be seen from here."""
    found = []
    for number, line in gone.items():
        host, _quorum_port, election_port = server_address(line)
        try:
            socket.create_connection((host, election_port), timeout).close()
        except (OSError, ValueError):  # of "zk1..example.org", say
            continue
        found.append(f"{number} on {host}")
    return found
