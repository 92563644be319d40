"""What a chain of certificates must be, or OpenSSL or Java refuses it: its hashes, and what each may sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils import tls_x509

WEAK = ("md2", "md4", "md5", "sha1")


def weak(certificates: Sequence[Any]) -> str:
    """Which of these is signed with a hash that OpenSSL refuses. Nobody verifies the signature of a root."""
    for one in certificates:
        name = tls_x509.hash_name(one)
        if name in WEAK and not tls_x509.is_root(one):
            return (
                f"{tls_x509.name(one)} is signed with {name.upper()}, and OpenSSL refuses that: bring one "
                "that is signed with SHA-256 or better"
            )
    return ""


def problem(path: Sequence[Any], purposes: Sequence[tuple[str, Any]] = (), *, leaf: bool = True) -> str:
    """Why nobody accepts the first of these, each of which is signed by the next. It is a ``leaf`` for
    these purposes, or, like all others, a CA."""
    if leaf and not tls_x509.may(path[0], "digital_signature"):
        return (
            f"{tls_x509.name(path[0])} cannot be used for TLS, as its keyUsage lacks digitalSignature: bring "
            "one that has it"
        )
    cas = path[1:] if leaf else path
    # Of a client's CA nobody asks it: servers are Java, which looks at the leaf alone.
    asked = [(word, oid) for word, oid in purposes if word == "server"]
    return next(filter(None, (_ca_problem(ca, cas[:at], asked) for at, ca in enumerate(cas))), "")


def _ca_problem(ca: Any, below: Sequence[Any], purposes: Sequence[tuple[str, Any]]) -> str:
    """Of one that has signed another; the CAs ``below`` are between it and the leaf."""
    whose, remedy = tls_x509.name(ca), "bring a certificate of a CA that may"
    if not tls_x509.is_ca(ca):
        return f"{whose} is no CA's, so it may sign no other (basicConstraints): {remedy}"
    if not tls_x509.may(ca, "key_cert_sign"):
        return f"{whose} may sign no certificates, as its keyUsage lacks keyCertSign: {remedy}"
    if lacks := [word for word, oid in purposes if oid not in tls_x509.usages(ca)]:
        return f"{whose} signs for no use as {' and '.join(lacks)} (extendedKeyUsage): {remedy}"
    most, here = tls_x509.most_below(ca), sum(one.subject != one.issuer for one in below)
    if most is not None and here > most:
        return (
            f"{whose} allows {most} CAs below it (pathlen in its basicConstraints), and {here} are there: "
            "bring a shorter chain, or a CA that allows it"
        )
    return ""
