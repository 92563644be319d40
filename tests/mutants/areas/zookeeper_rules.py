"""What the role zookeeper makes of its variables and of what it found: settings, rules and filters."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

FILES = ("rules", "role", "settings", "heap")
KILLERS = (
    pytest(
        *(f"tests/unit/test_zookeeper_{name}.py" for name in FILES),
        "tests/unit/test_unreachable_hosts.py",
        "tests/unit/zookeeper_preflight",
    ),
)

filters = partial(Mutant, "plugins/filter/zookeeper_filters.py")
unreachable = partial(Mutant, "plugins/module_utils/unreachable_hosts.py")
heap = partial(Mutant, "plugins/module_utils/zookeeper_heap.py")
rules = partial(Mutant, "plugins/module_utils/zookeeper_rules.py")
settings = partial(Mutant, "plugins/module_utils/zookeeper_settings.py")
zoo_cfg = partial(Mutant, "plugins/module_utils/zookeeper_zoo_cfg.py")

MUTANTS = [
    rules(
        '    problems += property_problems(flag, tls=settings["zookeeper_tls"])\n',
        "",
        "a flag opens the client port to those without TLS",
    ),
    zoo_cfg(
        'or (_not_with_tls(key) if tls else "")', "or _not_with_tls(key)", "who has no TLS cannot set it"
    ),
    zoo_cfg(
        '        return f"set {OWNED[key]} instead"\n', "        pass\n", "what the role writes is set twice"
    ),
    zoo_cfg(
        "lines = [flags] if isinstance(flags, str) else flags\n", "lines = flags\n", "-e hides flags of Java"
    ),
    filters(" + _lists_skipped(names, hostvars)", "", "servers ignore the application's lists"),
    filters(
        "if not skips or not any(is_true", "if not skips or any(is_true", "who has no lists cannot skip them"
    ),
    filters(
        '    looked |= {str(found["item"]): found for found in left_out}\n',
        "",
        "--limit hides data that are newer",
    ),
    filters(
        '"Put none of them away" if unknown or damaged else',
        '"" if False else',
        "what may be the only copy is put away",
    ),
    filters("if unknown or damaged else", "if unknown else", "what a damaged log has is put away"),
    filters('found.get("damaged") or found', "found", "a damaged log of its own passes for a short one"),
    rules('    if other["damaged"]:\n', "    if False:\n", "a damaged log is put away", at="_put_away"),
    filters(
        "    reasons += _farthest(names, hostvars, left_out)\n", "", "which data must be kept is not told"
    ),
    filters('("last_zxid", "theirs"))', '("last_zxid",))', "what others left does not count"),
    filters("sum(map(bool, ends.values())) < 2", "not ends", "the only data are compared"),
    filters('found.get("theirs") and found.get("doubts")', 'found.get("theirs")', "told though all is well"),
    unreachable(
        "    if is_full(message):\n", "    if False:\n", "a host with a full disk is called unreachable"
    ),
    filters(
        '("" if is_full(message) else _missing(message))', "_missing(message)", "a full disk is a lost host"
    ),
    rules(
        "settings[setting.variable] > MOST",
        "settings[setting.variable] > MOST + 1",
        "2**31 stops every server",
    ),
    zoo_cfg('if not key.lower().endswith("password"):', "if True:", "a password is written to zoo.cfg"),
    zoo_cfg('if not key.lower().endswith("password"):', "if False:", "every key is a password"),
    rules(
        "[_secret_problem(key) for key in SECRET_KEY.findall(flag)]", "[]", "a digest is in the process list"
    ),
    rules(
        "(?:password|secret|superDigest))=", "(?:password|superDigest))=", "a secret is in the process list"
    ),
    rules(", re.IGNORECASE)\nPORTS", ")\nPORTS", "what is spelt another way is in the process list"),
    zoo_cfg('masked(f"{key}={value!r}")', 'f"{key}={value!r}"', "a digest that is no text is in the output"),
    # ------------------------------------------------------------ whose data may be replaced
    filters(
        "    if unknown:\n        return", "    if False:\n        return", "who was not seen has no data"
    ),
    filters(
        'if "leader" not in modes.values() or ',
        "if ",
        "the data of one that the others need to elect are given up",
    ),
    filters(
        " or 2 * len(serving) <= len(modes):", ":", "the data of the one follower of a leader are given up"
    ),
    filters("if end < its_end:", "if end > its_end:", "the newest data are put away"),
    filters(
        "key=lambda one: last_transaction(seen[one])",
        'key=lambda one: int(seen[one]["last_zxid"], 16)',
        "who just began an epoch has the newest",
    ),
    filters(
        "end, its_end = last_transaction(seen[newest]), last",
        'end, its_end = int(seen[newest]["last_zxid"], 16), last',
        "an epoch that just began is newer than all data",
    ),
    filters('if seen[name].get("damaged") else may', "if False else may", "a damaged log is put away"),
    filters(
        'for name in gate.get("blamed", []) if not modes[name]]', "for name in modes]", "who serves is ill"
    ),
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
    unreachable("        if lines:\n", "        if True:\n", "whatever fails, a password is missing"),
    unreachable("lines[-1].rstrip('.: ')", "''", "which right is missing is not told"),
    unreachable('f" ({last_line(errors)})" if errors else ""', '""', "why a module failed is not told"),
    unreachable("if part in message)", "if not part)", "one remedy for all that ssh may say"),
    unreachable("lines[-1] if lines", "lines[0] if lines", "a banner is shown for the reason"),
    unreachable("(via|over) ssh: )?(ssh: )?", "(via|over) ssh: )?", "ssh: ssh:"),
    unreachable("(via|over) ssh", "(via) ssh", "what Ansible wraps around it is shown"),
    filters('elif found.get("unreachable"):', "elif False:", "an unreachable host is not called that"),
    filters("        elif not found:\n", "        elif False:\n", "serial is not refused by its name"),
    filters(
        "list(dict.fromkeys(reasons + _tls_differs(names, hostvars) + _lists_skipped(names, hostvars)))",
        "reasons + _tls_differs(names, hostvars) + _lists_skipped(names, hostvars)",
        "each reason as often as there are hosts",
    ),
    filters(
        "    if not all(hosts.values()):\n",
        "    if True:\n",
        "some servers are restarted with TLS and others without",
    ),
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
        '["deployed_ports"][kind]',
        '["deployed_ports"].get("old")',
        "old ports are not asked",
    ),
    filters("if not may_be_gone(message):", "if False:", "a number is given to two servers"),
    filters("if not may_be_gone(message):", "if True:", "no way on without a host that is off"),
    unreachable("_SILENT.search(last_line(message))", "_SILENT.search(message)", "what a banner says counts"),
    unreachable("(Connection timed out|", "(Connection refused|Connection timed out|", "who refuses is gone"),
    # ------------------------------------------------------------ rules
    heap("wanted or (", "(", "zookeeper_heap_mb does nothing"),
    heap("installed if near else", "installed if installed else", "another memory changes nothing"),
    heap("installed if near else", "", "a reboot alone is a change"),
    heap("quarter // STEP_MB * STEP_MB)", "quarter)", "hosts alike have different heaps"),
    heap("memory_mb // 4", "memory_mb // 2", "half the memory"),
    heap("MIN_MB), MAX_MB)", "MIN_MB), MAX_MB * 4)", "a heap with long pauses"),
    rules("isinstance(value, bool) or not", "not", equivalent="what is true or false is no digits, either"),
    rules("254 if extended_types(settings) else 255", "255", "an id that TTL nodes take for themselves"),
    rules("not 1 <= number <= highest", "not 0 <= number <= highest", "id 0"),
    rules('as_id(m["id"]) for m in members}', 'm["id"] for m in members}', "2 and '2' are two"),
    rules("if value is not None)", ")", "two without an id have the same"),
    rules('host_port(m["host"], m["quorum_port"])', 'm["host"]', "two servers on one host are refused"),
    rules('str(value).lower() == "true"', 'value == "true"', "True is not true"),
    rules('sum(not member["observer"] for member in members)', "len(members)", "observers make it even"),
    rules("size // 2 - 1}", "size // 2}", "one loss too many"),
    rules(
        'if settings["zookeeper_admin_server"]:',
        "if True:",
        "a port that is not used is refused",
        at="_port_problems",
    ),
    rules("if not 0 < port < 65536", "if not 0 <= port < 65536", "port 0"),
    rules("if not 0 < port < 65536", "if not 0 < port <= 65536", "port 65536"),
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
        at="host_problems",
    ),
    rules(
        'found["data_dir"]["filled"] or found["txnlog_dir"]["filled"]',
        'found["data_dir"]["filled"]',
        "logs of nobody knows whom are taken over",
        at="doubts",
    ),
    rules('as_id(myid) != as_id(me["id"])', 'myid != me["id"]', "'1' is another than 1"),
    rules("if myid is not None and", "if", "data without myid are another's"),
    rules(
        'if found[key]["filled"] and path != settings[variable] and not moves and not beside:',
        "if path != settings[variable] and not moves and not beside:",
        "an empty directory may not change",
    ),
    rules(" and not moves and", " and", "data that are to be adopted must be moved by hand first"),
    rules(" and not beside:", ":", "one directory is to be moved to two places"),
    rules(
        'if found["data_dir"]["logs"] and not found["other"]:',
        "if False:",
        "a log stays beside the snapshots",
    ),
    rules(
        'if found["data_dir"]["logs"] and not found["other"]:',
        'if found["data_dir"]["logs"]:',
        "what is to be adopted must be moved first",
    ),
    rules('not (other["clash"] or', "not (", "data of its own are mixed with another's", at="adopts"),
    rules('or other["shared"])', ")", "logs stay where the server does not look", at="adopts"),
    rules('bool(settings["zookeeper_adopt"]) and', "", "data are adopted unasked", at="adopts"),
    rules(
        '        if other["clash"]:  # data',
        "        if False:  # data",
        "data of its own are not gone on with",
    ),
    rules(
        '    if other["shared"]:\n', "    if False:\n", "the data directory may be another's, full of logs"
    ),
    rules(
        '    if other["clash"]:\n        return',
        "    if False:\n        return",
        "which data are wanted is not asked",
    ),
    rules('if runs or found["unit"]["active"]:', "if runs:", "a server that just starts is no server"),
    rules('if runs or found["unit"]["active"]:', "if False:", "data are copied while they are written"),
    rules('if other["lacks_mb"]:', "if False:", "a disk is filled in the middle of it"),
    rules("problems += _file_problems(flag, settings)", "pass", "Java cannot start for its log"),
    rules("os.path.normpath(found[1])", "found[1]", ".. leads out of the directory"),
    rules('path.startswith(top + "/")', "path.startswith(top)", "a directory whose name goes on"),
    rules("stdout\\b|", "", "what Java writes to the journal is refused"),
    rules("(?:file=)?", "(?:file=)", "a file without the word is not seen"),
    rules(
        'line.partition(";")[0].removesuffix(":participant")',
        'line.partition(";")[0]',
        "who takes part is a stranger",
    ),
    rules('r"server\\.\\d+"', 'r"server.\\d+"', equivalent="no other key of zoo.cfg looks like that"),
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
    settings(
        '    if kind == "list":\n        items',
        "    if False:\n        items",
        "the words as Python has them",
    ),
    zoo_cfg("if setting.key}", "}", equivalent="no key is empty"),
    zoo_cfg(
        "if key.startswith(start) and key not in KNOWN)",
        "if key.startswith(start))",
        "server.principal is a member",
        at="_refused",
    ),
    zoo_cfg("and not key.startswith(PREFIXES)", "", "metricsProvider.className is unknown"),
    zoo_cfg("KNOWN | OWNED.keys(), n=1", "KNOWN, n=1", "a key with a variable is not guessed"),
    zoo_cfg('or "\\n" in str(value)', "", "a second line smuggles in a key"),
    zoo_cfg("value is None or", "", "None is written"),
    zoo_cfg('("#", "!")', '("#",)', "a comment is a key"),
    zoo_cfg("if equals}", "}", "a line without = is a key"),
]
