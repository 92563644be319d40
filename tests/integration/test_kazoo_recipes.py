"""Recipes of kazoo's that ask a server for its version first: servers answer it as the role sets them up."""

from collections.abc import Iterator

import pytest
from kazoo.client import KazooClient

from testbed.ensemble import Ensemble


@pytest.fixture
def client() -> Iterator[KazooClient]:
    with Ensemble(1) as ensemble:
        client = KazooClient(ensemble.connect_string)
        client.start(20)
        yield client
        client.stop()
        client.close()


def test_the_version_and_the_queues_that_ask_for_it(client: KazooClient) -> None:
    assert client.server_version() >= (3, 8)
    locking = client.LockingQueue("/locking")
    locking.put_all([b"one", b"two"])
    assert locking.get(10) == b"one"
    assert locking.holds_lock()
    assert locking.consume()
    assert locking.get(10) == b"two"
    locking.release()
    assert len(locking) == 1
    plain = client.Queue("/plain")
    plain.put(b"three")
    assert plain.get() == b"three"
