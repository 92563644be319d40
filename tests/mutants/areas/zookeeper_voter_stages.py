"""From the members an ensemble has to those the inventory names: the filter zookeeper_voter_stages."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_voter_stages.py", "tests/unit/test_zookeeper_history.py"),)

stages = partial(Mutant, "plugins/filter/zookeeper_voter_stages.py")
history = partial(Mutant, "plugins/module_utils/zookeeper_history.py")

MUTANTS = [
    stages('if not m["observer"])', ")", "observers are given a vote", at="_plan"),
    stages("if name not in play_hosts]", "if name in play_hosts]", "--limit is refused where it is sound"),
    stages(
        'if "servers" not in seen.get(name, {})]',
        "if name not in seen]",
        "a host that could not be looked at ends it",
    ),
    stages(
        "        if unseen:\n",
        "        if False:\n",
        "a second ensemble beside one that cannot be seen",
        at="_plan",
    ),
    stages(
        '        if left_out:\n            raise RefusalError(\n                f"The ensemble is new',
        '        if False:\n            raise RefusalError(\n                f"The ensemble is new',
        "an ensemble begins without some of its members",
    ),
    stages("    _require_one_ensemble(holders, voters)\n", "", "data of two ensembles are mixed"),
    stages("    _require_data(now, target, trusted)\n", "", "a quorum without the data"),
    stages(
        "now = min(voters.values()",
        "now = max(voters.values()",
        "a change that was cut short goes another way",
    ),
    stages(
        "whole = all(one == now for one in voters.values())",
        "whole = True",
        "a change that was cut short is not finished first",
    ),
    stages("if whole and now == target:", "if now == target:", "some are left with the old list of voters"),
    stages("if number not in known}", "}", "members are called gone"),
    stages('or seen[name]["marker"]}', "}", "a first start that was cut short is refused"),
    stages(
        'if name in unseen or seen[name]["data"]',
        'if seen.get(name, {}).get("data")',
        "a member that is down has lost its data",
    ),
    stages(
        '    if left_out:\n        raise RefusalError(\n            f"The voters change',
        '    if False:\n        raise RefusalError(\n            f"The voters change',
        "a member never learns of the change",
    ),
    stages(
        'if not where.endswith(":observer")}',
        "}",
        "an observer is counted as a voter that is to go",
        at="_voters",
    ),
    stages("frozenset(listed or {number})", "frozenset(listed)", "a server that serves alone has no voters"),
    stages(
        '> 1:\n            raise RefusalError(\n                f"Server {a}',
        '> 2:\n            raise RefusalError(\n                f"Server {a}',
        "lists that differ in two are mixed",
    ),
    stages("elsewhere or alone or", "alone or", "a namesake's data are mixed in"),
    stages("elsewhere or alone or", "elsewhere or", "histories that have forked are mixed"),
    stages('where.removesuffix(":observer") for', "where for", "who became an observer is a stranger"),
    stages(
        "empty = now & target - trusted", "empty = now - trusted", "one that is gone for good stops every run"
    ),
    stages(
        "len(now - lost) >= _majority(now)",
        "len(now - lost) >= len(lost)",
        "half of the voters pass for a quorum",
    ),
    stages(
        "    if len(leaving) > 1:\n",
        "    if False:\n",
        "two that are taken out at once may be a majority still",
    ),
    stages("if leaving and not whole:", "if False:", "a change cut short is left in another direction"),
    stages("if leaving and (added or demoted):", "if leaving and added:", "two changes at once"),
    stages("if leaving and (added or demoted):", "if leaving and demoted:", "two changes at once"),
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
    stages('if not seen[n]["unit"]["running"]]', "]", "servers are restarted for an observer"),
    stages("hosts, len(now) == 1))", "hosts, False))", "the gate waits for one that waits for the others"),
    stages(
        "        now |= {number}\n        stages",
        "        now |= added\n        stages",
        "two voters come at once",
    ),
    stages("        now -= {number}\n", "        now -= demoted\n", "two voters go at once"),
    stages(
        '"observer": ids[m["name"]] not in voters}', '"observer": m["observer"]}', "who comes votes at once"
    ),
    stages("len(voters) // 2 + 1", "(len(voters) + 1) // 2", "half is a majority"),
    # ---------------------------------------------------------------- data that do not fit together
    stages(
        "return not moved or (", "return not moved and (", "no member keeps its address", at="_same_addresses"
    ),
    stages(
        "len(moved) == 1 and 2",
        "len(moved) >= 1 and 2",
        "two members were replaced at once",
        at="_same_addresses",
    ),
    stages(
        " and 2 * len(common - moved) > max(len(mine), len(other))",
        "",
        "of two members one was replaced: the other may be the other ensemble's",
        at="_same_addresses",
    ),
    stages(
        "kept = max(zxids, key=lambda number: (zxids[number], number in needed, -number))",
        "kept = min(zxids, key=lambda number: (zxids[number], number in needed, -number))",
        "the newest data are given up",
    ),
    stages(
        "if number != kept and number not in needed]",
        "if number not in needed]",
        "the newest data are given up",
    ),
    stages("if number != kept and number not in needed]", "if number != kept]", "a quorum is given up"),
    stages(
        'if found["unit"]["running"]}\n    needed',
        "}\n    needed",
        "a server that does not run is counted for the quorum",
    ),
    stages(
        "for one in running & mine if",
        "for one in running if",
        "a server of another ensemble is counted for the quorum",
    ),
    stages(
        "len(voters[one] ^ mine) <= 1",
        "len(voters[one] ^ mine) <= 0",
        "while the voters change, a server is given up though the quorum hangs on it",
    ),
    stages(
        "if len(group) == _majority(mine)",
        "if len(group) > _majority(mine)",
        "a server is given up though the quorum hangs on it",
    ),
    history(
        "sorted(logs, reverse=True)", "sorted(logs)", "the end of the first log is taken for that of the last"
    ),
    history("zlib.adler32(body) != checksum", "False", "an entry that was being written counts as written"),
    history("            file.read(1)\n", "", "only the first entry of a log is seen"),
    history(r"(\.snappy|\.gz)?", "", "a compressed snapshot is not seen"),
    history("max([*snapshots,", "max([", "what is in snapshots alone is not seen"),
]
