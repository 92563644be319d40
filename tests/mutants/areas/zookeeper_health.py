"""When an ensemble is healthy, and in which order its servers restart."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

FILES = ("health", "restart_order")
KILLERS = (pytest(*(f"tests/unit/test_zookeeper_{name}.py" for name in FILES)),)

health = partial(Mutant, "plugins/module_utils/zookeeper_health.py")
within = partial(Mutant, "plugins/module_utils/within.py")
order = partial(Mutant, "plugins/module_utils/zookeeper_restart_order.py")

MUTANTS = [
    health(
        'if tuple(map(int, version.split("."))) < KEEPS_WRITES:',
        "if version:",
        "every release is warned of",
    ),
    health(
        'tuple(map(int, version.split("."))) < KEEPS_WRITES:',
        'version in ("3.8.0", "3.9.3"):',
        "nobody is told of a release between those of Debian",
    ),
    health(
        "not version or len(versions) < 2 or", "not version or", "a server that serves alone is warned of"
    ),
    health("len(versions) < 2 or snapshots:", "len(versions) < 2:", "the remedy does not help"),
    health(
        "if abs(seconds) > CLOCK_SECONDS", "if seconds > CLOCK_SECONDS", "a clock that is behind is not told"
    ),
    health("order[(len(order) - 1) // 2]", "order[0]", "one clock that is behind makes all others wrong"),
    order("if member.name == first or", "if", "others look for a leader where it is not yet"),
    # ------------------------------------------------------------ what servers say, and what that means
    health("if NOT_SERVING in srvr:", "if srvr:", "garbage is a server that waits"),
    health("None if followers is None else followers - uncounted", "followers", "who is not counted counts"),
    health(
        'uncounted + (_number(mntr, "zk_synced_observers") or 0)',
        '_number(mntr, "zk_synced_observers") or 0',
        "one that comes is never in sync",
    ),
    health(r"(\d+)(?:\.\d+)?", r"(\d+)", "2.0 followers are none"),
    health(
        "if size == 1:\n        return problems",
        "if False:\n        return problems",
        "one that is alone has no leader",
    ),
    health(
        "if len(leaders) != 1:\n        return problems + _leader",
        "if not leaders:\n        return problems + _leader",
        "two leaders are well",
    ),
    health("size - observers - 1", "size - 1", "observers are missed among the followers"),
    health(
        "leader.synced_followers != wanted",
        "leader.synced_followers < wanted - 1",
        "one that is not in sync is well",
    ),
    health(
        "elif leader.synced_others < observers:", "elif False:", "an observer that is not in sync is well"
    ),
    health(
        "if leader.synced_followers is None:",
        "if False:",
        "a leader that does not count is compared with a number",
    ),
    health("for member in members) <= 2", "for member in members) <= 3", "of three any may wait"),
    health(
        "may_wait = few or (leaders and leaders[0] not in pending if due else demoted)",
        "may_wait = few or (True if due else demoted)",
        "two servers wait at once: no quorum",
    ),
    health(
        "may_wait = few or (leaders and leaders[0] not in pending if due else demoted)",
        "may_wait = few",
        "who waits for its restart stops the change",
    ),
    health(
        "not in pending if due else demoted)",
        "not in pending if due else False)",
        "who waits until another leads stops the change",
    ),
    health(
        "if member.name in leaders and member.name in pending)",
        "if member.name in leaders)",
        "an observer leads",
    ),
    health(
        "waits = state.reachable and state.mode is None",
        "waits = state.mode is None",
        "one that is gone may wait",
    ),
    health(
        "len(members), what_it_was=due)", "len(members), what_it_was=True)", "who should have changed has not"
    ),
    health("    if few:\n        return problems\n", "", "of two voters one may not wait"),
    health(
        "(leader.synced_followers or 0) + leader.synced_others",
        "leader.synced_followers or 0",
        "observers are not in sync",
    ),
    health("synced < serving - 1", "synced < serving - 2", "one may be behind"),
    health("    if what_it_was:\n        return None\n", "", "who is still what it was stops the change"),
    health('size == 1 and state.mode != "standalone"', "False", "a follower of strangers is well alone"),
    health('size > 1 and state.mode == "standalone"', "False", "one for itself is called something else"),
    health('state.mode == "observer" and not member.observer', "False", "an observer passes for a voter"),
    health('state.mode != "observer" and member.observer', "False", "a voter passes for an observer"),
    health('parse(srvr).mode == "leader"', "False", "a leader that tells nothing", at="look"),
    health(
        "except TimeoutError:",
        "except ZeroDivisionError:",
        "the reason is 'timed out', without how long",
        at="look",
    ),
    health("said.read(MAX_ANSWER)", "said.read()", "what never ends is read for ever"),
    health(
        "io.BufferedReader(Within(connection, end - time.monotonic()))",
        'connection.makefile("rb")',
        "who sends a byte now and then hangs the gate for hours",
    ),
    within("self._end - time.monotonic()", "self._end", "who sends a byte now and then hangs the gate"),
    health(
        "except UnicodeError as error:",
        "except ZeroDivisionError as error:",
        "a name that is none ends the run",
    ),
    health("host_port(member.host, member.port)", 'f"{member.host}:{member.port}"', "fd00::11:2181"),
    # ------------------------------------------------------------ the order
    order(
        ' or (member.observer and mode == "leader")',
        "",
        "others look for a leader that they do not vote for",
    ),
    order(
        'member.observer or mode in ("observer", None)',
        'mode in ("observer", None)',
        "one that shall observe is one of the last",
    ),
    order(
        'mode in ("observer", None):', 'mode == "observer":', "one that waits is restarted after followers"
    ),
    order('2 if mode in ("leader", "standalone") else 1', "1", "an election more than needed"),
    order(
        "member.name in pending and states[member.name].reachable]",
        "member.name in pending]",
        "one that is gone is restarted first",
    ),
    order(
        "if changing or states[member.name].mode]", "]", "who serves nobody is rolled like one that serves"
    ),
    order(
        "states[member.name].reachable or spare",
        "True",
        "one that cannot be reached is idle: it may serve others",
        at="idle",
    ),
    order(
        "states[member.name].reachable or spare",
        "states[member.name].reachable",
        "a server that a setting has broken never gets the corrected one",
        at="idle",
    ),
    order("not changing and len(serving)", "len(serving)", "while voters change there are two quorums"),
    order("> len(voters) // 2", ">= len(voters) // 2", "half of the voters are no quorum"),
    order("if not member.observer]", "]", "observers are no part of the quorum"),
]
