"""How a plain client of kazoo connects with our TLS: for what needs no session that outlives it."""

import ssl
from typing import Any

from kazoo.handlers.threading import SequentialThreadingHandler

from mwapp.zookeeper.machine import REAL
from mwapp.zookeeper.tls import Tls, TlsRefusedError

# How long a server may take to accept a connection, seconds.
ATTEMPT = 2.0


class TlsHandler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's threads, with our TLS: it trusts our CA alone, and checks names."""

    def __init__(self, tls: Tls | None, attempt: float = ATTEMPT) -> None:
        """``attempt``: how long a server may take to accept a connection, seconds."""
        super().__init__()
        self._tls = tls
        self._attempt = attempt
        self.refused: str | None = None

    def create_connection(self, *, address: Any, hostname: str = "", **_: Any) -> Any:
        connection = REAL.connect(address, self._attempt)
        if self._tls is None:
            return connection
        try:
            return self._tls.wrap(connection, hostname or address[0])
        except TlsRefusedError as problem:
            self.refused = str(problem)
            raise

    def select(self, reads: Any, writes: Any, errors: Any, timeout: float | None = None) -> Any:
        """What OpenSSL has taken from a socket already can be read, too; kazoo would wait for more."""
        held = [one for one in reads if isinstance(one, ssl.SSLSocket) and one.pending()]
        readable, writable, failed = super().select(reads, writes, errors, 0.0 if held else timeout)
        return [one for one in reads if one in held or one in readable], writable, failed
