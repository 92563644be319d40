"""What a failure shows of the logs: what matters of its time, in few lines."""

from pathlib import Path

import pytest

from testbed import evidence

SINCE = "2026-01-01T10:00:00.000"
SERVER = """\
2026-01-01T09:59:59.999Z [m] WARN org.apache.zookeeper.quorum.QuorumPeer - PeerState set to LOOKING
2026-01-01T10:00:01.000Z [QuorumPeer[myid=1](plain=127.0.0.1:1)] WARN org.apache.zookeeper.quorum.Learner - E
java.io.EOFException
\tat java.base/java.io.DataInputStream.readInt(DataInputStream.java:397)
2026-01-01T10:00:02.000Z [m] INFO org.apache.zookeeper.quorum.Leader - LEADING - LEADER ELECTION TOOK - 2 MS
2026-01-01T10:00:03.000Z [m] INFO org.apache.zookeeper.NIOServerCnxn - Processing srvr command
2026-01-01T10:00:04.000Z [m] WARN org.apache.zookeeper.NIOServerCnxn - Unexpected exception
"""
DAEMON = """\
2026-01-01T10:00:01.500Z info    ensemble: session 0x1f on 127.0.0.1:1
2026-01-01T10:00:02.500Z info    ensemble: session 0x2f on 127.0.0.1:2
2026-01-01T10:00:02.600Z debug   endpoint: "GET /status HTTP/1.1" 200 -
"""


def test_it_is_one_story_of_what_matters() -> None:
    *story, legend = evidence.extract([("worker w", DAEMON), ("zk1", SERVER)], SINCE).splitlines()
    assert story == [
        "10:00:01.000 zk1: WARN Learner - E | java.io.EOFException",
        "10:00:01.500 worker w: info    ensemble: session 0x1f on 127.0.0.1:1 (and 1 times more)",
        "10:00:02.000 zk1: INFO Leader - LEADING - LEADER ELECTION TOOK - 2 MS",
    ]
    assert legend.startswith("These are 3 of 7 lines from 10:00:00.000 to ")


def test_of_too_much_the_ends_are_shown_and_what_matters_most() -> None:
    # Words that differ, for numbers do not count.
    words = [chr(ord("a") + n // 26) + chr(ord("a") + n % 26) for n in range(60)]
    log = "".join(f"2026-01-01T10:00:{n:02}.000Z warning worker: {word}\n" for n, word in enumerate(words))
    log += "2026-01-01T10:00:30.500Z error   worker: the worst\n"
    *story, _ = evidence.extract([("w", log)], SINCE, most=5).splitlines()
    assert [line.rpartition(": ")[2] for line in story] == ["aa", "ab", "the worst", words[58], words[59]]


def test_all_of_it_is_kept_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "server.log"
    monkeypatch.setattr(evidence, "_kept", [])
    monkeypatch.setattr(evidence, "_acts", [])
    evidence.keep("zk1", log)
    evidence.keep("zk2", tmp_path / "never.log")
    assert evidence.told(SINCE, tmp_path / "whole") == ""
    log.write_text(SERVER)
    since = evidence.now()
    evidence.note("SIGKILL to zk1")
    assert "test: SIGKILL to zk1" in evidence.told(since, tmp_path / "whole")
    assert {file.name for file in (tmp_path / "whole").iterdir()} == {"test.log"}
    evidence.told(SINCE, tmp_path / "all")
    assert (tmp_path / "all/zk1.log").read_text() == SERVER.partition("\n")[2]
