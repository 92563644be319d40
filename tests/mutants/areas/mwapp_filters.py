"""What the role mwapp makes of its variables: its services, and the order in which they restart."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_filters.py"),)

addresses = partial(Mutant, "plugins/module_utils/host_port.py")
filters = partial(Mutant, "plugins/filter/mwapp_filters.py")
roles = partial(Mutant, "plugins/module_utils/mwapp_roles.py")
order = partial(Mutant, "plugins/filter/mwapp_restart_order.py")

MUTANTS = [
    filters("float(text.split()[0])", "float(text)", "who reads the clock is part of the time"),
    filters(', "this machine": here})', "})", "a single host whose clock is off passes"),
    filters(
        "for host, text in found.items() if text}", "for host, text in found.items()}", "one is not there"
    ),
    filters('its.get("zookeeper_host") or its', "its", "where Ansible goes in, and the others cannot"),
    filters(
        'or its.get("ansible_host") or name', "or name", "a name that nobody resolves", at="_client_address"
    ),
    filters('its.get("zookeeper_client_port") or CLIENT_PORT', "CLIENT_PORT", "a server on another port"),
    addresses('if ":" in host and', "if False and", "IPv6 cannot be told from its port"),
    addresses(' and not host.startswith("[")', "", "what has brackets is given others"),
    # ------------------------------------------------------------ status endpoints with TLS
    filters('"ca": "status"', '"ca": "client"', "who has one can pass for the ZooKeeper server there"),
    filters(
        'its.get("mwapp_host") or its.get("ansible_host") or host, here, *names',
        'its.get("mwapp_host") or its.get("ansible_host") or host, *names',
        "no host can verify its own services",
    ),
    filters(
        'its.get("mwapp_host") or its.get("ansible_host") or host, here',
        'its.get("mwapp_host") or host, here',
        "nobody can verify a service where it is reached",
    ),
    filters(
        "is not is_true(one", "is is_true(one", "a service that is as it should be is asked as it is not"
    ),
    filters("if (found := fingerprints(text))}", "if (found := [])}", "a second controller makes another CA"),
    filters(
        "[one or default for one in others]", "[default for one in others]", "the application gets no new CA"
    ),
    filters("default = next(filter(None, servers), TLS_DIR)", "default = TLS_DIR", "nobody can change a CA"),
    filters('more.split(",") if isinstance(more, str) else more', "more", "-e gives names letter by letter"),
    filters('"::": "::1"', '"::": "::"', "no certificate is for the address that is asked"),
    filters('(*roles, "cli") if ca == "client" else roles', '(*roles, "cli")', "a file that is never made"),
    filters(
        '_copy(role, "status")} if is_true(its["mwapp_status_tls"])',
        '_copy(role, "tls")} if is_true(its["mwapp_status_tls"])',
        "a service shows its client's certificate",
    ),
    filters(
        '"status_tls": is_true(its["mwapp_status_tls"]),',
        '"status_tls": bool(its["mwapp_status_tls"]),',
        "no is yes",
    ),
    # ------------------------------------------------------------ services
    roles(
        'ROLES = ("master", "node", "worker")',
        'ROLES = ("worker", "master", "node")',
        "while a worker gives its tasks back, its own master hands them out again",
    ),
    filters(
        'if role != "master" else 0', "if True else 0", "a master that hangs is waited for", at="_service"
    ),
    filters('do_int(its["mwapp_drain"]) if', "30 if", "systemd kills what drains", at="_service"),
    filters("STOP_SECONDS + (", "(", "systemd kills what has just drained"),
    filters('do_int(its["mwapp_watchdog"])', "10", "systemd's watchdog is another than is wanted"),
    filters('"settings": _settings(role, its),\n', '"settings": {},\n', "no settings"),
    filters('if role in its["mwapp_roles"] else', 'if its["mwapp_roles"] else', "every service everywhere"),
    filters(
        'stop_timeout + do_int(its["mwapp_ready_timeout"])',
        'do_int(its["mwapp_ready_timeout"])',
        "the role gives up what drains",
    ),
    filters(".get(listen, listen)", '.get(listen, "127.0.0.1")', "nobody listens there"),
    filters(
        'do_int(its[f"mwapp_{role}_port"])', 'do_int(its["mwapp_master_port"])', "another service is asked"
    ),
    filters("_digest([unit, shared, ", "_digest([unit, ", "an upgrade is not brought into use"),
    filters("_digest([unit, shared, ", "_digest([shared, ", "a setting is not brought into use"),
    filters("_digest([unit, shared, ", "_digest([its, shared, ", "a worker's setting restarts masters"),
    filters('do_int(its["mwapp_slots"])', 'its["mwapp_slots"]', "-e restarts what it does not change"),
    filters(
        "if slots else {}", "if True else {}", "the release before does not start with what the role writes"
    ),
    filters(
        '{"adopt": True} if is_true(its["mwapp_adopt"]) else {}',
        '{"adopt": is_true(its["mwapp_adopt"])}',
        "the release before does not start with what the role writes",
    ),
    filters(
        'do_float(its["mwapp_retention"])', 'its["mwapp_retention"]', "-e restarts what it does not change"
    ),
    filters('str(its["mwapp_host"]), port)', 'str(its["mwapp_listen"]), port)', "nobody reaches it there"),
    filters('written(its) if role != "master" else []', "[]", "handlers cannot write", at="_service"),
    filters('written(its) if role != "master" else []', "written(its)", "a master can write", at="_service"),
    roles('[DATA] if is_true(its["mwapp_data_directory"]) else []', "[]", "handlers have no directory"),
    roles('is_true(its["mwapp_data_directory"])', 'its["mwapp_data_directory"]', "the text false is true"),
    roles('*map(str, its["mwapp_writable_paths"])', "", "handlers cannot write to storage"),
    filters(
        ', mwapp_environment(its) if role != "master" else []])', "])", "tasks go on with the old variables"
    ),
    filters(
        ', mwapp_environment(its) if role != "master" else []])',
        ", mwapp_environment(its)])",
        "masters restart for variables that they do not have",
    ),
    filters(
        "        **_limits(its),\n",
        '        **_limits(its),\n        "env": mwapp_environment(its),\n',
        "-v shows the values of all variables",
    ),
    filters(
        "given if isinstance(given, Mapping) else {}",
        "given",
        "status does not show a host whose variables are wrong",
    ),
    filters('{"MWAPP_DATA_DIRECTORY": DATA} if', "{} if", "handlers do not find their directory"),
    filters("return sorted(", "return list(", "another order in the inventory restarts workers"),
    filters('(master if role != "worker" else {})', "master", "a worker does not start: it knows no keep"),
    filters('(worker if role != "master" else {})', "worker", "a master does not start: it knows no slots"),
    filters(
        'do_int(its[f"mwapp_{role}_port"])',
        'int(its[f"mwapp_{role}_port"])',
        "a host whose variables are wrong has no status",
    ),
    # ------------------------------------------------------------ keys and certificates
    filters(
        '= (*roles, "cli")', '= ("cli", *roles)', "an upgrade restarts all services with TLS for nothing"
    ),
    filters(
        '"secret": True, "mode": "0600"', '"secret": True, "mode": "0644"', "anybody on the host reads keys"
    ),
    filters('"secret": True, "mode"', '"secret": False, "mode"', "a difference shows keys"),
    filters('in ("cli", *ROLES)]', "in ROLES]", "commands have no key"),
    filters("texts[file] for user, file", "file for user, file", "a key is the name of its file"),
    # ------------------------------------------------------------ the order
    order('== "worker":\n            return 2', '== "worker":\n            return 0', "workers first"),
    order(
        'int(seen["observed"]["state"] == "active")',
        "0",
        "the active one restarts before one that stands by has: leadership changes twice",
    ),
    order('["state"] == "active")', '["state"] != "active")', "the active one first"),
    filters(
        'is_true(hostvars[name].get("zookeeper_packet_filter"))',
        '"zookeeper_packet_filter" in hostvars[name]',
        "where there is no packet filter a run needs servers that run",
    ),
]
