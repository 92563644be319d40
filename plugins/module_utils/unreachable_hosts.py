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


_NO_ROOT = (
    "Missing sudo password",
    "password is required",
    "a terminal is required",
    "is not in the sudoers",
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
    if any(part in said for part in _NO_ROOT):
        return (
            f"{name}: the user that Ansible logs in as may not become root: {last_line(message)}. "
            "Pass its password (--ask-become-pass), or allow it sudo without one."
        )
    if _FULL in said:
        return _full(name)
    return f"{name} could not be looked at: {message}"


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
