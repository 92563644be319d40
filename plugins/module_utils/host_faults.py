"""Why Ansible could not work on a host: in the words of ssh or sudo, and what helps."""

from __future__ import annotations

# By what is in the message; the first that fits.
_REMEDIES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "Its host key is not the one you know. If the machine was set up anew, forget the old key (ssh-keygen"
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


def last_line(message: str) -> str:
    """What ssh itself says: its last line. Before that come Ansible's words, banners and warnings."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason given"
    return last.rpartition("via ssh: ")[2].removeprefix("ssh: ")


def unreachable(name: str, message: str) -> str:
    """Sentences on a host that Ansible cannot reach."""
    remedy = next(text for part, text in _REMEDIES if part in message)
    return f"{name} cannot be reached over SSH: {last_line(message).rstrip('.')}. {remedy}"
