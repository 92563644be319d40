"""Masters and workers: what is on each host, who is active, and a task from end to end."""

import json
from collections.abc import Collection
from typing import Any

import pytest
from testinfra.host import Host

MASTERS = ("mw1", "mw2")
WORKERS = ("mw1", "mw2", "mw3")
testinfra_hosts = [f"ssh://{name}" for name in WORKERS]

SERVICES = {"mwapp-master": 2223, "mwapp-worker": 2224}


def name(host: Host) -> str:
    return str(host.backend.hostname)


def of_this_host(host: Host) -> dict[str, int]:
    """The services the inventory puts there, and their ports."""
    return {unit: port for unit, port in SERVICES.items() if unit != "mwapp-master" or name(host) in MASTERS}


def mwapp(host: Host, arguments: str) -> Any:
    """What a command of mwapp says in JSON."""
    return json.loads(host.check_output(f"mwapp {arguments} --output json"))


def test_the_services_run_and_come_back_after_a_boot(host: Host) -> None:
    for unit in of_this_host(host):
        assert host.service(unit).is_running
        assert host.service(unit).is_enabled


def test_no_service_is_where_it_does_not_belong(host: Host) -> None:
    for unit in SERVICES.keys() - of_this_host(host).keys():
        assert not host.file(f"/etc/systemd/system/{unit}.service").exists
        assert not host.service(unit).is_running


def test_each_service_is_a_user_of_its_own_without_privileges(host: Host) -> None:
    for unit in of_this_host(host):
        pid = host.check_output(f"systemctl show --property=MainPID --value {unit}")
        status = host.file(f"/proc/{pid}/status").content_string
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] != "0"
        # A worker's has set another user for its tasks, and then given the capabilities up.
        assert int(fields["CapBnd"], 16) == (0 if unit == "mwapp-master" else 0xC0)
        assert [int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0] * 4
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"


def test_status_endpoints_listen_where_the_znodes_say(host: Host) -> None:
    for unit, port in of_this_host(host).items():
        assert host.socket(f"tcp://0.0.0.0:{port}").is_listening, unit


def test_sessions_are_secret(host: Host) -> None:
    for unit in of_this_host(host):
        directory, session = host.file(f"/run/{unit}"), host.file(f"/run/{unit}/session")
        assert directory.mode == 0o700
        assert session.mode == 0o600
        assert session.user == directory.user != "root"


def test_the_configuration_is_for_root_and_the_services(host: Host) -> None:
    config = host.file("/etc/mwapp/mwapp.toml")
    assert (config.user, config.group, config.mode) == ("root", "mwapp", 0o640)
    assert 'connect = "zk1:2182,zk2:2182,zk3:2182"' in config.content_string


def test_installed_files_are_nobodys_to_change(host: Host) -> None:
    assert host.check_output("find /opt/mwapp ! -user root -o -perm /022 ! -type l") == ""


@pytest.mark.parametrize(
    ("command", "why", "where"),
    [
        ("touch /etc/mine", "Read-only file system", WORKERS),
        ("cat /run/mwapp-master/session", "Permission denied", MASTERS),
        ("kill -0 1", "Operation not permitted", WORKERS),
    ],
)
def test_a_task_cannot_do_what_is_not_its_business(
    host: Host, command: str, why: str, where: Collection[str]
) -> None:
    # Idle workers get one each. They do not fail: a worker that nothing succeeds on would be rested.
    commands = f"'{command} && echo it could; true' " * len(WORKERS)
    tried = [
        task for task in mwapp(host, f"submit --wait --timeout 20 {commands}") if task["worker"] in where
    ]
    assert {task["worker"] for task in tried} == set(where)
    for task in tried:
        assert why in task["output"]
        assert "it could" not in task["output"]


# A task's parent is the process that runs tasks, and that one's parent is the worker.
ATTACKS = """
worker=$(cut -d" " -f4 /proc/$PPID/stat); group=/sys/fs/cgroup/system.slice/mwapp-worker.service
try() { if "$@" >/dev/null 2>&1; then echo "it could: $*"; fi; }
try cat /run/mwapp-worker/session
try ls /run/mwapp-worker
try cat /etc/mwapp/mwapp.toml
try head -c 1 /proc/$worker/mem
try cat /proc/$worker/environ
try ls /proc/$worker/fd
try kill -0 $worker
try kill -STOP $worker
try kill -KILL $worker
try sh -c "echo 0 >$group/daemon/cgroup.procs"
try sh -c "echo max >$group/runs/cgroup.max.descendants"
try setpriv --reuid=0 true
echo "$(id -u -n), $worker $(ps -o comm= -p $worker)"
"""


def test_a_task_can_do_nothing_to_its_worker(host: Host) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value mwapp-worker")
    commands = f"'{ATTACKS}' " * len(WORKERS)  # idle workers get one each
    tried = {task["worker"]: task["output"] for task in mwapp(host, f"submit --wait --timeout 20 {commands}")}
    assert tried.keys() == set(WORKERS)
    assert {output.partition(",")[0] for output in tried.values()} == {"mwapp-task"}
    assert tried[name(host)] == f"mwapp-task, {pid} \n"  # it does not even see it


def test_a_task_has_a_control_group_which_nothing_leaves(host: Host) -> None:
    """Not even a process in a new session, without a parent and without an environment."""
    command = "sed -n s/0:://p /proc/self/cgroup; env -i setsid sleep 98765 & sleep 0.3"
    (task,) = mwapp(host, f"submit --wait --timeout 20 '{command}'")
    assert task["output"].startswith("/system.slice/mwapp-worker.service/runs/")
    assert host.run("pgrep -f '[s]leep 98765'").rc == 1


def test_one_master_is_active_and_the_other_stands_by(host: Host) -> None:
    states = {}
    for master in MASTERS:
        ask = f"import urllib.request as it; print(it.urlopen('http://{master}:2223/status').read().decode())"
        states[master] = json.loads(host.check_output(f'python3 -c "{ask}"'))["master"]["state"]
    assert sorted(states.values()) == ["active", "standby"]


def test_all_workers_serve(host: Host) -> None:
    assert sorted(worker["worker"] for worker in mwapp(host, "workers")) == list(WORKERS)


def test_a_task_runs_from_end_to_end(host: Host) -> None:
    (task,) = mwapp(host, "submit --wait --timeout 20 'echo hello; exit 0'")
    assert (task["state"], task["code"], task["output"]) == ("done", 0, "hello\n")
    assert task["worker"] in WORKERS


def test_a_handler_of_the_release_runs(host: Host) -> None:
    found = {it["handler"]: it["problem"] for it in mwapp(host, "handlers")}
    assert found == {"echo": None, "record": None, "wordcount": None}
    argument = json.dumps({"text": "three plain words"})
    (task,) = mwapp(host, f"submit --wait --timeout 20 --handler wordcount --argument '{argument}'")
    assert (task["state"], task["code"]) == ("done", 0)
    assert task["output"] == ""
    assert task["result"] == {"lines": 1, "words": 3, "characters": 17}


def test_a_task_that_fails_says_so(host: Host) -> None:
    done = host.run("mwapp submit --wait --timeout 20 --output json 'echo broken; exit 3'")
    assert done.rc == 1
    (task,) = json.loads(done.stdout)
    assert (task["state"], task["code"], task["output"]) == ("failed", 3, "broken\n")
