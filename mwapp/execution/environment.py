"""The environment variables that every run gets."""

import os
import re
from collections.abc import Mapping

# What systemd tells a service about itself. A run must not talk to systemd in the daemon's place, and the
# service's directories, credentials and journal are not the run's. MWAPP_REVISION is for the role mwapp.
_SERVICE = {
    *("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"),
    *("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID"),
    *("MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "CREDENTIALS_DIRECTORY", "MWAPP_REVISION"),
    *("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY"),
}
# What a person may set of mwapp's own: what a client of the ensemble reads, and where a handler keeps its
# data. All others tell a run which run it is, or are options.
OPEN = {
    *("MWAPP_CONNECT", "MWAPP_SUBMITTER", "MWAPP_TLS_CA", "MWAPP_TLS_CERT", "MWAPP_TLS_KEY"),
    "MWAPP_DATA_DIRECTORY",
}
# What starts a run needs these, or sets them itself.
_STARTS = re.compile(r"PATH|HOME|SHELL|USER|LOGNAME|(LD_|PYTHON|MWAPP_).*")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def may_be_given(name: str, value: str) -> bool:
    """Whether a person may give this variable to all runs of a worker."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or re.search(r"[\x00-\x1f\x7f]", value):
        return False
    return name in OPEN or not (name in _SERVICE or _STARTS.fullmatch(name))


def of_runs(own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The daemon's ``own`` variables without what concerns the service, and what programs expect to find.

    HOME is a directory that can be written to. Where it is not (a service often has /), it is the directory
    for temporary files. SHELL can run commands, and text is UTF-8 unless somebody chose otherwise.
    """
    shared = {name: value for name, value in own.items() if name not in _SERVICE}
    shared.setdefault("PATH", PATH)
    if not os.access(shared.get("HOME", ""), os.W_OK | os.X_OK):
        shared["HOME"] = shared.get("TMPDIR", "/tmp")  # noqa: S108 - for lack of a better one
    if shared.get("SHELL", "nologin").rpartition("/")[2] in ("nologin", "false"):
        shared["SHELL"] = "/bin/sh"
    if not {"LC_ALL", "LC_CTYPE", "LANG"} & set(shared):
        shared["LANG"] = "C.UTF-8"
    return shared
