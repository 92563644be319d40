"""Files with certificates and keys: whether they can be used, and if not, why, in one line each.

Whoever connects or listens with TLS reads its files here. A context of OpenSSL comes out, which trusts the CA
that was given and no other.
"""

import base64
import binascii
import os
import re
import ssl
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mwapp.errors import BadInputError

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18  # of DER
_OTHERS = 0o007  # a group may be meant
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3


@dataclass(frozen=True, slots=True)
class Names:
    """What the user calls the settings."""

    ca: str = "--tls-ca"
    cert: str = "--tls-cert"
    key: str = "--tls-key"


@dataclass(frozen=True, slots=True)
class Own:
    """What is known of a certificate that we have."""

    ends: datetime | None  # None if that cannot be told
    subject: str | None  # whose it is, as ZooKeeper writes it; None if it has more than a name


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve with TLS, and when our certificate ends."""

    context: ssl.SSLContext
    ends: datetime | None


def serving(cert: str, key: str | None, names: Names) -> Serving:
    """Serve with this certificate, and ask clients for none.

    Raises:
        BadInputError: a file cannot be used; the message begins with its setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return Serving(context, load(context, cert, key, names).ends)


def trusting(ca: str, setting: str) -> ssl.SSLContext:
    """Connect with TLS, and trust servers with a certificate of this CA for the host's name.

    Raises:
        BadInputError: the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks certificates and host names
    if not _CERTIFICATE.search(_text(ca, setting)):
        raise BadInputError(f"{setting}: {ca} has no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as problem:
        raise BadInputError(f"{setting}: {ca}: a certificate in it is damaged: {reason(problem)}") from None
    return context


def load(context: ssl.SSLContext, cert: str, key: str | None, names: Names) -> Own:
    """Have this certificate. Without ``key`` the key is in the same file.

    Raises:
        BadInputError: a file cannot be used; the message begins with its setting.
    """
    text = _text(cert, names.cert)
    key_text, key_name = (_text(key, names.key), names.key) if key else (text, names.cert)
    where = f"{key_name}: {key or cert}"
    if not _CERTIFICATE.search(text):
        raise BadInputError(f"{names.cert}: {cert} has no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    if "PRIVATE KEY-----" not in key_text:
        raise BadInputError(
            f"{where} has no private key in PEM; put it there, or name its file by {names.key}"
        )
    if _ENCRYPTED.search(key_text):
        raise BadInputError(f"{where}: the key is protected by a password: decrypt it (openssl pkey)")
    mode = stat.S_IMODE(Path(key or cert).stat().st_mode)
    if mode & _OTHERS and Path(key or cert).is_file():
        raise BadInputError(
            f"{where} has a key, and everybody on this host can read or change it (mode {mode:04o}): chmod "
            "600 it, and replace the certificate if somebody may have read the key"
        )
    ends, whose = _check_time(f"{names.cert}: {cert}", text, datetime.now(UTC)), None
    with suppress(ValueError, IndexError, binascii.Error):
        whose = subject(text)
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as problem:
        what = _mismatch(text, key or cert) if problem.reason == "KEY_VALUES_MISMATCH" else None
        raise BadInputError(f"{where}: {what or f'it is damaged: {reason(problem)}'}") from None
    return Own(ends, whose)


def _mismatch(text: str, key: str) -> str:
    """Why a key does not belong to the first certificate of a text."""
    with suppress(OSError):  # there is no directory for temporary files, or it is full
        if _in_wrong_order([found[0] for found in _CERTIFICATE.finditer(text)][1:], key):
            return (
                "the chain is in the wrong order: put the certificate of the key first, then the one "
                "that signed it, and so on"
            )
    return "the key is not that of the certificate"


def _in_wrong_order(others: Sequence[str], key: str) -> bool:
    """Whether the key belongs to one of these certificates. Raises OSError."""
    if not others:
        return False
    with tempfile.NamedTemporaryFile("w") as one:  # OpenSSL reads files only; the key stays in its own
        for certificate in others:
            one.seek(0)
            one.truncate()
            one.write(certificate)
            one.flush()
            with suppress(ssl.SSLError):
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(one.name, key)
                return True
    return False


def refused(problem: ssl.SSLCertVerificationError, ca: str, setting: str, another_name: str) -> str:
    """Why a server's certificate is refused, and what to do; ``another_name``: if it is for another host."""
    message = problem.verify_message.rstrip(".")
    if "mismatch" in message:
        remedy = another_name
    elif "expired" in message or "not yet valid" in message:
        remedy = "it must be renewed, or a clock is wrong"
    else:
        remedy = f"{ca} ({setting}) must have the CA of the servers' certificates"
    return f"{message}; {remedy}"


def _text(path: str, setting: str) -> str:
    try:
        with open(path, errors="replace") as file:  # noqa: PTH123 - it is text as the user gave it
            return file.read()
    except OSError as problem:
        hint = (
            "; run as root (sudo), or use a certificate of your own"
            if problem.errno == 13 and os.geteuid()
            else ""
        )
        raise BadInputError(f"{setting}: cannot read {path}: {problem.strerror}{hint}") from None


def reason(problem: ssl.SSLError) -> str:
    """What OpenSSL says of it, in words."""
    return (problem.reason or str(problem)).replace("_", " ").lower()


# ---------------------------------------------------------------- when a certificate is valid


def _check_time(where: str, text: str, now: datetime) -> datetime | None:
    """Raises BadInputError if the first certificate is expired, or not valid yet. OpenSSL tells the rest.

    Returns when it ends, if that can be told.
    """
    begins, ends = None, None
    with suppress(ValueError, IndexError, binascii.Error):
        begins, ends = validity(text)
    if ends is not None and ends <= now:
        raise BadInputError(
            f"{where}: the certificate expired on {ends:%Y-%m-%d}: have it renewed (site.yml does it)"
        )
    if begins is not None and begins > now:
        raise BadInputError(
            f"{where}: the certificate is not valid before {begins:%Y-%m-%d %H:%M} UTC, and the clock here "
            "says "
            f"{now:%Y-%m-%d %H:%M} UTC: correct the clock, or have another one made"
        )
    return ends


def validity(pem: str) -> tuple[datetime, datetime]:
    """From when until when the first certificate of a text is valid. Raises ValueError, IndexError.

    Python's own library does not tell this of a file.
    """
    kind, period, _ = _after_issuer(pem)
    if kind != _SEQUENCE:
        raise ValueError("the validity is not where it should be")
    kind, begins, rest = _element(period)
    other, ends, _ = _element(rest)
    return _moment(kind, begins), _moment(other, ends)


def subject(pem: str) -> str | None:
    """Whose the first certificate of a text is, as CN=NAME; None if there is more in it than a name. Raises
    ValueError, IndexError."""
    _, _, rest = _after_issuer(pem)
    _, names, _ = _element(rest)
    _, first, more = _element(names)
    _, pair, beside = _element(first)
    _, key, value = _element(pair)
    if more or beside or key != _COMMON_NAME:
        return None
    _, text, _ = _element(value)
    return f"CN={text.decode()}"


def _after_issuer(pem: str) -> tuple[int, bytes, bytes]:
    """The validity, and what follows: the subject first."""
    found = _CERTIFICATE.search(pem)
    if found is None:
        raise ValueError("there is no certificate")
    der = base64.b64decode(found[1])
    _, certificate, _ = _element(der)
    _, fields, _ = _element(certificate)
    kind, _, rest = _element(fields)  # the version, which may be left out, then the serial number
    skip = 3 if kind == _VERSION else 2  # ... algorithm, issuer
    for _ in range(skip):
        _, _, rest = _element(rest)
    return _element(rest)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """The first element of some DER: its kind, its content, and what follows it."""
    kind, length, begin = der[0], der[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[2:begin])
    return kind, der[begin : begin + length], der[begin + length :]


def _moment(kind: int, content: bytes) -> datetime:
    formats = {_UTC_TIME: "%y%m%d%H%M%SZ", _TIME: "%Y%m%d%H%M%SZ"}
    if kind not in formats:
        raise ValueError("this is no time")
    return datetime.strptime(content.decode(), formats[kind]).replace(tzinfo=UTC)
