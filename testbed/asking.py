"""What a server or a daemon answers, from outside and without a session.

`mwapp status` and the roles' modules have their own clients, because they run where this does not exist.
"""

import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any


def four_letter_word(
    host: str, port: int, word: str, seconds: float = 1.0, connect: Callable[..., Any] | None = None
) -> str:
    """A server's answer; empty if there is none. ``connect`` has TLS."""
    try:
        with (connect or socket.create_connection)((host, port), timeout=seconds) as connection:
            connection.sendall(word.encode())
            with connection.makefile("rb") as answer:
                return answer.read().decode()
    except OSError:
        return ""


def fields(answer: str, between: str) -> dict[str, str]:
    """The answer to `srvr` (``between`` is a colon and a blank) or `mntr` (a tab), by key."""
    return dict(line.split(between, 1) for line in answer.splitlines() if between in line)


def endpoint(
    host: str, port: int, path: str, seconds: float = 2.0, trusts: ssl.SSLContext | None = None
) -> tuple[int, str] | None:
    """A daemon's HTTP status and body; None if it does not answer. ``trusts`` has TLS."""
    url = f"{'http' if trusts is None else 'https'}://{host}:{port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=seconds, context=trusts) as answer:  # noqa: S310 - of these two
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read().decode()
    except (OSError, HTTPException):
        return None


def role_status(
    host: str, port: int, seconds: float = 2.0, trusts: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """What a daemon's /status says of its role; empty if it does not answer."""
    answer = endpoint(host, port, "/status", seconds, trusts)
    if answer is None or answer[0] != 200:
        return {}
    document = json.loads(answer[1])
    return dict(document[document["role"]])
