"""Creates a lab and removes it, whatever an earlier attempt may have left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from lab import debs, image, kernel, network, ssh
from lab.backends import Backend
from lab.backends.containers import remove_parents
from lab.backends.nspawn import Nspawn
from lab.backends.podman import Podman
from lab.errors import LabError
from lab.run import Say, lock, remove, run, until
from lab.spec import DEFAULT_BACKEND, RUN, SUITES, Node, Spec, load, pick_subnet, run_directory

BOOT_SECONDS = 60
BACKENDS = {"nspawn": Nspawn, "podman": Podman}

T = TypeVar("T")

# Appends missing lines; what a playbook has written into the file stays.
_LEARN = 'while read -r line; do grep -qxF "$line" /etc/hosts || echo "$line" >>/etc/hosts; done'

_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)


def backend_of(spec: Spec) -> Backend:
    return BACKENDS[spec.backend](spec.name, lambda node, pid: network.plug(spec, node, pid))


def command(spec: Spec, node: Node, argv: Sequence[str], *environment: str) -> list[str]:
    """What to run on this machine so that `argv` runs on a node that is on, with a clean environment."""
    return backend_of(spec).command(node, argv, [*_ENVIRONMENT, *environment])


def stand_up(lab: str, names: Sequence[str], suite: str | None, backend: str | None, say: Say) -> None:
    """Make sure that the nodes of these names exist, and that all nodes of the lab are on. Takes no lock."""
    spec = load(lab) or _found(lab, backend or DEFAULT_BACKEND, say)
    if backend not in (None, spec.backend):
        raise LabError(
            f"lab {lab!r} is made with {spec.backend}: lab down first, or --backend {spec.backend}"
        )
    for name in names:
        if name in spec.nodes and suite not in (None, spec.nodes[name].suite):
            raise LabError(f"{name} is a {spec.nodes[name].suite} node: lab down first, or name it otherwise")
    new = [name for name in names if name not in spec.nodes]
    if new:
        release = suite or SUITES[0]
        layers = image.layers(release, say)
        for name in new:
            spec.add(name, release, layers)
        spec.save()
    ssh.make_key(spec)
    for node in spec.nodes.values():
        ssh.seed(spec, node)
    ssh.write_client_files(spec)
    kernel.raise_settings()
    network.raise_(spec, say)
    states = {node: backend_of(spec).state(node) for node in spec.nodes.values()}
    boot(spec, [node for node, state in states.items() if state == "off"], say)
    running = [node for node, state in states.items() if state == "running"]
    ready = dict(_each(lambda node: (node, _ready(spec, node)), running))
    # Work of an `up` that was killed may just have ended.
    boot(spec, [node for node in running if not ready[node]], say)
    frozen = [node.name for node, state in states.items() if state == "frozen"]
    if frozen:
        say(f"still frozen: {' '.join(frozen)} (lab thaw)")


def tear_down(lab: str, say: Say) -> None:
    """Remove everything with the name of a lab, even if its state does not mention it. Takes no lock."""
    spec = load(lab)
    if spec:
        backend = backend_of(spec)
        on = [node for node in spec.nodes.values() if backend.pid(node) and backend.state(node) == "running"]
        debs.keep(spec, {node.name: partial(command, spec, node) for node in on})
    backend_of(spec or Spec(lab, "")).remove()  # of any kind
    if spec:
        for node in spec.nodes.values():
            ssh.hang_up(spec, node)
    network.remove(lab)
    remove(run_directory(lab))
    with lock("labs", say):
        if not any(RUN.glob("*/lab.json")):
            kernel.restore_settings()
            remove_parents()
            with contextlib.suppress(OSError):
                RUN.rmdir()


def boot(spec: Spec, nodes: Sequence[Node], say: Say, *, wait: bool = True) -> None:
    """Switch on all nodes that are off, in parallel. Raises LabError if one does not come up."""
    backend = backend_of(spec)

    def start(node: Node) -> None:
        backend.boot(node)
        if wait:
            if not _ready(spec, node):
                raise LabError(f"{node.name} switched off while booting: {backend.last_words(node)}")
            if node.name in spec.full:  # the space of unsynced data is free again
                backend.fill_disk(node, spec.full[node.name])
            say(f"{node.name} is up at {node.address}")

    _each(start, nodes)


def _found(lab: str, backend: str, say: Say) -> Spec:
    """A new lab with its own network."""
    tear_down(lab, say)
    with lock("labs", say):
        spec = Spec(lab, pick_subnet(lab, network.in_use()), backend)
        spec.save()
        # The bridge claims the subnet before the lock is released.
        network.raise_(spec, say)
    return spec


def _ready(spec: Spec, node: Node) -> bool:
    """Wait until a node accepts logins and knows the others; False if it switches off instead."""
    backend = backend_of(spec)
    what = f"{node.name}: SSH at {node.address}"
    until(lambda: ssh.answers(node) or backend.state(node) == "off", BOOT_SECONDS, what)
    if backend.state(node) == "off":
        return False
    run(command(spec, node, ["sh", "-c", _LEARN]), stdin="\n".join([*spec.hosts(), ""]))
    return True


def _each(work: Callable[[Node], T], nodes: Sequence[Node]) -> list[T]:
    """The results of doing this to all nodes in parallel."""
    with ThreadPoolExecutor(len(nodes) or 1) as pool:
        return list(pool.map(work, nodes))
