"""Jinja filters of the role mwapp."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.host_port import host_port
from ansible_collections.zklab.zookeeper.plugins.module_utils.mwapp_roles import DATA, ROLES, written
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_fingerprints import fingerprints
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import clocks_apart
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import (
    CLIENT_PORT,
    TLS_PORT,
    is_true,
)

# Given by -e, numbers are text. What is no number is 0: preflight refuses it, and status shows such a host.
from jinja2.filters import do_float, do_int

Row = dict[str, Any]
Variables = Mapping[str, Any]
Hostvars = Mapping[str, Variables]

STOP_SECONDS = 10
TLS_DIR = "~/.config/zklab/tls"  # as both roles have it


def mwapp_connect(servers: list[str], hostvars: Hostvars) -> str:
    """Write the connect string of an ensemble from the variables that the role zookeeper takes.

    Args:
        servers: inventory names.
        hostvars: variables of every host. The defaults of a role are not among them.
    """
    return ",".join(_client_address(name, hostvars[name]) for name in servers)


def _client_address(name: str, its: Variables) -> str:
    host = str(its.get("zookeeper_host") or its.get("ansible_host") or name)
    if is_true(its.get("zookeeper_tls")):
        return host_port(host, its.get("zookeeper_tls_port") or TLS_PORT)
    return host_port(host, its.get("zookeeper_client_port") or CLIENT_PORT)


def mwapp_clocks(hosts: list[str], hostvars: Hostvars) -> dict[str, float]:
    """Tell the time on each host that was looked at.

    Args:
        hosts: inventory names of the hosts of the play.
        hostvars: variables of every host, in which the role has registered what it found.
    """
    found = {host: (hostvars[host].get("__mwapp_clock") or {}).get("stdout") for host in hosts}
    return {host: float(text.split()[0]) for host, text in found.items() if text}


def mwapp_status_deployed(hosts: list[str], hostvars: Hostvars) -> dict[str, dict[str, list[str]]]:
    """Tell which CA the status endpoints of each host have, as the module tls_certificates takes it.

    Args:
        hosts: inventory names of the hosts of the play.
        hostvars: variables of every host, in which the role has registered what it found.
    """
    texts = {host: (hostvars[host].get("__mwapp_status_found") or {}).get("stdout") or "" for host in hosts}
    return {host: {"status": found} for host, text in texts.items() if (found := fingerprints(text))}


def mwapp_others(services: list[Row], found: str) -> list[Row]:
    """Tell which services run with TLS at their status endpoint where the inventory wants none, or without.

    Args:
        services: some that mwapp_services made.
        found: a line for each certificate that systemd has given to a running service's status endpoint.

    Returns:
        They, as they run.
    """
    tls = {line.split("/")[-2] for line in found.splitlines() if "/" in line}
    return [
        {**one, "status_tls": not one["status_tls"]}
        for one in services
        if (one["unit"] in tls) is not is_true(one["status_tls"])
    ]


def mwapp_tls_dirs(groups: Mapping[str, list[str]], hostvars: Hostvars) -> list[str]:
    """Tell in which directories, where Ansible runs, certificates of servers and application are.

    Args:
        groups: of the inventory.
        hostvars: variables of every host. The defaults of a role are not among them.

    Returns:
        Each once. More than one is more than one client CA.
    """
    servers = [hostvars[host].get("zookeeper_tls_dir") for host in groups.get("zookeeper", [])]
    others = [hostvars[host].get("mwapp_tls_dir") for host in _application(groups, hostvars)]
    default = next(filter(None, servers), TLS_DIR)
    every = [one or TLS_DIR for one in servers] + [one or default for one in others]
    # As the module tls_certificates reads it, which is given a path.
    paths = [Path(os.path.expanduser(os.path.expandvars(one))) for one in every]  # noqa: PTH111 - as above
    return list(dict.fromkeys(str(path.resolve()) for path in paths))


def mwapp_clocks_apart(hosts: list[str], hostvars: Hostvars, here: float) -> list[str]:
    """Tell whose clock is far from the others' and this machine's, which is one of them.

    Args:
        hosts: inventory names of the hosts of the play.
        hostvars: variables of every host, in which the role has registered what it found.
        here: the time on this machine.
    """
    return clocks_apart({**mwapp_clocks(hosts, hostvars), "this machine": here})


def mwapp_tls(servers: list[str], hostvars: Hostvars) -> bool:
    """Tell whether the servers want TLS, by the variables that the role zookeeper takes.

    Args:
        servers: inventory names.
        hostvars: variables of every host. The defaults of a role are not among them.
    """
    return any(is_true(hostvars[name].get("zookeeper_tls")) for name in servers)


def mwapp_servers_filter(servers: list[str], hostvars: Hostvars) -> bool:
    """Tell whether the servers want a packet filter, by the variables that the role zookeeper takes.

    Args:
        servers: inventory names.
        hostvars: variables of every host. The defaults of a role are not among them.
    """
    return any(is_true(hostvars[name].get("zookeeper_packet_filter")) for name in servers)


def mwapp_certificates(hosts: list[str], hostvars: Hostvars, groups: Mapping[str, list[str]]) -> list[Row]:
    """Tell which certificates the application needs, as the module tls_certificates takes them.

    Args:
        hosts: inventory names of the hosts of the play.
        hostvars: variables of every host. The defaults of a role are not among them.
        groups: of the inventory.

    Returns:
        For each host one for each of its services, and one for commands.
    """
    return [
        {"ca": "client", "name": _certificate(user, hostvars[host].get("mwapp_name") or host)}
        for host in hosts
        for user in ("cli", *(hostvars[host].get("mwapp_roles") or _roles(host, groups)))
    ]


def mwapp_status_certificates(
    hosts: list[str], hostvars: Hostvars, groups: Mapping[str, list[str]]
) -> list[Row]:
    """Tell which certificates the status endpoints need, as the module tls_certificates takes them.

    Args:
        hosts: inventory names of the hosts of the play.
        hostvars: variables of every host. The defaults of a role are not among them.
        groups: of the inventory.

    Returns:
        For each host one for each of its services, for all names and addresses at which somebody asks it.
    """
    return [
        {
            "ca": "status",
            "name": _certificate(role, its.get("mwapp_name") or host),
            "hosts": _asked(host, its),
        }
        for host in hosts
        for its in [hostvars[host]]
        for role in its.get("mwapp_roles") or _roles(host, groups)
    ]


def _asked(host: str, its: Variables) -> list[str]:
    """Where others ask a host's endpoints, and where it does itself."""
    more = its.get("mwapp_status_names") or []
    names = more.split(",") if isinstance(more, str) else more  # -e gives a list as text
    here = _here(str(its.get("mwapp_listen") or "0.0.0.0"))  # noqa: S104 - compared
    every = (its.get("mwapp_host") or its.get("ansible_host") or host, here, *names)
    return list(dict.fromkeys(text for name in every if (text := str(name).strip())))


def _here(listen: str) -> str:
    """Where a host finds its own endpoint that listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)  # noqa: S104 - compared


def _certificate(user: str, name: Any) -> str:
    """The name of the certificate that a service, or cli, has on the host with this name."""
    return f"mwapp-{user}-{name}"


def mwapp_tls_names(roles: list[str], name: str, ca: str = "client") -> dict[str, str]:
    """Tell which files with keys and certificates a host has.

    Args:
        roles: its services.
        name: mwapp_name.
        ca: client, or status for those of status endpoints.

    Returns:
        By what the host calls them, what the controller calls them: for each service one, and as clients one
        for commands.
    """
    users = (*roles, "cli") if ca == "client" else roles
    return {user: f"{ca}/{_certificate(user, name)}.pem" for user in users}


def mwapp_tls_files(home: str, authority: str) -> list[Row]:
    """Describe the files with keys and certificates, as the module zookeeper_files takes them.

    Args:
        home: their directory.
        authority: what the file of the CA says.

    Returns:
        The CA's, that of commands, and those of all services: a host has those of its own.
    """
    secrets = [{"path": f"{home}/{user}.pem", "secret": True, "mode": "0600"} for user in ("cli", *ROLES)]
    return [{"path": f"{home}/ca.pem", "content": authority}, *secrets]


def mwapp_tls_secrets(names: Mapping[str, str], home: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Tell what is in the files of a host with its keys, as the module zookeeper_files takes it.

    Args:
        names: what mwapp_tls_names made.
        home: their directory on the host.
        texts: by what the controller calls the files, what they say.
    """
    return {f"{home}/{user}.pem": texts[file] for user, file in names.items()}


def _roles(host: str, groups: Mapping[str, list[str]]) -> list[str]:
    return [role for role in ROLES if host in groups.get(f"mwapp_{role}s", [])]


def mwapp_acl_hosts(groups: Mapping[str, list[str]], hostvars: Hostvars) -> list[Row]:
    """Tell which hosts have the key of a master, or of a node.

    Args:
        groups: of the inventory.
        hostvars: variables of every host. The defaults of a role are not among them.

    Returns:
        For each its host and role.
    """
    return [
        {"host": host, "role": role}
        for host, roles in _application(groups, hostvars).items()
        for role in roles
        if role in ("master", "node")
    ]


def mwapp_acl_arguments(
    groups: Mapping[str, list[str]], hostvars: Hostvars, clients: list[str] | str = ""
) -> list[str]:
    """Name everybody who may do something, as the command C(mwapp acl on) takes it.

    Args:
        groups: of the inventory.
        hostvars: variables of every host. The defaults of a role are not among them.
        clients: mwapp_acl_clients.
    """
    arguments = []
    names = clients.split(",") if isinstance(clients, str) else list(clients)
    for host, roles in _application(groups, hostvars).items():
        name = str(hostvars[host].get("mwapp_name") or host)
        arguments += [part for role in roles for part in (f"--{role}", name)]
        names.append(f"mwapp-cli-{name}")
    for client in dict.fromkeys(text for name in names if (text := str(name).strip())):
        arguments += ["--client", client]
    return arguments


def _application(groups: Mapping[str, list[str]], hostvars: Hostvars) -> dict[str, list[str]]:
    """The roles of all hosts of the application."""
    hosts = dict.fromkeys(host for role in ROLES for host in groups.get(f"mwapp_{role}s", []))
    return {host: hostvars[host].get("mwapp_roles") or _roles(host, groups) for host in hosts}


def mwapp_tls_days(servers: list[str], hostvars: Hostvars) -> list[Any]:
    """Tell how long certificates are valid, and how long before their end they are renewed, as for servers.

    Args:
        servers: inventory names.
        hostvars: variables of every host. What they do not set is None.
    """
    names = ("zookeeper_tls_days", "zookeeper_tls_renew_days")
    return [next((hostvars[it][name] for it in servers if name in hostvars[it]), None) for name in names]


def mwapp_services(host: str, variables: Variables, shared: Row) -> list[Row]:
    """Describe every service that a host may have.

    Args:
        host: its inventory name.
        variables: the role's, by name, as they are for this host.
        shared: what each service must be restarted for, besides what follows from ``variables``.

    Returns:
        For each role its host, role and unit; state (ready, or absent if it is not for this host); settings,
        which are its table of the config file, but for the variables of tasks; stop_timeout, watchdog and
        writable directories of the unit; timeout, in which it has to stop, start and be ready; whether it has
        tls, and its status endpoint status_tls; address and port of that, seen from the host; revision, a
        digest of all that it must be restarted for.
    """
    return [_service(host, role, variables, shared) for role in ROLES]


def _service(host: str, role: str, its: Variables, shared: Row) -> Row:
    stop_timeout = STOP_SECONDS + (do_int(its["mwapp_drain"]) if role != "master" else 0)
    unit = {
        "role": role,
        "settings": _settings(role, its),
        "stop_timeout": stop_timeout,
        "watchdog": do_int(its["mwapp_watchdog"]),
        "tls": is_true(its["mwapp_tls"]),
        "status_tls": is_true(its["mwapp_status_tls"]),
        "writable": written(its) if role != "master" else [],
    }
    return {
        **unit,
        "host": host,
        "unit": f"mwapp-{role}.service",
        "state": "ready" if role in its["mwapp_roles"] else "absent",
        "timeout": stop_timeout + do_int(its["mwapp_ready_timeout"]),
        "address": _here(its["mwapp_listen"]),
        "port": do_int(its[f"mwapp_{role}_port"]),
        "revision": _digest([unit, shared, mwapp_environment(its) if role != "master" else []]),
    }


def _settings(role: str, its: Variables) -> Row:
    """The options of a daemon. An older release, to which somebody goes back, refuses a key that it does not
    know: so what is newer is there only if it is not the default."""
    port = its[f"mwapp_{role}_port"]
    master = {
        "max_attempts": do_int(its["mwapp_max_attempts"]),
        "max_per_submitter": do_int(its["mwapp_max_per_submitter"]),
        **({"adopt": True} if is_true(its["mwapp_adopt"]) else {}),
        "retention": do_float(its["mwapp_retention"]),
        "keep": do_int(its["mwapp_keep"]),
        "depose_after": do_float(its["mwapp_depose_after"]),
    }
    slots = do_int(its["mwapp_slots"])
    worker = {
        **({"slots": slots} if slots else {}),  # 0 is as new
        "prefetch": do_int(its["mwapp_prefetch"]),
        "label": list(its["mwapp_labels"]),
        "drain": do_int(its["mwapp_drain"]),
        **({"task_user": its["mwapp_task_user"]} if its["mwapp_task_user"] else {}),
        **({} if is_true(its["mwapp_task_network"]) else {"task_network": False}),
        **_limits(its),
    }
    return {
        "listen": host_port(str(its["mwapp_listen"]), port),
        "advertise": host_port(str(its["mwapp_host"]), port),
        **(master if role != "worker" else {}),
        **(worker if role != "master" else {}),
        **({"tls_cert": _copy(role, "tls")} if is_true(its["mwapp_tls"]) else {}),
        **({"listen_cert": _copy(role, "status")} if is_true(its["mwapp_status_tls"]) else {}),
        "log_level": its["mwapp_log_level"],
    }


def _copy(role: str, name: str) -> str:
    """Where systemd puts LoadCredential's copy."""
    return f"/run/credentials/mwapp-{role}.service/{name}.pem"


def mwapp_environment(variables: Variables) -> list[str]:
    """Tell which variables handlers and commands get. They may be secret: do not loop over them.

    Args:
        variables: the role's, by name, as they are for this host.

    Returns:
        NAME=VALUE of each. What is no mapping is preflight's to refuse.
    """
    given = variables["mwapp_environment"]
    own = {"MWAPP_DATA_DIRECTORY": DATA} if is_true(variables["mwapp_data_directory"]) else {}
    every = {**(given if isinstance(given, Mapping) else {}), **own}
    return sorted(f"{name}={value}" for name, value in every.items())


def _limits(its: Variables) -> Row:
    """Of tasks, those that are set."""
    limits: Row = {}
    for whose in ("task", "worker"):
        limits[f"{whose}_memory"] = str(its[f"mwapp_{whose}_memory"]).strip()
        limits[f"{whose}_cpu"] = do_float(its[f"mwapp_{whose}_cpu"])
        limits[f"{whose}_pids"] = do_int(its[f"mwapp_{whose}_pids"])
    return {name: limit for name, limit in limits.items() if limit not in ("", "0", 0)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "mwapp_acl_arguments": mwapp_acl_arguments,
            "mwapp_acl_hosts": mwapp_acl_hosts,
            "mwapp_certificates": mwapp_certificates,
            "mwapp_clocks": mwapp_clocks,
            "mwapp_clocks_apart": mwapp_clocks_apart,
            "mwapp_connect": mwapp_connect,
            "mwapp_environment": mwapp_environment,
            "mwapp_others": mwapp_others,
            "mwapp_servers_filter": mwapp_servers_filter,
            "mwapp_services": mwapp_services,
            "mwapp_status_certificates": mwapp_status_certificates,
            "mwapp_status_deployed": mwapp_status_deployed,
            "mwapp_tls": mwapp_tls,
            "mwapp_tls_days": mwapp_tls_days,
            "mwapp_tls_dirs": mwapp_tls_dirs,
            "mwapp_tls_files": mwapp_tls_files,
            "mwapp_tls_names": mwapp_tls_names,
            "mwapp_tls_secrets": mwapp_tls_secrets,
        }
