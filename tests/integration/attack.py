"""An application under attack, and the verdict on what it did, from the ensemble's own transaction log."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from tests.ensemble import Ensemble
from tests.integration import replay
from tests.integration.processes import PATIENCE, Daemon, Site, wait_until
from tests.integration.proxy import Network
from tests.simulation.judge import Judge
from tests.simulation.tree import Tree

MAX_ATTEMPTS = 5
# What a task does: leave a line that tells which attempt ran, then take its time.
RECORD = 'echo "$MWAPP_TASK $MWAPP_ATTEMPT" >> {home}/runs; sleep {seconds}; echo done'


@dataclass
class _Replayed:
    """The part of the ensemble below a chroot, as the log says it was."""

    decided: Tree = field(default_factory=Tree)
    sessions: set[int] = field(default_factory=set)


class Attack:
    """A site behind a network that can be broken, and a person who works by hand at the same time."""

    def __init__(self, ensemble: Ensemble, network: Network, chroot: str, home: Path) -> None:
        self.ensemble, self.network, self.home = ensemble, network, home
        self._chroot = "/" + chroot
        self.person = KazooClient(ensemble.connect_string, command_retry={"max_tries": -1, "max_delay": 0.3})
        self.person.start()
        self.person.ensure_path(self._chroot)
        self.person.chroot = self._chroot
        self._persons = {self.person.client_id[0]}
        self.site = Site(network.connect_string + self._chroot, home)
        self._submitters: list[subprocess.Popen[str]] = []

    def staff(self, masters: int = 2, workers: int = 2, slots: int = 3) -> None:
        """Start daemons and wait until they serve."""
        daemons = [self.site.start("master", f"m{i + 1}") for i in range(masters)]
        daemons += [self.site.start("worker", f"w{i + 1}", "--slots", str(slots)) for i in range(workers)]
        for daemon in daemons:
            daemon.wait_for_state("active", "standby", "ready")

    def of(self, role: str) -> list[Daemon]:
        """The daemons of a role."""
        return [daemon for daemon in self.site.daemons if daemon.role == role]

    def active(self) -> Daemon:
        """The active master; waits for it."""
        probe = lambda: next((m for m in self.of("master") if m.status().get("state") == "active"), None)  # noqa: E731 - for the next line only
        return wait_until("a master is active", probe)

    def submit(self, count: int, seconds: float = 0.2) -> None:
        """Begin to submit so many tasks, through the broken network like everybody."""
        command = RECORD.format(home=self.home, seconds=seconds)
        submitter = subprocess.Popen(
            [
                *(sys.executable, "-m", "mwapp", "submit", "--connect", self.site.connect),
                *("--connect-timeout", str(PATIENCE), "-"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert submitter.stdin
        submitter.stdin.write(f"{command}\n" * count)
        submitter.stdin.close()
        self._submitters.append(submitter)

    def runs(self) -> Counter[tuple[str, int]]:
        """How often each attempt of each task was run."""
        path = self.home / "runs"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter((task, int(attempt)) for task, attempt in (line.split() for line in lines))

    def verdict(self, seconds: float = 2 * PATIENCE) -> dict[str, Any]:
        """Heal everything, wait until every task has ended, judge all that happened.

        Returns the final states by task.
        """
        self.network.heal()
        self.ensemble.heal()
        acked = self._acknowledged()
        tasks = wait_until("every task has ended", self._all_ended, seconds)
        assert set(acked) <= tasks.keys(), "acked-never-lost"
        assert len(acked) == len(set(acked)), "submit-idempotent"
        assert all(count == 1 for count in self.runs().values()), "duplicates-explained"
        judge = self.judge()
        assert {task: state.decode() for task, state in judge.status.items()} == tasks
        return tasks

    def _acknowledged(self) -> list[str]:
        names: list[str] = []
        for submitter in self._submitters:
            assert submitter.stdout
            names += submitter.stdout.read().split()
            assert submitter.wait(PATIENCE) == 0
        return names

    def _all_ended(self) -> dict[str, Any] | None:
        states = {}
        try:
            for task in self.person.get_children("/tasks"):
                states[task] = self.person.get(f"/tasks/{task}/status")[0].decode()
        except KazooException:
            return None
        return states

    def judge(self) -> Judge:
        """Let the judge of the simulation see what was committed."""
        judge = Judge(max_attempts=MAX_ATTEMPTS, sees_executions=False)
        judge.ensemble = replayed = _Replayed()
        judge.persons = self._persons
        for entry in replay.committed(self.ensemble, self._chroot):
            for change in entry.changes:
                replayed.decided.apply(change, entry.zxid, entry.time)
            judge.committed(entry)
        assert judge.winners, "a judgment on nothing"
        return judge

    def close(self) -> None:
        """End what was started."""
        for submitter in self._submitters:
            submitter.kill()
            submitter.wait()
            if submitter.stdout:
                submitter.stdout.close()
        self.network.heal()
        self.person.stop()
        self.person.close()


@contextmanager
def attack_on(ensemble: Ensemble, home: Path) -> Iterator[Attack]:
    """An attack with a chroot of its own."""
    network = Network(ensemble)
    attack = Attack(ensemble, network, f"attack-{random.SystemRandom().getrandbits(40):x}", home)
    try:
        with attack.site:
            yield attack
    finally:
        attack.close()
        network.close()
