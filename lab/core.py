"""A lab and everything you can do to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from lab import construct, host, network, packet_loss, ssh
from lab.errors import LabError, UnknownError
from lab.run import Say, lock, silent
from lab.spec import (
    DEFAULT_BACKEND,
    DEFAULT_LAB,
    DEFAULT_NODES,
    HOST,
    SUITES,
    Node,
    Spec,
    check_name,
    labs,
    load,
)


class Lab:
    """The lab of a name, up or not. Methods raise LabError, or UnknownError for names it does not have.

    One process at a time changes a lab; the others wait for it.
    """

    def __init__(self, name: str | None = None, *, say: Say = silent) -> None:
        """`name`: the lab's name, by default that in the variable LAB, or "lab". `say` gets progress
        messages."""
        self.name = check_name("lab", name or os.environ.get("LAB") or DEFAULT_LAB)
        self._say = say

    @property
    def spec(self) -> Spec:
        spec = load(self.name)
        if spec is None:
            names = ", ".join(lab.name for lab in labs())
            others = f"; there is {names} (lab --name NAME ...)" if names else ""
            raise LabError(f"there is no lab {self.name!r}: lab --name {self.name} up{others}")
        return spec

    @property
    def nodes(self) -> Mapping[str, Node]:
        """By name, in the order in which they joined."""
        return MappingProxyType(self.spec.nodes)

    def up(self, names: Iterable[str] = (), *, suite: str | None = None, backend: str | None = None) -> None:
        """Make sure that these nodes (by default the six of DEFAULT_NODES) exist and are on.

        It leaves running nodes alone, boots nodes that are off, and first removes the remains of a crashed
        run. `backend`: the kind of machines in a new lab, by default that in the variable LAB_BACKEND, or
        "nspawn".
        """
        wanted = [check_name("node", name) for name in names] or list(DEFAULT_NODES)
        if suite is not None and suite not in SUITES:
            raise UnknownError(f"unknown release {suite!r}: one of {', '.join(SUITES)}")
        backend = backend or os.environ.get("LAB_BACKEND") or None
        if backend is not None and backend not in construct.BACKENDS:
            raise UnknownError(f"unknown backend {backend!r}: one of {', '.join(construct.BACKENDS)}")
        standing = load(self.name)
        made_with = standing.backend if standing else backend or DEFAULT_BACKEND
        host.require(construct.BACKENDS[made_with].PROGRAMS)
        with self._locked():
            construct.stand_up(self.name, wanted, suite, backend, self._say)

    def down(self) -> None:
        """Remove the lab and every trace of it, even if it is broken. No error if there is none."""
        host.require({})
        with self._locked():
            construct.tear_down(self.name, self._say)

    def boot(self, name: str, *, wait: bool = True) -> None:
        """Switch on a node that is off; `wait` until it accepts logins."""
        with self._locked():
            node = self._in_state(name, "off")
            construct.boot(self.spec, [node], self._say, wait=wait)

    def power_off(self, name: str) -> None:
        """Shut a node down cleanly, and wait until it is off."""
        with self._locked():
            node = self._in_state(name, "running")
            construct.backend_of(self.spec).power_off(node)
            network.unplug(node)

    def power_cut(self, name: str) -> None:
        """Take the power from a node: it is silent at once, and loses unsynced data."""
        with self._locked():
            node = self._in_state(name, "running", "frozen")
            # Unplug the cable first: dying processes would close their connections, and dead machines do not.
            network.unplug(node)
            construct.backend_of(self.spec).power_cut(node)
            ssh.hang_up(self.spec, node)

    def freeze(self, name: str) -> None:
        """Stop all processes of a node; its kernel still accepts connections and acknowledges data."""
        with self._locked():
            construct.backend_of(self.spec).freeze(self._in_state(name, "running"))

    def thaw(self, name: str) -> None:
        """Let a frozen node continue; no error if it is running."""
        with self._locked():
            construct.backend_of(self.spec).thaw(self._in_state(name, "frozen", "running"))

    def cut(
        self, side: str | Iterable[str], other: str | Iterable[str] = (), *, one_way: bool = False
    ) -> None:
        """Cut nodes off from others (by default from all others and this machine).

        One way: packets from them are lost, packets to them arrive. SSH from this machine always works.
        """
        self.loss(side, packet_loss.ALL, other, one_way=one_way)

    def loss(
        self,
        side: str | Iterable[str],
        percent: int,
        other: str | Iterable[str] = (),
        *,
        one_way: bool = False,
    ) -> None:
        """Lose this percentage of the packets, at random, in each direction between nodes and others.

        Sides and `one_way` are as for `cut`. 0 undoes it; the last call for a direction counts.
        """
        if not 0 <= percent <= packet_loss.ALL:
            raise UnknownError(f"a loss of {percent} percent: use 0 to {packet_loss.ALL}")
        with self._locked():
            spec = self.spec
            spec.losses |= dict.fromkeys(self._between(spec, side, other, one_way), percent)
            self._lose(spec)

    def heal(self, side: str | Iterable[str] = (), other: str | Iterable[str] = ()) -> None:
        """Undo cuts and losses: all, those of some nodes, or those between two sets."""
        with self._locked():
            spec = self.spec
            healed = self._between(spec, side, other) if _set(side) or _set(other) else spec.losses
            spec.losses |= dict.fromkeys(healed, 0)
            self._lose(spec)

    def fill_disk(self, name: str, *, leave: int = 0) -> None:
        """Fill a node's disk except for `leave` bytes; it stays full after a reboot or a power cut."""
        if leave < 0:
            raise UnknownError(f"{leave} bytes to leave on a disk: use 0 or more")
        with self._locked():
            spec = self.spec
            construct.backend_of(spec).fill_disk(self._in_state(name, "running", "frozen"), leave)
            spec.full[name] = leave
            spec.save()

    def free_disk(self, name: str) -> None:
        """Give a node its disk space back; no error if it has it."""
        with self._locked():
            spec = self.spec
            construct.backend_of(spec).free_disk(self._in_state(name, "running", "frozen"))
            spec.full.pop(name, None)
            spec.save()

    def exec(
        self,
        name: str,
        argv: Sequence[str],
        *,
        check: bool = False,
        timeout: float | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a node as root, with a clean environment, and return its result.

        It enters the node from here, not over the network. So it works on nodes that are cut off, and takes a
        few ms. Raises subprocess.TimeoutExpired after `timeout` seconds, CalledProcessError with `check`.
        """
        command = self.command(name, argv)
        # Without input it reads nothing, not the caller's own input.
        return subprocess.run(
            command, input=stdin or "", capture_output=True, text=True, check=check, timeout=timeout
        )

    def command(self, name: str, argv: Sequence[str]) -> list[str]:
        """The command for this machine that runs `argv` on the node."""
        node = self._in_state(name, "running")
        return construct.command(self.spec, node, argv, f"TERM={os.environ.get('TERM', 'dumb')}")

    def reachable(self, name: str) -> Spec:
        """The spec, if this node accepts logins."""
        self._in_state(name, "running")
        return self.spec

    def state(self, name: str) -> str:
        """running, frozen or off."""
        return construct.backend_of(self.spec).state(self.spec.node(name))

    def status(self) -> list[dict[str, Any]]:
        """Each node: node, state, suite, address, pid, ssh (does it answer), and its faults.

        cut_to, cut_from: names; loss_to, loss_from: percent by name;
        disk_left: bytes left on a filled disk, or None.
        """
        spec = self.spec
        backend = construct.backend_of(spec)

        def look(node: Node) -> dict[str, Any]:
            state = backend.state(node)
            to = {b: percent for (a, b), percent in sorted(spec.losses.items()) if a == node.name}
            from_ = {a: percent for (a, b), percent in sorted(spec.losses.items()) if b == node.name}
            return {
                "node": node.name,
                "state": state,
                "suite": node.suite,
                "address": node.address,
                "pid": backend.pid(node),
                "ssh": state == "running" and ssh.answers(node),
                "cut_to": [name for name, percent in to.items() if percent == packet_loss.ALL],
                "cut_from": [name for name, percent in from_.items() if percent == packet_loss.ALL],
                "loss_to": {name: percent for name, percent in to.items() if percent < packet_loss.ALL},
                "loss_from": {name: percent for name, percent in from_.items() if percent < packet_loss.ALL},
                "disk_left": spec.full.get(node.name),
            }

        with ThreadPoolExecutor(len(spec.nodes) or 1) as pool:
            return list(pool.map(look, spec.nodes.values()))

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return lock(f"lab-{self.name}", self._say)

    def _in_state(self, name: str, *states: str) -> Node:
        node = self.spec.node(name)
        state = self.state(name)
        if state not in states:
            remedy = {"off": "boot", "frozen": "thaw", "running": "power-cut"}[state]
            raise LabError(f"{name} is {state}, and this needs it {' or '.join(states)}: lab {remedy} {name}")
        return node

    def _between(
        self, spec: Spec, side: str | Iterable[str], other: str | Iterable[str], one_way: bool = False
    ) -> set[packet_loss.Direction]:
        ours, theirs = _set(side), _set(other)
        for name in (ours | theirs) - {HOST}:
            spec.node(name)
        theirs = theirs or {*spec.nodes, HOST} - ours
        found = packet_loss.between(ours, theirs, one_way=one_way)
        if not found:
            raise UnknownError(f"{_words(ours)} and {_words(theirs)} are not two sides: name different nodes")
        return found

    def _lose(self, spec: Spec) -> None:
        spec.losses = {pair: percent for pair, percent in spec.losses.items() if percent}
        network.lose(spec)
        spec.save()


def _set(names: str | Iterable[str]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)


def _words(names: Iterable[str]) -> str:
    return " ".join(sorted(names)) or "nobody"
