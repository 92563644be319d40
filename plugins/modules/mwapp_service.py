"""Ansible module for a host: a service of mwapp is enabled, runs the wanted revision, and is ready.

"Changed" is judged by what runs, not by what this play has just written: each process carries its revision in
its environment, so a run that was broken off between writing and restarting is made good by the next.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: mwapp_service
short_description: Have a service of mwapp enabled, running the wanted revision, and ready; or have it gone
description:
  - Judges by the running process. It has its revision in its environment, so a run that was cut short between
    writing and restarting is completed by the next.
  - Fails with the end of the journal if the service does not become ready in time.
  - In check mode it only looks. RV(due) says whether it would do something.
options:
  name: {description: The unit's name without .service., type: str, required: true}
  state:
    description:
      - V(ready) enables it, (re)starts it unless its process has this revision, and waits for it to be ready.
      - V(absent) stops it (which lets it drain), disables it and removes its unit file, then O(files).
    choices: [ready, absent]
    default: ready
    type: str
  revision: {description: MWAPP_REVISION that the process is to have., type: str, default: ""}
  host: {description: "Where its status endpoint listens, seen from the host itself.", type: str, default: ""}
  port: {description: The endpoint's port., type: int, default: 0}
  ca:
    description: >-
      The file of the CA, on the host, that verifies the endpoint's certificate, which must be for O(host).
      The endpoint is asked with TLS if its process was given a certificate, C(status.pem) among its
      credentials.
    type: path
    default: ""
  files:
    description: What else to remove with O(state=absent), such as its keys, even if the unit is gone already.
    type: list
    elements: path
    default: []
  timeout: {description: "Seconds in which it has to stop, start and be ready.", type: int, default: 60}
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Have the master run this revision
  zklab.zookeeper.mwapp_service:
    name: mwapp-master
    revision: 0123456789abcdef
    host: 127.0.0.1
    port: 2223

- name: Have no worker
  zklab.zookeeper.mwapp_service:
    name: mwapp-worker
    state: absent
"""

RETURN = r"""
due: {description: Whether something is to be done., type: bool, returned: success}
observed:
  description: What was found - exists, enabled, running, revision, ready, state (active ...), reload.
  type: dict
  returned: always
"""

import os
import ssl
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException
from json import loads
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.host_port import host_port
from ansible_collections.zklab.zookeeper.plugins.module_utils.within import page

ANSWER_SECONDS = 2.0  # for one answer of the status endpoint, seconds
MOST_BYTES = 1 << 20  # of it
PAUSE = 0.1  # between two looks, seconds
JOURNAL_LINES = 30
PROC = Path("/proc")
UNITS = Path("/etc/systemd/system")
CREDENTIALS = Path("/run/credentials")
PROPERTIES = "LoadState,UnitFileState,ActiveState,SubState,Result,MainPID,NeedDaemonReload"


class ServiceError(Exception):
    """The service is not as wanted; the message says how it is."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A service as it is. ``problem`` says why it is not ready."""

    exists: bool
    enabled: bool
    running: bool
    revision: str
    ready: bool
    state: str
    reload: bool
    problem: str


def properties(text: str) -> dict[str, str]:
    """What ``systemctl show`` printed, by name."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def revision(environment: bytes) -> str:
    """MWAPP_REVISION in /proc/PID/environ; empty if it is not there."""
    for entry in environment.split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == b"MWAPP_REVISION":
            return value.decode()
    return ""


class Service:
    """One unit on this host."""

    def __init__(self, name: str, host: str, port: int, ca: str) -> None:
        self.unit = f"{name}.service"
        self._host, self._port, self._ca = host, port, ca

    def observe(self) -> Observed:
        """Look at the unit, its process and its endpoint."""
        show = properties(self.systemctl("show", self.unit, f"--property={PROPERTIES}"))
        pid = show.get("MainPID", "0")
        running, found = pid != "0", ""
        with suppress(OSError):  # it may end while we look
            found = revision((PROC / pid / "environ").read_bytes()) if running else ""
        problem, state = self._ask() if running else ("it does not run", "")
        if problem:
            problem += f" (systemd: {show['ActiveState']}/{show['SubState']}, {show['Result']})"
        return Observed(
            exists=show["LoadState"] != "not-found",
            enabled=show.get("UnitFileState") == "enabled",
            running=running,
            revision=found,
            ready=not problem,
            state=state,
            reload=show["NeedDaemonReload"] == "yes",
            problem=problem,
        )

    def _ask(self) -> tuple[str, str]:
        """Why it is not ready (empty if it is), and the state it says it is in."""
        try:
            where = (self._host, self._port)
            status = loads(page(where, "/status", ANSWER_SECONDS, MOST_BYTES, self._tls()))
            state = str(status[status["role"]].get("state", ""))
            return "" if status["ready"] else f"it says: {status['reason']}", state
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as problem:
            at = host_port(self._host, self._port)
            return f"its status endpoint at {at} gives no status: {type(problem).__name__}: {problem}", ""

    def _tls(self) -> ssl.SSLContext | None:
        """How to ask what runs now, which may be what the inventory wanted before."""
        if not (CREDENTIALS / self.unit / "status.pem").exists():
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks certificates and host names
        context.load_verify_locations(self._ca)
        return context

    def make_ready(self, wanted: str, before: Observed, timeout: float) -> None:
        """Enable it, restart it if need be, and wait.

        Raises:
            ServiceError: it is not ready in time.
        """
        end = time.monotonic() + timeout
        if before.reload:
            self.systemctl("daemon-reload")
        if not before.enabled:
            self.systemctl("enable", self.unit)
        if before.reload or not before.enabled or before.revision != wanted:
            os.sync()  # what was installed and enabled must outlive a power cut from here on
        if before.revision != wanted:
            # Not waited for here: stopping is bounded by the unit, and readiness is looked at below.
            self.systemctl("restart", "--no-block", self.unit)
        while True:
            now = self.observe()
            if now.ready and now.revision == wanted:
                return
            if time.monotonic() > end:
                problem = now.problem or "it still runs what it ran before"
                raise ServiceError(
                    f"{self.unit} is not ready after {timeout:g} s: {problem}.\n"
                    f"The end of its journal:\n{self.journal()}"
                )
            time.sleep(PAUSE)

    def remove(self) -> None:
        """Stop, disable and forget it."""
        self.systemctl("disable", "--now", self.unit)
        (UNITS / self.unit).unlink(missing_ok=True)
        self.systemctl("daemon-reload")

    def journal(self) -> str:
        """What the unit logged last."""
        command = ["journalctl", "--no-pager", "--output=short-iso", f"--lines={JOURNAL_LINES}"]
        done = subprocess.run([*command, f"--unit={self.unit}"], capture_output=True, text=True, check=False)
        return done.stdout or done.stderr

    def systemctl(self, *arguments: str) -> str:
        """Run it; returns what it printed.

        Raises:
            ServiceError: it failed.
        """
        done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServiceError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


def main() -> None:
    """The module."""
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["ready", "absent"], "default": "ready"},
            "revision": {"type": "str", "default": ""},
            "host": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "ca": {"type": "path", "default": ""},
            "files": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wanted = module.params["revision"]
    service = Service(*(module.params[name] for name in ("name", "host", "port", "ca")))
    try:
        before = service.observe()
        if module.params["state"] == "absent":
            left = [file for path in module.params["files"] if (file := Path(path)).exists()]
            changed = before.exists or bool(left)
            if before.exists and not module.check_mode:
                service.remove()
            for file in [] if module.check_mode else left:
                file.unlink()
        else:
            changed = before.reload or not before.enabled or before.revision != wanted
            if not module.check_mode:
                service.make_ready(wanted, before, module.params["timeout"])
    except ServiceError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=changed, due=changed, observed=asdict(before))


if __name__ == "__main__":
    main()
