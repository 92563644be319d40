"""The command line up to the point where it would talk to the ensemble."""

import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import click
import pytest

from mwapp import errors
from mwapp.cli import MODULES, cli, run
from mwapp.cli import config as config_module
from mwapp.cli import daemons as daemons_module
from mwapp.cli import names as names_module
from mwapp.cli import rerun as rerun_module
from mwapp.cli import wait as wait_module
from mwapp.cli.completion import SHELLS
from mwapp.cli.keys import Keys
from mwapp.cli.output import age, plain, several, show_json, show_table, table
from mwapp.cli.signals import ended_by_signals
from mwapp.cli.submit import _say_that_it_existed as say_that_it_existed
from mwapp.cli.submit import _secret as secret
from mwapp.client.background import End
from mwapp.core.master import Master
from mwapp.core.protocol import Outcome
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.core.worker import Worker
from mwapp.daemon.service import Build, Settings
from mwapp.errors import BadInputError, TimedOutError, UnreachableError
from mwapp.status.overview import TaskView
from mwapp.zookeeper.connect_string import Servers
from testbed.tls_files import Maker, write
from testbed.waiting import LONGEST_WAIT
from tests.unit.zk_server import Server

Run = Callable[..., tuple[int, str]]

# What mwapp, systemd or whoever starts a program sets.
OF_OTHERS = ("MWAPP_SLOTS", "MWAPP_TASK", "NOTIFY_SOCKET", "PATH", "HOME", "LD_PRELOAD", "PYTHONPATH")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings daemons are started with, in place of starting them."""
    found: list[Settings] = []

    class FakeDaemon:
        def __init__(self, settings: Settings, _build: Build, _make_runner: object = None) -> None:
            found.append(settings)

        def run(self) -> int:
            return 0

    monkeypatch.setattr("mwapp.daemon.service.Daemon", FakeDaemon)
    return found


@pytest.fixture
def mwapp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run with these arguments; exit status and stderr."""
    for name in ("MWAPP_CONNECT", "MWAPP_CONFIG", "MWAPP_NAME", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config_module, "DEFAULT_CONFIG", tmp_path / "absent.toml")

    def run_it(*arguments: str) -> tuple[int, str]:
        try:
            status = run(list(arguments))
        except SystemExit as exit_:
            status = int(str(exit_.code))
        return status, capsys.readouterr().err

    return run_it


def test_json_of_half_a_character_is_json_that_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a file that is no UTF-8, say, which a handler has returned."""
    show_json({"result": "caf\udce9.txt"}, indent=None)
    assert capsys.readouterr().out == '{"result": "caf\\udce9.txt"}\n'


def test_an_option_before_the_command_is_told_where_it_belongs(mwapp: Run) -> None:
    status, error = mwapp("--retries", "1", "submit", "true")
    assert (status, error) == (
        2,
        "mwapp: --retries: write it after the command: mwapp submit --retries ...\n",
    )
    status, error = mwapp("--nonsense", "submit", "true")
    assert status == 2
    assert "--nonsense" in error
    assert "after the command" not in error


@pytest.mark.parametrize("named", [True, False])
def test_a_config_file_that_only_root_can_read(
    mwapp: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """Whether it is named, or at its usual place, the remedy is told."""
    config = tmp_path / "mwapp.toml"
    config.touch()

    def denied(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", denied)
    monkeypatch.setattr("os.access", lambda *_, **__: False)  # which root may always
    monkeypatch.setattr(config_module, "DEFAULT_CONFIG", config)
    status, error = mwapp("submit", *(["--config", str(config)] if named else []), "true")
    assert status == 2
    assert error.startswith(
        f"mwapp: --config: cannot read {config}: Permission denied; run mwapp as root (sudo mwapp ...)"
    )


def test_a_config_file_that_is_not_there(mwapp: Run, tmp_path: Path) -> None:
    path = tmp_path / "mwapp.toml"
    status, error = mwapp("submit", "--config", str(path), "true")
    assert (status, error) == (2, f"mwapp: --config: cannot read {path}: No such file or directory\n")


@pytest.mark.parametrize(("typed", "seen"), [(b"q", True), (b"xq", True), (b"x", False)])
def test_a_key_ends_what_is_watched(monkeypatch: pytest.MonkeyPatch, typed: bytes, seen: bool) -> None:
    person, terminal = pty.openpty()
    with os.fdopen(person, "wb", 0), os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("os.tcgetpgrp", lambda _: os.getpgrp())
        before = termios.tcgetattr(terminal)
        keys = Keys()
        os.write(person, typed)
        assert keys.pressed("q", 0.2) is seen
        keys.close()
        assert termios.tcgetattr(terminal) == before


# ---------------------------------------------------------------- one setting, three places


def test_flag_over_variable_over_file_over_default(
    mwapp: Run, started: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mwapp.toml"
    config.write_text('connect = "file:1"\nsession-timeout = 3\n[master]\nname = "m"\n[worker]\nname = "w"\n')
    assert mwapp("master", "--config", str(config)) == (0, "")
    monkeypatch.setenv("MWAPP_CONNECT", "variable:1")
    assert mwapp("master", "--config", str(config))[0] == 0
    assert mwapp("worker", "--config", str(config), "--connect", "flag:1/x", "--name", "n")[0] == 0
    assert mwapp("worker")[0] == 0
    assert [str(settings.servers) for settings in started] == [
        "file:1",
        "variable:1",
        "flag:1/x",
        "variable:1",
    ]
    assert [settings.name for settings in started[:3]] == ["m", "m", "n"]
    assert [settings.session_timeout for settings in started] == [3.0, 3.0, 3.0, 6.0]
    assert [settings.listen for settings in started[2:]] == [("0.0.0.0", 2224)] * 2  # noqa: S104 - not bound


def test_default_config_file(
    mwapp: Run, started: list[Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "default.toml"
    config.write_text('connect = "there:1"\nslots = 3\n')
    monkeypatch.setattr(config_module, "DEFAULT_CONFIG", config)
    assert mwapp("master") == (0, ""), "slots is a worker's key, and may stand at the top for all"
    assert started[0].servers == Servers.parse("there:1")


def test_state_directory_is_systemd_s(
    mwapp: Run, started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/mwapp-master")
    mwapp("master")
    mwapp("master", "--state-dir", "/elsewhere")
    assert [str(settings.state_dir) for settings in started] == ["/run/mwapp-master", "/elsewhere"]


@pytest.mark.parametrize("role", ["master", "worker", "node"])
def test_the_endpoint_has_tls_if_it_is_given_a_certificate(
    mwapp: Run, started: list[Settings], tmp_path: Path, role: str
) -> None:
    maker = Maker()
    cert = str(write(tmp_path / "me.pem", maker.pair("me", ("mw1",))))
    config = tmp_path / "mwapp.toml"
    # One file for all: commands that have no endpoint, or only ask one, do not mind.
    config.write_text(f'status_ca = "/x/ca.pem"\nlisten_cert = "{cert}"\nlisten_key = ""\n')
    assert mwapp(role, "--config", str(config)) == (0, "")
    assert mwapp(role) == (0, "")
    with_tls, without = (settings.listen_tls for settings in started)
    assert with_tls is not None
    assert with_tls.ends is not None
    assert without is None
    assert mwapp("submit", "--config", str(config), "") == (
        2,
        "mwapp: COMMAND: task is empty: there is no command to run\n",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('conect = "zk1"', "unknown key 'conect'; did you mean 'connect'?"),
        ("[worker]\nslot = 1", "unknown key 'slot' of table [worker]; did you mean 'slots'?"),
        ("[master]\nslots = 1", "unknown key 'slots' of table [master]"),
        ("[workers-]\nslots = 1", "unknown table [workers-]; did you mean 'workers'?"),
        ("connect =", "cannot read"),
    ],
)
def test_bad_config_file(mwapp: Run, tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "mwapp.toml"
    config.write_text(text)
    status, error = mwapp("master", "--config", str(config))
    assert status == 2
    assert f"--config: {'cannot read' if 'cannot' in message else str(config)}" in error
    assert message in error


def test_config_file_of_the_wrong_type(mwapp: Run, tmp_path: Path) -> None:
    config = tmp_path / "mwapp.toml"
    config.write_text('slots = "many"')
    status, error = mwapp("worker", "--config", str(config))
    assert status == 2
    assert "'--slots'" in error


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["master", "--connect", "zk1:x"], "--connect"),
        (["tasks", "--connect", "127.0.0.1:2181/\udcff"], "--connect"),
        (["master", "--listen", "2223"], "--listen"),
        (["master", "--advertise", "mw1"], "--advertise"),
        (["master", "--advertise", "https://mw1:2223"], "--advertise"),
        (["worker", "--listen-cert", "/gone.pem"], "--listen-cert: cannot read /gone.pem: No such file"),
        (["node", "--listen-key", "/gone.pem"], "--listen-cert: missing beside --listen-key"),
        (["master", "--listen-cert", "/dev/null"], "--listen-cert: /dev/null has no certificate in PEM"),
        (["master", "--name", "a/b"], "--name"),
        (["master", "--session-timeout", "0"], "--session-timeout"),
        (["worker", "--slots", "-1"], "--slots"),
        (["submit"], "COMMAND"),
        (["submit", " "], "COMMAND"),
        (
            ["submit", "-", "true"],
            "COMMAND: - reads commands from standard input, and has to be the only one",
        ),
        (["submit", "x" * 600_000], "COMMAND: task of 6"),
        (["submit", "a\0b"], "COMMAND"),
        (["submit", "true", "--handler", "echo"], "COMMAND"),
        (["submit", "true", "--argument", "1"], "--argument"),
        (["submit", "--handler", "echo", "--argument", "{"], "--argument"),
        (["submit", "--handler", " "], "--handler"),
        (["submit", "--handler", "echo", "--argument", "[" * 100_000], "--argument: it is nested too deeply"),
        (["submit", "--handler", "echo", "--argument", "NaN"], "--argument: task field 'argument' cannot be"),
        (["submit", "true", "--env", "A=\udcff"], "--env: it is not valid UTF-8"),
        (["wait", "7", "--timeout", "nan"], "--timeout"),
        (["tasks", "--connect-timeout", "nan"], "--connect-timeout"),
        (["status", "--watch", "nan"], "--watch"),
        (["status", "--watch", "inf"], "--watch"),
        (["worker", "--task-cpu", "inf"], "'--task-cpu'"),
        (["worker", "--worker-cpu", "inf"], "'--worker-cpu'"),
        *(
            (["submit", "true", it, "nan"], f"'{it}'")
            for it in ("--run-timeout", "--retry-delay", "--expires")
        ),
        (["shards", "create", "t", "--shards", "1", "--grace", "nan"], "'--grace'"),
        (
            ["submit", "--handler", "echo", "--argument", '{"a": {"b": 1, "b": 2}}'],
            "--argument: two keys of a dict are 'b' there",
        ),
        (["master", "--session-timeout", "nan"], "--session-timeout"),
        (["submit", "true", "--name", "task-7"], "--name"),
        (["submit", "true", "--name", "7"], "--name"),
        (["submit", "true", "false", "--name", "x"], "--name"),
        (["submit", "true", "--retry-delay", "-1"], "--retry-delay"),
        (["submit", "true", "--delay", "1h"], "--delay"),
        (["submit", "true", "--delay", "nan"], "'--delay'"),
        (["submit", "true", "--at", "noon"], "--at: 'noon' is not a time; write 2026-12-24T18:00, or"),
        (["submit", "true", "--at", "1969-12-31T00:00Z"], "--at"),
        (["submit", "true", "--at", ""], "--at"),
        (["submit", "true", "--expires", "0"], "--expires"),
        (["submit", "true", "--expires", "60", "--delay", "60"], "--expires"),
        (["submit", "true", "--expires", "60", "--at", "2200-01-01"], "--expires"),
        (["submit", "true", "--env", "A"], "--env"),
        (["submit", "true", "--env", "MWAPP_TASK=x"], "--env"),
        (["submit", "true", "--env", "1=x"], "--env"),
        (
            ["submit", "true", "--secret-env", "NOT_SET"],
            "--secret-env: there is no variable of that name here",
        ),
        (["submit", "true", "--secret-env", "A=@/nonexistent"], "--secret-env: A: cannot read /nonexistent"),
        (["submit", "true", "--secret-env", "A=@/dev/null", "--env", "A=1"], "--secret-env: task field"),
        (
            ["submit", "true", "--secret-env", "A B=@/dev/null"],
            "--secret-env: what is before =@ is no variable's name",
        ),
        (["submit", "true", "--directory", "here"], "--directory"),
        (["submit", "true", "--label", "a b"], "--label"),
        (["submit", "true", "--run-timeout", "0"], "--run-timeout"),
        (["submit", "true", "--retries", "-1"], "--retries"),
        (["submit", "true", "--max-tasks", "40001"], "--max-tasks"),
        (["cancel"], "TASK"),
        (["cancel", "a/b"], "TASK"),
        (["rerun"], "TASK"),
        (["rerun", "7", "--state", "failed"], "TASK"),
        (["remove", "a/b"], "TASK"),
        (["remove", "--state", "queued"], "--state"),
        (["worker", "--label", "a b"], "--label"),
        (["worker", "--env", "A"], "--env: 'A' cannot be set: use NAME=VALUE"),
        *((["node", "--env", f"{own}=2"], f"--env: {own!r} cannot be set") for own in OF_OTHERS),
        (["worker", "--prefetch", "-1"], "--prefetch"),
        (["worker", "--task-memory", "tiny"], "--task-memory"),
        (["worker", "--worker-memory", "1K"], "--worker-memory"),
        (["worker", "--task-cpu", "0"], "--task-cpu"),
        (["worker", "--worker-pids", "0"], "--worker-pids"),
        (["node", "--task-user", "no-such-user"], "--task-user"),
        (["master", "--retention", "59"], "--retention"),
        (["node", "--keep", "1"], "--keep"),
        (["completion", "tcsh"], "tcsh"),
        (["status", "--watch", "0"], "--watch"),
        (["wait", "a/b"], "TASK"),
        (["wait", "9" * 5000], "TASK"),
        (["cancel", "."], "TASK"),
        (["rerun", "a\udcffb"], "TASK"),
        (["tasks", "a\nb"], "TASK"),
        (["wait", "task-1", "--timeout", "0"], "--timeout"),
        (["tasks", "--state", "odd"], "--state"),
        (["tasks", "--output", "xml"], "--output"),
        (["odd"], "odd"),
        (["master", "--odd"], "--odd"),
        (["master", "--config", "/nonexistent"], "--config"),
    ],
)
def test_bad_input(mwapp: Run, arguments: list[str], named: str) -> None:
    """One line that names the setting, exit status 2."""
    status, error = mwapp(*arguments)
    assert status == 2
    assert named in error
    assert error.count("\n") == 1
    assert error.startswith("mwapp: ")


@pytest.mark.parametrize(
    ("options", "adopts"), [((), False), (("--adopt",), True), (("--adopt", "--no-adopt"), False)]
)
@pytest.mark.parametrize("role", ["master", "node"])
def test_masters_adopt_workers_if_they_are_told_to(
    mwapp: Run, monkeypatch: pytest.MonkeyPatch, role: str, options: tuple[str, ...], *, adopts: bool
) -> None:
    class FakeDaemon:
        def __init__(self, _settings: Settings, build: Build, _make_runner: object = None) -> None:
            build(Process(), "a:1")

        def run(self) -> int:
            return 0

    def master(*arguments: Any, **settings: Any) -> Master:
        found.append(settings["adopts"])
        return Master(*arguments, **settings)

    found: list[bool] = []
    monkeypatch.setattr("mwapp.daemon.service.Daemon", FakeDaemon)
    monkeypatch.setattr(daemons_module, "Master", master)
    assert mwapp(role, *options)[0] == 0
    assert found == [adopts]


@pytest.mark.parametrize("role", ["worker", "node"])
def test_a_worker_has_a_slot_for_each_cpu_unless_it_is_told_how_many(
    mwapp: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str
) -> None:
    class FakeDaemon:
        def __init__(self, _settings: Settings, build: Build, _make_runner: object = None) -> None:
            build(Process(), "a:1")

        def run(self) -> int:
            return 0

    def worker(*arguments: Any, **settings: Any) -> Worker:
        found.append(settings["slots"])
        return Worker(*arguments, **settings)

    found: list[int] = []
    monkeypatch.setattr("mwapp.daemon.service.Daemon", FakeDaemon)
    monkeypatch.setattr(daemons_module, "_runner", lambda _: None)
    monkeypatch.setattr(daemons_module, "usable_cpus", lambda limit: int(limit or 7))
    monkeypatch.setattr(daemons_module, "Worker", worker)
    config = tmp_path / "mwapp.toml"
    config.write_text("slots = 0\n")  # what the role writes by default
    for options in ((), ("--config", str(config)), ("--worker-cpu", "5"), ("--slots", "1")):
        assert mwapp(role, *options)[0] == 0
    assert found == [7, 7, 5, 1]


@pytest.mark.parametrize("role", ["worker", "node"])
def test_tasks_have_the_network_unless_the_worker_is_told_otherwise(
    mwapp: Run, started: list[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str
) -> None:
    class FakeRunner:
        begin = None

        def __init__(self, *_: object, network: bool, **__: object) -> None:
            found.append(network)

    found: list[bool] = []
    monkeypatch.setattr("mwapp.execution.remote.RemoteRunner", FakeRunner)
    monkeypatch.setattr(daemons_module, "find_user", lambda *_: "somebody")
    config = tmp_path / "mwapp.toml"
    config.write_text(f"[{role}]\ntask_network = false\n")  # as the role writes it
    for options in ((), ("--no-task-network",), ("--config", str(config))):
        assert mwapp(role, "--task-user", "somebody", *options)[0] == 0
    assert found == [True, False, False]
    assert len(started) == len(found)
    assert mwapp(role, "--no-task-network") == (
        2,
        "mwapp: --no-task-network (task_network = false): tasks run as the worker's own user, which needs "
        "the network: set --task-user, to mwapp-task for example, or leave this out\n",
    )
    assert len(started) == len(found)


@pytest.mark.parametrize("setting", ["TOKEN=hush", "TOKEN=", "TOKEN=hush@home", "hush="])
def test_a_secret_value_on_the_command_line_is_refused_with_the_way_that_works(
    mwapp: Run, setting: str
) -> None:
    status, error = mwapp("submit", "true", "--secret-env", setting)
    assert status == 2
    assert "export NAME and write --secret-env NAME, or write --secret-env NAME=@FILE" in error
    assert "hush" not in error


@pytest.mark.parametrize("setting", ["hush", "a hush", "-hush=@/dev/null"])
def test_a_value_in_place_of_a_name_is_not_shown(mwapp: Run, setting: str) -> None:
    """As by --secret-env "$TOKEN", which a shell has put in its place."""
    status, error = mwapp("submit", "true", "--secret-env", setting)
    assert status == 2
    assert error.startswith("mwapp: --secret-env: ")
    assert "hush" not in error


@pytest.mark.parametrize("has_them", [True, False])
def test_who_submits_other_secret_values_under_a_name_is_told_that_the_first_ones_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, has_them: bool
) -> None:
    monkeypatch.setattr("mwapp.cli.submit.look", lambda *_: ([],))
    target: Any = None
    say_that_it_existed(target, "backup", secret=has_them)
    told = "mwapp: backup existed already: it keeps its first secret values." in capsys.readouterr().err
    assert told == has_them


def test_where_secret_values_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOKEN", "hush\n")
    (tmp_path / "key").write_text(" a\nb\n\n")
    assert secret("TOKEN") == ("TOKEN", "hush\n")
    monkeypatch.setenv("KEY", "another")
    assert secret(f"KEY=@{tmp_path / 'key'}") == ("KEY", " a\nb\n")
    (tmp_path / "key").write_bytes(b"a\r\nb\rc\r\n")
    assert secret(f"KEY=@{tmp_path / 'key'}") == ("KEY", "a\r\nb\rc\r")
    (tmp_path / "key").write_bytes(b"hush\xff")
    with pytest.raises(BadInputError, match="it is not UTF-8") as told:
        secret(f"KEY=@{tmp_path / 'key'}")
    assert "hush" not in str(told.value)


@pytest.mark.parametrize(
    "command", ["submit", "wait", "cancel", "rerun", "remove", "tasks", "workers", "status"]
)
def test_nobody_is_there(mwapp: Run, command: str) -> None:
    arguments = {"submit": ["true"], "tasks": [], "workers": [], "status": []}.get(command, ["1"])
    status, error = mwapp(command, *arguments, "--connect", "127.0.0.1:1", "--connect-timeout", "0.3")
    assert status == 3
    assert error.count("\n") == 1, error
    assert "--connect 127.0.0.1:1" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tls-cert", "me.pem"], "--tls-ca: missing beside --tls-cert"),
        (["--tls-key", "me.pem"], "--tls-ca: missing beside --tls-cert"),
        (["--tls-ca", "ca.pem"], "--tls-cert: missing. With --tls-ca, give the client certificate, too"),
        (["--tls-ca", "/gone/ca.pem", "--tls-cert", "me.pem"], "--tls-ca: cannot read /gone/ca.pem"),
    ],
)
@pytest.mark.parametrize("command", [["tasks"], ["master"], ["release", "/gone"]])
def test_files_for_tls_come_together(
    mwapp: Run, command: list[str], arguments: list[str], message: str
) -> None:
    status, stderr = mwapp(*command, *arguments)
    assert (status, len(stderr.splitlines())) == (2, 1)
    assert message in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_names_are_told_when_a_signal_ends_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def submit(
        _target: Any, _calls: Any, _tasks: Any, _most: int, names: dict[int, str], *_: Any, **__: Any
    ) -> None:
        names[0] = "task-0000000007"
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGHUP)  # a closed terminal tells twice

    monkeypatch.setattr("mwapp.cli.submit._submit", submit)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert run(["submit", "--output", "json", "true", "false"]) == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"task": "task-0000000007", "command": "true", "existed": False}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("into", "status", "told"),
    [
        (">/dev/full", 74, "mwapp: standard output: No space left on device; what was for it:\n[\n"),
        (">&-", 0, None),
        (">/dev/null 2>&-", 0, None),
        (">/dev/full 2>/dev/full", 74, None),
    ],
)
def test_output_that_cannot_be_written(into: str, status: int, told: str | None) -> None:
    shell = f'"$0" -m mwapp handlers --output json {into}'
    done = subprocess.run(["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(told) if told else done.stderr == ""


@pytest.mark.processes
@pytest.mark.parametrize("arguments", ["--help", "--version", "submit --help", "shards list --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_help_that_cannot_be_written(arguments: str, unbuffered: str) -> None:
    shell = f'PYTHONUNBUFFERED={unbuffered} "$0" -m mwapp {arguments} >/dev/full'
    done = subprocess.run(["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (74, "mwapp: standard output: No space left on device\n")


@pytest.mark.processes
@pytest.mark.parametrize("output", ["table", "json"])
def test_a_screen_that_cannot_be_written(output: str) -> None:
    options = f"--watch 1 --output {output} --connect 127.0.0.1:1 --connect-timeout 0.2"
    shell = f'"$0" -m mwapp status {options} >/dev/full'
    done = subprocess.run(["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False)
    assert done.returncode == 74
    assert done.stderr.startswith("mwapp: standard output: No space left on device; what was for it:\n")


@pytest.mark.processes
def test_a_message_is_not_written_where_results_go() -> None:
    shell = '"$0" -m mwapp submit 2>&-'
    done = subprocess.run(["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def stores(_target: Any, _calls: Any, _tasks: Any, _most: int, names: Any, existed: Any, **_: Any) -> None:
    """In place of a submission: the task was there already."""
    names[0] = "a-name"
    existed[0] = True


def unreachable(*_: Any, **__: Any) -> None:
    raise UnreachableError


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("arguments", [["--wait", "--label", "nobody"], ["--name", "a-name"]])
def test_a_hint_that_cannot_be_had_loses_no_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """The ensemble falls silent after the submission."""
    monkeypatch.setattr("mwapp.cli.submit._submit", stores)
    monkeypatch.setattr("mwapp.cli.submit.look", unreachable)
    monkeypatch.setattr("mwapp.cli.wait.converse", unreachable)
    status = run(["submit", "--output", "json", *arguments, "true"])
    assert status == (3 if "--wait" in arguments else 0)
    assert [(task["task"], task["existed"]) for task in json.loads(capsys.readouterr().out)] == [
        ("a-name", True)
    ]


@pytest.mark.parametrize("there", [True, False, None])
def test_who_submits_a_task_that_has_ended_is_told_when_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, there: bool | None
) -> None:
    """Unless it may be the one of this command, which lost the reply."""

    def stored(_t: Any, _c: Any, _tasks: Any, _most: int, names: Any, existed: Any, **_: Any) -> None:
        names[0], existed[0] = "a-name", there

    ended = datetime(2026, 11, 22, 12).timestamp()
    view = TaskView("a-name", "done", Task("true"), ended - 3600, outcome=Outcome(), ended_at=ended)
    monkeypatch.setattr("mwapp.cli.submit._submit", stored)
    monkeypatch.setattr("mwapp.cli.submit.look", lambda *_: ([view],))
    assert run(["submit", "--name", "a-name", "--output", "json", "true"]) == 0
    out, told = capsys.readouterr()
    assert json.loads(out) == [{"task": "a-name", "command": "true", "existed": there}]
    assert told.startswith("mwapp: a-name: already done at 2026-11-22 12:00:00") == (there is True)
    assert ("If it is to: mwapp rerun a-name" in told) == (there is True)


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("when", ["asking", "waiting"])
@pytest.mark.parametrize("command", [["cancel"], ["rerun", "--wait"]])
def test_names_that_were_chosen_are_told_when_interrupted(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    when: str,
    output: str,
) -> None:
    def ask(_target: Any, _do: str, names: list[str], _only: Any, _timeout: float, told: Any) -> None:
        told.update(dict.fromkeys(names))
        if when == "asking":
            raise KeyboardInterrupt

    module = f"mwapp.cli.{command[0]}"
    ended = None if command == ["cancel"] else Outcome()
    state = "queued" if ended is None else "done"
    view = TaskView("nightly-7", state, Task("true"), 0.0, outcome=ended)
    monkeypatch.setattr(f"{module}.look", lambda *_: ([view],))
    monkeypatch.setattr(f"{module}.Selection.named", lambda *_: ["nightly-7"])
    monkeypatch.setattr("mwapp.cli.rerun._ask", ask)
    monkeypatch.setattr("mwapp.cli.cancel.converse", interrupted if when == "asking" else lambda *_: None)
    monkeypatch.setattr("mwapp.cli.wait.converse", interrupted)
    assert run([*command, "--match", "nightly-*", "--output", output]) == 130
    assert "nightly-7" in capsys.readouterr().out


# ---------------------------------------------------------------- what the session's thread still adds to


class Names(list[str]):
    """Each time that somebody goes through them, one more has ended meanwhile."""

    def __init__(self, names: list[str], found: dict[str, Any]) -> None:
        super().__init__(names)
        self._found, self._left = found, names[:]

    def __iter__(self) -> Iterator[str]:
        if self._left:
            self._found[self._left[0]] = End(self._left.pop(0), "done", Outcome())
        return super().__iter__()


def test_whatever_ends_while_it_is_told_is_told_once() -> None:
    found: dict[str, End | None] = {}
    names = ["a", "b", "c", "d"]
    told = wait_module._ends(Names(names, found), found, asked=True)
    assert sorted([*(end.task for end in told.ended), *told.missing, *told.open]) == names


def test_what_is_done_after_the_time_is_over_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has counted it among those that are not done."""
    part = Mock(requested=2)
    monkeypatch.setattr(rerun_module, "AskEnded", part)
    part.return_value.requested = 2

    def converse(_target: Any, build: Any, _timeout: float) -> None:
        build(None, None)
        part.call_args.kwargs["told"]("a", None)
        raise TimedOutError

    monkeypatch.setattr(rerun_module, "converse", converse)
    told: dict[str, str | None] = {}
    with pytest.raises(TimedOutError, match=r"^timed out: 1 of 2 are not done"):
        rerun_module._ask(Mock(), "run", ["a", "b"], (), 1.0, told)
    part.call_args.kwargs["told"]("b", None)
    assert told == {"a": None}


@pytest.mark.parametrize(
    ("answers", "row", "message"),
    [
        (True, "has not ended", "1 of 1 tasks have not ended in time"),
        (False, "no end known", "no end known of 1 of 1 tasks: the ensemble has not answered in time"),
    ],
)
def test_a_task_has_not_ended_only_if_the_ensemble_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: bool,
    row: str,
    message: str,
) -> None:
    monkeypatch.setattr("mwapp.cli.wait.converse", Mock(side_effect=TimedOutError))
    monkeypatch.setattr("mwapp.cli.session.Target.answers", answers)
    assert run(["wait", "7"]) == 5
    out, error = capsys.readouterr()
    assert (out.splitlines()[1].endswith(row), error) == (True, f"mwapp: {message}\n")


@pytest.mark.parametrize("problem", [TimedOutError, UnreachableError])
def test_nobody_says_that_a_task_has_not_ended_who_has_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: type[Exception]
) -> None:
    view = TaskView("task-0000000007", "queued", Task("true"), 0.0)
    monkeypatch.setattr("mwapp.cli.cancel.look", lambda *_: ([view],))
    monkeypatch.setattr("mwapp.cli.cancel.converse", Mock(side_effect=problem))
    monkeypatch.setattr("mwapp.cli.wait.converse", Mock(side_effect=UnreachableError))
    assert run(["wait", "7"]) == 3
    assert capsys.readouterr().out.splitlines()[1].endswith("no end known")
    assert run(["cancel", "7"]) in (3, 5)
    assert capsys.readouterr().out.splitlines()[1].endswith("no end known")


def test_who_ignores_a_signal_still_does() -> None:
    """As below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_defect_is_told_from_a_failed_task(
    mwapp: Run, monkeypatch: pytest.MonkeyPatch, started: list[Settings]
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(daemons_module, "_run", broken)
    status, error = mwapp("master")
    assert status == 70
    assert "ZeroDivisionError" in error
    assert not started


def test_a_defect_on_the_session_s_thread_is_one_too(mwapp: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mwapp.core.client.Submit.__init__", broken)
    status, error = mwapp("submit", "true", "--connect", "127.0.0.1:1")
    assert status == 70
    assert "ZeroDivisionError" in error


def test_release_of_nothing(mwapp: Run, tmp_path: Path) -> None:
    assert mwapp("release", str(tmp_path)) == (0, "")


# ---------------------------------------------------------------- help


def commands() -> list[tuple[str, click.Command]]:
    found = [(name, cli.get_command(click.Context(cli), name)) for name in sorted(MODULES)]
    return [(name, command) for name, command in found if command]


def all_commands() -> list[tuple[str, click.Command]]:
    """With those of groups, as GROUP NAME."""
    groups = [(name, it) for name, it in commands() if isinstance(it, click.Group)]
    return commands() + [
        (f"{name} {part}", it) for name, group in groups for part, it in group.commands.items()
    ]


@pytest.mark.parametrize(("name", "command"), all_commands(), ids=[name for name, _ in all_commands()])
def test_help_tells_everything(name: str, command: click.Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, param.name
            assert param.name
            assert f"MWAPP_{param.name.upper()}" in text.replace("- ", "-"), param.name
    if name != "handlers":
        assert "Example" in text, "a command is learnt from its examples"


def test_every_exit_status_is_in_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out.partition("Exit status:")[2].partition("Options:")[0]
    numbers = re.findall(r"^(\d+) ", errors.__doc__ or "", re.MULTILINE)
    assert [number for number in numbers if number not in re.findall(r"\d+", text)] == []


def test_every_command_is_in_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name, command in commands():
        said = " ".join([name, command.get_short_help_str(66)])
        assert said in " ".join(text.split()), "as its own help says"
    assert "..." not in text.partition("Tasks:")[2], "what a command does is told in one line"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["--help"], {"kazoo", "asyncio", "json", "mwapp.core"}),
        (["submit", "true", "--connect", ""], {"asyncio", "prometheus_client", "http", "importlib.metadata"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(arguments: list[str], without: set[str]) -> None:
    program = "import sys; from mwapp.cli import run; run(sys.argv[1:]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    imported = done.stdout.splitlines()[-1].split()
    assert not without & set(imported)


@pytest.mark.processes
@pytest.mark.parametrize("shell", SHELLS)
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_MWAPP_COMPLETE" in capsys.readouterr().out


def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str) -> list[str]:
    """What bash is offered for the last word."""
    monkeypatch.setenv("_MWAPP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        run([])
    return capsys.readouterr().out.split()


def test_commands_and_options_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed(monkeypatch, capsys, "mwapp ca") == ["plain,cancel"]
    assert completed(monkeypatch, capsys, "mwapp tasks --st") == ["plain,--state"]


def test_without_an_ensemble_no_names_are_offered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MWAPP_CONNECT", "127.0.0.1:1")
    monkeypatch.setattr(names_module, "COMPLETION_SECONDS", 0.2)
    monkeypatch.setattr(logging, "disable", lambda: None)  # it would outlive this test
    assert completed(monkeypatch, capsys, "mwapp cancel ") == []


EXISTS, CHILDREN = 3, 8  # types of requests


@pytest.mark.servers
def test_a_tab_makes_nothing_not_even_the_chroot(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server()  # it knows no znode
    monkeypatch.setattr("mwapp.loop.CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(names_module, "COMPLETION_SECONDS", LONGEST_WAIT)
    monkeypatch.setattr(logging, "disable", lambda: None)  # it would outlive this test
    try:
        assert completed(monkeypatch, capsys, f"mwapp cancel --connect {server.connect}/mistyped ") == []
    finally:
        server.close()
    assert CHILDREN in server.asked
    assert EXISTS not in server.asked, "it looked whether it is to make the chroot"


# ---------------------------------------------------------------- tables


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "LONG"), [("xyz", 1), (None, "a\nb\x1b[31m")])
    assert capsys.readouterr().out == "A    LONG\nxyz  1\n-    a\\nb\\x1b[31m\n"


def test_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "B"), [])
    assert capsys.readouterr().out == "A  B\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (1, "1s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")]
)
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_numbers_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "NUMBER"), [("x", 1), ("y", None)])
    assert capsys.readouterr().out == "A  NUMBER\nx       1\ny       -\n"


def test_tables_in_line_with_each_other() -> None:
    assert table(("A", "B", "C"), [("x", "y", "z")], (3, 2)) == ["A    B   C", "x    y   z"]


def test_several() -> None:
    assert several(["a", "b"], 2) == "a b"
    assert several(["a", "b", "c"], 1) == "a +2"


def test_plain() -> None:
    assert plain("日本") == "日本"
    assert plain(0) == "0"
