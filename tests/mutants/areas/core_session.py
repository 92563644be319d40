"""A process and its session; who leads; what goes together."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

session = partial(Mutant, "mwapp/core/session.py")
election = partial(Mutant, "mwapp/core/election.py")
candidates = partial(Mutant, "mwapp/core/candidates.py")
batching = partial(Mutant, "mwapp/core/batching.py")
layout = partial(Mutant, "mwapp/core/layout.py")
node = partial(Mutant, "mwapp/core/node.py")

MUTANTS = [
    session(
        "return self.usable and bool(self._answered)",
        "return self.usable",
        "it says that writes are carried out where none is",
    ),
    # ---------------------------------------------------------------- the deadline
    session("REPORT = 0.25", "REPORT = 0.05", "an answer proves what its server has perhaps not reported"),
    session("0.25 * (1 + DRIFT)", "0.25", "who has the faster clock takes a report for made before it is"),
    session("SAFETY_MARGIN = 0.05", "SAFETY_MARGIN = 0.0", "no time is left to stop what must not go on"),
    session("HEARTBEATS = 7", "HEARTBEATS = 2", "proofs of life are too far apart to count"),
    session(
        "self.lease = lived + self.timeout * (1 - SAFETY_MARGIN)",
        "self.lease = self.now + self.timeout * (1 - SAFETY_MARGIN)",
        "the deadline counts from when the proof came, not from when we lived",
    ),
    session(
        "self._prove(now if asked is None else asked)",
        "self._prove(now)",
        "a session confirmed late is taken for a fresh one",
    ),
    session(
        "self._prove(max(self._proof, now if asked is None else asked))",
        "self._prove(now)",
        "a session that was gone on with counts from when we heard of it",
    ),
    session(
        "self._prove(max(self._proof, now if asked is None else asked))",
        "pass",
        "the leader has just said that the session lives, and it counts for nothing",
    ),
    session(
        "self._answered.clear()",
        "pass",
        equivalent="who goes on with a session has asked the leader later than any answer of before",
    ),
    session(
        "self._answered[0][0] <= sent - self.timeout * REPORT",
        "self._answered[0][0] <= self.now - self.timeout * REPORT",
        "the report is reckoned from the answer instead of the request",
    ),
    session(
        "self._answered.popleft()[1]",
        "self._answered.popleft()[0]",
        "what proves is when it was answered, not when it was sent",
    ),
    session(
        "self._answered.append((self.now, sent))",
        "self._answered.append((sent, sent))",
        "what was only just answered is taken for reported",
    ),
    session(
        "if isinstance(pending.operation, Transaction):\n            if not refused",
        "if True:\n            if not refused",
        "a read that was answered is taken for a proof",
    ),
    session(
        "            if not refused:  # the edge",
        "            if True:  # the edge",
        "what the edge refused by itself is taken for an answer of the ensemble",
    ),
    session(
        "if isinstance(result, Failed) and result.error in CUT_OFF:",
        "if isinstance(result, Failed) and result.error is Error.SESSION_EXPIRED:",
        "a cut-off reply is taken for an answer",
    ),
    session(
        "self.session is not None and self.now >= self.lease",
        "self.session is not None and self.now > self.lease + 1.0",
        "the deadline comes too late",
    ),
    session(
        "if self._session_is_over():\n            self._lose(abandon=not isinstance(event, Expired | Connected))",
        "pass",
        "who was frozen handles what it missed before it looks at its deadline",
    ),
    session(
        "return self.lease if due is None or self.lease < due else due",
        "return due",
        "nobody wakes up for the deadline",
        at="Process.deadline",
    ),
    session(
        "self._heart.after(self.timeout / HEARTBEATS, self._beat)",
        "pass",
        "one proof of life is asked for, and never another",
        at="Process._beat",
    ),
    # ---------------------------------------------------------------- connections and sessions
    session(
        "        self._beat()\n        for part",
        "        self._heart.after(self.timeout / HEARTBEATS, self._beat)\n        for part",
        "the first request is a read, which a server that lags answers from long ago",
    ),
    session(
        "        self._beat()\n        for part in list(self._parts):\n            part.connected()",
        "        for part in list(self._parts):\n            part.connected()\n        self._beat()",
        "the parts read before the transaction that makes reading safe",
    ),
    session(
        "self._pending.clear()", "pass", "an answer of the last connection would count", at="Process._cut"
    ),
    session("self._watches.clear()", "pass", "watches pile up for ever", at="Process._cut"),
    session("self._heart.cancel()", "pass", "two hearts beat after the first cut", at="Process._cut"),
    session(
        "            for part in list(self._parts):\n                part.suspended()",
        "            pass",
        "nobody hears that the connection is gone",
    ),
    session(
        "        if was_usable:\n            for part in list(self._parts):\n                part.suspended()",
        "        for part in list(self._parts):\n            part.suspended()",
        "every part is told of a cut twice",
    ),
    session(
        "self._cut()\n        self.session = None",
        "self.session = None",
        "what was under way, and who is suspended, is not looked after when the session ends",
    ),
    session(
        "self.session = None\n        for part",
        "for part",
        "an ended session goes on",
        at="Process._lose",
    ),
    session(
        "        if abandon and (self._parts or not self.stopping):  # if not, Close has been said\n            self._give_up()",
        "        pass",
        "the edge goes on with a session that the core has given up",
    ),
    session(
        "if abandon and (self._parts or not self.stopping):",
        "if abandon:",
        "a session that is being closed is given up as well",
    ),
    session(
        "self._given_up.after(self.timeout * SAFETY_MARGIN, self._abandon)",
        "pass",
        "who has a command that cannot be killed never gets another session",
    ),
    session(
        "        if self._given_up is not None:  # it has ended meanwhile\n            self._given_up.cancel()\n            self._given_up = None\n",
        "",
        "the next session is given up for the one before",
    ),
    session(
        "        if self._given_up is not None and not self._runs and not self._shards:\n            self._abandon()\n",
        "        pass\n",
        "a session that was given up is closed only when it is over by itself",
    ),
    session(
        "                self._runs.discard(event.run)\n",
        "",
        "a session that was given up is closed only when it is over by itself",
    ),
    session(
        "self._lose(abandon=not isinstance(event, Expired | Connected))",
        "self._lose(abandon=True)",
        "the edge is told to give up the session that it has just begun",
    ),
    session(
        "                    part.closed(session)\n",
        "                    pass\n",
        "who waits for the end of a session that was given up does not hear that it is closed",
    ),
    session(
        "case Suspended():\n                self._cut()",
        "case Suspended():\n                pass",
        "a cut goes unnoticed",
    ),
    session(
        "if not self.usable or scope.cancelled:",
        "if scope.cancelled:",
        "requests are sent while there is no connection",
    ),
    session(
        "if not self.usable or scope.cancelled:",
        "if not self.usable:",
        "what was dropped goes on asking",
    ),
    # ---------------------------------------------------------------- scopes, watches, timers
    session(
        "if not pending.scope.cancelled:\n            pending.then(result)",
        "pending.then(result)",
        "an answer reaches what was dropped",
    ),
    session(
        "for scope, call in self._watches.pop(path, {}).items():\n            if not scope.cancelled:",
        "for scope, call in self._watches.pop(path, {}).items():\n            if True:",
        "a watch reaches what was dropped",
    ),
    session(
        "self._watches.pop(path, {}).items()",
        "list(self._watches.get(path, {}).items())",
        "a watch that has fired fires again",
    ),
    session(
        "            for other in [other for other in calls if other.cancelled]:\n                del calls[other]",
        "            pass",
        "a watch for each tenure there ever was",
    ),
    session(
        "calls[scope] = watch",
        "calls.setdefault(scope, watch)",
        "the older of two watches of one path",
    ),
    session(
        "for _, _, scope, call in due:\n            if not scope.cancelled:",
        "for _, _, scope, call in due:\n            if True:",
        "a timer reaches what was dropped",
    ),
    session(
        "self.timers = [timer for timer in self.timers if not timer[2].cancelled]\n        heapify(self.timers)",
        "",
        "timers of what was dropped pile up",
    ),
    session(
        "if len(results) == len(paths):",
        "if index == len(paths) - 1:",
        equivalent="answers come in the order of their requests",
        at="Scope.get_all",
    ),
    session(
        "        if not paths:\n            then([])",
        "",
        "who reads none of anything waits for ever",
        at="Scope.get_all",
    ),
    # ---------------------------------------------------------------- parts
    session("case Stop() if not self.stopping:", "case Stop():", "a second SIGTERM begins the end anew"),
    session(
        "if not self._parts and self.stopping:",
        "if not self._parts:",
        "a process closes without having been asked to",
        at="Process.part_stopped",
    ),
    session(
        "if not self._parts and self.stopping:",
        "if self.stopping:",
        "the first part that stops ends the session of the others",
        at="Process.part_stopped",
    ),
    session(
        "return len(self._parts) == 1", "return len(self._parts) <= 2", "a peer's winner ends with its tasks"
    ),
    session(
        "Run(run, task, environment, self.lease)",
        "Run(run, task, environment)",
        "a command is started however late",
    ),
    # ---------------------------------------------------------------- the election
    election(
        "                    self._at_once = max(1, self._at_once // 2)\n                self._scope.after(ELECTION_RETRY_SECONDS, self._restart)",
        "                    self._at_once = max(1, self._at_once // 2)",
        "no candidate any more after an answer nobody foresaw",
    ),
    election(
        "Create(MASTER, self._address.encode(), ephemeral=True)]",
        "Create(MASTER, self._address.encode())]",
        "leadership that outlives its holder",
    ),
    election(
        "self._elected(number + 1)", "self._elected(number)", "a master acts under the epoch before its own"
    ),
    election(
        "result.error in STALE:\n                self._look()",
        "result.error is Error.BAD_VERSION:\n                self._look()\n            elif result.error is Error.NODE_EXISTS:\n                pass",
        equivalent="the watch of the look that saw nobody goes off as well, and has it look again",
    ),
    election(
        "if isinstance(result, tuple) and wins:",
        "if isinstance(result, tuple):",
        "who has raised a count takes itself for elected",
    ),
    election(
        "Set(count, won, number)]",
        "Set(count, won)]",
        "two may win the same epoch, if a person works at the counts",
    ),
    election(
        "number = max(epoch, spare)",
        "number = epoch",
        "an epoch comes twice, if a person deletes /epoch",
    ),
    election(
        "number = max(epoch, spare)",
        "number = spare",
        "an epoch comes twice, if a person deletes /tasks",
    ),
    election(
        "number - min(epoch, spare) < self._at_once",
        "True",
        "a transaction of any size, if a person deletes /epoch after many epochs",
    ),
    election(
        "[*_raise(EPOCH, epoch, number), *_raise(TASKS, spare, number)][: self._at_once]",
        "[*_raise(EPOCH, epoch, number), *_raise(TASKS, spare, number)]",
        "a transaction of any size, if a person deletes /epoch after many epochs",
    ),
    election(
        "range(version, number)]",
        "range(version + 1, number + 1)]",
        "nobody can win after a person has deleted a count",
    ),
    election(
        "winner.session == self._process.session and spare >= epoch:",
        "winner.session == self._process.session:",
        "leadership is gone on with whose epoch is not counted twice",
    ),
    election(
        "if winner and winner.session == self._process.session and spare >= epoch:",
        "if winner and spare >= epoch:",
        "leadership is taken under an epoch of somebody else's",
    ),
    election(
        "if winner and winner.session == self._process.session and spare >= epoch:",
        "if winner and winner.name == self._name and spare >= epoch:",
        "another process of the same name has won the epoch",
    ),
    election(
        "self._scope.exists(MASTER, partial(note, MASTER), watch=self._look)",
        "self._scope.exists(MASTER, partial(note, MASTER))",
        "a backup does not hear that the master is gone",
    ),
    election(
        "            if self.epoch is None:\n                self._win(epoch",
        "            if True:\n                self._win(epoch",
        "a master whose leadership is gone wins anew without ending what it did",
    ),
    election(
        "self._scope.transact([Check(EPOCH, epoch), Delete(MASTER)], done)",
        "self._scope.transact([Delete(MASTER)], done)",
        "who vacates deletes what another has won meanwhile",
    ),
    election(
        "            if isinstance(result, Failed):\n                self._scope.after(ELECTION_RETRY_SECONDS, self._restart)\n"
        "            else:\n                self._restart()",
        "            self._scope.after(ELECTION_RETRY_SECONDS, self._restart)",
        equivalent="it looks again a second later, as after any other answer",
        at="Election._resolve.done",
    ),
    election(
        'self._resign("disconnected")',
        'self.state = "disconnected"',
        "a master that is cut off acts on",
        at="Election.suspended",
    ),
    election(
        'self._resign("disconnected")',
        'self.state = "disconnected"',
        equivalent="a session is suspended before it expires, in Process._lose",
        at="Election.expired",
    ),
    election(
        "        if self._process.stopping:\n            self._process.part_stopped(self)",
        "",
        "a peer that is stopped while cut off does not end",
        at="Election.expired",
    ),
    election(
        "self._scope.cancel()\n        self._watch(None)",
        "self._watch(None)",
        "what was asked in an ended tenure is answered to the next",
        at="Election._resign",
    ),
    election("            self._duty.end()", "            pass", "the duty is never ended"),
    election(
        "before, self.epoch = self.epoch, epoch",
        "before, self.epoch = self.epoch, epoch or self.epoch",
        "the epoch of a tenure that is over is shown, and believed",
    ),
    election(
        "self._look()  # watch /master while we lead",
        "pass",
        equivalent="the watch of the look that saw nobody goes off when it wins, and has it look",
    ),
    election(
        "elif stat.owner != self._process.session:\n            if self.epoch is not None:\n"
        "                self._fenced()\n                return\n",
        "elif stat.owner != self._process.session:\n            if self.epoch is not None:\n"
        "                return\n",
        "a master that sees another in its leadership goes on",
    ),
    election(
        "self._vacate()\n        else:", "pass\n        else:", "a stopped peer is not rid of its leadership"
    ),
    election(
        "elif self._process.usable:\n            self._vacate()",
        "elif self._process.usable:\n            self._process.part_stopped(self)",
        "a peer that is stopped holds leadership until its tasks are finished",
    ),
    election(
        "if stat is not None and stat.owner == self._process.session:",
        "if stat is not None:",
        "who is stopped deletes leadership of another",
        at="Election._vacate",
    ),
    election(
        "scope.transact([Check(EPOCH, epoch.stat.version), Delete(MASTER)], stopped)",
        "scope.transact([Delete(MASTER)], stopped)",
        "who is stopped deletes what another has won meanwhile",
    ),
    election(
        "if self._process.session is None or self._process.alone:",
        "if self._process.alone:",
        equivalent="without a session a worker leaves at once, and it is asked first, so the election is alone",
        at="Election.stop",
    ),
    # ---------------------------------------------------------------- batching
    batching(
        "EACH, LEAST, MOST = 0.002, 0.01, 0.05", "EACH, LEAST, MOST = 0.002, 0.01, 5.0", "a stream is held up"
    ),
    batching(
        "EACH, LEAST, MOST = 0.002, 0.01, 0.05", "EACH, LEAST, MOST = 0.0, 0.0, 0.0", "nothing goes together"
    ),
    batching(
        "if self._due is scope:\n            return",
        "if self._due is not None:\n            return",
        "what a scope that has ended left blocks what comes next",
    ),
    batching("        self._due = None\n        done", "        done", "once due, never asked for again"),
    batching("if done is not None:", "if done:", "after something small nothing waits"),
    # ---------------------------------------------------------------- parents, and peers
    layout(
        "path[1:] not in names]",
        "path not in names]",
        "all parents are created again at every connection",
    ),
    layout(
        "            if not waiting:\n                then()",
        "            then()",
        "who waits for six parents begins six times",
        at="ensure_parents.look.made",
    ),
    node("self._worker.pause()\n", "pass\n", "the elected peer goes on as a worker"),
    node("self._worker.resume()", "pass", "a peer that has lost leadership never works again"),
    node("self._master.end()\n", "pass\n", "a peer that has lost leadership goes on as a master"),
    # ---------------------------------------------------------------- what is refused
    session(
        "elif refused and pending.insist:",
        "elif False:",
        "what may not be read is taken for absent",
    ),
    session(
        "again = partial(self.send, refused.scope, refused.operation, refused.then, watch)",
        "again = partial(self.send, refused.scope, refused.operation, refused.then, None)",
        equivalent="what is to be called stays noted since the first time, or has been called and looks by itself",
    ),
    # ---------------------------------------------------------------- epochs are counted twice
    election(
        "max(1, self._at_once // 2)",
        "self._at_once",
        "nobody is elected if the servers take small requests only",
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    session(
        "                self._prove(max(self._proof, now if asked is None else asked))",
        "                self._prove(max(self.lease, now if asked is None else asked))",
        "a lease is taken for a proof of life: it goes on for ever",
    ),
    session(
        "                self.session, self.timeout = session, timeout\n                self._prove(now if asked is None else asked)",
        "                self._prove(now if asked is None else asked)\n                self.session, self.timeout = session, timeout",
        "the lease is reckoned by the time-out of the session before",
    ),
    # ---------------------------------------------------------------- being listed
    election(
        "self.state = step(TRANSITIONS, self.state, state)",
        "self.state = state",
        equivalent="the table is a check: no step that is taken is missing in it",
    ),
    election(
        "        stand(self._scope, self._process.session or 0, self._name, self._address)\n",
        "",
        "no candidate is listed",
    ),
    election(
        "        withdraw(scope, self._process.session or 0, self._name)\n",
        "",
        "a peer that drains is listed as one that stands by",
    ),
    candidates("ephemeral=True", "ephemeral=False", "a candidate is listed for ever"),
    candidates("watch=look", "watch=None", "a candidate whose znode a person deletes is listed no more"),
    candidates(
        "elif stat.owner != session:",
        "elif False:",
        "a znode made by hand stands for a candidate that is gone",
    ),
    candidates(
        "scope.transact([Delete(path), create], created)",
        "scope.transact([create], created)",
        "a znode made by hand is never replaced",
    ),
    candidates(
        "            scope.after(AGAIN_SECONDS, partial(ensure_parents, scope, look))",
        "            pass",
        "a candidate that could not be listed once never is",
    ),
    # ---------------------------------------------------------------- what is followed
    session(
        'path.startswith(f"{followed}/")', "path.startswith(followed)", "told of a znode with a longer name"
    ),
    session("if path == followed or", "if", "not told of the znode itself"),
    session(
        "                    if scope.cancelled:\n",
        "                    if False:\n",
        "an ended tenure is told",
    ),
    session(
        "                        del followers[scope]",
        "                        pass",
        "every ended tenure is kept",
    ),
    session(
        "        self._followers.clear()\n", "", "followed on a connection on which it was not asked for"
    ),
    session(
        "Follow(path), then, None, insist=False)",
        "Follow(path), then, None)",
        "an older server is asked for ever",
    ),
    candidates(
        "partial(ensure_parents, scope, look)", "look", "after /candidates was deleted nobody is listed again"
    ),
]
