"""The environment that every run gets."""

from pathlib import Path

import pytest

from mwapp.execution.environment import of_runs

TEMPORARY = "/tmp"  # noqa: S108 - what is to be found
USUAL = {"HOME": "/root", "SHELL": "/bin/bash", "LANG": "de_DE.UTF-8", "PATH": "/opt/bin", "OURS": "1"}


def test_what_the_daemon_has_every_run_has(tmp_path: Path) -> None:
    usual = USUAL | {"HOME": str(tmp_path)}
    assert of_runs(usual) == usual


@pytest.mark.parametrize(
    "name",
    [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
        "RUNTIME_DIRECTORY",
        "MWAPP_REVISION",
    ],
)
def test_what_concerns_the_service_no_run_has(name: str) -> None:
    assert name not in of_runs(USUAL | {name: "x"})


def test_an_empty_environment_gets_what_programs_expect() -> None:
    assert of_runs({}) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": TEMPORARY,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }


@pytest.mark.parametrize("home", ["/etc/passwd", "/nowhere", ""])
def test_home_can_be_written_to(home: str, tmp_path: Path) -> None:
    assert of_runs(USUAL | {"HOME": home})["HOME"] == TEMPORARY
    assert of_runs(USUAL | {"HOME": home, "TMPDIR": str(tmp_path)})["HOME"] == str(tmp_path)


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false"])
def test_shell_can_run_commands(shell: str) -> None:
    assert of_runs(USUAL | {"SHELL": shell})["SHELL"] == "/bin/sh"


@pytest.mark.parametrize("name", ["LC_ALL", "LC_CTYPE"])
def test_a_locale_that_somebody_chose_stays(name: str) -> None:
    shared = of_runs({name: "de_DE.ISO-8859-1"})
    assert shared[name] == "de_DE.ISO-8859-1"
    assert "LANG" not in shared
