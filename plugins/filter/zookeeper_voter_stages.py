"""Jinja filter: the way from the members an ensemble has to those the inventory names, or why not.

ZooKeeper's static configuration knows no protocol for that, so the safety is in the order. Each server goes
by the voters in its own zoo.cfg. Nothing acknowledged is lost as long as any majority of any list of voters
in use meets any majority of any other, and that is so of two lists that differ in one server. Hence one voter
comes or goes at a time, and all servers know of it before the next does. Who comes observes first: it votes
when it has the data. A server without data has no vote anyway (db.autocreate=false) until it was sent them.

Data whose zoo.cfg is gone, as after their host was reinstalled, are known by their transactions. Data may be
a copy of an earlier day, and then not every majority is safe: those with the newest start first.

The ports by which members know each other change for one of them at a time, too: it restarts first, and
finds the others where they are; they learn of it one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.zklab.zookeeper.plugins.module_utils.refusal import RefusalError
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_one_ensemble import (
    DataAtStakeError,
    Holders,
    Places,
    Voters,
    by_age,
    ends,
    joined,
    last_transaction,
    majority,
    numbers,
    require_known_ends,
    require_one_ensemble,
    voters_of,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import server_address

Member = Mapping[str, Any]


def zookeeper_voter_stages(
    members: list[Member],
    seen: Mapping[str, Mapping[str, Any]],
    play_hosts: list[str],
    dead: list[str] | str = "",
    disaster: bool = False,
) -> dict[str, Any]:
    """Plan the stages of a run.

    Args:
        members: all of the group, each with name, id, observer; ids are known to be sound.
        seen: by name what zookeeper_preflight returned of each host that could be looked at.
        play_hosts: names of the hosts this run may change (with --limit not all).
        dead: addresses of members that left the group because they are lost for good.
        disaster: whether the ensemble may go on without what only those have acknowledged.

    Returns:
        problems: reasons to refuse; if there are any, stages is empty.
        nobody: what to say of addresses in ``dead`` that nobody has; empty if there are none.
        new: whether this is the first start of an ensemble.
        gone: by id (as text) where servers are that belonged to the ensemble and are not in the group, but
        for addresses that members have now.
        stages: what to bring about, one after the other, the last being what the inventory says. Each has
        members (with ``observer`` and ports as they are in that stage), hosts (names of those to change),
        asked (those members that must be healthy then), changing (whether servers with different lists of
        voters meet), first (who restarts before the others, if it matters), newest_first (if those with the
        newest data start there, and nothing else changes), label.
    """
    addresses = {one.strip() for one in (dead.split(",") if isinstance(dead, str) else dead)} - {""}
    nobody = _nobody(members, seen, addresses)
    try:
        return {"problems": [], "nobody": nobody, **_plan(members, seen, play_hosts, addresses, disaster)}
    except DataAtStakeError as error:
        gone = _gone_from(members, seen)
        way_out = _left(members, seen).if_dead(frozenset(gone))
        problem = error.beside(_unseen(members, seen), gone, addresses, way_out)
    except RefusalError as error:
        problem = str(error)
    problems = [" ".join(filter(None, (problem, nobody)))]
    return {"problems": problems, "nobody": "", "new": False, "gone": {}, "stages": []}


def _nobody(members: list[Member], seen: Mapping[str, Mapping[str, Any]], dead: set[str]) -> str:
    """Which of the addresses declared dead nobody has: mistyped, or of members that are gone already."""
    holders = _looked_at(members, seen)
    known = {int(number): server_address(where)[0] for number, where in _known(holders).items()}
    listed = known or {int(str(m["id"])): str(m["host"]) for m in members}
    # While addresses change, servers know different ones.
    anywhere = {server_address(where)[0] for found in holders.values() for where in found["servers"].values()}
    unknown = dead - anywhere - {str(m[key]) for m in members for key in ("name", "host")}
    if not unknown:
        return ""
    where = joined([f"{number} on {address}" for number, address in sorted(listed.items())])
    return (
        f"zookeeper_dead names {joined(sorted(unknown))}, but no server knows a member there, so this has "
        f"no effect. The members are {where}. Correct the address, or remove it if the member is already out."
    )


def _gone_from(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    """By id the addresses of those that left the group."""
    ids = {str(m["name"]): int(str(m["id"])) for m in members}
    return {int(n): server_address(where)[0] for n, where in _gone(_looked_at(members, seen), ids).items()}


def _looked_at(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> Holders:
    """Those with data, by id."""
    unseen = _unseen(members, seen)
    return {
        int(str(m["id"])): seen[m["name"]]
        for m in members
        if m["name"] not in unseen and seen[m["name"]]["data"]
    }


def _places(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> Places:
    """Where the host of each member is, by the inventory and as the host itself knows."""
    return {
        int(str(m["id"])): frozenset([str(m["host"]), *seen.get(str(m["name"]), {}).get("addresses", [])])
        for m in members
    }


def _plan(
    members: list[Member],
    seen: Mapping[str, Mapping[str, Any]],
    play_hosts: list[str],
    dead: set[str],
    disaster: bool,
) -> dict[str, Any]:
    ids = {str(m["name"]): int(str(m["id"])) for m in members}
    target = frozenset(ids[m["name"]] for m in members if not m["observer"])
    left_out = [name for name in ids if name not in play_hosts]
    unseen = _unseen(members, seen)
    if not target:
        raise RefusalError(
            "zookeeper_observer is set for all hosts of the group `zookeeper`, and observers cannot elect a "
            "leader: leave it unset for one host, or better for three."
        )
    _require_no_doubt(left_out, seen)
    holders = _looked_at(members, seen)
    if not holders:
        _require_all(unseen, left_out, _set_up(members, seen))
        return {"new": True, "gone": {}, "stages": [_stage(members, target, list(ids), False)]}
    voters = _lists(holders, target)
    left = _left(members, seen)
    gone = left.gone
    places = _places(members, seen)
    outside = _outside(gone, places)
    _require_one_of_each(members, seen, play_hosts, places)
    lost = _lost(members, gone, dead)
    require_one_ensemble(holders, voters, lost, places)
    now = _nearest(voters.values(), target)
    whole = all(one == now for one in voters.values())
    done = whole and now == target
    idle = [name for name in ids if name not in unseen and not seen[name]["unit"]["running"]]
    ports = _Ports(members, holders, whole=not idle)
    change = "" if done else f"The voters change from {numbers(now)} to {numbers(target)}"
    _require_one_change(ports.moved, change, left_out)
    left = left._replace(lost=lost)
    everybody = [*members, *_placeholders(gone)]
    old = max(voters.values(), key=len)
    if lost & old and len(old & holders.keys()) < majority(old) and len(old - frozenset(ids.values())) > 1:
        _require_all_declared(left)
        _require_disaster(holders, old, target, _Left(_known(holders), lost), disaster)
        _require_newest_vote(target, holders)
        return {"new": False, "gone": outside, "stages": _from_what_lives(members, ids, holders, target)}
    trusted = {ids[name] for name in ids if name in unseen or seen[name]["data"] or seen[name]["marker"]}
    if not any(found["configured"] for found in holders.values()):
        _require_newest_vote(now, holders)
    else:
        _require_no_newer_observer(now, holders)
    # Of two voters, one that has data is enough, if the other shall vote no more.
    _require_data(now, target if len(now) == 2 else frozenset(ids.values()), trusted, holders)
    first = _newest_first(everybody, ids, holders, now)
    if done:
        return {
            "new": False,
            "gone": outside,
            "stages": [*ports.as_they_are(first), *ports.stages(_stage(members, target, list(ids), False))],
        }
    steps = _stages(everybody, ids, seen, now, whole, target, left)
    return {"new": False, "gone": outside, "stages": first + steps}


def _unseen(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Members that could not be looked at: of the hosts of the play there are none."""
    return [str(m["name"]) for m in members if "servers" not in seen.get(str(m["name"]), {})]


def _set_up(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Members whose server had data or the marker when it was enabled, the last step before its first start.

    If any still has the marker, that first start was cut short."""
    found = {str(m["name"]): seen.get(str(m["name"]), {}) for m in members}
    if any(one.get("marker") for one in found.values()):
        return []
    return [name for name, one in found.items() if one.get("configured") and one["unit"].get("enabled")]


def _require_all(unseen: list[str], left_out: list[str], set_up: list[str]) -> None:
    """A new ensemble is due only if nobody has data, or had any, and then all members start."""
    if unseen:
        raise RefusalError(
            f"No host that could be looked at has data, and {joined(unseen)} could not: the role cannot "
            "tell whether to start a new ensemble. Bring it back, or run without --limit."
        )
    if set_up:
        raise RefusalError(
            "No host has data in zookeeper_data_dir and zookeeper_txnlog_dir, but the servers of "
            f"{joined(set_up)} had some, and a new ensemble would begin empty. Are the disks mounted? Mount "
            "them, and run again. (If there is nothing to keep, run playbooks/reset.yml first.)"
        )
    if left_out:
        raise RefusalError(
            f"The ensemble is new, and --limit leaves out {joined(left_out)}: its first start needs "
            "all members. Run once without --limit."
        )


def _require_no_doubt(left_out: list[str], seen: Mapping[str, Mapping[str, Any]]) -> None:
    """Of hosts of the play it was refused before. But the plan rests on the data of all hosts."""
    for name in left_out:
        if seen.get(name, {}).get("doubts"):
            raise RefusalError(
                f"--limit leaves out {name}, but the plan depends on its data, and the role cannot tell "
                "whose data they are or whether they are the newest. Run without --limit to see why "
                "and what to do."
            )


class _Ports:
    """The two ports by which the members know each other: as they are, and as the inventory wants them.

    A server knows its own best: after a run that was cut short the others may go by its old ones.
    """

    def __init__(self, members: list[Member], holders: Holders, *, whole: bool) -> None:
        self.whole = whole  # every server runs
        self.wanted = {str(m["name"]): (m["quorum_port"], m["election_port"]) for m in members}
        self.now = dict(self.wanted)
        self.moved: list[str] = []
        for member in members:
            name, number = str(member["name"]), int(str(member["id"]))
            known = {
                one: server_address(found["servers"][str(number)])[1:]
                for one, found in holders.items()
                if str(number) in found["servers"]
            }
            if set(known.values()) - {self.wanted[name]}:
                self.now[name] = known.get(number) or min(known.values())
                self.moved.append(name)
        # If none runs, all can start with the new ones.
        self.running = any(found["unit"]["running"] for found in holders.values())

    def as_they_are(self, stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The stages, before any port changes."""
        return [self._with(self.now, stage) for stage in stages] if self.running else stages

    def stages(self, last: dict[str, Any]) -> list[dict[str, Any]]:
        """From the ports as they are to the last stage, one member at a time."""
        if not self.running:
            return [last]
        if self.moved and sum(not m["observer"] for m in last["members"]) == 1:
            # It leads, and the others wait for it there.
            return [{**last, "changing": True}]
        ports, stages = dict(self.now), []
        if self.moved and not self.whole:  # who does not run finds the others where they are
            stages.append({**self._with(ports, last), "label": "ports as they are"})
        for name in sorted(self.moved, key=lambda one: self.now[one] != self.wanted[one]):
            ports[name] = self.wanted[name]
            stages.append({**self._with(ports, last), "first": name, "label": f"ports of {name}"})
        return stages or [last]

    def _with(self, ports: Mapping[str, tuple[int, int]], stage: dict[str, Any]) -> dict[str, Any]:
        members = [
            {**m, "quorum_port": ports[m["name"]][0], "election_port": ports[m["name"]][1]}
            for m in stage["members"]
        ]
        return {**stage, "members": members}


def _require_one_change(moved: list[str], voters: str, left_out: list[str]) -> None:
    """Either the ports of ``moved`` change, or the voters (``voters`` says how), and all members learn it."""
    ports = f"zookeeper_quorum_port or zookeeper_election_port of {joined(moved)}" if moved else ""
    if ports and voters:
        raise RefusalError(f"{voters}, and {ports}, too: set the ports back, run, and change them then.")
    if left_out and (ports or voters):
        raise RefusalError(
            f"{voters or f'{ports} changes'}, and --limit leaves out {joined(left_out)}: all members must "
            "learn of it. Run without --limit."
        )


def _gone(holders: Holders, ids: Mapping[str, int]) -> dict[str, str]:
    """Where the members are that the servers know and the group does not have."""
    return {number: where for number, where in _known(holders).items() if int(number) not in ids.values()}


def _outside(gone: Mapping[str, str], places: Places) -> dict[str, str]:
    """Those at an address that no member has now: what runs at a member's is the member's own server."""
    taken = _all(places)
    return {number: where for number, where in gone.items() if server_address(where)[0] not in taken}


def _all(places: Places) -> set[str]:
    return {address for some in places.values() for address in some}


def _require_one_of_each(
    members: list[Member],
    seen: Mapping[str, Mapping[str, Any]],
    play_hosts: list[str],
    places: Places,
) -> None:
    """Whoever begins here without data, as a new machine does, must not run on the old one, too.

    With data it may be a copy of a machine of another ensemble, which must not be stopped.
    """
    for name, number in {str(m["name"]): str(int(str(m["id"]))) for m in members}.items():
        begins = name in play_hosts and not (seen[name]["data"] or seen[name]["unit"]["running"])
        found = {one.get("elsewhere", {}).get(number, "") for one in seen.values()} - {""}
        old = sorted(found - _all(places))
        if begins and old:
            raise RefusalError(
                f"zookeeper_id of {name}, which has no data, is {number}, but a server {number} still runs "
                f"on {joined(old)}, and two servers with one id can lose a write. If {name} takes its place, "
                "stop it there first (systemctl disable --now zookeeper), and run again. If it is another "
                f"ensemble's, take server {number} out of the group, run, and put it back."
            )


def _known(holders: Holders) -> dict[str, str]:
    """Where all members are that the servers know."""
    return {number: where for found in holders.values() for number, where in found["servers"].items()}


def _lost(members: list[Member], gone: Mapping[str, str], dead: set[str]) -> Voters:
    """Those of them that were declared dead."""
    alive = [str(m["name"]) for m in members if dead & {str(m["name"]), str(m.get("host"))}]
    if alive:
        raise RefusalError(
            f"zookeeper_dead names {joined(alive)}, which is in the group `zookeeper`: take out of the "
            "group what is dead for good, and out of zookeeper_dead what is not."
        )
    return frozenset(int(number) for number, where in gone.items() if server_address(where)[0] in dead)


def _placeholders(gone: Mapping[str, str]) -> list[Member]:
    """Members that left: as long as they are voters, the others' zoo.cfg must name them."""
    lines = {int(number): server_address(line) for number, line in gone.items()}
    return [
        {"name": f"server {number}", "id": number, "left": True}
        | {"host": host, "quorum_port": quorum, "election_port": election}
        for number, (host, quorum, election) in lines.items()
    ]


def _require_disaster(holders: Holders, old: Voters, target: Voters, left: _Left, disaster: bool) -> None:
    """Without a majority of the old voters nothing tells what the dead have acknowledged."""
    require_known_ends(holders, frozenset(holders))
    newest, living = by_age(holders)[0], old & holders.keys()
    if not disaster:
        raise RefusalError(
            f"Of the voters {numbers(old)} {f'only {numbers(living)} have' if living else 'none has'} data "
            "within reach. That is no majority, so the dead may have acknowledged writes that nobody else "
            f"has. The last zxid of each is {ends(holders)}. Restore the data of enough voters for a "
            f"majority. If that is impossible, all writes after {holders[newest]['last_zxid']} (server "
            f"{newest}) are lost: to go on without them, give -e zookeeper_disaster_recovery=true, besides "
            "zookeeper_dead."
        )
    if empty := target - holders.keys():
        # Old data of theirs count as lost, too.
        how = f" with {left.declaration(left.lost | (empty & old))}" if empty & old else ""
        raise RefusalError(
            f"Without data: {numbers(empty)}. Take them out of the group, run{how}, and put them back when "
            "the others serve: they are then sent the data."
        )


def _from_what_lives(
    members: list[Member], ids: Mapping[str, int], holders: Holders, target: Voters
) -> list[dict[str, Any]]:
    """A new list for those that live. They serve nobody, so there are no steps; the newest data lead."""
    begin = [number for number in by_age(holders) if number in target][: majority(target)]
    hosts = [name for name, number in ids.items() if number in begin]
    last = _stage(members, target, list(ids), True)
    if len(begin) in (1, len(ids)):  # a single voter leads in any case
        return [last]
    return [_only(_stage(members, target, hosts, True), hosts), last]


def _nearest(lists: Iterable[Voters], target: Voters) -> Voters:
    """After a run that was cut short there are two lists: what is nearer to the goal is finished first."""
    return min(lists, key=lambda one: (len(one ^ target), sorted(one)), default=target)


def _lists(holders: Holders, target: Voters) -> dict[int, Voters]:
    """The voters each server goes by: without a zoo.cfg those that others know, or else the inventory."""
    known = {number: voters_of(number, found) for number, found in holders.items() if found["configured"]}
    return dict.fromkeys(holders, _nearest(known.values(), target)) | known


def _newest_first(
    members: list[Member], ids: Mapping[str, int], holders: Holders, now: Voters
) -> list[dict[str, Any]]:
    """Where data may be a copy of an earlier day, the first majority to run must have the newest.

    A disk that was restored with its zoo.cfg looks like any other. But the newest data need go first only if
    the others could elect a leader without them.
    """
    voting = [number for number in by_age(holders) if number in now]
    running = {number for number in voting if holders[number]["unit"]["running"]}
    lacking = majority(now) - len(running)
    if lacking <= 0 or len(now) == 1:
        return []
    if all(found["configured"] for found in holders.values()):
        last = {number: int(holders[number]["last_zxid"] or "0x0", 16) for number in voting}
        most = max(last.values(), default=0)
        require_known_ends(holders, frozenset(number for number in voting if last[number] == most))
        behind = [number for number in voting if last[number] < most]
        # Who has a damaged log does not start.
        voting = [number for number in voting if not holders[number].get("damaged")]
        if len(behind) < majority(now) or len(running | {*voting}) < majority(now):
            return []
    else:
        require_known_ends(holders, now - running)
    begin = [number for number in voting if number not in running][:lacking]
    hosts = [name for name, number in ids.items() if number in begin]
    asked = hosts + [name for name, number in ids.items() if number in running]
    return [{**_only(_stage(members, now, hosts, False), asked), "newest_first": True}]


def _looking_elsewhere(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether some that run know members at other addresses than they have now."""
    wanted = {str(m["id"]): m["host"] for m in members}
    return any(
        wanted.get(number) not in (None, server_address(where)[0])
        for found in seen.values()
        if "servers" in found and found["unit"]["running"]
        for number, where in found["servers"].items()
    )


def _only(stage: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The stage, of which these alone must be healthy."""
    asked = [m for m in stage["asked"] if m["name"] in names]
    return {**stage, "asked": asked, "label": f"the newest data first: {joined(names)}"}


def _require_newest_vote(voters: Voters, holders: Holders) -> None:
    """Where the inventory alone says who votes, somebody else may have what was acknowledged."""
    require_known_ends(holders, frozenset(holders))
    newest = by_age(holders)[0]
    last = holders[newest]["last_zxid"]
    if last in {holders[number]["last_zxid"] for number in voters & holders.keys()}:
        return
    raise DataAtStakeError(
        f"Server {newest} has the newest data, and in the inventory it only observes. The last zxid of each "
        f"is {ends(holders)}.",
        f"Unset zookeeper_observer for server {newest}, run, and set it then.",
    )


def _require_no_newer_observer(now: Voters, holders: Holders) -> None:
    """An observer never has more than its voters, unless these have lost what they had."""
    written = {number: last_transaction(found) for number, found in holders.items()}
    voting = now & holders.keys()
    newest = max(written, key=lambda number: (written[number], number in voting))
    running = [number for number in voting if holders[number]["unit"]["running"]]
    if newest in voting or not voting or len(running) >= majority(now):
        return
    require_known_ends(holders, frozenset(holders))
    raise DataAtStakeError(
        f"Server {newest} has the newest data, and it has no vote. The last zxid of each is {ends(holders)}.",
        f"Restore the data of server {newest} on all (docs/operations.md, 'Back up and restore'), and run "
        "again.",
    )


def _require_data(now: Voters, concerned: Voters, trusted: set[int], holders: Holders) -> None:
    empty = now & concerned - trusted
    lost = now - trusted
    if not empty or len(now - lost) >= majority(now):
        return
    if len(now) == 2:
        remedy = (
            f"take server {numbers(empty)} out of the group, run, and put it back: it then joins as a new one"
        )
    else:
        remedy = (
            "bring their data back, or restore a backup on all servers (docs/operations.md, 'Back up and "
            f"restore'). If neither can be, take out of the group the voters {numbers(lost)}: "
        )
        newest = by_age(holders)[0]
        remedy += (
            "the refusal then tells what that costs"
            if any(found["configured"] for found in holders.values())
            # Nobody remembers that they were members, so nothing would be refused.
            else f"writes after {holders[newest]['last_zxid']} (server {newest}), if there were any, are "
            "then lost"
        )
    raise DataAtStakeError(
        f"Of the voters {numbers(now)}, {numbers(lost)} have no data: the others are no majority, and those "
        f"without data have no vote. The last zxid of each that has data is {ends(holders)}: keep these.",
        f"Instead: {remedy}.",
    )


def _serves(found: Mapping[str, Any]) -> bool:
    """Whether a server may have the newest data, as far as that can be seen from outside."""
    return "servers" not in found or bool(found["data"] and found["unit"]["running"])


class _Left(NamedTuple):
    """Members that left the group: where they are, and which of them were declared dead.

    ``heirs``: by id, the name of the member that has its address now; ``filled``: names of those with data.
    """

    gone: Mapping[str, str]
    lost: Voters = frozenset()
    heirs: Mapping[int, str] = {}
    filled: frozenset[str] = frozenset()

    def declaration(self, numbers: Voters) -> str:
        """What declares these dead."""
        return "-e zookeeper_dead=" + ",".join(
            server_address(self.gone[str(one)])[0] for one in sorted(numbers)
        )

    def if_dead(self, numbers: Voters) -> str:
        """What to do about these, if they are dead. Nobody is declared dead by the address of a member."""
        heirs = {one: self.heirs[one] for one in sorted(numbers & self.heirs.keys())}
        new = [f"{name} zookeeper_id {one}" for one, name in heirs.items() if name not in self.filled]
        if new:
            return (
                f"give {joined(new)}, with empty directories, and run again: a new host at the address of a "
                "dead server takes its number, too, and is then sent the data."
            )
        if heirs:
            return (
                f"give {joined(list(heirs.values()))} another zookeeper_host until the dead are out, and run "
                "again: nobody can be declared dead by the address of a member."
            )
        return f"declare that: {self.declaration(numbers)}"


def _left(members: list[Member], seen: Mapping[str, Mapping[str, Any]]) -> _Left:
    """Whoever left; nobody is declared dead yet."""
    holders, places = _looked_at(members, seen), _places(members, seen)
    names = {int(str(m["id"])): str(m["name"]) for m in members}
    gone = _gone(holders, {name: number for number, name in names.items()})
    heirs = {
        int(number): names[one]
        for number, where in gone.items()
        for one, addresses in places.items()
        if server_address(where)[0] in addresses
    }
    return _Left(gone, heirs=heirs, filled=frozenset(names[one] for one in holders))


def _require_all_declared(left: _Left) -> None:
    """A disaster recovery asks nobody who left, not even observers: the operator says that each is dead."""
    leaving = frozenset(map(int, left.gone))
    missed = leaving - left.lost
    if missed:
        raise RefusalError(
            f"Servers {numbers(leaving)} were taken out of the group at once, and "
            f"zookeeper_dead does not name {numbers(missed)}: their data may be the newest. Put them back. "
            f"If they are dead, or have lost their data for good, {left.if_dead(leaving)}"
        )


def _require_may_leave(
    leaving: Voters, left: _Left, *, now: Voters, others: str, idle: list[str], whole: bool
) -> None:
    """One at a time, and while all others serve: nobody knows what those have who are gone.

    ``others`` says what else is to change, ``idle`` who does not serve. ``whole``: all have one list of
    voters.
    """
    missed = leaving - left.lost
    # A run that was cut short may have given a vote to one that only observed, and nobody here knows of it.
    others_gone = frozenset(map(int, left.gone)) - left.lost - leaving
    if missed and others_gone and 2 * (len(missed) + 1) > len(now) + 1:
        leaving |= others_gone
    if len(leaving) > 1 and missed:
        raise RefusalError(
            f"Servers {numbers(leaving)} were taken out of the group at once: put all but one back, run, and "
            "go on with the next. Together they could still be a majority of those they know. If they are "
            f"dead and will never run again, {left.if_dead(leaving)}"
        )
    if missed and not whole:
        raise RefusalError(
            f"An earlier run was cut short while the voters changed, and server {numbers(leaving)} still was "
            "one of them: put it back into the group, run, and take it out then. If it is dead and will "
            f"never run again, {left.if_dead(leaving)}"
        )
    if leaving and others:
        raise RefusalError(
            f"The change takes {_servers(leaving)} out and {others}: make these changes in two runs. "
            f"{_replacement(leaving)}"
        )
    if missed and idle:
        raise RefusalError(
            f"Server {numbers(leaving)} was taken out of the group while {joined(idle)} does not serve. It "
            "may have what that lacks: put it back, run, and take it out when all are well. If it is dead "
            f"and will never run again, {left.if_dead(leaving)}"
        )


def _servers(ids: Voters) -> str:
    return f"server{'s' if len(ids) > 1 else ''} {numbers(ids)}"


def _replacement(lost: Voters) -> str:
    """How new machines take the places of dead ones."""
    if len(lost) == 1:
        return (
            f"If {_servers(lost)} is lost for good, keep it off, and give the new host its number "
            f"instead (zookeeper_id {numbers(lost)}, empty directories): it is then sent the data."
        )
    return (
        f"If {_servers(lost)} are lost for good, keep them off, and give new hosts their numbers "
        f"instead (zookeeper_id {' or '.join(map(str, sorted(lost)))}, empty directories): they are "
        "then sent the data."
    )


def _stages(
    members: list[Member],
    ids: Mapping[str, int],
    seen: Mapping[str, Mapping[str, Any]],
    now: Voters,
    whole: bool,
    target: Voters,
    left: _Left,
) -> list[dict[str, Any]]:
    everybody = frozenset(ids.values())
    leaving, demoted, added = now - everybody, now & everybody - target, target - now
    old = [name for name, number in ids.items() if number in now]
    idle = [name for name in old if name in seen and not _serves(seen[name])]
    others = f"makes observers of {numbers(demoted)}" if demoted else ""
    others = f"brings in {numbers(added)}" if added else others
    _require_may_leave(leaving, left, now=now, others=others, idle=idle, whole=whole)
    stages = []
    if not whole:
        stages.append(_stage(members, now, list(ids), True))
    elif len(now) > 2 and not leaving and _looking_elsewhere(members, seen):
        # Those could wait in vain for a leader that is at another address now: all learn of it first.
        stages.append(_stage(members, now, list(ids), False))
    elif idle and len(now) > (1 if sum(seen[name]["data"] for name in old) > 1 else 2):
        # Who votes may change only while those who voted serve. (One that votes alone starts with the others;
        # and each of two has all that was acknowledged.)
        stages.append({**_only(_stage(members, now, idle, False), old), "label": f"voters {numbers(now)}"})
    down = [name for name in ids if not seen[name]["unit"]["running"]]
    late = [name for name in down if ids[name] not in now | added]
    # Who starts finds the leader only as long as that votes.
    if any(not seen[name]["data"] for name, number in ids.items() if number in added) or (late and demoted):
        # Servers of an ensemble take in an observer they never heard of; one that serves alone does not.
        hosts = list(ids) if len(now) == 1 else down
        stages.append(_stage(members, now, hosts, len(now) == 1))
    for number in sorted(added):
        now |= {number}
        stages.append(_stage(members, now, list(ids), True))
    for number in sorted(demoted | leaving):
        now -= {number}
        stages.append(_stage(members, now, list(ids), True))
    return stages


def _stage(members: list[Member], voters: Voters, hosts: list[str], changing: bool) -> dict[str, Any]:
    listed = [
        {**m, "observer": int(str(m["id"])) not in voters}
        for m in members
        if not m.get("left") or m["id"] in voters
    ]
    return {
        "label": f"voters {numbers(voters)}",
        "members": listed,
        "hosts": hosts,
        "asked": [m for m in listed if not m.get("left")],
        "changing": changing,
    }


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"zookeeper_voter_stages": zookeeper_voter_stages}
