"""Shards as people see them: what they ask, what they are shown."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_shards_asked.py"),
    pytest("tests/unit/test_cli_status.py", "tests/unit/test_endpoint.py"),
    pytest("tests/integration/test_shards.py"),
)

requests = partial(Mutant, "mwapp/core/shards/requests.py")
views = partial(Mutant, "mwapp/status/shards.py")
health = partial(Mutant, "mwapp/status/health.py")
endpoint = partial(Mutant, "mwapp/daemon/endpoint.py")
options = partial(Mutant, "mwapp/cli/options.py")
cli = partial(Mutant, "mwapp/cli/shards.py")

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
        "return record.members[name].state if self.is_there(record, name) else GONE",
        "return record.members[name].state",
        "a replica that is gone seems to be there",
    ),
    views(
        "there < view.asked.replicas",
        "there < 1",
        "nobody sees that a shard has too few replicas",
    ),
    views(
        "if only in (None, name))",
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
    options(
        "    while ctx.parent is not None and ctx.parent.parent is not None:\n        ctx = ctx.parent\n",
        "",
        "a config file of a worker makes mwapp shards fail",
    ),
    cli(
        '        if "=" in spread:',
        "        if False:",
        "replicas differ in a label that nobody has",
    ),
    cli(
        "    if len(set(names)) < len(names):",
        "    if False:",
        "the master refuses without a word what names a worker twice",
    ),
    cli(
        "        if end is not None and now >= end:",
        "        if False:",
        "who waits for shards waits for ever",
    ),
    cli(
        "if now >= say and problem != said:",
        "if False:",
        "who waits for shards does not hear for what",
    ),
    cli(
        "    if table is None or table.deleting:",
        "    if table is None:",
        "who waits for shards of a table that is being deleted waits for ever",
    ),
]
