"""An operator's repairs under clients that write, and what each took and cost."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from chaos.cluster import Cluster
from chaos.load import Writer, longest_gap
from lab.spec import RUN
from testbed import playbook
from testbed.waiting import wait_for

DATA, LOGS = "/var/lib/zookeeper/zkData", "/var/lib/zookeeper/txnlog"


class Five(Cluster):
    """Five servers, and zk6: a machine that takes the place of one."""

    servers = ("zk1", "zk2", "zk3", "zk4", "zk5")

    def run(self, node: str, command: str) -> str:
        """What a shell command says on a node."""
        return self.lab.exec(node, ["sh", "-c", command], check=True).stdout

    def install_anew(self, node: str) -> None:
        """Leave nothing of a server but its data, with the owner that they have on another host."""
        self.run(
            node,
            "systemctl disable --now zookeeper; rm -r /etc/zookeeper /etc/systemd/system/zookeeper.service",
        )
        self.run(node, f"systemctl daemon-reload; chown -R 12345:12345 {DATA} {LOGS}")

    def as_debians(self, node: str, old: str = "/var/lib/zookeeper") -> None:
        """As Debian's zookeeperd has it: all in one directory, zoo.cfg elsewhere, and nothing of the role."""
        members = "".join(f"server.{name[2:]}={name}:2888:3888\\n" for name in self.servers)
        self.run(
            node,
            "systemctl disable --now zookeeper; "
            f"mv {DATA}/version-2 {DATA}/myid {old}/ && mv {LOGS}/version-2/* {old}/version-2/; "
            f"rm -r {DATA} {LOGS} /etc/zookeeper /etc/systemd/system/zookeeper.service; "
            "systemctl daemon-reload; mkdir -p /etc/zookeeper/conf; "
            f"printf 'dataDir={old}\\nclientPort=2181\\ninitLimit=10\\nsyncLimit=5\\n{members}' "
            ">/etc/zookeeper/conf/zoo.cfg",
        )

    def copies(self, node: str) -> None:
        """A backup of a server's disk. It is stopped meanwhile."""
        saved = f"tar -C {DATA} -cf /root/data.tar . && tar -C {LOGS} -cf /root/logs.tar ."
        self.run(node, f"systemctl stop zookeeper; {saved}; systemctl start zookeeper")

    def goes_back(self, node: str) -> None:
        """The backup takes the place of what is on the disk; all else is as it was. The server is stopped."""
        restored = f"tar -C {DATA} -xf /root/data.tar; tar -C {LOGS} -xf /root/logs.tar"
        self.run(node, f"systemctl stop zookeeper; rm -r {DATA}/* {LOGS}/*; {restored}")

    def without_data(self, node: str) -> None:
        """A new machine under the old address."""
        self.install_anew(node)
        self.run(node, f"rm -r {DATA} {LOGS}")

    def dies(self, node: str) -> None:
        """For good: were it switched on again, its server would not start."""
        self.run(node, "systemctl disable zookeeper; sync")
        self.lab.power_cut(node)

    def move_data(self, old: str, new: str) -> None:
        """Put the disk of a server that is stopped into another machine, with the owner that it has there."""
        shell = f"ssh -F {RUN / self.lab.name / 'ssh_config'}"
        places = f"{DATA[1:]} {LOGS[1:]}"
        copy = f"{shell} {old} tar -C / -cSf - {places} | {shell} {new} tar -C / -xf -"
        subprocess.run(["bash", "-o", "pipefail", "-c", copy], check=True, stdin=subprocess.DEVNULL)
        self.run(new, f"chown -R 12345:12345 {DATA} {LOGS}")


@dataclass
class Row:
    """Of the table that is printed at the end."""

    what: str
    played: playbook.Played
    gap: float
    lost: int | None = None

    def __str__(self) -> str:
        ended = "refused" if self.played.status else "done"
        lost = "-" if self.lost is None else self.lost
        return f"{self.what:64} {ended:8} {self.played.seconds:5.1f} s {self.gap:9.1f} s {lost:>5}"


@pytest.fixture(scope="session")
def cluster(cluster: Cluster) -> Iterator[Five]:
    """The lab, as it is in this scenario: without TLS, for hosts are installed anew, and lose their keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_PLAIN", "true")
        yield Five(cluster.lab)


class Operator:
    """Plays playbooks, mostly zookeeper.yml, with inventories of its own."""

    def __init__(self, cluster: Five, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        (directory / "group_vars").symlink_to(playbook.PROJECT / "inventory/lab/group_vars")
        self.rows: list[Row] = []
        self.writers: list[Writer] = []

    def inventory(self, nodes: str = "12345", *, names: bool = False, third: str = "zk3") -> str:
        """The option for an inventory of these servers, by address or by name. ``third``: zk3's machine."""
        hosts = {}
        for n in nodes:
            machine = third if n == "3" else f"zk{n}"
            where = {} if names else {"zookeeper_host": self.cluster.address(machine)}
            hosts[f"zk{n}"] = {"zookeeper_id": int(n), "ansible_host": machine, **where}
        file = self.directory / f"{nodes}{'-names' if names else ''}-{third}.yml"
        file.write_text(yaml.safe_dump({"zookeeper": {"hosts": hosts}}))
        return f"--inventory={file}"

    def play(self, what: str, *options: str, name: str = "zookeeper") -> playbook.Played:
        """One run, and its row of the table."""
        played = playbook.play(name, *options)
        gap = longest_gap(self.writers, played.began, played.ended)
        self.rows.append(Row(what, played, gap))
        return played

    def begin(self, *options: str, until: Callable[[], bool]) -> None:
        """Break a run off as soon as that is so."""
        command = [str(playbook.NEWEST / "ansible-playbook"), "playbooks/zookeeper.yml", *options]
        with subprocess.Popen(
            command,
            cwd=playbook.PROJECT,
            env=playbook.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as run:
            try:
                wait_for("the run has come that far", until, 180, every=0.05)
            finally:
                os.killpg(run.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def operator(
    cluster: Five, tmp_path_factory: pytest.TempPathFactory, figures: list[str]
) -> Iterator[Operator]:
    """A healthy ensemble of five, two clients that write, and the table."""
    operator = Operator(cluster, tmp_path_factory.mktemp("inventories"))
    built = playbook.play("zookeeper", operator.inventory())
    assert built.status == 0, built.output
    with ExitStack() as stack:
        operator.writers = [stack.enter_context(Writer(cluster, node)) for node in ("zk1", "zk4")]
        yield operator
    figures.append(f"{'':64} {'':8} {'time':>7} {'longest gap':>11} {'lost':>5}")
    figures.extend(map(str, operator.rows))


@pytest.fixture(autouse=True)
def nothing_is_lost(operator: Operator) -> Iterator[None]:
    """After each test all that was acknowledged is there, and more is taken."""
    before = len(operator.rows)
    yield
    since = time.monotonic()
    wait_for("every client writes", lambda: all(w.writes_since(since) for w in operator.writers), 60)
    lost = sum(writer.lost() for writer in operator.writers)
    for row in operator.rows[before:]:
        row.lost = lost
    assert lost == 0
