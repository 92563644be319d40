"""The packet filter: its rules, the module that loads them, and who is let in by the inventory."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_packet_filter_rules.py", "tests/unit/test_packet_filter.py"),)

rules = partial(Mutant, "plugins/module_utils/packet_filter.py")
module = partial(Mutant, "plugins/modules/packet_filter.py")
inventory = partial(Mutant, "plugins/filter/packet_filter_rules.py")

MUTANTS = [
    rules('source.strip("[] ")', "source.strip()", "an IPv6 address in brackets does not resolve"),
    rules(
        'if "host bits" in str(error):', "if False:", "a host's address with a prefix is said not to resolve"
    ),
    rules("for entry in found]", "for entry in found[:1]]", "one of a name's addresses is shut out"),
    rules('if not source.get("optional"):', "if True:", "a member that left with its name ends every run"),
    rules('if not source.get("optional"):', "if False:", "a misspelt name is shut out in silence"),
    rules('if rule["ports"]\n', "", "a rule without ports is no ruleset that nft takes"),
    rules("'iif \"lo\" accept', *lines", "*lines", "a host does not reach its own server"),
    rules("policy accept;", "policy drop;", "ssh is shut out"),
    rules("delete table inet {name}\n", "", "who was let in once is let in for ever"),
    rules("for version, family in FAMILIES", "for version, family in FAMILIES[:1]", "IPv6 is shut out"),
    rules('[*accepted, f"{ports} reject with tcp reset"]', "accepted", "everybody is let in"),
    rules("network.version == version", "True", "families are mixed"),
    rules("list(collapse_addresses(of_family))", "of_family", "overlapping networks are refused by nft"),
    rules(
        "if any(network.prefixlen == 0 for network in networks):",
        "if False:",
        "all addresses are one network",
    ),
    rules("if port in rule.ports), None)", "), None)", "clients are judged by the rule for members"),
    rules("if not any(ip_address(one)", "if any(ip_address(one)", "those are named who are let in"),
    module(
        "        if self.file.exists() and self.table:\n            return []\n",
        "",
        "whom it refuses already stop every run",
    ),
    module(
        "if self.file.exists() and self.table:",
        "if self.file.exists():",
        "after a run that was cut short clients are cut off without a word",
    ),
    module("{NFT} -f - && {NFT} list", "{NFT} list", "every table seems different"),
    module("present and not mine.table", "not mine.table", "who wants no filter is alarmed"),
    module("present and not mine.table", "False", "a filter that did not load at boot is missed by nobody"),
    module('run(NFT, "--check", "-f", "-", stdin=rules)', "pass", "what nft refuses is placed"),
    module("self.wanted or self.table or", "self.wanted or", "without namespaces every run loads it again"),
    module("if pair[1] != pair[2]]", "if not pair[1]]", "a change is never placed"),
    module("if pair[1]]", "]", "switched off, every run changes something"),
    module(
        'pairs.append((f"table inet {self.name}", self.table, self.wanted or self.table or "loaded\\n"))',
        "pass",
        "a flushed table is not noticed",
    ),
    module(
        'run("systemctl", "daemon-reload")\n        run("systemctl", "enable"',
        'run("systemctl", "enable"',
        "an old unit is loaded",
    ),
    module('        run("systemctl", "enable", self.unit)\n', "", "it is gone after a boot"),
    module('        run("systemctl", "restart", self.unit)\n', "", "it is loaded at the next boot only"),
    module(
        '            run("systemctl", "disable", "--now", self.unit)\n',
        "            pass\n",
        "a link to no unit stays",
    ),
    module("path.unlink(missing_ok=True)", "pass", "switched off, its files stay"),
    module(
        "if self.extension.parent.is_dir() and not any(self.extension.parent.iterdir()):",
        "if False:",
        "an empty directory is left",
    ),
    module(
        '            run(NFT, "delete", "table", "inet", self.name)\n',
        "            pass\n",
        "switched off, it still filters",
    ),
    module("new.chmod(0o644)", "pass", equivalent="the umask is 022 by then"),
    module("if found and not module.check_mode:", "if found:", "check mode loads it"),
    module("if problems:", "if False:", "a name that does not resolve is shut out in silence"),
    module(
        'resolve(module.params["rules"] if present else [])',
        'resolve(module.params["rules"])',
        equivalent="switched off, the roles give no rules",
    ),
    inventory('"optional": optional', '"optional": True', "a misspelt host is shut out in silence"),
    inventory("_lines(known)} - {peer", "_lines(known)} | {peer", "names of members need not resolve"),
    inventory('[*ports, *_ports(config, "observerMasterPort")]', "ports", "observers' port is open to all"),
    inventory(', *_ports(config, "secureClientPort")]', "]", "the port for TLS is open to all"),
    inventory(
        '[*peers, *_application(hostvars, groups), *_named("zookeeper_client_networks", settings)]',
        "[*peers, *_application(hostvars, groups)]",
        "clients are shut out",
    ),
    inventory("clients = [*peers, *_app", "clients = [*_app", "the quorum gate is shut out"),
    inventory(
        '"observerMasterPort")], "sources": peers}',
        '"observerMasterPort")], "sources": clients}',
        "clients reach the quorum",
    ),
    inventory(
        'hostvars[name].get("mwapp_host") or hostvars', "hostvars", "a host with two addresses is shut out"
    ),
    inventory("if hosts and new:", "if new:", "a host that could not be looked at ends the run"),
    inventory(
        'm["name"] in play_hosts and m["host"]', 'm["host"]', "--limit is refused for members that wait"
    ),
    inventory("    ports += _still(", "    _ = (", "old ports are open to all while servers use them"),
    inventory(
        "    client_ports += _still(", "    _ = (", "an old client port is open to all while servers use it"
    ),
    inventory(
        "if port} - {int(port) for port in wanted}", "if port}", "a port is filtered twice", at="_still"
    ),
    inventory('(:observer)?$", ""', '$", ""', "an observer that leaves is not known"),
    inventory('.strip("[]")', "", "IPv6 members seem unknown"),
    inventory("and int(config[key])]", "]", "port 0 is filtered"),
    inventory("{PROMETHEUS[0]: 7000, **config}", "config", "the default port of metrics is open to all"),
    inventory(
        'if is_true(settings["zookeeper_admin_server"]) else []', "", "a port that is not used is filtered"
    ),
    inventory('value.split(",") if isinstance(value, str) else value', "value", "-e shuts clients out"),
    rules(
        'for source in (source for rule in rules for source in rule["sources"]):',
        'for source in {source["address"]: source for rule in rules for source in rule["sources"]}.values():',
        "a misspelt name passes if a server that leaves has it, too",
    ),
]
