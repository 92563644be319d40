"""Becoming another user, once, and giving the right to do so away.

A worker whose tasks are another user's has two capabilities when it starts (CAP_SETUID, CAP_SETGID; or it is
root). With them it starts one process as that user, before it talks to anybody. Then nobody has them.
"""

import ctypes
import os
import pwd
import subprocess
from pathlib import Path
from typing import NamedTuple

from mwapp.errors import BadInputError

# Of the kernel's interface: 64 bits for each set.
_VERSION_3 = 0x20080522


class User(NamedTuple):
    """Who runs tasks."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


def find_user(name: str, setting: str) -> User:
    """Raises BadInputError, which begins with the setting, if tasks cannot be this user's."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise BadInputError(
            f"{setting}: there is no user {name!r}: create one (useradd --system {name}), or leave this out"
        ) from None
    if entry.pw_uid in (0, os.getuid()):
        whose = "root, who may do everything" if entry.pw_uid == 0 else "the worker's own user"
        raise BadInputError(f"{setting}: {name} is {whose}: give tasks a user of their own")
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return User(name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell)


def may_not_become(user: User) -> BadInputError:
    """What to say if this process lacks the right."""
    return BadInputError(
        f"--task-user: this process may not become {user.name}: start it as root, or in a unit with "
        "AmbientCapabilities=CAP_SETUID CAP_SETGID, or leave --task-user out"
    )


def make_directory(path: Path, user: User) -> None:
    """If there is none, make one that is ours and of the user's group. A process of its own takes that group
    on, so nothing of this one changes. (A unit of ours forbids chown.)

    Raises:
        BadInputError: this process may not take the group on.
        OSError: it cannot be made.
    """
    try:
        done = subprocess.run(
            ["/bin/mkdir", "-p", str(path)], group=user.gid, capture_output=True, text=True, check=False
        )
    except PermissionError:
        raise may_not_become(user) from None
    if done.returncode != 0:
        raise OSError(0, done.stderr.strip(), str(path))


def keep_to_this_process() -> None:
    """No program that this thread starts gets its capabilities. Raises OSError."""
    effective, permitted, _ = _capabilities()
    _set_capabilities(effective, permitted, 0)  # what is not inheritable cannot be ambient


def give_up() -> None:
    """This thread, and whatever it starts, has no capability any more. Raises OSError."""
    _set_capabilities(0, 0, 0)


def _capabilities() -> tuple[int, int, int]:
    """Effective, permitted, inheritable."""
    words = (ctypes.c_uint32 * 6)()
    _call("capget", words)
    low, high = words[:3], words[3:]
    effective, permitted, inheritable = (a | b << 32 for a, b in zip(low, high, strict=True))
    return effective, permitted, inheritable


def _set_capabilities(*sets: int) -> None:
    low, high = [bits & 0xFFFFFFFF for bits in sets], [bits >> 32 for bits in sets]
    _call("capset", (ctypes.c_uint32 * 6)(*low, *high))


def _call(name: str, words: "ctypes.Array[ctypes.c_uint32]") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    if getattr(libc, name)(header, words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
