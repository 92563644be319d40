"""Every fault does what it says, and its undo undoes it."""

from __future__ import annotations

import select
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, LabError
from lab.spec import DISKS
from tests.lab.conftest import answering

CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], 22), 0.5)"


@pytest.fixture(autouse=True)
def mended(lab: Lab) -> Iterator[None]:
    """All faults undone after each test."""
    yield
    lab.heal()
    for row in lab.status():
        if row["state"] == "frozen":
            lab.thaw(row["node"])
        if row["state"] == "off":
            lab.boot(row["node"])
        if row["disk_left"] is not None:
            lab.free_disk(row["node"])


def reaches(lab: Lab, a: str, b: str) -> bool:
    """Whether a connection from a to b succeeds; it needs both directions."""
    return lab.exec(a, ["python3", "-c", CONNECT, lab.nodes[b].address]).returncode == 0


def reaches_soon(lab: Lab, a: str, b: str) -> bool:
    """The same after a cut: a kernel that has asked in vain for an address asks again after a second."""
    return any(reaches(lab, a, b) for _ in range(20))


def received(lab: Lab, a: str, b: str, seconds: float = 10) -> bool:
    """Whether a datagram from a to b arrives in that time."""
    listen = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 4444));"
        "print('listening', flush=True); s.recv(1); print('got')"
    )
    send = (
        f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('{lab.nodes[b].address}', 4444))"
    )
    command = lab.command(b, ["python3", "-c", listen])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        lab.exec(a, ["python3", "-c", send], check=True)
        arrived, _, _ = select.select([listener.stdout], [], [], seconds)
        listener.kill()
        return bool(arrived)


def test_a_power_cut_loses_what_was_not_synced(lab: Lab) -> None:
    node, key = lab.nodes["a"], (lab.spec.run / "known_hosts").read_text()
    write = "echo kept >/root/synced; sync; echo lost >/root/unsynced"
    lab.exec("a", ["sh", "-c", write], check=True)
    lab.power_cut("a")
    assert lab.state("a") == "off"
    lab.boot("a")
    look = "cd /root; cat synced; ls | grep synced"
    assert lab.exec("a", ["sh", "-c", look]).stdout.split() == ["kept", "synced"]
    assert lab.nodes["a"] == node
    assert (lab.spec.run / "known_hosts").read_text() == key


@pytest.mark.parametrize("_n", range(3))
def test_an_fsync_is_a_promise_that_a_power_cut_keeps(lab: Lab, _n: int) -> None:
    code = (
        "import os; f = os.open('/root/log', os.O_CREAT | os.O_WRONLY | os.O_TRUNC)\n"
        "os.fsync(os.open('/root', os.O_RDONLY))\n"
        "for n in range(10**9): os.write(f, b'%09d\\n' % n); os.fsync(f); print(n, flush=True)"
    )
    promised, cut = -1, threading.Thread(target=lab.power_cut, args=["a"])
    with subprocess.Popen(
        lab.command("a", ["python3", "-c", code]), stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            promised = int(line) if line.endswith("\n") else promised
            if promised == 100:
                cut.start()
    cut.join()
    lab.boot("a")
    kept = lab.exec("a", ["cat", "/root/log"]).stdout.split()
    assert promised >= 100
    assert kept[: promised + 1] == [f"{n:09d}" for n in range(promised + 1)]


def test_a_power_cut_is_silent(lab: Lab) -> None:
    """A dead machine sends no FIN and no RST: its peers find out by their own time-outs."""
    code = """
import socket
s = socket.create_connection(("b", 22), 2)
print("connected", s.recv(99)[:0], flush=True)
print(s.recv(9999), s.recv(1))"""
    command = lab.command("a", ["python3", "-c", code])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        client.stdout.readline()
        lab.power_cut("b")
        out, error = client.communicate()
    assert (out, "TimeoutError" in error) == ("", True)


def test_an_orderly_shutdown_loses_nothing(lab: Lab) -> None:
    lab.exec("c", ["sh", "-c", "echo kept >/root/unsynced"], check=True)
    lab.power_off("c")
    lab.boot("c")
    assert lab.exec("c", ["cat", "/root/unsynced"]).stdout == "kept\n"


def test_power_may_be_cut_again_and_again(lab: Lab) -> None:
    for _ in range(5):
        lab.power_cut("b")
        lab.boot("b")
    assert lab.exec("b", ["systemctl", "is-system-running", "--wait"]).stdout == "running\n"


def test_frozen_processes_stand_still(lab: Lab) -> None:
    command = lab.command("b", ["sh", "-c", "while :; do echo x; sleep 0.05; done"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ticking:
        assert ticking.stdout is not None
        ticking.stdout.readline()
        lab.freeze("b")
        with pytest.raises(LabError, match=r"b is frozen.*lab thaw b"):
            lab.exec("b", ["true"])
        # Its kernel still takes connections, nobody answers them.
        assert [row["ssh"] for row in lab.status() if row["node"] == "b"] == [False]
        lab.thaw("b")
        assert ticking.stdout.readline() == "x\n"
        ticking.kill()
    assert lab.exec("b", ["true"]).returncode == 0


def test_power_may_be_cut_from_a_frozen_node(lab: Lab) -> None:
    lab.freeze("b")
    lab.power_cut("b")
    lab.boot("b")
    assert lab.exec("b", ["true"]).returncode == 0


def test_a_node_is_cut_off_from_all(lab: Lab) -> None:
    lab.cut("a")
    assert [reaches(lab, *pair) for pair in ("ab", "ba", "ac")] == [False] * 3
    assert reaches_soon(lab, "b", "c")
    out = "import socket; socket.create_connection(('192.0.2.1', 9), 0.5)"
    assert "timed out" in lab.exec("a", ["python3", "-c", out]).stderr
    # ... and can still be looked at.
    assert answering(lab, "a", "b", "c")
    lab.heal("a")
    assert reaches_soon(lab, "a", "b")


def test_sets_are_parted(lab: Lab) -> None:
    lab.cut("a", ["b", "c"])
    assert [reaches(lab, *pair) for pair in ("ab", "ca")] == [False, False]
    assert reaches_soon(lab, "b", "c")
    lab.heal("a", "b")
    assert reaches_soon(lab, "a", "b")
    assert not reaches(lab, "c", "a")
    lab.heal()
    assert reaches_soon(lab, "c", "a")


def test_one_way(lab: Lab) -> None:
    # They know each other's addresses: what asks for them, and what answers, is lost, too.
    assert all(reaches_soon(lab, *pair) for pair in ("ab", "ac"))
    lab.cut("a", "b", one_way=True)
    assert not received(lab, "a", "b", seconds=3)
    assert all(received(lab, *pair) for pair in ("ba", "ac"))
    rows = {row["node"]: row for row in lab.status()}
    assert (rows["a"]["cut_to"], rows["a"]["cut_from"], rows["b"]["cut_from"]) == (["b"], [], ["a"])


def test_a_cut_outlives_a_boot(lab: Lab) -> None:
    lab.cut("a", "b")
    lab.power_cut("a")
    lab.boot("a")
    assert not reaches(lab, "a", "b")
    assert reaches_soon(lab, "a", "c")


def test_loss_is_about_what_was_asked_for_and_one_way(lab: Lab) -> None:
    assert reaches_soon(lab, "a", "b")  # they know each other's addresses: what asks for them is lost, too
    lab.loss("a", 30, "b", one_way=True)
    assert 0.6 < arrived(lab, "a", "b") < 0.8
    assert arrived(lab, "b", "a") == 1
    lab.loss("a", 0, "b")
    assert arrived(lab, "a", "b") == 1


def test_a_node_loses_packets_to_all_until_it_is_healed(lab: Lab) -> None:
    assert all(reaches_soon(lab, *pair) for pair in ("ab", "ac", "cb"))
    lab.loss("a", 50)
    assert all(0.4 < arrived(lab, *pair) < 0.6 for pair in ("ab", "ca"))
    assert arrived(lab, "c", "b") == 1
    # SSH from here loses nothing.
    assert answering(lab, "a", "b", "c")
    lab.heal("a", "b")
    assert arrived(lab, "a", "b") == 1
    assert 0.4 < arrived(lab, "a", "c") < 0.6
    lab.heal()
    assert arrived(lab, "a", "c") == 1


def test_what_was_said_last_about_a_direction_holds(lab: Lab) -> None:
    lab.loss("a", 30, ["b", "c"])
    lab.cut("a", "b", one_way=True)
    a = next(row for row in lab.status() if row["node"] == "a")
    assert (a["cut_to"], a["cut_from"]) == (["b"], [])
    assert (a["loss_to"], a["loss_from"]) == ({"c": 30}, {"b": 30, "c": 30})
    lab.loss("a", 0, "b")
    assert reaches_soon(lab, "a", "b")


def test_a_full_disk_takes_nothing_until_it_is_freed(lab: Lab) -> None:
    image = DISKS / lab.name / "a" / "disk.img"
    before = image.stat().st_blocks * 512
    lab.fill_disk("a")
    lab.fill_disk("a")
    assert "No space left on device" in write(lab, "a", 8192)
    assert write(lab, "b", 8192) == ""
    assert [row["disk_left"] for row in lab.status()][:2] == [0, None]
    lab.fill_disk("a", leave=10 << 20)
    assert write(lab, "a", 8 << 20) == ""
    assert "No space left on device" in write(lab, "a", 12 << 20)
    assert image.stat().st_blocks * 512 - before < 64 << 20  # this machine's disk is not filled
    lab.free_disk("a")
    lab.free_disk("a")
    assert write(lab, "a", 12 << 20) == ""
    assert [row["disk_left"] for row in lab.status()][:2] == [None, None]


def test_a_disk_stays_full_without_power(lab: Lab) -> None:
    lab.freeze("a")
    lab.fill_disk("a")
    lab.power_cut("a")
    with pytest.raises(LabError, match=r"a is off.*lab boot a"):
        lab.free_disk("a")
    lab.boot("a")
    assert "No space left on device" in write(lab, "a", 8192)
    assert lab.exec("a", ["systemctl", "is-system-running", "--wait"]).stdout == "running\n"
    lab.free_disk("a")
    assert write(lab, "a", 8192) == ""


def test_a_node_boots_without_a_free_block(lab: Lab, tmp_path: Path) -> None:
    """What it writes then is refused for want of space, and not because its disk is read-only."""
    lab.fill_disk("a")
    lab.power_cut("a")
    image = DISKS / lab.name / "a" / "disk.img"
    # What was lost with the power has left some room, and it may be a directory that mounting needs.
    fill = 'mount -o loop "$1" "$2"; cd "$2"; rm -r work/work; ! dd if=/dev/zero of=rest bs=4k conv=fsync'
    # Only here: a node that boots meanwhile, of whatever lab, would keep a mount that it sees.
    alone = ["unshare", "--mount", "--propagation=private", "sh", "-ec", fill, "-", str(image), str(tmp_path)]
    subprocess.run(alone, check=True, capture_output=True)
    lab.boot("a")
    assert "No space left on device" in write(lab, "a", 8192)
    lab.free_disk("a")
    assert write(lab, "a", 8192) == ""


def test_no_more_can_be_left_than_there_is(lab: Lab) -> None:
    with pytest.raises(LabError, match="use a smaller value"):
        lab.fill_disk("a", leave=1 << 40)
    assert write(lab, "a", 8192) == ""


def arrived(lab: Lab, a: str, b: str) -> float:
    """The share of datagrams from a that arrive at b."""
    listen = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 4444)); s.settimeout(10)\n"
        # As large as may be: all of them have room, if we are kept from reading.
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)\n"
        "print('listening', flush=True); got = 0\n"
        "while s.recv(9) != b'end': got += 1\n"
        "print(got)"
    )
    send = (
        "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM)\n"
        f"def send(what): s.sendto(what, ('{lab.nodes[b].address}', 4444)); time.sleep(0.0003)\n"
        "for _ in range(500): send(b'x')\n"
        "for _ in range(30): send(b'end')"
    )
    command = lab.command(b, ["python3", "-c", listen])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        lab.exec(a, ["python3", "-c", send], check=True)
        return int(listener.stdout.read()) / 500


def write(lab: Lab, node: str, size: int) -> str:
    """What a node says when it writes a file of so many bytes and syncs it; the file is removed again."""
    code = (
        "import os; f = open('/root/file', 'wb')\n"
        f"try: f.write(bytes({size})); f.flush(); os.fsync(f.fileno())\n"
        "except OSError as error: print(error.strerror)\n"
        "os.unlink('/root/file')"
    )
    return lab.exec(node, ["python3", "-c", code], check=True).stdout
