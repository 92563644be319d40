"""The clients of programs in Python."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_client_calls.py"),
    pytest("tests/unit/test_client.py"),
    pytest("tests/unit/test_cli.py"),
)

background = partial(Mutant, "mwapp/client/background.py")
calls = partial(Mutant, "mwapp/client/calls.py")
handles = partial(Mutant, "mwapp/client/handles.py")
tables = partial(Mutant, "mwapp/client/tables.py")
aio = partial(Mutant, "mwapp/client/aio.py")
handlers = partial(Mutant, "mwapp/handlers.py")
typed_names = partial(Mutant, "mwapp/cli/names.py")

MUTANTS = [
    handles(
        "        interruption.submitted = known",
        "        _ = known",
        "who is interrupted while it submits cannot find what is stored",
    ),
    handles(
        " if _is_stored(future)]",
        "]",
        "who interrupts a submission waits for its end all the same",
    ),
    handles(
        "handles.setdefault(future, []).append(task)",
        "handles[future] = [task]",
        "of several handles of a task as_completed tells of one",
    ),
    calls("    if task.expires <= left:", "    if False:", "what can only fail is submitted"),
    calls(
        "task.not_before - time.time()",
        "task.not_before",
        "no task that is to begin at a time of day may expire",
    ),
    tables(
        "self.see(name, _end(timeout))",
        "self.see(name)",
        "who looks at a table with a time limit waits for ever",
    ),
    handles(
        "None if isinstance(what, Handler) else named.pop",
        "named.pop",
        "no function can have an argument called timeout",
    ),
    handles(
        "        if future in late:\n            continue\n",
        "",
        "who submits with a time limit waits for ever",
    ),
    aio(
        "                await _all(futures, limit)\n            return stored(",
        "                await _all(futures)\n            return stored(",
        "who submits with a time limit waits for ever",
    ),
    background(
        "there[index] = earlier or None",
        "there[index] = earlier",
        "a program that lost a reply is told that its task is new",
    ),
    handles("    task.existed = its.existed\n", "", "a program is not told that its task was there already"),
    typed_names(
        "replace(servers, creates_chroot=False)",
        "replace(servers, creates_chroot=True)",
        "a TAB makes the znode of a mistyped --connect",
    ),
    calls(
        "json.dumps(argument, allow_nan=False)", "json.dumps(argument)", "what only Python reads is stored"
    ),
    handles("min(timeout, LONGEST)", "timeout", "who waits for ever by a number is told of a defect"),
    handlers(
        "        if not isinstance(there, Handler):", "        if False:", "workers find another function"
    ),
    handlers(
        "        return self.function.__qualname__\n\n    def __call__",
        "        return self.function.__name__ + '_'\n\n    def __call__",
        "a function is lost to process pools once it is decorated",
    ),
    calls('name in ("", ".", "..")', "not name", "who cancels a task . asks for ever"),
    calls("len(name) > MOST_NAME or ", "", "a name of megabytes keeps a client from all else"),
    handles(
        '            future.result()\n    if late:\n        raise TimedOutError(\n            f"timeout: the ens',
        '            future.result()\n    if False:\n        raise TimedOutError(\n            f"timeout: the ens',
        "a cancel request that was never stored counts as made",
    ),
    background(
        "        if os.getpid() != self._owner:  # before",
        "        if False:  # before",
        "a forked client waits for ever",
    ),
    background(
        "        if os.getpid() == self._owner:\n            self._loop.abort()",
        "        if True:\n            self._loop.abort()",
        equivalent="the fork has nobody who reads what abort says, and its thread is over",
    ),
    background(
        "            if not left:\n                self._loop.call(part.stop)",
        "            pass",
        "whoever gives up waiting leaves work behind",
    ),
    background(
        "        for future in list(self._open):\n            _fail(future, ClosedError(closed))",
        "        pass",
        "whoever waits when a client is closed waits for ever",
    ),
    background(
        "            if self._closed is not None:\n                raise ClosedError(self._closed)\n",
        "",
        "a closed client is waited for for ever",
    ),
    background(
        "            _fail(future, UnreachableError(why))",
        "            pass",
        "without an ensemble a program waits for ever",
    ),
    background(
        "            self._telling.start()",
        "            self._telling.run()",
        "who closes a client waits until every dead server has been tried",
    ),
    background(
        "        if self._process.usable:  # it has answered meanwhile\n            return\n",
        "",
        "who waits long is failed by an outage that is over",
    ),
    background(
        "        except RuntimeError:  # there can be no more threads\n            self._tell(late)",
        "        except OSError:  # there can be no more threads\n            self._tell(late)",
        "at its limit of threads a program loses its client in an outage",
    ),
    background(
        "            late = [\n"
        "                future for future, asked in list(self._open.items()) if now - asked >= self._connect_timeout\n"
        "            ]\n",
        "            late = list(self._open)[:1]\n",
        "without an ensemble every task of a thousand costs a look at every server",
    ),
    background(
        "            if futures:\n", "            if True:\n", "nothing that is submitted leaves work behind"
    ),
    background(
        "        future.set_result(result)",
        "        future.set_result(None)",
        "nobody is told anything",
        at="_succeed",
    ),
    background(
        "        if self._process.usable:\n            self._heard = now\n        elif",
        "        if",
        "a client that has long been connected says that it is not",
    ),
    calls(
        'dict(sorted(how.get("environment", {}).items()))',
        'dict(how.get("environment", {}))',
        "the same task under the same name is refused as another",
    ),
    calls(
        "task = replace(task, key=make_key(task.submitter) if task.submitter else None)",
        "task = replace(task, key=None)",
        "nobody can tell who submitted a task under a name",
    ),
    calls(
        'c if c.isprintable() and c != " " else "_" for c',
        "c for c",
        "a user whose name is odd submits nothing",
    ),
    handles(
        'os.environ.get("MWAPP_SUBMITTER") or None if submitter is None else submitter',
        "submitter",
        "the variable that the documentation names has no effect",
    ),
    calls("{**self._options, **options}", "options", "options of the handler are lost"),
    calls(
        "isinstance(it, list | tuple) and all(map(is_text, it))",
        "all(map(is_text, it))",
        "labels that are one text are taken for letters",
    ),
    calls(
        "return outcome.output if outcome.result is None else outcome.value",
        "return outcome.value",
        "what a handler that returns nothing has printed is not its result",
    ),
    calls("written if handler is None else returned", "written", "no result can be read"),
    handles(
        "            future.cancel()",
        "            pass",
        "whoever gives up waiting leaves work behind",
        at="cancelling",
    ),
    handles(
        "    if isinstance(first, UnreachableError | ClosedError | TimedOutError):",
        "    if False:",
        "a program submits again what was stored",
    ),
    handles("        problem.end = end\n", "", "a program cannot tell how a task failed"),
    aio(
        "        with suppress(RuntimeError):  # the loop is closed: nobody waits any more\n            loop",
        "        if True:\n            loop",
        "a closed event loop is complained about",
    ),
    handlers(
        'if module == "__main__":',
        "if False:",
        "workers look for the functions of a program in their own main module",
    ),
    handlers(
        "    if code.co_flags & _STARRED or code.co_posonlyargcount:",
        "    if False:",
        "arguments without names are lost",
    ),
    handlers('    if "." in name:', "    if False:", "workers do not find what is inside a function"),
]
