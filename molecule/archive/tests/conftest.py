"""A provisioned ensemble, clients that write to it all the time, releases, and the play to install them."""

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chaos.cluster import Cluster
from chaos.load import GAP_SECONDS, Writer, longest_gap
from testbed import playbook
from testbed.archive import Release, build

Play = Callable[..., playbook.Played]


@pytest.fixture(scope="session")
def releases() -> dict[str, Release]:
    """An archive of each version."""
    return {release.version: release for release in map(build, ("bookworm", "trixie"))}


@pytest.fixture(scope="session")
def url(cluster: Cluster, releases: dict[str, Release]) -> Iterator[str]:
    """Where hosts can download the releases."""
    directory = next(iter(releases.values())).path.parent
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer((cluster.lab.spec.gateway, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{cluster.lab.spec.gateway}:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def play(writers: list[Writer], figures: list[str]) -> Play:
    """Play the playbook of the ensemble with these variables; there is a quorum for clients all the time."""

    def run(what: str, **variables: Any) -> playbook.Played:
        inventory = "--inventory=molecule/archive/inventory"
        played = playbook.play("zookeeper", inventory, f"--extra-vars={json.dumps(variables)}")
        gap = longest_gap(writers, played.began, played.ended)
        figures.append(f"{what}: {played.seconds:.1f} s, longest write gap of any client {gap * 1000:.0f} ms")
        assert gap < GAP_SECONDS, played.output
        return played

    return run
