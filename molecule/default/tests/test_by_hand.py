"""A person at zkCli.sh on a server plays the client: a command as plain text runs like any other."""

import re

from testinfra.host import Host

from testbed.waiting import LONGEST_WAIT, wait_for

testinfra_hosts = ["ssh://zk1"]


def test_a_command_written_by_hand_is_done(host: Host) -> None:
    created = host.run('zkCli.sh create -s /tasks/task- "echo by hand"')
    task = re.search(r"Created (/tasks/task-\d{10})", created.stdout + created.stderr)
    assert task, created

    def done() -> bool:
        return bool(re.search(r"^done$", host.run(f"zkCli.sh get {task[1]}/status").stdout, re.MULTILINE))

    wait_for("it is done", done, 2 * LONGEST_WAIT, every=0.5)
    assert "by hand" in host.run(f"zkCli.sh get {task[1]}/result").stdout
