"""A daemon's own: the main loop, its session's file, systemd, the status endpoint."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest(
        *(
            f"tests/unit/test_{name}.py"
            for name in ("daemon_turns", "daemon", "loop", "endpoint", "endpoint_tls", "within", "clock")
        )
    ),
    pytest("tests/unit/test_daemon_process.py"),
)

loop = partial(Mutant, "mwapp/loop.py")
daemon = partial(Mutant, "mwapp/daemon/service.py")
endpoint = partial(Mutant, "mwapp/daemon/endpoint.py")
within = partial(Mutant, "mwapp/within.py")
certificates = partial(Mutant, "mwapp/certificates.py")
snapshot = partial(Mutant, "mwapp/daemon/snapshot.py")
systemd = partial(Mutant, "mwapp/daemon/systemd.py")
servers = partial(Mutant, "mwapp/zookeeper/connect_string.py")

MUTANTS = [
    # ---------------------------------------------------------------- told to stop
    daemon(
        "            if self._state is not None:\n                self._state.note_end(self._process.sessions)\n",
        "",
        "a stop without an ensemble counts as a death",
    ),
    daemon(
        "[*self.ended, *sessions][-ENDED:]",
        "[*sessions]",
        "the second stop in one outage makes the first one a death",
    ),
    daemon(
        "_Observed(self._state.ended if self._state else ())",
        "_Observed(())",
        "the next process does not tell who was told to stop",
    ),
    # ---------------------------------------------------------------- the main loop
    loop(
        '            if "_runner" in vars(self):\n                self._runner.kill_all()\n            self.closed_cleanly = self._sessions.close(CLOSE_SECONDS)',
        '            self.closed_cleanly = self._sessions.close(CLOSE_SECONDS)\n            if "_runner" in vars(self):\n                self._runner.kill_all()',
        "the session is closed while commands still run: others begin them at once",
    ),
    loop(
        "                self._runner.kill_all()\n", "                pass\n", "commands outlive their daemon"
    ),
    loop(
        "            self._runner.keep(self.process.lease)\n",
        "            pass\n",
        "who stands still lets its runs go on when its session is over",
    ),
    loop(
        "for at in (self.process.deadline, self._sessions.deadline)",
        "for at in (self._sessions.deadline,)",
        "the core's deadline comes up to a second late",
    ),
    loop(
        "        if not items:\n            self._sessions.look_after(now)",
        "        pass",
        "no session is ever opened",
    ),
    loop(
        "for item in items or [Tick()]:",
        "for item in items:",
        "timers and the deadline wait for the next news",
    ),
    loop("        self._sessions.flush()\n", "", "what is asked is not sent"),
    loop(
        "                if self.process.usable or not self._open:\n                    heard = now\n",
        "",
        "a command that has long been connected is told that the ensemble does not answer",
    ),
    loop(
        "if timeout is not None and self._open and now - started >= timeout:",
        "if timeout is not None and now - started >= timeout:",
        "what is done in time at the last moment is told to be late",
    ),
    loop(
        "                if isinstance(event, Connected | Resumed) and self._sessions.session is not None:\n                    self._on_session(self._sessions.session)\n",
        "",
        "the session of a daemon is noted nowhere: who takes over after a kill waits for its time-out",
    ),
    loop(
        "            case Kill(run, grace):\n                self._runner.kill(run, grace)",
        "            case Kill(run, grace):\n                self._runner.kill(run)",
        "a command that is cancelled gets no time to end by itself",
    ),
    loop(
        "            case Abandon():\n                self._sessions.abandon(now)\n",
        "",
        "a session that was given up is used on",
    ),
    loop(
        "            case Close():\n                self._open = False",
        "            case Close():\n                pass",
        "a daemon never ends",
    ),
    loop(
        "        self._open = False\n        self._queue.put(Tick())",
        "        self._open = False",
        "who is to end now ends at the next turn",
    ),
    loop(
        "            self.longest_turn = BOUNDED_TURN",
        "            pass",
        "a command with a bound on its time ends up to a second after it",
    ),
    loop(
        "isinstance(event, Connected | Resumed)",
        "isinstance(event, Connected)",
        "who is to release the session asks a server that is gone first",
    ),
    loop(
        "                if isinstance(event, Connected | Resumed) and self._sessions.session is not None:\n                    self._on_session(self._sessions.session)\n                for command in self.process.handle(now, event):\n                    self._carry_out(command, now)",
        "                for command in self.process.handle(now, event):\n                    self._carry_out(command, now)\n                if isinstance(event, Connected | Resumed) and self._sessions.session is not None:\n                    self._on_session(self._sessions.session)",
        "a daemon that is killed right after it has a session leaves no note of it",
    ),
    loop(
        "            now = clock.now()\n            for event",
        "            for event",
        "what came during a turn is taken to have come before it: up to a second",
    ),
    loop(
        "        started = heard = time.monotonic()",
        "        started, heard = time.monotonic(), 0.0",
        "the ensemble is given up before it was asked",
    ),
    loop(
        "        self._on_turn()\n", "", "the endpoint shows for ever how it began, and systemd hears nothing"
    ),
    loop(
        "                self._runner.start(command)",
        "                self._runner.kill(command.run)",
        "no command is ever run",
    ),
    loop(
        "            while len(items) < MOST_ITEMS:\n                items.append(self._queue.get_nowait())",
        "            pass",
        equivalent="one item a turn: slower, which no test may judge",
    ),
    # ---------------------------------------------------------------- the daemon
    daemon(
        "fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        "two processes note their sessions in one directory",
    ),
    daemon(
        "        release.release(self._path, self._connect)\n        self.ended",
        "        self.ended",
        "the session of a killed process holds its tasks until its time-out",
    ),
    daemon(
        "[up.address, *others]",
        "[*others, up.address]",
        "the session is released at the server that knows it least",
    ),
    daemon(
        "        if closed:\n            release.forget(self._path)\n        else:\n            release.release(self._path, self._connect)",
        "        release.forget(self._path)",
        "a session that could not be closed holds its tasks until its time-out",
    ),
    daemon(
        "self._state.end(self._loop.closed_cleanly)",
        "self._state.end(True)",
        "a session that could not be closed holds its tasks until its time-out",
    ),
    daemon(
        "impatient = self._stopping and number == signal.SIGINT",
        "impatient = self._stopping",
        "systemd's second SIGTERM kills what was being finished",
    ),
    daemon(
        "if not self._ready and self._process.usable:",
        "if not self._ready:",
        "systemd is told that it is ready before it has a session",
    ),
    daemon(
        "self._next_sign = now + self._notifier.watchdog / 4",
        "self._next_sign = now + self._notifier.watchdog * 4",
        "systemd kills it for its silence",
    ),
    daemon(
        "(self._notifier.watchdog or 4 * LONGEST_TURN) / 4",
        "(4 * LONGEST_TURN) / 4",
        "with a short watchdog systemd kills it for its silence",
    ),
    daemon(
        "lease=process.lease if process.session is not None else None,",
        "lease=process.lease,",
        equivalent="without a session it is not connected, which is asked first",
    ),
    daemon(
        '        if Abandon in map(type, commands):\n            self.connection = "expired"\n',
        "        if Abandon in map(type, commands):\n",
        "who has given its session up shows as suspended",
    ),
    daemon(
        'if now < self._next_picture and self._process.usable == (self._snapshot.connection == "connected"):',
        "if now < self._next_picture:",
        equivalent="the next picture is a tenth of a second later",
    ),
    daemon(
        "            self._loop.longest_turn = PICTURE  # there may be news; look again soon\n",
        "",
        "what the endpoint shows is up to a second behind the news",
    ),
    daemon("            self._complained = True\n", "", "in a long cut every turn is a line in the log"),
    daemon(
        "        self._stopping = True  # first: another signal may come in the middle of this\n",
        "",
        "who is impatient at a keyboard is not heeded",
    ),
    daemon(
        "if summary != self._said and not self._stopping and",
        "if summary != self._said and",
        "who is stopping is shown as if it were not",
    ),
    daemon(
        "and self._notifier.send(STATUS=summary):\n            self._said = summary",
        "and (self._notifier.send(STATUS=summary) or True):\n            self._said = summary",
        "what systemd could not take is not told again",
    ),
    daemon(
        "            self._ready = self._notifier.send(READY=1)",
        "            self._notifier.send(READY=1)\n            self._ready = True",
        "a unit hangs in its start for ever if systemd was busy when it was ready",
    ),
    daemon(
        "            self._said = summary\n",
        "            pass\n",
        "systemd is told the same ten times a second",
    ),
    daemon(
        "        self._loop.longest_turn = self._longest_turn\n",
        "",
        "an idle daemon turns ten times a second for ever",
    ),
    daemon(
        "            self._cut_since = now\n",
        "",
        "after an hour of quiet the shortest cut is a line in the log",
    ),
    daemon(
        "            self._complained = False\n",
        "",
        "the second long cut is in no log",
        at="Daemon._complain",
    ),
    daemon(
        "and now - self._cut_since > LONG_CUT:",
        "and now - self._started_at > LONG_CUT:",
        "a long cut is never in the log: one clock is set against another",
    ),
    daemon(
        "address = settings.advertise or _advertised(settings.listen[0], self._endpoint.port)",
        "address = _advertised(settings.listen[0], self._endpoint.port)",
        "--advertise has no effect",
    ),
    daemon(
        'f"{HTTPS}{address}" if settings.listen_tls else address',
        "address",
        "nobody is told that the endpoint speaks HTTPS",
    ),
    daemon(
        "_advertised(settings.listen[0], self._endpoint.port)",
        "_advertised(*settings.listen)",
        "who chose any free port shows port 0",
    ),
    daemon("if everywhere else host", "if not everywhere else host", "nobody can reach what its znode shows"),
    daemon('in ("0.0.0.0", "::")', 'in ("0.0.0.0",)', "who listens everywhere the new way cannot be reached"),
    daemon(
        "            on_session=self._session,\n",
        "",
        "the session of a killed process holds its tasks until its time-out",
    ),
    daemon("            on_turn=self._turned,\n", "", "systemd hears nothing"),
    daemon(
        "for number in (signal.SIGTERM, signal.SIGINT):",
        "for number in (signal.SIGTERM,):",
        "at a keyboard its session is not closed",
    ),
    daemon("path.mkdir(mode=0o700,", "path.mkdir(", "others may look into the state directory"),
    daemon("        self._up = up\n", "", "it does not say which server it is on"),
    # ---------------------------------------------------------------- systemd
    systemd(
        'address = os.environ.pop("NOTIFY_SOCKET", "")',
        'address = os.environ.get("NOTIFY_SOCKET", "")',
        "a command speaks to systemd in the daemon's name",
    ),
    systemd("self._socket.setblocking(False)", "pass", "a busy systemd stops the main loop"),
    systemd(
        '"\\0" + address[1:] if address.startswith("@") else address',
        "address",
        "a systemd whose address is no file hears nothing",
    ),
    systemd('mine = pid in ("", str(os.getpid()))', "mine = True", "it heeds somebody else's watchdog"),
    systemd('mine = pid in ("", str(os.getpid()))', 'mine = pid == ""', "it does not heed its own watchdog"),
    systemd("int(microseconds) / 1e6", "int(microseconds) / 1e3", "systemd kills it for its silence"),
    systemd(
        "            return False\n",
        "            return True\n",
        "what systemd could not take is not told again",
    ),
    systemd(
        "        if self._socket is None:\n            return True\n",
        "        if self._socket is None:\n            return False\n",
        "without systemd it tries to tell it something in each turn",
    ),
    # ---------------------------------------------------------------- the endpoint
    snapshot(
        "if clock.now() >= self.lease:",
        "if False:",
        "it says that it is ready when its session may be over",
    ),
    snapshot(
        'if self.connection != "connected" or self.lease is None:',
        "if self.lease is None:",
        "it says that it is ready when it is cut off",
    ),
    snapshot(
        "        return self.unhealthy()\n",
        "        return None\n",
        "it says that it is ready when its main loop hangs",
    ),
    snapshot("if not self.takes_writes:", "if False:", "ready comes and goes while no write is carried out"),
    daemon("            takes_writes=process.takes_writes,\n", "", "it is never ready"),
    snapshot("HANGS = 5.0", "HANGS = 1.0", "a daemon that has nothing to do is killed for it"),
    snapshot("HANGS = 5.0", "HANGS = 500.0", "a main loop that hangs is not told of"),
    snapshot(
        "if clock.now() >= self.lease:",
        "if time.monotonic() >= self.lease:",
        "after a suspend it says that it is ready with a session that is over",
    ),
    snapshot(
        "show_session(self.session)",
        "hex(self.session)",
        "the session's id is not as the servers' logs have it",
    ),
    snapshot(
        "*known, *([problem] if problem else [])",
        "*known",
        "systemctl status does not show that it is cut off",
    ),
    endpoint(
        "io.BufferedReader(within)",
        'self.connection.makefile("rb")',
        "who sends a byte now and then keeps its place for ever",
    ),
    endpoint(
        "        self.wfile = _Answer(self.connection, self.timeout)\n",
        "",
        "who has asked slowly gets half of the answer",
    ),
    endpoint(
        "                self._connection.settimeout(left)\n",
        "",
        "who reads nothing of its answer keeps its place for ever",
    ),
    endpoint(
        "                if left <= 0:\n", "                if False:\n", "a late answer ends otherwise"
    ),
    endpoint("view[sent:]", "view", "a long answer begins again and again"),
    endpoint(
        "        within = Within(self.connection, self.timeout)\n"
        "        if isinstance(self.connection, ssl.SSLSocket):\n"
        "            self.connection.do_handshake()  # within the connection's time-out, in all\n",
        "        if isinstance(self.connection, ssl.SSLSocket):\n"
        "            self.connection.do_handshake()  # within the connection's time-out, in all\n"
        "        within = Within(self.connection, self.timeout)\n",
        "who takes its time for the handshake has as much again for the request",
    ),
    endpoint(
        "do_handshake_on_connect=False", "do_handshake_on_connect=True", "a silent connection stops all"
    ),
    endpoint(
        "            connection.close()\n            raise\n",
        "            raise\n",
        "what is gone before it is secured stays open",
    ),
    endpoint(
        "self._said.peek(1)[:1] != TLS_BEGINS", "True", "who speaks TLS where there is none waits for seconds"
    ),
    endpoint(
        "        if self.tls is None:\n",
        "        if True:\n",
        "it speaks plainly though it has a certificate",
    ),
    certificates(
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        "context.minimum_version = ssl.TLSVersion.TLSv1_1",
        "what was broken long ago is spoken",
    ),
    daemon(
        "min(ends).isoformat()", "max(ends).isoformat()", "nobody hears of the certificate that ends first"
    ),
    within(
        "self._end - time.monotonic()", "self._end", "who sends a byte now and then keeps its place for ever"
    ),
    within("if left <= 0:", "if False:", "what is late ends a thread with a traceback"),
    endpoint(
        'socket.AF_INET6 if ":" in address[0] else socket.AF_INET',
        "socket.AF_INET",
        "it cannot listen on an IPv6 address",
    ),
    endpoint(
        "len(value) if isinstance(value, list | dict) else value",
        "value",
        "an active master has no metrics",
    ),
    endpoint("if value is not None:", "if value:", "a queue that is empty has no metric"),
    endpoint(
        'path = self.path.partition("?")[0]',
        "path = self.path",
        "a path with a query is not found",
    ),
    endpoint("str(len(body) + 1)", "str(len(body))", "answers end without a line end, or in the midst"),
    endpoint(
        'elif path == "/ready":\n            self._judge(snapshot.unready())',
        'elif path == "/ready":\n            self._judge(snapshot.unhealthy())',
        "a load balancer sends work to who is cut off",
    ),
    endpoint(
        'if path == "/health":\n            self._judge(snapshot.unhealthy())',
        'if path == "/health":\n            self._judge(snapshot.unready())',
        "who is cut off is killed for it",
    ),
    endpoint(
        "labels = [role, now.name]",
        "labels = [now.role, now.name]",
        "a node's master and worker are one",
    ),
    endpoint("self._places.pop(request, None)", "pass", "after sixteen requests it answers none"),
    endpoint("if not read and _silent(one)", "if _silent(one)", "who is being answered is cut for another"),
    endpoint("if not read and _silent(one)", "if not read", "what has come and waits for its thread is cut"),
    endpoint("if silent is None:", "if silent is None or True:", "silent connections keep everybody out"),
    endpoint(
        "                del self._places[silent]\n",
        "",
        "the places of those who were cut are never free again",
    ),
    endpoint(
        "                self._places[request] = True\n", "                pass\n", "it is cut meanwhile"
    ),
    endpoint("    if number < 0:\n", "    if number < -1:\n", "one that is just ending stops the endpoint"),
    endpoint(
        "            self.shutdown_request(request)",
        "            pass",
        "a request that is turned away is never answered",
    ),
    endpoint("    timeout = REQUEST_TIME\n", "", "idle connections use it up for ever"),
    endpoint(
        "ready.add_metric(labels, now.unready() is None)",
        "ready.add_metric(labels, now.unhealthy() is None)",
        "the metric says that it is ready when it is cut off",
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    daemon(
        "        self._snapshot = self._picture(now)\n        self._say(self._snapshot.summary())",
        "        self._say(self._snapshot.summary())\n        self._snapshot = self._picture(now)",
        "systemctl status is a moment behind",
    ),
    servers(
        "names[: i + 1]) for i in range(len(names))",
        "names[:i]) for i in range(len(names))",
        "a chroot in a chroot is never made",
    ),
    servers(
        'f"(/[^{NO_NAME}]+)+"',
        '"(/[^/\\0-\\x1f]+)+"',
        "a command with half a character in --connect asks for ever",
    ),
]
