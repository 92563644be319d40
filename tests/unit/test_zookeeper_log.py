"""What the log says of a start that failed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit.ansible_module import run
from tests.unit.test_zookeeper_history import entry
from tests.unit.zookeeper_role import load, load_file

log = load("zookeeper_log")
module = load_file("modules/zookeeper_log.py")

NEWEST = "/var/lib/zookeeper/txnlog/version-2/log.100000085"
# As ZooKeeper 3.9.3 writes it. The journal has taken the priority off each line's beginning.
BANNER = """\
INFO QuorumPeerConfig: Reading configuration from: /etc/zookeeper/zoo.cfg
WARN ServerCnxnFactory: maxCnxns is not configured, using default value 0.
INFO NIOServerCnxn: Processing srvr command from /10.213.78.11:59138
"""
TORN = f"""\
{BANNER}ERROR QuorumPeer: Unable to load database on disk
java.io.EOFException: null
        at java.base/java.io.DataInputStream.readFully(DataInputStream.java:210)
        at org.apache.zookeeper.server.persistence.FileHeader.deserialize(FileHeader.java:69)
ERROR QuorumPeerMain: Unexpected exception, exiting abnormally
java.lang.RuntimeException: Unable to run quorum server
        at org.apache.zookeeper.server.quorum.QuorumPeer.loadDataBase(QuorumPeer.java:1204)
Caused by: java.io.EOFException: null
        ... 5 more
INFO ZKAuditProvider: ZooKeeper audit is disabled.
"""
ALONE = f"""\
{BANNER}WARN QuorumCnxManager: Cannot open channel to 2 at election address zk2/10.213.78.12:3888
java.net.ConnectException: Connection refused
        at java.base/sun.nio.ch.Net.pollConnect(Native Method)
INFO FastLeaderElection: Notification time out: 400 ms
WARN QuorumCnxManager: Cannot open channel to 2 at election address zk2/10.213.78.12:3888
java.net.ConnectException: Connection refused
"""


def start(name: str, text: str) -> list[str]:
    """The journal of one start."""
    priorities = {"ERROR": 3, "WARN": 4, "zookeeper.service:": 4}
    return [
        json.dumps(
            {"MESSAGE": line, "PRIORITY": str(priorities.get(line.split()[0], 6)), "INVOCATION_ID": name}
        )
        for line in text.splitlines()
    ]


def explain(*texts: str, torn: bool = False) -> list[str]:
    lines = [line for number, text in enumerate(texts) for line in start(str(number), text)]
    said: list[str] = log.explain(log.entries(lines), NEWEST, torn=torn)
    return said


def test_the_first_cause_comes_first_and_frames_are_left_out() -> None:
    assert explain(TORN) == [
        "ERROR QuorumPeer: Unable to load database on disk",
        "java.io.EOFException: null",
        "ERROR QuorumPeerMain: Unexpected exception, exiting abnormally",
        "java.lang.RuntimeException: Unable to run quorum server",
    ]


def test_a_start_that_is_under_way_hides_no_failure() -> None:
    """In a loop of crashes the newest start has often said nothing yet."""
    assert explain(TORN, BANNER) == explain(TORN, BANNER + "WARN QuorumPeer: x\n") == explain(TORN)
    assert explain(TORN, TORN.replace("EOFException: null", "IOException: x"))[1] == "java.io.IOException: x"


def test_one_that_waits_says_for_whom_once() -> None:
    assert explain(ALONE) == [
        "WARN QuorumCnxManager: Cannot open channel to 2 at election address zk2/10.213.78.12:3888",
        "  Remedy: server 2 does not answer at zk2/10.213.78.12:3888: start it, or let the ports of quorum "
        "and election through.",
        "java.net.ConnectException: Connection refused",
    ]


def test_a_remedy_is_told_once() -> None:
    said = explain("ERROR A: No space left on device\nERROR B: No space left on device\n")
    assert [line.split()[0] for line in said] == ["ERROR", "Remedy:", "ERROR"]


def test_a_log_without_news() -> None:
    assert explain(BANNER) == []
    refused = "WARN NIOServerCnxn: Close of session 0x0\njava.io.IOException: ZooKeeperServer not running\n"
    assert explain(BANNER + refused) == [], "whoever asks is told so"
    assert explain() == []


def test_a_torn_log_is_named_with_the_way_back() -> None:
    said = "\n".join(explain(TORN, torn=True))
    assert f"Remedy: {NEWEST} ends within its header" in said
    assert f"(mv {NEWEST} {NEWEST.replace('log.', 'torn.')})" in said


def test_a_damaged_log_is_not_called_torn() -> None:
    [*_, remedy] = explain(BANNER + "ERROR QuorumPeer: x\njava.io.IOException: CRC check failed\n")
    assert NEWEST in remedy
    assert "Whether the others' data may replace its own is said below" in remedy
    assert "keep all files" in remedy
    assert "mv" not in remedy


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("java.io.IOException: Unreasonable length = 1500024", "raise it to 1500024 or more"),
        ("java.io.IOException: No space left on device", "make room"),
        ("java.io.FileNotFoundException: /data/snapshot.0 (Permission denied)", "chown"),
        ("java.net.BindException: Address already in use", "ss -ltnp"),
        ("java.net.BindException: Cannot assign requested address", "zookeeper_host must be an address of"),
        ("java.net.UnknownHostException: zk9: Name or service not known", "zk9 does not resolve"),
        ("java.lang.ClassNotFoundException: a.B", "a setting needs the class a.B"),
        ("java.io.IOException: No snapshot found, but there are log entries.", "its snapshots are missing"),
        ("java.lang.IllegalArgumentException: /data/myid file is missing", "run site.yml"),
        (
            "java.io.IOException: Leaders epoch, 2 is less than accepted epoch, 9",
            "it has another ensemble's disk",
        ),
        (
            "java.io.IOException: The current epoch, 2, is older than the last zxid, 38654705669",
            "as if only a part was restored",
        ),
        (
            "java.io.IOException: The accepted epoch, 1 is less than the current epoch, 2",
            "as if only a part was restored",
        ),
    ],
)
def test_what_helps(line: str, remedy: str) -> None:
    [_, _, said] = explain(f"ERROR QuorumPeerMain: x\n{line}\n")
    assert said.startswith("  Remedy: ")
    assert remedy in said


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("Unrecognized VM option 'UseFoo'", "zookeeper_jvm_flags"),
        ("Invalid maximum heap size: -Xmx99999999m", "zookeeper_heap_mb"),
        (
            "Error: Could not find or load main class org.apache.zookeeper.server.quorum.QuorumPeerMain",
            "reinstall",
        ),
        (
            "OpenJDK 64-Bit Server VM warning: There is insufficient memory for the Java Runtime",
            "zookeeper_heap_mb",
        ),
    ],
)
def test_what_java_itself_says(line: str, remedy: str) -> None:
    """It knows no levels; and systemd tells that it ended."""
    end = "zookeeper.service: Failed with result 'exit-code'."
    said = explain(TORN, f"Starting zookeeper.service - ZooKeeper server 3...\n{line}\n{end}\n", BANNER)
    assert (said[0], said[-1]) == (line, end)
    assert remedy in said[1]


def test_no_more_lines_than_a_person_reads() -> None:
    many = "".join(f"WARN QuorumPeer: {number}\n" for number in range(99))
    assert explain(many)[-1] == f"WARN QuorumPeer: {log.MOST - 1}"


def test_bytes_that_are_no_text_are_shown_as_far_as_they_are() -> None:
    line = json.dumps({"MESSAGE": [87, 65, 82, 78, 32, 255], "_SYSTEMD_INVOCATION_ID": "1"})
    assert [entry.text for entry in log.entries([line])] == ["WARN \ufffd"]
    assert [entry.text for entry in log.entries(['{"MESSAGE": null}'])] == [""]


# ------------------------------------------------------------ the module

JOURNALCTL = """#!/bin/sh
echo "$@" >>{0}/asked
case "$*" in *--since*) cat {0}/recent;; *) cat {0}/all;; esac
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a journal: what is recent in it, and all."""
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text(JOURNALCTL.format(tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    for name in ("recent", "all"):
        (tmp_path / name).write_text("")
    (tmp_path / "txnlog/version-2").mkdir(parents=True)
    return tmp_path


def look(host: Path) -> list[str]:
    directories = {"data_dir": str(host / "data"), "txnlog_dir": str(host / "txnlog")}
    answer = run(module, {"seconds": 90, **directories}, check=True)
    assert not answer["changed"]
    lines: list[str] = answer["lines"]
    return lines


@pytest.mark.processes
def test_what_is_recent_comes_before_what_is_old(host: Path) -> None:
    (host / "all").write_text("\n".join(start("0", ALONE)))
    assert "Cannot open channel" in look(host)[0]
    (host / "recent").write_text("\n".join(start("1", TORN)))
    assert "Unable to load database" in look(host)[0]
    assert "--since=-90s" in (host / "asked").read_text()


@pytest.mark.processes
def test_a_full_disk_is_told_whatever_the_log_says_since(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without room may elect and follow in vain, hundreds of times a second."""
    (host / "recent").write_text("\n".join(start("1", ALONE)))
    assert "No space" not in "".join(look(host))
    (host / "data").mkdir()
    room = {host / "data": (1 << 20) - 4096, host / "txnlog": 1 << 20}
    left = lambda path: SimpleNamespace(f_bavail=room[Path(path)] // 4096, f_frsize=4096)  # noqa: E731 - read once
    monkeypatch.setattr("os.statvfs", left)
    assert look(host)[:2] == [
        f"No space is left for {host}/data.",
        f"  Remedy: make room on its file system (df -h {host}/data).",
    ]
    assert "Cannot open channel" in look(host)[2]


@pytest.mark.processes
@pytest.mark.parametrize("header", [b"", b"ZKLG", b"\0" * 16, b"\0" * 4096, b"ZK" + b"\0" * 4096])
def test_a_log_that_ends_within_its_header(header: bytes, host: Path) -> None:
    (host / "recent").write_text("\n".join(start("1", TORN)))
    whole = b"ZKLG" + bytes(12)
    for name, content in (("log.9", whole), ("log.10", header)):
        (host / "txnlog/version-2" / name).write_bytes(content)
    assert f"{host}/txnlog/version-2/log.10 ends within its header" in look(host)[2]
    (host / "txnlog/version-2/log.10").write_bytes(whole)
    assert "ends within" not in "".join(look(host))


@pytest.mark.processes
@pytest.mark.parametrize("header", [b"\0" * 16, b"ZKXX" + b"\0" * 12])
def test_a_log_whose_header_alone_is_damaged_is_kept(header: bytes, host: Path) -> None:
    """All its transactions are there. (That there is none, and that it may be renamed, was said of it.)"""
    damaged = TORN.replace("EOFException: null", "IOException: x has invalid magic number 0 != 1514884167")
    (host / "recent").write_text("\n".join(start("1", damaged)))
    (host / "txnlog/version-2/log.1").write_bytes(
        header + bytes(3 << 20) + b"".join(map(entry, range(1, 501))) + bytes(4096)
    )
    said = "\n".join(look(host))
    assert (
        f"a transaction log is damaged, most likely {host}/txnlog/version-2/log.1. Whether the others' da"
        in said
    )
    assert "No transaction is in it" not in said


@pytest.mark.processes
def test_without_logs_and_journal_nothing_is_said(host: Path) -> None:
    (host / "bin/journalctl").write_text("#!/bin/sh\necho 'no journal' >&2\nexit 1\n")
    assert look(host) == []
