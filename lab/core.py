"""A lab and everything one does to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from lab import faults, host, image, network, ssh
from lab.backends import Backend
from lab.backends.nspawn import Nspawn
from lab.errors import LabError, UnknownError
from lab.run import Say, lock, silent, until
from lab.spec import (
    DEFAULT_NODES,
    HOST,
    RUN,
    SUITES,
    Node,
    Spec,
    check_name,
    load,
    pick_subnet,
    run_directory,
)

_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)


class Lab:
    """The lab of a name, standing or not. Methods raise LabError, or UnknownError for names it does not have.

    One process at a time changes a lab; the others wait for it.
    """

    def __init__(self, name: str | None = None, *, say: Say = silent) -> None:
        """`name`: of the lab, by default what the variable LAB says, or "lab". `say` is told of progress."""
        self.name = check_name("lab", name or os.environ.get("LAB") or "lab")
        self._say = say

    @property
    def spec(self) -> Spec:
        spec = load(self.name)
        if spec is None:
            raise LabError(f"there is no lab {self.name!r}: lab --name {self.name} up")
        return spec

    @property
    def nodes(self) -> Mapping[str, Node]:
        """By name, in the order in which they joined."""
        return MappingProxyType(self.spec.nodes)

    def up(self, names: Iterable[str] = (), *, suite: str | None = None) -> None:
        """See to it that these nodes (by default the six of DEFAULT_NODES) are there and switched on.

        What runs is left alone; what is off is booted; the remains of a crashed run are removed first.
        """
        host.require()
        wanted = [check_name("node", name) for name in names] or list(DEFAULT_NODES)
        if suite is not None and suite not in SUITES:
            raise UnknownError(f"unknown release {suite!r}: one of {', '.join(SUITES)}")
        with self._locked():
            spec = load(self.name) or self._found()
            for name in wanted:
                if name in spec.nodes and suite not in (None, spec.nodes[name].suite):
                    raise LabError(
                        f"{name} is a {spec.nodes[name].suite} node: lab down first, or name it otherwise"
                    )
            new = [name for name in wanted if name not in spec.nodes]
            if new:
                root = image.image(suite or SUITES[0], self._say)
                for name in new:
                    spec.add(name, suite or SUITES[0], root)
                spec.save()
            ssh.make_key(spec)
            for node in spec.nodes.values():
                ssh.seed(spec, node)
            ssh.write_client_files(spec)
            network.raise_(spec)
            backend = self._backend(spec)
            off = [node for node in spec.nodes.values() if backend.state(node) == "off"]
            self._boot(spec, off)
            self._await(spec, [node for node in spec.nodes.values() if backend.state(node) == "running"])
            if new:
                self._introduce(spec)
            frozen = [node.name for node in spec.nodes.values() if backend.state(node) == "frozen"]
            if frozen:
                self._say(f"still frozen: {' '.join(frozen)} (lab thaw)")

    def down(self) -> None:
        """Remove the lab and every trace of it, a broken one's too. It is no error if there is none."""
        host.require()
        with self._locked():
            self._sweep()

    def boot(self, name: str, *, wait: bool = True) -> None:
        """Switch a node on that is off; `wait` until it can be logged into."""
        with self._locked():
            node = self._in_state(name, "off")
            self._boot(self.spec, [node], wait=wait)

    def power_off(self, name: str) -> None:
        """Shut a node down in order and wait until it is off."""
        with self._locked():
            node = self._in_state(name, "running")
            self._backend(self.spec).power_off(node)
            network.unplug(node)

    def power_cut(self, name: str) -> None:
        """Take the power from a node: it falls silent at once and loses what it had not synced."""
        with self._locked():
            node = self._in_state(name, "running", "frozen")
            # The cable first: dying processes would say goodbye on their connections, dead machines do not.
            network.unplug(node)
            self._backend(self.spec).power_cut(node)
            ssh.hang_up(self.spec, node)

    def freeze(self, name: str) -> None:
        """Stop all processes of a node; its kernel still takes connections and acknowledges data."""
        with self._locked():
            self._backend(self.spec).freeze(self._in_state(name, "running"))

    def thaw(self, name: str) -> None:
        """Let a frozen node go on; no error if it is running."""
        with self._locked():
            self._backend(self.spec).thaw(self._in_state(name, "frozen", "running"))

    def cut(
        self, side: str | Iterable[str], other: str | Iterable[str] = (), *, one_way: bool = False
    ) -> None:
        """Part nodes from others (by default from all others and this machine).

        One way: what they send is lost, what is sent to them arrives. SSH from this machine always works.
        """
        with self._locked():
            spec = self.spec
            spec.cuts |= self._between(spec, side, other, one_way)
            self._recut(spec)

    def heal(self, side: str | Iterable[str] = (), other: str | Iterable[str] = ()) -> None:
        """Undo cuts: all, those that concern some nodes, or those between two sets."""
        with self._locked():
            spec = self.spec
            spec.cuts -= self._between(spec, side, other) if _set(side) else set(spec.cuts)
            self._recut(spec)

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        check: bool = False,
        timeout: float | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a node as root, with an environment of its own, and return how it ended.

        It enters the node from here, not over the network: it works on nodes that are cut off, and takes
        a few ms. Raises subprocess.TimeoutExpired after `timeout` seconds, CalledProcessError with `check`.
        """
        command = self.command(name, argv)
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=check, timeout=timeout
        )

    def command(self, name: str, argv: Sequence[str]) -> list[str]:
        """What to run on this machine so that `argv` runs on the node."""
        node = self._in_state(name, "running")
        environment = [*_ENVIRONMENT, f"TERM={os.environ.get('TERM', 'dumb')}"]
        return self._backend(self.spec).command(node, argv, environment)

    def reachable(self, name: str) -> Spec:
        """The spec, if this node is in a state to be logged into."""
        self._in_state(name, "running")
        return self.spec

    def state(self, name: str) -> str:
        """running, frozen or off."""
        return self._backend(self.spec).state(self.spec.node(name))

    def status(self) -> list[dict[str, Any]]:
        """Each node: node, state, suite, address, pid, ssh (does it answer), cut_to and cut_from (names)."""
        spec = self.spec
        backend = self._backend(spec)

        def look(node: Node) -> dict[str, Any]:
            state = backend.state(node)
            return {
                "node": node.name,
                "state": state,
                "suite": node.suite,
                "address": node.address,
                "pid": backend.pid(node),
                "ssh": state == "running" and ssh.answers(node),
                "cut_to": sorted(b for a, b in spec.cuts if a == node.name),
                "cut_from": sorted(a for a, b in spec.cuts if b == node.name),
            }

        with ThreadPoolExecutor(len(spec.nodes) or 1) as pool:
            return list(pool.map(look, spec.nodes.values()))

    def _backend(self, spec: Spec) -> Backend:
        return Nspawn(spec.name, lambda node, pid: network.plug(spec, node, pid))

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return lock(f"lab-{self.name}", self._say)

    def _in_state(self, name: str, *states: str) -> Node:
        node = self.spec.node(name)
        state = self.state(name)
        if state not in states:
            remedy = {"off": "boot", "frozen": "thaw", "running": "power-cut"}[state]
            raise LabError(f"{name} is {state}, and this needs it {' or '.join(states)}: lab {remedy} {name}")
        return node

    def _found(self) -> Spec:
        """A new lab of our name, with a network of its own."""
        self._sweep()
        with lock("labs", self._say):
            spec = Spec(self.name, pick_subnet(self.name, network.in_use()))
            spec.save()
            # The bridge claims the subnet before the lock is given up.
            network.raise_(spec)
        return spec

    def _boot(self, spec: Spec, nodes: Sequence[Node], *, wait: bool = True) -> None:
        backend = self._backend(spec)

        def boot(node: Node) -> None:
            backend.boot(node)
            if wait:
                self._await(spec, [node])
                self._say(f"{node.name} is up at {node.address}")

        if nodes:
            with ThreadPoolExecutor(len(nodes)) as pool:
                list(pool.map(boot, nodes))

    def _await(self, spec: Spec, nodes: Sequence[Node]) -> None:
        """Wait until nodes can be logged into."""
        backend = self._backend(spec)
        for node in nodes:

            def decided(node: Node = node) -> bool:
                return ssh.answers(node) or backend.state(node) == "off"

            until(decided, 60, f"{node.name}: SSH at {node.address}")
            if backend.state(node) == "off":
                raise LabError(f"{node.name} went off as it booted: {backend.last_words(node)}")

    def _introduce(self, spec: Spec) -> None:
        """Tell the nodes that run of those that came later; what else is in their /etc/hosts stays."""
        add = 'while read -r line; do grep -qxF "$line" /etc/hosts || echo "$line" >>/etc/hosts; done'
        for name in spec.nodes:
            if self.state(name) == "running":
                self.exec(name, ["sh", "-c", add], stdin="\n".join([*spec.hosts(), ""]), check=True)

    def _between(
        self, spec: Spec, side: str | Iterable[str], other: str | Iterable[str], one_way: bool = False
    ) -> set[faults.Cut]:
        ours, theirs = _set(side), _set(other)
        for name in (ours | theirs) - {HOST}:
            spec.node(name)
        return faults.between(ours, theirs or {*spec.nodes, HOST} - ours, one_way=one_way)

    def _recut(self, spec: Spec) -> None:
        network.cut(spec)
        spec.save()

    def _sweep(self) -> None:
        """Remove all that bears our name, whether or not the state tells of it."""
        spec = load(self.name)
        nothing = Spec(self.name, "")
        self._backend(spec or nothing).remove()
        if spec:
            for node in spec.nodes.values():
                ssh.hang_up(spec, node)
        network.remove(self.name)
        shutil.rmtree(run_directory(self.name), ignore_errors=True)
        with lock("labs", self._say):
            if not any(RUN.glob("*/lab.json")):
                network.restore_forwarding()
                with contextlib.suppress(OSError):
                    RUN.rmdir()


def _set(names: str | Iterable[str]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)
