"""The example store of partitions: what is acknowledged is not lost."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_stores_partitions_log.py"),
    pytest("tests/unit/test_stores_partitions.py"),
    pytest("tests/integration/test_store_partitions.py"),
)

AT = "examples/stores/stores/partitions/"
log = partial(Mutant, AT + "log.py")
in_sync = partial(Mutant, AT + "in_sync.py")
follower = partial(Mutant, AT + "follower.py")
replica = partial(Mutant, AT + "replica.py")
topic = partial(Mutant, AT + "topic.py")

MUTANTS = [
    log(
        "        return min(end - 1, later)",
        "        return end - 1",
        "a follower cuts its log one record at a time",
    ),
    log(
        " and self._generation_of(end - 1) == last",
        "",
        "a log that has parted from the leader's is taken for the same",
    ),
    log(
        '        if end < self.acknowledged:\n            raise DamagedLogError(f"to be cut',
        '        if False:\n            raise DamagedLogError(f"to be cut',
        "what was acknowledged is cut without a word",
    ),
    log(
        "        if end < self.end:\n            self._index()",
        "",
        "what was cut is remembered as sent: its producer's retry is not appended",
    ),
    log(
        " or zlib.crc32(rest) != checksum",
        "",
        "a record that was half written is taken for a whole one",
    ),
    log(
        "        if belongs_to != table or (copy",
        "        if (copy",
        "a new table begins with the records of an earlier one of its name",
    ),
    log(
        "            if record.offset != at or record.generation < last:",
        "            if record.generation < last:",
        "a follower appends what does not follow",
    ),
    log(
        "with self._flushing, self._disk():\n            os.fdatasync",
        "with self._disk():\n            os.fdatasync",
        "a thread that flushes while another one is told of an error takes all for well",
    ),
    log(
        "            self._cut(0)  # first",
        "            self.acknowledge(0)\n            self._cut(0)  # first",
        "the notes are of the new table while the records are of the earlier one",
    ),
    log(
        "        os.fsync(self._notes)",
        "        pass",
        "a power cut makes the records of a new table those of an earlier one: they are cut",
    ),
    log(
        "        _flush_directory(directory.parent)\n",
        "",
        "a new directory with all its records is not there after a power cut",
    ),
    log(
        "        if self._broken:\n            raise DiskError(self._broken)\n",
        "",
        "a flush that says all is well counts, though the one before it has lost something",
    ),
    log(
        "            raise DiskError(self._broken) from problem",
        "            raise",
        "a full disk is taken for a network that does not answer",
    ),
    in_sync(
        "        enough = end >= max(self._end, acknowledged)",
        "        enough = end >= acknowledged",
        "a replica joins that lacks what an earlier leader has acknowledged",
    ),
    in_sync(
        "        enough = end >= max(self._end, acknowledged)",
        "        enough = end >= self._end",
        "a replica joins that lacks what this leader has acknowledged",
    ),
    in_sync(
        'if state == "sync"} | {leader}',
        'if state == "sync" and name != leader}',
        "the leader acknowledges what is not on its own disk",
    ),
    in_sync(
        "        if enough:\n            self._names.add(worker)\n",
        "",
        "a replica has joined, and the leader acknowledges without it",
    ),
    in_sync(
        "min(self._has.get(name, 0) for name in self._names)",
        "min(self._has[name] for name in self._names if name in self._has)",
        "the leader acknowledges without those in sync that have not said anything yet",
    ),
    follower(
        '            if reply.fields["end"] < end:\n                self._log.truncate(reply.fields["end"])\n                return\n',
        '            if reply.fields["end"] < end:\n                return\n',
        "a follower that has what the leader has not never follows",
    ),
    follower(
        "        with self._lock:\n            if self._stopped:\n                return\n            if reply",
        "        with self._lock:\n            if reply",
        "a replica that leads, or follows another, appends what the earlier leader sends late",
    ),
    replica(
        '        if fields["generation"] != in_sync.generation or not',
        "        if not",
        "a leader that was replaced counts those that follow its successor",
    ),
    replica(
        "        if sequence > latest:\n            offset",
        "        if True:\n            offset",
        "a record that is sent again is appended again",
    ),
    replica(
        "        if not self._taking or",
        "        if",
        "a leader that hands over takes more records",
    ),
    replica(
        "        self._reign += 1\n",
        "",
        "a record is acknowledged by a replica that leads no more",
    ),
    replica(
        "self._log.read(start, acknowledged, MOST_READ)",
        "self._log.read(start, self._log.end, MOST_READ)",
        "readers see what is not acknowledged",
    ),
    replica(
        "        except DiskError:\n            die()\n",
        "",
        "a leader whose disk is full goes on",
    ),
    replica(
        "            self._readable = self._log.end",
        "            self._readable = 0",
        "what readers have seen is gone for a while when another one leads",
    ),
    replica(
        "        if self._reign != reign or acknowledged < self._readable:",
        "        if acknowledged < self._readable:",
        "a replica that leads no more tells readers that there is nothing",
    ),
    topic(
        "        if self._producer.process != os.getpid():",
        "        if False:",
        "what a forked process produces is taken for what its parent did",
    ),
    topic(
        "            self._forget_if_old(partition)\n",
        "",
        "a reader asks a leader that was replaced for ever",
    ),
    topic(
        "            if time.monotonic() >= end:\n                return []",
        "            return []",
        "a reader that waits for long gets nothing sooner",
    ),
    replica(
        "            self._log.sync()  # a follower says that it has on disk what it has\n",
        "",
        "a leader that follows again says that it has on disk what is in memory",
    ),
    replica(
        '            if not self._term.primary:\n                return self._term.members.get(self.worker) == "back"\n',
        "            if not self._term.primary:\n                return True\n",
        "a copy that is not whole leads when all in sync are lost",
    ),
]
