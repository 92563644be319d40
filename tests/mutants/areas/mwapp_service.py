"""The module mwapp_service: a service of mwapp runs the wanted revision and is ready, or is gone."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_service.py"),)

within = partial(Mutant, "plugins/module_utils/within.py")
service = partial(Mutant, "plugins/modules/mwapp_service.py")

MUTANTS = [
    service(
        'if not (CREDENTIALS / self.unit / "status.pem").exists():',
        "if not self._ca:",
        "who is the active master is not seen when TLS is switched on, and it restarts first",
    ),
    service(
        'if not (CREDENTIALS / self.unit / "status.pem").exists():',
        "if True:",
        "no service with TLS is ever ready",
    ),
    service(
        "        context.load_verify_locations(self._ca)\n",
        "        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n",
        "whoever answers passes for the service",
    ),
    service(
        "        context.load_verify_locations(self._ca)\n",
        "        context.load_verify_locations(self._ca)\n        context.check_hostname = False\n",
        "another host's service passes for it",
    ),
    service(
        "changed = before.reload or not before.enabled or before.revision != wanted",
        "changed = before.revision != wanted",
        "a unit that was changed or disabled passes for as it should be",
    ),
    service(
        "changed = before.reload or not before.enabled or before.revision != wanted",
        "changed = not before.ready or before.revision != wanted",
        "what waits for its ensemble changes with every run",
    ),
    service("at = host_port(self._host, self._port)", 'at = f"{self._host}:{self._port}"', "fd00::11:2224"),
    service("changed = before.exists", "changed = True", "what is gone is removed by every run"),
    service("changed = before.exists", "changed = before.running", "a unit that is stopped stays"),
    service(
        "if before.exists and not module.check_mode:", "if before.exists:", "check mode removes services"
    ),
    service("changed = before.exists or bool(left)", "changed = before.exists", "a key that was left stays"),
    service("for file in [] if module.check_mode else left:", "for file in left:", "check mode removes keys"),
    service(
        "                file.unlink()\n", "                pass\n", "a host that is no master has its key"
    ),
    service(
        "            if not module.check_mode:\n                service.make_ready",
        "            if True:\n                service.make_ready",
        "check mode restarts services",
    ),
    service(
        "if not module.check_mode:\n                service.make_ready",
        "if changed and not module.check_mode:\n                service.make_ready",
        "a service that is not ready passes",
    ),
    service(
        'if name == b"MWAPP_REVISION":',
        'if b"MWAPP_REVISION" in entry:',
        "a task's own variable is taken for it",
    ),
    service(
        'running, found = pid != "0", ""',
        'running, found = show["ActiveState"] == "active", ""',
        "one that starts and waits does not run",
    ),
    service(
        "with suppress(OSError):",
        "with suppress(PermissionError):",
        "a process that ends while we look ends the run",
    ),
    service(
        'if running else ("it does not run", "")', 'if running else ("", "")', "what does not run is ready"
    ),
    service(
        "if problem:\n            problem +=",
        "if False:\n            problem +=",
        "what systemd says is lost",
    ),
    service(
        'exists=show["LoadState"] != "not-found"',
        'exists=show["LoadState"] == "loaded"',
        "a masked or broken unit is not removed",
    ),
    service('== "enabled"', '!= "disabled"', "a unit that is not there is enabled"),
    service("ready=not problem", "ready=running", "what runs is ready"),
    service(
        'reload=show["NeedDaemonReload"] == "yes"', "reload=False", "a changed unit is started as it was"
    ),
    service('"/status", ANSWER', '"/", ANSWER', "the wrong page"),
    service("ANSWER_SECONDS, MOST_BYTES", "60, MOST_BYTES", "a frozen process holds the run up"),
    service("ANSWER_SECONDS, MOST_BYTES", "ANSWER_SECONDS, 1 << 40", "what never ends is read for ever"),
    within(
        "HTTPResponse(Within(connection.sock, seconds))",
        "HTTPResponse(connection.sock)",
        "who sends a byte now and then holds the run up for hours",
    ),
    within("response.read(most)", "response.read()", "what never ends is read for ever"),
    service(
        'return "" if status["ready"] else', 'return "" if state == "ready" else', "a master is never ready"
    ),
    service('return "" if status["ready"] else', 'return "" if status else', "whoever answers is ready"),
    service(
        "(OSError, HTTPException, ValueError, LookupError, TypeError)",
        "(OSError, HTTPException)",
        "nonsense ends the run with a traceback",
    ),
    service(
        "(OSError, HTTPException, ValueError, LookupError, TypeError)",
        "(OSError, ValueError, LookupError, TypeError)",
        "what speaks no HTTP ends it with a traceback",
    ),
    service(
        "        if before.reload:\n            self.systemctl",
        "        if False:\n            self.systemctl",
        "the unit is started as it was",
    ),
    service(
        'if not before.enabled:\n            self.systemctl("enable", self.unit)',
        'if not before.exists:\n            self.systemctl("enable", self.unit)',
        "it is not there after a boot",
    ),
    service("os.sync()", "pass", "after a power cut half of a release runs"),
    service(
        '"restart", "--no-block"',
        '"restart"',
        "a drain of minutes is waited for without a word",
    ),
    service('"restart", "--no-block"', '"start", "--no-block"', "the old one runs on"),
    service(
        "if before.revision != wanted:\n            # Not",
        "if True:\n            # Not",
        "every run restarts everything",
    ),
    service(
        "if before.revision != wanted:\n            # Not",
        "if not before.running:\n            # Not",
        "an upgrade is not brought into use",
    ),
    service(
        "if now.ready and now.revision == wanted:",
        "if now.ready:",
        "the old one that still drains passes for the new one",
    ),
    service("if now.ready and now.revision == wanted:", "if now.revision == wanted:", "not ready passes"),
    service("if time.monotonic() > end:", "if time.monotonic() > end + 60:", "it waits a minute longer"),
    service("end = time.monotonic() + timeout", "end = time.monotonic()", "it does not wait"),
    service('now.problem or "it still runs what it ran before"', "now.problem", "no reason"),
    service('"disable", "--now"', '"disable"', "what is gone runs on"),
    service(".unlink(missing_ok=True)", ".exists()", "the unit file stays"),
    service(
        'missing_ok=True)\n        self.systemctl("daemon-reload")',
        "missing_ok=True)",
        "systemd still knows it",
    ),
    service("return done.stdout or done.stderr", "return done.stdout", "why there is no journal is lost"),
    service("if done.returncode != 0:", "if done.returncode < 0:", "what systemd refuses passes"),
    service("{done.stderr.strip()}", "{done.stdout.strip()}", "why systemd refuses is lost"),
    service(
        "module.fail_json(msg=str(problem))",
        "module.warn(str(problem))",
        "a service that is not ready passes",
    ),
    service("due=changed", "due=changed and not module.check_mode", "the look ahead finds nothing to do"),
    service("supports_check_mode=True", "supports_check_mode=False", "the look ahead finds nothing"),
    service("time.sleep(PAUSE)", "pass", equivalent="it looks more often; what it sees is the same"),
]
