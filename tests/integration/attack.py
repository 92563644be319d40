"""An application under attack, and the verdict on what it did, from the ensemble's own transaction log."""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kazoo.exceptions import KazooException

from mwapp.core.master import MAX_ATTEMPTS
from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.network import Network
from testbed.person import Person, person_at
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.integration import replay
from tests.simulation.judge import Judge
from tests.simulation.tree import Tree


@dataclass
class _Replayed:
    """The part of the ensemble below a chroot, as the log says it was."""

    decided: Tree = field(default_factory=Tree)
    sessions: set[int] = field(default_factory=set)


class Attack:
    """A site behind a network that can be broken, and a person who works by hand at the same time."""

    def __init__(self, ensemble: Ensemble, network: Network, person: Person, site: Site, home: Path) -> None:
        self.ensemble, self.network, self.person, self.site, self.home = ensemble, network, person, site, home
        self.submitted = 0  # tasks, in the background
        self._persons = {person.client_id[0]}
        self._submitters: list[subprocess.Popen[str]] = []

    def staff(self, *of_masters: str, masters: int = 2, workers: int = 2, slots: int = 3) -> None:
        """Start daemons, masters with these options, and wait until they serve."""
        daemons = [self.site.start("master", f"m{i + 1}", *of_masters) for i in range(masters)]
        daemons += [self.site.start("worker", f"w{i + 1}", "--slots", str(slots)) for i in range(workers)]
        for daemon in daemons:
            daemon.wait_for_state("active", "standby", "ready")

    def of(self, role: str) -> list[Daemon]:
        """The daemons of a role."""
        return [daemon for daemon in self.site.daemons if daemon.role == role]

    def active(self) -> Daemon:
        """The active master; waits for it."""
        probe = lambda: next((m for m in self.of("master") if m.status().get("state") == "active"), None)  # noqa: E731 - for the next line only
        return wait_for("a master is active", probe)

    def command(self, seconds: float | None = None) -> str:
        """What a task does: leave a line that tells which attempt runs, wait so long or for :meth:`go`."""
        takes = f"sleep {seconds}" if seconds else f"until [ -e {self.home}/go ]; do sleep 0.05; done"
        return f'echo "$MWAPP_TASK $MWAPP_ATTEMPT" >> {self.home}/runs; {takes}; echo done'

    def go(self) -> None:
        """Let every command end that waits for this."""
        (self.home / "go").touch()

    def submit(self, count: int, seconds: float | None = None) -> None:
        """Begin to submit so many tasks of :meth:`command`, through the broken network like everybody."""
        self.submitted += count
        submitter = subprocess.Popen(
            [
                *(sys.executable, "-m", "mwapp", "submit", "--connect", self.site.connect),
                *("--connect-timeout", str(4 * LONGEST_WAIT), "-"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert submitter.stdin
        submitter.stdin.write(f"{self.command(seconds)}\n" * count)
        submitter.stdin.close()
        self._submitters.append(submitter)

    def begin_to_submit(self, count: int, seconds: float | None = None) -> None:
        """The same, and wait until the first of them is stored."""
        before = self._stored()
        self.submit(count, seconds)
        wait_for("the first is stored", lambda: self._stored() > before)

    def _stored(self) -> int:
        return int(self.person.exists("/tasks").numChildren)

    def runs(self) -> Counter[tuple[str, int]]:
        """How often each attempt of each task was run."""
        path = self.home / "runs"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter((task, int(attempt)) for task, attempt in (line.split() for line in lines))

    def verdict(
        self, seconds: float = 2 * LONGEST_WAIT, *, max_attempts: int = MAX_ATTEMPTS
    ) -> dict[str, Any]:
        """Heal everything, wait until every task has ended, judge all that happened.

        ``max_attempts``: as the masters were started. Returns the final states by task.
        """
        self.network.heal()
        self.ensemble.heal()
        acked = self._acknowledged()
        tasks = wait_for("every task has ended", self._all_ended, seconds)
        assert set(acked) <= tasks.keys(), "acked-never-lost"
        assert len(acked) == len(set(acked)), "submit-idempotent"
        assert all(count == 1 for count in self.runs().values()), "duplicates-explained"
        judge = self.judge(max_attempts)
        assert {task: state.decode() for task, state in judge.status.items()} == tasks
        return tasks

    def _acknowledged(self) -> list[str]:
        names: list[str] = []
        for submitter in self._submitters:
            assert submitter.stdout
            names += submitter.stdout.read().split()
            assert submitter.wait(LONGEST_WAIT) == 0
        return names

    def _all_ended(self) -> dict[str, Any] | None:
        try:
            names = self.person.get_children("/tasks")
            asked = {name: self.person.get_async(f"/tasks/{name}/status") for name in names}
            return {name: answer.get()[0].decode() for name, answer in asked.items()}
        except KazooException:
            return None

    def judge(self, max_attempts: int = MAX_ATTEMPTS) -> Judge:
        """Let the judge of the simulation see what was committed."""
        judge = Judge(max_attempts=max_attempts, sees_executions=False)
        judge.ensemble = replayed = _Replayed()
        judge.persons = self._persons | {self.person.client_id[0]}  # of late perhaps another one
        for entry in replay.committed(self.ensemble, self.person.chroot):
            for change in entry.changes:
                replayed.decided.apply(change, entry.zxid, entry.time)
            judge.committed(entry)
        assert judge.leadership.winners, "a judgment on nothing"
        return judge

    def close(self) -> None:
        """End those that submit."""
        for submitter in self._submitters:
            submitter.kill()
            submitter.wait()
            if submitter.stdout:
                submitter.stdout.close()


@contextmanager
def attack_on(ensemble: Ensemble, home: Path) -> Iterator[Attack]:
    """An attack with a chroot of its own."""
    chroot = f"/attack-{random.SystemRandom().getrandbits(40):x}"
    with (
        closing(Network(ensemble.connect_string)) as network,
        person_at(ensemble.connect_string + chroot) as person,
        Site(network.connect_string + chroot, home) as site,
        closing(Attack(ensemble, network, person, site, home)) as attack,
    ):
        yield attack
