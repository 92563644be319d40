#!/usr/bin/python
"""Ansible module: wait until a server that runs shows its new certificates, and note that it has them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_reload
short_description: Wait until a ZooKeeper server has reloaded its certificates
description:
  - Asks the server on this host for its certificates, at its client port and its election port, until they
    are those in the files, and the client port serves a client that has the new one.
  - Then it notes the new files in C(/run/zookeeper/started-with), among what the server runs with.
  - Never fails because of what it sees; the caller restarts the server unless RV(reloaded).
options:
  host:
    description: Where others reach the server.
    type: str
    required: true
  client_port:
    description: Its client port with TLS.
    type: int
    required: true
  election_port:
    description: Its election port; V(0) for a single server, which has none.
    type: int
    required: true
  home:
    description: The directory with C(client.pem), C(client-ca.pem), C(quorum.pem) and C(quorum-ca.pem).
    type: str
    required: true
  timeout:
    description: How long to wait, in seconds.
    type: float
    default: 5
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Wait until the server shows its new certificates
  zklab.zookeeper.zookeeper_reload:
    host: 10.0.0.11
    client_port: 2182
    election_port: 3888
    home: /etc/zookeeper/tls
"""

RETURN = r"""
reloaded: {description: "Whether it has them. (Check mode supposes so.)", type: bool, returned: always}
"""

import hashlib
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.host_port import host_port
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_fingerprints import (
    fingerprint,
    fingerprints,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import (
    Member,
    look,
    reason,
    tls_context,
)

STARTED_WITH = Path("/run/zookeeper/started-with")
ANSWER_SECONDS = 2.0
# So long a server has to refuse a certificate. At the election port nobody else gets in meanwhile.
REFUSAL_SECONDS = 0.5
PAUSE_SECONDS = 0.25


class Server:
    """The one on this host, by its ports and the files that it has to reload."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._host = given["host"]
        self._ports = {"client": given["client_port"]}
        if given["election_port"]:
            self._ports["quorum"] = given["election_port"]
        home = Path(given["home"])
        self._files = {
            ca: {"ca": str(home / f"{ca}-ca.pem"), "certificate": str(home / f"{ca}.pem")}
            for ca in ("client", "quorum")
        }
        self._texts = {path: Path(path).read_bytes() for one in self._files.values() for path in one.values()}

    def lacks(self) -> str:
        """Why it has not reloaded them, as far as can be seen; empty if it has."""
        for ca, port in self._ports.items():
            try:
                context = tls_context(self._files[ca])
                shown = self._shown(port, context)
            except OSError as error:
                return f"{host_port(self._host, port)}: {reason(error)}"
            if shown != fingerprints(self._texts[self._files[ca]["certificate"]].decode()):
                where = host_port(self._host, port)
                return f"{where} still shows the old certificate, or others of CAs with it"
            if ca == "client":  # it may show a new one, and yet refuse such clients
                state = look(Member("", self._host, port), ANSWER_SECONDS, context)
                if state.mode is None:
                    return f"{host_port(self._host, port)}: {state.error or 'it serves nobody'}"
        return ""

    def _shown(self, port: int, context: Any) -> list[str]:
        """The fingerprints of the certificates that it shows, its own first. Raises OSError."""
        with (
            socket.create_connection((self._host, port), timeout=ANSWER_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=self._host) as secured,
        ):
            if port == self._ports.get("quorum"):
                self._see_that_it_stays(secured)
            return [fingerprint(der) for der in _chain(secured)]

    def _see_that_it_stays(self, secured: Any) -> None:
        """Its peers show it the same certificate. With TLS 1.3 it judges that when we believe all is well.
        Raises OSError: it refuses it, and would refuse them at the next election."""
        secured.settimeout(REFUSAL_SECONDS)
        try:
            secured.recv(1)
        except TimeoutError:
            return
        raise OSError("it hangs up on a server with the new certificate")

    def note(self) -> None:
        """Enter the files as they were read here among those that the server was started with.

        The record's directory is the server's user's, who may have put a link to anything there. So no link
        is followed, and the new record comes by a rename.
        """
        new = {path: hashlib.sha256(text).hexdigest() for path, text in self._texts.items()}
        with os.fdopen(os.open(STARTED_WITH, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as record:
            its = os.fstat(record.fileno())
            rows = [line.partition("  ") for line in record.read().splitlines()]
        handle, name = tempfile.mkstemp(dir=STARTED_WITH.parent, prefix=f".{STARTED_WITH.name}.")
        try:
            with os.fdopen(handle, "w") as file:
                file.writelines(f"{new.get(path, digest)}{gap}{path}\n" for digest, gap, path in rows)
                os.fchown(file.fileno(), its.st_uid, its.st_gid)
                os.fchmod(file.fileno(), its.st_mode & 0o666)
            Path(name).replace(STARTED_WITH)
        finally:
            Path(name).unlink(missing_ok=True)


def _chain(secured: Any) -> list[bytes]:
    """What the other side has sent, not what leads to a CA that we trust."""
    if hasattr(secured, "get_unverified_chain"):  # Python 3.13
        return list(secured.get_unverified_chain())
    from _ssl import ENCODING_DER  # an older one has it, but no public name for it

    return [one.public_bytes(ENCODING_DER) for one in secured._sslobj.get_unverified_chain()]


def wait(server: Server, timeout: float) -> str:
    """What is still wrong when the time is over; empty as soon as nothing is."""
    end = time.monotonic() + timeout
    while (why := server.lacks()) and time.monotonic() < end:
        time.sleep(PAUSE_SECONDS)
    return why


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "client_port": {"type": "int", "required": True},
            "election_port": {"type": "int", "required": True},
            "home": {"type": "str", "required": True},
            "timeout": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, reloaded=True)
        return
    try:
        server = Server(module.params)
        why = wait(server, module.params["timeout"])
        if not why:
            server.note()
    except OSError as error:
        why = str(error)
    if why:
        module.warn(f"{module.params['host']} is restarted for its new certificates: {why}.")
    module.exit_json(changed=not why, reloaded=not why)


if __name__ == "__main__":
    main()
