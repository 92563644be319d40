"""Why Ansible could not work on a host: in the words of ssh or sudo, and what helps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# By what is in the message; the first that fits.
_REMEDIES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "Its host key is not the one you know. If the machine was reinstalled, forget the old key (ssh-keygen"
        " -R with its address) and accept the new one; if not, find out who answers there.",
    ),
    (
        "Host key verification failed",
        "Its host key is unknown here: compare the fingerprint, and accept it by logging in once with ssh.",
    ),
    ("Permission denied (", "Correct its ansible_user, or give that user your public key (ssh-copy-id)."),
    ("Could not resolve hostname", "Correct its ansible_host."),
    ("", "Bring it back, or correct its ansible_host."),
)


_MAY_NOT = "the user that Ansible logs in as may not become root"
# The same for modules that failed: what of it is in the messages, what that means, and what helps.
_CAUSES = (
    (
        ("Missing sudo password", "password is required", "a terminal is required"),
        _MAY_NOT,
        "Pass its password (--ask-become-pass), or allow it sudo without one.",
    ),
    (
        ("is not in the sudoers", "may not run sudo", "is not allowed to"),
        _MAY_NOT,
        "Allow it sudo for all commands (visudo), or log in as another (ansible_user).",
    ),
    (
        ("ncorrect sudo password", "ncorrect su password", "incorrect password attempt"),
        "the password with which Ansible becomes root is wrong",
        "Pass the right one (--ask-become-pass).",
    ),
    (
        ("waiting for privilege escalation prompt",),
        "nobody answered when Ansible wanted to become root",
        "See whether sudo works there (its DNS and PAM may be slow), or raise timeout in ansible.cfg.",
    ),
    (
        ("sudo: not found", "sudo: command not found"),
        "it has no sudo, by which Ansible becomes root",
        "Install it, or log in as root (ansible_user: root).",
    ),
    (
        ("python3: not found", "python: not found", "python3: No such file", "python: No such file"),
        "it has no Python where Ansible looks for it",
        "Install it (apt-get install python3), or correct ansible_python_interpreter.",
    ),
)
_FULL = "No space left on device"
# In ssh's words: nobody answered, not even to refuse.
_SILENT = re.compile(
    r"connect to host .*: (Connection timed out|Operation timed out|No route to host|Host is down)"
)


def last_line(message: str) -> str:
    """What ssh itself says: its last line. Before that come Ansible's words, banners and warnings."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason given"
    return re.sub(r"^(.*\b(via|over) ssh: )?(ssh: )?", "", last)


def failed(name: str, result: Mapping[str, Any]) -> str:
    """Sentences on a host on which Ansible's module failed."""
    message = str(result.get("msg") or "see above")
    said = "\n".join(
        str(result.get(key) or "") for key in ("msg", "module_stderr", "module_stdout", "exception")
    )
    for parts, what, remedy in _CAUSES:
        lines = [line.strip() for line in said.splitlines() if any(part in line for part in parts)]
        if lines:
            return f"{name}: {what}: {lines[-1].rstrip('.: ')}. {remedy}"
    if _FULL in said:
        return _full(name)
    errors = str(result.get("module_stderr") or "").strip()
    return f"{name} could not be looked at: {message}" + (f" ({last_line(errors)})" if errors else "")


def _full(name: str) -> str:
    return f"{name} has no space left for Ansible's own files: make room there (df -h /tmp ~), and run again."


def is_full(message: str) -> bool:
    """Whether a host that Ansible calls unreachable is there, but has no space for its files."""
    return _FULL in message


def may_be_gone(message: str) -> bool:
    """Whether a host that cannot be reached may be off. One that refuses whoever logs in surely runs."""
    return bool(_SILENT.search(last_line(message)))


def unreachable(name: str, message: str) -> str:
    """Sentences on a host that Ansible cannot reach."""
    if is_full(message):
        return _full(name)
    remedy = next(text for part, text in _REMEDIES if part in message)
    return f"{name} cannot be reached over SSH: {last_line(message).rstrip('.')}. {remedy}"
