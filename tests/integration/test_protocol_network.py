"""The network fails under a running application: nothing acknowledged is lost, nothing is done twice."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.ensemble import Ensemble
from testbed.waiting import wait_for
from tests.integration.attack import Attack, attack_on


@pytest.fixture
def attack(ensemble: Ensemble, tmp_path: Path) -> Iterator[Attack]:
    with attack_on(ensemble, tmp_path) as attack:
        attack.staff()
        yield attack


@pytest.mark.parametrize("fault", ["requests are lost", "answers are lost", "connections are reset"])
def test_short_failures(attack: Attack, fault: str) -> None:
    """Whatever was under way when the connection went: it was carried out or not, and nobody was told."""
    for _ in range(6):
        attack.submit(15, seconds=0.1)
        time.sleep(0.4)
        attack.network.deaf = fault == "requests are lost"
        attack.network.mute = fault == "answers are lost"
        time.sleep(0.15)
        attack.network.heal()
        if fault == "connections are reset":
            attack.network.cut()
    tasks = attack.verdict()
    assert len(tasks) == attack.submitted
    assert set(tasks.values()) == {"done"}


def test_silence_longer_than_the_sessions(attack: Attack) -> None:
    """Every worker is lost at once; whatever ran runs once more, and no more than that."""
    attack.submit(6)
    wait_for("all run", lambda: len(attack.runs()) == 6)
    attack.network.silence()
    wait_for("every session is over", lambda: not attack.person.get_children("/workers"))
    wait_for("no worker runs any", lambda: not any(worker.running() for worker in attack.of("worker")))
    attack.go()
    assert len(attack.runs()) == 6
    tasks = attack.verdict()
    assert set(tasks.values()) == {"done"}
    assert sorted(attempt for _, attempt in attack.runs()) == [1] * 6 + [2] * 6


def test_servers_die_in_turn(attack: Attack) -> None:
    for server in attack.ensemble.servers:
        attack.submit(20, seconds=0.1)
        server.kill()
        time.sleep(1.0)
        attack.ensemble.start()
    tasks = attack.verdict()
    assert len(tasks) == attack.submitted
    assert set(tasks.values()) == {"done"}
