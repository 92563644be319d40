"""Outlives the daemon that started it, and kills what it ran: python -m mwapp.execution.guard FAMILY SESSION

FAMILY is that of the marks of what the daemon ran, SESSION is the daemon's own, in which there may be others.

In a systemd unit, systemd kills everything that a killed daemon leaves. Elsewhere nobody does, and the task
would start on another worker while its first run continues. The daemon holds the other end of stdin, which
closes when it dies in any way.
"""

import os
import signal
import sys

from mwapp.execution.processes import kill_family


def main() -> None:
    """Wait for the end of the daemon, then kill all that it ran."""
    family, session = map(int, sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_family(family, [session, os.getsid(0)])


if __name__ == "__main__":
    main()
