"""The gate: the module zookeeper_gate, and what it makes of what servers say."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_gate.py", "tests/unit/test_zookeeper_health.py"),)

gate = partial(Mutant, "plugins/modules/zookeeper_gate.py")
health = partial(Mutant, "plugins/module_utils/zookeeper_health.py")
zoo_cfg = partial(Mutant, "plugins/module_utils/zookeeper_zoo_cfg.py")

MUTANTS = [
    gate(
        'int(old.get(one["name"], one[port]))',
        "int(one[port])",
        "a server whose port changes is asked where it does not listen yet: the change never begins",
    ),
    gate("        *clocks_apart(clocks),\n", "", "a clock that is a day off goes unnoticed"),
    gate(
        " for name, port in ports.items() if name in pending}",
        " for name, port in ports.items()}",
        "a server that was restarted is asked at the port it had",
    ),
    gate(
        'int(old.get(one["name"], one[port]))',
        'old.get(one["name"], one[port])',
        equivalent="a port that comes as text is one for a socket, too, and is told as the same",
    ),
    gate('bool(one.get("observer"))', "False", "observers are counted among the voters"),
    gate(
        'changing = bool(pending) and given["changing"]',
        'changing = given["changing"]',
        "the last look after a change of voters lets some wait for ever",
    ),
    gate(
        'changing = bool(pending) and given["changing"]',
        "changing = False",
        "a change of voters stops at servers that are still what they were",
    ),
    gate(
        "if problems and waited >= settle else []",
        "if problems else []",
        "servers that look for each other are restarted at once",
    ),
    gate(
        "if problems and waited >= settle else []",
        "if waited >= settle else []",
        "while voters change, one that may wait is restarted before those that observe",
    ),
    gate("waited >= settle", "waited < settle", "idle servers are given up at once, or never"),
    gate(
        "if not problems or stuck or waited", "if not problems or waited", "who is idle is waited for in vain"
    ),
    gate("if not problems or stuck or waited", "if stuck or waited", "health is not enough"),
    gate("or waited >= timeout", "", "an ensemble that is ill is waited for without end"),
    gate("or waited >= timeout", "or waited <= timeout", "nothing is waited for"),
    gate(
        "judge_change(members, states, pending) if changing else judge(members, states)",
        "judge(members, states)",
        "while voters change, nobody may be what it was",
    ),
    gate(
        "        states = look_at_all(members, tls)\n",
        "        states = look_at_all(members, tls) if not waited else states\n",
        "it looks once",
        at="wait",
    ),
    gate(
        "healthy = not found.problems", "healthy = not found.problems or bool(found.stuck)", "stuck is well"
    ),
    gate("healthy=healthy", "healthy=True", "always well"),
    gate("changed=False", "changed=not healthy", "looking changes something"),
    gate(
        "blamed=list(dict.fromkeys(problem.member for problem in found.problems if problem.member))",
        "blamed=list(dict.fromkeys(problem.member for problem in found.problems))",
        "the log of nobody is asked for",
    ),
    gate(
        "blamed=list(dict.fromkeys(problem.member for problem in found.problems if problem.member))",
        "blamed=[problem.member for problem in found.problems if problem.member]",
        "a log is shown twice",
    ),
    gate("found.states, pending, changing=changing", "found.states, pending", "who waits is not restarted"),
    gate("idle=found.stuck", "idle=idle(members, found.states, pending)", "restarted before it has settled"),
    gate("if healthy and not pending else ()", "if healthy else ()", "told to stop who is still counted on"),
    gate("if healthy and not pending else ()", "if not pending else ()", "told to stop what may be needed"),
    gate("if healthy and not pending else ()", "if False else ()", "nobody is told of it"),
    zoo_cfg('(?::observer)?"', '"', "observers are overlooked", at="server_address"),
    zoo_cfg('.strip("[]")', "", "of IPv6 nobody is told", at="server_address"),
    health("host, _quorum_port, election_port", "host, election_port, _quorum_port", "wrong port"),
    health("except (OSError, ValueError):", "except OSError:", "an odd line of zoo.cfg ends the run"),
    gate("max_workers=len(members)", "max_workers=1", "frozen servers are waited for one after the other"),
    gate(
        "look(member, ANSWER_SECONDS, context)",
        "look(member, 60, context)",
        "a frozen server holds the gate up",
    ),
    gate(
        "time.sleep(PAUSE_SECONDS)",
        "time.sleep(0)",
        equivalent="it asks more often; the answers are the same",
    ),
    gate("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
    gate('"default": 60}', '"default": 0}', "nobody waits"),
    gate('"default": 10}', '"default": 0}', "idle at once"),
]
