"""What status.yml shows: the module zookeeper_status, and the filters that make the report and the table."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_status.py", "tests/unit/test_status.py"),)

status = partial(Mutant, "plugins/modules/zookeeper_status.py")
report = partial(Mutant, "plugins/filter/status_report.py")

MUTANTS = [
    status(
        "in_force(running, on_disk)",
        "in_force(on_disk, running)",
        "the disk of another directory is shown",
    ),
    status("in_force(running, on_disk)", "in_force(running)", "of a stopped server the disk is not shown"),
    status(
        'plan.get("dataLogDir", plan["dataDir"])',
        'plan["dataDir"]',
        "before the first start, another directory",
    ),
    status("disk(txnlog_dir)", "disk(data_dir)", "a full log is not seen"),
    status('("srvr", "mntr"))', '("mntr", "srvr"))', "every server serves nobody"),
    status('if result["server"]:', "if True:", "one that serves nobody has a zxid"),
    status("zxid[1] if zxid else None", "zxid[1]", "what answers oddly ends the playbook"),
    status("except OSError as error:", "except ConnectionRefusedError as error:", "a frozen server ends it"),
    status(
        "ask(me, word, ANSWER_SECONDS, tls)",
        "ask(me, word, 60, tls)",
        "a frozen server holds the playbook up",
    ),
    status("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
    status("changed=False,", 'changed="error" in result,', "looking changes something"),
    status(
        "config=differences(wanted, on_disk, running)",
        "config=differences(wanted, running, on_disk)",
        "swapped",
    ),
    status('if "server_state" not in said:', "if not said:", "what answers something is a server"),
    status("millis // 1000", "millis", "a thousand times the time"),
    status(
        ".st_blocks * BLOCK",
        ".st_size",
        "sparse files of the log take what they do not",
    ),
    status("BLOCK = 512", "BLOCK = 4096", "eight times the space"),
    status(
        "room.f_bavail",
        "room.f_bfree",
        "what root alone can have is free",
    ),
    status("room.f_bavail * room.f_frsize", "room.f_bavail", "free space in blocks"),
    status("round(value, 2)", "int(value)", "no fractions"),
    status("except FileNotFoundError:  # purged", "except PermissionError:  # purged", "a purge ends it"),
    status("except (KeyError, ValueError):", "except KeyError:", "NaN, or what is no number, ends it"),
    status(
        "for name, text in texts.items() if text is not None}",
        "for name, text in texts.items() if text}",
        "an emptied file differs in nothing",
    ),
    status("}) > 1", "}) > 2", "two of three that differ pass"),
    report(
        'ensemble["state"] in ("healthy", "not asked")', 'ensemble["state"] != "unknown"', "ok with no quorum"
    ),
    report('and application["state"] in', 'or application["state"] in', "ok if one of the two is"),
    report('"members" in (view :=', "(view :=", "a host that was not asked ends the report"),
    report(
        '"inconsistent" if differ else',
        '"inconsistent" if False else',
        "other data are no matter",
    ),
    report(
        '    if state == "healthy":\n        state = "incon',
        '    if True:\n        state = "incon',
        "no quorum, and it is called inconsistent",
    ),
    report("problems + differ + bare,", "problems + bare,", "why it is inconsistent is not said"),
    report("max(common, key=_zxid)", "min(common, key=_zxid)", "what once differed differs for ever"),
    report("max(common, key=_zxid)", "max(common)", "0x80 is newer than 0x100"),
    report("set.intersection(*map(set", "set.union(*map(set", "one that is ahead ends the report"),
    report(
        'if (digests := status.get("digests"))',
        'if (digests := status.get("digests")) is not None',
        "a server that was just started hides that the others differ",
    ),
    report(
        "if len(groups) > 1 else", "if len(groups) > 2 else", "one that differs from the others is overlooked"
    ),
    status("^([0-9a-f]+): (\\d+)$", "^(\\d+): (\\d+)$", "of most zxids no digest is read"),
    status('"digest_mismatches_count"', '"digest_mismatches"', "a server that has noticed it is not heard"),
    report(
        'sum(bool(state["mode"])',
        'sum(bool(state["reachable"])',
        "who sees servers that serve nobody is believed",
    ),
    report(
        'key=lambda it: sum(bool(state["mode"]) for state in it["members"].values()), default={}',
        "key=lambda it: 0, default={}",
        "the first is believed",
    ),
    report('if state["mode"] in SERVES]', 'if state["reachable"]]', "who serves nobody serves"),
    report('"degraded" if serving else "no quorum"', '"degraded"', "the worst is called bad"),
    report('elif view["healthy"]:', "elif serving:", "an ill ensemble is healthy"),
    report(
        'in ("leader", "standalone")), None)', 'in ("leader",)), None)', "one that is alone has no leader"
    ),
    report('"serving": len(serving)', '"serving": len(seen)', "all serve"),
    report('if said or seen.get("mode"):', "if said:", "a server whose host cannot be reached is unknown"),
    report(
        '"not serving" if found["unit"]["active"] else "stopped"', '"not serving"', "what is stopped runs"
    ),
    report('"unknown" if seen.get("reachable", True) else "down"', '"down"', "what nobody looked at is down"),
    report(
        '"error": None if looked else _reason(found)', '"error": None', "why a host is missing is not said"
    ),
    report("_drift(known) if looked else None", "_drift(known)", "a host that is gone ends the report"),
    report('if "timedout" in result:', "if False:", "no reason for a frozen host"),
    report('"; ".join(result["problems"])', 'result["problems"][0]', "one problem of several"),
    report('if result.get("unreachable"):', "if False:", "what ssh wraps around it is shown"),
    report('if found["missing"]:', "if False:", "a package that was removed is not seen"),
    report('if not found["unit"]["present"]:', "if False:", "a host without a server differs in everything"),
    report("            break\n", "", "one thing is told twice", at="_drift"),
    report('("enabled", "active")', '("active",)', "a server that will not come back is not seen"),
    report('"members" if key["key"].startswith("server.") else "config"', '"config"', "another kind"),
    report('if not (keys and path.endswith("/zoo.cfg"))', "if True", "zoo.cfg is told of twice"),
    report(
        'if not (keys and path.endswith("/zoo.cfg"))',
        'if not path.endswith("/zoo.cfg")',
        "a comment lost in zoo.cfg is not told",
    ),
    report("[*waiting, *other]", "waiting", "a file of root that differs is not seen"),
    report("[*waiting, *other]", "other", "a file that waits is not seen"),
    report('for path in found["stale"]:', "for path in ():", "a restart that is due is not seen"),
    report(" + _returned(hosts, hostvars)", "", "a dead server that is back is no problem"),
    report('for text in found["problems"]]', "for text in ()]", "what site.yml would refuse is not told"),
    report("'none' if key[at] is None else key[at]", "key[at]", "None is shown to people"),
    report("if host in hosts]\n    active", "]\n    active", "what was not looked at is judged"),
    report(
        'row["service"] != "worker" and row["state"] == "active"',
        'row["state"] == "active"',
        equivalent="no worker is ever active",
    ),
    report('if not row["ready"]]', "]", "who is ready has a problem"),
    report(
        "(masters or nodes) and {*masters, *nodes} <= set(hosts)",
        "(masters or nodes)",
        "a master that was not asked is missed",
    ),
    report("(masters or nodes) and", "", "workers alone have no master"),
    report("len(active) != 1:", "not active:", "two active masters are well"),
    report(
        "active[0] if len(active) == 1 else None",
        "active[0] if active else None",
        "one of two masters is the one",
    ),
    report("'s are' if len(active) > 1 else ' is'", "' is'", "2 master is active"),
    report(
        'if it["item"]["role"] == role), status)',
        'if it["item"]["role"] == role), {})',
        "why a host was not asked is not said",
    ),
    report("if leads else {}", "", "a master that stands by has figures"),
    report(
        'part.get("worker", {}) | (part.get("master", {}) if leads else {}) | part',
        'part | part.get("worker", {})',
        "a node is its worker",
    ),
    report(
        'document.get("reason") or _reason(result)',
        "_reason(result)",
        "what a service says of itself is lost",
    ),
    report('bool(document.get("ready"))', "bool(document)", "what answers is ready"),
    report('if role != "worker" else None', "", equivalent="a worker tells no such figure"),
    report("len(running) if isinstance(running, list) else running", "running", "a list in a cell"),
    report('["size"] > 1 else ""', '["size"] > 2 else ""', "of two nobody leads"),
    report('if disk["used"] is not None]', "]", "a directory that is gone ends the table"),
    report('_size(sum(used)) if used else "-"', '_size(max(used)) if used else "-"', "half of it"),
    report(
        '_size(min(free)) if free else "-"',
        '_size(max(free)) if free else "-"',
        "the disk that is full is not seen",
    ),
    report('"-" if latency == "-/-" else latency', "latency", "no figure is shown as two"),
    report(
        'drifts.setdefault(it["text"], []).append(row["host"])',
        'drifts[it["text"]] = [row["host"]]',
        "one host of several",
    ),
    report("if len(versions) > 1:", "if versions:", "one version differs"),
    report("heading not in WORDS", "heading in WORDS", "words are ranged right"),
    report('"-" if value is None else', '"-" if not value else', "a zero is shown as nothing"),
    report("if number < 1000:", "if number < 1024:", "four digits"),
    report("number /= 1024", "number /= 1000", "other units"),
    report("if seconds >= unit:", "if seconds > unit:", "60s"),
    report("seconds % unit // small", "seconds // small", "minutes beyond 60"),
    report('"unfiltered" if bare else state', "state", "a server that everybody reaches is well"),
    report(
        'document = result.get("json") or before.get("json") or {}',
        'document = result.get("json") or {}',
        "who is yet to be restarted does not answer",
    ),
]
