"""What is shown of a server's log: the module zookeeper_log and what it goes by."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_log.py"),)

log = partial(Mutant, "plugins/module_utils/zookeeper_log.py")
module = partial(Mutant, "plugins/modules/zookeeper_log.py")

MUTANTS = [
    log(
        "reversed(failed or telling)",
        "reversed(telling)",
        "a start that is under way hides why the last one failed",
    ),
    log("reversed(failed or telling)", "reversed(failed)", "one that waits for others says nothing"),
    log("reversed(failed or telling)", "failed or telling", "the first failure of many, long mended"),
    log("list(dict.fromkeys(entry.text", "list((entry.text", "the same line again and again"),
    log('.removeprefix("Caused by: ") for', " for", "each cause twice"),
    log("lines[:MOST]", "lines", "more than a person reads"),
    log("lines[:MOST]", "lines[-MOST:]", "the first cause is cut off"),
    log("_FRAME.match(entry.text) or", "", "stack frames"),
    log('level[1] not in ("WARN", "ERROR") or', "False or", "the role's own questions are shown"),
    log("or bool(_USUAL.search(entry.text))", "", "warnings of every start are shown"),
    log(
        "            if not skipping:\n                yield entry\n        elif entry.priority",
        "            yield entry\n        elif entry.priority",
        "exceptions of lines that are left out",
    ),
    log(
        'or entry.text.startswith("zookeeper.service: Failed ")', "", "a JVM that does not start says nothing"
    ),
    log("if torn and re.search", "if re.search", "a whole log is called torn"),
    log("if remedy and remedy not in told:", "if remedy:", "each remedy again and again"),
    log("bytes(text).decode", "str(text).encode().decode", "bytes are shown as numbers"),
    module("< LEAST_ROOM:", "<= LEAST_ROOM:", "a disk with just enough room is full"),
    module("< LEAST_ROOM:", "< 0:", "a full disk is not told"),
    module("lines=[*disks, *lines]", "lines=[*lines, *disks]", "a full disk is told last"),
    module("int(path.suffix[1:], 16)", "path.name", "log.9 is newer than log.10"),
    module("or not header.startswith(MAGIC)", "", "a header of zeros is whole"),
    module(
        'broken and not any(chunk.strip(b"\\0") for chunk in rest)',
        "broken",
        "transactions behind a damaged header count as none",
    ),
    module('chunk.strip(b"\\0") for', "chunk for", "a log of zeros is damaged"),
    module("for chunk in rest)", "for chunk in [next(rest, b'')])", "only the first transactions are seen"),
    module("len(header) < HEADER or", "", "half a header is whole"),
    module("([f\"--since=-{module.params['seconds']}s\"], [])", "([],)", "what is long mended is shown"),
    module(
        "([f\"--since=-{module.params['seconds']}s\"], [])",
        "([f\"--since=-{module.params['seconds']}s\"],)",
        "a server that died long ago says nothing",
    ),
]
