"""Secret values of tasks: how they are stored, kept from others, and given to a run."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest(
        "tests/unit/test_core_secrets.py",
        "tests/unit/test_zk_acl.py",
        "tests/unit/test_apply_acl.py",
        "tests/unit/test_client_calls.py",
    ),
    pytest("tests/unit/test_cli.py"),
)

task = partial(Mutant, "mwapp/core/task.py")
client = partial(Mutant, "mwapp/core/client.py")
worker = partial(Mutant, "mwapp/core/worker.py")
job = partial(Mutant, "mwapp/core/job.py")
running = partial(Mutant, "mwapp/core/running.py")
acl = partial(Mutant, "mwapp/zookeeper/acl.py")
apply = partial(Mutant, "mwapp/zookeeper/apply_acl.py")
sessions = partial(Mutant, "mwapp/zookeeper/sessions.py")
wire = partial(Mutant, "mwapp/zookeeper/wire.py")
calls = partial(Mutant, "mwapp/client/calls.py")
submit = partial(Mutant, "mwapp/cli/submit.py")

MUTANTS = [
    # ------------------------------------------------------------ what they may be
    task("if len(data) > MAX_SECRET_BYTES:", "if False:", "a transaction is larger than servers take"),
    task('        _clean("secret value", value)\n', "        pass\n", "a run that cannot be started"),
    task("dict(sorted(values.items()))", "dict(values)", "the same values are not the same bytes"),
    task("or values.keys() != set(names):", "or False:", "a person sets PATH of a run"),
    task(
        "    encode_secrets(values)\n    return values\n",
        "    return values\n",
        "a run that cannot be started",
    ),
    task('        _check_variable("secrets", name)\n', "        pass\n", "a token that anybody may choose"),
    task(
        "if both := sorted(task.environment.keys() & set(task.secrets)):",
        "if both := []:",
        "of two values one is forgotten",
    ),
    task("return tuple(sorted(set(setting)))", "return tuple(setting)", "the same task is another"),
    # ------------------------------------------------------------ how they are stored
    client("extend=index in self._secrets", "extend=False", "servers refuse what is below the task"),
    client(
        "            if index in self._secrets:\n                ops.append(",
        "            if False:\n                ops.append(",
        "the task waits for values that nobody stores",
    ),
    client(
        "        if secret is not None:\n            self._secrets",
        "        if False:\n            self._secrets",
        "what is added later has no values",
    ),
    client("if not self._secrets.keys() <= self._names.keys():", "if False:", "it is created below nothing"),
    client(
        "if self._secrets.keys() != {index for index, task in enumerate(tasks) if task.secrets}:",
        "if False:",
        "a task that can never run",
    ),
    client(
        "if result.index == 1 and batch[0] in self._secrets:",
        "if result.index == 1:",
        "a task without values is told of lists",
    ),
    client(
        "if result.index == 1 and batch[0] in self._secrets:",
        "if batch[0] in self._secrets:",
        "who may not submit is told of lists",
    ),
    client("batch[min(result.index, len(batch) - 1)]", "batch[result.index]", "a client that ends"),
    # ------------------------------------------------------------ how a run gets them
    running("dict(job.secrets or {}) | {", "{", "a run without its values"),
    worker(
        "next_one is None or next_one.lacks_secrets:",
        "next_one is None:",
        "a run begins before its values are known",
    ),
    worker("or node.stat.czxid != job.submitted", "", "a run has the values of a namesake"),
    worker(
        "                self._record(job)\n                self._read_secrets(job)\n",
        "                self._record(job)\n",
        "after a cut it waits for ever",
    ),
    worker(
        "            self._scope.after(AGAIN_SECONDS, partial(self._read_secrets, job))\n            return\n        try:",
        "            return\n        try:",
        "what may be read later waits for ever",
    ),
    worker(
        "        heappush(self._next, task_order(job.name))\n        self._start()\n\n    def _start",
        "        self._start()\n\n    def _start",
        "what has its values waits for ever",
    ),
    worker("            job.refusals += 1\n", "", "what may not be read has a slot for ever"),
    worker(
        "        job.ended(Outcome(worker=self._name, attempt=job.assignment.attempt, reason=reason))\n"
        "        self._record(job)\n",
        "        self._end(job, Outcome(worker=self._name, attempt=job.assignment.attempt, reason=reason))\n",
        "what can never begin is tried again",
    ),
    worker("MOST_REFUSALS = 30", "MOST_REFUSALS = 1", "what may be read a moment later fails"),
    job(
        'return self.state == "waits" and bool',
        "return bool",
        "what was cancelled or handed back begins",
    ),
    # ------------------------------------------------------------ who may read them
    acl('    secret_path("*"): {ALL_WORKERS: "r"},\n', "", "no worker can read them"),
    acl('secret_path("*"): {ALL_WORKERS: "r"}', 'secret_path("*"): {ALL_CLIENTS: "r"}', "clients read them"),
    acl("return named if pattern == PRIVATE else (", "return (", "everybody reads them"),
    acl("== (TASKS[1:], SECRET):", "[1:] == (SECRET,):", "a cancel request that nobody can read"),
    acl("if len(parts) == 3 and", "if len(parts) >= 3 and", "what is below them is taken for them"),
    acl("rights.get(creator, 0) | CREATE", "rights.get(creator, 0) | ALL", "a client changes its task"),
    acl("rights.get(creator, 0) | CREATE", "CREATE", "a master loses what it may"),
    acl(
        'in RIGHTS.get(pattern, ()) else "", creator\n',
        'in RIGHTS.get(pattern, ()) else "", None\n',
        "all may",
    ),
    acl(
        "if self.lifting and _kind(path)[0] == PRIVATE:", "if False:", "lifting the lists tells secret values"
    ),
    acl("if one.who in self.clients]", "]", "who was struck off stays"),
    acl('_kind(path)[0] == f"{TASKS}/*" and any(', "any(", "a client may create anything anywhere"),
    apply(
        "self._sees_all or kind(path) != PRIVATE",
        "True",
        "an operator is told to delete what a task still needs",
    ),
    apply("self._own() in policy.masters", "True", "an operator is told to delete what a task still needs"),
    apply(
        "self._sees_all or kind(path) != PRIVATE",
        "kind(path) != PRIVATE",
        "a master is not told what it cannot see",
    ),
    acl("return not self.lifting and who", "return who", "everybody reads what is stored meanwhile"),
    acl("who in (*self.masters, *self.clients)", "who in self.clients", "a master cannot submit"),
    sessions(
        "(exposed := _exposed(present.policy, operation, self._subject)) is not None:",
        "(exposed := None) is not None:",
        "without lists everybody reads them",
    ),
    sessions("and policy.keeps_secrets(own) else", "else", "who is on no list stores what all read"),
    sessions(" and acl.kind(op.path) == acl.PRIVATE:", ":", "a person's znodes are refused"),
    sessions("own if extend else None", "own", "a client may end each of its tasks"),
    sessions("own if extend else None", "None", "servers refuse what is below the task"),
    wire(
        "lists(op.path, extend), _INT", "lists(op.path, False), _INT", "servers refuse what is below the task"
    ),
    # ------------------------------------------------------------ what users see
    calls('if option == "secrets" and not fits(value):', "if False:", "an error shows them"),
    calls("return encode_secrets(values) if values else None", "return None", "nobody stores them"),
    calls(
        'if self.name is not None or not self._options.get("secrets"):',
        'if not self._options.get("secrets"):',
        "the name that the user chose is forgotten",
    ),
    calls(
        'if self.name is not None or not self._options.get("secrets"):',
        "if self.name is not None:",
        "no task has a number any more",
    ),
    calls(
        '        if secrets := self._options.get("secrets"):\n            check_by(shown("secrets"), encode_secrets, secrets)\n',
        "",
        "what cannot be stored is a defect, not an error",
    ),
    task("for text in (*values, *values.values())", "for text in values.values()", "a defect, not an error"),
    task("if not is_variable(name):  # whoever", "if False:  # whoever", "an error shows them"),
    submit(
        "    if not is_variable(name):\n        raise BadInputError(",
        "    if False:\n        raise BadInputError(",
        "an error shows what was typed in place of a name",
    ),
    submit(
        "read_bytes().decode()",
        'read_text(encoding="utf-8")',
        "a value with other line ends than the file has",
    ),
    submit("    if secret:  # nobody", "    if False:  # nobody", "new values are dropped in silence"),
    submit("    if secret:  # nobody", "    if True:  # nobody", "a task without any is said to have some"),
    submit('if not where.startswith("@"):', "if False:", "a value is taken from the command line"),
    submit('.removesuffix("\\n")', "", "a value with a line feed that nobody meant"),
    submit('.removesuffix("\\n")', ".strip()", "a value without what is at its ends"),
    submit("if not equals and name in os.environ:", "if name in os.environ:", "a file is not read"),
]
