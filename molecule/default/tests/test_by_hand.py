"""A person at zkCli.sh on a server plays the client: a command as plain text runs like any other."""

import re
import time

from testinfra.host import Host

testinfra_hosts = ["ssh://zk1"]

DONE_WITHIN = 20


def test_a_command_written_by_hand_is_done(host: Host) -> None:
    created = host.run('zkCli.sh create -s /tasks/task- "echo by hand"')
    task = re.search(r"Created (/tasks/task-\d{10})", created.stdout + created.stderr)
    assert task, created
    for _ in range(DONE_WITHIN):
        status = host.run(f"zkCli.sh get {task[1]}/status").stdout
        if re.search(r"^done$", status, re.MULTILINE):
            break
        time.sleep(1)
    assert re.search(r"^done$", status, re.MULTILINE), status
    assert "by hand" in host.run(f"zkCli.sh get {task[1]}/result").stdout
