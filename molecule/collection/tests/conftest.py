"""The collection, installed by each ansible-core in a directory that knows nothing of this checkout."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.cluster import Cluster
from testbed import playbook

INVENTORY = playbook.PROJECT / "molecule/collection/inventory"

Play = Callable[..., playbook.Played]


class Few(Cluster):
    """A server, and a host that is master and worker."""

    servers = ("zk1",)
    masters = workers = ("mw1",)


@pytest.fixture(scope="session")
def cluster(cluster: Cluster) -> Few:
    """The lab, as it is in this scenario."""
    return Few(cluster.lab)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is handed on."""
    directory = tmp_path_factory.mktemp("built")
    command = [playbook.PROJECT / "scripts/collection", directory]
    subprocess.run(command, env=playbook.environment(), check=True)
    (file,) = directory.iterdir()
    return file


@pytest.fixture(scope="session")
def play(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Play one of the collection's playbooks by its name. Ansible's configuration is that without a file."""
    cache = tmp_path_factory.mktemp("cache")
    homes = {player: tmp_path_factory.mktemp(player) for player in playbook.TOOLS}
    env = {
        player: playbook.environment(ANSIBLE_HOME=str(home / "ansible"), XDG_CACHE_HOME=str(cache))
        for player, home in homes.items()
    }
    for player, home in homes.items():
        shutil.copytree(INVENTORY, home / "mine")
        galaxy = str(playbook.TOOLS[player] / "ansible-galaxy")
        install = [galaxy, "collection", "install", "--offline", str(archive)]
        subprocess.run(install, cwd=home, env=env[player], check=True)

    def run(name: str, *options: str, player: str) -> playbook.Played:
        what = (f"zklab.zookeeper.{name}", "--inventory=mine", *options)
        return playbook.play_in(homes[player], *what, tools=playbook.TOOLS[player], env=env[player])

    return run
