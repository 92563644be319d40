"""Keys and certificates as PEM files: how they are read, and which of them cannot be used."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils import tls_x509
from ansible_collections.zklab.zookeeper.plugins.module_utils.refusal import RefusalError

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:
    pass  # tls_x509.LACKS says so

LEAST_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")  # those that Java offers for TLS
READABLE_BY_OTHERS = 0o077
ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
ANY_KEY = b"PRIVATE KEY-----"
# ZooKeeper reads keys in this form alone, and says no more than "invalid key" of the others.
PKCS8 = b"-----BEGIN PRIVATE KEY-----"


@dataclass(frozen=True)
class Leaf:
    """What a leaf's file holds."""

    key: Any
    chain: list[Any]


def read(path: Path) -> bytes:
    """What a file says."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusalError(f"{path} cannot be read: {error.strerror}.") from None


def private(path: Path) -> bytes:
    """The content of a file with a key."""
    content = read(path)
    mode = path.stat().st_mode & 0o777
    if mode & READABLE_BY_OTHERS:
        raise RefusalError(
            f"{path} holds a key, and others than its owner can read it (mode {mode:04o}): chmod 600 it. If "
            "somebody may have read it, remove it, and bring or make a new one."
        )
    return content


def read_leaf(path: Path) -> Leaf:
    """The key and the chain of a leaf's file, which belong together."""
    content = private(path)
    key, chain = read_key(path, content), read_certificates(path, content)
    if tls_x509.pair(key, chain[0]):
        return Leaf(key, chain)
    if any(tls_x509.pair(key, certificate) for certificate in chain):
        raise RefusalError(
            f"{path}: its chain is in the wrong order, {tls_x509.name(chain[0])} first: put the host's own "
            "certificate first, then the one that signed it, and so on."
        )
    raise RefusalError(
        f"{path}: the key is not that of the certificate {tls_x509.name(chain[0])}: put both of one pair "
        "there."
    )


def read_key(path: Path, content: bytes) -> Any:
    """The key in what a file says."""
    if ENCRYPTED.search(content):
        raise RefusalError(
            f"{path}: its key is protected by a password, which nobody could give when a server starts by "
            "itself: decrypt it (openssl pkey -in FILE -out FILE)."
        )
    found = KEY.findall(content)
    if not found:
        raise RefusalError(f"{path} has no private key in PEM: put one there (-----BEGIN PRIVATE KEY-----).")
    if len(found) > 1:
        raise RefusalError(f"{path} has {len(found)} keys, and whoever reads it may take another: leave one.")
    if PKCS8 not in content:
        raise RefusalError(
            f"{path}: ZooKeeper cannot read this form of a key: convert it (openssl pkcs8 -topk8 -nocrypt "
            "-in FILE -out FILE)."
        )
    try:
        key = serialization.load_pem_private_key(found[0], password=None)
    except ValueError:
        raise RefusalError(f"{path}: its key is damaged: bring or make a new one.") from None
    except UnsupportedAlgorithm:
        key = None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return key
    raise RefusalError(
        f"{path}: its key is neither RSA of {LEAST_RSA_BITS} bits or more nor EC with P-256, P-384 or P-521, "
        "and Java offers no other: bring one that is."
    )


def public_certificates(path: Path) -> list[Any]:
    """The certificates of a file that is for everybody. A key in it would get to all hosts."""
    content = read(path)
    if ANY_KEY in content:
        raise RefusalError(
            f"{path} holds a private key, and this file goes to all hosts, readable for everybody: move the "
            f"key to {path.stem}.key (mode 0600). If hosts have had it already, others may have read it: "
            "replace this CA ('To change a CA' in the README of the role zookeeper)."
        )
    return read_certificates(path, content)


def read_certificates(path: Path, content: bytes) -> list[Any]:
    """The certificates in what a file says, in order."""
    try:
        found = [x509.load_pem_x509_certificate(one) for one in CERTIFICATE.findall(content)]
    except ValueError:
        raise RefusalError(f"{path}: a certificate in it is damaged: replace it.") from None
    for one in found:
        if odd := _odd_key(one):
            raise RefusalError(f"{path}: the key of {tls_x509.name(one)} is {odd}.")
    if not found:
        raise RefusalError(f"{path} has no certificate in PEM: put one there (-----BEGIN CERTIFICATE-----).")
    return found


def _odd_key(certificate: Any) -> str:
    """What its key is, if it is one that OpenSSL or Java does not take, and the remedy."""
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm:
        return _odd_curve("an unknown curve")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in CURVES:
        return _odd_curve(key.curve.name)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        return (
            f"RSA with {key.key_size} bits, and OpenSSL refuses so short ones: bring one with "
            f"{LEAST_RSA_BITS} or more"
        )
    return ""


def _odd_curve(name: str) -> str:
    return f"EC with {name}, and Java offers no other curves than P-256, P-384 and P-521: bring one of these"


def write(path: Path, content: bytes, mode: int) -> None:
    """Whole, or not at all; and never readable for others, not even for a moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
            os.fchmod(new.fileno(), mode)
            Path(new.name).replace(path)
        except OSError:
            Path(new.name).unlink(missing_ok=True)
            raise


def pem(what: Any) -> bytes:
    """A key or a certificate as text."""
    if isinstance(what, x509.Certificate):
        return what.public_bytes(serialization.Encoding.PEM)
    data: bytes = what.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return data
