"""The role zookeeper's judgement on the controller and in preflight: rules, filters, and the plan of a run."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

FILES = ("plan", "rules", "role", "ensemble", "settings")
KILLERS = (pytest(*(f"tests/unit/test_zookeeper_{name}.py" for name in FILES)),)

plan = partial(Mutant, "plugins/filter/zookeeper_plan.py")
filters = partial(Mutant, "plugins/filter/zookeeper_filters.py")
rules = partial(Mutant, "plugins/module_utils/zookeeper_rules.py")
settings = partial(Mutant, "plugins/module_utils/zookeeper_settings.py")
zoo_cfg = partial(Mutant, "plugins/module_utils/zookeeper_zoo_cfg.py")
ensemble = partial(Mutant, "plugins/module_utils/zookeeper_ensemble.py")

MUTANTS = [
    # ------------------------------------------------------------ the plan
    plan('if not m["observer"])', ")", "observers are given a vote", at="_plan"),
    plan("if name not in play_hosts]", "if name in play_hosts]", "--limit is refused where it is sound"),
    plan(
        'if "servers" not in seen.get(name, {})]',
        "if name not in seen]",
        "a host that could not be looked at ends it",
    ),
    plan(
        "        if unseen:\n",
        "        if False:\n",
        "a second ensemble beside one that cannot be seen",
        at="_plan",
    ),
    plan(
        '        if left_out:\n            raise RefusalError(\n                f"The ensemble is new',
        '        if False:\n            raise RefusalError(\n                f"The ensemble is new',
        "an ensemble begins without some of its members",
    ),
    plan("    _require_one_ensemble(holders, voters)\n", "", "data of two ensembles are mixed"),
    plan("    _require_data(now, target, trusted)\n", "", "a quorum without the data"),
    plan(
        "now = min(voters.values()",
        "now = max(voters.values()",
        "a change that was cut short goes another way",
    ),
    plan(
        "whole = all(one == now for one in voters.values())",
        "whole = True",
        "a change that was cut short is not finished first",
    ),
    plan("if whole and now == target:", "if now == target:", "some are left with the old list of voters"),
    plan("if number not in known}", "}", "members are called gone"),
    plan('or seen[name]["marker"]}', "}", "a first start that was cut short is refused"),
    plan(
        'if name in unseen or seen[name]["data"]',
        'if seen.get(name, {}).get("data")',
        "a member that is down has lost its data",
    ),
    plan(
        '    if left_out:\n        raise RefusalError(\n            f"The voters change',
        '    if False:\n        raise RefusalError(\n            f"The voters change',
        "a member never learns of the change",
    ),
    plan(
        'if not where.endswith(":observer")}',
        "}",
        "an observer is counted as a voter that is to go",
        at="_voters",
    ),
    plan("frozenset(listed or {number})", "frozenset(listed)", "a server that serves alone has no voters"),
    plan(
        '> 1:\n            raise RefusalError(\n                f"Server {a}',
        '> 2:\n            raise RefusalError(\n                f"Server {a}',
        "lists that differ in two are mixed",
    ),
    plan("elsewhere or alone or", "alone or", "a namesake's data are mixed in"),
    plan("elsewhere or alone or", "elsewhere or", "histories that have forked are mixed"),
    plan('where.removesuffix(":observer") for', "where for", "who became an observer is a stranger"),
    plan(
        "empty = now & target - trusted", "empty = now - trusted", "one that is gone for good stops every run"
    ),
    plan(
        "len(now - lost) >= _majority(now)",
        "len(now - lost) >= len(lost)",
        "half of the voters pass for a quorum",
    ),
    plan(
        "    if len(leaving) > 1:\n",
        "    if False:\n",
        "two that are taken out at once may be a majority still",
    ),
    plan("if leaving and not whole:", "if False:", "a change cut short is left in another direction"),
    plan("if leaving and (added or demoted):", "if leaving and added:", "two changes at once"),
    plan("if leaving and (added or demoted):", "if leaving and demoted:", "two changes at once"),
    plan(
        "    if not whole:\n        stages.append",
        "    if False:\n        stages.append",
        "what was cut short is not finished first",
    ),
    plan(
        'if any(not seen[name]["data"] for', "if any(True for", "observers that have the data wait once more"
    ),
    plan('if any(not seen[name]["data"] for', "if any(False for", "who comes votes before it has the data"),
    plan("list(ids) if len(now) == 1 else", "", "one that serves alone never learns of its observers"),
    plan('if not seen[n]["unit"]["running"]]', "]", "servers are restarted for an observer"),
    plan("hosts, len(now) == 1))", "hosts, False))", "the gate waits for one that waits for the others"),
    plan(
        "        now |= {number}\n        stages",
        "        now |= added\n        stages",
        "two voters come at once",
    ),
    plan("        now -= {number}\n", "        now -= demoted\n", "two voters go at once"),
    plan(
        '"observer": ids[m["name"]] not in voters}', '"observer": m["observer"]}', "who comes votes at once"
    ),
    plan("len(voters) // 2 + 1", "(len(voters) + 1) // 2", "half is a majority"),
    # ------------------------------------------------------------ filters
    filters(
        'hostvars[name].get("zookeeper_host") or hostvars[name].get("ansible_host")',
        'hostvars[name].get("ansible_host") or hostvars[name].get("zookeeper_host")',
        "the address of another network",
    ),
    filters('or hostvars[name].get("ansible_host") or name', "or name", "a name that peers cannot resolve"),
    filters(
        'is_true(hostvars[name].get("zookeeper_observer", False))',
        'bool(hostvars[name].get("zookeeper_observer", False))',
        "'false' by -e is true",
    ),
    filters(
        'hostvars[name].get(f"zookeeper_{key}") or port',
        'hostvars[name].get(f"zookeeper_{key}", port)',
        "a port that is empty ends the run",
    ),
    filters('(len(str(member["id"])), str(member["id"]))', 'str(member["id"])', "10 before 2"),
    filters('elif found.get("unreachable"):', "elif False:", "an unreachable host is not called that"),
    filters("        elif not found:\n", "        elif False:\n", "serial is not refused by its name"),
    filters("list(dict.fromkeys(reasons))", "reasons", "each reason as often as there are hosts"),
    filters(
        'result["item"]: result for result in left_out}',
        'result["item"]: result for result in left_out if "servers" not in result}',
        "members that --limit leaves out are unseen",
    ),
    filters(
        'set(host["__zookeeper_found"]["stale"]) - set(restored)',
        'set(host["__zookeeper_found"]["stale"])',
        "a repair restarts servers for nothing",
    ),
    filters(
        'bool(host["__zookeeper_files"].get("waiting") or stale)',
        "bool(stale)",
        "a change of settings is never brought into use",
    ),
    filters(
        'bool(host["__zookeeper_files"].get("waiting") or stale)',
        'bool(host["__zookeeper_files"].get("waiting"))',
        "an upgrade is never brought into use",
    ),
    filters(
        '["unit"]["running"] and due',
        '["unit"]["active"] and due',
        "one that fails again and again is rolled like one that serves",
    ),
    filters(
        '["__zookeeper_found"]["deployed_port"]',
        '["__zookeeper_found"].get("port")',
        "old ports are not asked",
    ),
    # ------------------------------------------------------------ rules
    rules("wanted or min(", "min(", "zookeeper_heap_mb does nothing"),
    rules("memory_mb // 4", "memory_mb // 2", "half the memory"),
    rules("HEAP_MIN_MB), HEAP_MAX_MB)", "HEAP_MIN_MB), HEAP_MAX_MB * 4)", "a heap with long pauses"),
    rules("isinstance(value, bool) or not", "not", equivalent="what is true or false is no digits, either"),
    rules("254 if extended_types(settings) else 255", "255", "an id that TTL nodes take for themselves"),
    rules("not 1 <= number <= highest", "not 0 <= number <= highest", "id 0"),
    rules('as_id(m["id"]) for m in members}', 'm["id"] for m in members}', "2 and '2' are two"),
    rules("if value is not None)", ")", "two without an id have the same"),
    rules("f\"{m['host']}:{m['quorum_port']}\"", "m['host']", "two servers on one host are refused"),
    rules('str(value).lower() == "true"', 'value == "true"', "True is not true"),
    rules('sum(not member["observer"] for member in members)', "len(members)", "observers make it even"),
    rules("size // 2 - 1}", "size // 2}", "one loss too many"),
    rules(
        'if settings["zookeeper_admin_server"]:',
        "if True:",
        "a port that is not used is refused",
        at="setting_problems",
    ),
    rules("if not 0 < port < 65536]", "if not 0 <= port < 65536]", "port 0"),
    rules("if not 0 < port < 65536]", "if not 0 < port <= 65536]", "port 65536"),
    rules('path.startswith(top + "/")', "path.startswith(top)", "/devices is refused"),
    rules("path == top or", "", "/run itself"),
    rules(
        "settings[setting.variable] < setting",
        "settings[setting.variable] <= setting",
        "the least is refused",
    ),
    settings('"snapCount", least=2)', '"snapCount", least=0)', "ZooKeeper does not start"),
    rules("or 2 * tick", "or tick", "another bound"),
    rules("or 20 * tick", "or 10 * tick", "another bound"),
    rules("if shortest <= longest:", "if shortest < longest:", "one time-out for all is refused"),
    rules('{"mntr", "*"}', '{"mntr"}', "all words are not enough"),
    rules('("-Xmx", "-Xms")', '("-Xmx",)', "two heaps"),
    rules('if heap > found["memory_mb"]:', 'if heap > 2 * found["memory_mb"]:', "a heap beyond all memory"),
    rules(
        '["zookeeper_admin_port"] if settings["zookeeper_admin_server"] else []',
        '["zookeeper_admin_port"]',
        "a port that is not used is taken",
    ),
    rules(
        'found["data_dir"]["filled"] or found["txnlog_dir"]["filled"]',
        'found["data_dir"]["filled"]',
        "logs are left behind",
    ),
    rules('as_id(myid) != as_id(me["id"])', 'myid != me["id"]', "'1' is another than 1"),
    rules("if myid is not None and", "if", "data without myid are another's"),
    rules(
        'if found[key]["filled"] and path != settings[variable]:',
        "if path != settings[variable]:",
        "an empty directory may not change",
    ),
    rules("not in (None, _ports_of(m))", "!= _ports_of(m)", "a line without ports is another's"),
    rules(
        'line.partition(";")[0].removesuffix(":participant")',
        'line.partition(";")[0]',
        "who takes part is a stranger",
    ),
    rules('r"server\\.\\d+"', 'r"server.\\d+"', equivalent="no other key of zoo.cfg looks like that"),
    rules("(?::observer)?$", "$", "an observer's ports may not be looked at"),
    # ------------------------------------------------------------ settings and keys of zoo.cfg
    settings("str(value).lower() in TRUE", "value in TRUE", "True is not true"),
    settings('not (setting.optional and str(value) in ("", "0"))', "True", "sessions of 0 ms"),
    settings(
        'setting.optional and str(value) in ("", "0")',
        'str(value) in ("", "0")',
        "no limit is ZooKeeper's limit",
    ),
    settings(
        'setting.optional and str(value) in ("", "0")', "setting.optional and not value", "0 by -e is no 0"
    ),
    settings('if kind == "bool":', "if False:", "ZooKeeper reads Yes as false"),
    settings('if kind == "list" else', "if False else", "the words as Python has them"),
    zoo_cfg("if setting.key}", "}", equivalent="no key is empty"),
    zoo_cfg(
        "if key.startswith(start) and key not in KNOWN:",
        "if key.startswith(start):",
        "server.principal is a member",
        at="setting_problem",
    ),
    zoo_cfg("and not key.startswith(PREFIXES)", "", "metricsProvider.className is unknown"),
    zoo_cfg("KNOWN | OWNED.keys(), n=1", "KNOWN, n=1", "a key with a variable is not guessed"),
    zoo_cfg('or "\\n" in str(value)', "", "a second line smuggles in a key"),
    zoo_cfg("value is None or", "", "None is written"),
    zoo_cfg('("#", "!")', '("#",)', "a comment is a key"),
    zoo_cfg("if equals}", "}", "a line without = is a key"),
    # ------------------------------------------------------------ what servers say
    ensemble("if NOT_SERVING in srvr:", "if srvr:", "garbage is a server that waits"),
    ensemble(
        "None if followers is None else followers - uncounted", "followers", "who is not counted counts"
    ),
    ensemble(
        'uncounted + (_number(mntr, "zk_synced_observers") or 0)',
        '_number(mntr, "zk_synced_observers") or 0',
        "one that comes is never in sync",
    ),
    ensemble(r"(\d+)(?:\.\d+)?", r"(\d+)", "2.0 followers are none"),
    ensemble(
        "if size == 1:\n        return problems",
        "if False:\n        return problems",
        "one that is alone has no leader",
    ),
    ensemble(
        "if len(leaders) != 1:\n        return problems + _leader",
        "if not leaders:\n        return problems + _leader",
        "two leaders are well",
    ),
    ensemble("size - observers - 1", "size - 1", "observers are missed among the followers"),
    ensemble(
        "leader.synced_followers != wanted",
        "leader.synced_followers < wanted - 1",
        "one that is not in sync is well",
    ),
    ensemble(
        "elif leader.synced_others < observers:", "elif False:", "an observer that is not in sync is well"
    ),
    ensemble(
        "if leader.synced_followers is None:",
        "if False:",
        "a leader that does not count is compared with a number",
    ),
    ensemble("for member in members) <= 2", "for member in members) <= 3", "of three any may wait"),
    ensemble(
        "may_wait = few or (due and leaders and leaders[0] not in pending)",
        "may_wait = few or due",
        "two servers wait at once: no quorum",
    ),
    ensemble(
        "may_wait = few or (due and leaders and leaders[0] not in pending)",
        "may_wait = few",
        "who waits for its restart stops the change",
    ),
    ensemble(
        "waits = state.reachable and state.mode is None",
        "waits = state.mode is None",
        "one that is gone may wait",
    ),
    ensemble(
        "len(members), what_it_was=due)", "len(members), what_it_was=True)", "who should have changed has not"
    ),
    ensemble("    if few:\n        return problems\n", "", "of two voters one may not wait"),
    ensemble(
        "(leader.synced_followers or 0) + leader.synced_others",
        "leader.synced_followers or 0",
        "observers are not in sync",
    ),
    ensemble("synced < serving - 1", "synced < serving - 2", "one may be behind"),
    ensemble("    if what_it_was:\n        return None\n", "", "who is still what it was stops the change"),
    ensemble('size == 1 and state.mode != "standalone"', "False", "a follower of strangers is well alone"),
    ensemble('size > 1 and state.mode == "standalone"', "False", "one for itself is called something else"),
    ensemble('state.mode == "observer" and not member.observer', "False", "an observer passes for a voter"),
    ensemble('state.mode != "observer" and member.observer', "False", "a voter passes for an observer"),
    ensemble(
        'member.observer or mode in ("observer", None)',
        'mode in ("observer", None)',
        "one that leads and shall observe is the last",
    ),
    ensemble(
        'mode in ("observer", None):', 'mode == "observer":', "one that waits is restarted after followers"
    ),
    ensemble('2 if mode in ("leader", "standalone") else 1', "1", "an election more than needed"),
    ensemble(
        "member.name in pending and states[member.name].reachable]",
        "member.name in pending]",
        "one that is gone is restarted first",
    ),
    ensemble(
        "if changing or states[member.name].mode]", "]", "who serves nobody is rolled like one that serves"
    ),
    ensemble(
        "states[member.name].reachable and states[member.name].mode is None\n",
        "states[member.name].mode is None\n",
        "one that cannot be reached is idle: it may serve others",
        at="idle",
    ),
    ensemble('parse(srvr).mode == "leader"', "False", "a leader that tells nothing", at="look"),
    ensemble(
        "except TimeoutError:",
        "except ZeroDivisionError:",
        "the reason is 'timed out', without how long",
        at="look",
    ),
    ensemble("timeout=timeout)", "timeout=None)", "a frozen server hangs the gate"),
    ensemble("len(answer) < MAX_ANSWER and", "", "what never ends is read for ever"),
    ensemble(
        "except UnicodeError as error:",
        "except ZeroDivisionError as error:",
        "a name that is none ends the run",
    ),
]
