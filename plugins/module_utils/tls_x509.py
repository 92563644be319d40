"""What certificates say, and how they are made."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import Any

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    LACKS = "" if hasattr(x509.Certificate, "not_valid_after_utc") else "is older than 42"
except ImportError:
    LACKS = "is missing"

# What is made now is valid since yesterday: a host whose clock is late should take it, too.
BACKDATED = timedelta(days=1)


def builder(subject: Any, issuer: Any, key: Any, now: datetime, ends: datetime) -> Any:
    """What all certificates have that are made here."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*, ca: bool) -> Any:
    """What its key may be used for."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def usages(certificate: Any) -> list[Any]:
    """What it may be used for; a certificate that does not say may be used for all."""
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def hosts(certificate: Any) -> list[str]:
    """Its names and addresses, as texts."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    dns, addresses = names.get_values_for_type(x509.DNSName), names.get_values_for_type(x509.IPAddress)
    return [*dns, *map(str, addresses)]


def general_name(host: str) -> Any:
    """As certificates have it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def is_ca(certificate: Any) -> bool:
    """Whether it may sign others."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def most_below(certificate: Any) -> int | None:
    """How many CAs it allows below itself; None if any number."""
    most: int | None = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return most


def may(certificate: Any, use: str) -> bool:
    """Whether its key may be used for this, as cryptography names it; a certificate that does not say may."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool(getattr(usage, use))


def hash_name(certificate: Any) -> str:
    """That of its signature; empty if the signature has none of its own, or nobody knows it."""
    try:
        found = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return str(found.name) if found else ""


def issued(certificate: Any, issuer: Any) -> bool:
    """Whether the one has signed the other."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_root(certificate: Any) -> bool:
    """Whether nobody is above it. Who trusts a root does not verify its signature, so it may be one that
    nobody can any more (with SHA-1, say)."""
    if certificate.subject != certificate.issuer:
        return False
    named = _key_identifier(certificate, x509.AuthorityKeyIdentifier, "key_identifier")
    own = _key_identifier(certificate, x509.SubjectKeyIdentifier, "digest")
    if named is not None and own is not None:
        return named == own
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:  # of another key under the same name
        return False
    except (ValueError, TypeError):
        pass
    return True


def _key_identifier(certificate: Any, kind: Any, name: str) -> bytes | None:
    try:
        found: bytes | None = getattr(certificate.extensions.get_extension_for_class(kind).value, name)
    except x509.ExtensionNotFound:
        return None
    return found


def ends(certificate: Any) -> datetime:
    """Until when it is valid."""
    ends: datetime = certificate.not_valid_after_utc
    return ends


def pair(key: Any, certificate: Any) -> bool:
    """Whether this is the certificate's key."""
    return public(key) == public(certificate)


def public(of: Any) -> bytes:
    """The public key of a key or a certificate."""
    data: bytes = of.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


def der(certificate: Any) -> bytes:
    """It, in binary form."""
    data: bytes = certificate.public_bytes(serialization.Encoding.DER)
    return data


def name(certificate: Any) -> str:
    """Whose it is."""
    return str(certificate.subject.rfc4514_string())
