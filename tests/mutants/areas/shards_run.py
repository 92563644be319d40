"""What runs for shards."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_shard_handlers.py", "tests/unit/test_given_variables.py"),
    pytest("tests/unit/test_task_user.py"),
    pytest("tests/integration/test_shards.py"),
)

shards = partial(Mutant, "mwapp/execution/shards.py")
command = partial(Mutant, "mwapp/execution/shard_command.py")
handler = partial(Mutant, "mwapp/execution/shard_handler.py")
process = partial(Mutant, "mwapp/execution/shard_process.py")
handlers = partial(Mutant, "mwapp/handlers.py")
runner = partial(Mutant, "mwapp/execution/runner.py")
remote = partial(Mutant, "mwapp/execution/remote.py")

MUTANTS = [
    handler(
        'self._expect(2 if said in ("open", COPYING) and not self._closing else 0)',
        "",
        "a handler that hangs in caught_up keeps its place for ever",
    ),
    handler(
        "self._expect(2 if said in", "self._expect(1 if said in", "a machine that was paused kills handlers"
    ),
    handler(
        "        if said == COPYING:\n            return True\n",
        "",
        "the core hears a word that it does not know",
    ),
    process(
        "        elif clock.now() >= self._signed + SIGN:\n",
        "        elif False:\n",
        "a handler that copies for long is killed",
    ),
    process(
        "clock.now() >= self._signed + SIGN:", "True:", "each handler that copies writes 20 times a second"
    ),
    command(
        '        "MWAPP_ROLE": "primary",\n',
        "",
        "a command does not hear as what it runs",
    ),
    command(
        "{**environment, **about(opened)}", "about(opened)", "a shard's command lacks what all runs have"
    ),
    handler(
        "{**environment, **about(opened)}", "about(opened)", "a shard's handler lacks what all runs have"
    ),
    # ---------------------------------------------------------------- what runs
    runner(
        "            self._shards.kill_all()\n",
        "",
        "a shard's command outlives the daemon, which waits for it in vain",
    ),
    runner(
        " and self._handlers.empty and self._shards.empty:",
        " and self._handlers.empty:",
        "a daemon closes its session while a shard's command still runs",
    ),
    runner(
        '        self._shards.lose(f"mwapp lost sight of it: {problem}")\n',
        "",
        "a shard's command that was lost sight of runs on behind the core's back",
    ),
    shards(
        "                with suppress(OSError):  # each is told",
        "                if True:",
        "if one handler cannot be killed, the others that are lost sight of are never told",
    ),
    runner(
        "        if not self._closing:  # all",
        "        if True:  # all",
        "a shard's handler is opened at the end, and the daemon waits for it in vain",
    ),
    shards(
        "        if clock.now() >= command.until:",
        "        if False:",
        "a shard is opened when its session may be over",
    ),
    shards(
        '        if said == "closed":\n            del self._shards[run]\n',
        "",
        "a daemon waits in vain for handlers that have ended",
    ),
    command(
        "        if clock.now() >= command.until:",
        "        if False:",
        "a primary's command starts when its session may be over",
    ),
    command(
        '            self._say("late", self._generation)\n',
        "",
        "a command that took long to end is not followed by any",
    ),
    command(
        "        if self._group is not None:\n            self._group.kill(STOP_SECONDS)\n        else:\n",
        "        if self._group is not None:\n            self._group.kill(STOP_SECONDS)\n        if True:\n",
        "the next one begins while a command that is to end still runs",
    ),
    command(
        "            self._group.kill(STOP_SECONDS)",
        "            self._group.kill()",
        "a command that is to hand over is killed in the middle of a write",
    ),
    command(
        "            self._group.kill(grace)",
        "            self._group.kill(1000.0)",
        "a command whose session is over goes on",
    ),
    command(
        "self._generation, self._next = command.generation, command",
        "self._next = command",
        "a command never hears of its generation",
    ),
    command(
        "        elif self._next is not None:\n            self._become()",
        "        elif self._next is not None:\n            pass",
        "a shard stays without its command after a change",
    ),
    command(
        "        if self._closing:\n            self._say",
        "        if False:\n            self._say",
        "who closes a command waits for ever, or starts it again",
    ),
    command(
        "self._environment | _term(command)",
        'self._environment | _term(command) | {"MWAPP_GENERATION": str(self._opened.generation)}',
        "a command writes with the generation under which it was a replica",
    ),
    handler(
        "            self._loop.call_later(grace, self._group.kill)",
        "            pass",
        "a handler that hangs is never closed",
    ),
    handler(
        "        if grace <= 0:\n            self._closing = True\n            self._group.kill()",
        "        if grace <= 0:\n            self._closing = True\n            self._tell('close')",
        "a handler whose session is over has all the time that it likes",
    ),
    handler(
        "if said not in (*SAID, COPYING) or type(generation) is not int:",
        "if False:",
        "a handler says anything",
    ),
    handler(
        "        if problem_of_address(address) is not None:",
        "        if False:",
        "a handler tells clients any text as its address",
    ),
    process(
        "        if problem is not None:",
        "        if False:",
        "nobody learns that an address cannot be",
    ),
    process(
        '"generation": generation, "address": address}',
        '"generation": generation}',
        "no client learns where a handler is",
    ),
    handlers(
        "len(address) <= MOST_ADDRESS and",
        "",
        "an address is as long as a handler likes",
    ),
    handler(
        "            self._reason = self._reason or reason\n",
        "",
        "nobody learns why a handler has failed",
    ),
    handler(
        "        if reason is None and not self._closing:",
        "        if reason is None:",
        "a handler that was closed seems to have failed",
    ),
    process(
        'if clock.now() >= request["until"]:',
        "if False:",
        "a handler that was long in coming is opened when its session may be over",
    ),
    process(
        'if what == "promote" and clock.now() >= request["until"]:',
        "if False:",
        "a handler is promoted when its session may be over",
    ),
    process(
        "self._poll.poll(PAUSE * 1000):",
        "select.select([self._channel], [], [], PAUSE)[0]:",
        "handlers of a worker that has many open cannot wait",
    ),
    process(
        "            self._copying = None\n            shard.promote",
        "            shard.promote",
        "a primary says that it is a replica which is caught up",
    ),
    process(
        '            self._say("ready", self._copying)\n            self._copying = None\n',
        '            self._say("ready", self._copying)\n',
        "a replica says again and again that it is caught up",
    ),
    process(
        "self._shard.caught_up():",
        "True:",
        "a replica that has nothing yet counts as one that has everything",
    ),
    process(
        "        if os.getpid() == process:  # not a child that the handler forked\n",
        "        if True:\n",
        "a child that a handler forks ends the handler in its place",
    ),
    process(
        "            shard.close()\n            end(0)",
        "            end(0)",
        "a handler cannot close what it has open",
    ),
    # ---------------------------------------------------------------- as another user
    remote(
        'if isinstance(answer, Exited) or answer.said == "closed":',
        "if True:",
        "a worker whose tasks are another user's hears only the first word of a shard",
    ),
    remote(
        "return said in _SAID and -1 <= size <= MOST_OUTPUT and",
        "return",
        "a task makes its worker read without end",
    ),
    remote(
        "-1 <= size <= MOST_OUTPUT and problem_of_address(address) is None",
        "-1 <= size <= MOST_OUTPUT",
        "a task tells clients of a shard any text as its address",
    ),
    remote(
        "len(reason), says.address]",
        'len(reason), ""]',
        "shards of a worker whose tasks are another user's have no addresses",
    ),
    process(
        '    shard.table_czxid = request["table_czxid"]\n',
        "",
        "a handler takes what is on its disk of a deleted table for its own",
    ),
]
