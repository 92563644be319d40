"""What compare.yml says: all znodes of a server, read from its disk, and what differs."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_zookeeper_tree.py"),)

tree = partial(Mutant, "plugins/module_utils/zookeeper_tree.py")
module = partial(Mutant, "plugins/modules/zookeeper_tree.py")
report = partial(Mutant, "plugins/filter/zookeeper_trees.py")

MUTANTS = [
    tree("if zxid <= self._zxid), reverse=True)", "), reverse=True)", "what came later is taken for earlier"),
    tree("if zxid <= self._zxid), reverse=True)", "if zxid <= self._zxid))", "an old snapshot, purged logs"),
    tree("if zxid <= self._zxid:", "if zxid < self._zxid:", "the last transaction is missing"),
    tree('self._nodes.execute("DELETE FROM node")', "pass", "half a snapshot is kept"),
    tree("except (EOFError, OSError, zlib.error):", "except OSError:", "a snapshot under way ends it"),
    tree("except (EOFError, OSError, zlib.error):", "except EOFError:", "a damaged archive ends it"),
    tree("if not newest and zxid", "if zxid", "servers that differ by a gap cannot be compared"),
    tree("if not newest and zxid", "if newest and zxid", "what is missing between is not seen"),
    tree("zxid == old[0]", "True", "what is missing between is not seen"),
    tree("zxid != done + 1 and", "zxid != done and", "no server with a snapshot under way is compared"),
    tree("later == LATER", "later > LATER", "one more is read"),
    tree("INSERT OR IGNORE INTO node", "INSERT OR REPLACE INTO node", "an old value replaces a newer one"),
    tree("WHERE owner = ? AND owner != 0", "WHERE owner = ? AND 0", "ephemeral znodes outlive their session"),
    tree("SET modified = ?, version = ?, size", "SET created = ?, version = ?, size", "set is not seen"),
    tree(
        'self._nodes.execute("UPDATE node SET acl = ? WHERE path = ?", (acl, path))',
        "pass",
        "changed permissions are not seen",
    ),
    tree(
        "if part in OWNERS:\n                path",
        "if part == CREATE:\n                path",
        "other ways to create",
    ),
    tree("elif part in (DELETE, DELETE_CONTAINER):", "elif part == DELETE:", "containers stay for ever"),
    tree("elif part in (SET, RECONFIG):", "elif part == RECONFIG:", "set is not seen"),
    tree('b"" if path == b"/" else path', "path", "what the lists say of the root is seen by some servers"),
    tree("if FAILED not in [part for part, _body in parts]:", "if True:", "what failed is applied"),
    tree("if entry[1] > done:", "if True:", "what was logged twice is applied twice"),
    tree(
        "if zxid <= start), default=0)",
        "if zxid < start), default=0)",
        equivalent="one more log is read, and what is in it is behind",
    ),
    tree("max((zxid for zxid in logs if zxid <= start), default=0)", "start + 1", "half a log is left out"),
    tree(
        "for zxid in sorted(zxid for zxid in logs if zxid >= first)",
        "for zxid in sorted((zxid for zxid in logs if zxid >= first), key=str)",
        "log.10 before log.3",
    ),
    tree("zlib.adler32(body) != checksum", "False", "a torn entry is taken for one"),
    tree("or len(body) < size", "", equivalent="its checksum is wrong, too"),
    tree('gzip.open if path.suffix == ".gz" else open', "open", "compressed snapshots cannot be read"),
    tree(
        'return snapshot.suffix != ".snappy"', "return True", "a snapshot that cannot be read counts as data"
    ),
    tree("(\\.gz|\\.snappy)?", "", "compressed snapshots are not there"),
    tree(
        "min(usable, default=None), last", "max(usable, default=None), last", "older ones cannot be compared"
    ),
    tree("max([*snapshots, *(", "max([*usable, *(", "who has only Snappy has no data"),
    tree("        if some:\n            return\n", "", equivalent="only slower"),
    tree(
        "entries = [(self.number(), self.buffer(), self.buffer())",
        "entries = [self.number() or (self.buffer(), self.buffer()) and ()",
        "who has the permission does not count",
    ),
    tree("return _checksum(repr(row).encode()).hex()", "return _checksum(row[0]).hex()", "nothing differs"),
    tree("if name != OWN:", "if True:", "a server's own configuration is a difference"),
    tree(
        "                if path != OWN:\n",
        "                if True:\n",
        "a server's own configuration differs",
    ),
    tree(
        "for path in _touched(kind, _Reader(body)) if path != OWN",
        "for path in _touched(kind, _Reader(body))",
        equivalent="it has no row to leave out",
    ),
    tree("if _bucket(path) in wanted]", "]", "all that came later is sent"),
    tree(
        "elif part == CLOSE_SESSION and reader.left:",
        "elif part == CLOSE_SESSION:",
        "an old log cannot be read",
    ),
    tree("TTL + time if (time := reader.long()) > 0 else 0", "0", "znodes with a time are as others"),
    tree(
        'return path.decode(errors="backslashreplace") or "/"',
        'return path.decode(errors="backslashreplace")',
        "the root has no name",
    ),
    module(
        "in_force(_text(RUNNING), _text(ON_DISK))",
        "in_force(_text(RUNNING))",
        "a stopped server's disk is not found",
    ),
    module("if not buckets:", "if buckets:", "nothing to compare"),
    module("except sqlite3.Error as error:", "except OSError as error:", "a full disk is a traceback"),
    module("supports_check_mode=True", "supports_check_mode=False", "check mode compares nothing"),
    report(
        "min((last for _first, last in spans.values()), default=None)",
        "max((last for _first, last in spans.values()), default=None)",
        "who is behind differs",
    ),
    report("first > zxid:", "first >= zxid:", "a fresh server cannot be compared"),
    report("            del spans[host]\n", "", "it is asked for what it does not have"),
    report(
        "{some.get(number) for some in sums.values()}) > 1",
        "{some[number] for some in sums.values() if number in some}) > 1",
        "a znode that only one has is not seen",
    ),
    report("- unknown)", ")", "what came later is a difference"),
    report("and len(compared) == len(hosts)", "", "who could not be compared is the same"),
    report("and not more and", "and", "that there are more is forgotten"),
    report("and not alone and", "and", "one server alone is the same"),
    report("for host in group or [] if host not in hosts]", "for host in []]", "nobody is left out"),
    report("[:SHOWN]]", "]", "thousands of lines"),
    report(
        "if taken and znodes > LOOKED_AT:", "if znodes > LOOKED_AT:", "of a large tree nothing is looked at"
    ),
    report("if taken and znodes > LOOKED_AT:", "if False:", "a large tree is sent as a whole"),
    report("told[text] > 1", "False", "what differs reads as if it was the same"),
]
