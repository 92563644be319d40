"""Outlives the daemon that started it, and kills what it ran: python -m mwapp.execution.guard PREFIX

In a unit of systemd everything that a killed daemon leaves is killed anyway. Elsewhere nobody does it, and
the task begins on another worker while its first run goes on. The daemon holds the other end of stdin, which
is closed when it dies, however that happens.
"""

import signal
import sys

from mwapp.execution.processes import kill_marked


def main() -> None:
    """Wait for the end of the daemon, then kill everything with that beginning of a mark."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_marked(sys.argv[1])


if __name__ == "__main__":
    main()
