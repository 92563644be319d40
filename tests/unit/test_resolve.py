"""Servers whose names have no address."""

import socket
from typing import Any

import pytest

from mwapp.loop import silent
from mwapp.zookeeper import tls
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.resolve import nobody_there, unresolved

ZK1 = "10.0.0.1"


@pytest.fixture(autouse=True)
def dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows zk1 alone."""

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host in ("zk1", ZK1):
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (ZK1, port))]
        if host.startswith("x" * 64):
            raise UnicodeError("label too long")
        if host == "unknown":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(tls, "wanted", lambda _: False)  # it would ask them


def test_names_without_an_address_are_told_with_the_reason() -> None:
    long = "x" * 64
    assert unresolved(Servers.parse(f"zk1,zk2,{ZK1}:2182,{long}")) == {
        "zk2": "Name or service not known",
        long: "label too long",
    }


def test_if_no_name_has_an_address_nobody_can_be_there() -> None:
    assert nobody_there("--connect", Servers.parse("zk1,zk2")) is None
    assert nobody_there("--connect", Servers.parse("zk2,zk3/mwapp")) == (
        "--connect zk2:2181,zk3:2181/mwapp: no address for zk2, zk3 (Name or service not known); correct the "
        "name, or add it to DNS or /etc/hosts"
    )
    assert nobody_there("--connect", Servers.parse("zk2,unknown")) is None, "perhaps somebody is"


def test_the_first_name_with_an_address_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host))
    assert nobody_there("--connect", Servers.parse("zk1,zk2")) is None
    assert asked == ["zk1"]


def test_why_an_ensemble_is_silent() -> None:
    silence = (
        "the ensemble has not answered for 3 s; check that a majority of its servers runs (mwapp status)"
    )
    assert silent("connect", Servers.parse("zk1"), 3) == f"connect zk1:2181: {silence}"
    assert silent("connect", Servers.parse("zk1,zk2"), 3) == (
        f"connect zk1:2181,zk2:2181: {silence}; there is no address for zk2: Name or service not known"
    )
    assert silent("connect", Servers.parse("zk2"), 3).startswith("connect zk2:2181: no address for zk2 (Name")
