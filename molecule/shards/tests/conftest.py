"""The stores' clients, on this machine and on hosts."""

from collections.abc import Iterator

import pytest

from chaos import stores
from chaos.cluster import Cluster
from mwapp import Client
from testbed.waiting import wait_for

OF_COMMANDS = ("MWAPP_TLS_CA=/etc/mwapp/tls/ca.pem", "MWAPP_TLS_CERT=/etc/mwapp/tls/cli.pem")


class Hosts(Cluster):
    """Three servers, two masters and three workers, which know the stores."""

    client: Client

    def on(self, node: str, *command: str) -> str:
        """What root's command says there. It has to succeed."""
        done = self.lab.exec(node, list(command))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def store(self, node: str, *arguments: str) -> str:
        """What the command line of a store says there."""
        servers = ",".join(f"{name}:2182" for name in self.servers)
        python = ("/opt/mwapp/current/bin/python", "-m", *arguments)
        return self.on(node, "env", f"MWAPP_CONNECT={servers}", *OF_COMMANDS, *python)

    def wait_until_whole(self, table: str) -> None:
        """Every shard has three replicas in sync, and is served."""

        def look() -> bool:
            return all(
                state.state == "serving"
                and [member.state for member in state.members.values()] == ["sync"] * 3
                for state in self.client.table(table).show()
            )

        wait_for(f"all replicas of {table} are in sync", look, 60, every=0.2)


@pytest.fixture(scope="session")
def cluster(cluster: Cluster) -> Iterator[Hosts]:
    """The lab, in which handlers may ask the ensemble, and so may this machine."""
    hosts = Hosts(cluster.lab)
    assert stores.installed(hosts)
    stores.admit(hosts)
    hosts.settle()
    with Client(hosts.hosts()) as client:
        hosts.client = client
        yield hosts
