"""Certificates for tests, good and bad ones, made here."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def pem_key(key: Any, form: str = "PKCS8", password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    kind = getattr(serialization.PrivateFormat, form)
    data: bytes = key.private_bytes(serialization.Encoding.PEM, kind, encryption)
    return data


def pem(certificate: Any) -> bytes:
    data: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return data


@dataclass
class Maker:
    """A CA, which signs what it is told to; ``signed_by`` is above it, and ``most`` CAs may be below it."""

    name: str = "test-ca"
    signed_by: Maker | None = None
    begins: timedelta = -DAY
    ends: timedelta = 3650 * DAY
    ca: bool = True
    most: int | None = None
    usage: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    certificate: Any = None

    def __post_init__(self) -> None:
        above = self.signed_by or self
        name, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, it.name)]) for it in (self, above))
        self.certificate = (
            _for(self._builder(name, issuer, self.key, self.begins, self.ends), self.usage, self.uses)
            .add_extension(x509.BasicConstraints(ca=self.ca, path_length=self.most), critical=True)
            .sign(above.key, hashes.SHA256())
        )

    def leaf(
        self,
        name: str,
        hosts: tuple[str, ...] = (),
        *,
        begins: timedelta = -DAY,
        ends: timedelta = 365 * DAY,
        usage: tuple[str, ...] = (),
        uses: tuple[str, ...] = ("SERVER_AUTH", "CLIENT_AUTH"),
        key: Any = None,
    ) -> tuple[Any, Any]:
        """A key, and its certificate."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _for(self._builder(subject, self.certificate.subject, key, begins, ends), usage, uses)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False
            )
        return key, builder.sign(self.key, hashes.SHA256())

    def pair(self, name: str, hosts: tuple[str, ...] = (), **other: Any) -> bytes:
        """A leaf as a file has it: key, certificate, and what leads to the root."""
        key, certificate = self.leaf(name, hosts, **other)
        return pem_key(key) + pem(certificate) + (pem(self.certificate) if self.signed_by else b"")

    def _builder(self, name: Any, issuer: Any, key: Any, begins: timedelta, ends: timedelta) -> Any:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + begins)
            .not_valid_after(now() + ends)
        )


# What a key may be used for, by the names that cryptography has.
KEY_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def _for(builder: Any, usage: tuple[str, ...], uses: tuple[str, ...]) -> Any:
    """With keyUsage and extendedKeyUsage, if there are any."""
    if usage:
        bits = {name: name in usage for name in KEY_USAGES}
        builder = builder.add_extension(x509.KeyUsage(**bits), critical=True)
    if uses:
        usages = [getattr(ExtendedKeyUsageOID, use) for use in uses]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder


def signed_with(kind: bytes, text: bytes) -> bytes:
    """A certificate in PEM that RSA has signed, as if it were with another hash (so it is wrong)."""
    der = x509.load_pem_x509_certificate(text).public_bytes(serialization.Encoding.DER)
    sha256 = bytes.fromhex("2a864886f70d01010b")
    assert der.count(sha256) == 2
    other = base64.encodebytes(der.replace(sha256, sha256[:-1] + kind))
    return b"-----BEGIN CERTIFICATE-----\n" + other + b"-----END CERTIFICATE-----\n"


def _general(host: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def without_version(der: bytes) -> bytes:
    """As the first certificates were: what is signed has no first field. (The signature is wrong now.)"""
    at = der.index(b"\xa0\x03\x02\x01\x02")
    cut = der[:at] + der[at + 5 :]
    outer, inner = int.from_bytes(der[2:4]) - 5, int.from_bytes(der[6:8]) - 5
    return cut[:2] + outer.to_bytes(2) + cut[4:6] + inner.to_bytes(2) + cut[8:]
