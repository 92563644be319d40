"""Whether a server can reload its new certificates, without a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# With these in its zoo.cfg it looks out for new files.
KEYS = {"client.certReload", "sslQuorumReloadCertFiles"}
# With one of these, or such a JVM flag, AdminServer has TLS: it reads the key in quorum.pem once, at start.
READ_ONCE = {"admin.forceHttps", "admin.portUnification"}
# A release whose client port can do so has the one key in this class (3.7.2, 3.8.5, 3.9.0 and newer).
CLIENT_PORT = "org.apache.zookeeper.server.NettyServerCnxnFactory"
CLIENT_KEY = "client.certReload"
CAS = ("client", "quorum")


def looks_out(config: Mapping[str, str], flags: Iterable[str]) -> bool:
    """Whether a server with this zoo.cfg and these JVM flags does so, if its release can."""
    on = {key for key, value in config.items() if value.lower() == "true"}
    once = any(flag.startswith(f"-Dzookeeper.{key}") for flag in flags for key in READ_ONCE)
    return on >= KEYS and not on & READ_ONCE and not once


def suffices(
    changed: Iterable[str],
    home: str,
    trusted: Mapping[str, Sequence[str]],
    trusts: Mapping[str, Sequence[str]],
) -> bool:
    """Whether nothing has changed but certificates that a server shows, and whoever asks it sees.

    Nobody can see from outside that it trusts one CA more, or no longer: that takes a restart.

    Args:
        changed: paths of files that are not what the server was started with.
        home: the directory of the certificates.
        trusted: by CA, the fingerprints of what the server was started with.
        trusts: by CA, the fingerprints of what the files say now.
    """
    leaves = {f"{home}/{ca}.pem" for ca in CAS}
    same = {
        f"{home}/{ca}-ca.pem" for ca in CAS if sorted(trusted.get(ca, [])) == sorted(trusts.get(ca, ["?"]))
    }
    return bool(leaves & {*changed}) and {*changed} <= leaves | same
