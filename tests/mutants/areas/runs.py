"""What a daemon runs: commands and handlers, and how they end."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_runner.py"), pytest("tests/unit/handlers"))

runner = partial(Mutant, "mwapp/runner.py")
processes = partial(Mutant, "mwapp/processes.py")
commands = partial(Mutant, "mwapp/commands.py")
pool = partial(Mutant, "mwapp/handler_pool.py")
warm = partial(Mutant, "mwapp/warm_process.py")

MUTANTS = [
    # ---------------------------------------------------------------- what runs
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
        "            self._kill(run, 0.0)\n            self._ended",
        "            self._ended",
        "what was lost sight of runs on behind the core's back",
    ),
    runner(
        "            self._thread.join(LAST_PATIENCE)",
        "            pass",
        "a daemon closes its session while its commands still run",
    ),
    processes("start_new_session=True,", "start_new_session=False,", "to kill a command kills the daemon"),
    processes(
        "        self._signal(signal.SIGKILL)\n        self.code = self._process.wait()",
        "        self.code = self._process.wait()",
        "what a command leaves behind in its group goes on",
    ),
    processes(
        "        elif self._deadline.when() <= self._loop.time() + grace:\n            return\n",
        "        elif True:\n            return\n",
        "a second kill with less grace is not heeded",
    ),
    processes(
        "self._deadline = self._loop.call_later(grace, self._signal, signal.SIGKILL)",
        "pass",
        "a command that ignores SIGTERM goes on",
    ),
    processes(
        "os.killpg(self._process.pid, number)",
        "os.kill(self._process.pid, number)",
        "children of a command are not killed with it",
    ),
    processes(
        "            self._loop.call_later(LAST_OUTPUT, self._no_more_output)",
        "            pass",
        "who left the group and keeps the output open is waited for",
    ),
    processes(
        "        for _ in range(MOST_CHUNKS):\n            if not self._read():\n                return",
        "        self._read()",
        "the last of a handler's output is lost, or is in that of the next",
    ),
    processes(
        "        if self.code is not None:\n            return\n        if grace <= 0:",
        "        if grace <= 0:",
        "a number that is somebody else's by now is killed",
    ),
    processes("stdin=subprocess.DEVNULL,", "", "a command reads the daemon's own input"),
    processes('"NOTIFY_SOCKET", ', "", "a command speaks to systemd in the daemon's name"),
    processes("del self._tail[:excess]", "del self._tail[excess:]", "the end of a long output is not kept"),
    commands(
        "own_environment() | dict(task.environment) | dict(run.environment),",
        "own_environment() | dict(run.environment) | dict(task.environment),",
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
    pool("self._closed = True", "pass", "at the end new processes are started for those that wait"),
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
        "if why is not None and self._waiting and not self._closed:\n            self._fail(why)",
        "pass",
        "where no process can be started they are started for ever",
    ),
    pool('"until": run.until,', '"until": float("inf"),', "a handler is started whose session may be over"),
    warm(
        'if self._killed or reply.get("clean") is not True:',
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
    warm("            self._owner.useless(self)\n", "", "a process that is lost is given the next run"),
]
