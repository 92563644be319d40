"""Outlives the daemon that started it, and kills what it ran: python -m mwapp.execution.guard PREFIX

In a systemd unit, systemd kills everything that a killed daemon leaves. Elsewhere nobody does, and the task
would start on another worker while its first run continues. The daemon holds the other end of stdin, which
closes when it dies in any way.
"""

import signal
import sys

from mwapp.execution.processes import kill_marked


def main() -> None:
    """Wait for the end of the daemon, then kill everything whose mark begins with the prefix."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    kill_marked(sys.argv[1])


if __name__ == "__main__":
    main()
