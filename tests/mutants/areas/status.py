"""What `mwapp status` and its kin read of the ensemble."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_overview.py", "tests/unit/test_ending.py", "tests/unit/test_probes.py"),
    pytest("tests/unit/test_cli_status.py"),
)

overview = partial(Mutant, "mwapp/status/overview.py")
pairs = partial(Mutant, "mwapp/core/pairs.py")
probes = partial(Mutant, "mwapp/status/probes.py")
within = partial(Mutant, "mwapp/within.py")
certificates = partial(Mutant, "mwapp/certificates.py")
ending = partial(Mutant, "mwapp/status/ending.py")
health = partial(Mutant, "mwapp/status/health.py")

MUTANTS = [
    overview(
        "status.stat.ctime if isinstance(status, Node) else None",
        "task.stat.ctime if isinstance(status, Node) else None",
        "who submits a task again is told when it was submitted, not when it ended",
    ),
    health(
        'any(worker.state == "ready" for worker in',
        "any(worker.state != 'gone' for worker in",
        "nobody is told of a task whose label only the master has",
    ),
    health(
        "set(labels) <= set(worker.labels)]",
        "set(labels) & set(worker.labels)]",
        "nobody is told of a task whose labels no worker has together",
    ),
    probes(
        "if name in found and found[name].state == state]",
        "if name in found]",
        "what has just run again is shown as a failure",
    ),
    pairs(
        "then([found[paths] for paths in pairs])",
        "then(list(found.values()))",
        "who names a task twice is shown an error of ours",
    ),
    overview(
        "    if isinstance(status, Node) and status.stat.czxid < task.stat.czxid:",
        "    if False:",
        "a task is shown with the end of an earlier one of its name",
    ),
    overview(
        "            if QUEUED in states.values():  # or removed since they were listed",
        "            if False:",
        "what is being removed is counted as waiting",
    ),
    overview("if by_now == removals:", "if True:", "what is being removed is counted as waiting"),
    overview("if by_now == removals:", "if False:", "all tasks are listed a second time"),
    overview(
        "(stat.czxid, stat.created - stat.children)",
        "(stat.czxid, stat.created)",
        "a new task has them listed again",
    ),
    overview(
        "(stat.czxid, stat.created - stat.children)",
        "(stat.czxid, stat.children)",
        "what is removed while another comes is counted as waiting",
    ),
    overview(
        "(stat.czxid, stat.created - stat.children)",
        "(0, stat.created - stat.children)",
        "what was deleted with /tasks is counted as waiting",
    ),
    overview(
        "if state != QUEUED or name in there}",
        "if name in there}",
        equivalent="what has just been removed is not counted as ended",
    ),
    overview(
        "return winner is None or winner.session != master.stat.owner",
        "return False",
        "a new master is shown with the address of the one before",
    ),
    overview(
        "    return bool(worker.stat.owner) and (registration is None or registration.session != worker.stat.owner)",
        "    return False",
        "who has not registered seems to be ready",
    ),
    overview(
        "        page = paths[len(results) : len(results) + PIPELINE]",
        "        page = paths[len(results) : PIPELINE]",
        "with more tasks than are read at once mwapp status fails",
    ),
    overview(
        "            if len(read) == len(paths) + 1:",
        "            if len(read) == len(paths):",
        "mwapp status fails, or shows no cancel requests",
    ),
    overview(
        "queue.stat.version if isinstance(queue, Node) else None,",
        "worker.stat.version if isinstance(queue, Node) else None,",
        "a worker's incarnation is not shown",
    ),
    overview(
        "known.get(name) or states[name]",
        "states[name]",
        "what has ended is asked for all the time, and fails",
    ),
    overview(
        'state = "paused" if leads else "draining"',
        'state = "draining"',
        "a peer that is the master seems about to leave",
    ),
    overview(
        "if tasks and queue != NOBODY)", "if queue != NOBODY)", "every worker there ever was is shown as gone"
    ),
    overview(
        "_state(status, holder not in (None, NOBODY))",
        "_state(status, holder is not None)",
        "what was returned seems assigned",
    ),
    overview("        cancelling = False\n", "", "what has ended seems to be about to be cancelled"),
    overview(
        "winner.name if winner and isinstance(master, Node) else None",
        "winner.name if winner else None",
        "who was the master before seems to be it",
    ),
    overview(
        "isinstance(master, Node) and not master.stat.owner",
        "False",
        "nobody is told of a /master that was made by hand",
    ),
    overview(
        '"ready" if worker.stat.owner else "persistent"',
        '"ready"',
        "nobody is told of a worker's znode that was made by hand",
    ),
    ending(
        "number == signal.SIGKILL and last.startswith(REMARK)",
        "last.startswith(REMARK)",
        "who ends by another signal has its last line for a reason",
    ),
    ending(
        "number == signal.SIGKILL and last.startswith(REMARK)",
        "number == signal.SIGKILL",
        "who is killed has its last line for a reason",
    ),
    ending("outcome.reason is not None or ", "", "a task that timed out was killed by SIGTERM"),
    ending("number not in _HARMLESS", "True", "who exits with 145 was killed by SIGCHLD"),
    ending("0 < number <= _LAST", "0 < number", "who exits with 255 was killed by signal 127"),
    ending("0 < number <= _LAST", "number <= _LAST", "who exits with 1 was killed by signal -127"),
    ending("    if code < 0:\n        return -code\n", "", "who is killed without a shell does not say so"),
    ending(
        "    except ValueError:",
        "    except KeyError:",
        "a task that a real-time signal ended cannot be shown",
    ),
    probes(
        "io.BufferedReader(Within(connection, PROBE_SECONDS))",
        'connection.makefile("rb")',
        "a server that sends a byte now and then holds mwapp status up",
    ),
    probes("said.read(MOST_BYTES)", "said.read()", "a server that never ends fills the memory"),
    within(
        "HTTPResponse(Within(connection.sock, seconds))",
        "HTTPResponse(connection.sock)",
        "a master that sends a byte now and then holds mwapp status up",
    ),
    within("response.read(most)", "response.read()", "a master that never ends fills the memory"),
    probes("tls = _trusting(ca) if https else None", "tls = None", "a master with TLS is asked without"),
    probes(
        "tls = _trusting(ca) if https else None",
        "tls = _trusting(ca)",
        "a master without TLS cannot be asked any more",
    ),
    probes("    if not ca:\n", "    if ca is None:\n", "an empty setting ends with a traceback"),
    probes(
        "    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):\n",
        "    except ssl.SSLEOFError:\n",
        "who hangs up has an error of OpenSSL's",
    ),
    certificates('if "mismatch" in message:', "if False:", "another name is blamed on the CA"),
]
