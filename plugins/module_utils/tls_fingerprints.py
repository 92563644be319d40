"""Which certificates a PEM file holds, told without a library, as hosts have none."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def fingerprint(der: bytes) -> str:
    """By which certificates are told apart: SHA-256, hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def fingerprints(pem: str) -> list[str]:
    """Those of all certificates of a text, in order; of what is damaged, none."""
    found = []
    for body in _CERTIFICATE.findall(pem):
        try:
            found.append(fingerprint(base64.b64decode("".join(body.split()), validate=True)))
        except binascii.Error:
            continue
    return found
