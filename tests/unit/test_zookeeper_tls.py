"""TLS in the role zookeeper: what is refused, which certificates are asked for, how servers are asked."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleError

from testbed.tls_files import DAY, Maker, pem, write
from tests.unit.ansible_module import run
from tests.unit.four_letters import Serve, in_turn, serving
from tests.unit.zookeeper_role import PROJECT, load, load_file

filters = load_file("filter/zookeeper_tls.py")
texts = load_file("lookup/tls_texts.py")
health, zoo_cfg = load("zookeeper_health"), load("zookeeper_zoo_cfg")
gate = load_file("modules/zookeeper_gate.py")
fingerprints = load("tls_fingerprints").fingerprints

# ---------------------------------------------------------------- zookeeper_config


@pytest.mark.parametrize(
    ("key", "why"),
    {
        "secureClientPort": "zookeeper_tls_port",
        "secureClientPortAddress": "zookeeper_client_address",
        "ssl.keyStore.location": "zookeeper_tls_dir",
        "ssl.quorum.trustStore.location": "zookeeper_tls_dir",
        "ssl.quorum.hostnameVerification": "host names are checked",
        "fips-mode": "checks no host names in the quorum",
        "portUnification": "without TLS",
        "serverCnxnFactory": "Netty",
    }.items(),
)
def test_keys_that_tls_sets_are_refused(key: str, why: str) -> None:
    (problem,) = zoo_cfg.tls_problems({key: "x", "tickTime": 1})
    assert problem.startswith(f"zookeeper_config sets {key}: remove it while zookeeper_tls is true: ")
    assert why in problem


@pytest.mark.parametrize("key", ["ssl.protocol", "ssl.quorum.ciphersuites", "ssl.crl", "client.certReload"])
def test_what_tls_leaves_open_may_be_set(key: str) -> None:
    assert zoo_cfg.tls_problems({key: "x"}) == []


# ---------------------------------------------------------------- which certificates

MEMBERS = [{"name": "zk1", "host": "10.0.0.1"}, {"name": "zk2", "host": "zk2.example.org"}]
HOSTVARS: dict[str, Any] = {
    "zk1": {"ansible_host": "10.0.0.1", "zookeeper_tls_names": "a.example.org, b.example.org"},
    "zk2": {"ansible_host": "198.51.100.2", "zookeeper_tls_names": ["zk.example.org"]},
}
FOUND = {"addresses": ["10.0.0.1"], "clock": 1.0, "trusts": {}}
SEEN = {"zk1": FOUND, "zk2": FOUND | {"clock": 2.0, "trusts": {"client": ["ab"]}}}


def test_each_server_has_two_with_all_its_names() -> None:
    found = filters.zookeeper_certificates(MEMBERS, SEEN, HOSTVARS, ["zk1", "zk2"])
    assert [(one["ca"], one["name"]) for one in found["certificates"]] == [
        *(("client", "zk1"), ("quorum", "zk1"), ("client", "zk2"), ("quorum", "zk2")),
        ("client", filters.SUPERUSER),
    ]
    assert [one["name"] for one in found["certificates"] if one.get("optional")] == [filters.SUPERUSER]
    hosts = {one["name"]: one["hosts"] for one in found["certificates"] if "hosts" in one}
    assert hosts == {
        "zk1": ["10.0.0.1", "zk1", "a.example.org", "b.example.org"],
        "zk2": ["zk2.example.org", "198.51.100.2", "zk2", "10.0.0.1", "zk.example.org"],
    }
    assert found["clocks"] == {"zk1": 1.0, "zk2": 2.0}
    assert found["deployed"] == {"zk2": {"client": ["ab"]}}


@pytest.mark.parametrize("clients", [["alice", "batch"], "alice, batch,", []])
def test_each_client_has_one_of_its_own(clients: list[str] | str) -> None:
    found = filters.zookeeper_certificates(MEMBERS[:1], SEEN, HOSTVARS, ["zk1"], clients)
    wanted = [{"ca": "client", "name": name} for name in ("alice", "batch") if clients]
    assert found["certificates"][3:] == wanted


def test_those_that_limit_leaves_out_are_only_looked_at() -> None:
    seen = SEEN | {"zk3": {"unreachable": True}}
    found = filters.zookeeper_certificates(MEMBERS, seen, HOSTVARS, ["zk1"])
    assert {one["name"] for one in found["certificates"]} == {"zk1", filters.SUPERUSER}
    assert found["clocks"].keys() == {"zk1", "zk2"}


@pytest.mark.parametrize(
    ("tls", "speaks", "words"),
    [
        (True, "plain", "zookeeper_tls is true, but what runs on zk1, zk2 has no TLS"),
        ("false", "tls", "zookeeper_tls is false, but what runs on zk1, zk2 has TLS"),
        (False, "plain", None),
        ("yes", "tls", None),
        (True, "", None),
    ],
)
def test_running_servers_are_not_switched(tls: object, speaks: str, words: str | None) -> None:
    seen = {name: {"speaks": speaks} for name in ("zk2", "zk1")} | {"zk3": {"speaks": ""}, "zk4": {}}
    problems = filters.zookeeper_tls_refusals(seen, tls)
    assert (problems[0].partition(": ")[0] if problems else None) == words
    assert all("run playbooks/tls.yml" in problem for problem in problems)


def test_texts_of_the_controller(tmp_path: Path) -> None:
    write(tmp_path / "client/zk1.pem", b"key")
    lookup = texts.LookupModule()
    assert lookup.run([str(tmp_path), "client/zk1.pem", "quorum-ca.pem"]) == [
        {"client/zk1.pem": "key", "quorum-ca.pem": ""}
    ]
    changed = lookup.run([str(tmp_path), "client/zk1.pem"], but=["client/zk1.pem"])
    assert changed == [{"client/zk1.pem": ""}], "what a check would renew differs"
    write(tmp_path / "client-ca.pem", "# Stammzertifikat für Köln\nCA".encode("latin-1"))
    (found,) = lookup.run([str(tmp_path), "client-ca.pem"])
    assert found["client-ca.pem"].endswith("\nCA"), "what is around certificates may be of any kind"


def test_a_text_that_must_be_there_is_missed(tmp_path: Path) -> None:
    """An empty key would be placed."""
    write(tmp_path / "client/zk1.pem", b"key")
    lookup, names = texts.LookupModule(), ["client/zk1.pem", "quorum/zk1.pem"]
    with pytest.raises(AnsibleError, match=rf"quorum/zk1.pem must be in {tmp_path}, and is not"):
        lookup.run([str(tmp_path), *names], complete=True)
    for option in ("but", "optional"):
        (found,) = lookup.run([str(tmp_path), *names], complete=True, **{option: ["quorum/zk1.pem"]})
        assert found == {"client/zk1.pem": "key", "quorum/zk1.pem": ""}


@pytest.mark.parametrize(
    ("role", "name"),
    [("zookeeper", "zookeeper_tls"), ("mwapp", "mwapp_tls"), ("mwapp", "mwapp_status")],
)
@pytest.mark.parametrize(
    ("ran", "complete"), [({"expires": {}}, True), ({"skipped": True}, False), (None, False)]
)
def test_texts_must_be_there_once_they_were_made(role: str, name: str, ran: Any, complete: bool) -> None:
    """status.yml has none if it runs elsewhere; nor may the way back from TLS need them."""
    lookups: list[dict[str, Any]] = []
    register = f"__{name.removesuffix('_tls')}_certificates"
    expression = yaml.safe_load((PROJECT / f"roles/{role}/vars/main.yml").read_text())[f"__{name}_texts"]
    environment = jinja2.Environment(undefined=jinja2.ChainableUndefined)  # noqa: S701 - no page
    environment.filters["bool"] = bool
    environment.globals["lookup"] = lambda *_, **options: lookups.append(options)
    known = {register: ran} if ran else {}
    named: dict[str, Any] = {"__mwapp_tls_names": {}, "__mwapp_status_names": {}}
    environment.from_string(expression).render(mwapp_tls=True, mwapp_status_tls=True, **named, **known)
    assert [one["complete"] for one in lookups] == [complete]


def test_texts_are_read_where_the_module_puts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's paths know ~ and variables."""
    write(tmp_path / "tls/client-ca.pem", b"CA")
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in ("~/tls", "$HOME/tls", "${HOME}/tls"):
        assert texts.LookupModule().run([place, "client-ca.pem"]) == [{"client-ca.pem": "CA"}]


# ---------------------------------------------------------------- how servers are asked


class Files:
    """The files of a host, and of a server that it asks."""

    def __init__(self, top: Path) -> None:
        self.top, self.ca = top, Maker()
        write(top / "ca.pem", pem(self.ca.certificate))
        write(top / "me.pem", self.ca.pair("me", ("127.0.0.1",)))

    @property
    def tls(self) -> dict[str, str]:
        return {"ca": str(self.top / "ca.pem"), "certificate": str(self.top / "me.pem")}

    def server(self, pair: bytes | None = None) -> ssl.SSLContext:
        """Wants a certificate of the CA, as ZooKeeper does."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(write(self.top / "server.pem", pair or self.ca.pair("zk", ("127.0.0.1",))))
        context.load_verify_locations(self.top / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with serving() as start:
        yield start


def ask(port: int, files: Files, **changed: str) -> dict[str, Any]:
    member = {"name": "zk1", "host": "127.0.0.1", "client_port": 1, "tls_port": port}
    return run(gate, {"members": [member], "timeout": 0, "tls": files.tls | changed})


@pytest.mark.servers
def test_the_gate_asks_with_tls(serve: Serve, files: Files) -> None:
    server = serve(in_turn("standalone"), files.server())
    answer = ask(server.port, files)
    assert answer["healthy"], answer["problems"]
    assert answer["members"]["zk1"]["mode"] == "standalone"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"ends": -DAY / 2, "begins": -DAY}, "its certificate is refused: certificate has expired"),
    "another host": ({"hosts": ("10.9.9.9",)}, "its certificate is refused: IP address mismatch"),
    "not yet": ({"begins": DAY}, "its certificate is refused: certificate is not yet valid"),
    "another CA": ({}, "its certificate is refused: unable to get local issuer certificate"),
}


@pytest.mark.servers
@pytest.mark.parametrize("kind", REFUSED)
def test_a_server_that_is_not_what_it_should_be_is_unreachable(serve: Serve, files: Files, kind: str) -> None:
    made, words = REFUSED[kind]
    ca = Maker("other") if kind == "another CA" else files.ca
    server = serve(in_turn("standalone"), files.server(ca.pair("zk", **{"hosts": ("127.0.0.1",), **made})))
    (problem,) = ask(server.port, files)["problems"]
    assert f"zk1 does not answer at 127.0.0.1:{server.port}: {words}" in problem


@pytest.mark.servers
def test_a_server_that_refuses_the_host_is_unreachable(serve: Serve, files: Files) -> None:
    server = serve(in_turn("standalone"), files.server())
    other = write(files.top / "other.pem", Maker("other").pair("me"))
    (problem,) = ask(server.port, files, certificate=str(other))["problems"]
    assert "no TLS is possible with it: " in problem


@pytest.mark.servers
def test_a_server_without_tls_is_unreachable(serve: Serve, files: Files) -> None:
    (problem,) = ask(serve(in_turn("standalone")).port, files)["problems"]
    assert "no TLS is possible with it: " in problem


@pytest.mark.parametrize("key", ["ca", "certificate"])
def test_a_file_that_is_not_there_is_named(files: Files, key: str) -> None:
    gone = str(files.top / "gone.pem")
    (problem,) = ask(1, files, **{key: gone})["problems"]
    assert problem.endswith(f"{gone} cannot be used: No such file or directory")


# ---------------------------------------------------------------- while the CA is changed

OLD, NEW = (pem(Maker(name).certificate).decode() for name in ("old", "new"))


def found(trusts: str, *stale: str) -> dict[str, Any]:
    return {"trusts": {"client": fingerprints(trusts)} if trusts else {}, "stale": list(stale)}


@pytest.mark.parametrize(
    ("files", "seen", "changed"),
    [
        (["client-ca.next.key", "client-ca.pem"], found(OLD + NEW), True),
        (["client/zk1.pem"], found(OLD + NEW), False),
        ([], found(OLD), True),  # a run was cut short after the file was written
        ([], found(NEW + OLD), True),
        ([], found(OLD + NEW, "/etc/zookeeper/tls/client-ca.pem"), True),  # and here before the restart
        ([], found(OLD + NEW, "/etc/zookeeper/tls/quorum-ca.pem"), False),
        ([], found(""), False),  # it does not run
    ],
)
def test_a_step_that_this_run_has_made_or_ended_is_told_from_one_of_before(
    files: list[str], seen: dict[str, Any], changed: bool
) -> None:
    hostvars = {
        "zk1": {"__zookeeper_found": found(OLD + NEW), "__zookeeper_certificates": {"files": files}},
        "zk2": {"__zookeeper_found": seen, "__zookeeper_certificates": {"files": files}},
    }
    assert filters.zookeeper_ca_changes(["zk1", "zk2"], hostvars, OLD + NEW) is changed
