"""A host and a port, as connect strings and messages have them."""

from __future__ import annotations


def host_port(host: str, port: int | str) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
