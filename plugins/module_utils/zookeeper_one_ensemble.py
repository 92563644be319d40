"""Whether the data of several servers are one ensemble's; if not, what can be done that loses nothing.

Pure: what preflight found by server, and the lists of voters they go by, in; messages out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.refusal import RefusalError
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_history import (
    COUNTER,
    Trail,
    same_history,
    same_times,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import server_address

Voters = frozenset[int]
Holders = Mapping[int, Mapping[str, Any]]  # by id what was found on those that have data
Pairs = set[frozenset[int]]  # of servers
Places = Mapping[int, frozenset[str]]  # by id the names and addresses that its host has now


class DataAtStakeError(RefusalError):
    """What it advises moves, replaces or gives up data: that holds only if all members were looked at.

    ``harmless`` is what it says besides, and may be followed in any case.
    """

    def __init__(self, problem: str, advice: str, harmless: str = "") -> None:
        super().__init__(" ".join(filter(None, (problem, harmless, advice))))
        self.problem, self.advice, self.harmless = problem, advice, harmless

    def beside(self, unseen: list[str], gone: Mapping[int, str], dead: set[str], if_dead: str) -> str:
        """The message where these members could not be looked at, or (``gone``, by id at which address) were
        taken out of the group, and not all of them are declared ``dead``. ``if_dead``: what to do then.
        """
        if unseen:
            return (
                f"{self.problem} Move and restore nothing: {joined(unseen)} could not be looked at, and may "
                "have newer data, or be one of a quorum that serves. Make it reachable, and run without "
                "--limit."
            )
        left = {number: address for number, address in gone.items() if address not in dead}
        if not left or not self.advice:
            return str(self)
        where = joined([f"{number} on {address}" for number, address in sorted(left.items())])
        return " ".join(filter(None, (self.problem, self.harmless))) + (
            f" Move and restore nothing: the group lacks the members {where}, and their data may be newer. "
            "Put back into the group those of your ensemble, and run again. If they are dead and will never "
            f"run again, {if_dead}"
        )


def require_one_ensemble(
    holders: Holders, voters: Mapping[int, Voters], lost: Voters, places: Places
) -> None:
    """Data of different histories must not meet: ZooKeeper would mix them without a word."""
    trails = {number: _trail(found) for number, found in holders.items()}
    found = {pair: _same(*(holders[one] for one in pair)) for pair in combinations(sorted(holders), 2)}
    live = {frozenset(pair) for pair in permutations(holders, 2) if _follows(*pair, holders)}
    alike = {frozenset((a, b)) for (a, b), same in found.items() if same or b in _connected({a}, live)}
    for (a, b), same in found.items():
        if same is False:
            raise DataAtStakeError(
                f"The data of servers {a} and {b} have different transactions, so these servers must not "
                "form one ensemble. " + _all_ends(holders),
                *_remedy(a, b, holders, voters, alike, parted=True),
            )
        if holders[a]["configured"] and holders[b]["configured"]:
            _require_one_list(a, b, holders, voters, alike, lost, places)
    _require_no_stranger(holders, voters, alike, {number for number, trail in trails.items() if trail})


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Whether their data are of one history, by transactions, or else by what snapshots tell of some.

    A snapshot does not tell what was lost on the way to it. So it is no proof for data that would lead.
    """
    same = same_history(_trail(one), _trail(other), (_gap(one), _gap(other)))
    if same is None:
        same = same_times(_trail(one, "times"), _trail(other, "times"))
        older, newer = sorted((one, other), key=last_transaction)
        if not newer["trail"] and last_transaction(newer) > last_transaction(older):
            return None if same else same
    return same


def _trail(found: Mapping[str, Any], key: str = "trail") -> Trail:
    return {int(zxid, 16): number for zxid, number in found.get(key, {}).items()}


def _gap(found: Mapping[str, Any]) -> int:
    return int(found.get("gap") or "0x0", 16)


def _require_one_list(
    a: int,
    b: int,
    holders: Holders,
    voters: Mapping[int, Voters],
    alike: Pairs,
    lost: Voters,
    places: Places,
) -> None:
    mine, other = (
        {number: server_address(where)[0] for number, where in holders[one]["servers"].items()}
        for one in (a, b)
    )  # the ports may just be changing
    elsewhere = {a, b} not in alike and not _same_addresses(mine, other, places)
    # One that served alone wrote without counting an epoch: its history may fork from the other's unseen.
    alone = not mine or not other
    if elsewhere or alone or len((voters[a] ^ voters[b]) - lost) > 1:
        raise DataAtStakeError(
            f"Server {a} has data as a member of {numbers(voters[a])}, server {b} as a member of "
            f"{numbers(voters[b])}{' at other addresses' if elsewhere else ''}: that is not one ensemble's. "
            + _all_ends(holders),
            *_remedy(a, b, holders, voters, alike),
        )


def _follows(learner: int, leader: int, holders: Holders) -> bool:
    """Whether the two servers have a connection through which the one gets its data from the other: there is
    none at that port for anything else. Servers that only have snapshots have no other proof."""
    own = holders[leader]["servers"].get(str(leader))
    port = f":{server_address(own)[1]}" if own else None
    ends_there = {tuple(link) for link in holders[leader].get("links", [])}
    return any(
        port is not None and there.endswith(port) and (there, here) in ends_there
        for here, there in holders[learner].get("links", [])
    )


def _same_addresses(mine: Mapping[str, str], other: Mapping[str, str], places: Places) -> bool:
    """Whether two lists can be one ensemble's: apart from one member, which was replaced by another machine,
    those they share are at the same addresses, or at two of one host; and these are a majority of both."""
    common = mine.keys() & other.keys()
    moved = {
        number
        for number in common
        if mine[number] != other[number]
        and not {mine[number], other[number]} <= places.get(int(number), frozenset())
    }
    return not moved or (len(moved) == 1 and 2 * len(common - moved) > max(len(mine), len(other)))


def _require_no_stranger(
    holders: Holders, voters: Mapping[int, Voters], alike: Pairs, logged: set[int]
) -> None:
    """Transactions that others have, too, must tell where data belong, if no zoo.cfg does, or if they are the
    newest: whoever starts with them may lead. ``logged``: who has transactions, not just a snapshot."""
    apart = _apart(holders, voters, alike, logged)
    ours = {number for number, found in holders.items() if found["configured"]} - apart
    ours = _connected(ours or set(by_age(holders)[:1]), alike)
    for stranger in sorted(holders.keys() - ours):
        newest = next(number for number in by_age(holders) if number in ours)
        how = "the newest of all, but" if holders[stranger]["configured"] else "but no zoo.cfg, and"
        raise DataAtStakeError(
            f"Server {stranger} has data, {how} none of its last transactions is one of server "
            f"{numbers(ours)}: they may be another ensemble's. " + _all_ends(holders),
            *_remedy(newest, stranger, holders, voters, alike),
        )


def _apart(holders: Holders, voters: Mapping[int, Voters], alike: Pairs, logged: set[int]) -> set[int]:
    """Those with the newest data, if they are yet to start with them, are no majority, and have nothing in
    common with others, though these have transactions. (A snapshot of an epoch that just began has none.)"""
    zxids = _zxids(holders)
    newest = by_age(holders)[0]
    theirs = _connected({newest}, alike)
    others = holders.keys() - theirs
    tells = (newest in logged or zxids[newest] & COUNTER) and logged & others
    fewer = len(theirs & voters[newest]) < majority(voters[newest])
    waits = not any(holders[one]["unit"]["running"] for one in theirs)
    newer = all(zxids[one] < zxids[newest] for one in others)
    return theirs if tells and fewer and waits and newer else set()


def _connected(some: set[int], alike: Pairs) -> set[int]:
    """These, and those whose data are of the same history, by way of others, too."""
    while more := {one for pair in alike if pair & some for one in pair - some}:
        some = some | more
    return some


def _remedy(
    a: int,
    b: int,
    holders: Holders,
    voters: Mapping[int, Voters],
    alike: Pairs,
    *,
    parted: bool = False,
) -> tuple[str, str]:
    """What can be done that loses nothing: the newest data stay, and so does a quorum that serves.

    First what costs something if others have newer data, then what does not.
    """
    zxids = _zxids(holders)
    needed = _needed(holders, voters)
    whole = _majorities(holders, voters, alike)
    damaged = _damaged(holders)
    kept = max(zxids, key=lambda one: (zxids[one], one in needed, any(one in group for group in whole), -one))
    # Nobody knows whose data are right, if the newest are none of those that a majority has.
    needed = needed.union(*(group for group in whole if kept not in group))
    text = "If they are two ensembles, take the hosts of one out of the group `zookeeper`."
    spare = [number for number in (b, a) if number != kept and number not in needed]
    if damaged:
        text += " Discard no data, for nobody knows whose are the newest."
        return _keep(damaged, holders), text
    if not spare:
        text += f" Discard no data: server {kept} has the newest, and the others are needed for the quorum."
        return _other_way(kept if kept not in needed else None), text
    one = "If they are one"
    if parted:
        one += " that went two ways, as when a copy serves by itself"
    having = voters[kept] & holders.keys()
    few = len(having - {spare[0]}) < majority(voters[kept]) <= len(having)
    # Nobody serves who would lose what they have; and transactions show that they are one then.
    if few and needed <= {kept} and holders[kept]["trail"]:
        return (
            f"{one}, server {kept} has the newest data, and without those of server {spare[0]} too few "
            f"voters have any: keep a copy of each, and restore the data of server {kept} on all "
            "(docs/operations.md, 'Back up and restore').",
            text,
        )
    return (
        f"{one}, server {kept} has the newest data: keep those. Stop server {spare[0]}, move the "
        "contents of its zookeeper_data_dir and zookeeper_txnlog_dir to another place (do not delete "
        "them), and run again: it is then sent the others' data.",
        text,
    )


def _other_way(one: int | None) -> str:
    """Where the newest data, of this server, stand against a majority that has one history."""
    if one is None:
        return ""
    return (
        f"If server {one} has another ensemble's disk, give it back its own. If the others have copies of "
        f"an earlier day, restore the data of server {one} on all (docs/operations.md, 'Back up and "
        "restore')."
    )


def _needed(holders: Holders, voters: Mapping[int, Voters]) -> set[int]:
    """Those that may be a quorum which serves: of some voters enough run. They go by these voters, or by a
    list that differs in one server, which is on its way to vote or no longer does. Who of them really
    belongs to it is not known: where just enough serve, one more may be another ensemble's. One that serves
    alone votes in no other quorum.
    """
    running = {number for number, found in holders.items() if found["unit"]["running"]}
    needed: set[int] = set()
    for mine in {voters[number] for number in running}:
        group = {one for one in running & mine if len(voters[one] ^ mine) <= (len(voters[one]) > 1)}
        needed |= group if len(group) >= majority(mine) else set()
    return needed


def _majorities(holders: Holders, voters: Mapping[int, Voters], alike: Pairs) -> list[set[int]]:
    """Those that together have all that their ensemble acknowledged: a majority of it, with one history."""
    found = []
    for number in holders:
        voting = voters[number] & holders.keys()
        group = {one for one in voting if one == number or frozenset((one, number)) in alike}
        if len(group) > 1 and len(group) >= majority(voters[number]):
            found.append(group)
    return found


def _zxids(holders: Holders) -> dict[int, int]:
    return {number: int(found["last_zxid"] or "0x0", 16) for number, found in holders.items()}


def last_transaction(found: Mapping[str, Any]) -> int:
    """As far as is known: where an epoch just began, a snapshot is named by its zxid, which is none."""
    last = int(found["last_zxid"] or "0x0", 16)
    return last if last & COUNTER else max(_trail(found) or _trail(found, "times"), default=0)


def ends(holders: Holders) -> str:
    """How far each one's data go."""
    return "; ".join(f"server {number}: {_end(found)}" for number, found in sorted(holders.items()))


def _all_ends(holders: Holders) -> str:
    return f"The last zxid of each is {ends(holders)}."


def _end(found: Mapping[str, Any]) -> str:
    zxid = int(found["last_zxid"] or "0x0", 16)
    text = f"{zxid:#x}, epoch {zxid >> 32}"
    damaged = found.get("damaged")
    return f"at least {text}, its log {damaged} is damaged" if damaged else text


def require_known_ends(holders: Holders, concerned: Voters) -> None:
    """Where it matters whose data are the newest, a damaged log may not be taken for a short one."""
    damaged = {number: path for number, path in _damaged(holders).items() if number in concerned}
    if damaged and len(holders) > 1:
        raise DataAtStakeError(
            "The role cannot tell which server has the newest data, and that server must lead. "
            + _all_ends(holders),
            _keep(damaged, holders),
        )


def _damaged(holders: Holders) -> dict[int, str]:
    return {number: found["damaged"] for number, found in sorted(holders.items()) if found.get("damaged")}


def _keep(damaged: Mapping[int, str], holders: Holders) -> str:
    """What to do about the first of these logs, and what is lost if nothing can be done."""
    number, path = next(iter(damaged.items()))
    zxids = _zxids(holders)
    whole = [one for one in by_age(holders) if one not in _damaged(holders)]
    text = f"Keep the file {path} of server {number}: it may have writes that nobody else has. "
    backup = "of this server's data"
    if not whole or zxids[number] > zxids[whole[0]]:
        backup = "that is newer"
        text += "What can be read of it is newer than all other data, so do not send this server another's. "
    text += (
        "Repair a copy of it (docs/operations.md, 'A damaged log'), keep the file itself elsewhere, and put "
        f"the copy in its place; or restore a backup {backup}. "
    )
    if not whole:
        return f"{text}Then run again."
    return (
        f"{text}Then run again. If neither can be, all writes after {zxids[whole[0]]:#x} (server {whole[0]}) "
        "that only this log has are lost: to go on without them, move the contents of its zookeeper_data_dir "
        "and zookeeper_txnlog_dir to another place (do not delete them), or take its host out of the group, "
        "and run again."
    )


def by_age(holders: Holders) -> list[int]:
    """The newest data first."""
    zxids = _zxids(holders)
    return sorted(zxids, key=lambda number: (-zxids[number], number))


def voters_of(number: int, found: Mapping[str, Any]) -> Voters:
    """Those a server goes by: itself alone, if its configuration names nobody."""
    listed = {int(one) for one, where in found["servers"].items() if not where.endswith(":observer")}
    return frozenset(listed or {number})


def majority(voters: Voters) -> int:
    return len(voters) // 2 + 1


def numbers(ids: frozenset[int] | set[int]) -> str:
    """As messages name them."""
    return joined([str(number) for number in sorted(ids)])


def joined(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
