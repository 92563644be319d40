"""Restart or reload: what a server takes up while it runs, and whether it did."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_zookeeper_reload.py"),
    pytest(
        "tests/unit/test_zookeeper_jars.py",
        "tests/unit/test_zookeeper_files.py",
        "tests/unit/zookeeper_preflight/test_tls.py",
    ),
)

rules = partial(Mutant, "plugins/module_utils/zookeeper_reload.py")
reload = partial(Mutant, "plugins/modules/zookeeper_reload.py")
wanted = partial(Mutant, "plugins/filter/zookeeper_tls.py")
jars = partial(Mutant, "plugins/module_utils/zookeeper_jars.py")
files = partial(Mutant, "plugins/modules/zookeeper_files.py")
preflight = partial(Mutant, "plugins/modules/zookeeper_preflight.py")

MUTANTS = [
    # ------------------------------------------------------------ restart or reload
    rules("on >= KEYS", "on & KEYS", "half of its certificates are taken up"),
    rules("on >= KEYS", "True", "a server that was started by an older role is asked in vain"),
    rules(" and not on & READ_ONCE", "", "AdminServer goes on with the old certificate"),
    rules(" and not once", "", "AdminServer goes on with the old certificate"),
    preflight(
        'looks_out(found["config"], settings["zookeeper_jvm_flags"])',
        'looks_out(found["config"], ())',
        "AdminServer goes on with the old certificate",
    ),
    reload(
        "        except TimeoutError:\n            return\n        raise OSError(",
        "        except TimeoutError:\n            return\n        OSError(",
        "a certificate that the peers refuse passes through all servers, until the next election",
    ),
    reload(
        '            if port == self._ports.get("quorum"):\n                self._see_that_it_stays(secured)\n',
        "",
        "a certificate that the peers refuse passes through all servers, until the next election",
    ),
    reload(
        'if shown != fingerprints(self._texts[self._files[ca]["certificate"]].decode()):',
        'if shown[0] != fingerprints(self._texts[self._files[ca]["certificate"]].decode())[0]:',
        "another CA between waits for the next restart",
    ),
    rules('if value.lower() == "true"', "if value", "a server that shall not look out is asked in vain"),
    rules("{*changed} <= leaves | same", "True", "a new zoo.cfg waits for a restart that does not come"),
    rules("leaves | same", "leaves", "a new CA that begins to sign costs a restart"),
    rules("bool(leaves & {*changed}) and ", "", "a server is taken for one that has what it never looked at"),
    rules(
        ' if sorted(trusted.get(ca, [])) == sorted(trusts.get(ca, ["?"]))',
        "",
        "a CA that is trusted no more is trusted until somebody restarts the server",
    ),
    rules("sorted(trusted.get(ca, []))", "list(trusted.get(ca, []))", "the order of CAs costs a restart"),
    rules('trusts.get(ca, ["?"])', "trusts.get(ca, [])", "nothing known passes for the same"),
    wanted('changed = {*placed, *found["stale"]}', "changed = {*placed}", "new jars wait for ever"),
    wanted(
        'changed = {*placed, *found["stale"]}',
        'changed = {*found["stale"]}',
        "each certificate costs a restart",
    ),
    wanted(
        '        if f"{home}/{ca}-ca.pem" not in found["stale"]  # or nobody knows what it was started with\n',
        "",
        "a CA that an earlier run placed is taken for known",
    ),
    wanted('bool(found["reloads"]) and', "True and", "a release that cannot is waited for"),
    preflight(
        'reloads=found["unit"]["running"]', 'reloads=found["unit"]["present"]', "one that died is waited for"
    ),
    preflight(
        '        and looks_out(found["config"], settings["zookeeper_jvm_flags"])\n',
        "",
        "one that was not started so is waited for",
    ),
    preflight(
        '        and mentions(CLIENT_PORT, CLIENT_KEY, module.params["classpath"])',
        "",
        "a release that cannot is waited for",
    ),
    jars("return text.encode() in file.read(entry)", "return True", "a release that cannot is waited for"),
    files(
        '        if entry["restart"]:\n            self.placed',
        "        if True:\n            self.placed",
        "a new tool for people costs a restart",
    ),
    # ------------------------------------------------------------ whether it did
    reload('        return ""\n', '        return "never"\n', "every server restarts", at="Server.lacks"),
    reload("where = host_port(self._host, port)", 'where = f"{self._host}:{port}"', "fd00::11:2182"),
    reload("if shown != ", "if not ", "the certificate before passes for the new one"),
    reload(
        'self._ports["quorum"] =',
        'self._ports["client"] =',
        "servers among each other go on with the old one",
    ),
    reload("if state.mode is None:", "if False:", "one that serves nobody passes"),
    reload("and time.monotonic() < end", "and False", "who needs a moment is restarted"),
    reload(" | os.O_NOFOLLOW", "", "root reads for the server's user what a link points to"),
    reload("new.get(path, digest)", "digest", "the next run restarts it all the same"),
    reload("os.fchmod(file.fileno(), its.st_mode & 0o666)", "pass", "nobody else can see what runs"),
    reload(
        "        if not why:\n            server.note()\n",
        "        server.note()\n",
        "one that goes on with the old ones is never restarted",
    ),
    reload(
        "    if module.check_mode:\n        module.exit_json(changed=True, reloaded=True)\n        return\n",
        "",
        "check mode waits for what it has not placed",
    ),
    reload(
        "changed=not why, reloaded=not why",
        "changed=True, reloaded=True",
        "nobody restarts one that needs it",
    ),
    reload(
        "        if not why:\n            server.note()\n",
        "        if not why:\n            server = Server(module.params)\n            server.note()\n",
        "what changes while it is asked is noted as taken up",
    ),
]
