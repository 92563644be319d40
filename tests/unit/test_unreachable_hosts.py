"""What is said of hosts that cannot be reached, from what ssh says."""

from __future__ import annotations

import pytest

from tests.unit.zookeeper_role import load

unreachable_hosts = load("unreachable_hosts")

CHANGED = """\
Failed to connect to the host via ssh: @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
Offending ED25519 key in /root/.ssh/known_hosts:3\r
Host key verification failed."""
UNKNOWN = """\
Failed to connect to the host via ssh: No ED25519 host key is known for zk3 and you have requested strict.\r
Host key verification failed.\r
"""


@pytest.mark.parametrize(
    ("message", "said", "remedy"),
    [
        (CHANGED, "Host key verification failed", "ssh-keygen -R"),
        (UNKNOWN, "Host key verification failed", "compare the fingerprint"),
        (
            "Failed to connect to the host via ssh: Note: x\nadmin@10.0.0.3: Permission denied (publickey).",
            "admin@10.0.0.3: Permission denied (publickey)",
            "ansible_user",
        ),
        (
            "Data could not be sent to remote host. Make sure this host can be reached over ssh: admin@zk3: "
            "Permission denied (publickey).",
            "admin@zk3: Permission denied (publickey)",
            "ansible_user",
        ),
        (
            "Failed to connect to the host via ssh: ssh: connect to host 10.0.0.3 port 22: No route to host",
            "connect to host 10.0.0.3 port 22: No route to host",
            "Bring it back, or correct its ansible_host",
        ),
        (
            "Failed to connect to the host via ssh: ssh: Could not resolve hostname zk9: Name not known",
            "Could not resolve hostname zk9: Name not known",
            "Correct its ansible_host",
        ),
        ("", "no reason given", "Bring it back"),
    ],
)
def test_ssh_has_the_word_and_the_remedy_fits(message: str, said: str, remedy: str) -> None:
    text = unreachable_hosts.unreachable("zk3", message)
    assert unreachable_hosts.may_be_gone(message) == ("No route" in message)
    assert text.startswith(f"zk3 cannot be reached over SSH: {said}. ")
    assert remedy in text


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            {"msg": "Missing sudo password"},
            "zk3: the user that Ansible logs in as may not become root: Missing",
        ),
        (
            {"msg": "x", "module_stderr": "sudo: a password is required\n"},
            "zk3: the user that Ansible logs in as",
        ),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "OSError: [Errno 28] No space left on device"},
            "zk3 has no space left for Ansible's own files: make room",
        ),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "Sorry, user admin may not run sudo on zk3.\n"},
            "zk3: the user that Ansible logs in as may not become root: Sorry, user admin may not run sudo "
            "on zk3. Allow it sudo for all commands",
        ),
        (
            {
                "msg": "x",
                "module_stderr": "Sorry, user a is not allowed to execute '/bin/sh' as root on zk3.",
            },
            "zk3: the user that Ansible logs in as may not become root: Sorry, user a is not allowed to exec",
        ),
        (
            {"msg": "Incorrect sudo password"},
            "zk3: the password with which Ansible becomes root is wrong: Incorrect sudo password. Pass the",
        ),
        (
            {"msg": "Timeout (12s) waiting for privilege escalation prompt: "},
            "zk3: nobody answered when Ansible wanted to become root: Timeout (12s) waiting for privilege "
            "escalation prompt. See whether sudo works there",
        ),
        (
            {"msg": "MODULE FAILURE\nSee stdout", "module_stderr": "/bin/sh: 1: sudo: not found\n"},
            "zk3: it has no sudo, by which Ansible becomes root: /bin/sh: 1: sudo: not found. Install it, or",
        ),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "/bin/sh: 1: /usr/bin/python3: not found"},
            "zk3: it has no Python where Ansible looks for it: /bin/sh: 1: /usr/bin/python3: not found. Inst",
        ),
        (
            {"msg": "MODULE FAILURE", "module_stderr": "Traceback\nKeyError: 'x'\n"},
            "zk3 could not be looked at: MODULE FAILURE (KeyError: 'x')",
        ),
        ({"msg": "no python"}, "zk3 could not be looked at: no python"),
        ({}, "zk3 could not be looked at: see above"),
    ],
)
def test_a_module_that_failed(result: dict[str, str], said: str) -> None:
    assert unreachable_hosts.failed("zk3", result).startswith(said)


def test_a_full_disk_is_not_called_unreachable() -> None:
    """Ansible calls it so, as it cannot even make a directory there."""
    message = "Failed to create temporary directory.\nmkdir: cannot create directory: No space left on device"
    assert unreachable_hosts.unreachable("zk3", message).startswith(
        "zk3 has no space left for Ansible's own files: make"
    )


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ("ssh: connect to host 10.0.0.3 port 22: Connection timed out", True),
        ("ssh: connect to host 10.0.0.3 port 22: Operation timed out", True),
        ("ssh: connect to host 10.0.0.3 port 22: Connection refused", False),
        ("ssh: connect to host 10.0.0.3 port 22: No route to host", True),
        ("ssh: connect to host 10.0.0.3 port 22: Host is down", True),
        ("Connection timed out during banner exchange", False),
        ("ssh: connect to host 10.0.0.3 port 22: Network is unreachable", False),
        ("Timeout (12s) waiting for privilege escalation prompt", False),
        ("connect to host a: Host is down\nadmin@zk3: Permission denied (publickey).", False),
        ("Note: it timed out yesterday\nadmin@zk3: Permission denied (publickey).", False),
    ],
)
def test_a_host_that_answers_is_not_gone(message: str, gone: bool) -> None:
    assert unreachable_hosts.may_be_gone(f"Failed to connect to the host via ssh: {message}") == gone
