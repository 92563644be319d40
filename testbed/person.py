"""Somebody at work by hand on an ensemble's znodes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kazoo.client import KazooClient

from testbed.waiting import LONGEST_WAIT


def catch_up(client: Any) -> None:
    """What this client reads from now on cannot miss what anybody was told before, by whichever server.

    A server may be behind another one, so a transaction of the reader's own comes first: it is ordered after
    all that was answered before it was asked for, even if it fails. (`sync` is not: who leads no more may
    answer it, too.) A client that has just opened its session need not: that is a transaction, too.
    """
    nothing = client.transaction()
    nothing.check("/", -1)
    nothing.commit()


class Person(KazooClient):  # type: ignore[misc]  # kazoo has no types
    """A client that catches up before each read. A read that is cut off is tried again."""

    def get(self, *args: Any, **more: Any) -> Any:
        return self._fresh(super().get, *args, **more)

    def exists(self, *args: Any, **more: Any) -> Any:
        return self._fresh(super().exists, *args, **more)

    def get_children(self, *args: Any, **more: Any) -> Any:
        return self._fresh(super().get_children, *args, **more)

    def _fresh(self, read: Callable[..., Any], *args: Any, **more: Any) -> Any:
        def look() -> Any:
            catch_up(self)
            return read(*args, **more)

        return self.retry(look)


@contextmanager
def person_at(connect: str) -> Iterator[Person]:
    """A person at ``servers[/chroot]``; the chroot is made."""
    servers, _, chroot = connect.partition("/")
    person = Person(servers, command_retry={"max_tries": -1, "max_delay": 0.3, "deadline": LONGEST_WAIT})
    person.start(LONGEST_WAIT)
    try:
        person.ensure_path(f"/{chroot}")
        person.chroot = f"/{chroot}" if chroot else ""
        yield person
    finally:
        person.stop()
        person.close()
