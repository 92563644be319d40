"""Everything at once, for a while: processes, servers, the network and people, drawn from a seed.

What happens is not the same twice, for real time is in it; what is drawn is. The simulation does the same
thousands of times a minute; this is its check on real processes and servers.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from testbed.daemons import DAEMON_SESSION_SECONDS, Daemon
from testbed.ensemble import Ensemble, Server
from testbed.waiting import wait_for
from tests.integration.attack import Attack, attack_on
from tests.simulation.world import Violation

CAMPAIGN_SECONDS = 20.0


class Campaign:
    """Faults and their ends, each at its time."""

    def __init__(self, attack: Attack, seed: int) -> None:
        self._attack = attack
        self._draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._ending: set[Daemon] = set()
        self.log: list[str] = []

    def run(self, seconds: float) -> None:
        """A fault every now and then, then the end of all that has not ended."""
        faults = [self.kill, self.kill, self.freeze, self.stop, self.lose, self.lose, self.cut]
        faults += [self.server, self.server, self.unseat, self.evict]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._attack.submit(3, seconds=self._draw.choice([0.05, 0.5, 2.0]))
            self._draw.choice(faults)()
            time.sleep(self._draw.uniform(0.2, 1.0))
            self._due(time.monotonic())
        self._due(float("inf"))

    def _due(self, now: float) -> None:
        due = sorted((item for item in self._later if item[0] <= now), key=lambda item: item[0])
        self._later = [item for item in self._later if item[0] > now]
        for _, call in due:
            call()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, call))

    def _note(self, what: str) -> None:
        self.log.append(f"{time.strftime('%H:%M:%S')} {what}")

    def _daemon(self) -> Daemon | None:
        alive = [daemon for daemon in self._attack.site.daemons if daemon.process.poll() is None]
        return self._draw.choice(alive) if alive else None

    def kill(self) -> None:
        """A process and its commands are killed, its session released or left, the process started again."""
        daemon = self._daemon()
        if daemon is None:
            return
        released = self._draw.random() < 0.5
        self._note(f"kill {daemon.name}, {released=}")
        # As its unit does: everything at once, the process before it can start something else.
        daemon.signal(signal.SIGSTOP)
        self._commands(daemon, signal.SIGKILL)
        daemon.kill()
        if released:
            daemon.release()
        self._start_after(self._draw.uniform(0.0, 2.0), daemon)

    def stop(self) -> None:
        """A process is asked to end, and started again."""
        daemon = self._daemon()
        if daemon is not None:
            self._note(f"stop {daemon.name}")
            daemon.signal(signal.SIGTERM)
            self._start_after(self._draw.uniform(0.5, 3.0), daemon)

    def freeze(self) -> None:
        """A process and its commands stand still, shorter or longer than the session lives."""
        daemon = self._daemon()
        if daemon is None:
            return
        seconds = self._draw.choice([0.5, 2 * DAEMON_SESSION_SECONDS])
        self._note(f"freeze {daemon.name} for {seconds} s")
        daemon.signal(signal.SIGSTOP)
        self._commands(daemon, signal.SIGSTOP)

        def thaw() -> None:
            self._note(f"thaw {daemon.name}")
            self._commands(daemon, signal.SIGCONT)
            daemon.signal(signal.SIGCONT)

        self._after(seconds, thaw)

    def _start_after(self, seconds: float, daemon: Daemon) -> None:
        """Once, though one that is about to stop may be killed, or asked again."""
        if daemon not in self._ending:
            self._ending.add(daemon)
            self._after(seconds, lambda: self._start(daemon))

    def _start(self, daemon: Daemon) -> None:
        self._ending.discard(daemon)
        with suppress(ProcessLookupError):  # it may have been frozen while it was to end
            self._commands(daemon, signal.SIGCONT)
            daemon.signal(signal.SIGCONT)
        daemon.process.wait(60)
        self._note(f"start {daemon.name}")
        daemon.start()

    def _commands(self, daemon: Daemon, number: signal.Signals) -> None:
        for children in Path(f"/proc/{daemon.process.pid}/task").glob("*/children"):  # of each thread
            with suppress(OSError):
                for child in children.read_text().split():
                    with suppress(ProcessLookupError):
                        os.killpg(int(child), number)

    def lose(self) -> None:
        """The network loses requests, answers or both for a while."""
        network = self._attack.network
        network.deaf, network.mute = self._draw.choice([(True, False), (False, True), (True, True)])
        seconds = self._draw.choice([0.1, 1.0, 1.5 * DAEMON_SESSION_SECONDS])
        self._note(f"lose, deaf={network.deaf}, mute={network.mute}, for {seconds} s")
        self._after(seconds, network.heal)

    def cut(self) -> None:
        """Every connection is reset."""
        self._note("cut")
        self._attack.network.cut()

    def server(self) -> None:
        """A server dies or stands still for a while; never two at a time."""
        servers = self._attack.ensemble.servers
        if len([server for server in servers if server.mode()]) < len(servers):
            return
        server: Server = self._draw.choice(servers)
        frozen = self._draw.random() < 0.4
        self._note(f"{'pause' if frozen else 'kill'} {server}")
        if frozen:
            server.pause()
        else:
            server.kill()
        self._after(self._draw.uniform(0.5, 4.0), server.resume if frozen else server.start)

    def unseat(self) -> None:
        """Somebody deletes /master."""
        self._delete("/master")

    def evict(self) -> None:
        """Somebody deletes a worker's znode."""
        self._delete(f"/workers/{self._draw.choice(self._attack.of('worker')).name}")

    def _delete(self, path: str) -> None:
        self._note(f"delete {path}")
        with suppress(KazooException):  # it is not there, or the server is lost that was to do it
            self._attack.person.delete(path)


@pytest.fixture
def attack(ensemble: Ensemble, tmp_path: Path) -> Iterator[Attack]:
    with attack_on(ensemble, tmp_path) as attack:
        attack.staff(masters=2, workers=3, slots=3)
        yield attack


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_at_once(attack: Attack, seed: int) -> None:
    campaign = Campaign(attack, seed)
    try:
        campaign.run(CAMPAIGN_SECONDS)
        tasks = attack.verdict(seconds=120.0)
    finally:
        print("\n".join(campaign.log))
    assert len(tasks) == attack.submitted
    given_up = [task for task, state in tasks.items() if state != "done"]
    print(f"{len(tasks)} tasks, {len(attack.runs())} runs, given up: {given_up}")
    assert len(given_up) <= len(tasks) / 20


def test_a_campaign_reaches_the_commands(attack: Attack) -> None:
    """Those of a worker, which its threads start; one that is killed has failed."""
    attack.submit(1)
    wait_for("it runs", attack.runs)
    for worker in attack.of("worker"):
        Campaign(attack, 1)._commands(worker, signal.SIGKILL)
    assert list(attack.verdict().values()) == ["failed"]


def test_the_verdict_would_notice(attack: Attack) -> None:
    """Somebody who is neither the master nor known as a person assigns a task."""
    task = attack.person.create("/tasks/task-", b"true", sequence=True)
    stranger = KazooClient(attack.ensemble.connect_string)
    stranger.start()
    try:
        stranger.create(f"{attack.person.chroot}/assign/w1/stray", b"")
    finally:
        stranger.stop()
        stranger.close()
    with pytest.raises(Violation, match=r"no-stale-write: stray assigned to w1"):
        attack.verdict()
    assert attack.person.exists(f"{task}/status")
