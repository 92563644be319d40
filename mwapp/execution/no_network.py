"""Keeping a process, and all that it will ever start, off the network.

The kernel refuses it every socket but Unix sockets, by a filter of system calls (seccomp). Nobody can take
the filter back, and no program leaves it. libseccomp makes it, which Debian's systemd depends on: it knows
the numbers of system calls on each architecture. On another one (i386 or x32 on x86_64) they are others, so
the kernel kills whoever makes a system call of such an architecture.
"""

import ctypes
import errno
import socket

LIBRARY = "libseccomp.so.2"

# Of the library's interface.
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NOT_EQUAL = 1


class _Comparison(ctypes.Structure):
    """What an argument of a system call must be, so that a rule holds."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("unused", ctypes.c_uint64),
    )


_OTHER_FAMILY = (_Comparison(0, _NOT_EQUAL, socket.AF_UNIX),)
# System calls, the error they end with, and when. EACCES: "Permission denied" tells a person that somebody
# forbids it; EAFNOSUPPORT would say that the host has no IPv4. io_uring can open sockets, too. EPERM is what
# it says where a host has switched it off (kernel.io_uring_disabled), so programs can do without.
_REFUSED = (
    ("socket", errno.EACCES, _OTHER_FAMILY),
    ("socketpair", errno.EACCES, _OTHER_FAMILY),
    ("io_uring_setup", errno.EPERM, ()),
)


class NoFilterError(Exception):
    """The network cannot be refused here; the message says why, and the remedy."""


def refuse_network() -> None:
    """From now on, for this thread and all that it starts. So call it before there are others.

    It sets NoNewPrivileges, too: nothing gains rights by a setuid program any more.

    Raises:
        NoFilterError: it cannot be had.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as problem:
        raise NoFilterError(f"{problem}: install the package libseccomp2") from None
    library.seccomp_init.restype = ctypes.c_void_p
    made = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    for name, error, when in _REFUSED:
        call = library.seccomp_syscall_resolve_name(name.encode())
        comparisons = (_Comparison * len(when))(*when)
        action = ctypes.c_uint32(_ERROR | error)
        if library.seccomp_rule_add_array(made, action, call, ctypes.c_uint(len(when)), comparisons) != 0:
            raise NoFilterError(f"{LIBRARY} cannot filter {name}: install a newer package libseccomp2")
    if library.seccomp_load(made) != 0 or not _is_refused():
        raise NoFilterError("the kernel filters no system calls: use one with CONFIG_SECCOMP_FILTER")
    library.seccomp_release(made)


def _is_refused() -> bool:
    """Something that only looks like a kernel may take a filter and forget it."""
    try:
        socket.socket(socket.AF_INET).close()
    except OSError as error:
        return error.errno == errno.EACCES
    return False
