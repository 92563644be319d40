"""What the role mwapp refuses."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_rules.py"),)

rules = partial(Mutant, "plugins/filter/mwapp_rules.py")
environment = partial(Mutant, "mwapp/execution/environment.py")
daemons = partial(Mutant, "mwapp/cli/daemons.py")

MUTANTS = [
    rules(
        'return f"{name} is not text: put its value',
        'return f"{name} is {value}, which is not text: put its value',
        "a secret number is shown",
    ),
    rules(
        "    if skips:\n",
        "    if False:\n",
        "lists are switched on that the servers ignore",
    ),
    rules("        elif upper:\n", "        elif False:\n", "a task can keep the service from starting"),
    rules("    if runs and not user", "    if not user", "a host that runs no tasks needs a user for them"),
    # ------------------------------------------------------------ what is looked at
    rules(
        'variables["mwapp_roles"], groups),',
        'variables["mwapp_roles"], {}),',
        "every inventory lacks masters",
    ),
    rules("if one != host]", "]", "a host clashes with itself"),
    rules(
        "*name_problems(name, [one for one in _named(name, hostvars, groups) if one != host]),",
        "*name_problems(name, []),",
        "two hosts take each other's place",
    ),
    rules("        *amount_problems(variables),\n", "", "any number passes"),
    rules("user not in OTHERS", "True", "tasks are the master's user"),
    rules("        *limit_problems(variables),\n", "", "any limit passes"),
    rules("MEMORY[0] <= _bytes(value) < MEMORY[1]", "_bytes(value)", "a limit passes that mwapp refuses"),
    rules(
        "LEAST_CPU <= number(variables[name]) <= MOST_CPU", "True", "a limit passes that the kernel refuses"
    ),
    rules(
        'if {*variables["mwapp_roles"]} - {"master"} else ()',
        "",
        "a master is refused for what it never runs",
    ),
    rules(
        "str(variables[name]).strip() or 0", "variables[name]", "no limit is one that no kernel can enforce"
    ),
    rules('name.rpartition("_")[2] not in there', "True", "any limit is refused"),
    rules(
        'name.rpartition("_")[2] not in there',
        "not there",
        "what the kernel cannot limit is found out when a service starts",
    ),
    rules(
        "        *port_problems(variables, _server_ports(host, hostvars, groups)),\n", "", "any port passes"
    ),
    rules(
        "        *source_problems(checkout, handlers),\n",
        "",
        "where the sources are is found out by the bundle",
    ),
    rules('str(variables["mwapp_name"])', 'variables["mwapp_name"]', "a host called 7 ends the run"),
    rules("[str(label) for label in", "[label for label in", "a label 7 ends the run"),
    rules('groups.get("zookeeper", [])', "groups", "ticks of the application's hosts", at="_granted_ms"),
    rules("if value is not None), ZOO", "), ZOO", "a host without the variable has no ticks"),
    rules("least or 2 * tick", "2 * tick", "the shortest session that was set is not looked at"),
    rules("most or 20 * tick", "20 * tick", "the longest session that was set is not looked at"),
    rules("for role in ROLES", 'for role in ("master", "worker")', "two nodes have one name"),
    rules("for role in ROLES", 'for role in ("worker", "node")', "two masters have one name"),
    rules('.get("mwapp_name", host)', '.get("mwapp_name")', "the name that another has by default is free"),
    rules(
        "str(hostvars[host].get", "(hostvars[host].get", "a host called 7 has another name than one called 7"
    ),
    rules(
        'if host not in groups.get("zookeeper", []):',
        "if not groups:",
        "servers on other hosts take this one's ports",
    ),
    rules(
        "hostvars[host].get(name, port) for name, port in ZOOKEEPER",
        "port for name, port in ZOOKEEPER",
        "a server on another port is overlooked",
    ),
    # ------------------------------------------------------------ rules
    rules("(TypeError, ValueError)", "TypeError", "a word where a number belongs ends the run"),
    rules("(TypeError, ValueError)", "ValueError", "null where a number belongs ends the run"),
    rules("return math.nan", "return 0.0", "a word is a number, and within some bounds", at="number"),
    rules('if role != "node"]', "]", "a node is refused beside itself"),
    rules("    if not roles:", "    if roles == [None]:", "a host without service passes"),
    rules('if "node" in roles and others:', "if False:", "a host is master twice"),
    rules("if len(nodes) == 1:", "if len(nodes) == 0:", "a node alone, which runs nothing"),
    rules("if not masters and not nodes:", "if not masters:", "nodes need masters"),
    rules("if not masters and not nodes:", "if False:", "workers without master"),
    rules("connect.strip()", "connect", "what mwapp takes is refused"),
    rules("server.strip()", "server", "what mwapp takes is refused: blanks after commas"),
    rules("if all(one and", "if any(one and", "one sound server is enough"),
    rules("_is_port(one[1] or 1)", "one", "port 0, and 99999"),
    rules("(one[1] or 1)", "(one[1])", "a port that is left out, as mwapp allows"),
    rules(" and CHROOT.fullmatch(slash + path)", "", "any path"),
    rules(r"(?!\.{1,2}(?:/|$))", "", "/.. is a path"),
    rules(r"{1,2}(?:/|$)", r"{1,2}", "/.a is none"),
    rules(r"]+)*/*", r"]+)*", "/mwapp/ is refused"),
    rules(r"\[[0-9A-Fa-f:.]+\]|", "", "IPv6 is refused"),
    rules("PORTS = (1, 65535)", "PORTS = (0, 65535)", "port 0"),
    rules("PORTS = (1, 65535)", "PORTS = (1, 65536)", "port 65536"),
    rules("PORTS = (1, 65535)", "PORTS = (1, 65534)", "the last port is refused"),
    rules("SESSION = (0.1, 3600)", "SESSION = (0, 3600)", "shorter than mwapp takes it"),
    rules("SESSION = (0.1, 3600)", "SESSION = (0.1, 36000)", "longer than mwapp takes it"),
    rules("or 2 * tick", "or tick", "the servers grant twice as long"),
    rules("or 20 * tick", "or 21 * tick", "the servers do not grant it"),
    rules(
        "if least <= number(timeout) <= most:", "if least < number(timeout) < most:", "the bounds themselves"
    ),
    rules("if not NAME.fullmatch(name):", "if not NAME.match(name):", "any end of a name"),
    rules("{0,127}", "{0,128}", "a name mwapp does not take"),
    rules("{0,62}", "{0,63}", "a label mwapp does not take"),
    rules("    if others:\n", "    if False:\n", "two hosts with one name"),
    rules('for role in variables["mwapp_roles"]}', 'for role in ("master", "worker")}', "services elsewhere"),
    rules("if not _is_port(port)", "if _is_port(port)", "sound ports are refused"),
    rules("{**own, **server}", "{**own}", "a ZooKeeper server's port"),
    rules("setdefault(number(port), [])", "setdefault(port, [])", "2223 and '2223' are two"),
    rules("if len(names) > 1 and names[0] in own:", "if len(names) > 2:", "two services with one port"),
    rules("if len(names) > 1 and names[0] in own:", "if len(names) > 1:", "what is the server's own affair"),
    rules("if not least <= number(variables[name]) <= most", "if number(variables[name]) < least", "no most"),
    rules("if not least <= number(variables[name]) <= most", "if number(variables[name]) > most", "no least"),
    rules("if math.isinf(most) else", "if most is None else", "use 1 to inf"),
    rules('"mwapp_slots": (0, 1000', '"mwapp_slots": (1, 1000', "one for each CPU is refused"),
    rules('"mwapp_slots": (0, 1000', '"mwapp_slots": (0, 1001', "more than mwapp takes"),
    rules('"mwapp_prefetch": (0, 1000', '"mwapp_prefetch": (1, 1000', "its own default is refused"),
    rules('"mwapp_retention": (60,', '"mwapp_retention": (59,', "less than mwapp takes"),
    rules('"mwapp_keep": (1000, 20000', '"mwapp_keep": (999, 20000', "less than mwapp takes"),
    rules('"mwapp_keep": (1000, 20000', '"mwapp_keep": (1000, 20001', "more than mwapp takes"),
    rules('"mwapp_max_attempts": (1,', '"mwapp_max_attempts": (0,', "a task that is never run"),
    rules(
        '"mwapp_max_per_submitter": (0, 40000',
        '"mwapp_max_per_submitter": (0, 40001',
        "more than mwapp takes",
    ),
    rules('"mwapp_drain": (0,', '"mwapp_drain": (1,', "not to drain is refused"),
    rules('"mwapp_watchdog": (1,', '"mwapp_watchdog": (0,', "no watchdog, though mwapp tells it"),
    rules('"mwapp_ready_timeout": (1,', '"mwapp_ready_timeout": (0,', "every start fails"),
    # ------------------------------------------------------------ variables and directories of handlers
    rules('        *environment_problems(variables["mwapp_environment"]),\n', "", "any variable passes"),
    rules("if not isinstance(given, Mapping):", "if False:", "what is no mapping ends the run"),
    rules("if not VARIABLE.fullmatch(name)", "if not VARIABLE.match(name)", "a name with = in it"),
    rules('if name == "MWAPP_DATA_DIRECTORY":', "if False:", "a remedy that does not help"),
    rules(" and name not in OF_CLIENTS:", ":", "handlers cannot be clients"),
    rules('if name.startswith("MWAPP_") and name not in OF_CLIENTS:', "if False:", "mwapp does not start"),
    rules("if SYSTEMD.fullmatch(name):", "if False:", "mwapp does not start"),
    rules("if STARTS.fullmatch(name):", "if False:", "mwapp does not start"),
    rules("if STARTS.fullmatch(name):", "if STARTS.match(name):", "PATHS is taken for PATH"),
    rules("if not isinstance(value, str):", "if False:", "yes is True"),
    rules("if CONTROL.search(value):", "if False:", "mwapp does not start"),
    rules("if CONTROL.search(value):", "if CONTROL.match(value):", "a line break in the middle passes"),
    environment("name in OPEN or not (", "not (", "handlers cannot be clients"),
    environment("name in _SERVICE or _STARTS", "_STARTS", "a run speaks to systemd in the daemon's name"),
    environment("not (name in _SERVICE or _STARTS.fullmatch(name))", "True", "LD_PRELOAD for mwapp itself"),
    environment(' or re.search(r"[\\x00-\\x1f\\x7f]", value)', "", "what the role refuses passes"),
    daemons("if not equals or not may", "if not may", "a name without a value"),
    rules(
        '        *path_problems([str(path) for path in variables["mwapp_writable_paths"]]),\n',
        "",
        "handlers write into /etc",
    ),
    rules("if not PATH.fullmatch(path):", "if not PATH.match(path):", "a path with a blank is two"),
    rules(r"(?!\.{1,2}(/|$))", "", "a path to somewhere else passes"),
    rules(
        "if _within(path, one) or _within(one, path)]", "if _within(path, one)]", "handlers write into /var"
    ),
    rules(
        "if _within(path, one) or _within(one, path)]", "if _within(one, path)]", "handlers write into /etc/x"
    ),
    rules('f"{path}/".startswith(f"{top}/")', "path.startswith(top)", "/opt/mwapp2 is taken for /opt/mwapp"),
    rules("        *owner_problems(variables),\n", "", "data of nobody"),
    rules('if variables["mwapp_task_user"] or not mwapp', "if not mwapp", "a user is not enough"),
    rules(" or not mwapp_directories(variables):", ":", "everybody must set a user"),
    rules(
        'written(variables) if {*variables["mwapp_roles"]} - {"master"} else []',
        "written(variables)",
        "masters, too",
    ),
    rules(
        "            if path != DATA:  # which the role makes",
        "            if True:",
        "what the role makes must be there",
    ),
    rules("if not stat.S_ISDIR(mode):", "if False:", "the worker does not start: a link"),
    rules('passes = owner in (user, "root")', 'passes = owner == "root"', "its own directory is refused"),
    rules('passes = owner in (user, "root")', "passes = owner == user", "a disk mounted there is refused"),
    rules(
        "            passes = mode & ANYBODY == ANYBODY if writable is None else path in writable",
        "            passes = mode & ANYBODY == ANYBODY",
        "a group's directory is refused",
    ),
    rules(
        "mode & ANYBODY == ANYBODY if writable is None else path in writable",
        'path in (writable or "")',
        "storage for all is refused on a new host",
    ),
    rules("mode & ANYBODY == ANYBODY if", "mode & ANYBODY if", "who has no right to search passes"),
    rules("elif not passes and owner == user:", "elif False:", "who owns it is told to own it"),
    rules(
        'first = "" if writable is not None else', 'first = "" if True else', "the advice fails: no such user"
    ),
    rules("if not LABEL.fullmatch(label)", "if not LABEL.match(label)", "any end of a label"),
    rules("Path(check_type_path(checkout))", "Path(checkout)", "~ is no directory"),
    rules("if not (top / name).exists()", "if (top / name).exists()", "sources that are there are missing"),
    rules('SOURCES = ("pyproject.toml", ', "SOURCES = (", "another project's directory"),
    rules("top / check_type_path(handler)", "top / handler", "~ is a directory in the checkout"),
    rules("top / check_type_path(handler)", "Path(check_type_path(handler))", "relative to where one stands"),
    rules("if not path.exists()]", "]", "handlers that are there are missing"),
    rules("if list(handlers) == list(of_first):", "if True:", "one host's handlers are missing"),
    rules("if list(handlers) == list(of_first):", "if not handlers:", "handlers of the first host alone"),
    rules("hostvars[play_hosts[0]]", "hostvars[host]", "a host is compared with itself"),
    rules('.join(values) or "empty"', ".join(values)", "mwapp_handlers is  here"),
]
