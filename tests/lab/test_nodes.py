"""What a node is: a real machine that one can log into and install things on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Lab, LabError
from lab.construct import BACKENDS
from lab.run import until
from lab.spec import DISKS
from tests.lab.conftest import answering

# linux/capability.h
CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME = 1 << 16, 1 << 17, 1 << 25

CLI = [sys.executable, "-m", "lab.cli", "--name"]


def cli(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, lab.name, *arguments], capture_output=True, text=True, check=False)


def ssh(lab: Lab, node: str, command: str) -> subprocess.CompletedProcess[str]:
    config = str(lab.spec.run / "ssh_config")
    return subprocess.run(["ssh", "-F", config, node, command], capture_output=True, text=True, check=False)


def test_systemd_is_content(lab: Lab) -> None:
    for name in lab.nodes:
        state = lab.exec(name, ["systemctl", "is-system-running", "--wait"])
        failed = lab.exec(name, ["systemctl", "--failed", "--no-legend"])
        assert (state.stdout.strip(), failed.stdout) == ("running", "")


def test_each_node_is_itself(lab: Lab) -> None:
    names = [lab.exec(name, ["hostname"]).stdout.strip() for name in lab.nodes]
    identities = {lab.exec(name, ["cat", "/etc/machine-id"]).stdout for name in lab.nodes}
    assert names == list(lab.nodes)
    assert len(identities) == len(names)


def test_nodes_know_and_reach_each_other(lab: Lab) -> None:
    code = "import socket; print(socket.create_connection(('b', 22), 2).getpeername()[0])"
    assert lab.exec("a", ["python3", "-c", code]).stdout.strip() == lab.nodes["b"].address


def test_nodes_share_a_directory_with_each_other_and_with_nobody_else(lab: Lab) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]
    lab.exec("a", [*as_nobody, "echo hello >/srv/shared/greeting"], check=True)
    assert lab.exec("b", [*as_nobody, "cat /srv/shared/greeting"]).stdout == "hello\n"
    lab.power_cut("a")
    lab.boot("a")
    assert lab.exec("a", ["cat", "/srv/shared/greeting"]).stdout == "hello\n"
    assert (DISKS / lab.name / ".shared").stat().st_mode & 0o777 == 0o700


def test_packages_install_without_an_update(lab: Lab) -> None:
    done = lab.exec("a", ["apt-get", "install", "--yes", "tree"])
    assert done.returncode == 0, done.stderr
    assert lab.exec("a", ["tree", "--version"]).returncode == 0
    assert lab.exec("b", ["which", "tree"]).returncode == 1


def test_lists_update(lab: Lab) -> None:
    done = lab.exec("b", ["apt-get", "update"])
    assert done.returncode == 0
    assert "W:" not in done.stderr


def test_ssh_is_strict_and_works(lab: Lab) -> None:
    done = ssh(lab, "b", "hostname; id -un")
    assert (done.stdout.split(), done.stderr) == (["b", "root"], "")


def test_looking_often_locks_nobody_out(lab: Lab) -> None:
    for _ in range(40):
        lab.status()
    assert answering(lab)
    assert ssh(lab, "b", "true").returncode == 0


def test_exit_status_output_and_input_pass_through(lab: Lab) -> None:
    done = cli(lab, "exec", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert lab.exec("a", ["cat"], stdin="in").stdout == "in"


def test_root_of_a_node_cannot_change_this_machine(lab: Lab) -> None:
    """By whichever way it came in."""
    capabilities = ["grep", "CapEff", "/proc/self/status"]
    inside = lab.exec("a", capabilities).stdout
    assert inside == ssh(lab, "a", " ".join(capabilities)).stdout
    assert not int(inside.split()[1], 16) & (CAP_SYS_TIME | CAP_SYS_MODULE | CAP_SYS_RAWIO)
    swappiness = "/proc/sys/vm/swappiness"
    assert "Read-only" in lab.exec("a", ["sh", "-c", f"cat {swappiness} >{swappiness}"]).stderr


def test_a_node_can_be_renamed(lab: Lab) -> None:
    assert lab.exec("c", ["hostnamectl", "hostname", "other"]).returncode == 0
    assert lab.exec("c", ["cat", "/etc/hostname"]).stdout == "other\n"
    lab.exec("c", ["hostnamectl", "hostname", "c"], check=True)


def test_a_connection_is_shared_by_one_user_alone(lab: Lab) -> None:
    """Or whoever comes within a minute after another would be logged in as that one."""
    assert ssh(lab, "a", "id -un").stdout == "root\n"
    other = ssh(lab, "nobody@a", "id -un")
    assert (other.returncode, other.stdout) == (255, "")


def test_exec_takes_far_less_than_a_login(lab: Lab) -> None:
    def seconds(run: Callable[[], object]) -> float:
        began = time.monotonic()
        run()
        return time.monotonic() - began

    config = ["-F", str(lab.spec.run / "ssh_config"), "-o", "ControlPath=none"]
    rounds = [
        (
            min(seconds(lambda: lab.exec("a", ["true"])) for _ in range(5)),
            seconds(lambda: subprocess.run(["ssh", *config, "a", "true"], check=True)),
        )
        for _ in range(4)
    ]
    execs, logins = zip(*rounds, strict=True)
    assert min(execs) < min(logins) / 4


def test_what_is_given_up_ends_there_too(lab: Lab) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lab.exec("a", ["sleep", "4242"], timeout=0.3)
    until(lambda: not lab.exec("a", ["pgrep", "-f", "sleep 424[2]"]).stdout, 20, "its end")


def test_a_node_may_reboot_itself(lab: Lab) -> None:
    boot_id = "systemctl show --property=UserspaceTimestampMonotonic"
    before = lab.exec("c", boot_id.split()).stdout
    lab.exec("c", ["systemctl", "reboot"])

    def rebooted() -> bool:
        (c,) = (row for row in lab.status() if row["node"] == "c")
        return c["ssh"] and lab.exec("c", boot_id.split()).stdout.strip() not in ("", before.strip())

    until(rebooted, 60, "c has booted anew")
    assert ssh(lab, "c", "true").returncode == 0


def test_status_for_programs(lab: Lab) -> None:
    rows = json.loads(cli(lab, "status", "--output", "json").stdout)
    assert [(row["node"], row["state"], row["suite"]) for row in rows] == [
        (name, "running", "trixie") for name in lab.nodes
    ]
    assert all(isinstance(row["ssh"], bool) for row in rows), "whether it answers at once"
    assert all(isinstance(row["pid"], int) for row in rows)


def test_up_leaves_what_runs(lab: Lab) -> None:
    before = [row | {"ssh": ...} for row in lab.status()]  # at once or not
    lab.up(["a", "b", "c"])
    assert [row | {"ssh": ...} for row in lab.status()] == before
    assert answering(lab)


def test_the_latecomer_is_known_to_all(lab: Lab) -> None:
    lab.up(["d"])
    assert lab.nodes["d"].address in lab.exec("a", ["getent", "hosts", "d"]).stdout
    assert lab.nodes["a"].address in lab.exec("d", ["getent", "hosts", "a"]).stdout
    assert ssh(lab, "d", "hostname").stdout == "d\n"


def test_the_shell_completes_nodes(lab: Lab) -> None:
    asked = {"COMP_WORDS": f"lab --name {lab.name} cut a --from b,", "COMP_CWORD": "6"}
    environment = os.environ | asked | {"_LAB_COMPLETE": "bash_complete"}
    argv = [str(Path(sys.executable).with_name("lab"))]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert [line.partition(",")[2] for line in done.stdout.split()] == [f"b,{name}" for name in lab.nodes]


def test_clear_errors(lab: Lab) -> None:
    other = next(backend for backend in BACKENDS if backend != lab.spec.backend)
    asked = {
        ("exec", "nope", "--", "true"): (2, "no node 'nope'"),
        ("cut", "a", "--from", "nope"): (2, "no node 'nope'"),
        ("cut", "a", "--from", "a"): (2, "not two sides"),
        ("loss", "a"): (2, "--percent"),
        ("loss", "nope", "--percent", "1"): (2, "no node 'nope'"),
        ("loss", "a", "--percent", "101"): (2, "0<=x<=100"),
        ("loss", "a", "--percent", "0.5"): (2, "not a valid integer"),
        ("heal", "--from", "b"): (2, "not two sides"),
        ("fill-disk", "nope"): (2, "no node 'nope'"),
        ("fill-disk", "a", "--leave", "much"): (2, "such as 10M"),
        ("free-disk",): (2, "Missing argument"),
        ("up", "Nope"): (2, "'Nope'"),
        ("boot", "a"): (1, "a is running"),
        ("up", "a", "--suite", "bookworm"): (1, "a is a trixie node"),
        ("up", "a", "--backend", "kvm"): (2, "'kvm' is not one of 'nspawn', 'podman'"),
        ("up", "a", "--backend", other): (1, f"is made with {lab.spec.backend}: lab down first"),
        ("freeze",): (2, "Missing argument"),
    }
    for arguments, (status, words) in asked.items():
        done = cli(lab, *arguments)
        assert (done.returncode, words in done.stderr) == (status, True), (arguments, done.stderr)


VERBS: list[Callable[[Lab], object]] = [
    Lab.up,
    Lab.down,
    Lab.status,
    lambda lab: lab.exec("a", ["true"]),
    lambda lab: lab.loss("a", 1),
    lambda lab: lab.fill_disk("a"),
]


@pytest.mark.parametrize("verb", VERBS)
def test_labs_belong_to_root(lab: Lab, verb: Callable[[Lab], object]) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(LabError, match=r"root.*sudo"):
            verb(lab)
    finally:
        os.seteuid(0)
