"""Settings of this machine's kernel that labs need: raised while a lab is up, restored after the last."""

from __future__ import annotations

from pathlib import Path

from lab.spec import RUN

NEEDED = {
    Path("/proc/sys/net/ipv4/ip_forward"): 1,  # the nodes' way out
    # Each node takes half a dozen, all count as root's, and the default is 128. So the 25th node would boot
    # without some of its units, or not at all.
    Path("/proc/sys/fs/inotify/max_user_instances"): 8192,
}


def raise_settings() -> None:
    """Raise settings that are too low for labs, and remember the old values."""
    for setting, least in NEEDED.items():
        now = setting.read_text()
        if int(now) < least:
            before = RUN / setting.name
            if not before.exists():
                before.write_text(now)
            setting.write_text(str(least))


def restore_settings() -> None:
    """Restore the values from before the first lab."""
    for setting in NEEDED:
        before = RUN / setting.name
        if before.exists():
            setting.write_text(before.read_text())
            before.unlink()
