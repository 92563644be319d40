"""What a daemon runs: commands and handlers, and how they end."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest(
        "tests/unit/test_execution_environment.py",
        "tests/unit/test_runner.py",
        "tests/unit/test_guard.py",
        "tests/unit/test_processes.py",
    ),
    pytest(
        "tests/unit/test_control_groups.py",
        "tests/unit/test_task_user.py",
        "tests/unit/test_given_variables.py",
    ),
    pytest("tests/integration/test_task_user.py"),
    pytest("tests/unit/handlers"),
)

runner = partial(Mutant, "mwapp/execution/runner.py")
group = partial(Mutant, "mwapp/execution/process_group.py")
environment = partial(Mutant, "mwapp/execution/environment.py")
table = partial(Mutant, "mwapp/execution/processes.py")
guard = partial(Mutant, "mwapp/execution/guard.py")
guarding = partial(Mutant, "mwapp/execution/guard_process.py")
output = partial(Mutant, "mwapp/execution/output.py")
commands = partial(Mutant, "mwapp/execution/shell.py")
pool = partial(Mutant, "mwapp/execution/handler_pool.py")
warm = partial(Mutant, "mwapp/execution/warm_process.py")
groups = partial(Mutant, "mwapp/execution/control_groups.py")
remote = partial(Mutant, "mwapp/execution/remote.py")
other = partial(Mutant, "mwapp/execution/runner_process.py")
privileges = partial(Mutant, "mwapp/execution/privileges.py")
inside = partial(Mutant, "mwapp/execution/handler_process.py")
daemons = partial(Mutant, "mwapp/cli/daemons.py")

MUTANTS = [
    # ---------------------------------------------------------------- what runs
    daemons(
        "control_groups=groups, given=given",
        "control_groups=groups",
        "runs do not have what they are given",
    ),
    daemons(
        "*log_as, given=given",
        "*log_as",
        "another user's runs do not have what they are given",
    ),
    other(
        "        orders = Orders(channel, runner)\n        while orders.read():\n            pass\n",
        "        orders = Orders(channel, runner)\n        while runner._call(orders.read) is None:\n"
        "            channel.recv(1, socket.MSG_PEEK)\n",
        "while its thread is held up, the process that runs tasks does not hear how long the session lives",
    ),
    other(", given=json.load(sys.stdin)", "", "another user's runs do not have what they are given"),
    remote(
        "of_runs() | _own(user),",
        "of_runs() | _own(user) | dict(given or {}),",
        "they are for what runs alone",
    ),
    runner("os.environ | self._given", "os.environ", "runs do not have what they are given"),
    runner(
        "        self._handlers.kill(run, grace)\n",
        "",
        "a handler that is late or cancelled goes on",
    ),
    runner(
        "            self._handlers.kill_all()\n",
        "",
        "handlers outlive the daemon, which waits for them in vain",
    ),
    runner(
        "        if exited.run in self._running:\n            self._running.remove(exited.run)\n            self._post(exited)",
        "        self._post(exited)",
        "what was lost sight of and then ends is told twice",
    ),
    runner(
        "                self._kill(run, 0.0)\n            self._post",
        "                pass\n            self._post",
        "what was lost sight of runs on behind the core's back",
    ),
    runner(
        "            with suppress(OSError):  # each is told",
        "            if True:",
        "if one cannot be killed, the others that are lost sight of are never told",
    ),
    group(
        "        finally:  # also if no more files can be opened",
        "        except ZeroDivisionError:\n            pass\n        else:",
        "what is lost sight of runs on if no more files can be opened",
    ),
    runner(
        "lost, self._running = self._running, set()",
        "lost = list(self._running)",
        "what waits for a process and is lost sight of is told as killed, without a reason",
    ),
    runner(
        "            self._thread.join(THREAD_END)",
        "            pass",
        "a daemon closes its session while its commands still run",
    ),
    group(
        "start_new_session=True,\n                    env={",
        "start_new_session=False,\n                    env={",
        "to kill a command kills the daemon",
    ),
    group(
        "            if self._is_left():\n                self._signal(signal.SIGKILL)",
        "            if self._is_left():\n                self._signal_group(signal.SIGKILL)",
        "who has no mark and has left the session is not found once its parent is killed",
    ),
    group(
        "        for process in _census.of(self._process.pid, self._mark):\n            if process.group",
        "        for process in []:\n            if process.group",
        "what has left the group is not asked to end, or is not killed",
    ),
    group(
        "            if process.group != self._process.pid:\n                kill(process.pid, number)",
        "            pass",
        "what has left the group is not asked to end, or is not killed",
    ),
    group(
        "            _census.take()  # first",
        "            self._signal_group(number)\n            _census.take()  # first",
        "whose environment was emptied is not found once its parent is killed",
    ),
    group(
        "            kill(process.pid)\n\n\ndef _exit_code",
        "            pass\n\n\ndef _exit_code",
        "what a command leaves behind in another session goes on",
    ),
    group(
        "return _orphans.belong_to(self._process.pid, self._mark)",
        "return False",
        "what a command leaves behind in another session goes on",
    ),
    group(
        "if time.monotonic() - self._ended_at > GROUP_END or not self._is_left():",
        "if self._kill_who_is_left() is None:",
        "a run is over when what it leaves behind is killed, and not yet gone",
    ),
    group(
        "os.WEXITED | os.WNOWAIT",
        "os.WEXITED",
        "the number of a group that is not over can be another's",
    ),
    group(
        "return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status",
        "return ended.si_status",
        "a command that was killed has an exit status",
    ),
    group(
        "env={**environment, MARK: str(self._mark)},",
        "env=environment,",
        "an orphan is nobody's where no limit can be its mark",
    ),
    group(
        "            with marked(self._mark):\n",
        "            if True:\n",
        "an orphan whose environment was emptied is nobody's",
    ),
    table(
        "next(_numbers) % (1 << _HALF)",
        "0",
        "what one run leaves behind counts as another's",
    ),
    table(
        "    with suppress(ValueError, OSError):\n        resource.setrlimit",
        "    if True:\n        resource.setrlimit",
        "where the limit on locks is low nothing runs",
    ),
    table(
        "        _limit_locks(_GIVEN_LOCKS[0])\n",
        "        pass\n",
        "what the daemon starts for itself has the mark of a run",
    ),
    table(
        " and len(value) < _MOST_DIGITS",
        "",
        "a task whose variable is a number of 5,000 digits makes its worker lose sight of all",
    ),
    table("            or mark in marks\n", "", "who forks twice goes on"),
    table("            or mark in marks\n", "            or True\n", "every orphan belongs to every run"),
    table(
        "            or (not marks and process.pid not in seen)\n",
        "",
        equivalent="a process that is just dying stays as a zombie until the next run ends",
    ),
    table(
        "(not marks and process.pid not in seen)",
        "not marks",
        "a run ends a second late if any other has let go of an orphan without a mark",
    ),
    table(
        "        found |= {pid for pid in self._below.get(os.getpid(), []) if mark in _marks(pid)}\n",
        "",
        "who forks twice is not killed with its run",
    ),
    table(
        "        limit, _ = resource.prlimit(pid, _RLIMIT_LOCKS)\n",
        "        pass\n",
        "an orphan whose environment was emptied is nobody's",
    ),
    table(
        " | set(_marks_in_environment(pid))",
        "",
        "an orphan is nobody's where no limit can be its mark",
    ),
    table(
        "{self._processes[pid].session for pid in found}.difference(strangers)",
        "{self._processes[pid].session for pid in found}",
        "with a daemon's runs its guard kills who shares the daemon's session",
    ),
    table(
        "        found |= {pid for pid in others if self._processes[pid].session in sessions}\n",
        "",
        "what has lost both marks goes on when the daemon is killed",
    ),
    table(
        "            kill(process.pid)\n        some",
        "            pass\n        some",
        "nobody kills what a dead daemon ran",
    ),
    table(
        "if leader in (p.pid, p.group, p.session)}",
        "if leader == p.group}",
        "who has a group of its own in the session is asked for nothing",
    ),
    table(
        "        while to_follow:\n",
        "        while False:\n",
        "of what has left the session the children go on",
    ),
    table(
        "for pid in found if not self._processes[pid].dead]",
        "for pid in found]",
        equivalent="a signal to the dead does nothing",
    ),
    table(
        "            if _buried(pid):",
        "            if False:",
        "the dead that a run leaves behind stay for ever",
    ),
    table(
        "            if not self._look(seen, own):\n                break",
        "            self._look(seen, own)\n            break",
        "whose parent dies while we look at all orphans is missed, and its run is over",
    ),
    table("looks = 0 if found else looks + 1", "looks = LOOKS", "one look is enough for the guard"),
    runner("        adopt_orphans()\n", "", "who forks twice is init's"),
    runner("            guard.close()\n", "", "a daemon's guard stays when its runner has ended"),
    runner(
        "        if lease >= self._lease + LAG:",
        "        if False:",
        "who stands still lets its runs go on when its session is over",
    ),
    remote(
        "        if lease >= self._lease + LAG:\n",
        "        if False:\n",
        "who stands still lets its runs of another user go on when its session is over",
    ),
    other(
        "                    self._runner.keep(lease)\n",
        "                    pass\n",
        "who stands still lets its runs of another user go on when its session is over",
    ),
    guard(
        "call_later(self._pause, self._start)",
        "call_later(600, self._start)",
        "a guard that is killed is the last",
    ),
    guard(
        "min(2 * self._pause, LONGEST_PAUSE)",
        "PAUSE",
        "where no guard can live, they cost all there is of a CPU",
    ),
    guard(
        "PAUSE if lived > LONG else min(2 * self._pause, LONGEST_PAUSE)",
        "min(2 * self._pause, LONGEST_PAUSE)",
        "after some guards in a month there is none for ten seconds",
    ),
    guard(
        "            self._process = process\n            self._tell()\n",
        "            self._process = process\n",
        "a second guard does not know how long the session lives",
    ),
    guard(
        "                self._process.kill()\n            except BrokenPipeError",
        "                pass\n            except BrokenPipeError",
        "a guard that stood still for long believes what is old, and kills what runs",
    ),
    guard(
        "            process.kill()\n            self._bury",
        "            self._bury",
        equivalent="it ends by itself when its pipe is closed, after some looks",
    ),
    guarding(
        "        signal.signal(number, signal.SIG_IGN)\n",
        "        pass\n",
        "who asks all to end, ends the guard first",
    ),
    guarding(
        '        be_called(f"guard of {daemon}")\n',
        "        pass\n",
        "who kills all that is called mwapp kills the guard",
    ),
    guarding(
        "            if kill_all(silent):  # if",
        "            if False:  # if",
        "who stands still lets its runs go on when its session is over",
    ),
    guarding(
        "            due = None  # until",
        "            due = lease  # until",
        equivalent="it kills again and again",
    ),
    table(
        "found = census.of_family(family, strangers, spared)",
        "found = census.of_family(family, strangers)",
        "a guard kills itself and a daemon that was stopped while it started a run, and the runs go on",
    ),
    table(
        ".difference(found, spared)",
        ".difference(found)",
        equivalent="nobody who is spared descends from a run",
    ),
    table(
        " and it.pid not in _started]",
        "]",
        "where the kernel lists no children, every look takes the exit status of what has ended",
    ),
    table(
        "with suppress(FileNotFoundError):  # an unusual kernel",
        "with suppress(OSError):",
        "a run begins though its end cannot be followed for lack of files",
    ),
    table(
        "{limit} if limit >> _HALF > 0 else set()",
        "{limit} if limit > 0 else set()",
        "a limit that somebody else has set is taken for a mark",
    ),
    guard(
        "    waited_for(process.pid)\n",
        "",
        "an orphan with the number of an earlier guard is nobody's",
    ),
    runner(
        "                guard.keep(lease)\n",
        "                self._call(guard.keep, lease)\n",
        "while its runner's thread is held up, a worker's own guard kills its runs",
    ),
    guarding("                say(WHY", "                str(WHY", "nobody says why the guard has killed"),
    guarding(
        "if room > 1:", "if True:", "where the kernel says nothing the guard writes all over its memory"
    ),
    group(
        "with suppress(ProcessLookupError, PermissionError):",
        "with suppress(ProcessLookupError):",
        "a run that has become another user's takes all others with it",
    ),
    group(
        "            self._signal(signal.SIGKILL)\n        finally:\n            with suppress(subprocess.T",
        "            self._signal(signal.SIGKILL)\n        except ():\n            with suppress(subprocess.T",
        "what cannot be followed for lack of files keeps its control group, and stays as a zombie",
    ),
    guarding("    kill_all()\n\n\ndef silent", "\n\ndef silent", "nobody kills what a dead daemon ran"),
    guarding("said.split()[-1]", "said.split()[0]", "the guard believes what is old"),
    guarding(
        "            due = lease\n        else",
        "            due = due or lease\n        else",
        "it is not heard that a session ends earlier",
    ),
    guarding('(group / "cgroup.kill").write_text("1")', "pass", "control groups of a dead daemon live on"),
    guarding(
        '    with suppress(OSError):\n        (group / "cgroup.kill")',
        '    if True:\n        (group / "cgroup.kill")',
        "without control groups nothing is killed",
    ),
    table(
        "        if not wanted():\n            break\n",
        "",
        "the guard kills what a daemon runs that goes on in its next session",
    ),
    group(
        "        elif self._deadline.when() <= self._loop.time() + grace:\n            return\n",
        "        elif True:\n            return\n",
        "a second kill with less grace is not heeded",
    ),
    group(
        "self._deadline = self._loop.call_later(grace, self._kill)",
        "pass",
        "a command that ignores SIGTERM goes on",
    ),
    group(
        "os.killpg(self._process.pid, number)",
        "os.kill(self._process.pid, number)",
        "children of a command are not killed with it",
    ),
    group(
        "            self._loop.call_later(LAST_OUTPUT, self._no_more_output)",
        "            pass",
        "who left the group and keeps the output open is waited for",
    ),
    group(
        "        for _ in range(MOST_CHUNKS):\n            if not self._read():\n                return",
        "        self._read()",
        "the last of a handler's output is lost, or is in that of the next",
    ),
    group(
        "        if self.code is not None and self._deadline is None:\n            return  # what is left",
        "        if False:\n            return  # what is left",
        "a number that is somebody else's by now is killed",
    ),
    group(
        "        if self.code is not None and self._deadline is None:\n            return  # what is left",
        "        if self.code is not None:\n            return  # what is left",
        "when a shell has ended what it has started is let be until the deadline, even if the session is over",
    ),
    group(
        "        if self._deadline is not None:\n            self._await_deadline()\n            return\n",
        "        self._no_deadline()\n",
        "what a shell has started has no time to clean up: the shell ends at once",
    ),
    group(
        "        if self._is_left():\n            self._loop.call_later(pause, self._await_deadline",
        "        if False:\n            self._loop.call_later(pause, self._await_deadline",
        "what a shell has started has no time to clean up: the shell ends at once",
    ),
    group(
        "        else:\n            self._no_deadline()\n            self._end()\n",
        "",
        "who was asked to end and has is waited for until the deadline",
    ),
    group(
        "            if self.code is not None:  # it has ended before those that it started\n                self._end()",
        "            pass",
        "a run whose shell has ended before the deadline is never over",
    ),
    group(
        "            if self.code is not None and self._deadline is None:\n                self._await_group()",
        "            if self.code is not None:\n                self._await_group()",
        "who closes its output when it is asked to end has no time to clean up",
    ),
    group(
        "        if self._killed:\n            return\n",
        "",
        equivalent="who has got SIGKILL is gone before a second deadline",
    ),
    group("stdin=subprocess.DEVNULL,", "", "a command reads the daemon's own input"),
    environment('"NOTIFY_SOCKET", ', "", "a command speaks to systemd in the daemon's name"),
    environment(
        'if not os.access(shared.get("HOME", "")',
        'if not os.access(shared.get("HOME", "/tmp")',
        "there is no HOME",
    ),
    environment('in ("nologin", "false")', 'in ("false",)', "SHELL is nologin, as a service's user has it"),
    environment(
        '{"LC_ALL", "LC_CTYPE", "LANG"}', '{"LANG"}', "somebody's choice of a locale is overridden by ours"
    ),
    environment(
        'shared.setdefault("PATH", PATH)', 'shared["PATH"] = PATH', "the daemon's PATH is not the run's"
    ),
    output("del self._tail[:excess]", "del self._tail[excess:]", "the end of a long output is not kept"),
    commands(
        "self._environment | dict(task.environment) | dict(run.environment),",
        "self._environment | dict(run.environment) | dict(task.environment),",
        "a task can forge its token",
    ),
    commands(
        "if run.run not in self._runs:  # killed meanwhile",
        "if False:",
        "what was killed before it was started is started",
    ),
    commands(
        "if clock.now() >= run.until:",
        "if False:",
        "a command is started whose session may be over",
    ),
    commands(
        "                if control_group is not None:\n                    control_group.release()\n",
        "",
        "a control group that was made too late is never used again",
    ),
    commands(
        "        elif number in self._runs:\n            self._end(Exited(number, -signal.SIGKILL))",
        "        else:\n            pass",
        "what is killed before it was started never ends",
    ),
    # ---------------------------------------------------------------- handlers
    pool(
        "        for number in list(self._waiting):\n            self.kill(number)\n",
        "",
        "at the end runs that wait for a process are waited for",
    ),
    runner(
        "if self._closing:  # all", "if False:  # all", "what is started at the end runs on, killed by nobody"
    ),
    pool(
        "self._starting.discard(process)\n        if process.runs",
        "if process.runs",
        "after four processes none is started",
    ),
    pool(
        "if len(self._processes) >= FEW and left > 0:",
        "if len(self._processes) >= FEW:",
        "a seventeenth handler waits until another has ended",
    ),
    pool(
        "if why is not None and self._waiting:\n            self._fail(why)",
        "pass",
        "where no process can be started they are started for ever",
    ),
    pool('"until": run.until,', '"until": float("inf"),', "a handler is started whose session may be over"),
    warm(
        "if self._group.asked_to_end and not clean:",
        "if False:",
        "what a handler has started has no time to clean up once the handler has returned",
    ),
    warm(
        "if self._killed or not clean:",
        "if self._killed:",
        "a process is used again that a handler has left in disorder",
    ),
    warm(
        'return self.run is not None and reply.get("run") == self.run',
        "return self.run is not None",
        "an answer that a handler wrote itself is believed",
    ),
    warm(
        "        self._group.output = Output(self._limit)\n",
        "",
        "the output of one handler is in that of the next",
    ),
    warm('"reason": self._reason', '"reason": None', "who is killed for its channel is not told why"),
    warm(
        "self._loop.call_later(LAST_WORDS, self._lose, CLOSED)",
        "self._lose(CLOSED)",
        "what ends by itself is told as killed",
    ),
    warm("            self._owner.useless(self)\n", "", "a process that is lost is given the next run"),
    pool(
        "dict(task.environment) | dict(run.environment)",
        "dict(run.environment) | dict(task.environment)",
        "a handler's task can forge its token",
    ),
    pool("if process.runs < MOST_RUNS:", "if process.runs <= MOST_RUNS:", "a process has one run too many"),
    pool(
        "if now - process.idle_since > IDLE]",
        "if now - process.idle_since < IDLE]",
        "processes end when they are used, and stay when not",
    ),
    pool(
        "self._idle.pop().begin(",
        "self._idle.pop(0).begin(",
        "all processes are used in turn, so none is ever idle for long",
    ),
    pool(
        "if len(self._starting) >= min(len(self._waiting), STARTING):",
        "if len(self._starting) >= STARTING:",
        "for one run four processes are started",
    ),
    pool(
        "if len(self._starting) >= min(len(self._waiting), STARTING):",
        "if len(self._starting) >= len(self._waiting):",
        "for a thousand runs a thousand processes are started at once",
    ),
    pool(
        "        self._processes.discard(process)\n        self._starting",
        "        self._starting",
        "who ends waits for processes that are gone",
    ),
    pool(
        "            self._again = self._loop.call_later(left, self._look_again)\n            return False",
        "            return False",
        "beyond sixteen processes a run waits for whoever ends, however long",
    ),
    pool(
        "        self.useless(process)\n        self._processes",
        "        self._processes",
        equivalent="its channel ends before it does, which has told the pool",
    ),
    warm(
        "        self._killed = True\n",
        "",
        "who was asked to end, and has, is used again",
        at="WarmProcess.kill",
    ),
    warm(
        "            self._loop.add_writer(self._channel, self._send_the_rest)",
        "            pass",
        "a large argument never arrives",
    ),
    warm("            code = 1\n", "            pass\n", "a handler that ends its process has succeeded"),
    warm(
        "self._loop.call_later(FAREWELL, self._group.kill)",
        "pass",
        "a process that cannot end stays for ever",
    ),
    warm(
        'begun=not reply.get("late")',
        "begun=True",
        "a run that was too late to begin counts as a failure of its task",
    ),
    warm("        self._group.read_all()\n", "", "the last of a handler's output is lost"),
    warm(
        "self.run = None\n        self._owner.over(exited)",
        "self._owner.over(exited)",
        "when an idle process dies its last run ends again",
    ),
    pool(
        '"secrets": bool(task.secrets)', '"secrets": False', "a module that kept secret values serves others"
    ),
    # ---------------------------------------------------------------- inside a handler's process
    inside(
        "self._environment | own", "own | self._environment", "the daemon's environment is over the task's"
    ),
    inside(
        "        for name in self._variables.keys() - wanted.keys():\n            del os.environb[name]\n",
        "",
        "a run finds what the one before it has set",
    ),
    inside(
        "        self._set_variables(self._environment)  # the next",
        "        # the next",
        "secret values stay in a process",
    ),
    inside(
        ' and not request["secrets"]', "", "what a module has kept of secret values the next run can read"
    ),
    inside(
        "        signal.setitimer(signal.ITIMER_REAL, 0)\n",
        "",
        "the alarm that one handler has set kills the next",
    ),
    inside(
        "            signal.signal(number, action)\n",
        "            pass\n",
        "after a handler that ignored SIGTERM no other can be asked to end",
    ),
    inside(
        "        signal.pthread_sigmask(signal.SIG_SETMASK, ())\n",
        "",
        "after a handler that blocked SIGTERM no other can be asked to end",
    ),
    inside(
        "os.umask(self._umask)\n        os.fchdir", "os.fchdir", "the next run's files are open to everybody"
    ),
    inside("        os.fchdir(self._directory)\n", "", "a run is in the directory of the one before it"),
    inside("        os.dup2(self._output, 1)\n", "", "what the next run prints is lost"),
    inside("        os.dup2(self._output, 2)\n", "", "the next run's errors are lost"),
    inside(
        "sys.stdout, sys.stderr = self._streams",
        "pass",
        "what the next run prints is lost",
        at="Surroundings.restore",
    ),
    inside(
        "        os.environ = self._environ", "        pass", "a run finds what the one before it has set"
    ),
    inside(
        "return not _left_behind()", "return True", "what a handler leaves behind goes on beside the next"
    ),
    inside(
        "threading.active_count() > 1", "threading.active_count() > 2", "a thread goes on beside the next run"
    ),
    inside("clean and code == 0", "clean", "after an exception a handler's modules are used half done"),
    inside(
        "    if os.getpid() != process:  # a child that the handler forked has returned to here\n        os._exit(code)\n",
        "",
        "a handler that forks ends twice",
    ),
    inside("(leaving.code or 0) & 0xFF", "leaving.code or 0", "an exit status is none that there can be"),
    inside(
        'if clock.now() >= request["until"]:',
        "if False:",
        "a handler is begun whose session may be over, if its import took long",
    ),
    inside(
        "except BaseException as problem:",
        "except Exception as problem:",
        "a module that leaves when it is imported ends the process, and nobody hears why",
    ),
    inside(
        "    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)",
        "    pass",
        "handlers run on behind a daemon that was killed",
    ),
    inside(
        "    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)",
        "    pass",
        "a handler's orphans go on beside the next run",
    ),
    inside(
        "    os.set_inheritable(channel, False)",
        "    pass",
        "a program that a handler starts can answer for it",
    ),
    inside(
        "            self._loaded[name] = load(point)",
        "            return load(point)",
        equivalent="Python keeps modules itself",
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    warm(
        "        self._began = time.monotonic()\n",
        "",
        "a run seems to have taken as long as the machine runs",
    ),
    # ---------------------------------------------------------------- control groups
    group(
        "            if number == signal.SIGKILL and self._control_group is not None:\n                self._control_group.kill()\n",
        "",
        equivalent="what is left is killed with its group once its shell has ended",
    ),
    group(
        "        if self._control_group is not None:\n            self._control_group.kill()\n        _census",
        "        _census",
        "who leaves everything behind goes on, if there is no SIGKILL",
    ),
    group(
        "        if self._control_group is not None and self._control_group.populated:\n            return True\n",
        "",
        "a run is over before its group is empty",
    ),
    group(
        "        if why is not None and self.code == -signal.SIGKILL:",
        "        if why is not None:",
        "a task that lost a part of itself seems killed",
    ),
    group("        self._control_group.release()\n", "", "each run takes a group that is never used again"),
    commands(
        "                command = control_group.joining(command)\n",
        "",
        "a command runs in the worker's group",
    ),
    warm(
        "                    arguments.append(control_group.processes)\n",
        "",
        "a handler runs in the worker's group",
    ),
    runner(
        "                self._control_groups.close()",
        "                pass",
        "a daemon leaves its groups behind",
    ),
    groups('|| exit 125; "', '; "', "who cannot join its group runs outside it, without limits"),
    groups('(path / "memory.oom.group").write_text("1")', "pass", "the kernel kills a part of a run"),
    groups(
        "before, self._before = self._before, self._read()",
        "before = self._before",
        "a group tells the next run of the last one's memory",
    ),
    groups(
        "        if not killed:\n            return None\n", "", "whoever is killed has used too much memory"
    ),
    groups(
        "if own and self._limits.memory is not None:", "if True:", "a host without memory is the task's limit"
    ),
    groups("        if above:\n", "        if False:\n", "the limit of all tasks is not named"),
    groups(
        "(self._dying if group.populated else self._free)",
        "self._free",
        "a run gets a group in which an earlier one goes on",
    ),
    groups(
        "        if not self._free and self._dying:\n",
        "        if False:\n",
        "a group whose processes died late is never used again",
    ),
    groups('{"memory", *task.controllers', "{*task.controllers", equivalent="only real control groups know"),
    groups('if os.getxattr(own, mark) == b"1":', "if True:", "a worker takes a group that is not its own"),
    groups("round(self.cpu * _PERIOD)", "self.cpu * _PERIOD", "the kernel takes no such amount of CPU time"),
    groups('(group / "memory.swap.max").write_text("0")', "pass", "a run swaps in place of being killed"),
    groups("LEAST_MEMORY <= amount < MOST_MEMORY", "LEAST_MEMORY <= amount", "the kernel refuses a limit"),
    groups(
        "    if delegated is None and limits:",
        "    if False:",
        "a worker runs without the limits it is given",
    ),
    groups(
        '            if limit.rpartition("-")[2] not in there:',
        "            if False:",
        "it is not told which is missing",
    ),
    groups(
        "        if limits:\n            raise",
        "        if False:\n            raise",
        "a worker runs without its limits",
    ),
    # ---------------------------------------------------------------- tasks as another user
    privileges("_set_capabilities(effective, permitted, 0)", "pass", "a task can become any user"),
    privileges("    _set_capabilities(0, 0, 0)", "    pass", "a worker can become any user"),
    privileges("if entry.pw_uid in (0, os.getuid()):", "if False:", "tasks are root"),
    remote("            privileges.give_up()\n", "            pass\n", "a worker can become any user"),
    remote("extra_groups=list(user.groups)", "extra_groups=None", "a task has its worker's groups"),
    remote("group=user.gid", "group=None", "a task has its worker's group"),
    remote(
        "kinds not in (_HEAD, [int, type(None), *_HEAD[2:]])", "not kinds", "a task makes its worker fail"
    ),
    remote("few = 0 <= size <= MOST_OUTPUT and", "few =", "a task makes its worker read without end"),
    remote(
        "all(-1 <= other <= MOST_OUTPUT for other in others)",
        "True",
        "a task makes its worker read without end",
    ),
    remote(
        "if len(output) + sum(map(len, texts)) < size + sum(max(0, other) for other in others):",
        "if len(output) < size:",
        "half an answer is one",
    ),
    remote("-1 if text is None else len(it)", "len(it)", "who has returned nothing has returned no JSON"),
    inside(
        "    if len(data) > MOST_RESULT:",
        "    if False:",
        "a result is larger than what its process can tell",
    ),
    inside(
        "except ResultError as problem:",
        "except ZeroDivisionError as problem:",
        "what cannot be returned fails with a traceback, and no reason",
    ),
    remote("    os._exit(1)", "    pass", "a worker goes on that can run nothing"),
    remote(
        "                        going.discard(answer.run)\n",
        "                        pass\n",
        "a task makes its worker hear of an end twice, which is a defect in the core",
    ),
    remote("        if self._closing:\n            return\n", "", "a worker that drains fails at its end"),
    other(
        "        return bool(data)\n", "        return True\n", "what runs goes on when its worker has died"
    ),
    groups(
        "            files.callback(self._own.close)\n",
        "",
        "each run that cannot have a control group for lack of files costs one more",
    ),
    other(
        "        runner.kill_all()\n",
        "        pass\n",
        equivalent="the guard of this process kills what runs",
    ),
    groups("self._runs.chmod(0o1770)", "pass", "another user can run nothing"),
    groups("chmod(0o1770)", "chmod(0o1777)", "every user of the host can take the names of runs to come"),
    groups("chmod(0o1770)", "chmod(0o770)", "whoever is in the group of the tasks' user can remove theirs"),
    groups(
        "            _make_for(user, runs)\n",
        "            runs.mkdir(exist_ok=True)\n",
        "tasks cannot have groups, as theirs would be the worker's",
    ),
    groups(
        "        if path.stat().st_uid != os.geteuid():\n",
        "        if False:\n",
        "a run fails in a group that somebody else has made for it",
    ),
    groups(
        "    if group.stat().st_gid != user.gid:\n",
        "    if False:\n",
        "the groups of runs go on to be those of another user",
    ),
    groups(
        "        group.rmdir()\n",
        "        pass\n",
        "a worker with another user for its tasks cannot use what an earlier start has left",
    ),
    groups('(self._runs.parent / "cgroup.procs").chmod(0o666)', "pass", "another user can run nothing"),
    groups(
        'self._runs / "cgroup.kill"', 'self._runs / "cgroup.freeze"', "a stopped process keeps runs alive"
    ),
    group(
        "        why = self._control_group.lacked_memory()\n        if why is not None and self.code == -signal.SIGKILL:\n",
        "        if self.code == -signal.SIGKILL and (why := self._control_group.lacked_memory()) is not None:\n",
        "who is killed hears of the memory that a run before it has lacked",
    ),
]
