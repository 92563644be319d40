"""From the members an ensemble has to those the inventory names: the filter zookeeper_voter_stages."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

NAMES = ("voter_stages", "one_ensemble", "newest_data", "only_snapshots", "history")
KILLERS = (pytest(*(f"tests/unit/test_zookeeper_{name}.py" for name in NAMES)),)

stages = partial(Mutant, "plugins/filter/zookeeper_voter_stages.py")
ensemble = partial(Mutant, "plugins/module_utils/zookeeper_one_ensemble.py")
history = partial(Mutant, "plugins/module_utils/zookeeper_history.py")

MUTANTS = [
    ensemble(" or b in _connected({a}, live)", "", "servers that share a leader are two ensembles"),
    ensemble("and there.endswith(port) and", "and", "who takes part in an election is of the ensemble"),
    ensemble(
        "and (there, here) in ends_there", "", "whoever is connected to some leader is of this ensemble"
    ),
    ensemble(
        "        and not {mine[number], other[number]} <= places.get(int(number), frozenset())\n",
        "",
        "a host that was given a name is another one",
    ),
    ensemble(
        "{mine[number], other[number]} <= places",
        "{mine[number], other[number]} & places",
        "a host elsewhere is the same one",
    ),
    ensemble(
        '        if not newer["trail"] and last_transaction(newer) > last_transaction(older):\n'
        "            return None if same else same\n",
        "",
        "a snapshot leads that lacks what others have",
    ),
    ensemble(' or _trail(found, "times")', "", "a snapshot of a new epoch is taken for an empty one"),
    ensemble("if not left or not self.advice:", "if not left:", "advice that costs nothing is taken back"),
    ensemble(
        "if not left or not self.advice:",
        "if True:",
        "data are moved that a member may need who is not in the group",
    ),
    ensemble("if address not in dead}", "}", "who was declared dead is waited for"),
    stages(
        "if_dead(frozenset(gone))",
        "if_dead(frozenset(one for one in gone if gone[one] not in addresses))",
        "who declares one dead forgets the other",
    ),
    stages(
        '- {str(m[key]) for m in members for key in ("name", "host")}', "", "a member of the group is nobody"
    ),
    stages("    listed = known or {", "    listed = {", "who the members are is told by the inventory"),
    history("if not checksums and snapshots and not damaged:", "if False:", "a snapshot tells nothing"),
    history("if zxid > begin}", "}", "a server that was sent all data has another history"),
    history("if zxid & COUNTER and", "if", "each epoch begins with a gap"),
    history("and zxid not in logged", "", "every snapshot is behind a gap"),
    history("and not damaged:", "and True:", "a snapshot stands for a log that is damaged"),
    history("written(snapshots[max(snapshots)])", "written(snapshots[min(snapshots)])", "an old one counts"),
    history("mine[zxid] != other[zxid]", "False", "data that went two ways are one history"),
    history(
        "same_history(mine, other) or None",
        "bool(mine.keys() & other.keys()) or None",
        "a copy that went its own way hides behind the others' gap",
    ),
    stages("    _require_no_doubt(left_out, seen)\n", "", "--limit hides newer data, or another server's"),
    stages("in (1, len(ids)):", "in (len(ids),):", "a voter alone with observers is never well"),
    stages(
        '(1 if sum(seen[name]["data"] for name in old) > 1 else 2)',
        "1",
        "the last of two can never serve again",
    ),
    stages(
        '(1 if sum(seen[name]["data"] for name in old) > 1 else 2)', "0", "one alone cannot start and grow"
    ),
    stages("target if len(now) == 2 else", "target if True else", "who shall observe needs no data"),
    stages("target if len(now) == 2 else", "target if False else", "one of two with data is not enough"),
    stages("or (late and demoted):", ":", "who starts looks for a leader that does not vote"),
    stages(
        "not in now | added]", "not in now]", equivalent="it is started with the others then, a stage earlier"
    ),
    stages(
        'last["members"]) == 1:', 'last["members"]) == 0:', "observers never find the leader at its new ports"
    ),
    stages('if not m["observer"])', ")", "observers are given a vote", at="_plan"),
    stages("if name not in play_hosts]", "if name in play_hosts]", "--limit is refused where it is sound"),
    stages(
        "    if unseen:\n",
        "    if False:\n",
        "a second ensemble beside one that cannot be seen",
        at="_require_all",
    ),
    stages(
        "    if set_up:\n", "    if False:\n", "a new ensemble begins empty while the disks are not mounted"
    ),
    stages(' and one["unit"].get("enabled")]', "]", "a first start that was cut short is not finished"),
    stages(
        'if any(one.get("marker") for one in found.values()):',
        "if False:",
        "a first start that was cut short is not finished",
    ),
    stages(
        '    if left_out:\n        raise RefusalError(\n            f"The ensemble is new',
        '    if False:\n        raise RefusalError(\n            f"The ensemble is new',
        "an ensemble begins without some of its members",
    ),
    stages(
        "    require_one_ensemble(holders, voters, lost, places)\n",
        "",
        "data of two ensembles are mixed",
    ),
    stages("if not empty or len(now - lost)", "if True or len(now - lost)", "a quorum without the data"),
    stages(
        "return min(lists",
        "return max(lists",
        "a change that was cut short goes another way",
    ),
    stages(
        "whole = all(one == now for one in voters.values())",
        "whole = True",
        "a change that was cut short is not finished first",
    ),
    stages(
        "done = whole and now == target", "done = now == target", "some are left with the old list of voters"
    ),
    stages('or seen[name]["marker"]}', "}", "a first start that was cut short is refused"),
    stages(
        'if name in unseen or seen[name]["data"]',
        'if seen.get(name, {}).get("data")',
        "a member that is down has lost its data",
    ),
    ensemble(
        'if not where.endswith(":observer")}',
        "}",
        "an observer is counted as a voter that is to go",
        at="voters_of",
    ),
    ensemble(
        "frozenset(listed or {number})", "frozenset(listed)", "a server that serves alone has no voters"
    ),
    ensemble(
        '> 1:\n        raise DataAtStakeError(\n            f"Server {a}',
        '> 2:\n        raise DataAtStakeError(\n            f"Server {a}',
        "lists that differ in two are mixed",
    ),
    ensemble("elsewhere or alone or", "alone or", "a namesake's data are mixed in"),
    ensemble("elsewhere or alone or", "elsewhere or", "histories that have forked are mixed"),
    ensemble("server_address(where)[0] for", "where for", "a change of ports that was cut short is refused"),
    stages(
        "    elif idle and len(now)",
        "    elif False and len(now)",
        "voters change while those who voted do not serve",
    ),
    stages("if missed and idle:", "if False:", "who has the newest data leaves with them"),
    stages('and found["unit"]["running"])', ")", "one that is behind and stopped is taken for sound"),
    stages(
        "        _require_newest_vote(target, holders)\n", "", "after a disaster the newest data have no vote"
    ),
    stages("    if last in {holders", "    if True or last in {holders", "the newest data have no vote"),
    stages(
        "if self.moved and not self.whole:", "if False:", "one that starts looks for the leader elsewhere"
    ),
    stages("if ports and voters:", "if False:", "ports and voters change at once"),
    stages(
        "if left_out and (ports or voters):",
        "if left_out and voters:",
        "some members never learn of the ports",
    ),
    stages("known.get(number) or min", "min", "who has begun is told of at its old ports"),
    stages("if not self.running:", "if False:", "a stopped ensemble is restarted again and again"),
    stages("if not self.running:", "if True:", "servers cannot find each other"),
    stages('"first": name, ', "", "who leads cannot be found by the others"),
    stages(
        "key=lambda one: self.now[one] != self.wanted[one]", "key=str", "what was begun is not finished first"
    ),
    stages(
        "empty = now & concerned - trusted",
        "empty = now - trusted",
        "one that is gone for good stops every run",
    ),
    stages(
        "len(now - lost) >= majority(now)",
        "len(now - lost) >= len(lost)",
        "half of the voters pass for a quorum",
    ),
    stages(
        "    if len(leaving) > 1 and missed:\n",
        "    if False:\n",
        "two that are taken out at once may be a majority still",
    ),
    stages(
        'others = f"makes observers of {numbers(demoted)}" if demoted else ""',
        'others = ""',
        "two changes at once",
    ),
    stages('    others = f"brings in {numbers(added)}" if added else others\n', "", "two changes at once"),
    stages("if leaving and others:", "if others:", "nothing can be added", at="_require_may_leave"),
    stages(
        "    if not whole:\n        stages.append",
        "    if False:\n        stages.append",
        "what was cut short is not finished first",
    ),
    stages(
        'if any(not seen[name]["data"] for', "if any(True for", "observers that have the data wait once more"
    ),
    stages('if any(not seen[name]["data"] for', "if any(False for", "who comes votes before it has the data"),
    stages("list(ids) if len(now) == 1 else", "", "one that serves alone never learns of its observers"),
    stages(
        'down = [name for name in ids if not seen[name]["unit"]["running"]]',
        "down = list(ids)",
        "servers are restarted for an observer",
    ),
    stages("hosts, len(now) == 1))", "hosts, False))", "the gate waits for one that waits for the others"),
    stages(
        "        now |= {number}\n        stages",
        "        now |= added\n        stages",
        "two voters come at once",
    ),
    stages("        now -= {number}\n", "        now -= demoted\n", "two voters go at once"),
    stages(
        '"observer": int(str(m["id"])) not in voters}',
        '"observer": m.get("observer")}',
        "who comes votes at once",
    ),
    ensemble("len(voters) // 2 + 1", "(len(voters) + 1) // 2", "half is a majority"),
    stages(
        "majority(now):\n        return\n    require_known_ends(holders, frozenset(holders))\n",
        "majority(now):\n        return\n",
        "an observer is restored over what a damaged log has",
    ),
    # ---------------------------------------------------------------- data that do not fit together
    ensemble("        if unseen:", "        if False:", "advice rests on data that nobody has looked at"),
    ensemble("        if unseen:", "        if True:", "no advice is given, though all were looked at"),
    stages(
        'if "servers" not in seen.get(str(m["name"]), {})]',
        'if str(m["name"]) not in seen]',
        "a host that could not be looked at ends it",
    ),
    ensemble(
        "return not moved or (", "return not moved and (", "no member keeps its address", at="_same_addresses"
    ),
    ensemble(
        "len(moved) == 1 and 2",
        "len(moved) >= 1 and 2",
        "two members were replaced at once",
        at="_same_addresses",
    ),
    ensemble(
        " and 2 * len(common - moved) > max(len(mine), len(other))",
        "",
        "of two members one was replaced: the other may be the other ensemble's",
        at="_same_addresses",
    ),
    ensemble(
        "kept = max(",
        "kept = min(",
        "the newest data are given up",
    ),
    ensemble(
        "if number != kept and number not in needed]",
        "if number not in needed]",
        "the newest data are given up",
    ),
    ensemble("if number != kept and number not in needed]", "if number != kept]", "a quorum is given up"),
    ensemble(
        'if found["unit"]["running"]}\n    needed',
        "}\n    needed",
        "a server that does not run is counted for the quorum",
    ),
    ensemble(
        "for one in running & mine if",
        "for one in running if",
        "a server of another ensemble is counted for the quorum",
    ),
    ensemble(
        "<= (len(voters[one]) > 1)}",
        "<= 0}",
        "while the voters change, a server is given up though the quorum hangs on it",
    ),
    ensemble(
        "<= (len(voters[one]) > 1)}",
        "<= 1}",
        "one that serves alone is taken for a member of a quorum, so that nothing can be given up",
    ),
    ensemble(
        "if len(group) >= majority(mine)",
        "if len(group) > majority(mine)",
        "a server is given up though the quorum hangs on it",
    ),
    ensemble(
        "if len(group) >= majority(mine)",
        "if len(group) == majority(mine)",
        "a member of a quorum that serves is given up where a stranger is counted for it",
    ),
    ensemble(
        "if kept not in group))", "if False))", "what a majority has is given up for another ensemble's disk"
    ),
    ensemble("if kept not in group))", "))", "nothing can be given up, though the newest are a majority's"),
    ensemble(
        "one in needed, any(one in group for group in whole), -one)",
        "one in needed, -one)",
        "of data that go equally far those of a majority are given up",
    ),
    ensemble("if len(group) > 1 and len(group)", "if len(group)", "one alone is a majority of its own"),
    ensemble("theirs if tells and fewer and", "theirs if False and", "another ensemble's disk leads"),
    ensemble("theirs if tells and", "theirs if", "a young ensemble is refused"),
    ensemble("and fewer and", "and", "a majority is a stranger to those that were down for long"),
    ensemble("and waits and", "and", "who serves after it was sent a snapshot is a stranger"),
    ensemble("and newer else", "else", "of two that are equal one is a stranger"),
    ensemble(
        "theirs = _connected({newest}, alike)", "theirs = {newest}", "two strange disks vouch for each other"
    ),
    ensemble(
        "(newest in logged or zxids[newest] & COUNTER) and",
        "zxids[newest] & COUNTER and",
        "a foreign disk leads whose last epoch just began",
    ),
    ensemble(
        "(newest in logged or zxids[newest] & COUNTER) and",
        "newest in logged and",
        "a foreign snapshot leads",
    ),
    ensemble(
        "(newest in logged or zxids[newest] & COUNTER) and", "", "an epoch that just began makes a stranger"
    ),
    ensemble(") and logged & others", ")", "whoever writes first in a young ensemble is a stranger"),
    ensemble(
        "len(having - {spare[0]}) <",
        "len(having) <",
        "who moves data away as told is told to bring them back",
    ),
    ensemble(" <= len(having)\n", "\n", "data are restored on all, though the others may have newer"),
    ensemble(
        'needed <= {kept} and holders[kept]["trail"]:',
        "needed <= {kept}:",
        "data without a transaction are restored in vain",
    ),
    ensemble("few and needed <= {kept} and", "few and", "data are restored over those of others that serve"),
    # ---------------------------------------------------------------- hosts that were installed anew
    stages(
        'for number, found in holders.items() if found["configured"]}\n    return',
        "for number, found in holders.items()}\n    return",
        "a host that was installed anew is taken for a server that serves alone",
    ),
    stages("dict.fromkeys(holders, _nearest(known.values(), target)) | known", "known", "it has no voters"),
    stages("default=target)", "default=frozenset())", "all hosts installed anew have no voters"),
    ensemble("if same is False:", "if False:", "a stranger's disk is mixed in"),
    ensemble(
        'if holders[a]["configured"] and holders[b]["configured"]:',
        'if holders[a]["configured"] or holders[b]["configured"]:',
        "a host that was installed anew is refused",
    ),
    ensemble(
        "    _require_no_stranger(holders, voters, alike,",
        "    (lambda *_: None)(holders, voters, alike,",
        "data that nothing connects with the others are mixed in",
    ),
    ensemble(
        "or set(by_age(holders)[:1])",
        "or set(holders)",
        "two ensembles' hosts that were installed anew are mixed",
    ),
    ensemble(
        "        some = some | more\n",
        "        some = some | more\n        break\n",
        "who is connected by way of others",
    ),
    ensemble(
        "key=lambda number: (-zxids[number], number))",
        "key=lambda number: (zxids[number], number))",
        "the oldest data lead",
    ),
    ensemble(
        "elsewhere = {a, b} not in alike and",
        "elsewhere =",
        "a change of all addresses that was cut short is refused",
    ),
    stages(
        'if holders[number]["unit"]["running"]}\n    lacking',
        "}\n    lacking",
        "what does not run is counted for the first majority",
    ),
    stages("if number not in running][:lacking]", "if number not in running]", "any majority may begin"),
    stages("if number not in running][:lacking]", "][:lacking]", "too few begin"),
    stages("lacking <= 0 or", "", "a quorum that serves waits for nobody"),
    stages("or len(now) == 1:", ":", "one alone is asked before it is to be started"),
    stages(
        "if len(behind) < majority(now) or",
        "if",
        "whoever was switched off starts in two steps",
    ),
    stages(
        "if len(behind) < majority(now) or",
        "if True or",
        "a copy of an earlier day leads, as it has a zoo.cfg",
    ),
    stages(
        " or len(running | {*voting}) < majority(now):",
        ":",
        "too few are waited for, as the others have damaged logs",
    ),
    stages(
        'voting = [number for number in voting if not holders[number].get("damaged")]',
        "pass",
        "one that cannot start is waited for",
    ),
    stages("if last[number] < most]", "]", "those with the newest data are counted as behind"),
    stages(
        "        require_known_ends(holders, frozenset(number for number in voting if last[number] == most))\n",
        "",
        "a log that reaches farthest, and is damaged, is left behind",
    ),
    stages(', "newest_first": True}', "}", "the newest data go first, and it is taken for a change"),
    # ---------------------------------------------------------------- members that are dead for good
    stages("{one.strip() for one in (", "{one for one in (", "a blank behind a comma hides a dead member"),
    stages("    if alive:\n", "    if False:\n", "who is in the group is declared dead without a word"),
    stages(
        "if server_address(where)[0] in dead)",
        ")",
        "a declaration for another inventory buries members of this one",
    ),
    stages("if int(number) not in ids.values()}", "}", "members are called gone", at="_gone"),
    stages(
        "        if new:\n",
        "        if False:\n",
        "a new host at the address of a dead one stays in the way of its declaration",
    ),
    stages("if name not in self.filled]", "]", "a server with data is given another number"),
    stages("        if heirs:\n", "        if False:\n", "a member is to be declared dead, and may not be"),
    stages(
        "        if begins and old:\n",
        "        if False:\n",
        "a new machine and the old one run with one id",
    ),
    stages(
        "old = sorted(found - _all(places))",
        "old = sorted(found)",
        "a server is to be stopped at an address that a member has now",
    ),
    stages(
        "begins = name in play_hosts and not (",
        "begins = not (",
        "a run is refused for a host that it does not start",
    ),
    stages(
        "if server_address(where)[0] not in taken}",
        "}",
        "people are told to stop a voter, at whose address another one was that left",
    ),
    ensemble("(voters[a] ^ voters[b]) - lost", "voters[a] ^ voters[b]", "a recovery cut short is refused"),
    stages(
        "if lost & old and len(old & holders.keys()) < majority(old) and",
        "if lost & old and",
        "members are buried without steps though a majority lives",
    ),
    stages(
        "if lost & old and len(old & holders.keys()) < majority(old) and",
        "if len(old & holders.keys()) < majority(old) and",
        "a disaster is recovered from that nobody declared",
    ),
    stages(
        "        _require_disaster(holders, old, target, _Left(_known(holders), lost), disaster)\n",
        "",
        "acknowledged writes are lost unasked",
    ),
    stages("    if not disaster:\n", "    if False:\n", "acknowledged writes are lost unasked"),
    stages(
        "        _require_all_declared(left)\n",
        "",
        "a disaster recovery takes out members that nobody declared dead",
    ),
    stages(
        "if missed and others_gone and",
        "if False and",
        "two that are a quorum by a list that nobody here knows are left",
    ),
    stages("2 * (len(missed) + 1) > len(now) + 1:", "True:", "no observer may go with a voter"),
    stages(
        "len(now) > 2 and not leaving and _looking_elsewhere(members, seen):",
        "False:",
        "voters change while some cannot find the leader",
    ),
    stages(
        "len(now) > 2 and not leaving and _look", "len(now) > 2 and _look", "one that left restarts alone"
    ),
    stages("wanted.get(number) not in (None, server", "wanted.get(number) not in (server", "who left moved"),
    stages(
        "    else:\n        _require_no_newer_observer(now, holders)\n",
        "",
        "an observer loses the newest data",
    ),
    stages(
        "if newest in voting or not voting or len(running) >= majority(now):",
        "if newest in voting:",
        "an observer that was asked later is newer",
    ),
    stages("(written[number], number in voting)", "written[number]", "an observer that has as much is newer"),
    ensemble(
        "return last if last & COUNTER else max", "return last if True else max", "a snapshot is a write"
    ),
    stages(
        "if empty & old else", "if False else", "who has lost its data cannot wait outside for the others"
    ),
    stages("left.lost | (empty & old)", "empty & old", "the dead are not named any more"),
    stages(
        "    if empty := target - holders.keys():\n",
        "    if empty := frozenset():\n",
        "the empty are to elect a leader",
    ),
    stages("[: majority(target)]", "[: len(target)]", "any majority of those that live may begin"),
    stages(
        "if left_out and (ports or voters):", "if left_out and ports:", "a member never learns of the change"
    ),
    stages("if len(leaving) > 1 and missed:", "if missed:", "one cannot be taken out"),
    stages(
        "if len(leaving) > 1 and missed:",
        "if len(leaving) > 1 and leaving <= left.lost:",
        "the dead cannot be buried, the living can",
    ),
    stages("if missed and not whole:", "if leaving and not whole:", "a burial cut short is no more"),
    stages('if not m.get("left") or m["id"] in voters', 'if not m.get("left")', "two voters go at once"),
    stages('if not m.get("left") or m["id"] in voters', "", "who was buried is an observer"),
    stages(
        '"asked": [m for m in listed if not m.get("left")]', '"asked": listed', "the dead must be healthy"
    ),
    history("reverse=True)", "reverse=False)", "the first logs are read, and not the last"),
    history(
        "entries | found",
        "found | entries",
        equivalent="only a server that serves alone writes a zxid again, after its end was torn",
    ),
    history("if len(found) >= ENOUGH:", "if True:", "a log that just began is all there is"),
    history("if len(found) >= ENOUGH:", "if False:", "all logs are read, however many"),
    history("body[:IDENTITY]", "body", "a server of another version is a stranger"),
    history("body[:IDENTITY]", "body[:24]", "transactions of another time are the same"),
    history("older[zxid] != newer[zxid]", "False", "one zxid makes one history"),
    history(
        "        return None\n    missed", "        return True\n    missed", "nothing in common will do"
    ),
    history("bool(missed) and sum", "False and sum", "a copy that went its own way is one of ours"),
    history(" if zxid > gap]", "]", "who was sent all data before an epoch's first write is a stranger"),
    history(
        "return None if _too_many", "return True if _too_many", "a copy hides behind an epoch's beginning"
    ),
    ensemble(
        ", (_gap(one), _gap(other))", "", "who was sent all data before an epoch's first write is a stranger"
    ),
    history("if zxid > max(shared) and", "if", "what was sent as a snapshot is missed"),
    history("and _reaches(newer, zxid)]", "]", "who is far behind is a stranger"),
    history(
        "UNACKNOWLEDGED = 40", "UNACKNOWLEDGED = 8", "a leader that died under load is a stranger afterwards"
    ),
    history(
        "        yield [zxid for zxid in zxids if not zxid % scale][-KEPT:]\n    yield",
        "        pass\n    yield",
        "only powers of two are compared",
    ),
    history("for scale in SCALES:", "for scale in SCALES[:1]:", "who is behind is a stranger"),
    history("(zxid & COUNTER).bit_count() == 1", "False", "who is an epoch behind is a stranger"),
    history("and zxid >= kept[0]", "", "what is no longer in the log is missed"),
    history("if not whole and not found:", "if False:", "a damaged log passes for a short one"),
    history("if not whole and not found:", "if not whole:", "damage of long ago stops every recovery"),
    history("size < 0 or (body and end == ENDS)", "size < 0", "a wrong checksum passes for a torn end"),
    history(
        "size < 0 or (body and end == ENDS)", "body and end == ENDS", "a length below 0 passes for a torn end"
    ),
    history(
        "_zeros(file) if not size else",
        "True if not size else",
        "what a hole of zeros hides passes for nothing",
    ),
    history("size < size_of_log - start else", "size else", "a damaged length takes all memory"),
    history('_has_entry(file.read().rstrip(b"\\0"))', "False", "a wrong length passes for a torn end"),
    history("[*snapshots, *latest, *damaged]", "[*snapshots, *latest]", "a damaged log alone is no data"),
    ensemble("if damaged and len(holders) > 1:", "if False:", "a plan rests on a log that is damaged"),
    ensemble("if damaged and len(holders) > 1:", "if damaged:", "one alone is asked whose data are newer"),
    ensemble("    if damaged:\n", "    if False:\n", "what a damaged log has is given up"),
    ensemble('backup = "that is newer"', "pass", "a backup of any age is a remedy for the newest data"),
    ensemble(
        "if not whole or zxids[number] > zxids[whole[0]]:",
        "if not whole:",
        "it is not said that the damaged data are the newest",
    ),
    stages(
        "    else:\n        require_known_ends(holders, now - running)\n",
        "",
        "the newest data first, as far as they can be read",
    ),
    history(
        "not body or zlib.adler32(body) != checksum",
        "not body",
        "an entry that was being written counts as written",
    ),
    history("end = file.read(1)", 'end = b""', "only the first entry of a log is seen"),
    history(r"(\.snappy|\.gz)?", "", "a compressed snapshot is not seen"),
    history("max([*snapshots,", "max([", "what is in snapshots alone is not seen"),
]
