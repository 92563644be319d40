"""TLS to the ensemble: who we are, whom we trust, and why a connection is refused, in one line each.

A process has one :class:`Tls`, and in it one context of OpenSSL: it trusts the CA that it was given and no
other, and checks that each server is who it should be.
"""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from mwapp.certificates import Names, load, reason, refused, trusting

# A server that is being restarted hangs up, too, and another attempt may succeed.
HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError)
# After so many such attempts in a row there is no TLS on its port.
MOST_HANG_UPS = 3
# How long to look whether a server that does not answer wants TLS.
LOOK_SECONDS = 0.5
# How long before its end to warn of a certificate.
WARN = timedelta(days=30)
NO_TLS = "no TLS is possible there: {}; give the servers' port for TLS, such as 2182"


class TlsRefusedError(OSError):
    """There is no use in trying again as it is; the text says why, and what to do."""


class Tls:
    """How this process connects with TLS."""

    def __init__(self, ca: str, cert: str, key: str | None = None, names: Names | None = None) -> None:
        """Read the files. Without ``key`` the key is in the same file as the certificate.

        Raises:
            BadInputError: one of them cannot be used; the message begins with its setting.
        """
        names = names or Names()
        self._ca, self._cert, self._names = ca, cert, names
        self.context = trusting(ca, names.ca)
        own = load(self.context, cert, key, names)
        self.ends, self.subject = own.ends, own.subject

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

    def channel(self, secured: ssl.SSLSocket, refused: Callable[[str], None]) -> "Channel":
        """The same connection, for a thread that waits for several at once."""
        return Channel(secured, self, refused)

    def explained(self, problem: OSError) -> OSError:
        """The same error, with what to do if it is one that stays."""
        names = self._names
        if isinstance(problem, ssl.SSLCertVerificationError):
            remedy = "connect by a name or address that is in it"
            why = refused(problem, self._ca, names.ca, remedy)
            return TlsRefusedError(f"the server's certificate is refused: {why}")
        if not isinstance(problem, ssl.SSLError) or isinstance(problem, HUNG_UP):
            return problem
        said = reason(problem)
        if "alert" in said and ("certificate" in said or "unknown ca" in said):
            return TlsRefusedError(
                f"the server refuses the certificate in {self._cert} ({names.cert}): {said}; it must be "
                "from the CA that the servers trust for clients, and not expired"
            )
        return TlsRefusedError(NO_TLS.format(said))

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
        return "alert" in reason(problem)  # it misses our certificate
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
