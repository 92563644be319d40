"""The module mwapp_service, run as Ansible runs it: real processes and endpoints, a scripted systemd."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.tls_files import Maker, pem, write
from tests.unit.ansible_module import load, reroot, run
from tests.unit.four_letters import dripping, serving

pytestmark = pytest.mark.processes

service = load(Path(__file__).parents[2] / "plugins/modules/mwapp_service.py")

UNIT = "mwapp-worker.service"
READY = {"role": "worker", "ready": True, "worker": {"state": "ready"}}

# ``show`` tells of what there is what is asked for; all else is noted, and may bring about another state.
SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")/.."
. ./state
if [ "$1" = show ]; then
    [ "$2" = mwapp-worker.service ] || exit 1
    IFS=,
    for name in ${3#--property=}; do eval "echo $name=\\$$name"; done
    exit
fi
echo "$*" >>told
if [ -e "fails-$1" ]; then echo "no $1 today" >&2; exit 1; fi
if [ -e "after-$1" ]; then mv "after-$1" state; fi
"""
JOURNALCTL = """#!/bin/sh
echo "$*"
"""


class Endpoint:
    """A status endpoint. It says ``pages``, one after the other and the last for ever: objects, or bytes."""

    def __init__(self) -> None:
        self.pages: list[Any] = [READY]
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = endpoint.pages.pop(0) if len(endpoint.pages) > 1 else endpoint.pages[0]
                body = page if isinstance(page, bytes) else json.dumps(page).encode()
                if self.path != "/status":
                    body = b"not found"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def secure(self, cert: Path) -> None:
        """From now on it speaks TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)


class Host:
    """A host below ``root``, with the unit as ``state`` says."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.processes: list[subprocess.Popen[bytes]] = []
        self.synced: list[list[str]] = []
        (root / "bin").mkdir()
        for name, script in {"systemctl": SYSTEMCTL, "journalctl": JOURNALCTL}.items():
            (root / "bin" / name).write_text(script)
            (root / "bin" / name).chmod(0o755)
        (root / "proc").symlink_to("/proc")
        (root / "etc/systemd/system").mkdir(parents=True)
        self.unit_file = root / "etc/systemd/system" / UNIT
        self.unit_file.touch()
        self.state()

    def process(self, revision: str | None) -> int:
        """Its id. It has this revision, or none."""
        environment = {"PATH": "/bin:/usr/bin"} | ({"MWAPP_REVISION": revision} if revision else {})
        self.processes.append(subprocess.Popen(["sleep", "600"], env=environment))
        return self.processes[-1].pid

    def state(self, file: str = "state", **changed: object) -> None:
        shown = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active"}
        shown |= {"SubState": "running", "Result": "success", "NeedDaemonReload": "no"}
        lines = {"MainPID": 0} | shown | changed
        (self.root / file).write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def certified(self) -> None:
        """What runs was given a certificate for its endpoint."""
        credential = self.root / "run/credentials" / UNIT / "status.pem"
        credential.parent.mkdir(parents=True)
        credential.touch()

    def told(self) -> list[str]:
        """What systemd was told since the last time."""
        file = self.root / "told"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def run(self, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {"name": "mwapp-worker", "revision": "new", "host": "127.0.0.1", "port": self.port}
        return run(service, given | {"timeout": 20} | arguments, check=check)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    one = Endpoint()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture
def host(tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    reroot(service, tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(service, "PAUSE", 0.001)
    one = Host(tmp_path, endpoint.port)
    # On a busy machine it takes a second, and no power is cut here.
    monkeypatch.setattr(service.os, "sync", lambda: one.synced.append(one.told()))
    yield one
    for process in one.processes:
        process.kill()
        process.wait()


# ------------------------------------------------------------ looking


def test_it_is_waited_for_as_long_as_that_is_wanted(host: Host, endpoint: Endpoint) -> None:
    host.state(MainPID=host.process("new"))
    endpoint.pages = [READY, READY | {"ready": False, "reason": "starts"}, READY]
    assert host.run(timeout=0)["failed"]


@pytest.mark.parametrize("check", [False, True])
def test_what_is_as_it_should_be_is_left_alone(check: bool, host: Host) -> None:
    host.state(MainPID=host.process("new"))
    answer = host.run(check=check)
    assert (answer["changed"], answer["due"], host.told(), host.synced) == (False, False, [], [])
    assert answer["observed"] == {
        "exists": True,
        "enabled": True,
        "running": True,
        "revision": "new",
        "ready": True,
        "state": "ready",
        "reload": False,
        "problem": "",
    }


def test_a_service_that_is_not_there(host: Host) -> None:
    host.state(LoadState="not-found", UnitFileState="", ActiveState="inactive", SubState="dead")
    answer = host.run(check=True)
    seen = answer["observed"]
    assert (answer["due"], answer["changed"]) == (True, True)
    assert (seen["exists"], seen["enabled"], seen["running"], seen["ready"]) == (False, False, False, False)
    assert seen["problem"] == "it does not run (systemd: inactive/dead, success)"


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ({"role": "worker", "ready": False, "reason": "no session", "worker": {}}, "it says: no session"),
        (b"<html>", "gives no status: JSONDecodeError"),
        ({"role": "worker", "ready": True}, "gives no status: KeyError: 'worker'"),
        ([], "gives no status: TypeError"),
    ],
)
def test_a_service_that_is_not_ready(page: Any, problem: str, host: Host, endpoint: Endpoint) -> None:
    host.state(MainPID=host.process("new"))
    endpoint.pages = [page]
    seen = host.run(check=True)["observed"]
    assert (seen["running"], seen["revision"], seen["ready"]) == (True, "new", False)
    assert problem in seen["problem"]
    assert seen["problem"].endswith(" (systemd: active/running, success)")


def test_the_state_of_one_that_is_not_ready_is_told_too(host: Host, endpoint: Endpoint) -> None:
    host.state(MainPID=host.process("new"))
    endpoint.pages = [READY | {"ready": False, "reason": "drains", "worker": {"state": "draining"}}]
    assert host.run(check=True)["observed"]["state"] == "draining"


@pytest.mark.parametrize(("says", "problem"), [(None, "TimeoutError"), ("SSH-2.0-x\r\n", "BadStatusLine")])
def test_a_port_where_something_else_is(
    says: str | None, problem: str, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.1)
    host.state(MainPID=host.process("new"))
    with serving() as serve:
        host.port = serve(lambda _: says).port
        seen = host.run(check=True)["observed"]
    assert f"at 127.0.0.1:{host.port} gives no status: {problem}: " in seen["problem"]


def test_an_ipv6_address_is_told_in_brackets(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise ConnectionRefusedError

    monkeypatch.setattr(service, "page", refuse)
    host.state(MainPID=host.process("new"))
    seen = host.run(check=True, host="fd00::11", port=2224)["observed"]
    assert "at [fd00::11]:2224 gives no status: ConnectionRefusedError: " in seen["problem"]


@pytest.mark.parametrize("start", ["", "HTTP/1.0 200 OK\r\n\r\n{"])
def test_who_sends_a_byte_now_and_then_does_not_hold_the_run_up(
    start: str, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.2)
    host.state(MainPID=host.process("new"))
    with dripping(start) as host.port:
        seen = host.run(check=True)["observed"]
    assert "gives no status: TimeoutError: timed out" in seen["problem"]


def test_of_what_never_ends_not_all_is_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_BYTES", 30)
    host.state(MainPID=host.process("new"))
    assert "gives no status: JSONDecodeError" in host.run(check=True)["observed"]["problem"]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Files of a CA, of a leaf for this machine and for another, and of another CA."""
    ca, other = Maker(), Maker()
    made = {"ca": pem(ca.certificate), "other": pem(other.certificate)}
    made |= {"here": ca.pair("here", ("127.0.0.1",)), "elsewhere": ca.pair("elsewhere", ("192.0.2.1",))}
    return {name: write(tmp_path / f"{name}.pem", content) for name, content in made.items()}


def test_what_was_given_a_certificate_is_asked_with_tls(
    host: Host, endpoint: Endpoint, keys: dict[str, Path]
) -> None:
    host.state(MainPID=host.process("new"))
    host.certified()
    endpoint.secure(keys["here"])
    assert host.run(check=True, ca=str(keys["ca"]))["observed"]["ready"]
    for ca, problem in (
        (keys["other"], "SSLCertVerificationError"),
        (host.root / "gone.pem", "FileNotFoundError"),
    ):
        seen = host.run(check=True, ca=str(ca))["observed"]
        assert not seen["ready"]
        assert f"gives no status: {problem}" in seen["problem"]


def test_a_certificate_for_another_host_will_not_do(
    host: Host, endpoint: Endpoint, keys: dict[str, Path]
) -> None:
    host.state(MainPID=host.process("new"))
    host.certified()
    endpoint.secure(keys["elsewhere"])
    assert "SSLCertVerificationError" in host.run(check=True, ca=str(keys["ca"]))["observed"]["problem"]


def test_what_still_runs_without_tls_is_asked_without(host: Host, keys: dict[str, Path]) -> None:
    """Or else nobody would know which is the active master, which restarts last."""
    host.state(MainPID=host.process("old"))
    seen = host.run(check=True, ca=str(keys["ca"]))["observed"]
    assert (seen["ready"], seen["state"]) == (True, "ready")


def test_one_that_starts_and_waits_for_the_ensemble_runs(host: Host, endpoint: Endpoint) -> None:
    """It is to be waited for, not restarted."""
    host.state(MainPID=host.process("new"), ActiveState="activating", SubState="start")
    waits = READY | {"ready": False, "reason": "no session"}
    endpoint.pages = [waits, waits, READY]
    answer = host.run()
    assert (answer["changed"], host.told(), endpoint.pages) == (False, [], [READY])
    endpoint.pages = [waits]
    assert host.run(timeout=0)["failed"]


def test_a_process_that_has_just_ended(host: Host) -> None:
    pid = host.process("new")
    host.processes[0].kill()
    host.processes[0].wait()
    host.state(MainPID=pid)
    seen = host.run(check=True)["observed"]
    assert (seen["running"], seen["revision"]) == (True, "")


def test_the_revision_is_the_processs_own() -> None:
    environment = b"X=MWAPP_REVISION=1\0MWAPP_REVISION=0123abcd\0PATH=/bin\0"
    assert service.revision(environment) == "0123abcd"
    assert service.revision(b"PATH=/bin\0") == ""


def test_what_systemd_shows() -> None:
    shown = service.properties("LoadState=loaded\nResult=exit-code\n\nEnvironment=A=1\n")
    assert shown == {"LoadState": "loaded", "Result": "exit-code", "Environment": "A=1"}


# ------------------------------------------------------------ making it ready


def test_check_mode_only_looks(host: Host) -> None:
    host.state(MainPID=host.process("old"), UnitFileState="disabled", NeedDaemonReload="yes")
    answer = host.run(check=True)
    assert (answer["changed"], answer["due"], answer["observed"]["revision"]) == (True, True, "old")
    assert answer["observed"]["reload"]
    assert (host.told(), host.synced) == ([], [])


def test_what_runs_something_else_is_restarted_and_waited_for(host: Host, endpoint: Endpoint) -> None:
    host.state(MainPID=host.process("old"))
    host.state("after-restart", MainPID=host.process("new"))
    starting = READY | {"ready": False, "reason": "starts"}
    endpoint.pages = [READY, starting, starting, READY]
    answer = host.run()
    assert (answer["changed"], answer["observed"]["revision"]) == (True, "old")
    assert host.told() == [f"restart --no-block {UNIT}"]
    assert host.synced == [[]], "what was installed is on disk before it is restarted"
    assert endpoint.pages == [READY]


def test_what_does_not_run_is_enabled_and_started(host: Host) -> None:
    """The unit file is new: systemd has to read it first."""
    host.state(UnitFileState="disabled", ActiveState="inactive", NeedDaemonReload="yes")
    host.state("after-restart", MainPID=host.process("new"))
    assert host.run()["changed"]
    assert host.synced == [["daemon-reload", f"enable {UNIT}"]]
    assert host.told() == [f"restart --no-block {UNIT}"]


@pytest.mark.parametrize(
    ("state", "told"),
    [({"NeedDaemonReload": "yes"}, "daemon-reload"), ({"UnitFileState": "disabled"}, f"enable {UNIT}")],
)
def test_what_runs_as_wanted_is_not_restarted_for_the_rest(
    state: dict[str, str], told: str, host: Host
) -> None:
    host.state(MainPID=host.process("new"), **state)
    answer = host.run()
    assert (answer["changed"], answer["due"]) == (True, True)
    assert (host.synced, host.told()) == ([[told]], [])


def test_any_revision_will_do_that_is_the_one_from_before(host: Host) -> None:
    """As a rolling restart asks for it: one without a revision was started by hand."""
    host.state(MainPID=host.process(None))
    assert not host.run(revision="")["changed"]


def test_one_that_is_ready_but_still_what_it_was_is_not_ready(host: Host) -> None:
    """Its stop takes its time: it drains."""
    host.state(MainPID=host.process("old"))
    answer = host.run(timeout=0)
    assert answer["failed"]
    said, _, journal = answer["msg"].partition(".\nThe end of its journal:\n")
    assert said == f"{UNIT} is not ready after 0 s: it still runs what it ran before"
    assert journal == f"--no-pager --output=short-iso --lines=30 --unit={UNIT}\n"


def test_one_that_does_not_get_ready(host: Host) -> None:
    host.state("after-restart", ActiveState="activating", SubState="auto-restart", Result="exit-code")
    (host.root / "bin/journalctl").write_text("#!/bin/sh\necho 'no journal' >&2\nexit 1\n")
    answer = host.run(timeout=0)
    assert answer["failed"]
    assert "it does not run (systemd: activating/auto-restart, exit-code)" in answer["msg"]
    assert answer["msg"].endswith("no journal\n")


def test_a_systemd_that_refuses(host: Host) -> None:
    host.state(MainPID=host.process("old"))
    (host.root / "fails-restart").touch()
    answer = host.run()
    assert answer["failed"]
    assert answer["msg"] == f"systemctl restart --no-block {UNIT}: no restart today"


# ------------------------------------------------------------ having it gone


def test_a_service_that_shall_be_gone(host: Host) -> None:
    other = host.unit_file.with_name("mwapp-master.service")
    other.touch()
    answer = host.run(state="absent", check=True)
    assert (answer["changed"], answer["due"], host.told(), host.unit_file.exists()) == (True, True, [], True)
    assert host.run(state="absent")["changed"]
    assert host.told() == [f"disable --now {UNIT}", "daemon-reload"]
    assert (host.unit_file.exists(), other.exists()) == (False, True)


def test_a_service_that_is_gone(host: Host) -> None:
    host.state(LoadState="not-found", UnitFileState="", ActiveState="inactive", SubState="dead")
    answer = host.run(state="absent")
    assert (answer["changed"], answer["due"], host.told()) == (False, False, [])


@pytest.mark.parametrize("there", [True, False])
def test_its_files_go_when_it_has_stopped(there: bool, host: Host) -> None:
    """Also if it went in a run that left them, or was broken off."""
    if not there:
        host.state(LoadState="not-found", UnitFileState="", ActiveState="inactive", SubState="dead")
    key, others = (host.root / name for name in ("worker.pem", "cli.pem"))
    key.touch()
    others.touch()
    given: dict[str, Any] = {"state": "absent", "files": [str(key), str(host.root / "none/worker.pem")]}
    (host.root / "fails-disable").touch()
    if there:
        assert host.run(**given)["failed"]
    (host.root / "fails-disable").unlink()
    host.told()
    answer = host.run(**given, check=True)
    assert (answer["changed"], answer["due"], host.told(), key.exists()) == (True, True, [], True)
    assert host.run(**given)["changed"]
    assert host.told() == ([f"disable --now {UNIT}", "daemon-reload"] if there else [])
    assert (key.exists(), others.exists()) == (False, True)
    host.state(LoadState="not-found", UnitFileState="", ActiveState="inactive", SubState="dead")
    answer = host.run(**given)
    assert (answer["changed"], answer["due"]) == (False, False)


def test_a_service_that_stays_keeps_its_files(host: Host) -> None:
    key = host.root / "worker.pem"
    key.touch()
    host.state(MainPID=host.process("new"))
    assert not host.run(files=[str(key)])["changed"]
    assert key.exists()


def test_a_unit_that_is_masked_or_broken_is_removed_too(host: Host) -> None:
    host.state(LoadState="bad-setting", UnitFileState="", ActiveState="inactive", SubState="dead")
    assert host.run(state="absent")["changed"]
    assert not host.unit_file.exists()


def test_a_service_that_cannot_be_stopped_keeps_its_unit(host: Host) -> None:
    (host.root / "fails-disable").touch()
    assert host.run(state="absent")["msg"] == f"systemctl disable --now {UNIT}: no disable today"
    assert host.unit_file.exists()
