#!/usr/bin/python
"""Ansible module for a host: it can connect to a server, and is about to get the CA of the servers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mwapp_reach
short_description: Check that a host can connect to a server of the ensemble, and would trust it
description:
  - Tries the servers one after the other, and fails if it can connect to none. With O(ca) it begins TLS, and
    fails if all that answer have certificates of another CA. It has no certificate itself, and sends no data.
  - A packet filter that was not changed in this run refuses a new host. The certificates of another CA are
    those of a second machine where Ansible runs, or of another directory.
options:
  connect:
    description: The servers as C(mwapp_connect) has them, host:port,host:port and perhaps a path.
    type: str
    required: true
  required: {description: Whether it has to reach a server., type: bool, default: true}
  ca: {description: "Certificates of the CA that it is to trust, as PEM.", type: str, default: ""}
  timeout: {description: Seconds to wait for each server., type: float, default: 3}
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Refuse a host that no server lets in
  zklab.zookeeper.mwapp_reach:
    connect: zk1:2182,zk2:2182

- name: Refuse certificates that are not the ensemble's
  zklab.zookeeper.mwapp_reach:
    connect: zk1:2182,zk2:2182
    ca: "{{ lookup('ansible.builtin.file', '~/.config/zklab/tls/client-ca.pem') }}"
"""

RETURN = r"""
server:
  description: >-
    The first that could be reached, and whose certificate, if it has one, is of the CA, as host:port; empty
    if there is none.
  type: str
  returned: success
"""

import re
import socket
import ssl

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import CLIENT_PORT

# What else is in the file may be in any language, and Python takes ASCII alone.
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
SERVER = re.compile(r"(?:\[(.+)\]|([^:]+))(?::([0-9]+))?")
REMEDY = (
    "If it is new, run site.yml without --limit, so that the servers' packet filter (zookeeper_packet_filter)"
    " lets it in. If it connects from another address than its mwapp_host, name that in "
    "zookeeper_client_networks. If the servers do not run, see playbooks/status.yml."
)


def addresses(connect: str) -> list[tuple[str, str, int]]:
    """Of each server, as it is written, its host and port."""
    texts = [text.strip() for text in connect.partition("/")[0].split(",")]
    found = [(text, SERVER.fullmatch(text)) for text in texts]
    return [(text, one[1] or one[2], int(one[3] or CLIENT_PORT)) for text, one in found if one]


# What OpenSSL says of a certificate that no CA of ours has signed (X509_V_ERR_...).
STRANGE = {
    2,  # an issuer cannot be found
    7,  # a CA of the same name, and another key
    18,  # self-signed
    19,  # a self-signed certificate in the chain
    20,  # the issuer cannot be found
    21,  # nor any
}
OTHER_CA = (
    "All servers that answer have certificates of another CA than the one that this host would get from "
    "mwapp_tls_dir on the machine where Ansible runs: {servers}. Was the CA changed from another machine, or "
    "with another zookeeper_tls_dir? Then copy that directory here, and run again. Nothing was touched."
)


def look(host: str, port: int, timeout: float, tls: ssl.SSLContext | None) -> tuple[str, bool]:
    """Why one cannot connect, empty if one can; and whether its certificate is another CA's."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            return "", tls is not None and of_another_ca(connection, tls)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error), False


def of_another_ca(connection: socket.socket, tls: ssl.SSLContext) -> bool:
    """Whether a server has a certificate of a CA that is not trusted. An expired one, say, is of ours."""
    try:
        tls.wrap_socket(connection).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_code in STRANGE
    except OSError:  # without TLS, or it asks for a certificate, which we have not
        return False
    return False


def trusting(ca: str) -> ssl.SSLContext | None:
    """How to look, if there is a CA. The name does not matter."""
    if not ca:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata="\n".join(CERTIFICATE.findall(ca)))
    return context


def main() -> None:
    """The module."""
    module = AnsibleModule(
        {
            "connect": {"type": "str", "required": True},
            "required": {"type": "bool", "default": True},
            "ca": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 3},
        },
        supports_check_mode=True,
    )
    tls = trusting(module.params["ca"])
    refused, strange = [], []
    for text, host, port in addresses(module.params["connect"]):
        why, other = look(host, port, module.params["timeout"], tls)
        if not why and not other:
            module.exit_json(changed=False, server=text)
            return
        if other:
            strange.append(text)
        else:
            refused.append(f"{text} ({why})")
    if strange:
        module.fail_json(msg=OTHER_CA.format(servers=", ".join(strange)))
    if module.params["required"]:
        module.fail_json(
            msg=f"This host cannot connect to any server in mwapp_connect: {', '.join(refused)}. {REMEDY}"
        )
    module.exit_json(changed=False, server="")


if __name__ == "__main__":
    main()
