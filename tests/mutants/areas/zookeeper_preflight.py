"""Preflight: the module zookeeper_preflight, which looks at a host, and the rules it goes by."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

FILES = ("rules", "role", "settings", "jars", "sizes", "adopt")
KILLERS = (
    pytest("tests/unit/zookeeper_preflight", *(f"tests/unit/test_zookeeper_{name}.py" for name in FILES)),
)

preflight = partial(Mutant, "plugins/modules/zookeeper_preflight.py")
settings = partial(Mutant, "plugins/module_utils/zookeeper_settings.py")
zoo_cfg = partial(Mutant, "plugins/module_utils/zookeeper_zoo_cfg.py")
jars = partial(Mutant, "plugins/module_utils/zookeeper_jars.py")
sizes = partial(Mutant, "plugins/module_utils/zookeeper_sizes.py")
adopt = partial(Mutant, "plugins/modules/zookeeper_adopt.py")
rules = partial(Mutant, "plugins/module_utils/zookeeper_rules.py")

MUTANTS = [
    preflight("                and not ipaddress.ip_address(here).is_loopback\n", "", "itself is a follower"),
    preflight(
        '                and f"socket:[{fields[9]}]" in names\n', "", "another process follows the leader"
    ),
    preflight("and {own, other} & ports\n", "\n", "whoever talks to it in an election follows it"),
    preflight(
        '(Path(found["txnlog_dir"]["path"]) / "initialize")',
        '(Path(found["data_dir"]["path"]) / "initialize")',
        "the marker is looked for where ZooKeeper does not look: a new server may have no vote",
    ),
    preflight(
        'found["data_dir"]["filled"] or found["txnlog_dir"]["filled"],',
        'found["data_dir"]["filled"],',
        "a server with logs alone is taken for an empty one, and may be given a first start",
    ),
    preflight('("snapshot.*", "log.*")', '("snapshot.*",)', "logs are no data"),
    preflight(
        '("snapshot.*", "log.*")', '("*",)', "a server that waits for data is taken for one that has them"
    ),
    preflight(
        "in_force(read(RUNNING), read(ON_DISK))",
        "in_force(read(ON_DISK), read(RUNNING))",
        "what waits for the next start is taken for what runs: the server is asked where it does not listen",
    ),
    preflight(
        "in_force(read(RUNNING), read(ON_DISK))", "in_force(read(RUNNING))", "a stopped server has no data"
    ),
    preflight(
        'server["active"] and bool({port, secure} & own)',
        'server["active"]',
        "a server that fails again and again is held back the files that would mend it",
    ),
    preflight(
        'server["active"] and bool({port, secure} & own)',
        "bool({port, secure} & own)",
        "what is about to stop runs",
    ),
    preflight(
        'server["active"] and bool({port, secure} & own)',
        'server["active"] and bool(own)',
        "any port of ours will do",
    ),
    preflight(
        '(*PORTS, "zookeeper_tls_port", "zookeeper_admin_port")} | {port, secure}',
        '(*PORTS, "zookeeper_tls_port", "zookeeper_admin_port")}',
        "a server on its old port does not run",
    ),
    preflight(', "zookeeper_admin_port")} |', ")} |", "the admin port is not looked at"),
    preflight(
        '"zookeeper_tls_port", "zookeeper_admin', '"zookeeper_admin', "the port for TLS is not looked at"
    ),
    preflight('server["pid"],\n', "0,\n", "its own ports are another's", at="look"),
    preflight('{"plain": port,', '{"plain": settings["zookeeper_client_port"],', "the port to come"),
    preflight(
        "wanted = [settings[name] for name in DIRECTORIES]",
        "wanted = [settings[DIRECTORIES[0]] for name in DIRECTORIES]",
        "the marker of a first start is looked for beside the data",
    ),
    preflight("os.path.realpath(settings[name])", "settings[name]", "a link may lead anywhere"),
    rules(
        "if _unseen(path)\n", "if False\n", "a link leads where the server cannot see", at="_link_problems"
    ),
    rules("if linked and len(", "if False and len(", "two links lead to one directory"),
    preflight("unseen=lacks is None", "unseen=False", "a fresh host is given a class that nobody has"),
    preflight("unseen=lacks is None", "unseen=bool(classes)", "every run looks twice"),
    jars("if key in NAME_CLASSES or", "if", "the metrics provider is not looked for"),
    jars("key.startswith(one) for one", "key == one for one", "other providers are not looked for"),
    jars(
        "return missing if seen else None", "return missing", "before the packages are there all is refused"
    ),
    jars("        todo += _references(jar)\n", "", "what Debian's zookeeper.jar refers to is refused"),
    jars("if jar.resolve() in seen or not", "if not", "jars that name each other: no end"),
    jars('re.sub(r"\\r?\\n ", "",', 're.sub("x", "x",', "long lists are cut"),
    jars('"*.jar")) if entry.endswith("/*")', '"*.jar")) if False', "no class of an archive is found"),
    rules(
        "if len(members) > 1:\n", "if True:\n", "a single server must not be at localhost", at="host_problems"
    ),
    rules(
        "if where.is_unspecified or where.is_multicast:",
        "if where.is_multicast:",
        "a server is looked for at any address",
    ),
    rules(
        "if where.is_loopback:",
        "if where.is_unspecified:",
        "a server waits for the others where they cannot come",
    ),
    rules('text.partition("%")[0]', "text", "an address with a zone ends the run"),
    rules('    if address["own"]:\n', "    if True:\n", "a server cannot listen, and fails again and again"),
    preflight("(OSError, UnicodeError)", "OSError", "a name that cannot be one ends the run", at="address"),
    preflight(
        'if before and settings["zookeeper_max_buffer"] >= before:',
        "if False:",
        "all data are read in every run",
    ),
    preflight(
        'if before and settings["zookeeper_max_buffer"] >= before:',
        'if settings["zookeeper_max_buffer"] >= before:',
        "a host that was reinstalled cannot read its data",
    ),
    rules('if least > settings["zookeeper_max_buffer"]:', "if False:", "servers cannot read their data back"),
    sizes('int(path.name.split(".")[1], 16)', "path.name", "the snapshot 9 is newer than 10"),
    sizes("(size + 1) // 2 for", "size for", "what fits is refused"),
    sizes(
        "if not _take(file, HEADER).startswith(MAGIC):",
        "if not _take(file, HEADER):",
        "compressed data are numbers",
    ),
    sizes("if size <= 0:\n", "if False:\n", "the zeros behind a log are read"),
    sizes("_take(file, size + STAT)", "_take(file, size)", "only the first value is right"),
    preflight(
        'dict(zip(("data_dir", "txnlog_dir"), found, strict=True))',
        'dict.fromkeys(("data_dir", "txnlog_dir"), found[0])',
        "the log is never looked at",
    ),
    preflight(
        "PATTERNS[1:] if paths[0] == paths[1] else PATTERNS",
        "PATTERNS",
        "a log that was moved from beside the snapshots is not found",
    ),
    preflight("if left and adopts(left, settings):", "if False:", "who else was a member is not known"),
    preflight("if config or not any(", "if not any(", "a server that is set up is given old data"),
    preflight("theirs != mine and", "", "the server's own data are another's"),
    preflight('if as_id(found["data_dir"]["myid"]) is None:', "if False:", "Debian's sentence is a number"),
    preflight(', f"version-2{ADOPTED}")', ")", "an adoption that was cut short is refused for ever"),
    preflight('are_copies(files(own, "version-2"), known)', "True", "data of its own are written over"),
    preflight('are_copies(files(own, "version-2"), known)', "False", "an adoption cut short is refused"),
    preflight("damaged=history.damaged,", 'damaged="",', "a damaged log passes for a short one"),
    preflight("theirs_end.damaged or own_end.damaged", "theirs_end.damaged", "its own data may be newer"),
    preflight("theirs_end.damaged or own_end.damaged", "own_end.damaged", "theirs may be newer"),
    rules("return _newer_problems(has, own, other)\n", "return []\n", "newer data are passed by"),
    rules("return _newer_problems(has, own, other) or", "return", "newer data are to be put away"),
    preflight("doubts=doubts(me, settings, found)", "doubts=[]", "who is left out may have newer data"),
    preflight('theirs=found["other"]["last"] if', 'theirs="" if', "which data to keep is not told"),
    preflight('theirs_damaged=found["other"]["damaged"] if', 'theirs_damaged="" if', "it passes for whole"),
    rules(
        'if int(other["last"], 16) <= int(other["clash"], 16) and',
        'if other["last"] != other["clash"] and',
        "newer data are passed by unseen",
    ),
    rules(
        'if int(other["last"], 16) <= int(other["clash"], 16) and',
        'if int(other["last"], 16) < int(other["clash"], 16) and',
        "data as old as its own are newer",
    ),
    preflight("cmp(one, file, shallow=False)", "True", "whose file has the same name is written over"),
    preflight(
        "cmp(one, file, shallow=False)",
        "one.stat().st_size == file.stat().st_size",
        "whose file has the same name and size is written over",
    ),
    preflight("one.name == file.name and cmp", "cmp", equivalent="only empty files are alike by chance"),
    preflight("set(own) & set(paths)", "()", "logs stay where the server does not look"),
    preflight("size - free(own[0])", "-free(own[0])", "a disk is filled in the middle of it"),
    preflight("if one.exists()", "if True", "a directory that is still to be made has no room", at="free"),
    preflight(
        "return found if active or",
        "return found if",
        "a server that waits is given what is not its",
        at="moved",
    ),
    preflight('or found["filled"] or', "or", "what is in force is passed by", at="moved"),
    preflight("else data(new)", "else found", "a server whose directory was moved is a new one", at="moved"),
    adopt("part.rename(directory / file.name)", "shutil.copy2(part, directory)", "a file may be half"),
    adopt(
        'next(filter(None, (clash(*way) for way in ways)), "")',
        '""',
        "files of the same name are written over",
    ),
    adopt("problem = same or", "problem =", "what was cut short refuses its own copies"),
    adopt(
        "if data.resolve() == logs.resolve()", "if data == logs", "through a link, it refuses its own copies"
    ),
    adopt(
        "except (OSError, RuntimeError) as error:",
        "except KeyError as error:",
        "a traceback of a dangling link",
    ),
    adopt("if file is None or not cmp", "if file and not cmp", "two histories are mixed"),
    adopt("file is None or not cmp(file, mine, shallow=False)", "file is None", "who has the name is alike"),
    adopt("(*DATA, *LOGS) for mine", "LOGS for mine", "a newer epoch is written over"),
    adopt("(*DATA, *LOGS) for mine", "DATA for mine", "a newer log is written over"),
    adopt("if directory.resolve() == old.resolve():", "if False:", "data are moved away from under it"),
    adopt("directory.resolve() == old.resolve()", "directory == old", "a link hides that it is one place"),
    adopt("    if own_end > end:\n", "    if False:\n", "the newest data are to be moved away"),
    adopt(
        "theirs.damaged or own.damaged", "theirs.damaged", "what a damaged log of its own has is moved away"
    ),
    adopt("dict.fromkeys(map(place, tops.old))", "tops.old", "the old data count for nothing"),
    adopt("if not old:", "if False:", "what was written since the adoption is written over"),
    adopt('("snapshot.*", "acceptedEpoch", "currentEpoch")', '("snapshot.*",)', "promises are forgotten"),
    adopt("path.rename(path.with_name(path.name + ADOPTED))", "pass", "it is adopted again, much later"),
    adopt("if path.with_name(path.name + ADOPTED).exists():", "if False:", "what was adopted is mixed up"),
    adopt("if not module.check_mode:", "if True:", "a check copies"),
    adopt("mkdir(0o700, parents=True", "mkdir(parents=True", "until the server is set up all can read them"),
    adopt(
        'places = (top / "version-2", top / f"version-2{ADOPTED}")',
        'places = (top / "version-2", top)',
        "what is left of a cut is not finished",
    ),
    preflight(
        'stale() if found["unit"]["active"] else []', "stale()", "what does not run is to be restarted"
    ),
    preflight('stale() if found["unit"]["active"] else []', "[]", "an upgrade is never brought into use"),
    preflight(
        "if not _is(Path(path), digest)]",
        "if _is(Path(path), digest)]",
        "what is unchanged is changed",
    ),
    preflight("path.is_file() and hashlib", "hashlib", "a jar that is gone ends the run"),
    preflight("line.split(maxsplit=1)", "line.split()", "a name with a blank ends the run"),
    preflight("return [str(STARTED_WITH)]", "return []", "a server started by hand is up to date"),
    preflight(
        'state.get("LoadState") == "loaded"', 'state.get("LoadState") != "error"', "a unit that is not there"
    ),
    preflight('state.get("ActiveState") == "active"', 'state.get("ActiveState") != "inactive"', "it starts"),
    preflight('== "enabled"', '!= "disabled"', "a unit that is not there is enabled"),
    preflight(
        "LoadState,ActiveState,SubState,MainPID,UnitFileState",
        "LoadState,ActiveState,SubState,UnitFileState",
        "no process has its ports",
    ),
    preflight(
        "UNIT, properties], check_rc=True)", "UNIT, properties])", "a host without systemd has no server"
    ),
    preflight(
        "_, out, _ = module.run_command(query)",
        "_, out, _ = module.run_command(query, check_rc=True)",
        "a package that is not known ends the run",
    ),
    preflight('if f"{package} installed" not in', 'if f"{package} " not in', "nothing is ever installed"),
    preflight('f"{package} installed" not in out.splitlines()', "package not in out", "removed is installed"),
    preflight(
        "if fields[3] == LISTEN and port in ports:", "if port in ports:", "a client's connection takes a port"
    ),
    preflight('("tcp", "tcp6")', '("tcp",)', "Java listens by IPv6: no server ever runs", at="listeners"),
    preflight('("tcp", "tcp6")', '("tcp6",)', "who listens by IPv4 is overlooked", at="listeners"),
    preflight('("tcp", "tcp6")', '("tcp",)', "clients of IPv6 are cut off", at="clients"),
    preflight('("tcp", "tcp6")', '("tcp6",)', "clients of IPv4 are cut off", at="clients"),
    preflight("if port not in own}", "}", "a port of the server itself is taken by another process"),
    preflight("splitlines()[1:]", "splitlines()", "the heading of the table ends the run", at="listeners"),
    preflight(
        'int(fields[1].rpartition(":")[2], 16)', 'int(fields[2].rpartition(":")[2], 16)', "the other end"
    ),
    preflight(
        "int(found[1]) // 1024 if found else 0", "int(found[1]) if found else 0", "a heap beyond all memory"
    ),
    preflight('if name == members[0]["name"]:', "if True:", "warned of as often as there are hosts"),
    preflight('if name == members[0]["name"]:', "if False:", "an even ensemble is not warned of"),
    preflight("problems += host_problems(me, members, settings, found)", "", "the host is not judged"),
    preflight(
        "setting_problems(settings) + member_problems(members, settings)",
        "setting_problems(settings)",
        "ids given twice pass",
    ),
    preflight(
        "setting_problems(settings) + member_problems(members, settings)",
        "member_problems(members, settings)",
        "settings that cannot work pass",
    ),
    rules("if wanted and now not in", "if now not in", "each user is refused", at="_account_problems"),
    rules("elif owner not in (None, name)", "elif owner", "its own id is another's", at="_account_problems"),
    rules(
        'if not owners or not found["unit"]["active"]:',
        "if True:",
        "a running server loses its data",
        at="_owner_problems",
    ),
    rules(
        'if not owners or not found["unit"]["active"]:',
        "if not owners:",
        "a disk from another host is refused",
        at="_owner_problems",
    ),
    preflight("MANUALS.is_dir()", "True", "openjdk cannot be installed where there are no manuals"),
    preflight('"*_Packages*"', '"*"', "an empty list passes for a fresh one"),
    preflight(
        'APT_LISTS = Path("/var/lib/apt/lists")',
        'APT_LISTS = Path("/var/lib/apt")',
        "lists are never seen",
    ),
    preflight('Path("/run/zookeeper/zoo.cfg")', 'Path("/run/zookeeper/zoo.conf")', "never what runs"),
    preflight('Path("/run/zookeeper/started-with")', 'Path("/run/started-with")', "always stale"),
    settings('"str" if setting.type == "path" else setting.type', '"raw"', "a number given by -e is text"),
    settings(
        '"str" if setting.type == "path" else setting.type',
        "setting.type",
        "a path is judged as the shell reads it",
    ),
    settings('{"elements": "str"} if setting.type == "list" else {}', "{}", "one word is a list of letters"),
    preflight("changed=False,", "changed=bool(problems),", "looking changes something"),
    preflight("supports_check_mode=True", "supports_check_mode=False", "check mode sees nothing"),
    preflight('servers=servers(found["config"])', "servers={}", "every ensemble is new"),
    preflight(
        "myid.strip() if myid is not None else None",
        "myid",
        "every myid is another's",
    ),
    preflight(
        'member["name"] == name), None)',
        'member["name"] == name), members[0])',
        "a stranger is taken for the first",
    ),
    zoo_cfg(
        'if text), "")',
        'if text is not None), "")',
        "a record cut short hides what is on disk",
        at="in_force",
    ),
    zoo_cfg(
        "if not config:\n",
        "if False:\n",
        "before the first start the log is looked for with the data",
        at="directories",
    ),
    zoo_cfg(
        'config.get("dataLogDir", data_dir)',
        'config.get("dataLogDir", txnlog_dir)',
        "logs of nobody",
        at="directories",
    ),
    zoo_cfg(
        'config.get("dataDir", data_dir)',
        'config["dataDir"]',
        "a zoo.cfg that lost a line ends the run that would mend it",
        at="directories",
    ),
    zoo_cfg(
        "if port.isdecimal() else None",
        "if port else None",
        "a zoo.cfg with a typing error ends the run that would mend it",
        at="client_port",
    ),
    preflight("client_port(config) or", "", "the port that is to come is asked"),
    preflight(
        "if one.is_symlink() and not one.exists():",
        "if one.is_symlink():",
        "a link to a disk that is mounted is refused",
    ),
    preflight(
        "if not resolved(server_address(line)[0]) & here}",
        "}",
        "a member whose name changed still runs elsewhere",
    ),
    preflight(
        'elsewhere=elsewhere(members, found["config"]),',
        "elsewhere={},",
        "a machine that still runs, whose place another one takes, is not looked for",
    ),
    rules(
        '    problems += _nowhere_problems(me["name"], settings, found["nowhere"])\n',
        "",
        "the disk that a link leads to is not mounted, and the server begins empty",
    ),
    preflight(
        'problems += alive_problems(still_running(declared_dead(settings, found["config"])))',
        "",
        "a member that answers is declared dead",
    ),
    preflight("problems += returned_problems(returned)", "", "a dead server that is back is passed by"),
    preflight("returned=returned,", "returned=[],", "status.yml does not tell of it"),
    rules('} - known - {""}', '} - {""}', "a member that answers is told of twice"),
    rules('f"[{address}]:0:{port}"', 'f"{address}:0:0"', "no server is seen to be back"),
    preflight('configured=bool(found["config"])', "configured=True", "a host installed anew has no members"),
    preflight(
        'configured=bool(found["config"])', "configured=False", "a server that serves alone is a member"
    ),
    rules("if server_address(line)[0] in dead}", "}", "members that nobody declared dead are refused"),
    rules(
        'if myid is None and not found["config"]:',
        "if False:",
        "the data of nobody knows whom are taken over",
    ),
    zoo_cfg(
        '.strip("[]"), int(quorum', ", int(quorum", "a member with an IPv6 address cannot be declared dead"
    ),
]
