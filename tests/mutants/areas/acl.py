"""Access control lists: who may do what, how a session learns of it, and what is said of a refusal."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest(
        "tests/unit/test_zk_acl.py",
        "tests/unit/test_apply_acl.py",
        "tests/unit/test_zk_tls.py",
        "tests/unit/test_mwapp_filters.py",
        "tests/unit/test_mwapp_rules.py",
    ),
)

acl = partial(Mutant, "mwapp/zookeeper/acl.py")
apply = partial(Mutant, "mwapp/zookeeper/apply_acl.py")
sessions = partial(Mutant, "mwapp/zookeeper/sessions.py")
wire = partial(Mutant, "mwapp/zookeeper/wire.py")
certificates = partial(Mutant, "mwapp/certificates.py")
filters = partial(Mutant, "plugins/filter/mwapp_filters.py")
rules = partial(Mutant, "plugins/filter/mwapp_rules.py")

MUTANTS = [
    # ------------------------------------------------------------ the table
    acl('    WORKERS: {ALL_WORKERS: "c"},\n', "", "no worker can register"),
    acl('f"{WORKERS}/*": {ITS_WORKER: "w"}', 'f"{WORKERS}/*": {ALL_WORKERS: "w"}', "a worker drains another"),
    acl('{ITS_WORKER: "wd"}', '{ITS_WORKER: "w"}', "no worker can complete a task"),
    acl('{ITS_WORKER: "wd"}', '{ALL_WORKERS: "wd"}', "a worker takes another's tasks away"),
    acl('    RETURNED: {ALL_WORKERS: "c"},\n', "", "no worker can hand back a task"),
    acl('    TASKS: {ALL_CLIENTS: "c"},\n', '    TASKS: {ALL_WORKERS: "c"},\n', "a worker submits tasks"),
    acl('f"{TASKS}/*": {ALL_WORKERS: "c"}', 'f"{TASKS}/*": {ALL_CLIENTS: "c"}', "a client forges a status"),
    acl('    CANCEL: {ALL_CLIENTS: "c"},\n', '    CANCEL: {ALL_WORKERS: "c"},\n', "a worker cancels tasks"),
    acl('    REQUESTS: {ALL_CLIENTS: "c"},\n', "", "nobody can have a task run again"),
    acl("rights = dict.fromkeys(self.masters, ALL)", "rights: dict[str, int] = {}", "masters may do nothing"),
    acl(
        "rights.get(one, 0) | _bits(letters)",
        "_bits(letters)",
        "who is another thing, too, loses what a master may",
    ),
    acl('else (*named, Entry(READ, "world", "anyone"))', "else named", "nobody can read anything"),
    acl(
        'name if ITS_WORKER in RIGHTS.get(pattern, ()) else ""', '""', "each worker has the list of the first"
    ),
    acl('*"*" * (len(parts) - 1)', '*"*" * min(1, len(parts) - 1)', "what is below a task may be changed"),
    acl(
        'value.get("complete") is True',
        '"complete" in value',
        "what was begun counts as done",
        at="Policy.decode",
    ),
    acl(
        'value.get("lifting") is True',
        '"lifting" in value',
        "what is not to be lifted is",
        at="Policy.decode",
    ),
    acl(' + [("node", name) for name in nodes]', "", "a node is no master"),
    # ------------------------------------------------------------ what is said
    acl(
        'Create: ("create", "c", _parent(operation.path))',
        'Create: ("create", "c", operation.path)',
        "the wrong ones may",
    ),
    acl(
        'Delete: ("delete", "d", _parent(operation.path))',
        'Delete: ("delete", "d", operation.path)',
        "the wrong ones may",
    ),
    acl('f"the worker {name}" if who == ITS_WORKER else who', "who", "nobody knows whose it is"),
    # ------------------------------------------------------------ a session
    sessions(
        "if self._servers.tls is None:\n            return self._announce",
        "if True:\n            return self._announce",
        "what is created first is open to all",
    ),
    sessions(
        "                self._ask_policy(present, now)  # before all that the core asks\n",
        "                pass\n",
        "after a cut nobody hears of another policy",
    ),
    sessions(
        "Get(self._servers.chroot + acl.PATH, watch=True)",
        "Get(self._servers.chroot + acl.PATH)",
        "nobody hears of another policy",
    ),
    sessions(
        "Exists(self._servers.chroot + acl.PATH, watch=True)",
        "Exists(self._servers.chroot + acl.PATH)",
        "nobody hears of the first policy",
    ),
    sessions(
        "        if POLICY not in present.outstanding:\n            return []  # the connection was lost meanwhile\n",
        "",
        "an answer of a lost connection counts",
    ),
    sessions(
        "self._reply(present, POLICY, result)[1:]",
        "self._reply(present, POLICY, result)",
        "the core has an answer to no question",
    ),
    sessions(
        "everybody if policy is None else partial(_lists, policy, self._subject)", "everybody", "all is open"
    ),
    sessions(
        "                (policy,) = self._read\n",
        "                policy = None\n",
        "who may not read opens all",
    ),
    sessions(
        "                    (policy,) = self._read or (None,)\n",
        "",
        "whoever damages /acl opens all that is created",
    ),
    sessions(
        "                if self._read is None:",
        "                if False and self._read is None:",
        "a process that is started while nobody may read ends",
    ),
    sessions(
        '                    log.error("--connect: cannot read %s, so we create nothing; trying again", acl.PATH)\n'
        "                    return replies\n",
        "                    self._read = (None,)\n",
        "a session that cannot read /acl creates everything open to all",
    ),
    sessions(
        "present.outstanding if number >= 0]",
        "present.outstanding]",
        "the core has an answer to no question, after a cut",
    ),
    sessions(
        "                    return replies\n                log.error(",
        "                log.error(",
        "a process that is started while nobody may read ends",
    ),
    sessions(
        "            case _:  # which leaves no watch either\n                present.again = now + AGAIN\n",
        "            case _:\n",
        "who could not read once never reads again",
    ),
    sessions(
        "again = self._ask_policy if present.last_step == POLICY else self._prepare",
        "again = self._prepare",
        "who could not read once never reads again",
    ),
    sessions(
        "        self._read = (policy,)\n",
        "        self._read = self._read or (policy,)\n",
        "a new session has the lists of the first",
    ),
    sessions(
        "        present.again = None\n        self._own(present, POLICY",
        "        self._own(present, POLICY",
        "who could not read once reads all the time",
    ),
    sessions(
        "return replies if present.announced else self._announce(present)",
        "return self._announce(present)",
        "each change is a new session",
    ),
    sessions(" or _swollen(present.policy, operation)", "", "servers hang up on it"),
    sessions(">= TELL_AGAIN:", ">= 0:", "a refusal is told again and again"),
    sessions("            self._told[kind] = now\n", "", "a refusal is told again and again"),
    sessions("                if denied:\n", "                if False:\n", "nobody hears why"),
    # ------------------------------------------------------------ bytes, and who we are
    wire(
        "lists(op.path, extend)", "lists(below(chroot, op.path), extend)", "below a chroot all is for masters"
    ),
    wire("self.denied = code == _NO_AUTH", "self.denied = True", "each failure is told as a refusal"),
    certificates(
        "if more or beside or key != _COMMON_NAME:", "if beside or key != _COMMON_NAME:", "half a name"
    ),
    certificates(
        "if more or beside or key != _COMMON_NAME:",
        "if more or beside:",
        "an organization is taken for a name",
    ),
    # ------------------------------------------------------------ the role
    filters('if role in ("master", "node")', 'if role in ("master",)', "with nodes nobody sets lists"),
    filters(
        '        names.append(f"mwapp-cli-{name}")\n',
        "",
        "commands on hosts may not submit",
        at="mwapp_acl_arguments",
    ),
    filters(
        'name = str(hostvars[host].get("mwapp_name") or host)', "name = host", "who has a name is locked out"
    ),
    rules(
        'if not is_true(variables["mwapp_tls"]):',
        "if False:",
        "lists without certificates",
    ),
    rules("if not on or len(on) == len(hosts):", "if True:", "a run with --limit lifts the lists of all"),
    acl("        if self.lifting:\n            return OPEN\n", "", "what is made while lists go keeps one"),
    acl("tuple(sorted({*self.masters, *other.masters}))", "self.masters", "a master is struck off too early"),
    # ------------------------------------------------------------ ZooKeeper's own
    apply("(SYSTEM, QUOTAS)", "()", "a worker bounds by a quota what the master may write"),
    apply(
        "() if servers.chroot else (SYSTEM, QUOTAS)", "(SYSTEM, QUOTAS)", "what is not there has lists, too"
    ),
    apply(
        'path not in ("", SYSTEM)',
        'path not in ("", SYSTEM, QUOTAS)',
        "a quota that zkCli.sh has set is open to all",
    ),
    apply(
        "            self._walk_down([*self._system], wanted)  # zkCli.sh leaves a new quota open to all\n",
        "",
        "it stays so until somebody is added",
    ),
    apply(
        "range(0, len(paths), AT_ONCE)",
        "range(0, len(paths) - 1, AT_ONCE)",
        "the last of them keeps its list if a page ends just before it",
    ),
]
