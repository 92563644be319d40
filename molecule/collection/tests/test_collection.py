"""What the README's section "As a collection" says, in its order: the first test provisions the hosts."""

import pytest
from conftest import Few, Play

from testbed.waiting import wait_for

PLAYERS = ("oldest", "newest")


def test_the_oldest_ansible_provisions_fresh_hosts(play: Play, cluster: Few) -> None:
    played = play("site", player="oldest")
    assert played.status == 0, played.output
    assert cluster.told("zk1", "zk_server_state") == "standalone"
    assert cluster.master() == "mw1"
    done = cluster.lab.exec("mw1", ["mwapp", "submit", "--wait", "true"])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("player", PLAYERS)
def test_whoever_plays_it_again_changes_nothing(play: Play, player: str) -> None:
    played = play("site", player=player)
    assert (played.status, played.changed) == (0, 0), played.output


@pytest.mark.parametrize("player", PLAYERS)
def test_status(play: Play, player: str) -> None:
    played = play("status", player=player)
    assert (played.status, played.changed) == (0, 0), played.output
    assert "Ensemble: healthy (1 of 1 serve)" in played.text
    assert "Application: working (mw1 is the active master)" in played.text


@pytest.mark.parametrize("player", PLAYERS)
def test_all_restart(play: Play, cluster: Few, player: str) -> None:
    units = {"zk1": "zookeeper", "mw1": "mwapp-master"}

    def processes() -> set[str]:
        show = ["systemctl", "show", "--property=MainPID"]
        return {cluster.lab.exec(node, [*show, unit]).stdout for node, unit in units.items()}

    before = processes()
    played = play("rolling_restart", "--extra-vars=restart=all", player=player)
    assert played.status == 0, played.output
    assert not before & processes()


def test_reset_asks_first_and_then_removes_all(play: Play, cluster: Few) -> None:
    assert "this was not confirmed" in play("reset", player="newest").text
    wait_for("it still serves", lambda: cluster.modes() == {"zk1": "standalone"})
    reset = play("reset", "--extra-vars=reset_confirm=zk1", player="newest")
    assert reset.status == 0, reset.output
    assert cluster.modes() == {"zk1": "down"}
