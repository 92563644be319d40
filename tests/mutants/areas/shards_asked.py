"""Shards as people see them: what they ask, what they are shown."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_shards_asked.py", "tests/unit/test_client_tables.py"),
    pytest("tests/unit/test_cli_status.py", "tests/unit/test_endpoint.py"),
    pytest("tests/integration/test_shards.py"),
)

requests = partial(Mutant, "mwapp/core/shards/requests.py")
views = partial(Mutant, "mwapp/status/shards.py")
health = partial(Mutant, "mwapp/status/health.py")
endpoint = partial(Mutant, "mwapp/daemon/endpoint.py")
config = partial(Mutant, "mwapp/cli/config.py")
tables = partial(Mutant, "mwapp/client/tables.py")
aio = partial(Mutant, "mwapp/client/aio.py")

MUTANTS = [
    # ---------------------------------------------------------------- what is asked
    requests(
        "        elif again and isinstance(op, Create)",
        "        elif isinstance(op, Create)",
        "the same table made twice seems to be made twice",
    ),
    requests(
        "        if isinstance(node, Node) and node.data == op.data:",
        "        if isinstance(node, Node):",
        "whoever lost a reply takes the table of another for the own",
    ),
    requests(
        "if op.path[1:] not in present]",
        "]",
        "with access control lists no client can make a table",
    ),
    requests(
        "            self._next(again=self._sent)",
        "            self._next()",
        "whoever lost the reply is told that there is such a table already",
    ),
    requests(
        "    parents = [Create(parent) for parent in SHARD_PARENTS]",
        "    parents = [Create(parent) for parent in reversed(SHARD_PARENTS)]",
        "whoever sees /shards does not find what else it needs",
    ),
    requests(
        "        return result.error is Error.NO_NODE\n",
        "        return False\n",
        "what is undone twice fails",
    ),
    requests(
        "        elif again and isinstance(op, Set) and",
        "        elif False and",
        "whoever deletes a table and loses the reply is told that there is none",
    ),
    requests(
        "replace(table, shared=table.anyone).encode()",
        "table.encode()",
        "with more replicas a table's data are not shared any more",
    ),
    # ---------------------------------------------------------------- what is shown
    views(
        "return report is not None and report.incarnation == record.incarnation(name)",
        "return report is not None",
        "a worker that has come back seems to have what it had",
    ),
    views(
        "return SERVING if said[there] == (record.generation, SERVING) else OPENING",
        "return SERVING if said[there] else OPENING",
        "a primary seems to be at work that was so under another generation",
    ),
    views(
        "        if not self.is_there(record, name):\n            return GONE\n",
        "",
        "a replica that is gone seems to be there",
    ),
    views(
        "return FAILED if said is not None and said[1] == FAILED else record",
        "return record",
        "a replica whose handler always fails seems to copy",
    ),
    views(
        'wrong = f"{spoilt[0]} {UNREADABLE}" if spoilt else None',
        "wrong = None",
        "who lists tables is not told of a page that is spoilt",
    ),
    views(
        'wrong = f"{there[0]} {IN_THE_WAY}" if there else None',
        "wrong = None",
        "who deletes a table is not told what is in the way",
    ),
    views(
        "        wrong = unfit(view.asked, {",
        "        _ = unfit(view.asked, {",
        "who lists tables is not told that one cannot be smaller",
    ),
    views(
        "if not report.leaving and name not in self.drained",
        "if not report.leaving",
        "who lists tables is not told that a drain leaves too few workers",
    ),
    views(
        "there < view.asked.replicas",
        "there < 1",
        "nobody sees that a shard has too few replicas",
    ),
    views(
        "if self._only in (None, name))",
        "if True)",
        "who asks for one table waits for all",
    ),
    health(
        "        if self.under_replicated:",
        "        if False:",
        "nobody is warned that a table has too few replicas",
    ),
    health(
        "        if self.without_primary:",
        "        if False:",
        "nobody is warned that shards have no owner",
    ),
    health(
        "        if self.failed:",
        "        if False:",
        "nobody is warned that handlers fail",
    ),
    endpoint(
        'part.get("shards", {}).get("tables", {}).items():',
        "():",
        "no alert can be made of shards without an owner",
    ),
    config(
        "    while ctx.parent is not None and ctx.parent.parent is not None:\n        ctx = ctx.parent\n",
        "",
        "a config file of a worker makes mwapp shards fail",
    ),
    views(
        'self.holders[name].addresses.get((table, shard), "") if there else ""',
        'getattr(self.holders.get(name), "addresses", {}).get((table, shard), "")',
        "clients look for a shard where another incarnation has it",
    ),
    views(
        "known.keys() | range(",
        "known.keys() & range(",
        "a table of which the master knows nothing seems to have no shards",
    ),
    # ---------------------------------------------------------------- more shards
    requests(
        "            elif table.shards > self._shards:",
        "            elif False:",
        "a table has fewer shards, and the others stay for ever",
    ),
    requests(
        "data, node.stat.version)], self._set)",
        "data)], self._set)",
        "who makes a table larger undoes what another client has changed meanwhile",
    ),
    requests(
        "        elif result.error is Error.BAD_VERSION:  #",
        "        elif False:  #",
        "a table cannot be made larger while somebody changes it",
    ),
    requests(
        "data = replace(table, shards=self._shards).encode()",
        "data = Table(self._shards).encode()",
        "a table that is made larger loses its other settings",
    ),
    # ---------------------------------------------------------------- what callers wait for
    tables(
        "        concurrent.futures.wait([step.future], step.left())",
        "        concurrent.futures.wait([step.future])",
        "a timeout ends no call while nobody answers",
    ),
    aio(
        "        await _all([step.future], step.left())",
        "        await _all([step.future])",
        "a timeout ends no call of asyncio while nobody answers",
    ),
    tables(
        "    with cancelling([step.future]):\n        concurrent",
        "    if True:\n        concurrent",
        "what was not done in time is done later",
    ),
    aio(
        "    with cancelling([step.future]):\n        await _all([step.future], step.left())",
        "    if True:\n        await _all([step.future], step.left())",
        "what was not done in time is done later, with asyncio",
    ),
    tables(
        '    if "=" in table.spread:',
        "    if False:",
        "replicas differ in a label that nobody has",
    ),
    tables(
        "    if len(set(names)) < len(names):",
        "    if False:",
        "the master refuses without a word what names a worker twice",
    ),
    tables(
        "            if end is not None and now >= end:",
        "            if False:",
        "who waits for shards waits for ever",
    ),
    tables(
        "if now >= say and problem != said:",
        "if False:",
        "who waits for shards does not hear for what",
    ),
    tables(
        '    if table is None or table.deleting:\n        raise NotFoundError(f"no such table: {name}: it {',
        '    if table is None:\n        raise NotFoundError(f"no such table: {name}: it {',
        "who waits for shards of a table that is being deleted waits for ever",
    ),
    tables(
        "_end(MASTER_SECONDS) if end is None else end",
        "end",
        "without a master who moves a shard waits for ever",
    ),
    tables(
        "        if not _wants(record_of(view, name, shard), workers):",
        "        if False:",
        "who moves a shard is not told that the master has refused it",
    ),
    tables(
        "        if _is_so(self._movable(view, name, shard, workers), workers):\n            return True\n",
        "        self._movable(view, name, shard, workers)\n",
        "a shard that is there already is moved once more",
    ),
    tables(
        "record.wanted[:1] == workers[:1] and set(workers)",
        "record.wanted[: len(workers)] == workers and set(workers)",
        "who names the replicas of a move in another order than the record is told that it does not move",
    ),
    tables(
        "record.wanted[:1] == workers[:1] and set(workers) <= set(record.wanted)",
        "record.wanted[:1] == workers[:1]",
        "a move to a replica that the master refuses seems done",
    ),
    tables(
        "record.wanted[:1] == workers[:1] and set(workers)",
        "set(workers)",
        "a move to a primary that the master refuses seems done",
    ),
    tables(
        "    there = _is_so(record, workers) and",
        "    there =",
        "a shard seems to have moved before it has",
    ),
    tables(
        "            if worker in view.drained:",
        "            if False:",
        "a shard is to move to a worker that may have none, and nobody is told why it does not",
    ),
    tables(
        "    if not left.deleting:\n",
        "    if False:\n",
        "who deletes a table that somebody wants again waits for ever",
    ),
]
