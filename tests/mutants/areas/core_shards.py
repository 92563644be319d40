"""Shards: the records' steps, the master's part, the worker's part."""

from functools import partial

from tests.mutants.killers import Killer, pytest, simulation_of_shards
from tests.mutants.mutant import Mutant

KILLERS: tuple[Killer, ...] = (
    pytest(
        "tests/unit/test_core_shards_handlers.py",
        "tests/unit/test_core_shards_holders.py",
        "tests/unit/test_core_shards_moves.py",
        "tests/unit/test_core_shards_protocol.py",
        "tests/unit/test_core_shards_steps.py",
        "tests/unit/test_core_shards_tables.py",
    ),
    simulation_of_shards(range(100)),
)

steps = partial(Mutant, "mwapp/core/shards/steps.py")
controller = partial(Mutant, "mwapp/core/shards/controller.py")
failures = partial(Mutant, "mwapp/core/shards/failures.py")
holder = partial(Mutant, "mwapp/core/shards/holder.py")
moves = partial(Mutant, "mwapp/core/shards/moves.py")
view = partial(Mutant, "mwapp/core/shards/view.py")
protocol = partial(Mutant, "mwapp/core/shards/protocol.py")
session = partial(Mutant, "mwapp/core/session.py")

MUTANTS = [
    # ---------------------------------------------------------------- tables that are replaced
    holder(
        "            self._note_page(name, page, node.stat.czxid)\n",
        "",
        "a handler goes on with what it has of a deleted table, as one of the next of its name",
    ),
    holder(
        "        for shard in self._pages.pop((name, page), {}):\n            self._reconcile((name, shard), None)\n",
        "",
        "a handler goes on with what it has of a deleted table, as one of the next of its name",
    ),
    holder(
        "        if self._czxids.get(name, czxid) < before and",
        "        if False and",
        "a handler is opened with the settings of a table that was deleted",
    ),
    holder(
        "        if (self._tables.get(name), self._czxids.get(name)) != (table, node.stat.czxid):",
        "        if self._tables.get(name) != table:",
        "a table like one that was deleted is taken for that one",
    ),
    # ---------------------------------------------------------------- steps
    steps(
        "self._record.generation, word)",
        "holder.says[0] if holder.says else 0, word)",
        "what is old is believed",
    ),
    steps(
        "if self._lives(n) and not self._says(n, FAILED)}",
        "if self._lives(n)}",
        "one that has failed stays the primary",
    ),
    steps("self._state(name) == SYNC}", "self._state(name) != BACK}", "a copy becomes the primary"),
    steps(
        "self._state(n) == BACK and self._says(n, READY)}",
        "self._state(n) == BACK}",
        "who is back is not asked",
    ),
    steps(
        "if not self._lives(name):\n                del self._members[name]\n            elif name not in",
        "if False:\n                del self._members[name]\n            elif name not in",
        "the dead stay members after an election",
    ),
    steps("grows = again or", "grows = ", "who has failed begins under the same generation"),
    steps(
        "or left or",
        "or",
        equivalent="with whoever is not in sync any more another is the primary, or somebody begins again",
    ),
    steps("or called_off or", "or", "a handover is called off under the same generation"),
    steps("called_off or primary != before.primary", "called_off", "two primaries in one generation"),
    steps("grows = again or who != was or", "grows = again or", "members come and go in one generation"),
    steps(
        "            target = before.wanted  # who is lost",
        "            target = None  # who is lost",
        "nobody waits for who is lost",
    ),
    steps("if not released:\n            return record", "", "nobody waits for the primary to release"),
    steps(
        "return self._given_up() if released else record", "return self._given_up()", "given up while it acts"
    ),
    steps("to == record.primary or to not in", "to not in", "a handover to the primary itself"),
    steps(
        "complete = wanted <= self._in_sync()", "complete = True", "a replica goes before the next is in sync"
    ),
    steps("and self._may_copy(name):", "and (self._may_copy(name) or True):", "everything is copied at once"),
    steps(
        "first in self._in_sync() - self._resting\n",
        "first in self._in_sync()\n",
        "who fails again and again gets the shard back each time",
    ),
    steps(
        "chosen = self._first(self._in_sync() - self._resting) or self",
        "chosen = self",
        "who fails again and again follows a primary that is lost, and others could",
    ),
    # ---------------------------------------------------------------- the master's part
    controller(
        "ops = [Check(EPOCH, self._epoch), *self._workers(work.changes), *work.ops]",
        "ops = [Check(EPOCH), *self._workers(work.changes), *work.ops]",
        "a deposed master writes",
    ),
    controller(
        "yield Check(assign_path(name), self._view.holders[name].incarnation)",
        "yield Check(assign_path(name))",
        "another incarnation gets it",
    ),
    controller("if not report.leaving}", "}", "one that leaves gets more"),
    controller("sorted(names - view.drains)", "sorted(names)", "a drained worker keeps what it has"),
    controller("now < missing[name] + table.grace}", "False}", "no grace"),
    controller(
        "if now < missing[name] + table.grace}",
        "}",
        "a grace without end",
    ),
    controller(
        "self._scope.after(end - now + ROUNDING_SECONDS, self._act)",
        "pass",
        "the end of the grace goes unnoticed",
    ),
    controller(
        "in self._missing_since.values() for grace in graces}",
        "in (self._missing_since.values() if self._missing_since.keys() - before.keys() else ())"
        " for grace in graces}",
        "the end of a grace that has changed goes unnoticed",
    ),
    controller(
        "self._eligible(table), self._eligible(table, known.wanted)",
        "self._eligible(table), self._eligible(table)",
        "a move leaves out who is away for a moment, and nobody plans again",
    ),
    controller(
        "there, workers = self._eligible(table),",
        "there, workers = self._eligible(table, known.wanted),",
        "a shard is moved to somebody who is not there",
    ),
    moves(
        "        if name not in there:\n",
        "        if False:\n",
        "a shard is moved to somebody who is not there",
    ),
    moves(
        "    if distinct < min(len(chosen), before):\n",
        "    if False:\n",
        "a person puts two replicas into one place",
    ),
    controller(
        'self.counters["moves_refused" if why else "moves"] += 1',
        'self.counters["moves"] += 1',
        "nobody sees that a move was refused",
    ),
    controller(
        'return "is stopping" if name in self._view.holders else "is not there"',
        'return "is not there"',
        "who asks for a move to a worker that stops is told that it is not there",
    ),
    moves(
        "rest.sort(key=lambda name: name not in there)",
        "pass",
        "a move waits for who is away, and one that is there has to go",
    ),
    controller("table.shards, table.page\n", "table.shards\n", "that a page has changed goes unnoticed"),
    controller(
        "urgent = table.anyone and any(",
        "urgent = False and any(",
        "of shared data nobody is primary in the grace",
    ),
    controller(
        "return not has_it and ",
        "return ",
        "a shard is planned as lost while somebody has it, because the one that was to get it is",
    ),
    controller(
        "has_it = any(self._is_there(name, member.incarnation) for name, member in record.members.items())",
        "has_it = any(name in self._view.holders for name in record.members)",
        "who comes back does not get what it had, when the one that was to get it is dead",
    ),
    controller(
        "else self._eligible(table, known.wanted)",
        "else self._eligible(table, self._missing_since)",
        "a lost worker for which another table waits gets shards of this one",
    ),
    controller(
        "failed = (record.generation, FAILED)",
        "failed = (record.generation, COPY)",
        "a failure goes unnoticed",
    ),
    controller(
        "            self._view.note_given(change.table, change.records)",
        "            pass",
        "a generation whose reply was lost is given again when a person has deleted its page",
    ),
    controller(
        "        self._scope.cancel()\n        self._stop_reading()\n",
        "        self._scope.cancel()\n        self._stop_reading()\n        self._floors.clear()\n",
        "generations that were given before a cut repeat when a person has deleted their page",
    ),
    controller(
        "Record(known.floor, target=())", "Record(0, target=())", "a deleted table's generations repeat"
    ),
    controller(
        "or any(record.members for _, record in known.records())",
        "or False",
        "a table is deleted under its owners",
    ),
    controller(
        'f"{MOVES}/{znode}", move.version)',
        'f"{MOVES}/{znode}")',
        "a move is done as it said before somebody changed it",
    ),
    controller(
        "        elif work.refused is not None and work.refused(result):\n",
        "        elif False:\n",
        "a move that cannot be deleted has everything read again",
    ),
    controller(
        'self._put_aside({(znode, "move")})',
        'self._put_aside({(znode, "move"), *((name, 0) for name in self._view.tables)})',
        "a move that cannot be deleted holds up its table",
    ),
    controller(
        "            self._forget_move(znode, move)  # it is another",
        '            self._put_aside({(znode, "move")})  # it is another',
        "a move that was changed waits",
    ),
    view(
        '        self._scope.get(f"{MOVES}/{name}", partial(self._move_seen, name), watch=again)\n',
        '        self._scope.get(f"{MOVES}/{name}", partial(self._move_seen, name))\n',
        "nobody sees that a move was changed",
    ),
    controller(
        "if not known.read:\n                continue",
        "if known.problem:\n                continue",
        "a typo in a table's znode holds up who follows whom",
    ),
    controller(
        "if known.read and not known.problem:\n                _give_up(known)",
        "_give_up(known)",
        "a new master deletes a table in which a person has made a typo",
    ),
    controller(
        "if known.unfit is not None:\n",
        "if False:\n",
        "records are made anew in other pages if a person sets `page`",
    ),
    controller(
        "stuck or (known.unfit if known.asked is not None else None)",
        "stuck or None",
        "nobody is told that `page` cannot be changed",
    ),
    controller(
        "known.problem or unreadable or stuck",
        "known.problem or stuck",
        "nobody is told of a page that a person has spoilt",
    ),
    controller(
        "        known.stuck = f",
        "        _ = f",
        "nobody is told what keeps a table from being deleted",
    ),
    controller(
        "        return None if short is None else short.why\n",
        "        return None\n",
        "nobody is told what the workers do not allow",
    ),
    controller(
        "return self._has_primary(record) and (failed or not self._serves(at, record))",
        "return self._has_primary(record) and not self._serves(at, record)",
        "nobody is told of a replica that always fails",
    ),
    controller(
        "self._wall() > record.since + COPIES_SECONDS",
        "False",
        "nobody is told of a replica that is never caught up",
    ),
    view(
        "node.stat.czxid, self._least, known)",
        "node.stat.czxid, known)",
        "generations repeat if a page is deleted that the next master could not read",
    ),
    view(
        "node.stat.czxid, self._least, known)",
        "node.stat.czxid, self._least)",
        "generations repeat if a page is deleted while the master reads",
    ),
    holder(
        "                Check(assign_path(self._name), self._was),\n",
        "",
        "a worker that comes late empties the znode of the next one of its name",
    ),
    protocol(
        "    check_table_name(name)\n    return Table",
        "    return Table",
        "a table that nobody can name at the command line has shards",
    ),
    holder(
        "                self._note_refusal(result, len(data))\n",
        "",
        "a worker that cannot say what it has is silent about it",
    ),
    holder(
        "self._unsaid = self._unsaid if self._too_large is not None else None",
        "pass",
        "a worker that can say what it has again seems not to",
    ),
    holder(
        "            self._too_large = size\n",
        "",
        "a worker that has too much to say never gets rid of it",
    ),
    holder(
        "in said.items() if _matters(saying, mine[key], self._name)}",
        "in ()}",
        "a worker that has too much to say does not say what it has released",
    ),
    protocol(
        "    if has > table.shards:\n",
        "    if False:\n",
        "a table that cannot be smaller seems to be",
    ),
    controller(
        "number - sum(self._has_primary",
        "len(records) - sum(self._has_primary",
        "a table without workers is well",
    ),
    controller(
        "its is not None and its[1] == FAILED for its in said",
        "its == (record.generation, FAILED) for its in said",
        "who fails again and again is well between",
    ),
    controller(
        "return self._wall() < record.since + SERVES_SECONDS",
        "return True",
        "who never begins to serve is well",
    ),
    controller(
        "self._scope.after(rest + ROUNDING_SECONDS, partial(self._rested, at, record.primary))",
        "pass",
        "nobody looks when a rest is over",
    ),
    failures(
        "number = last.number + 1 if last is not None and in_a_row else 1",
        "number = 1",
        "who fails again and again does not rest longer",
    ),
    controller(
        "            self._keep_away(name, known)\n", "", "a shard stays for ever where it always fails"
    ),
    controller(
        "self._resting.forget(which, move.said.split()[0])",
        "pass",
        "a person cannot move a shard to where it has failed",
    ),
    # ---------------------------------------------------------------- the worker's part
    holder('self._forget("session over")', "pass", "handlers outlive the session"),
    holder(
        "self._process.lease,\n            self._czxids",
        "float('inf'),\n            self._czxids",
        "a handler starts after the session",
    ),
    holder("generation, members, self._process.lease)", "generation, members)", "promoted after the session"),
    holder("if not handler.opened:", "if False:", "a handler that opens slowly is never promoted"),
    holder(
        'event.said == "late":  #',
        "False:  #",
        "a handler that was told too late to be the primary counts as that",
    ),
    holder(
        "is not None and record.generation == handler.generation:\n                self._promote(handler, record)",
        "is None:\n                self._promote(handler, record)",
        "a handler that was told too late is killed for it",
    ),
    holder(
        "if self._handlers:\n            self._scope.after(RETRY_SECONDS / 10",
        "if False:\n            self._scope.after(RETRY_SECONDS / 10",
        "another incarnation begins while handlers of the last are dying",
    ),
    holder(
        "Check(assign_path(self._name), incarnation), *ops]",
        "Check(assign_path(self._name)), *ops]",
        "an earlier incarnation reports for a later",
    ),
    holder("self._say(key, (record.generation, FAILED))", "pass", "the master does not hear of a failure"),
    holder(
        "or event.generation != handler.generation\n", "\n", "an answer to what it was told before counts"
    ),
    holder(
        "self._expect(key, handler, self._deadlines.releases)",
        "pass",
        "a handler that does not release holds up the move",
    ),
    holder(
        "Report(self._incarnation, self._labels, leaving, said, addresses)",
        "Report(self._incarnation, self._labels, False, said, addresses)",
        "nobody knows that it leaves",
    ),
    holder(
        "self._process.scope().after(self._drain, self._leave)", "pass", "a worker that is alone never leaves"
    ),
    holder(
        "[Check(path, self._stopped), Set(",
        "[Check(path), Set(",
        "a late farewell takes the next one's znode",
    ),
    view(
        "if self._note_page(name, number, node) or then is not None:",
        "if self._note_page(name, number, node):",
        "a page that is gone while it is read keeps a master from all that it has to do",
    ),
    holder(
        " or stat.version != self._version:",
        ":",
        "what a person has written over a worker's znode stays there",
    ),
    holder(
        "self._store([Set(path, data)], data, stat.version + 1)",
        "self._store([Set(path, data)], data, 1)",
        "a worker says the same again and again",
    ),
    holder(
        "self._verify_later()\n\n    def suspended",
        "\n    def suspended",
        "a znode that a person deletes stays away",
    ),
    holder(
        "self._incarnation is None and self._stopped is None and not self._handlers:",
        "self._incarnation is None and self._stopped is None:",
        "others are primaries while handlers of a worker that lost its name still act",
    ),
    holder("self._withdraw()\n            self._leave", "self._leave", "who lost its name keeps its shards"),
    holder(
        "self._report_soon()\n        self._look_for_others()",
        "self._report_soon()",
        "a worker that is alone waits for nobody",
    ),
    holder("if report is None or report.leaving:", "if report is None:", "all wait for each other"),
    holder(
        "self._deadlines.closes if self._process.usable else 0.0",
        "0.0",
        "handlers of a worker that leaves are killed without a word",
    ),
    holder(
        "if not (self._any_table or self._enrolled):",
        "if False:",
        "a worker says in each new connection that it has nothing, though there is no table",
    ),
    holder(
        "if self._any_table and self._enrolled and",
        "if self._enrolled and",
        "a worker looks for its znode without end, though there is no table any more",
    ),
    holder(
        "if present and not self._asked_who:", "if not self._asked_who:", "a worker enrols without a table"
    ),
    holder(
        "Set(holder_path(self._name), NO_HOLDER)]",
        "Check(holder_path(self._name))]",
        "one that has left is given shards",
    ),
    holder(
        "wait = self._pause(key, before)",
        "wait = self._pause(key, before + 1)",
        "nobody serves a shard for a second, though its handler died for the first time",
    ),
    holder(
        "if well > max(self._deadlines.steady, self._pause(key, before)):",
        "if handler.said is not None:",
        "a handler that serves and ends at once begins again without a longer pause",
    ),
    holder(
        "if well > max(self._deadlines.steady, self._pause(key, before)):",
        "if False:",
        "a handler that was well for a day begins again after ten minutes",
    ),
    holder(
        "            handler.address = event.address\n            self._report_soon()\n",
        "            handler.address = event.address\n",
        "nobody is told where a replica is that copies",
    ),
    holder(
        "said = {key: (its.generation, OPEN) for key, its in told.items()} | self._said",
        "said = self._said | {key: (its.generation, OPEN) for key, its in told.items()}",
        "who has an address never serves",
    ),
    # ---------------------------------------------------------------- what is read, and the session
    view(
        "if isinstance(node, Node) and node.stat.owner else None",
        "if isinstance(node, Node) else None",
        "a holder that outlives everybody counts",
    ),
    view(
        "self.holders.pop(name, None)\n        new",
        "pass\n        new",
        equivalent="its own znode is read again as well, and is not there",
    ),
    protocol("if table.shards > MAX_PAGES * table.page:", "if False:", "a table that can never be deleted"),
    protocol("(*saying, address) if address else saying", "saying", "nobody is told an address"),
    protocol("if primary and primary not in members:", "if False:", "a primary that is no member"),
    session(
        "if self._runs or self._shards:", "if self._runs:", "the session is closed while handlers are dying"
    ),
    holder(
        "self._verify_incarnation)\n            self._verify_later()",
        "self._verify_incarnation)\n                self._verify_later()",
        "a worker that was there before the first table looks once",
    ),
    view(
        "            self._held.discard(name)  # it may come again, and is new then\n",
        "            pass\n",
        "a holder that goes while it is read, and comes back, is not heard",
    ),
]
