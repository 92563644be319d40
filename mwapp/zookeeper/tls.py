"""TLS to the ensemble: who we are, whom we trust, and why a connection is refused, in one line each.

A process has one :class:`Tls`, and in it one context of OpenSSL: it trusts the CA that it was given and no
other, and checks that each server is who it should be.
"""

import base64
import binascii
import os
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mwapp.errors import BadInputError

# A server that is being restarted hangs up, too, and another attempt may succeed.
HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError)
# After so many such attempts in a row there is no TLS on its port.
MOST_HANG_UPS = 3
# How long to look whether a server that does not answer wants TLS.
LOOK_SECONDS = 0.5
# How long before its end to warn of a certificate.
WARN = timedelta(days=30)
NO_TLS = "no TLS is possible there: {}; give the servers' port for TLS, such as 2182"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18  # of DER
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3


class TlsRefusedError(OSError):
    """There is no use in trying again as it is; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the user calls the three settings."""

    ca: str = "--tls-ca"
    cert: str = "--tls-cert"
    key: str = "--tls-key"


class Tls:
    """How this process connects with TLS."""

    def __init__(self, ca: str, cert: str, key: str | None = None, names: Names | None = None) -> None:
        """Read the files. Without ``key`` the key is in the same file as the certificate.

        Raises:
            BadInputError: one of them cannot be used; the message begins with its setting.
        """
        names = names or Names()
        self._ca, self._cert, self._names = ca, cert, names
        # When our certificate ends; None if that cannot be told.
        self.ends: datetime | None = None
        # Whose it is, as ZooKeeper writes it; None if it has more than a name.
        self.subject: str | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks certificates and host names
        if not _CERTIFICATE.search(_text(ca, names.ca)):
            raise BadInputError(f"{names.ca}: {ca} has no certificate in PEM (-----BEGIN CERTIFICATE-----)")
        try:
            self.context.load_verify_locations(ca)
        except ssl.SSLError as problem:
            raise BadInputError(
                f"{names.ca}: {ca}: a certificate in it is damaged: {_reason(problem)}"
            ) from None
        self._load_own(cert, key)

    def _load_own(self, cert: str, key: str | None) -> None:
        names = self._names
        text = _text(cert, names.cert)
        key_text, key_name = (_text(key, names.key), names.key) if key else (text, names.cert)
        where = f"{key_name}: {key or cert}"
        if not _CERTIFICATE.search(text):
            raise BadInputError(
                f"{names.cert}: {cert} has no certificate in PEM (-----BEGIN CERTIFICATE-----)"
            )
        if "PRIVATE KEY-----" not in key_text:
            raise BadInputError(
                f"{where} has no private key in PEM; put it there, or name its file by {names.key}"
            )
        if _ENCRYPTED.search(key_text):
            raise BadInputError(f"{where}: the key is protected by a password: decrypt it (openssl pkey)")
        self.ends = _check_time(f"{names.cert}: {cert}", text, datetime.now(UTC))
        with suppress(ValueError, IndexError, binascii.Error):
            self.subject = subject(text)
        try:
            self.context.load_cert_chain(cert, key)
        except ssl.SSLError as problem:
            what = (
                "the key is not that of the certificate" if problem.reason == "KEY_VALUES_MISMATCH" else None
            )
            raise BadInputError(f"{where}: {what or f'it is damaged: {_reason(problem)}'}") from None

    def wrap(self, connection: Any, host: str) -> ssl.SSLSocket:
        """Secure a connection to this host, within the connection's own time-out.

        Raises:
            TlsRefusedError: one side refuses the other.
            OSError: something else; another attempt may succeed.
        """
        try:
            return self.context.wrap_socket(connection, server_hostname=host)
        except OSError as problem:  # and it is closed
            raise self.explained(problem) from problem

    def explained(self, problem: OSError) -> OSError:
        """The same error, with what to do if it is one that stays."""
        names = self._names
        if isinstance(problem, ssl.SSLCertVerificationError):
            why, remedy = problem.verify_message.rstrip("."), self._remedy(problem)
            return TlsRefusedError(f"the server's certificate is refused: {why}; {remedy}")
        if not isinstance(problem, ssl.SSLError) or isinstance(problem, HUNG_UP):
            return problem
        reason = _reason(problem)
        if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
            return TlsRefusedError(
                f"the server refuses the certificate in {self._cert} ({names.cert}): {reason}; it must be "
                "from the "
                "CA that the servers trust for clients, and not expired"
            )
        return TlsRefusedError(NO_TLS.format(reason))

    def _remedy(self, problem: ssl.SSLCertVerificationError) -> str:
        message = problem.verify_message
        if "mismatch" in message:
            return "connect by a name or address that is in it"
        if "expired" in message or "not yet valid" in message:
            return "it must be renewed, or a clock is wrong"
        return f"{self._ca} ({self._names.ca}) must have the CA of the servers' certificates"

    def ending(self, now: datetime | None = None) -> str | None:
        """That our certificate expires soon, and the remedy; None if it does not."""
        now = now or datetime.now(UTC)
        if self.ends is None or self.ends - now >= WARN:
            return None
        return (
            f"the certificate in {self._cert} ({self._names.cert}) expires on {self.ends:%Y-%m-%d}, in "
            f"{max((self.ends - now).days, 0)} days: have it renewed (site.yml does it)"
        )

    def connect(
        self, connect: Callable[..., Any] = socket.create_connection
    ) -> Callable[[tuple[Any, int], float], Any]:
        """A function that connects like this one, and with TLS. The host may be bytes."""

        def secured(address: tuple[Any, int], timeout: float) -> ssl.SSLSocket:
            host = address[0].decode() if isinstance(address[0], bytes) else address[0]
            return self.wrap(connect(address, timeout), host)

        return secured


def wanted(address: tuple[str, int]) -> bool:
    """Whether a server speaks TLS, to tell somebody who does not; nothing is sent to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(address, LOOK_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=address[0]),
        ):
            return True
    except ssl.SSLError as problem:
        return "alert" in _reason(problem)  # it misses our certificate
    except OSError:
        return False


class Channel:
    """A connection with TLS that never waits, for a thread that waits for several at once.

    OpenSSL takes whole records from the socket, so that data may be there when the socket has none
    (:attr:`held`), and there may be none when the socket has some.
    """

    def __init__(self, secured: ssl.SSLSocket, tls: Tls, refused: Callable[[str], None]) -> None:
        """``refused`` is called if the server refuses us after all, as it does with TLS 1.3."""
        secured.settimeout(0.0)
        self._secured = secured
        self._tls = tls
        self._refused = refused
        self._cut = False

    @property
    def held(self) -> bool:
        """Whether data are here that the socket does not tell of."""
        return not self._cut and self._secured.pending() > 0

    def recv(self, size: int) -> bytes | None:
        """What has arrived, in at most so many bytes; None: nothing yet. Empty: it has ended."""
        parts: list[bytes] = []
        left = size
        while left and not self._cut:
            try:
                part = self._secured.recv(left)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return b"".join(parts) if parts else None
            except OSError as problem:
                if parts:
                    break  # it will come again
                error = self._tls.explained(problem)
                if isinstance(error, TlsRefusedError):
                    self._refused(str(error))
                raise error from problem
            if not part:
                break
            parts.append(part)
            left -= len(part)
        # What comes after a cut may be of another connection's making.
        return b"" if self._cut else b"".join(parts)

    def send(self, data: Any) -> int:
        """Send some of it; returns how much. Raises SSLWantReadError, SSLWantWriteError: nothing for now."""
        return self._secured.send(data)

    def shutdown(self, how: int) -> None:
        """Cut it, from any thread. SSLSocket's own would also make the next read return what is encrypted."""
        self._cut = True
        socket.socket.shutdown(self._secured, how)

    def setblocking(self, _blocking: bool) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        """For poll()."""
        return self._secured.fileno()

    def close(self) -> None:
        """Give it up."""
        self._secured.close()


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


def _reason(problem: ssl.SSLError) -> str:
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
