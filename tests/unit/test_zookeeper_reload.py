"""Renewed certificates: restart or reload, and whether a server shows them."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from testbed.tls_files import Maker, pem, write
from tests.unit.ansible_module import run
from tests.unit.four_letters import Serve, Server, closed_port, in_turn, serving
from tests.unit.zookeeper_role import load, load_file

pytestmark = pytest.mark.servers

rules, module = load("zookeeper_reload"), load_file("modules/zookeeper_reload.py")
reloads = load_file("filter/zookeeper_tls.py").zookeeper_reloads

# ---------------------------------------------------------------- restart or reload

ON = {"client.certReload": "true", "sslQuorumReloadCertFiles": "true"}
HOME = "/etc/zookeeper/tls"
LEAF, QUORUM_LEAF, CA = (f"{HOME}/{name}.pem" for name in ("client", "quorum", "client-ca"))
OLD, NEW = Maker("old").certificate, Maker("new").certificate
TRUSTED = {ca: [one.fingerprint(hashes.SHA256()).hex() for one in (OLD, NEW)] for ca in ("client", "quorum")}
FOUND = {"reloads": True, "stale": [], "trusts": TRUSTED}
TEXTS = dict.fromkeys(("client", "quorum"), pem(OLD).decode() + pem(NEW).decode())


@pytest.mark.parametrize(
    ("changed", "looks_out"),
    [
        ({}, True),
        ({"client.certReload": "TRUE"}, True),
        ({"client.certReload": "false"}, False),
        ({"sslQuorumReloadCertFiles": "false"}, False),
        ({"admin.forceHttps": "true"}, False),
        ({"admin.portUnification": "true"}, False),
        ({"admin.portUnification": "false"}, True),
    ],
)
def test_who_looks_out_for_new_certificates(changed: dict[str, str], looks_out: bool) -> None:
    flags = ["-Dzookeeper.admin.enableServer=true", "-Xss1m"]
    assert rules.looks_out(ON | changed, flags) is looks_out
    assert not rules.looks_out(changed, flags), "servers started by an older role"
    for name in ("forceHttps", "portUnification"):
        assert not rules.looks_out(ON | changed, [*flags, f"-Dzookeeper.admin.{name}=true"])


@pytest.mark.parametrize("placed", [[LEAF], [QUORUM_LEAF], [LEAF, QUORUM_LEAF]])
def test_renewed_certificates_need_no_restart(placed: list[str]) -> None:
    assert reloads(FOUND, placed, HOME, TEXTS)
    assert not reloads(FOUND | {"reloads": False}, placed, HOME, TEXTS)
    # A run that was cut short after it had placed them.
    assert reloads(FOUND | {"stale": placed}, [], HOME, TEXTS)
    for other in ("/etc/zookeeper/zoo.cfg", "/run/zookeeper/started-with", "/usr/share/java/zookeeper.jar"):
        assert not reloads(FOUND, [*placed, other], HOME, TEXTS)
        assert not reloads(FOUND | {"stale": [other]}, placed, HOME, TEXTS)


def test_who_has_nothing_new_to_show_is_restarted() -> None:
    """Whatever it was that called for a restart."""
    assert not reloads(FOUND, [], HOME, TEXTS)


def test_another_ca_needs_a_restart() -> None:
    """Nobody sees from outside whether a server trusts it."""
    assert not reloads(FOUND, [CA], HOME, TEXTS), "no new certificate shows that it looked"
    for pems in ([OLD], [NEW], [], [OLD, NEW, Maker("third").certificate]):
        texts = TEXTS | {"client": b"".join(map(pem, pems)).decode()}
        assert not reloads(FOUND, [LEAF, CA], HOME, texts)
        assert reloads(FOUND, [LEAF], HOME, texts), "the file has not changed"


def test_the_same_cas_in_another_order_need_none() -> None:
    """As when the new one begins to sign: all have trusted it before."""
    texts = TEXTS | {"client": pem(NEW).decode() + pem(OLD).decode()}
    assert reloads(FOUND, [LEAF, CA], HOME, texts)
    assert not reloads(FOUND | {"stale": [CA]}, [LEAF], HOME, texts), "who knows what it was started with"
    assert not reloads(FOUND | {"trusts": {}}, [LEAF, CA], HOME, texts)


# ---------------------------------------------------------------- what a server shows


class Running:
    """A server at both ports, with the certificates that it was started with; its host has newer ones."""

    def __init__(self, root: Path, serve: Serve) -> None:
        self.home, self.record = root / "tls", root / "started-with"
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.servers: dict[str, Server] = {}
        self.roots = {ca: Maker(ca) for ca in ("client", "quorum")}
        self.cas = {ca: Maker(f"between-{ca}", its) for ca, its in self.roots.items()}
        for ca, its in self.roots.items():
            write(self.home / f"{ca}-ca.pem", pem(its.certificate))
            self.place(ca)
            context = self.contexts[ca] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.home / f"{ca}-ca.pem")
            self.take_up(ca)
            self.servers[ca] = serve(in_turn("follower"), context)
            self.place(ca)
        self.paths = [f"{self.home}/{ca}{end}.pem" for ca in ("client", "quorum") for end in ("", "-ca")]
        self.others = [f"{'0' * 64}  /etc/zookeeper/zoo.cfg", f"{'1' * 64}  /usr/share/java/a name.jar"]
        self.record.write_text("\n".join([*(f"{'2' * 64}  {path}" for path in self.paths), *self.others, ""]))
        self.before = self.record.read_text()

    def place(self, ca: str) -> None:
        """Another certificate."""
        write(self.home / f"{ca}.pem", self.cas[ca].pair("zk1", ("127.0.0.1",)))

    def take_up(self, ca: str) -> None:
        self.contexts[ca].load_cert_chain(self.home / f"{ca}.pem")

    def ask(self, *, check: bool = False, **changed: Any) -> dict[str, Any]:
        ports = {"client_port": self.servers["client"].port, "election_port": self.servers["quorum"].port}
        given = {"host": "127.0.0.1", "home": str(self.home), "timeout": 20} | ports | changed
        return run(module, given, check=check)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.001)
    with serving() as serve:
        host = Running(tmp_path, serve)
        monkeypatch.setattr(module, "STARTED_WITH", host.record)
        yield host


def test_who_shows_them_is_noted_as_having_them(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are waited for, and `sha256sum --check` says afterwards that no restart is due."""
    left = ["client", "quorum"]
    monkeypatch.setattr(module.time, "sleep", lambda _: running.take_up(left.pop(0)))
    running.record.chmod(0o640)
    answer = running.ask()
    assert (answer["reloaded"], answer["changed"], left) == (True, True, [])
    assert running.record.read_text().splitlines() == [
        *(f"{hashlib.sha256(Path(path).read_bytes()).hexdigest()}  {path}" for path in running.paths),
        *running.others,
    ]
    assert running.record.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in running.record.parent.iterdir() if "started" in path.name] == [
        "started-with"
    ]


def test_what_changes_while_it_is_asked_is_not_noted(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not taken that up."""
    shown = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in running.paths}
    lacks = module.Server.lacks

    def asked(server: Any) -> str:
        why = str(lacks(server))
        running.place("client")
        return why

    monkeypatch.setattr(module.Server, "lacks", asked)
    for ca in ("client", "quorum"):
        running.take_up(ca)
    assert running.ask()["reloaded"]
    assert running.record.read_text().splitlines()[:4] == [f"{sum_}  {path}" for path, sum_ in shown.items()]


@pytest.mark.parametrize("ca", ["client", "quorum"])
def test_who_goes_on_with_the_old_ones_is_to_be_restarted(ca: str, running: Running) -> None:
    running.take_up({"client": "quorum", "quorum": "client"}[ca])
    answer = running.ask(timeout=0)
    assert (answer["reloaded"], answer["changed"]) == (False, False)
    (warning,) = answer["warnings"]
    port = running.servers[ca].port
    assert (
        f"new certificates: 127.0.0.1:{port} still shows the old certificate, or others of CAs with it."
        in str(warning)
    )
    assert running.record.read_text() == running.before


@pytest.mark.parametrize("fault", ["silent", "old", "serves nobody"])
def test_an_ipv6_address_is_told_in_brackets(
    fault: str, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(*_: object) -> list[str]:
        if fault == "silent":
            raise OSError("no route to it")
        new = module.fingerprints((running.home / "client.pem").read_text())
        return ["old"] if fault == "old" else list(new)

    monkeypatch.setattr(module.Server, "_shown", shown)
    monkeypatch.setattr(module, "look", lambda *_: load("zookeeper_health").State(reachable=True))
    [said] = running.ask(host="fd00::11", timeout=0)["warnings"]
    port = running.servers["client"].port
    told = {"silent": ": no route", "old": " still shows", "serves nobody": ": it serves nobody"}
    assert f"certificates: [fd00::11]:{port}{told[fault]}" in str(said)


@pytest.mark.parametrize("ca", ["client", "quorum"])
def test_another_ca_between_is_a_new_certificate(ca: str, running: Running) -> None:
    """The certificate of the server itself is the same, and was signed by the same key."""
    for taken in ("client", "quorum"):
        running.take_up(taken)
    maker = running.cas[ca]
    own = (running.home / f"{ca}.pem").read_bytes().removesuffix(pem(maker.certificate))
    between = Maker(maker.name, maker.signed_by, key=maker.key)
    for chain in (between.certificate,), (between.certificate, running.roots[ca].certificate):
        write(running.home / f"{ca}.pem", own + b"".join(map(pem, chain)))
        answer = running.ask(timeout=0)
        assert (answer["reloaded"], answer["changed"]) == (False, False)
        assert "or others of CAs with it" in str(answer["warnings"])
        running.take_up(ca)
        assert running.ask(timeout=0)["reloaded"]


def test_a_single_server_has_no_election_port(running: Running) -> None:
    running.take_up("client")
    assert running.ask(election_port=0, timeout=0)["reloaded"]


def test_who_shows_them_but_serves_nobody_is_to_be_restarted(running: Running) -> None:
    with serving() as serve:
        running.take_up("client")
        idle = serve(in_turn("idle"), running.contexts["client"])
        answer = running.ask(client_port=idle.port, election_port=0, timeout=0)
    assert not answer["reloaded"]
    assert "it serves nobody" in str(answer["warnings"])
    assert running.record.read_text() == running.before


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_shows_one_that_it_refuses_from_others_is_to_be_restarted(
    newest: ssl.TLSVersion, running: Running
) -> None:
    """Its connections to its peers stay until the next election, and then there would be none."""
    for ca in ("client", "quorum"):
        running.take_up(ca)
    stricter = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stricter.maximum_version, stricter.verify_mode = newest, ssl.CERT_REQUIRED
    stricter.load_verify_locations(running.home / "client-ca.pem")
    stricter.load_cert_chain(running.home / "quorum.pem")
    with serving() as serve:
        answer = running.ask(election_port=serve(in_turn("follower"), stricter).port, timeout=0)
    assert not answer["reloaded"]
    assert running.record.read_text() == running.before


def test_who_does_not_answer_is_to_be_restarted(running: Running) -> None:
    running.take_up("client")
    answer = running.ask(election_port=closed_port(), timeout=0)
    assert not answer["reloaded"]
    assert "Connection refused" in str(answer["warnings"])


def test_a_host_without_record_or_certificate_is_no_failure(running: Running) -> None:
    """Then the server was started by hand, and is restarted."""
    running.take_up("client")
    running.record.unlink()
    answer = running.ask(election_port=0, timeout=0)
    assert not answer["reloaded"]
    assert "No such file" in str(answer["warnings"])
    (running.home / "quorum.pem").unlink()
    assert not running.ask(timeout=0)["reloaded"]


def test_no_link_is_followed(running: Running, tmp_path: Path) -> None:
    """The server's user may write there, and must neither read what root reads nor write what root writes."""
    running.take_up("client")
    secret = write(tmp_path / "secret", b"of root\n")
    running.record.unlink()
    running.record.symlink_to(secret)
    answer = running.ask(election_port=0, timeout=0)
    assert not answer["reloaded"]
    assert "symbolic links" in str(answer["warnings"])
    assert (running.record.is_symlink(), secret.read_bytes()) == (True, b"of root\n")


def test_check_mode_asks_nobody_and_supposes_that_it_works(running: Running) -> None:
    answer = running.ask(check=True, client_port=closed_port(), timeout=0)
    assert (answer["reloaded"], answer["changed"]) == (True, True)
    assert running.record.read_text() == running.before
