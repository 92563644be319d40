"""Jinja filter: the way from the members an ensemble has to those the inventory names, or why not.

ZooKeeper's static configuration knows no protocol for that, so the safety is in the order. Each server goes
by the voters in its own zoo.cfg. Nothing acknowledged is lost as long as any majority of any list of voters
in use meets any majority of any other, and that is so of two lists that differ in one server. Hence one voter
comes or goes at a time, and all servers know of it before the next does. Who comes observes first: it votes
when it has the data. A server without data has no vote anyway (db.autocreate=false) until it was sent them.

Data whose zoo.cfg is gone, as after their host was installed anew, are known by their transactions. They may
be a copy of an earlier day, and then not every majority is safe: those with the newest start first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_history import Trail, same_history

Member = Mapping[str, Any]
Voters = frozenset[int]


class RefusalError(Exception):
    """Why there is no way, and the remedy."""


def zookeeper_voter_stages(
    members: list[Member], seen: Mapping[str, Mapping[str, Any]], play_hosts: list[str]
) -> dict[str, Any]:
    """Plan the stages of a run.

    Args:
        members: all of the group, each with name, id, observer; ids are known to be sound.
        seen: by name what zookeeper_preflight returned of each host that could be looked at.
        play_hosts: names of the hosts this run may change (with --limit not all).

    Returns:
        problems: reasons to refuse; if there are any, stages is empty.
        new: whether this is the first start of an ensemble.
        gone: by id (as text) where servers are that belonged to the ensemble and are not in the group.
        stages: what to bring about, one after the other, the last being what the inventory says. Each has
        members (with ``observer`` as it is in that stage), hosts (names of those to change), asked (those
        members that must be healthy then), changing (whether servers with different lists of voters meet),
        label.
    """
    try:
        return {"problems": [], **_plan(members, seen, play_hosts)}
    except RefusalError as error:
        return {"problems": [str(error)], "new": False, "gone": {}, "stages": []}


def _plan(
    members: list[Member], seen: Mapping[str, Mapping[str, Any]], play_hosts: list[str]
) -> dict[str, Any]:
    ids = {str(m["name"]): int(str(m["id"])) for m in members}
    target = frozenset(ids[m["name"]] for m in members if not m["observer"])
    left_out = [name for name in ids if name not in play_hosts]
    unseen = [name for name in ids if "servers" not in seen.get(name, {})]
    if not target:
        raise RefusalError(
            "zookeeper_observer is set for all hosts of the group `zookeeper`, and observers cannot elect a "
            "leader: leave it unset for one host, or better for three."
        )
    holders = {ids[name]: seen[name] for name in ids if name not in unseen and seen[name]["data"]}
    if not holders:
        if unseen:
            raise RefusalError(
                f"No host that could be looked at has data, and {_and(unseen)} could not: whether a new "
                "ensemble is due cannot be told. Bring it back, or run without --limit."
            )
        if left_out:
            raise RefusalError(
                f"The ensemble is new, and --limit leaves out {_and(left_out)}: its first start needs all "
                "members. Run once without --limit."
            )
        return {"new": True, "gone": {}, "stages": [_stage(members, ids, target, list(ids), False)]}

    voters = _lists(holders, target)
    _require_one_ensemble(holders, voters)
    now = _nearest(voters.values(), target)
    whole = all(one == now for one in voters.values())
    addresses: dict[str, str] = {}
    for found in holders.values():
        addresses |= found["servers"]
    known = {str(number) for number in ids.values()}
    gone = {number: where for number, where in addresses.items() if number not in known}
    trusted = {ids[name] for name in ids if name in unseen or seen[name]["data"] or seen[name]["marker"]}
    _require_data(now, target, trusted)
    first = _newest_first(members, ids, holders, now)
    if whole and now == target:
        return {
            "new": False,
            "gone": gone,
            "stages": [*first, _stage(members, ids, target, list(ids), False)],
        }
    if left_out:
        raise RefusalError(
            f"The voters change from {_ids(now)} to {_ids(target)}, and --limit leaves out {_and(left_out)}: "
            "all members must learn of it. Run without --limit."
        )
    return {"new": False, "gone": gone, "stages": first + _stages(members, ids, seen, now, whole, target)}


def _nearest(lists: Iterable[Voters], target: Voters) -> Voters:
    """After a run that was cut short there are two lists: what is nearer to the goal is finished first."""
    return min(lists, key=lambda one: (len(one ^ target), sorted(one)), default=target)


def _lists(holders: Mapping[int, Mapping[str, Any]], target: Voters) -> dict[int, Voters]:
    """The voters each server goes by: without a zoo.cfg those that others know, or else the inventory."""
    known = {number: _voters(number, found) for number, found in holders.items() if found["configured"]}
    return dict.fromkeys(holders, _nearest(known.values(), target)) | known


def _voters(number: int, found: Mapping[str, Any]) -> Voters:
    """Those a server goes by: itself alone, if its configuration names nobody."""
    listed = {int(one) for one, where in found["servers"].items() if not where.endswith(":observer")}
    return frozenset(listed or {number})


def _require_one_ensemble(holders: Mapping[int, Mapping[str, Any]], voters: Mapping[int, Voters]) -> None:
    """Data of different histories must not meet: ZooKeeper would mix them without a word."""
    trails = {number: _trail(found) for number, found in holders.items()}
    alike = {pair: same_history(*(trails[one] for one in pair)) for pair in combinations(sorted(holders), 2)}
    for (a, b), same in alike.items():
        if same is False:
            raise RefusalError(
                f"The data of servers {a} and {b} have different transactions: they are not one ensemble's. "
                + _remedy(a, b, holders, voters)
            )
        if holders[a]["configured"] and holders[b]["configured"]:
            _require_one_list(a, b, holders, voters, same)
    _require_no_stranger(holders, voters, {frozenset(pair) for pair, same in alike.items() if same})


def _trail(found: Mapping[str, Any]) -> Trail:
    return {int(zxid, 16): checksum for zxid, checksum in found["trail"].items()}


def _require_one_list(
    a: int,
    b: int,
    holders: Mapping[int, Mapping[str, Any]],
    voters: Mapping[int, Voters],
    same: bool | None,
) -> None:
    mine, other = (
        {number: where.removesuffix(":observer") for number, where in holders[one]["servers"].items()}
        for one in (a, b)
    )
    elsewhere = not same and not _same_addresses(mine, other)
    # One that served alone wrote without counting an epoch: its history may fork from the other's unseen.
    alone = not mine or not other
    if elsewhere or alone or len(voters[a] ^ voters[b]) > 1:
        raise RefusalError(
            f"Server {a} has data as a member of {_ids(voters[a])}, server {b} as a member of "
            f"{_ids(voters[b])}{' at other addresses' if elsewhere else ''}: that is not one ensemble's. "
            + _remedy(a, b, holders, voters)
        )


def _require_no_stranger(
    holders: Mapping[int, Mapping[str, Any]], voters: Mapping[int, Voters], alike: set[frozenset[int]]
) -> None:
    """Without a zoo.cfg, transactions that others have, too, must tell where data belong."""
    ours = {number for number, found in holders.items() if found["configured"]} or set(_by_age(holders)[:1])
    while more := {one for one in holders.keys() - ours if any({one, other} in alike for other in ours)}:
        ours |= more
    for stranger in sorted(holders.keys() - ours):
        newest = next(number for number in _by_age(holders) if number in ours)
        raise RefusalError(
            f"Server {stranger} has data, but no zoo.cfg, and none of its last transactions is one of server "
            f"{_ids(ours)}: they may be another ensemble's. {_remedy(newest, stranger, holders, voters)}"
        )


def _by_age(holders: Mapping[int, Mapping[str, Any]]) -> list[int]:
    """The newest data first."""
    return sorted(holders, key=lambda number: (-int(holders[number]["last_zxid"] or "0x0", 16), number))


def _newest_first(
    members: list[Member], ids: Mapping[str, int], holders: Mapping[int, Mapping[str, Any]], now: Voters
) -> list[dict[str, Any]]:
    """Where data may be a copy of an earlier day, the first majority to run must have the newest."""
    running = {number for number in now if number in holders and holders[number]["unit"]["running"]}
    lacking = _majority(now) - len(running)
    if all(found["configured"] for found in holders.values()) or lacking <= 0 or len(now) == 1:
        return []
    begin = [number for number in _by_age(holders) if number in now - running][:lacking]
    names = {number: name for name, number in ids.items()}
    hosts = [names[number] for number in begin if number in names]
    asked = [*hosts, *(names[number] for number in running if number in names)]
    stage = _stage(members, ids, now, hosts, False)
    label = f"the newest data first: {_ids(set(begin))}"
    return [{**stage, "asked": [m for m in stage["members"] if m["name"] in asked], "label": label}]


def _same_addresses(mine: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two lists can be one ensemble's: apart from one member, which was replaced by another machine,
    those they share are at the same addresses, and these are a majority of both."""
    common = mine.keys() & other.keys()
    moved = {number for number in common if mine[number] != other[number]}
    return not moved or (len(moved) == 1 and 2 * len(common - moved) > max(len(mine), len(other)))


def _remedy(a: int, b: int, holders: Mapping[int, Mapping[str, Any]], voters: Mapping[int, Voters]) -> str:
    """What can be done that loses nothing: the newest data stay, and so does a quorum that serves."""
    zxids = {number: int(found["last_zxid"] or "0x0", 16) for number, found in holders.items()}
    needed = _needed(holders, voters)
    kept = max(zxids, key=lambda number: (zxids[number], number in needed, -number))
    ends = ", ".join(f"server {number}: {zxids[number]:#x}" for number in sorted(zxids))
    text = (
        f"The last zxid of each is {ends}. If they are two ensembles, take the hosts of one out of the group "
        "`zookeeper`. "
    )
    spare = [number for number in (b, a) if number != kept and number not in needed]
    if not spare:
        return (
            f"{text}Discard no data: server {kept} has the newest, and the others are needed for the quorum."
        )
    return (
        f"{text}If they are one, server {kept} has the newest data: keep those. Stop server {spare[0]}, move "
        "the contents of its zookeeper_data_dir and zookeeper_txnlog_dir to another place (do not delete "
        "them), and run again: it is then sent the others' data."
    )


def _needed(holders: Mapping[int, Mapping[str, Any]], voters: Mapping[int, Voters]) -> set[int]:
    """Those without which a quorum would be lost: of some voters just enough run. They go by these voters, or
    by a list that differs in one server, which is on its way to vote or no longer does."""
    running = {number for number, found in holders.items() if found["unit"]["running"]}
    needed: set[int] = set()
    for mine in {voters[number] for number in running}:
        group = {one for one in running & mine if len(voters[one] ^ mine) <= 1}
        needed |= group if len(group) == _majority(mine) else set()
    return needed


def _require_data(now: Voters, target: Voters, trusted: set[int]) -> None:
    empty = now & target - trusted
    lost = now - trusted
    if not empty or len(now - lost) >= _majority(now):
        return
    if len(now) == 2:
        remedy = (
            f"take server {_ids(empty)} out of the group, run, and put it back: it then joins as a new one"
        )
    else:
        remedy = "bring their data back, or restore a backup on all servers"
    raise RefusalError(
        f"Of the voters {_ids(now)}, {_ids(lost)} have no data: the others are no majority, and those "
        f"without data have no vote. Instead: {remedy}."
    )


def _stages(
    members: list[Member],
    ids: Mapping[str, int],
    seen: Mapping[str, Mapping[str, Any]],
    now: Voters,
    whole: bool,
    target: Voters,
) -> list[dict[str, Any]]:
    everybody = frozenset(ids.values())
    leaving, demoted, added = now - everybody, now & everybody - target, target - now
    if len(leaving) > 1:
        raise RefusalError(
            f"Servers {_ids(leaving)} were taken out of the group at once: put all but one back, run, and go "
            "on with the next. Together they could still be a majority of those they know."
        )
    if leaving and not whole:
        raise RefusalError(
            f"An earlier run was cut short while the voters changed, and server {_ids(leaving)} still was "
            "one of them: put it back into the group, run, and take it out then."
        )
    if leaving and (added or demoted):
        others = f"brings in {_ids(added)}" if added else f"makes observers of {_ids(demoted)}"
        raise RefusalError(
            f"The change takes server {_ids(leaving)} out and {others} at once: run with the one, then with "
            f"the other. If server {_ids(leaving)} is lost for good, give the new host its number instead "
            f"(zookeeper_id {_ids(leaving)}, empty directories): it is then sent the data."
        )
    stages = []
    if not whole:
        stages.append(_stage(members, ids, now, list(ids), True))
    if any(not seen[name]["data"] for name, number in ids.items() if number in added):
        # Servers of an ensemble take in an observer they never heard of; one that serves alone does not.
        hosts = list(ids) if len(now) == 1 else [n for n in ids if not seen[n]["unit"]["running"]]
        stages.append(_stage(members, ids, now, hosts, len(now) == 1))
    for number in sorted(added):
        now |= {number}
        stages.append(_stage(members, ids, now, list(ids), True))
    for number in sorted(demoted | leaving):
        now -= {number}
        stages.append(_stage(members, ids, now, list(ids), True))
    return stages


def _stage(
    members: list[Member], ids: Mapping[str, int], voters: Voters, hosts: list[str], changing: bool
) -> dict[str, Any]:
    now = [{**m, "observer": ids[m["name"]] not in voters} for m in members]
    return {
        "label": f"voters {_ids(voters)}",
        "members": now,
        "hosts": hosts,
        "asked": now,
        "changing": changing,
    }


def _majority(voters: Voters) -> int:
    return len(voters) // 2 + 1


def _ids(numbers: frozenset[int] | set[int]) -> str:
    return _and([str(number) for number in sorted(numbers)])


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"zookeeper_voter_stages": zookeeper_voter_stages}
