"""The module mwapp_reach, with real connections on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from testbed.tls_files import DAY, Maker, pem, pem_key, write
from tests.unit.ansible_module import load, run

pytestmark = pytest.mark.servers

module = load(Path(__file__).parents[2] / "plugins/modules/mwapp_reach.py")


def reach(connect: str, ca: bytes = b"", **more: Any) -> dict[str, Any]:
    return run(module, {"connect": connect, "timeout": 1, "ca": ca.decode(), **more})


@contextmanager
def server(directory: Path, content: bytes) -> Iterator[str]:
    """One that has this key and certificate, and wants one, as ZooKeeper does. Where it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write(directory / f"{len(list(directory.iterdir()))}.pem", content))
    context.load_verify_locations(cadata=pem(OURS.certificate).decode())
    context.verify_mode = ssl.CERT_REQUIRED

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


OURS, THEIRS = Maker("ca"), Maker("ca")  # the same name, as those of one organization may have
CA = pem(OURS.certificate)
OTHER = "All servers that answer have certificates of another CA than the one that this host would get"


def free_port() -> int:
    """Where nobody listens, as behind a packet filter that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def test_one_server_that_lets_it_in_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"127.0.0.1:{server.getsockname()[1]}"
        assert reach(f"127.0.0.1:{free_port()}, {there}/mwapp")["server"] == there


@pytest.mark.parametrize("theirs", [THEIRS, Maker("another")])
def test_a_ca_that_is_not_the_servers_is_refused(tmp_path: Path, theirs: Maker) -> None:
    """The controller has a copy of before the CA was changed. Nothing would fail until services restart."""
    own = Maker("zk1")
    itself = pem_key(own.key) + pem(own.certificate)
    with server(tmp_path, theirs.pair("zk1")) as one, server(tmp_path, itself) as other:
        answer = reach(f"{one},{other}", CA)
        assert answer["msg"].startswith(OTHER)
        assert f": {one}, {other}. Was the CA changed from another machine" in answer["msg"]
        assert reach(one)["server"] == one, "without TLS nobody asks"


@pytest.mark.parametrize("ends", [DAY, timedelta(hours=-1)])
def test_a_server_of_the_ca_is_enough_and_its_name_and_end_do_not_matter(
    tmp_path: Path, ends: timedelta
) -> None:
    ours = OURS.pair("somebody", begins=-9 * DAY, ends=ends)
    with server(tmp_path, THEIRS.pair("zk1")) as one, server(tmp_path, ours) as other:
        assert reach(f"{one},{other}", CA)["server"] == other
        both = pem(THEIRS.certificate) + CA  # while the CA is changed
        assert reach(f"{one},{other}", both)["server"] == one


def test_what_is_written_beside_a_certificate_is_not_read(tmp_path: Path) -> None:
    """Python takes ASCII alone."""
    text = "# Stammzertifikat für Köln\n".encode()
    with server(tmp_path, THEIRS.pair("zk1")) as one:
        assert reach(one, text + CA + text)["msg"].startswith(OTHER)


def test_who_speaks_no_tls_is_no_stranger_and_need_not_be_there_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"127.0.0.1:{silent.getsockname()[1]}"
        assert reach(there, CA)["server"] == there
    assert reach(f"127.0.0.1:{free_port()}", CA, required=False)["server"] == ""


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
