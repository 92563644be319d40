#!/usr/bin/python
"""Ansible module: look at a host, and tell what speaks against the plan."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_preflight
short_description: Check the plan for a ZooKeeper server against its host
description:
  - Looks at the host (system, memory, packages, ports, data, the running server) and returns every reason
    not to go on, each naming the variable and the remedy. The caller stops for all hosts together.
  - Changes nothing. What else it saw is returned for the tasks that follow, so that they need no facts.
options:
  name:
    description: Inventory name of this host.
    type: str
    required: true
  members:
    description: >-
      All members, each with C(name), C(id), C(host), C(observer), C(client_port), C(quorum_port),
      C(election_port).
    type: list
    elements: dict
    required: true
  settings:
    description: The role's variables, by name.
    type: dict
    required: true
  packages:
    description: Packages that should be installed.
    type: list
    elements: str
    required: true
  classpath:
    description: Where Java finds the server's classes.
    type: str
    required: true
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Refuse what would harm
  zklab.zookeeper.zookeeper_preflight:
    name: "{{ inventory_hostname }}"
    members: "{{ members }}"
    settings: "{{ settings }}"
    packages: [libzookeeper-java]
    classpath: /usr/share/java/zookeeper.jar
"""

RETURN = r"""
problems: {description: Reasons not to go on., type: list, returned: always}
doubts:
  description: >-
    Those of them that are about whose data there are, or about newer ones. They also concern a run that
    leaves this host out.
  type: list
  returned: always
heap_mb: {description: Heap to use., type: int, returned: always}
account:
  description: >-
    The service user and group: user and group, whether they exist; uid and gid, what they should have if they
    are made (0: any).
  type: dict
  returned: always
missing: {description: Packages that are not installed., type: list, returned: always}
manuals: {description: Whether the directory for manuals exists., type: bool, returned: always}
apt_lists: {description: Whether apt has any package lists., type: bool, returned: always}
unit:
  description: >-
    The unit: present, enabled, active, and running, which is to say active with its client port open.
    One that starts, or fails again and again, is active at times but never runs.
  type: dict
  returned: always
stale: {description: Files that changed since the server was started with them., type: list, returned: always}
data: {description: Whether there are data of a server., type: bool, returned: always}
theirs:
  description: The last transaction (0x...) in the data of another installation; empty if there are none.
  type: str
  returned: always
theirs_damaged:
  description: The same as C(damaged), of the data of another installation.
  type: str
  returned: always
last_zxid: {description: The last transaction in these data (0x...)., type: str, returned: if there are any}
damaged:
  description: >-
    A transaction log that cannot be read to its end, so that there may be more than C(last_zxid); empty if
    none is damaged. An end that is torn, as after a crash, is no damage.
  type: str
  returned: always
adopt:
  description: >-
    What another installation left and this server is to take over: data_dir and txnlog_dir; empty if nothing.
  type: dict
  returned: always
trail:
  description: >-
    By zxid (0x...), checksums of some of these transactions, which tell data of one history. There is none
    before a gap of the log, as it has one when the server was sent all data.
  type: dict
  returned: always
times:
  description: >-
    By zxid (0x...), when transactions were made (ms since 1970), those before a gap, too; if C(trail) is
    empty, also what the newest snapshot tells of some.
  type: dict
  returned: always
gap:
  description: Before which zxid (0x...) the log may have another gap, which nothing shows; 0x0 if nowhere.
  type: str
  returned: always
configured: {description: Whether there is a zoo.cfg., type: bool, returned: always}
marker: {description: Whether it may begin without data (file C(initialize))., type: bool, returned: always}
servers:
  description: By id, where the members are of which the running (or last) configuration knows.
  type: dict
  returned: always
links:
  description: >-
    The running server's connections by which followers are sent data, each as its end here and its end there
    (address:port).
  type: list
  returned: always
returned:
  description: Addresses in C(zookeeper_dead) of which no server knows, and where one runs all the same.
  type: list
  returned: always
skips_lists:
  description: Whether the settings have the server look at no access control list.
  type: bool
  returned: always
elsewhere:
  description: >-
    By id, where members still run at an address that the zoo.cfg here names, and that no member has in the
    inventory.
  type: dict
  returned: always
deployed_ports:
  description: Client ports of the running server, without TLS (plain) and with it (tls).
  type: dict
  returned: always
speaks:
  description: >-
    How far the running server has come on the way from V(plain) to V(tls), or V(accepts) or V(speaks); empty
    if none runs.
  type: str
  returned: always
tls: {description: Whether this host is to have TLS (C(zookeeper_tls))., type: bool, returned: always}
clients:
  description: >-
    Addresses of other hosts that are connected to the running server's client ports, without TLS (plain) and
    with it (tls).
  type: dict
  returned: always
trusts:
  description: >-
    By CA (client, quorum), the fingerprints of the certificates that the running server was given to trust;
    empty if none runs with TLS.
  type: dict
  returned: always
reloads:
  description: Whether the running server can reload renewed certificates, without a restart.
  type: bool
  returned: always
addresses:
  description: Addresses of this host, as C(zookeeper_host) and as others see it when it connects to them.
  type: list
  returned: always
clock: {description: "The time here, in seconds since 1970.", type: float, returned: always}
unseen:
  description: Whether the settings name classes and the jars that should have them are not there yet.
  type: bool
  returned: always
"""

import grp
import hashlib
import ipaddress
import os
import pwd
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from filecmp import cmp
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_fingerprints import fingerprints
from ansible_collections.zklab.zookeeper.plugins.module_utils.unlogged import UnloggedModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import still_running
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_heap import heap_mb
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_history import read_history
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_jars import lacking, mentions, named
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_reload import (
    CLIENT_KEY,
    CLIENT_PORT,
    looks_out,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_rules import (
    ADOPTED,
    PORTS,
    adopts,
    alive_problems,
    as_id,
    declared_dead,
    doubts,
    forgotten,
    host_problems,
    member_problems,
    readdressed,
    returned_problems,
    servers,
    setting_problems,
    warnings,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import SETTINGS, argument
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_sizes import needed
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_tls_phases import PLAIN, phase_of
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import (
    client_port,
    directories,
    in_force,
    server_address,
    skips_lists,
    tls_port,
)

UNIT = "zookeeper.service"
UNIT_FILE = Path("/etc/systemd/system/zookeeper.service")
ON_DISK = Path("/etc/zookeeper/zoo.cfg")
# What the server was started with, and the sums of all that it read then. Both go when it stops.
RUNNING = Path("/run/zookeeper/zoo.cfg")
STARTED_WITH = Path("/run/zookeeper/started-with")
# Where Debian's zookeeperd has both, unless its zoo.cfg says otherwise.
OTHERS_CONFIG = Path("/etc/zookeeper/conf/zoo.cfg")
OTHERS_DATA = Path("/var/lib/zookeeper")
TLS_HOME = Path("/etc/zookeeper/tls")
OS_RELEASE = Path("/etc/os-release")
MANUALS = Path("/usr/share/man/man1")
APT_LISTS = Path("/var/lib/apt/lists")
PROC = Path("/proc")
ROOT = 0  # its id
ESTABLISHED = "01"
LISTEN = "0A"
PATTERNS = ("snapshot.*", "log.*")  # of the files in the one directory, and in the other
DIRECTORIES = ("zookeeper_data_dir", "zookeeper_txnlog_dir")


def read(path: Path) -> str | None:
    """The text of a file; None if there is none, or if its process ends as it is read."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None


def system() -> dict[str, str]:
    pairs = re.findall(r'^(\w+)="?(.*?)"?$', read(OS_RELEASE) or "", re.MULTILINE)
    release = dict(pairs)
    return {
        "id": release.get("ID", "unknown"),
        "version": release.get("VERSION_ID", ""),
        "name": release.get("PRETTY_NAME", "an unknown system"),
    }


def memory_mb() -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", read(PROC / "meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else 0


def in_unit(flag: str) -> int:
    """The number in a flag of the JVM that the unit has; 0 if there is none."""
    found = re.search(rf"\s{flag}\s", read(UNIT_FILE) or "")
    return int(found[1]) if found else 0


def account(settings: dict[str, Any]) -> dict[str, Any]:
    """The ids of the service user and group, None if there is none; and who has those they should have."""
    return {
        "uid": _id(pwd.getpwnam, settings["zookeeper_user"]),
        "gid": _id(grp.getgrnam, settings["zookeeper_group"]),
        "uid_owner": _name(pwd.getpwuid, settings["zookeeper_uid"]),
        "gid_owner": _name(grp.getgrgid, settings["zookeeper_gid"]),
    }


def _id(look: Callable[[str], Any], name: str) -> int | None:
    try:
        return int(look(name)[2])
    except KeyError:
        return None


def _name(look: Callable[[int], Any], number: int) -> str | None:
    """Who has this id; None if nobody has, or if it is 0, which stands for any."""
    try:
        return str(look(number)[0]) if number else None
    except KeyError:
        return None


def buffer_needed(settings: dict[str, Any], found: dict[str, Any]) -> int:
    """What zookeeper_max_buffer must be at least. Data are read only if it gets smaller, or if nothing tells
    what it was, as on a host that was reinstalled: it takes a while.
    """
    before = in_unit(r"-Djute\.maxbuffer=(\d+)")
    if before and settings["zookeeper_max_buffer"] >= before:
        return 0
    return needed({found[key]["path"] for key in ("data_dir", "txnlog_dir")})


def missing(module: AnsibleModule, packages: list[str]) -> list[str]:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages]
    _, out, _ = module.run_command(query)  # it returns 1 when a package is unknown, which is an answer
    return [package for package in packages if f"{package} installed" not in out.splitlines()]


def unit(module: AnsibleModule) -> dict[str, Any]:
    properties = "--property=LoadState,ActiveState,SubState,MainPID,UnitFileState"
    _, out, _ = module.run_command(["systemctl", "show", UNIT, properties], check_rc=True)
    state = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    return {
        "present": state.get("LoadState") == "loaded",
        "active": state.get("ActiveState") == "active",
        "enabled": state.get("UnitFileState") == "enabled",
        "pid": int(state.get("MainPID", 0)),
    }


def stale() -> list[str]:
    """Which files are no longer what the server was started with (as ``sha256sum --check`` would say)."""
    lines = (read(STARTED_WITH) or "").splitlines()
    if not lines:
        return [str(STARTED_WITH)]
    inputs = [line.split(maxsplit=1) for line in lines]
    return [path for digest, path in inputs if not _is(Path(path), digest)]


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def data(path: str, patterns: Iterable[str] = PATTERNS) -> dict[str, Any]:
    """What is in a directory; it is filled if there are such files."""
    myid = read(Path(path) / "myid")
    version = Path(path) / "version-2"
    return {
        "path": path,
        "myid": myid.strip() if myid is not None else None,
        "owner": version.stat().st_uid if version.is_dir() else None,
        # A server that waits for data has a directory too, with its epochs alone.
        "filled": any(path for name in patterns for path in version.glob(name)),
        "logs": any(version.glob(PATTERNS[1])),
    }


def other(config: dict[str, str], settings: dict[str, Any]) -> dict[str, Any] | None:
    """The data of another installation, such as Debian's zookeeperd, which this server would pass by.

    Its ``config``, data_dir and txnlog_dir; ``last``, its last zxid; ``clash``, that of other data which are
    where this server has its own; ``shared``, whether one directory is to be both's; ``lacks_mb``, what is
    missing for a copy; ``damaged``, a log of these that may go farther than its zxid. None if there are no
    such data, or if this server has a zoo.cfg (``config``): then it is set up.
    """
    theirs = in_force(read(OTHERS_CONFIG)) or {"dataDir": str(OTHERS_DATA)}
    paths = directories(theirs, str(OTHERS_DATA), str(OTHERS_DATA))
    own = [settings[name] for name in DIRECTORIES]
    if config or not any(
        theirs != mine and list(Path(theirs, "version-2").glob(pattern))
        for theirs, mine, pattern in zip(paths, own, PATTERNS, strict=True)
    ):
        return None
    found = {key: data(path) for key, path in zip(("data_dir", "txnlog_dir"), paths, strict=True)}
    if as_id(found["data_dir"]["myid"]) is None:
        found["data_dir"]["myid"] = None  # Debian's is a sentence until somebody sets a number
    known = files(paths, "version-2", f"version-2{ADOPTED}")
    size = sum(file.stat().st_size for file in known)
    theirs_end, own_end = read_history(paths), read_history(own)
    return {
        "config": theirs,
        **found,
        "last": f"{theirs_end.last or 0:#x}",
        "damaged": theirs_end.damaged or own_end.damaged,
        # Not what an adoption that was cut short has copied: the same files.
        "clash": None if are_copies(files(own, "version-2"), known) else f"{own_end.last or 0:#x}",
        "shared": bool(set(own) & set(paths)),
        "lacks_mb": max(0, size - free(own[0])) >> 20,
    }


def nowhere(path: str) -> dict[str, str]:
    """The link by which a path leads to what is not there, and where that is; empty if there is none."""
    for one in (Path(path), *Path(path).parents):
        if one.is_symlink() and not one.exists():
            return {"link": str(one), "target": os.path.realpath(one)}
    return {}


def files(paths: Iterable[str], *names: str) -> set[Path]:
    """The files with transactions or snapshots in directories of these names."""
    found = (Path(path, name).glob(pattern) for path in paths for name in names for pattern in PATTERNS)
    return {file for some in found for file in some}


def are_copies(mine: set[Path], theirs: set[Path]) -> bool:
    """Whether each file is theirs, too. Names and sizes do not tell: those of young servers are all alike."""
    return all(
        any(one.name == file.name and cmp(one, file, shallow=False) for one in theirs) for file in mine
    )


def free(path: str) -> int:
    """Bytes that are free where this directory is, or will be."""
    return shutil.disk_usage(next(one for one in (Path(path), *Path(path).parents) if one.exists())).free


def moved(found: dict[str, Any], new: str, active: bool) -> dict[str, Any]:
    """The data there; of a server that is stopped and whose directory was moved, those where it will look."""
    return found if active or found["filled"] or not data(new)["filled"] else data(new)


def in_use(paths: tuple[str, str], wanted: list[str], *, active: bool) -> dict[str, Any]:
    """The data in both directories. If one directory is both, its snapshots are no transaction log."""
    patterns = (PATTERNS, PATTERNS[1:] if paths[0] == paths[1] else PATTERNS)
    found = [
        moved(data(path, some), new, active) for path, some, new in zip(paths, patterns, wanted, strict=True)
    ]
    return dict(zip(("data_dir", "txnlog_dir"), found, strict=True))


def address(host: str) -> dict[str, Any]:
    """What a name is on this host, as Java sees it (IPv4 first), and whether a server can listen there."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return {"text": None, "own": False}
    family, kind, _, _, where = min(found, key=lambda one: one[0] != socket.AF_INET)
    try:
        with socket.socket(family, kind) as probe:
            probe.bind(where)
    except OSError:
        return {"text": where[0], "own": False}
    return {"text": where[0], "own": True}


def resolved(host: str) -> set[str]:
    """The addresses of a name; none if it has none."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)}
    except (OSError, UnicodeError):
        return set()


def elsewhere(members: list[dict[str, Any]], config: dict[str, str]) -> dict[str, str]:
    """By id the old addresses of members at which one still runs, and which are no other name of a member."""
    lines = readdressed(members, config)
    here = {address for member in members for address in resolved(member["host"])} if lines else set()
    lines = {n: line for n, line in lines.items() if not resolved(server_address(line)[0]) & here}
    with ThreadPoolExecutor(max_workers=len(lines) or 1) as pool:  # each may take its time to say nothing
        answers = pool.map(lambda one: still_running(dict([one])), lines.items())
        return {n: server_address(lines[n])[0] for n, runs in zip(lines, answers, strict=True) if runs}


def speaks(config: dict[str, str], *, active: bool) -> str:
    """How far the server that runs has come on the way to TLS."""
    return phase_of(config, str(TLS_HOME / "client.pem")) if active and config else ""


def sources(me: dict[str, Any], members: list[dict[str, Any]]) -> list[str]:
    """The addresses from which this host connects to the other members."""
    found = set()
    for member in members:
        if member["name"] == me["name"]:
            continue
        try:
            there = socket.getaddrinfo(member["host"], int(member["quorum_port"]), type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            continue
        for family, kind, _, _, where in there:
            try:
                with socket.socket(family, kind) as probe:
                    probe.connect(where)  # sends nothing: the kernel chooses the address
                    found.add(probe.getsockname()[0])
            except OSError:
                continue
    return sorted(found)


def listeners(ports: set[int], own_pid: int) -> tuple[dict[int, str], set[int]]:
    """Who else listens on which of these ports, and on which of them the server itself does."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in (read(PROC / "net" / table) or "").splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == LISTEN and port in ports:
                sockets[f"socket:[{fields[9]}]"] = port
    if not sockets:
        return {}, set()
    own = {sockets[name] for name in _links(PROC / str(own_pid) / "fd") & sockets.keys()}
    foreign = {name: port for name, port in sockets.items() if port not in own}
    others = dict.fromkeys(foreign.values(), "another process")
    for process in PROC.glob("[0-9]*") if foreign else ():
        for name in _links(process / "fd") & foreign.keys():
            others[foreign[name]] = f"{(read(process / 'comm') or '').strip()} (process {process.name})"
    return others, own


def clients(port: int) -> list[str]:
    """Who is connected to a port of this host from another one."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in (read(PROC / "net" / table) or "").splitlines()[1:]:
            _, local, remote, state = line.split()[:4]
            here, there = (_address(text.rpartition(":")[0]) for text in (local, remote))
            if state == ESTABLISHED and int(local.rpartition(":")[2], 16) == port and here != there:
                found.add(there)
    return sorted(address for address in found if not ipaddress.ip_address(address).is_loopback)


def links(pid: int, ports: set[int]) -> list[tuple[str, str]]:
    """The connections of a process to and from other hosts at these ports: its end, and the other."""
    names = _links(PROC / str(pid) / "fd")
    found = []
    for table in ("tcp", "tcp6"):
        for line in (read(PROC / "net" / table) or "").splitlines()[1:]:
            fields = line.split()
            (here, own), (there, other) = map(_end, fields[1:3])
            if (
                fields[3] == ESTABLISHED
                and {own, other} & ports
                and not ipaddress.ip_address(here).is_loopback
                and f"socket:[{fields[9]}]" in names
            ):
                found.append((f"{here}:{own}", f"{there}:{other}"))
    return sorted(found)


def _end(text: str) -> tuple[str, int]:
    """Address and port of one end, as the kernel writes it there."""
    address, _, port = text.rpartition(":")
    return _address(address), int(port, 16)


def _address(text: str) -> str:
    """As the kernel writes it there: words of four bytes, each in this machine's order."""
    data = b"".join(int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    found = ipaddress.ip_address(data)
    return str(getattr(found, "ipv4_mapped", None) or found)


def _links(directory: Path) -> set[str]:
    """Where the links of a directory point to; processes and their files may vanish meanwhile."""
    names = set()
    try:
        for entry in directory.iterdir():
            try:
                names.add(str(entry.readlink()))
            except OSError:
                continue
    except OSError:
        pass
    return names


def _quorum_ports(config: dict[str, str]) -> set[int]:
    """Those at which the members have their followers."""
    return {server_address(line)[1] for line in servers(config).values()}


def look(module: AnsibleModule, settings: dict[str, Any]) -> dict[str, Any]:
    """What ``host_problems`` has to know of this host; with unit and deployed_port."""
    config = in_force(read(RUNNING), read(ON_DISK))
    server = unit(module)
    left = other(config, settings)
    if left and adopts(left, settings):
        config, places = left["config"], {key: left[key] for key in ("data_dir", "txnlog_dir")}
    else:
        wanted = [settings[name] for name in DIRECTORIES]
        places = in_use(directories(config, *wanted), wanted, active=server["active"])
    port = client_port(config) or settings["zookeeper_client_port"]
    secure = tls_port(config) or settings["zookeeper_tls_port"]
    others, own = listeners(
        {settings[key] for key in (*PORTS, "zookeeper_tls_port", "zookeeper_admin_port")} | {port, secure},
        server["pid"],
    )
    return {
        "os": system(),
        "memory_mb": memory_mb(),
        "account": account(settings),
        "listeners": others,
        "config": config,
        "other": left,
        **places,
        "targets": {name: os.path.realpath(settings[name]) for name in DIRECTORIES},
        "nowhere": {name: where for name in DIRECTORIES if (where := nowhere(settings[name]))},
        "unit": server | {"running": server["active"] and bool({port, secure} & own)},
        "deployed_port": port,
        "deployed_ports": {"plain": port, "tls": secure},
        "speaks": speaks(config, active=server["active"]),
    }


ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "members": {"type": "list", "elements": "dict", "required": True},
    "settings": {
        "type": "dict",
        "required": True,
        # typed, because -e gives every value as text
        "options": {setting.variable: argument(setting) for setting in SETTINGS},
    },
    "packages": {"type": "list", "elements": "str", "required": True},
    "classpath": {"type": "str", "required": True},
}


def _misplaced(name: str, me: dict[str, Any] | None) -> str:
    """Why nothing can be looked at."""
    if me is None:
        return f"{name} is not in the group `zookeeper`, which names the members: add it."
    user = pwd.getpwuid(os.geteuid()).pw_name
    return f"{name}: the role works as user {user}, not as root: set become: true for its play."


def main() -> None:
    module = UnloggedModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    name, members, settings = (module.params[key] for key in ("name", "members", "settings"))
    me = next((member for member in members if member["name"] == name), None)
    if me is None or os.geteuid() != ROOT:
        module.exit_json(problems=[_misplaced(name, me)])
        return
    if name == members[0]["name"]:  # once is enough
        for text in warnings(members):
            module.warn(text)
    classes = named(settings["zookeeper_config"])
    lacks = lacking(classes, module.params["classpath"]) if classes else {}
    found = look(module, settings) | {"lacking": lacks or {}, "address": address(me["host"])}
    history = read_history({found["data_dir"]["path"], found["txnlog_dir"]["path"]})
    found["buffer"] = buffer_needed(settings, found)
    problems = setting_problems(settings) + member_problems(members, settings)
    problems += host_problems(me, members, settings, found)
    problems += alive_problems(still_running(declared_dead(settings, found["config"])))
    returned = [text.split()[0] for text in still_running(forgotten(settings, found["config"]))]
    problems += returned_problems(returned)
    module.exit_json(
        changed=False,
        problems=problems,
        doubts=doubts(me, settings, found),
        theirs=found["other"]["last"] if found["other"] else "",
        theirs_damaged=found["other"]["damaged"] if found["other"] else "",
        heap_mb=heap_mb(settings["zookeeper_heap_mb"], found["memory_mb"], in_unit("-Xmx(\\d+)m")),
        account={
            "user": found["account"]["uid"] is not None,
            "group": found["account"]["gid"] is not None,
            "uid": settings["zookeeper_uid"],
            "gid": settings["zookeeper_gid"],
        },
        missing=missing(module, module.params["packages"]),
        manuals=MANUALS.is_dir(),
        apt_lists=any(APT_LISTS.glob("*_Packages*")),
        unit=found["unit"],
        stale=stale() if found["unit"]["active"] else [],
        returned=returned,
        skips_lists=skips_lists(settings),
        elsewhere=elsewhere(members, found["config"]),
        links=links(found["unit"]["pid"], _quorum_ports(found["config"])) if found["unit"]["running"] else [],
        deployed_ports=found["deployed_ports"],
        speaks=found["speaks"],
        tls=settings["zookeeper_tls"],
        clients={kind: clients(port) for kind, port in found["deployed_ports"].items()}
        if found["unit"]["running"]
        else {},
        trusts={ca: fingerprints(read(TLS_HOME / f"{ca}-ca.pem") or "") for ca in ("client", "quorum")}
        if found["speaks"] not in ("", PLAIN)
        else {},
        reloads=found["unit"]["running"]
        and looks_out(found["config"], settings["zookeeper_jvm_flags"])
        and mentions(CLIENT_PORT, CLIENT_KEY, module.params["classpath"]),
        addresses=sorted({found["address"]["text"] or ""} - {""} | {*sources(me, members)}),
        clock=time.time(),
        data=found["data_dir"]["filled"] or found["txnlog_dir"]["filled"],
        adopt={key: found[key]["path"] for key in ("data_dir", "txnlog_dir")}
        if found["other"] and adopts(found["other"], settings)
        else {},
        last_zxid=None if history.last is None else f"{history.last:#x}",
        damaged=history.damaged,
        trail={f"{zxid:#x}": checksum for zxid, checksum in history.trail.items()},
        times={f"{zxid:#x}": time for zxid, time in history.times.items()},
        gap=f"{history.gap:#x}",
        configured=bool(found["config"]),
        marker=(Path(found["txnlog_dir"]["path"]) / "initialize").exists(),
        servers=servers(found["config"]),
        unseen=lacks is None,
    )


if __name__ == "__main__":
    main()
