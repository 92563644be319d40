"""The module mwapp_reach, with real connections on loopback."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ansible_module import load, run

module = load(Path(__file__).parents[2] / "plugins/modules/mwapp_reach.py")


def reach(connect: str) -> dict[str, Any]:
    return run(module, {"connect": connect, "timeout": 1})


def free_port() -> int:
    """Where nobody listens, as behind a packet filter that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def test_one_server_that_lets_it_in_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"127.0.0.1:{server.getsockname()[1]}"
        assert reach(f"127.0.0.1:{free_port()}, {there}/mwapp")["server"] == there


def test_if_none_does_it_says_why_and_what_to_do() -> None:
    port = free_port()
    answer = reach(f"127.0.0.1:{port},no-such-host.invalid:2182")
    assert answer["failed"]
    assert answer["msg"].startswith(
        f"This host cannot connect to any server in mwapp_connect: 127.0.0.1:{port} (Connection refused), "
        "no-such-host.invalid:2182 ("
    )
    assert "run site.yml without --limit" in answer["msg"]
    assert "zookeeper_packet_filter" in answer["msg"]
    assert "\n" not in answer["msg"]


@pytest.mark.parametrize(
    ("connect", "found"),
    [
        ("zk1:2182,10.0.0.2/mwapp", [("zk1:2182", "zk1", 2182), ("10.0.0.2", "10.0.0.2", 2181)]),
        ("[2001:db8::1]:2182, [::1]", [("[2001:db8::1]:2182", "2001:db8::1", 2182), ("[::1]", "::1", 2181)]),
    ],
)
def test_servers_are_read_as_mwapp_reads_them(connect: str, found: list[Any]) -> None:
    assert module.addresses(connect) == found
