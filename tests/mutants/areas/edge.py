"""The edge: sessions, connections, what goes over them in bytes, and the end of sessions that were given up."""

from functools import partial

from tests.mutants.killers import edge, pytest
from tests.mutants.mutant import Mutant

# Not test_edge: it plants some of these itself, which cannot be done twice.
UNIT = ("zk_sessions", "zk_machine", "zk_wire", "release")
KILLERS = (
    pytest(*(f"tests/unit/test_{name}.py" for name in UNIT)),
    edge(range(300)),
    edge(range(300, 2500)),
)

sessions = partial(Mutant, "mwapp/zookeeper/sessions.py")
client = partial(Mutant, "mwapp/zookeeper/client.py")
connection = partial(Mutant, "mwapp/zookeeper/connection.py")
wire = partial(Mutant, "mwapp/zookeeper/wire.py")
ending = partial(Mutant, "mwapp/release.py")

STAT = "czxid, _, ctime, _, version, changes, _, owner, _, children, _ ="

MUTANTS = [
    # ---------------------------------------------------------------- sessions: what the core is told
    sessions("Resumed(up.asked)", "Resumed()", "a session is reckoned from when it was heard of"),
    sessions(", up.timeout, up.asked)", ", up.timeout)", "a session is reckoned from when it was heard of"),
    sessions("up.session, up.timeout,", "up.session, self._timeout,", "what was asked for, not granted"),
    sessions(
        "if present is None or note.client is not present.client:",
        "if present is None:",
        "a session that was given up is heard of",
    ),
    sessions(
        "            return [Resumed(up.asked)]", "            return []", "nobody hears that it goes on"
    ),
    sessions("        present.announced = True\n", "", "every connection is a new session"),
    sessions("return [fired]", "return []", "a watch is not told of"),
    sessions("[*replies, *events]", "[*events, *replies]", "replies come after the cut"),
    sessions("if present.announced else []", "if True else []", "of a session the core has not heard of"),
    # ---------------------------------------------------------------- one reply for every request
    sessions("        present.outstanding.clear()\n", "", "what was cut off is answered twice"),
    sessions("        present.unsent.clear()\n", "", "what was refused once is taken for refused later"),
    sessions("if present.outstanding.pop(number, None) is None:", "if False:", "a reply comes after the cut"),
    sessions(
        "self._refuse(present, number, Error.CONNECTION_LOSS)", "pass", "what is asked late has no answer"
    ),
    sessions("if len(present.outstanding) == 1:", "if True:", "what is refused is answered out of its turn"),
    sessions("if number not in present.unsent:", "if False:", "what was sent is taken for refused"),
    sessions(
        "present.unsent.get(number, lost)", "lost", "what was refused is told to have been cut off, for ever"
    ),
    sessions("        present.unsent.pop(number, None)\n", "", "what was refused once is refused again"),
    sessions("if not self._request_size.allows(operation, now) or", "if", "servers hang up on it"),
    sessions(
        "                self._request_size.lost(sent, now)\n",
        "",
        "what no server takes is sent again and again",
    ),
    sessions(" if n not in unsent]", "]", "what was refused is taken for the reason of a lost connection"),
    sessions(
        "                    self._request_size.answered(present.outstanding[number][0])\n",
        "                    pass\n",
        "three losses over a day are taken for three in a row",
    ),
    sessions(
        "        elif not present.client.still(present.up):\n            pass  # its Down is on the way, and will answer it\n",
        "",
        "it travels on the next connection, when it was said to be lost",
    ),
    sessions(
        "        if not present.client.still(present.up):\n"
        "            pass  # its Down is on the way; the client would send it over the next connection\n"
        "        elif not present.client.ask",
        "        if not present.client.ask",
        "it travels on the next connection, beside what belongs there",
    ),
    # ---------------------------------------------------------------- silent servers
    sessions("max(oldest[1], present.heard)", "oldest[1]", "a busy server is taken for a silent one"),
    sessions(
        "                present.heard = now\n",
        "",
        "a busy server is taken for a silent one",
        "Sessions.accept",
    ),
    sessions("            present.client.drop_connection()", "            pass", "a silent server is kept"),
    sessions("SILENCE = 1 / 3", "SILENCE = 2 / 3", "a silent server is kept for too long"),
    sessions("elif now > due + GRACE:", "elif False:", "our own silence is the server's"),
    sessions("elif now > due + GRACE:", "elif now > due:", "a server that is silent is trusted, for ever"),
    sessions("if due is None or now < due:", "if due is None:", "a server that is not silent is left"),
    sessions(
        "            self._trust_from = now + GRACE\n",
        "            pass\n",
        "who stood still looks again and again, and never leaves",
    ),
    sessions(", self._trust_from)", ", 0.0)", "our own silence is the server's"),
    # ---------------------------------------------------------------- the chroot
    sessions("and result is None:", "and False:", "the chroot is never made", "Sessions._prepared"),
    sessions("number != present.last_step", "False", "the core hears of its session before it is made"),
    sessions("            present.again = now + AGAIN\n            return []\n", "", "a session without one"),
    sessions("is not Error.NODE_EXISTS", "is not Error.NO_NODE", "somebody else was faster"),
    sessions(
        "            again(present, now)\n            self.flush()\n",
        "            again(present, now)\n",
        "what makes it waits for something else to be sent",
    ),
    sessions(
        "present.connected, present.again = False, None", "present.connected = False", "made while cut off"
    ),
    # ---------------------------------------------------------------- the end of sessions
    sessions("        self._end_given_up(up)\n", "", "what was given up is left to its time-out"),
    sessions("            self._given_up = self._present\n", "", "what was given up is left to its time-out"),
    sessions("present.client.close(0)", "pass", "the sockets of a session that is over stay"),
    sessions(
        "            self._present.client.close(self._timeout * SILENCE)\n",
        "",
        "what is given up is closed by the next session alone",
    ),
    sessions("close(self._timeout * SILENCE)", "close(0)", "what is given up is cut before it is closed"),
    sessions(
        "                self._next(now)\n                return events",
        "                return events",
        "no session follows",
    ),
    sessions("max(now, self._opened + REOPEN_DELAY)", "now", "clients that fail follow each other at once"),
    sessions("or self._last.closed", "or True", "what may live on is said to be closed"),
    sessions(
        "                if self._last is present.client:\n                    self._last = None\n",
        "",
        "what is over is said to live on",
    ),
    sessions(
        "        if end_session(servers, up.session, up.password, connect, now):\n            closed()\n",
        "        closed()\n        end_session(servers, up.session, up.password, connect, now)\n",
        "what is only asked to end is told to be closed",
    ),
    sessions(
        "        if end_session(servers, up.session, up.password, connect, now):\n",
        "        end_session(servers, up.session, up.password, connect, now)\n        if True:\n",
        "what one server does not know is told to be closed",
    ),
    sessions(
        "            closed()\n",
        "            pass\n",
        "nobody hears that the next session has closed the last",
    ),
    sessions(
        "        if isinstance(note.happening, Closed):\n            return [note.happening]",
        "        if isinstance(note.happening, Closed):\n            return []",
        "the core does not hear that what it gave up is closed",
    ),
    sessions("and not given_up.client.closed:", "and given_up.client.closed:", "what lives on is left"),
    # ---------------------------------------------------------------- the client
    client("path[len(self._chroot) :] or", "path or", "a watch tells of a path the core does not know"),
    client(
        " and self._connection.asked == up.asked", "", "it travels on a connection the core has not heard of"
    ),
    client("            self._tell(self, Down())", "            pass", "nobody hears of a lost connection"),
    client(
        "connection.granted, ", "self._kazoo._session_timeout / 1000, ", "what was asked for, not granted"
    ),
    client(
        "if not over.wait(patience):", "if over.wait(patience):", "closing waits for a server that is silent"
    ),
    client("                self._kazoo.close()\n", "", "sockets are left"),
    client("max_tries=-1", "max_tries=3", "a client gives up after some rounds through the servers"),
    client(
        "            return False\n        return True",
        "            return True\n        return True",
        "no answer",
    ),
    client(
        "Answered(number, result, denied))", "Answered(number + 1, result, denied))", "the answer to another"
    ),
    # ---------------------------------------------------------------- connecting
    connection("        self._received.clear()\n", "", "half a reply of the connection before"),
    connection(
        "started = self.asked = self._now()", "started = self._now()", "when it was begun is not known"
    ),
    connection(
        "            self._slow += self._now() - started >= patience\n",
        "",
        "a slow ensemble is never reached",
    ),
    connection(
        "            raise\n        self._slow = 0\n",
        "            raise\n",
        "patience grows from one to the next",
    ),
    connection(
        "patience = self._handler.patience = ATTEMPT",
        "patience = ATTEMPT",
        "a slow ensemble is never reached",
    ),
    connection("            retry.reset()\n", "", "pauses grow from one to the next"),
    connection(
        "            self._tell(KeeperState.CONNECTING)\n            return None",
        "            return None",
        "a lost connection is told of when the next is begun",
    ),
    connection(
        "            self._tell(KeeperState.EXPIRED_SESSION)\n",
        "            return None\n",
        "a session that is over is tried for ever",
    ),
    connection(
        "            if self._socket is not None:\n                self._socket.close()\n",
        "            pass\n",
        "connections stay open",
    ),
    connection("self.granted = answer.time_out / 1000", "self.granted = answer.time_out", "milliseconds"),
    connection("if not _WELCOME[0] <= size <= _WELCOME[1]:", "if False:", "who speaks HTTP is listened to"),
    connection(
        "if answer.time_out > 0 and connect.session_id not in (0, answer.session_id):",
        "if False:",
        "another's session",
    ),
    connection(
        "self._exactly(size, end), 0)",
        "self._exactly(size, end + 60), 0)",
        "half a greeting is waited for",
    ),
    connection(
        "                if not part:\n", "                if False:\n", "a server that hangs up is read on"
    ),
    connection(
        "        self.address = address\n",
        "",
        "nobody knows which server it is",
        "KazooHandler.create_connection",
    ),
    connection(
        "self.connection.shutdown(socket.SHUT_RDWR)", "self.connection.close()", "closed under who reads it"
    ),
    connection(
        "        self._xid = 0\n",
        "",
        "the first request has no number",
        "Connection._connect",
    ),
    # ---------------------------------------------------------------- replies
    connection(
        "        self.client.last_zxid = max(zxid, self.client.last_zxid)\n",
        "",
        "a server that is behind is good enough",
    ),
    connection(
        "        result = request.read(code, reader)\n"
        "        reader.end(end)\n"
        "        self.client.last_zxid = max(zxid, self.client.last_zxid)\n",
        "        self.client.last_zxid = max(zxid, self.client.last_zxid)\n"
        "        result = request.read(code, reader)\n"
        "        reader.end(end)\n",
        "what cannot be read is taken for seen, and no server is good enough any more",
    ),
    connection("max(zxid, self.client.last_zxid)", "zxid", "what was seen goes back with a refusal"),
    connection("if xid != expected:", "if False:", "the reply to something else"),
    connection(
        "        result = request.read(code, reader)\n        reader.end(end)\n",
        "        result = request.read(code, reader)\n",
        "what is cut short is read on in the next",
    ),
    connection(
        "            path, event = reader.fired()\n            reader.end(end)\n",
        "            path, event = reader.fired()\n",
        "a change that is longer than it says",
    ),
    wire("_RECURSIVE = 1", "_RECURSIVE = 0", "of what is below nobody is told"),
    wire("ADD_WATCH = 106", "ADD_WATCH = 105", "another request"),
    connection("if end < begin + _REPLY.size:", "if end < at:", "a negative length leads back for ever"),
    connection("if end > len(received):", "if False:", "half a reply is taken for a whole one"),
    connection("        del received[:at]\n", "        del received[: at + 1]\n", "a byte too many"),
    connection("        del received[:at]\n", "        received.clear()\n", "half a reply is thrown away"),
    connection(
        "except (ValueError, struct.error, IndexError)",
        "except (ValueError, struct.error)",
        "a reply to nothing ends the client",
    ),
    connection(
        "except (ValueError, struct.error, IndexError)",
        "except (ValueError, IndexError)",
        "what cannot be read ends the client",
    ),
    connection(
        "except (ValueError, struct.error, IndexError)",
        "except (struct.error, IndexError)",
        "what is no text ends the client",
    ),
    connection(
        "            self._fired(path, event)\n            return\n",
        "            self._fired(path, event)\n",
        "a change is taken for a reply, too",
    ),
    connection("            self.closed = True\n", "", "what is closed is not known to be"),
    connection(
        "if code and error(code) is not Error.SESSION_EXPIRED:", "if False:", "a refusal is taken for an end"
    ),
    connection(
        "        while not self.closed:", "        while True:", "who has closed waits for the server"
    ),
    connection(
        "return [Failed(error(code))] * len(self._reads)", "return [Failed(error(code))]", "one of many"
    ),
    # ---------------------------------------------------------------- pings
    connection(
        "            elif self.ping_outstanding.is_set():\n",
        "            elif False:\n",
        "a server that answers no ping is kept",
    ),
    connection(
        "                self._send_ping(self.granted * PING)\n",
        "                pass\n",
        "who asks nothing ends",
    ),
    connection(
        "            self.ping_outstanding.clear()\n            return\n",
        "            return\n",
        "an answered ping is taken for none",
    ),
    connection(
        "        self.ping_outstanding.clear()\n        ping = ",
        "        ping = ",
        "a ping of the connection before",
    ),
    connection("            ping = self._now() + self.granted * PING\n\n", "\n", "pings without a pause"),
    connection("PING = 1 / 3", "PING = 1.0", "a ping comes when the session is over"),
    # ---------------------------------------------------------------- requests
    connection("        if queue:\n            self._wake()\n", "", "what does not go into one packet waits"),
    connection("        self._unsent = True\n", "", "what was asked is not sent"),
    connection("len(reads) < MOST_READS", "True", "reads in one request without a bound"),
    connection("or not another.simple_read:", "or False:", "other requests in the midst of several reads"),
    connection("        queue.popleft()\n    if len(reads)", "    if len(reads)", "a read is sent twice"),
    connection(
        "            self._unsent = False\n",
        "",
        "each turn wakes the thread, which never comes to sending a ping",
    ),
    connection(
        "            self._over()\n",
        "            pass\n",
        equivalent="kazoo tells that a thread has ended, but of a client that never was connected and whose "
        "thread ends with an error; there is no such error that anybody knows of",
    ),
    # ---------------------------------------------------------------- in bytes
    wire("_LOST = (-4, -118, -127)", "_LOST = (-4, -127)", "a session that has moved goes on where it was"),
    wire("_LOST = (-4, -118, -127)", "_LOST = (-4, -118)", "what comes after it is carried out without it"),
    wire("return _ERRORS.get(code, Error.REFUSED)", "return _ERRORS[code]", "an error nobody knows"),
    wire("    -110: Error.NODE_EXISTS,\n", "", "what exists is refused"),
    wire("    -112: Error.SESSION_EXPIRED,\n", "", "the end of a session is a refusal"),
    wire("_NOT_TO_BLAME = (0, -2)", "_NOT_TO_BLAME = (0,)", "what was never tried is to blame"),
    wire(
        "if code == _NO_NODE and isinstance(operation, Exists):",
        "if code == _NO_NODE:",
        "no data is no failure",
    ),
    wire("self._text()[len(chroot) :]", "self._text()", "a path the core does not know"),
    wire("_OPEN = _INT.pack(1) + _INT.pack(31)", "_OPEN = _INT.pack(1) + _INT.pack(15)", "nobody sets lists"),
    wire('(chroot + path).rstrip("/") or "/"', "chroot + path", "the root below a chroot"),
    wire("_EPHEMERAL, _SEQUENTIAL = 1, 2", "_EPHEMERAL, _SEQUENTIAL = 2, 1", "ephemeral is sequential"),
    wire(STAT, STAT.replace("czxid, _,", "_, czxid,"), "its last change for its creation"),
    wire(STAT, STAT.replace("ctime, _,", "_, ctime,"), "its last change for its creation"),
    wire(STAT, STAT.replace("version, changes,", "changes, version,"), "its children's version for its own"),
    wire("(changes + children & 0xFFFFFFFF)", "(changes + children)", "numbers are negative at last"),
    wire("(changes + children &", "(changes - children &", "deleted children count as created"),
    wire("ctime / 1000", "ctime", "milliseconds"),
    wire("error(code), len(results))", "error(code), len(results) + 1)", "another is to blame"),
    wire(" and not operation.watch", "", "a server ignores the watches of several reads"),
    wire(
        "_SIMPLE = (Get, Children)",
        "_SIMPLE = (Get, Children, Exists)",
        "no server knows it among several reads",
    ),
    wire(
        '        if not self._part()[2]:\n            raise ValueError("more results than reads")\n',
        "",
        "several results that are cut short at their end",
    ),
    wire("        if self._at > at:\n", "        if False:\n", "what is cut short is read on in the next"),
    connection(
        "            if not code:\n                self._carried_out()\n",
        "            self._carried_out()\n",
        "what is over by itself is told to be closed for us",
    ),
    connection(
        "            if not code:\n                self._carried_out()\n",
        "",
        "nobody hears that a session was closed over its own connection",
    ),
    client("            self._session = session\n", "", "what is closed is told to be another session"),
    # ---------------------------------------------------------------- the end of a session that was given up
    ending("return bool(error == 0)", "return True", "what is over by itself is told to be closed for us"),
    ending(
        "            return False\n",
        "            return True\n",
        "what one server does not know is told to be closed",
    ),
    ending('">iqiqi", 0, 0, 0, session', '">iqiqi", 0, 0, 6000, session', "an attempt prolongs it"),
    ending("        if granted <= 0:\n            return False\n", "", "what is over is asked to end"),
    ending(
        "except (OSError, EOFError) as problem:",
        "except OSError as problem:",
        "who hangs up is the last asked",
    ),
    ending(
        "        else:\n            return closed\n        if now() >= end:",
        "        if now() >= end:",
        "closed, and said to live on",
    ),
    ending('f"[{host}]" if ":" in host else host', "host", "an address ends where its port begins"),
    ending("            break\n    raise", "            pass\n    raise", "every server is waited for"),
    ending("    while len(data) < size:", "    if len(data) < size:", "half an answer"),
    ending("        if not chunk:\n", "        if False:\n", "who hangs up is waited for"),
    ending("left = end - now()", "left = ANSWER_SECONDS", "who sends a byte now and then is waited for"),
    ending("_receive(connection, 8,", "_receive(connection, 0,", "a short answer ends the process"),
    ending("_receive(connection, 16,", "_receive(connection, 8,", "a short answer ends the process"),
    ending("    if not least <= length < 1 << 20:\n", "    if False:\n", "who speaks HTTP is listened to"),
    ending("        if error not in (0, _SESSION_EXPIRED):\n", "        if False:\n", "a refusal is an end"),
    ending(
        "        if error not in (0, _SESSION_EXPIRED):\n",
        "        if error:\n",
        "what is over is asked to end elsewhere",
    ),
    ending(
        '        _send(connection, struct.pack(">ii", 1, _CLOSE_SESSION))\n', "", "taken over, not closed"
    ),
    ending("connection.sendall(", "connection.send(", "half a request"),
    sessions(
        "servers = [up.address, *(a for a in self._servers.addresses if a != up.address)]",
        "servers = list(self._servers.addresses)",
        "a session that was given up is ended elsewhere first, where nobody may have heard of it",
    ),
    sessions(
        "        self._refused.clear()\n",
        "",
        "who has accepted us since is said to refuse us",
    ),
]
