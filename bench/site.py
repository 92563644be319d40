"""A lab to measure on, and playbooks run on it."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.client import BenchError
from chaos.cluster import Cluster
from lab import Lab
from lab.spec import load


@contextmanager
def provisioned() -> Iterator[Cluster]:
    """The lab that LAB names; if there is none it is made, provisioned, and removed at the end."""
    lab = Lab()
    ours = load(lab.name) is None
    try:
        if ours:
            print(f"making the lab {lab.name}", flush=True)
            lab.up()
            playbook("site", lab.name)
        yield Cluster(lab)
    finally:
        if ours:
            lab.down()


@contextmanager
def fresh(name: str, nodes: list[str]) -> Iterator[Lab]:
    """New hosts with nothing on them, removed at the end."""
    lab = Lab(name)
    if load(lab.name) is not None:
        raise BenchError(f"there is a lab {name} already; remove it: lab --name {name} down")
    try:
        lab.up(nodes)
        yield lab
    finally:
        lab.down()


def playbook(name: str, lab: str, *options: str, **environment: str) -> float:
    """Run it on the lab; seconds it took. Raises BenchError."""
    return run(["ansible-playbook", f"playbooks/{name}.yml", *options], {"LAB": lab} | environment)


def run(command: list[str], environment: Mapping[str, str]) -> float:
    """Run a command; seconds it took. Raises BenchError with what it said if it fails."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command)}\n{done.stdout[-4000:]}")
    return time.perf_counter() - began
