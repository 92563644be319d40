"""The module tls_certificates: what it makes, what it renews, and every file that it refuses."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from testbed.tls_files import DAY, Maker, pem, pem_key, signed_with, write
from tests.unit.ansible_module import run
from tests.unit.zookeeper_role import load, load_file

module = load_file("modules/tls_certificates.py")
fingerprints = load("tls_fingerprints").fingerprints
tls_pem = load("tls_pem")

P256 = bytes.fromhex("06082a8648ce3d030107")  # the number of that curve
HOSTS = ("zk1", "10.0.0.1")
LEAVES: list[dict[str, Any]] = [
    {"ca": "quorum", "name": "zk1", "hosts": list(HOSTS)},
    {"ca": "client", "name": "zk1", "hosts": list(HOSTS)},
    {"ca": "client", "name": "mwapp-master-mw1"},
]


def ensure(directory: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    return run(module, {"directory": str(directory), "certificates": LEAVES, **other}, check=check)


def warning(answer: dict[str, Any]) -> str:
    return str(answer["warnings"][0]["event"]["msg"])


def files(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def certificate(path: Path) -> Any:
    return x509.load_pem_x509_certificate(path.read_bytes())


# ---------------------------------------------------------------- what it makes


def test_a_cas_key_without_its_certificate_is_kept_if_it_may_have_signed_something(tmp_path: Path) -> None:
    ensure(tmp_path)
    (tmp_path / "quorum-ca.pem").unlink()
    said = ensure(tmp_path)["msg"]
    assert said.endswith("quorum-ca.pem is not: put it back.")
    (tmp_path / "quorum/zk1.pem").unlink()
    said = ensure(tmp_path)["msg"]
    assert said.endswith("(If nothing was ever signed with the key, remove it: both are made.)")
    (tmp_path / "quorum-ca.key").unlink()
    assert ensure(tmp_path)["files"] == ["quorum-ca.key", "quorum-ca.pem", "quorum/zk1.pem"]


def test_both_cas_and_all_leaves_are_made_once(tmp_path: Path) -> None:
    place = tmp_path / "tls"
    checked = ensure(place, check=True)
    assert checked["changed"]
    assert not place.exists()
    first = ensure(place)
    assert first["changed"]
    assert first["made"] == checked["made"]
    assert sorted(files(place)) == [
        *("client-ca.key", "client-ca.pem", "client/mwapp-master-mw1.pem", "client/zk1.pem"),
        *("quorum-ca.key", "quorum-ca.pem", "quorum/zk1.pem"),
    ]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.rglob("*"))}
    assert {oct(mode) for path, mode in modes.items() if path.is_dir()} == {"0o700"}
    assert {oct(modes[place / name]) for name in ("client-ca.key", "client/zk1.pem", "quorum/zk1.pem")} == {
        "0o600"
    }
    before = files(place)
    again = ensure(place)
    assert (again["changed"], again["made"], files(place)) == (False, [], before)
    assert again["expires"] == first["expires"]


def test_no_key_is_in_an_answer(tmp_path: Path) -> None:
    answer = str(ensure(tmp_path / "tls"))
    for content in files(tmp_path / "tls").values():
        for line in re.findall(rb"PRIVATE KEY-----\n(.+)\n", content):
            assert line.decode() not in answer


def test_a_leaf_is_of_one_rdn_for_its_hosts_and_of_its_ca_alone(tmp_path: Path) -> None:
    ensure(tmp_path)
    for ca, other in (("client", "quorum"), ("quorum", "client")):
        leaf = certificate(tmp_path / ca / "zk1.pem")
        leaf.verify_directly_issued_by(certificate(tmp_path / f"{ca}-ca.pem"))
        with pytest.raises(ValueError, match="Issuer"):
            leaf.verify_directly_issued_by(certificate(tmp_path / f"{other}-ca.pem"))
        assert leaf.subject.rfc4514_string() == "CN=zk1"
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["zk1"]
        assert [str(it) for it in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    client = certificate(tmp_path / "client/mwapp-master-mw1.pem")
    assert client.subject.rfc4514_string() == "CN=mwapp-master-mw1"
    uses = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in uses] == ["1.3.6.1.5.5.7.3.2"], "a client cannot pass for a server"


def test_a_status_endpoint_has_a_ca_of_its_own_and_is_a_server_alone(tmp_path: Path) -> None:
    """It is for the name of a host: of the clients' CA it could pass for a ZooKeeper server there."""
    ensure(tmp_path)
    before = files(tmp_path)
    endpoint = {"ca": "status", "name": "mwapp-master-mw1", "hosts": ["mw1", "127.0.0.1"]}
    made = ensure(tmp_path, certificates=[endpoint])
    assert made["files"] == ["status-ca.key", "status-ca.pem", "status/mwapp-master-mw1.pem"]
    assert files(tmp_path).items() >= before.items()
    leaf = certificate(tmp_path / "status/mwapp-master-mw1.pem")
    leaf.verify_directly_issued_by(certificate(tmp_path / "status-ca.pem"))
    uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in uses] == ["1.3.6.1.5.5.7.3.1"]
    assert not ensure(tmp_path, certificates=[endpoint])["changed"]
    assert ensure(tmp_path, certificates=[{**endpoint, "hosts": ["mw2"]}])["made"][0].endswith(
        "renewed: it is not for mw2 (its subjectAltName has mw1, 127.0.0.1)"
    )


def test_openssl_takes_what_is_made(tmp_path: Path) -> None:
    ensure(tmp_path)
    context = ssl.create_default_context(cafile=str(tmp_path / "client-ca.pem"))
    context.load_cert_chain(tmp_path / "client/zk1.pem")


def test_names_are_written_in_one_way(tmp_path: Path) -> None:
    one = {"ca": "client", "name": "zk1"}
    ensure(tmp_path, certificates=[{**one, "hosts": ["ZK1.", "[2001:DB8::0:1]", "fe80::1%eth0", "zk1"]}])
    again = ensure(tmp_path, certificates=[{**one, "hosts": ["zk1", "2001:db8::1", "fe80::1"]}])
    assert not again["changed"]


def test_a_directory_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    ensure(tmp_path)
    tmp_path.chmod(0o755)
    assert ensure(tmp_path, check=True)["changed"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert ensure(tmp_path)["made"] == [f"{tmp_path}: mode 0700"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


# ---------------------------------------------------------------- what it renews


def test_another_name_renews_that_leaf_alone(tmp_path: Path) -> None:
    ensure(tmp_path)
    before = files(tmp_path)
    wanted = [{**LEAVES[0], "hosts": [*HOSTS, "zk1.example.org"]}, *LEAVES[1:]]
    answer = ensure(tmp_path, certificates=wanted)
    assert len(answer["made"]) == 1
    assert answer["files"] == ["quorum/zk1.pem"]
    assert answer["made"][0].startswith("quorum/zk1.pem: renewed: it is not for zk1.example.org")
    after = files(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"quorum/zk1.pem"}
    fewer = ensure(tmp_path)
    assert not fewer["changed"], "a name too many harms nobody"


def test_a_leaf_near_its_end_is_renewed(tmp_path: Path) -> None:
    ensure(tmp_path, days=20, renew_days=5)
    assert not ensure(tmp_path, days=20, renew_days=5)["changed"]
    assert len(ensure(tmp_path, days=365, renew_days=19)["made"]) == 0
    answer = ensure(tmp_path, days=365, renew_days=21)
    assert len(answer["made"]) == 3
    assert "quorum/zk1.pem: renewed: it expires on" in answer["made"][-1]
    assert not ensure(tmp_path, days=365, renew_days=21)["changed"]


def test_a_leaf_of_another_ca_or_use_is_renewed(tmp_path: Path) -> None:
    ensure(tmp_path)
    write(tmp_path / "quorum/zk1.pem", Maker().pair("zk1", HOSTS))
    assert "it is not of the CA CN=zklab-quorum-ca-" in ensure(tmp_path)["made"][0]
    write(tmp_path / "client/zk1.pem", (tmp_path / "client/mwapp-master-mw1.pem").read_bytes())
    (made,) = ensure(tmp_path)["made"]
    assert "it is not for zk1, 10.0.0.1" in made


def test_a_leaf_cannot_outlive_its_ca_and_is_not_renewed_for_it(tmp_path: Path) -> None:
    for name in ("client", "quorum"):
        ca = Maker(ends=10 * DAY)
        write(tmp_path / f"{name}-ca.pem", pem(ca.certificate))
        write(tmp_path / f"{name}-ca.key", pem_key(ca.key))
    first = ensure(tmp_path)
    assert len(first["made"]) == 3
    assert f"{tmp_path}/client-ca.pem expires on" in warning(first)
    assert not ensure(tmp_path)["changed"]


def test_a_ca_that_is_no_root_goes_along(tmp_path: Path) -> None:
    root = Maker("root")
    below = Maker("below", signed_by=root)
    write(tmp_path / "client-ca.pem", pem(below.certificate) + pem(root.certificate))
    write(tmp_path / "client-ca.key", pem_key(below.key))
    ensure(tmp_path)
    chain = x509.load_pem_x509_certificates((tmp_path / "client/zk1.pem").read_bytes())
    assert [one.subject.rfc4514_string() for one in chain] == ["CN=zk1", "CN=below"]
    assert not ensure(tmp_path)["changed"]


# ---------------------------------------------------------------- what is brought


def bring(directory: Path, ca: Maker, **changed: bytes) -> None:
    """All files of an operator, whose CAs are elsewhere; ``changed``: the client's leaf of zk1, say."""
    for name, its in (("client", ca), ("quorum", Maker("quorum-ca"))):
        write(directory / f"{name}-ca.pem", pem((its.signed_by or its).certificate))
        write(directory / name / "zk1.pem", its.pair("zk1", HOSTS))
    write(directory / "client/mwapp-master-mw1.pem", ca.pair("mwapp-master-mw1"))
    if "leaf" in changed:
        write(directory / "client/zk1.pem", changed["leaf"])


def test_what_is_brought_is_left_alone(tmp_path: Path) -> None:
    bring(tmp_path, Maker("below", signed_by=Maker("root")))
    before = files(tmp_path)
    answer = ensure(tmp_path)
    assert (answer["changed"], files(tmp_path)) == (False, before)
    assert "client-ca.pem" in answer["expires"]


def test_what_is_optional_is_made_but_need_not_be_brought(tmp_path: Path) -> None:
    more = [*LEAVES, {"ca": "client", "name": "root", "optional": True}]
    ensure(tmp_path / "made", certificates=more)
    assert certificate(tmp_path / "made/client/root.pem").subject.rfc4514_string() == "CN=root"
    ca = Maker()
    bring(tmp_path, ca, leaf=ca.pair("zk1", HOSTS))
    brought = [{"ca": "client", "name": "zk1", "hosts": HOSTS}]
    assert not ensure(tmp_path, certificates=[*brought, more[-1]])["changed"]
    missing = ensure(tmp_path, certificates=[*brought, {**more[-1], "optional": False}])
    assert "root.pem is missing" in missing["msg"]


def test_who_brings_them_is_warned_in_time(tmp_path: Path) -> None:
    bring(tmp_path, Maker(), leaf=Maker().pair("zk1", HOSTS))
    ca = Maker()
    bring(tmp_path, ca, leaf=ca.pair("zk1", HOSTS, ends=10 * DAY))
    assert re.search(r"client/zk1.pem expires on 20..-..-..: bring a new one", warning(ensure(tmp_path)))


def _reversed(ca: Maker) -> bytes:
    below = Maker("below", signed_by=ca)
    key, leaf = below.leaf("zk1", HOSTS)
    return pem_key(key) + pem(below.certificate) + pem(leaf)


def _gap(ca: Maker) -> bytes:
    below = Maker("below", signed_by=Maker("middle", signed_by=ca))
    return below.pair("zk1", HOSTS)


def _strange_middle(ca: Maker) -> bytes:
    key, leaf = ca.leaf("zk1", HOSTS)
    return pem_key(key) + pem(leaf) + pem(Maker("stranger").certificate)


def _old_middle(ca: Maker) -> bytes:
    return Maker("below", signed_by=ca, ends=-DAY / 2).pair("zk1", HOSTS)


def _mismatch(ca: Maker) -> bytes:
    return pem_key(ca.leaf("zk1")[0]) + pem(ca.leaf("zk1", HOSTS)[1])


def _in_form(form: str, password: bytes | None = None) -> Callable[[Maker], bytes]:
    def make(ca: Maker) -> bytes:
        key, leaf = ca.leaf("zk1", HOSTS)
        return pem_key(key, form, password) + pem(leaf)

    return make


def _wrong_kind(ca: Maker) -> bytes:
    return pem_key(ed25519.Ed25519PrivateKey.generate()) + pem(ca.leaf("zk1", HOSTS)[1])


def _on_curve(curve: Any) -> Callable[[Maker], bytes]:
    return lambda ca: ca.pair("zk1", HOSTS, key=ec.generate_private_key(curve))


def _unknown_curve(text: bytes) -> bytes:
    """The same, but with the number of another curve, which cryptography does not have either."""
    first, *lines, last = text.splitlines()
    der = base64.b64decode(b"".join(lines))
    assert der.count(P256) == 1
    other = der.replace(P256, P256[:-1] + b"\x05")
    return b"\n".join((first, base64.b64encode(other), last)) + b"\n"


def _on_unknown_curve(ca: Maker) -> bytes:
    key, leaf = ca.leaf("zk1", HOSTS)
    return _unknown_curve(pem_key(key)) + pem(leaf)


def _rsa(bits: int = 2048) -> Any:
    return rsa.generate_private_key(65537, bits)


def _below(above: Maker, **its: Any) -> bytes:
    """Of a CA between, which is not as it should be."""
    return Maker("below", signed_by=above, **its).pair("zk1", HOSTS)


def _long(ca: Maker) -> bytes:
    below = Maker("below", signed_by=ca, most=0)
    return Maker("low", signed_by=below).pair("zk1", HOSTS) + pem(below.certificate)


def _signed_with(kind: bytes) -> Callable[[Maker], bytes]:
    def make(_: Maker) -> bytes:
        ca = Maker("test-ca", key=_rsa())
        key, leaf = ca.leaf("zk1", HOSTS)
        return pem_key(key) + signed_with(kind, pem(leaf))

    return make


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_curves_that_java_offers_are_taken(tmp_path: Path, curve: Any) -> None:
    ca = Maker(key=ec.generate_private_key(curve))
    bring(tmp_path, ca, leaf=_on_curve(curve)(ca))
    assert "failed" not in ensure(tmp_path)


BAD_LEAVES: dict[str, tuple[Callable[[Maker], bytes], str]] = {
    "expired": (lambda ca: ca.pair("zk1", HOSTS, begins=-9 * DAY, ends=-DAY), "it expired on .*: bring"),
    "not yet valid": (
        lambda ca: ca.pair("zk1", HOSTS, begins=DAY),
        "CN=zk1 is not valid before .* this machine's clock says .*: correct the clock",
    ),
    "wrong SAN": (
        lambda ca: ca.pair("zk1", ("zk1",)),
        r"not for 10.0.0.1 \(its subjectAltName has zk1\): bring a certificate for zk1 \(zk1, 10.0.0.1\)",
    ),
    "no SAN": (lambda ca: ca.pair("zk1"), "its subjectAltName has nothing"),
    "wrong use": (lambda ca: ca.pair("zk1", HOSTS, uses=("CLIENT_AUTH",)), "not for the use as server"),
    "key of another": (_mismatch, "the key is not that of the certificate CN=zk1: put both of one pair"),
    "chain backwards": (_reversed, "chain is in the wrong order, CN=below first: put the host's own"),
    "chain with a gap": (_gap, "CN=below is signed by CN=middle, not by CN=test-ca"),
    "chain of a stranger": (_strange_middle, "CN=zk1 is followed by CN=stranger, which has not signed it"),
    "expired in the chain": (_old_middle, "CN=below expired on"),
    "wrong CA": (lambda _ca: Maker("other").pair("zk1", HOSTS), "is signed by CN=other, not by CN=test-ca"),
    "self-signed": (lambda _ca: pem_key(s.key) + pem(s.certificate) if (s := Maker("zk1")) else b"", "zk1"),
    "encrypted key": (_in_form("PKCS8", b"secret"), "protected by a password.*openssl pkey"),
    "encrypted old key": (_in_form("TraditionalOpenSSL", b"secret"), "protected by a password"),
    "old form of key": (_in_form("TraditionalOpenSSL"), "ZooKeeper cannot read this form.*openssl pkcs8"),
    "kind of key": (_wrong_kind, "neither RSA of 2048 bits or more nor EC"),
    "two keys": (lambda ca: pem_key(Maker().key) + ca.pair("zk1", HOSTS), "has 2 keys, and whoever reads it"),
    "two keys, one in the old form": (
        lambda ca: pem_key(Maker().key, "TraditionalOpenSSL") + ca.pair("zk1", HOSTS),
        "has 2 keys",
    ),
    "a curve that Java lacks": (
        _on_curve(ec.SECP256K1()),
        "neither RSA .* nor EC with P-256, P-384 or",
    ),
    "another curve": (_on_curve(ec.BrainpoolP256R1()), "Java offers no other: bring one that is"),
    "a CA on such a curve": (
        lambda ca: Maker("below", signed_by=ca, key=ec.generate_private_key(ec.SECP256K1())).pair(
            "zk1", HOSTS
        ),
        "the key of CN=below is EC with secp256k1, and Java",
    ),
    "a curve that nobody knows": (_on_unknown_curve, "its key is neither RSA"),
    "a certificate of such a key": (
        lambda ca: pem_key(ca.key) + _unknown_curve(pem(ca.leaf("zk1", HOSTS)[1])),
        "the key of CN=zk1 is EC with an unknown curve",
    ),
    "signed with SHA-1": (_signed_with(b"\x05"), "CN=zk1 is signed with SHA1, .*: bring .* SHA-256"),
    "signed with MD5": (_signed_with(b"\x04"), "CN=zk1 is signed with MD5"),
    "a short key in the chain": (
        lambda ca: _below(ca, key=_rsa(1024)),
        "the key of CN=below is RSA with 1024 bits, .*: bring one with 2048",
    ),
    "issuer that is no CA": (lambda ca: _below(ca, ca=False), "CN=below is no CA's, so .*basicConstraints"),
    "issuer that may not sign": (
        lambda ca: _below(ca, usage=("digital_signature",)),
        "CN=below may sign no certificates, .*keyCertSign",
    ),
    "issuer for another use": (
        lambda ca: _below(ca, uses=("CLIENT_AUTH",)),
        r"CN=below signs for no use as server \(extendedKeyUsage\)",
    ),
    "too long a chain": (_long, "CN=below allows 0 CAs below it .*pathlen.* and 1 .*: bring"),
    "key that may not sign": (
        lambda ca: ca.pair("zk1", HOSTS, usage=("key_encipherment",)),
        "CN=zk1 .*keyUsage lacks digitalSignature",
    ),
    "no key": (lambda ca: pem(ca.leaf("zk1", HOSTS)[1]), "has no private key in PEM"),
    "no certificate": (lambda ca: pem_key(ca.key), "has no certificate in PEM"),
    "damaged key": (lambda ca: re.sub(rb"MI.{9}", b"MIAAAA", ca.pair("zk1", HOSTS), count=1), "damaged"),
    "damaged": (
        lambda ca: pem_key(ca.key) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "a certificate in it is damaged",
    ),
}


@pytest.mark.parametrize("kind", BAD_LEAVES)
def test_a_bad_leaf_is_refused(tmp_path: Path, kind: str) -> None:
    make, message = BAD_LEAVES[kind]
    ca = Maker()
    bring(tmp_path, ca, leaf=make(ca))
    before = files(tmp_path)
    for check in (True, False):
        answer = ensure(tmp_path, check=check)
        assert answer["failed"]
        (line,) = answer["msg"].splitlines()[1:]
        assert line.startswith(f"- {tmp_path}/client/zk1.pem")
        assert re.search(message, line), line
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"usage": ("crl_sign",)}, "CN=root may sign no certificates"),
        ({"most": 0}, "CN=root allows 0 CAs below it"),
        ({"key": _rsa(1024)}, "the key of CN=root is RSA with 1024 bits"),
    ],
)
@pytest.mark.parametrize("file", ["client/zk1.pem", "client-ca.pem"])
def test_what_is_above_must_be_as_it_should_be_too(
    tmp_path: Path, file: str, changed: dict[str, Any], message: str
) -> None:
    root = Maker("root", **changed)
    ca = Maker("below", signed_by=root)
    if file == "client-ca.pem":
        store_ca(tmp_path, "client", ca, root)
    else:
        bring(tmp_path, ca)
    problems = ensure(tmp_path)["msg"].splitlines()[1:]
    its_file = file if "most" in changed else "client-ca.pem"
    assert [line for line in problems if line.startswith(f"- {tmp_path}/{its_file}: {message}")], problems


def test_what_is_as_it_should_be_is_taken(tmp_path: Path) -> None:
    signs = ("key_cert_sign", "crl_sign")
    root = Maker("root", most=1, usage=signs, key=_rsa())
    uses = ("SERVER_AUTH", "CLIENT_AUTH")
    ca = Maker("below", signed_by=root, most=0, usage=signs, uses=uses)
    bring(tmp_path, ca, leaf=ca.pair("zk1", HOSTS, usage=("digital_signature",)))
    assert "failed" not in ensure(tmp_path)


def two_names(ca: Maker, name: str, organization: str) -> bytes:
    """A client's pair whose subject has a second part, as those of companies have."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    signed = ca._builder(subject, ca.certificate.subject, key, -DAY, 9 * DAY).sign(ca.key, hashes.SHA256())
    return pem_key(key) + pem(signed)


@pytest.mark.parametrize(
    ("make", "subject"),
    [
        (lambda ca: ca.pair("mwapp-worker-mw2"), "CN=mwapp-worker-mw2"),
        (lambda ca: ca.pair("zookeeper-superuser"), "CN=zookeeper-superuser"),
        (lambda ca: ca.pair("mwapp-master-mw"), "CN=mwapp-master-mw"),
        (lambda ca: two_names(ca, "mwapp-master-mw1", "Ours"), "CN=mwapp-master-mw1,O=Ours"),
    ],
)
def test_a_client_has_a_certificate_of_its_own_name(
    tmp_path: Path, make: Callable[[Maker], bytes], subject: str
) -> None:
    """Its rights go by it: a worker with a master's could do everything."""
    ca = Maker()
    bring(tmp_path, ca)
    write(tmp_path / "client/mwapp-master-mw1.pem", make(ca))
    (line,) = ensure(tmp_path)["msg"].splitlines()[1:]
    assert line == (
        f"- {tmp_path}/client/mwapp-master-mw1.pem: its subject is {subject}, not CN=mwapp-master-mw1: bring "
        "a certificate for mwapp-master-mw1."
    )


def test_with_the_key_of_the_ca_a_client_gets_one_of_its_own_name(tmp_path: Path) -> None:
    ensure(tmp_path)
    write(tmp_path / "client/mwapp-master-mw1.pem", (tmp_path / "client/zk1.pem").read_bytes())
    (made,) = ensure(tmp_path)["made"]
    assert made.endswith("renewed: its subject is CN=zk1, not CN=mwapp-master-mw1")


def test_a_server_may_be_called_otherwise_but_as_nobody_who_has_rights(tmp_path: Path) -> None:
    ca = Maker()
    for name in ("zk1.example.org", "ZooKeeper servers"):
        bring(tmp_path, ca, leaf=ca.pair(name, HOSTS))
        assert not ensure(tmp_path)["changed"]
    for name in ("mwapp-master-mw1", "zookeeper-superuser"):
        bring(tmp_path, ca, leaf=ca.pair(name, HOSTS))
        assert f"client/zk1.pem: its subject is CN={name}, not CN=zk1" in ensure(tmp_path)["msg"]
    store_ca(tmp_path, "status", ca := Maker("status-ca"))
    write(tmp_path / "status/st.pem", ca.pair("mwapp-status", ("st",)))
    assert not ensure(tmp_path, certificates=[STATUS])["changed"], "nobody goes by its subject"
    host = {"ca": "client", "name": "mwapp-1", "hosts": ["mwapp-1"]}
    assert ensure(tmp_path / "made", certificates=[host])["changed"]
    assert not ensure(tmp_path / "made", certificates=[host])["changed"]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    bring(tmp_path, Maker(), leaf=b"nothing")
    (tmp_path / "quorum/zk1.pem").unlink()
    lines = ensure(tmp_path)["msg"].splitlines()
    assert len(lines) == 3
    assert lines[0] == f"No host was touched, because of the certificates in {tmp_path}:"


@pytest.mark.parametrize("name", ["client/zk1.pem", "client-ca.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    ensure(tmp_path)
    (tmp_path / name).chmod(mode)
    assert f"{tmp_path}/{name} holds a key, and others" in ensure(tmp_path)["msg"]


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("ca", ["client", "status"])
def test_a_key_beside_a_cas_certificate_is_refused(tmp_path: Path, ca: str, form: str) -> None:
    """The file goes to all hosts, readable for everybody."""
    made = [*LEAVES, {"ca": "status", "name": "mw1", "hosts": ["mw1"]}]
    ensure(tmp_path, certificates=made)
    file = tmp_path / f"{ca}-ca.pem"
    key = pem_key(Maker().key, form)
    write(file, file.read_bytes() + key)
    answer = ensure(tmp_path, certificates=made)
    assert f"{file} holds a private key" in answer["msg"]
    assert f"move the key to {ca}-ca.key" in answer["msg"]
    assert key.splitlines()[1].decode() not in str(answer)


def test_who_joins_makes_no_ca(tmp_path: Path) -> None:
    assert "client-ca.pem is missing: the ensemble's is needed" in ensure(tmp_path, make_ca=False)["msg"]
    assert "client-ca.pem is missing" in ensure(tmp_path, make_ca=False, check=True)["msg"]
    assert ensure(tmp_path, check=True)["changed"]
    ensure(tmp_path)
    more = [*LEAVES, {"ca": "client", "name": "mwapp-cli-mw1"}]
    assert ensure(tmp_path, make_ca=False, certificates=more)["files"] == ["client/mwapp-cli-mw1.pem"]


def test_a_leaf_that_nobody_brought_is_missed(tmp_path: Path) -> None:
    bring(tmp_path, Maker())
    (tmp_path / "client/mwapp-master-mw1.pem").unlink()
    message = ensure(tmp_path)["msg"]
    assert f"{tmp_path}/client/mwapp-master-mw1.pem is missing, and so is client-ca.key" in message


def test_files_of_a_ca_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    ensure(tmp_path)
    ca = (tmp_path / "client-ca.pem").read_bytes()
    (tmp_path / "client-ca.pem").unlink()
    assert "client-ca.key is there, but its certificate" in ensure(tmp_path)["msg"]
    (tmp_path / "client-ca.key").unlink()
    assert "client-ca.pem is missing, but" in ensure(tmp_path)["msg"]
    for content, message in {
        pem(Maker(ca=False).certificate): "is not a CA's, CN=test-ca",
        pem(Maker(ends=-DAY / 2).certificate): "expired on",
        pem(Maker(begins=DAY).certificate): "is not valid before",
        b"": "has no certificate",
    }.items():
        write(tmp_path / "client-ca.pem", content)
        assert message in ensure(tmp_path)["msg"]
    write(tmp_path / "client-ca.pem", ca)
    write(tmp_path / "client-ca.key", pem_key(Maker().key))
    assert "client-ca.key is not the key of the first certificate" in ensure(tmp_path)["msg"]
    write(tmp_path / "client-ca.key", pem_key(Maker().key, password=b"x"))
    assert "client-ca.key: its key is protected by a password" in ensure(tmp_path)["msg"]


def store_ca(directory: Path, name: str, ca: Maker, *more: Maker) -> None:
    """A CA with its key; ``more`` is trusted, too."""
    write(directory / f"{name}-ca.pem", b"".join(pem(it.certificate) for it in (ca, *more)))
    write(directory / f"{name}-ca.key", pem_key(ca.key))


STATUS = {"ca": "status", "name": "st", "hosts": ["st"]}


def same(directory: Path, one: str, other: str) -> None:
    ca = Maker()
    store_ca(directory, one, ca)
    store_ca(directory, other, ca)


def same_key(directory: Path, one: str, other: str) -> None:
    ca = Maker()
    store_ca(directory, one, ca)
    store_ca(directory, other, Maker("renewed", key=ca.key))


def one_root(directory: Path, one: str, other: str) -> None:
    root = Maker("root")
    for name in (one, other):
        store_ca(directory, name, Maker(name, signed_by=root), root)


def one_below_the_other(directory: Path, one: str, other: str) -> None:
    root = Maker("root")
    store_ca(directory, one, Maker("below", signed_by=root), root)
    store_ca(directory, other, root)


def below_alone(directory: Path, one: str, other: str) -> None:
    root = Maker("root")
    store_ca(directory, one, Maker("below", signed_by=root))
    store_ca(directory, other, root)


@pytest.mark.parametrize("how", [same, same_key, one_root, one_below_the_other, below_alone])
@pytest.mark.parametrize("cas", [("client", "quorum"), ("quorum", "client"), ("client", "status")])
def test_one_ca_is_for_one_thing(
    tmp_path: Path, how: Callable[[Path, str, str], None], cas: tuple[str, str]
) -> None:
    """Whoever has a certificate of the quorum's CA may join the quorum."""
    how(tmp_path, *cas)
    before = files(tmp_path)
    for certificates in ([*LEAVES, STATUS], [one for one in (*LEAVES, STATUS) if one["ca"] == cas[0]]):
        answer = ensure(tmp_path, certificates=certificates)
        one, other = sorted(cas)
        assert f"{one}-ca.pem and {other}-ca.pem in {tmp_path} are one CA, or have a root" in answer["msg"]
        assert ("to join the quorum" in answer["msg"]) is ("quorum" in cas)
        assert files(tmp_path) == before
    others = [one for one in (*LEAVES, STATUS) if one["ca"] not in cas]
    assert ensure(tmp_path, certificates=others)["changed"], "whom it does not concern"


def test_from_one_ca_for_all_there_is_a_way(tmp_path: Path) -> None:
    """Step by step, as any CA is changed; until it is over there are warnings."""
    same(tmp_path, "client", "quorum")
    deployed = {
        "zk1": {ca: fingerprints((tmp_path / f"{ca}-ca.pem").read_text()) for ca in ("client", "quorum")}
    }
    for step in ("add", "switch", "drop"):
        answer = ensure(tmp_path, rotate=["quorum"], step=step, deployed=deployed)
        assert answer["changed"], answer
        warned = [one for one in answer.get("warnings", []) if "have a CA in common" in str(one)]
        assert bool(warned) is (step != "drop")
        deployed["zk1"]["quorum"] = fingerprints((tmp_path / "quorum-ca.pem").read_text())
    assert not ensure(tmp_path, deployed=deployed)["changed"]


# ---------------------------------------------------------------- what has expired, and what has no root


def test_an_expired_ca_names_the_way_out_and_it_works(tmp_path: Path) -> None:
    for name in ("client", "quorum"):
        store_ca(tmp_path, name, Maker(f"{name}-ca", ends=-DAY / 2))
    both: list[dict[str, Any]] = [{}, {"rotate": ["client", "quorum"], "step": "add"}]
    for options in both:
        lines = ensure(tmp_path, **options)["msg"].splitlines()[1:]
        assert len(lines) == 2
        assert re.search(
            r"client-ca.pem: CN=client-ca expired on .*, and so did all certificates that it signed. Stop "
            rf"all servers \(systemctl stop zookeeper\). Move client-ca.\* and client/ in {tmp_path} away, "
            "and run",
            lines[0],
        )
    for name in ("client", "quorum"):
        for path in tmp_path.glob(f"{name}-ca.*"):
            path.unlink()
    assert ensure(tmp_path)["changed"]


def test_an_expired_ca_whose_key_is_elsewhere_is_to_be_brought(tmp_path: Path) -> None:
    bring(tmp_path, Maker())
    write(tmp_path / "client-ca.pem", pem(Maker(ends=-DAY / 2).certificate))
    assert "Stop all servers (systemctl stop zookeeper). Put another CA there" in ensure(tmp_path)["msg"]


def test_for_the_status_endpoints_no_server_is_stopped(tmp_path: Path) -> None:
    store_ca(tmp_path, "status", Maker(ends=-DAY / 2))
    message = ensure(tmp_path, certificates=[STATUS])["msg"]
    assert f"that it signed. Move status-ca.* and status/ in {tmp_path} away" in message


def test_an_expired_ca_beside_the_one_that_signs_is_a_warning_and_can_be_dropped(tmp_path: Path) -> None:
    """A change that has waited too long for its last step."""
    new, old = Maker("new"), Maker("old", ends=-DAY / 2)
    store_ca(tmp_path, "client", new, old)
    answer = ensure(tmp_path)
    assert answer["changed"]
    assert "client-ca.pem: CN=old expired on" in warning(answer)
    there = {"zk1": {"client": fingerprints((tmp_path / "client-ca.pem").read_text())}}
    rotate: dict[str, Any] = {"rotate": ["client"], "deployed": there}
    for step in ("add", "switch"):
        assert ensure(tmp_path, step=step, **rotate)["changed"] is False
    assert ensure(tmp_path, step="drop", **rotate)["made"] == ["client-ca.pem: the old CA is trusted no more"]
    assert (tmp_path / "client-ca.pem").read_bytes() == pem(new.certificate)
    assert "warnings" not in ensure(tmp_path)


@pytest.mark.parametrize("middle", [False, True])
def test_a_ca_that_was_renewed_with_its_key_has_not_expired(tmp_path: Path, middle: bool) -> None:
    """Whatever the order, and however it is named: nobody is told to stop all servers."""
    old = Maker("root", ends=-DAY / 2)
    new = Maker("root", key=old.key, ends=40 * DAY)
    below = [Maker("below", signed_by=new)] if middle else []
    for number, roots in enumerate(([old, new], [new, old])):
        place = tmp_path / str(number)
        store_ca(place, "client", *below, *roots)
        answer = ensure(place)
        assert answer["changed"], answer
        assert "client-ca.pem: CN=root expired on" in warning(answer)
        leaf = certificate(place / "client/zk1.pem")
        assert leaf.not_valid_after_utc > new.certificate.not_valid_before_utc + 20 * DAY
        assert ensure(place)["changed"] is False
        for step in ("add", "switch", "drop"):
            there = {"zk1": {"client": fingerprints((place / "client-ca.pem").read_text())}}
            assert "failed" not in ensure(place, rotate=["client"], step=step, deployed=there)
        assert (place / "client-ca.pem").read_bytes() == b"".join(
            pem(one.certificate) for one in [*below, new]
        )


@pytest.mark.processes
@pytest.mark.parametrize("identifiers", ["none", "hash"])
def test_a_root_signed_with_sha1_is_one(tmp_path: Path, identifiers: str) -> None:
    """Nobody who trusts it verifies that. It was refused as signed by itself, which is not there."""
    names = [f"subjectKeyIdentifier={identifiers}"]
    names.append(f"authorityKeyIdentifier={'none' if identifiers == 'none' else 'keyid'}")
    write(tmp_path / "client-ca.key", b"")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-days", "3650"),
            *("-keyout", tmp_path / "client-ca.key", "-out", tmp_path / "client-ca.pem", "-subj", "/CN=old"),
            *(part for name in names for part in ("-addext", name)),
        ],
        capture_output=True,
        check=True,
    )
    assert ensure(tmp_path)["changed"]


def test_a_ca_of_its_issuers_name_is_no_root(tmp_path: Path) -> None:
    above = Maker("same")
    below = Maker("same", signed_by=above)
    store_ca(tmp_path, "client", below)
    assert "CN=same is signed by CN=same, which is not there" in ensure(tmp_path)["msg"]
    store_ca(tmp_path, "client", below, above)
    assert ensure(tmp_path)["changed"]


def test_a_new_ca_that_has_expired_is_not_switched_to(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    new, now = Maker("new", ends=-DAY / 2), ensemble.directory / "client-ca.pem"
    write(now, now.read_bytes() + pem(new.certificate))
    write(ensemble.directory / "client-ca.next.key", pem_key(new.key))
    ensemble.placed("zk1", "zk2")
    said = ensemble.step("switch", "client")["msg"]
    assert "CN=new, the new CA, has expired: remove it there, and" in said
    assert ensure(ensemble.directory, deployed=ensemble.deployed)["changed"] is False


def test_a_ca_without_its_root_is_refused(tmp_path: Path) -> None:
    """Java trusts it, Python does not: the servers would go on, and the application stop."""
    root = Maker("root")
    middle = Maker("middle", signed_by=root)
    below = Maker("below", signed_by=middle)
    lacks = "client-ca.pem: CN={} is signed by CN={}, which is not there"
    store_ca(tmp_path, "client", below)
    assert lacks.format("below", "middle") in ensure(tmp_path)["msg"]
    store_ca(tmp_path, "client", below, middle)
    assert lacks.format("below", "middle") in ensure(tmp_path)["msg"]
    store_ca(tmp_path, "client", below, root)
    assert lacks.format("below", "middle") in ensure(tmp_path)["msg"]
    store_ca(tmp_path, "client", Maker("new"), middle)
    assert lacks.format("middle", "root") in ensure(tmp_path)["msg"]
    for others in ([middle, root], [root, middle]):
        store_ca(tmp_path, "client", below, *others)
        assert "failed" not in ensure(tmp_path)
    expired = Maker("expired", ends=-DAY / 2)
    store_ca(tmp_path, "client", Maker("under", signed_by=expired), expired)
    assert "CN=expired expired on" in ensure(tmp_path)["msg"], "of what leads to the root all is needed"


def test_a_root_stays_with_the_ca_below_it(tmp_path: Path) -> None:
    root = Maker("root")
    store_ca(tmp_path, "client", Maker("below", signed_by=root), root)
    ensure(tmp_path)
    there = {"zk1": {"client": fingerprints((tmp_path / "client-ca.pem").read_text())}}
    rotate: dict[str, Any] = {"rotate": ["client"], "deployed": there}
    assert ensure(tmp_path, step="drop", **rotate)["changed"] is False
    assert ensure(tmp_path, step="add", **rotate)["made"][1] == "client-ca.pem: a new CA is trusted, too"


def test_a_ca_other_than_that_of_running_servers_is_refused(tmp_path: Path) -> None:
    ensure(tmp_path)
    there = {ca: fingerprints((tmp_path / f"{ca}-ca.pem").read_text()) for ca in ("client", "quorum")}
    assert not ensure(tmp_path, deployed={"zk1": there, "zk2": {}})["changed"]
    fresh = tmp_path / "other"
    message = ensure(fresh, deployed={"zk1": there, "zk2": there})["msg"]
    assert message.count("What runs on zk1, zk2 has certificates of another CA than") == 2
    assert not list(fresh.rglob("*.pem"))


def test_a_second_status_ca_is_refused_and_its_way_is_named(tmp_path: Path) -> None:
    """A second machine where Ansible runs would make one, and cut off monitoring."""
    leaves = [{"ca": "status", "name": "mwapp-master-mw1", "hosts": ["mw1"]}]
    ensure(tmp_path / "one", certificates=leaves)
    there = {"status": fingerprints((tmp_path / "one/status-ca.pem").read_text())}
    assert not ensure(tmp_path / "one", certificates=leaves, deployed={"mw1": there})["changed"]
    message = ensure(tmp_path / "two", certificates=leaves, deployed={"mw1": there})["msg"]
    assert "What runs on mw1 has certificates of another CA than status-ca.pem in" in message
    assert "set mwapp_tls_dir" in message
    assert "-e mwapp_status_new_ca=true" in message
    assert files(tmp_path / "two") == {}


def test_a_ca_is_changed_in_three_steps_and_no_other_way(tmp_path: Path) -> None:
    ensure(tmp_path)
    file, key = tmp_path / "client-ca.pem", tmp_path / "client-ca.key"
    old, new = file.read_bytes(), Maker("new")
    new_pem = pem(new.certificate)
    there = fingerprints(file.read_text())

    def step(content: bytes) -> str:
        file.write_bytes(content)
        answer = ensure(tmp_path, deployed={"zk1": {"client": there}})
        return str(answer.get("msg") or answer["made"])

    assert step(old + new_pem) == "[]"
    there = fingerprints(file.read_text())
    key.write_bytes(pem_key(new.key))
    assert "another CA" in step(new_pem), "of servers that still have certificates of the old one"
    made = step(new_pem + old)
    assert made.count("renewed: it is not of the CA CN=new") == 2
    there = fingerprints(file.read_text())
    assert step(new_pem) == "[]"
    there = fingerprints(file.read_text())
    old_key = Maker("old")
    key.write_bytes(pem_key(old_key.key))
    assert "another CA" in step(pem(old_key.certificate) + new_pem), "servers do not trust it yet"


# ---------------------------------------------------------------- the change of a CA


class Ensemble:
    """A directory, and what two servers trust; each ``run`` is a run of the role on those named."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ensure(directory)
        self.deployed: dict[str, dict[str, list[str]]] = {"zk1": {}, "zk2": {}}
        self.placed("zk1", "zk2")

    def placed(self, *hosts: str) -> None:
        for host in hosts:
            self.deployed[host] = {ca: self.trusted(ca) for ca in ("client", "quorum")}

    def trusted(self, ca: str = "client") -> list[str]:
        return list(fingerprints((self.directory / f"{ca}-ca.pem").read_text()))

    def step(self, step: str, *cas: str, check: bool = False) -> dict[str, Any]:
        rotate = list(cas) or ["client", "quorum"]
        return ensure(self.directory, deployed=self.deployed, rotate=rotate, step=step, check=check)

    def leaf_is_of(self, ca: str = "client") -> str:
        leaf = certificate(self.directory / f"{ca}/zk1.pem")
        for one in x509.load_pem_x509_certificates((self.directory / f"{ca}-ca.pem").read_bytes()):
            with suppress(ValueError, TypeError, InvalidSignature):
                leaf.verify_directly_issued_by(one)
                return one.fingerprint(hashes.SHA256()).hex()
        raise AssertionError("of none that is trusted")


def test_a_ca_is_changed_in_steps_and_each_can_be_asked_for_again(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    (old,) = ensemble.trusted()
    for again in (False, True):
        assert ensemble.step("add")["changed"] is not again
        assert ensemble.trusted()[0] == ensemble.leaf_is_of() == old
        if again:
            ensemble.placed("zk1", "zk2")
    _, new = ensemble.trusted()
    assert stat.S_IMODE((ensemble.directory / "client-ca.next.key").stat().st_mode) == 0o600
    for again in (False, True):
        assert ensemble.step("add")["changed"] is False, "it has begun"
        if not again:
            assert ensemble.step("drop")["changed"] is False, "the new one does not sign yet"
        assert ensemble.step("switch")["changed"] is not again
        assert ensemble.trusted() == [new, old]
        assert ensemble.leaf_is_of() == new
        if again:
            ensemble.placed("zk1", "zk2")
    assert not list(ensemble.directory.glob("*.next.key"))
    for again in (False, True):
        assert ensemble.step("add")["changed"] is False
        assert ensemble.step("switch")["changed"] is False
        assert ensemble.step("drop")["changed"] is not again
        assert ensemble.trusted() == [new]
        assert ensemble.leaf_is_of() == new
    # zk2 has not been restarted yet: that is finished first.
    ensemble.placed("zk1")
    assert ensemble.step("add")["changed"] is False
    ensemble.placed("zk2")
    assert ensemble.step("add")["changed"], "another change"


def test_only_the_ca_that_is_meant_is_changed(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    answer = ensemble.step("add", "quorum")
    assert answer["files"] == ["quorum-ca.next.key", "quorum-ca.pem"]
    assert len(ensemble.trusted("client")) == 1


def test_no_step_is_made_before_all_servers_have_the_one_before(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    ensemble.step("add")
    ensemble.placed("zk1")
    before = files(ensemble.directory)
    answer = ensemble.step("switch")
    assert answer["failed"]
    assert "What runs on zk2 has certificates of another CA than client-ca.pem" in answer["msg"]
    assert files(ensemble.directory) == before
    ensemble.placed("zk2")
    ensemble.step("switch")
    ensemble.placed("zk1")
    answer = ensemble.step("drop")
    assert answer["failed"]
    assert "What runs on zk2 has certificates of another CA" in answer["msg"]


def test_a_check_changes_no_ca(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    before = files(ensemble.directory)
    assert ensemble.step("add", check=True)["made"][:2] == [
        "client-ca.next.key: made",
        "client-ca.pem: a new CA is trusted, too",
    ]
    assert files(ensemble.directory) == before


def test_a_switch_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """By whatever run comes next: the first certificate is the new one's, and its key still waits."""
    ensemble = Ensemble(tmp_path / "tls")
    ensemble.step("add")
    ensemble.placed("zk1", "zk2")
    key = (ensemble.directory / "client-ca.key").read_bytes()
    next_key = (ensemble.directory / "client-ca.next.key").read_bytes()
    ensemble.step("switch")
    (ensemble.directory / "client-ca.key").write_bytes(key)
    write(ensemble.directory / "client-ca.next.key", next_key)
    for step in ("", "add", "switch"):
        answer = ensure(
            ensemble.directory, deployed=ensemble.deployed, rotate=["client"], step=step, check=True
        )
        assert answer["files"] == ["client-ca.key"]
    answer = ensure(ensemble.directory)
    assert answer["made"] == ["client-ca.key: it is the key of the new CA"]
    assert (ensemble.directory / "client-ca.key").read_bytes() == next_key
    assert not (ensemble.directory / "client-ca.next.key").exists()


@pytest.mark.parametrize("written", range(4))
def test_a_switch_that_is_cut_short_wherever_that_is_leaves_what_the_next_run_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    ensemble.step("add", "client")
    ensemble.placed("zk1", "zk2")
    old, new = ensemble.trusted()
    write_one, left = tls_pem.write, [written]

    def cut_short(*what: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write_one(*what)

    with monkeypatch.context() as once:
        once.setattr(tls_pem, "write", cut_short)
        with pytest.raises(KeyboardInterrupt):
            ensemble.step("switch", "client")
    answer = ensemble.step("switch", "client")
    assert "msg" not in answer, answer["msg"]
    assert ensemble.trusted() == [new, old]
    assert ensemble.leaf_is_of() == new
    assert not list(ensemble.directory.glob("*.next.key"))


def test_a_key_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bytes, bool]] = []

    def sync(file: int) -> None:
        there = Path(f"/proc/self/fd/{file}").read_bytes()
        synced.append((there, (tmp_path / "key").exists()))

    monkeypatch.setattr(tls_pem.os, "fsync", sync)
    tls_pem.write(tmp_path / "key", b"secret", 0o600)
    assert synced == [(b"secret", False)]


def test_a_ca_whose_key_is_elsewhere_is_not_changed(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    (ensemble.directory / "client-ca.key").unlink()
    answer = ensemble.step("add")
    assert "client-ca.key is not here, so this CA is yours to change" in answer["msg"]


def test_a_key_that_waits_for_nothing_is_refused(tmp_path: Path) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    ensemble.step("add")
    write(ensemble.directory / "client-ca.next.key", pem_key(Maker().key))
    assert "client-ca.next.key is the key of no certificate in" in ensemble.step("switch")["msg"]


@pytest.mark.parametrize("step", ["", "add"])
def test_a_key_that_waits_is_as_secret_as_any(tmp_path: Path, step: str) -> None:
    ensemble = Ensemble(tmp_path / "tls")
    ensemble.step("add")
    ensemble.placed("zk1", "zk2")
    waits = ensemble.directory / "client-ca.next.key"
    waits.chmod(0o644)
    assert f"{waits} holds a key, and others than its owner can read it" in ensemble.step(step)["msg"]
    waits.chmod(0o600)
    assert "warnings" not in ensemble.step(step)
    write(waits, pem_key(Maker().key))
    warned = ensure(ensemble.directory, deployed=ensemble.deployed)
    assert f"{waits} is the key of no certificate in" in warning(warned)


def test_a_client_is_not_called_as_a_server_is(tmp_path: Path) -> None:
    clash = [*LEAVES, {"ca": "client", "name": "zk1"}]
    answer = ensure(tmp_path / "tls", certificates=clash)
    assert "zookeeper_tls_clients names zk1, which is a server: choose another name" in answer["msg"]


def test_fingerprints_are_those_of_openssl(tmp_path: Path) -> None:
    ensure(tmp_path)
    text = (tmp_path / "client-ca.pem").read_text()
    der = ssl.PEM_cert_to_DER_cert(text)
    assert fingerprints(text * 2) == [hashlib.sha256(der).hexdigest()] * 2
    assert fingerprints("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----") == []


def test_clocks_that_are_far_off_are_refused(tmp_path: Path) -> None:
    now = time.time()
    answer = ensure(tmp_path, clocks={"zk1": now - 3600, "zk2": now + 30, "zk3": str(now + 7200)})
    lines = answer["msg"].splitlines()[1:]
    assert [re.sub(r"\d+ minutes", "N minutes", line)[:52] for line in lines] == [
        "- the clock of zk1 is N minutes behind this machine's"[:52],
        "- the clock of zk3 is N minutes ahead of this machine"[:52],
    ]
    assert not files(tmp_path)


@pytest.mark.parametrize("name", ["../zk1", "", "a" * 65, "zk 1"])
def test_names_that_are_no_file_are_refused(tmp_path: Path, name: str) -> None:
    answer = ensure(tmp_path, certificates=[{"ca": "client", "name": name}])
    assert "cannot be the name of a certificate" in answer["msg"]


def test_hosts_that_no_certificate_can_have_are_refused(tmp_path: Path) -> None:
    one = {"ca": "client", "name": "zk1", "hosts": ["zk\N{SNOWMAN}"]}
    assert "no certificate can be for zk1" in ensure(tmp_path, certificates=[one])["msg"]


@pytest.mark.parametrize(("days", "renew"), [(30, 30), (10, 0)])
def test_days_that_make_no_sense_are_refused(tmp_path: Path, days: int, renew: int) -> None:
    assert "zookeeper_tls_renew_days is" in ensure(tmp_path, days=days, renew_days=renew)["msg"]


@pytest.mark.parametrize("place", ["tls", "./tls", "$NOT_THERE/tls"])
def test_a_place_that_depends_on_who_reads_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run(module, {"directory": place, "certificates": LEAVES}, check=False)
    assert "give an absolute path, or one that begins with ~" in answer["msg"]
    assert not list(tmp_path.iterdir())


def test_a_controller_without_cryptography_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LACKS", "is missing")
    assert "cryptography is missing where Ansible runs: pip install" in ensure(tmp_path)["msg"]


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ensure(tmp_path / "file/tls")["msg"].startswith("zookeeper_tls_dir: ")
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert ensure(tmp_path / "tls")["msg"].startswith("zookeeper_tls_dir: ")
