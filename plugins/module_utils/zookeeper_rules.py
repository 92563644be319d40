"""What preflight refuses. Pure: settings and findings in, messages out.

Every message names the variable and the remedy.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.host_port import host_port
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_heap import heap_mb
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import SETTINGS
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import (
    password_problem,
    property_problems,
    server_address,
    setting_problem,
    tls_problems,
)

SUPPORTED = {"debian": ("12", "13")}
# The unit runs with ProtectSystem, ProtectHome and PrivateTmp: there it would see something else, or nothing.
UNSEEN = ("/dev", "/home", "/proc", "/root", "/run", "/sys", "/tmp", "/var/tmp")  # noqa: S108 - refused
SUPERUSER = "zookeeper-superuser"  # the name in its certificate, as vars/main.yml of the role has it
# How names of certificates begin that no client can have.
RESERVED = {"mwapp-": "the role mwapp", SUPERUSER: "root of the servers"}
LOGS = "/var/log/zookeeper"  # the unit's LogsDirectory
# Of Java's flags those that name a file to write. (-Xlog:gc:gc.log is one, too; -Xlog:gc:stdout is not.)
WRITES = re.compile(
    r"(?:-Xlog:[^:]*:(?!stdout\b|stderr\b|:|$)(?:file=)?|-Xloggc:|-XX:(?:HeapDumpPath|ErrorFile|LogFile)=)"
    r'"?([^:"]+)'
)
# What a flag sets that nobody else may know.
SECRET_KEY = re.compile(r"(?:-D)?([\w.-]*(?:password|secret|superDigest))=", re.IGNORECASE)
PORTS = ("zookeeper_client_port", "zookeeper_quorum_port", "zookeeper_election_port")
ADOPTED = ".adopted"  # ends the name of a directory whose data were taken over
MOST = (1 << 31) - 1  # the largest integer of Java

Settings = dict[str, Any]


def as_id(value: object) -> int | None:
    """A server's number as inventories may write it; None if it is not a number."""
    if isinstance(value, bool) or not re.fullmatch(r"\d+", str(value)):
        return None
    return int(str(value))


def member_problems(members: list[Settings], settings: Settings) -> list[str]:
    """Of all members together: ids missing, out of range or given twice, and addresses given twice."""
    highest = 254 if extended_types(settings) else 255
    remedy = f"give every host of the group `zookeeper` a number of its own from 1 to {highest}"
    problems = []
    for member in members:
        number = as_id(member["id"])
        if member["id"] is None:
            problems.append(
                f"zookeeper_id is not set for {member['name']}: {remedy} (in host_vars or the inventory)."
            )
        elif number is None or not 1 <= number <= highest:
            problems.append(f"zookeeper_id of {member['name']} is {member['id']!r}: {remedy}.")
    for number, names in _twice({m["name"]: as_id(m["id"]) for m in members}).items():
        problems.append(f"zookeeper_id {number} is given to {' and '.join(names)}: {remedy}.")
    addresses = {m["name"]: host_port(m["host"], m["quorum_port"]) for m in members}
    for address, names in _twice(addresses).items():
        problems.append(
            f"{' and '.join(names)} both have the address {address}: set zookeeper_host of each to the "
            "name or address under which the other servers reach it."
        )
    return problems


def _twice(values: dict[str, Any]) -> dict[Any, list[str]]:
    """Values other than None that several names have, with the names."""
    counts = Counter(value for value in values.values() if value is not None)
    return {
        value: [n for n, v in values.items() if v == value] for value, count in counts.items() if count > 1
    }


def extended_types(settings: Settings) -> bool:
    """Whether TTL nodes are on, which takes the highest id for themselves."""
    value = settings["zookeeper_config"].get("extendedTypesEnabled", False)
    return (
        str(value).lower() == "true"
        or "-Dzookeeper.extendedTypesEnabled=true" in settings["zookeeper_jvm_flags"]
    )


def warnings(members: list[Settings]) -> list[str]:
    """What works but is rarely meant."""
    size = sum(not member["observer"] for member in members)
    if size % 2 or not size:
        return []
    return [
        f"The group `zookeeper` has {size} voting hosts, an even number: the ensemble survives the loss of "
        f"{size // 2 - 1}, no more than with {size - 1}. Add or remove one."
    ]


def setting_problems(settings: Settings) -> list[str]:
    """Of the variables by themselves."""
    return [
        *_port_problems(settings),
        *_directory_problems(settings),
        *_bound_problems(settings),
        *_session_problems(settings),
        *_word_problems(settings),
        *(text for flag in settings["zookeeper_jvm_flags"] for text in _flag_problems(flag, settings)),
        *(
            text
            for key, value in settings["zookeeper_config"].items()
            if (text := setting_problem(key, value))
        ),
        *_certificate_problems(settings),
    ]


def _port_problems(settings: Settings) -> list[str]:
    ports = {name: settings[name] for name in PORTS}
    if settings["zookeeper_tls"]:
        ports["zookeeper_tls_port"] = settings["zookeeper_tls_port"]
    if settings["zookeeper_admin_server"]:
        ports["zookeeper_admin_port"] = settings["zookeeper_admin_port"]
    problems = [
        f"{' and '.join(names)} are both {port}: give each a port of its own."
        for port, names in _twice(ports).items()
    ]
    return problems + [
        f"{name} is {port}: use 1 to 65535." for name, port in ports.items() if not 0 < port < 65536
    ]


def _directory_problems(settings: Settings) -> list[str]:
    problems = []
    for name in ("zookeeper_data_dir", "zookeeper_txnlog_dir"):
        path = settings[name]
        if not path.startswith("/") or _unseen(path):
            problems.append(f"{name} is {path}: use an absolute path outside {', '.join(UNSEEN)}.")
    if settings["zookeeper_data_dir"] == settings["zookeeper_txnlog_dir"]:
        problems.append(
            "zookeeper_txnlog_dir is zookeeper_data_dir: give the transaction log a directory of its own."
        )
    return problems


def _bound_problems(settings: Settings) -> list[str]:
    """Of numbers that are too small or too large."""
    problems = [
        f"{setting.variable} is {settings[setting.variable]}: use {setting.least} or more."
        for setting in SETTINGS
        if setting.least is not None and settings[setting.variable] < setting.least
    ]
    return problems + [
        f"{setting.variable} is {settings[setting.variable]}: use {MOST} or less, or no server could start."
        for setting in SETTINGS
        if setting.type == "int" and settings[setting.variable] > MOST
    ]


def _word_problems(settings: Settings) -> list[str]:
    if {"mntr", "*"} & set(settings["zookeeper_4lw_whitelist"]):
        return []
    return ["zookeeper_4lw_whitelist lacks mntr: add it, the quorum gate asks it of the leader."]


def _flag_problems(flag: str, settings: Settings) -> list[str]:
    """Of one of zookeeper_jvm_flags."""
    problems = []
    if flag.startswith(("-Xmx", "-Xms")):
        problems.append(f"zookeeper_jvm_flags has {flag}: set zookeeper_heap_mb instead.")
    if flag.startswith("-Djute.maxbuffer="):
        problems.append(f"zookeeper_jvm_flags has {flag}: set zookeeper_max_buffer instead.")
    problems += property_problems(flag, tls=settings["zookeeper_tls"])
    problems += _file_problems(flag, settings)
    return problems + [_secret_problem(key) for key in SECRET_KEY.findall(flag)]


def _secret_problem(key: str) -> str:
    """Of a flag that sets it. Its value is never told."""
    if problem := password_problem("zookeeper_jvm_flags", key):
        return problem
    way = (
        f"Set {key.removeprefix('zookeeper.')} in zookeeper_config: only root and the server read zoo.cfg."
        if key.lower().endswith("superdigest")
        else "Write it into a file that belongs to root and zookeeper_group, mode 0640, and name that."
    )
    return f"zookeeper_jvm_flags sets {key}: everybody on the host can read it in the process list. {way}"


def name_of_a_server(name: str) -> str:
    """Of a client's name."""
    return f"zookeeper_tls_clients names {name}, which is a server: choose another name."


def client_problems(names: Iterable[str]) -> list[str]:
    """Of the names of clients that are to have certificates, whatever servers there are."""
    return [
        f"zookeeper_tls_clients names {name}: choose another name. Names with this prefix are "
        f"reserved for {whose}."
        for name in names
        for prefix, whose in RESERVED.items()
        if name.startswith(prefix)
    ]


def _certificate_problems(settings: Settings) -> list[str]:
    problems = tls_problems(settings["zookeeper_config"]) if settings["zookeeper_tls"] else []
    problems += client_problems(settings["zookeeper_tls_clients"])
    if settings["zookeeper_tls_renew_days"] >= settings["zookeeper_tls_days"]:
        problems.append(
            f"zookeeper_tls_renew_days is {settings['zookeeper_tls_renew_days']}, but certificates are valid "
            f"for {settings['zookeeper_tls_days']} days (zookeeper_tls_days): set less, or each run would "
            "renew them."
        )
    return problems


def _file_problems(flag: str, settings: Settings) -> list[str]:
    """Of a file that Java is to write: if it cannot, it may not even start."""
    found = WRITES.match(flag)
    places = (LOGS, settings["zookeeper_data_dir"], settings["zookeeper_txnlog_dir"])
    if not found or any(_below(os.path.normpath(found[1]), place) for place in places):
        return []
    return [
        f"zookeeper_jvm_flags has {flag}: the server cannot write there, as it is sandboxed. Choose a place "
        f"in {LOGS}."
    ]


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _unseen(path: str) -> bool:
    return any(_below(path, top) for top in UNSEEN)


def _session_problems(settings: Settings) -> list[str]:
    """Bounds between which there is no session. 0 stands for 2 and 20 ticks."""
    tick = settings["zookeeper_tick_time"]
    shortest = settings["zookeeper_min_session_timeout"] or 2 * tick
    longest = settings["zookeeper_max_session_timeout"] or 20 * tick
    if shortest <= longest:
        return []
    return [
        f"zookeeper_min_session_timeout ({shortest} ms, 2 ticks if not set) is above "
        f"zookeeper_max_session_timeout ({longest} ms, 20 ticks if not set): set both."
    ]


def host_problems(me: Settings, members: list[Settings], settings: Settings, found: Settings) -> list[str]:
    """Of one host: its system, memory, ports, and the data it holds.

    ``found``: os {id, version, name}, memory_mb, account {uid, gid, uid_owner, gid_owner} (of the service
    user and group), listeners {port: process}, config {key: value}
    (the zoo.cfg in force), data_dir and txnlog_dir ({path, myid, owner, filled, logs} of those in force),
    targets {variable: path} (of the wanted directories, where their links lead), nowhere {variable: {link,
    target}} (those whose links lead to what is not there), lacking {key: class} (of
    zookeeper_config, what the installed jars do not have), address {text, own} (what zookeeper_host is
    there), buffer (the least with which the data can be read, or 0), other (data of another installation, or
    None; if they are to be adopted, config, data_dir and txnlog_dir are that one's).
    """
    problems = []
    system = found["os"]
    if system["version"] not in SUPPORTED.get(system["id"], ()):
        known = ", ".join(f"{name} {'/'.join(versions)}" for name, versions in SUPPORTED.items())
        problems.append(
            f"{me['name']} runs {system['name']}: this role installs from the packages of {known}."
        )
    heap = heap_mb(settings["zookeeper_heap_mb"], found["memory_mb"], 0)
    if heap > found["memory_mb"]:
        problems.append(
            f"zookeeper_heap_mb is {heap}, but {me['name']} has {found['memory_mb']} MB of memory: "
            "lower it, or set 0 for a quarter of the memory."
        )
    more = ["zookeeper_tls_port"] if settings["zookeeper_tls"] else []
    more += ["zookeeper_admin_port"] if settings["zookeeper_admin_server"] else []
    for name in (*PORTS, *more):
        owner = found["listeners"].get(settings[name])
        if owner:
            problems.append(
                f"{name} {settings[name]} is taken on {me['name']} by {owner}: "
                "stop that, or set another port."
            )
    if len(members) > 1:
        problems += _address_problems(me, settings, found["address"])
    problems += _class_problems(me["name"], found["lacking"])
    problems += _account_problems(me["name"], settings, found["account"])
    problems += _link_problems(me["name"], settings, found["targets"])
    problems += _nowhere_problems(me["name"], settings, found["nowhere"])
    problems += doubts(me, settings, found)
    least = found["buffer"]
    if least > settings["zookeeper_max_buffer"]:
        problems.append(
            f"zookeeper_max_buffer is {settings['zookeeper_max_buffer']}, but to read its data {me['name']} "
            f"needs {least}: set that or more. (Or delete what is so large. It is gone when a snapshot "
            "without it has been written, and older files have been purged. If nothing so large was ever "
            "stored, one of its logs ends in garbage, as after a crash. With a smaller buffer it would not "
            "start then, either: keep a copy of its logs first.)"
        )
    if found["data_dir"]["filled"] or found["txnlog_dir"]["filled"]:
        problems += _data_problems(me, settings, found)
    return problems


def _address_problems(me: Settings, settings: Settings, address: Settings) -> list[str]:
    """Of the address that a server resolves its own name to: it waits there for the others."""
    text, name = address["text"], me["name"]
    what = f"zookeeper_host of {name} is {me['host']}, which on {name} itself"
    remedy = f"Set it to an address of {name} that the other servers reach, or correct its /etc/hosts or DNS."
    if text is None:
        return [f"{what} does not resolve. {remedy}"]
    where = ipaddress.ip_address(text.partition("%")[0])
    if where.is_unspecified or where.is_multicast:
        return [f"{what} is {text}, which is no address of a single host: no other server finds it. {remedy}"]
    if str(settings["zookeeper_config"].get("quorumListenOnAllIPs", "")).lower() == "true":
        return []
    if where.is_loopback:
        return [f"{what} is {text}, a loopback address: the other servers could not reach it there. {remedy}"]
    if address["own"]:
        return []
    return [
        f"{what} is {text}, which is no address of {name}: the server could not listen there. {remedy} (If a "
        "router translates addresses, set zookeeper_config: {quorumListenOnAllIPs: true}.)"
    ]


def _account_problems(host: str, settings: Settings, account: Settings) -> list[str]:
    """Ids that the user or the group cannot have, as it has another, or another has them."""
    problems = []
    for kind, key in (("user", "uid"), ("group", "gid")):
        name, wanted = settings[f"zookeeper_{kind}"], settings[f"zookeeper_{key}"]
        now, owner = account[key], account[f"{key}_owner"]
        if wanted and now not in (None, wanted):
            problems.append(
                f"zookeeper_{key} is {wanted}, but {kind} {name} on {host} has {now}: set that, or 0."
            )
        elif owner not in (None, name):
            problems.append(
                f"zookeeper_{key} is {wanted}, which on {host} is {kind} {owner}: set another, or 0 for any."
            )
    return problems


def _class_problems(host: str, lacking: dict[str, str]) -> list[str]:
    return [
        f"zookeeper_config sets {key} to {name}, but the jars on {host} have no such class: correct it, "
        "or remove the key. (Debian's packages lack the metrics provider for Prometheus. The archive of a "
        "release has it: set zookeeper_install_from.)"
        for key, name in lacking.items()
    ]


def _link_problems(name: str, settings: Settings, targets: dict[str, str]) -> list[str]:
    """Of directories that are links, or are below one. Where none is, the settings were judged already."""
    linked = {variable: path for variable, path in targets.items() if path != settings[variable]}
    problems = [
        f"{variable} is {settings[variable]}, which on {name} leads to {path}: the server cannot see what is "
        f"in {', '.join(UNSEEN)}. Move the directory elsewhere, and let the link lead there."
        for variable, path in linked.items()
        if _unseen(path)
    ]
    if linked and len(set(targets.values())) < len(targets):
        problems.append(
            f"{' and '.join(targets)} lead to the same directory on {name}, {next(iter(linked.values()))}: "
            "give the transaction log a directory of its own."
        )
    return problems


def _nowhere_problems(name: str, settings: Settings, nowhere: dict[str, Settings]) -> list[str]:
    """Of directories that are links, or are below one, to what is not there: a disk that is not mounted."""
    return [
        f"{variable} is {settings[variable]}, but on {name} the link {where['link']} leads to "
        f"{where['target']}, which is not there. Mount it, and run again. (If there is nothing to keep, "
        "remove the link.)"
        for variable, where in nowhere.items()
    ]


def adopts(other: Settings, settings: Settings) -> bool:
    """Whether the data of another installation are to be taken over, and can be."""
    return bool(settings["zookeeper_adopt"]) and not (other["clash"] or other["shared"])


def _other_problems(name: str, settings: Settings, found: Settings) -> list[str]:
    """Of data that another installation left, such as Debian's zookeeperd: nobody may pass them by unseen."""
    other = found["other"]
    places = " and ".join(dict.fromkeys(other[key]["path"] for key in ("data_dir", "txnlog_dir")))
    has = f"{name} has data of another installation in {places} (last zxid {_end(other)})"
    own = f"{settings['zookeeper_data_dir']} and {settings['zookeeper_txnlog_dir']}"
    if not settings["zookeeper_adopt"]:
        if other["clash"]:  # data of its own, which is what the server goes on with, unless it would go back
            return _newer_problems(has, own, other)
        return [
            f"{has}, such as Debian's zookeeperd: without them the server would begin empty. Stop the old "
            "servers of all hosts (systemctl disable --now zookeeper), and set zookeeper_adopt: true to take "
            f"the data over. {_put_away(other)}"
        ]
    if other["shared"]:
        return [
            f"zookeeper_adopt is true, and {has}: set zookeeper_data_dir and zookeeper_txnlog_dir to other "
            "directories than these."
        ]
    if other["clash"]:
        return _newer_problems(has, own, other) or [
            f"zookeeper_adopt is true, and {has}; but it also has other data in {own} (last zxid "
            f"{other['clash']}), which are as new or newer: set zookeeper_adopt: false to go on with these."
        ]
    problems = []
    runs = found["listeners"].get(found["deployed_port"])
    if runs or found["unit"]["active"]:
        problems.append(
            f"zookeeper_adopt is true, but the old server of {name} runs{f' ({runs})' if runs else ''}: stop "
            "it on all hosts (systemctl disable --now zookeeper), and run again. Nobody is served until that "
            "run has started the new ones."
        )
    if other["lacks_mb"]:
        problems.append(
            f"zookeeper_adopt is true, but {name} lacks {other['lacks_mb']} MB for a copy of the data in "
            f"{places}: make room for {settings['zookeeper_data_dir']}."
        )
    return problems


def _end(other: Settings) -> str:
    """How far data of another installation go. Where there are others, it is told later what is damaged."""
    if not other["damaged"] or other["clash"]:
        return str(other["last"])
    return f"at least {other['last']}, its log {other['damaged']} is damaged"


def _put_away(other: Settings) -> str:
    """Whether such data may be left out. All hosts' last zxids are told beside it."""
    if other["damaged"]:
        return "Do not put them away: that log may have the newest writes."
    return "(If nobody needs them any more, move version-2 there to another place, and do not delete it.)"


def _newer_problems(has: str, own: str, other: Settings) -> list[str]:
    """Of data of another installation that go farther than the server's own, with which it would go on."""
    if int(other["last"], 16) <= int(other["clash"], 16) and not other["damaged"]:
        return []
    if other["damaged"]:
        return [
            f"{has}, and data of its own in {own} (last zxid {other['clash']}), but {other['damaged']} is "
            "damaged: the role cannot tell which are newer. Discard neither. Repair a copy of that file "
            "(docs/operations.md, 'A damaged log'), keep the file itself elsewhere, put the copy in its "
            "place, and run again."
        ]
    has += f", and older data of its own in {own} (last zxid {other['clash']}): with these it would go back. "
    if other["shared"]:  # what is whose cannot be told there
        return [f"{has}Set zookeeper_data_dir and zookeeper_txnlog_dir to other directories than these."]
    return [
        f"{has}Move what is in {own} to another place, do not delete it, and set zookeeper_adopt: true, "
        "which takes the former over."
    ]


def doubts(me: Settings, settings: Settings, found: Settings) -> list[str]:
    """Whose data these are, and whether there are newer ones: the plan of no other host can do without."""
    problems = _other_problems(me["name"], settings, found) if found["other"] else []
    filled = found["data_dir"]["filled"] or found["txnlog_dir"]["filled"]
    return problems + (_id_problems(me, found) if filled else [])


def _id_problems(me: Settings, found: Settings) -> list[str]:
    """Of data that are another server's, or nobody knows whose."""
    name, myid = me["name"], found["data_dir"]["myid"]
    if myid is None and not found["config"]:
        path = found["data_dir"]["path"]
        return [
            f"{name} has data, but neither zoo.cfg nor {path}/myid tells which server's they are: if they "
            f"are those of server {me['id']}, write {me['id']} to {path}/myid and run again."
        ]
    if myid is not None and as_id(myid) != as_id(me["id"]):
        return [
            f"zookeeper_id of {name} is {me['id']}, but its data belongs to server {myid}: set zookeeper_id "
            f"back to {myid}, or mount the disk of server {me['id']} on {name}."
        ]
    return []


def _data_problems(me: Settings, settings: Settings, found: Settings) -> list[str]:
    """What must not change under a server that has data."""
    name, problems = me["name"], []
    shared = found["data_dir"]["path"] == found["txnlog_dir"]["path"]
    moves = bool(found["other"]) and adopts(found["other"], settings)
    for variable, key in (("zookeeper_data_dir", "data_dir"), ("zookeeper_txnlog_dir", "txnlog_dir")):
        path = found[key]["path"]
        # A log beside the snapshots is told below: there are not two directories to be moved.
        beside = shared and key == "txnlog_dir"
        if found[key]["filled"] and path != settings[variable] and not moves and not beside:
            problems.append(
                f"{variable} is {settings[variable]}, but {name} has its data in {path}: set it back to "
                f"{path}; or stop the server, move the directory, and run again."
            )
    if found["data_dir"]["logs"] and not found["other"]:
        problems.append(_beside(name, found["data_dir"]["path"], settings["zookeeper_txnlog_dir"]))
    return problems + _owner_problems(name, settings, found)


def _beside(name: str, path: str, wanted: str) -> str:
    """Of a transaction log that is where the snapshots are."""
    return (
        f"{name} has its transaction log beside its snapshots, in {path}: with zookeeper_txnlog_dir "
        "elsewhere the server would not start. Stop it (systemctl stop zookeeper), move "
        f"{path}/version-2/log.* to {wanted}/version-2, run with --limit {name}, then go on with the next."
    )


def _owner_problems(name: str, settings: Settings, found: Settings) -> list[str]:
    """Of data that a running server could no longer write, as they are given to another user at once."""
    user, uid = settings["zookeeper_user"], found["account"]["uid"]
    owners = {found[key]["owner"] for key in ("data_dir", "txnlog_dir")} - {None, uid}
    if not owners or not found["unit"]["active"]:
        return []
    return [
        f"zookeeper_user is {user}, but the server of {name} runs, and user {min(owners)} has its data. "
        "Set it back; or stop that server (systemctl stop zookeeper) and run with "
        f"--limit {name}, then go on with the next."
    ]


def declared_dead(settings: Settings, config: dict[str, str]) -> dict[str, str]:
    """Those members of a zoo.cfg that zookeeper_dead names."""
    dead = {address.strip() for address in settings["zookeeper_dead"]}
    return {number: line for number, line in servers(config).items() if server_address(line)[0] in dead}


def forgotten(settings: Settings, config: dict[str, str]) -> dict[str, str]:
    """The others that zookeeper_dead names: where each took part in elections, by its address."""
    known = {server_address(line)[0] for line in servers(config).values()}
    addresses = {address.strip() for address in settings["zookeeper_dead"]} - known - {""}
    port = settings["zookeeper_election_port"]
    return {address: f"[{address}]:0:{port}" for address in sorted(addresses)}


def readdressed(members: list[Settings], config: dict[str, str]) -> dict[str, str]:
    """Those of a zoo.cfg that have another address there than in the inventory."""
    now = {str(as_id(member["id"])): member["host"] for member in members}
    return {
        number: line
        for number, line in servers(config).items()
        if now.get(number, server_address(line)[0]) != server_address(line)[0]
    }


def returned_problems(addresses: list[str]) -> list[str]:
    """Of servers that were declared dead, are no members any more, and run again."""
    return [
        f"zookeeper_dead names {address}, and a server runs there again: it may serve clients beside this "
        "ensemble, with data of its own. If it is the one that was declared dead, stop it there (systemctl "
        "disable --now zookeeper), and keep its data. If it is another one, or another ensemble's, take the "
        "address out of zookeeper_dead."
        for address in addresses
    ]


def alive_problems(running: list[str]) -> list[str]:
    """Of members that were declared dead and answer."""
    return [
        f"zookeeper_dead names server {server}, but it answers there: take it out of zookeeper_dead. If it "
        "is to go all the same, leave it running, and take it out of the group in a run of its own."
        for server in running
    ]


def servers(config: dict[str, str]) -> dict[str, str]:
    """The members a zoo.cfg names: by id (as text) ``host:port:port``, with ``:observer`` for observers."""
    lines = {key[7:]: value for key, value in config.items() if re.fullmatch(r"server\.\d+", key)}
    return {
        number: line.partition(";")[0].removesuffix(":participant").strip() for number, line in lines.items()
    }
