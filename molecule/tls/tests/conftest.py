"""A provisioned system, its clients, which move between the ports, and what each run cost them."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from chaos.cluster import Cluster
from chaos.load import Submitter, Writer, longest_gap
from testbed import playbook
from testbed.waiting import wait_for

SUBMITTED_PER_SECOND = 4  # in half an hour fewer than the ensemble keeps


def environment(*, tls: bool) -> dict[str, str]:
    """By it inventory/lab has all that inventory/example has, or nothing of it."""
    return playbook.environment(LAB_PLAIN=str(not tls).lower())


@dataclass
class Row:
    """Of the table that is printed at the end."""

    what: str
    played: playbook.Played
    gap: float
    lost: int

    def __str__(self) -> str:
        ended = "stopped" if self.played.status else "done"
        return f"{self.what:64} {ended:8} {self.played.seconds:6.1f} s {self.gap:9.2f} s {self.lost:>5}"


@dataclass
class Clients:
    """One that writes at each server, and one that submits tasks, all by the same port.

    Those that write read their files for each connection; the other (``tasks``) does so once, at its start.
    """

    cluster: Cluster
    tasks: bool = True
    stack: ExitStack = field(default_factory=ExitStack)
    writers: list[Writer] = field(default_factory=list)

    def __enter__(self) -> "Clients":
        self.writers = [self.stack.enter_context(Writer(self.cluster, node)) for node in self.cluster.servers]
        if self.tasks:
            self.submitter = self.stack.enter_context(Submitter(self.cluster))
            self.submitter.load(SUBMITTED_PER_SECOND)
        return self

    def __exit__(self, *_: object) -> None:
        """All that was promised to them was kept."""
        with self.stack:
            if not self.tasks:
                return
            self.submitter.load(0)
            self.submitter.drain(90)
            ledger = self.submitter.ledger()
        assert (ledger.lost, ledger.doubled, ledger.failed) == ([], [], [])
        assert ledger.submitted > 0

    def lost(self) -> int:
        """How many acknowledged writes are not stored."""
        return sum(writer.lost() for writer in self.writers)


@dataclass
class Operator:
    """Plays playbooks on the lab, with TLS in the inventory or without."""

    cluster: Cluster
    rows: list[Row] = field(default_factory=list)

    def clients(self, *, tls: bool, tasks: bool = True) -> Clients:
        """Of the port with TLS, or of the other."""
        return Clients(self.cluster if tls else self.cluster.plain(), tasks)

    def play(self, name: str, *options: str, tls: bool) -> playbook.Played:
        """One run that nobody notices."""
        return playbook.play_in(
            playbook.PROJECT,
            f"playbooks/{name}.yml",
            *options,
            tools=playbook.NEWEST,
            env=environment(tls=tls),
        )

    def under(self, clients: Clients, what: str, name: str, *options: str, tls: bool) -> playbook.Played:
        """One run, and its row of the table."""
        played = self.play(name, *options, tls=tls)
        gap = longest_gap(clients.writers, played.began, played.ended)
        self.rows.append(Row(what, played, gap, clients.lost()))
        assert self.rows[-1].lost == 0
        return played

    def begin(self, name: str, *options: str, tls: bool, until: Callable[[], bool]) -> None:
        """Break a run off as soon as that is so."""
        command = [str(playbook.NEWEST / "ansible-playbook"), f"playbooks/{name}.yml", *options]
        with subprocess.Popen(
            command,
            cwd=playbook.PROJECT,
            env=environment(tls=tls),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as run:
            try:
                wait_for("the run has come that far", until, 240, every=0.05)
            finally:
                os.killpg(run.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, figures: list[str]) -> Iterator[Operator]:
    """A system without TLS."""
    operator = Operator(cluster)
    built = operator.play("site", tls=False)
    assert built.status == 0, built.output
    yield operator
    figures.append(f"{'':64} {'':8} {'time':>8} {'longest gap':>11} {'lost':>5}")
    figures.extend(map(str, operator.rows))
