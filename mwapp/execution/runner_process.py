"""Runs what a worker has, as a user of its own: python -m mwapp.execution.runner_process CHANNEL ...

stdin is the variables that all it runs is given, as JSON; they are not for this process itself.
CHANNEL is the number of a socket on which the worker's orders come and answers go. It ends, with all that it
runs, when the worker closes it or dies. The other side is ``mwapp.execution.remote``.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

from mwapp import logs
from mwapp.core.messages import Exited, Run, ShardCommand, ShardSays
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.no_network import NoFilterError, refuse_network
from mwapp.execution.remote import KEEP, KILL, NO_NETWORK, SHARD, START, read_orders, write_answer
from mwapp.execution.runner import Runner

# How much to read at once, bytes.
CHUNK = 1 << 18


class Orders:
    """Carries out what the worker orders. Read them in a thread that nothing holds up: the runner's own may
    wait for a dead disk, and would not hear how long the session lives."""

    def __init__(self, channel: socket.socket, runner: Runner) -> None:
        self._channel = channel
        self._runner = runner
        self._received = bytearray()

    def read(self) -> bool:
        """Wait for some. Returns whether more may come."""
        try:
            data = self._channel.recv(CHUNK)
        except OSError:  # the worker has died
            data = b""
        self._received += data
        for order in read_orders(self._received):
            match order:
                case (str(what), Run() as run) if what == START:
                    self._runner.start(run)
                case (str(what), int(run_number), float(grace)) if what == KILL:
                    self._runner.kill(run_number, grace)
                case (str(what), float(lease)) if what == KEEP:
                    self._runner.keep(lease)
                case (str(what), command) if what == SHARD and isinstance(command, ShardCommand):
                    self._runner.tell_shard(command)
        return bool(data)


def leave_network(channel: socket.socket) -> None:
    """Have none, nor anything that is run. The worker waits for the line that says why not; empty: done."""
    try:
        refuse_network()
    except NoFilterError as problem:
        channel.sendall(f"{problem}\n".encode())
        sys.exit(1)
    channel.sendall(b"\n")


def main() -> None:
    """Run what is ordered."""
    number, level, style, network, *borrowed = sys.argv[1:]
    os.set_inheritable(int(number), False)
    logs.configure(level, style)
    for unheard in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the worker hears them, and drains
        signal.signal(unheard, lambda *_: None)  # SIG_IGN would be inherited by what it runs

    def answer(what: Exited | ShardSays) -> None:
        with suppress(OSError):  # the worker has died
            channel.sendall(write_answer(what))

    with socket.socket(fileno=int(number)) as channel:
        if network == NO_NETWORK:
            leave_network(channel)
        groups = ControlGroups.borrowed(borrowed) if borrowed else None
        runner = Runner(answer, control_groups=groups, given=json.load(sys.stdin))
        runner.open()
        orders = Orders(channel, runner)
        while orders.read():
            pass
        runner.kill_all()


if __name__ == "__main__":
    main()
