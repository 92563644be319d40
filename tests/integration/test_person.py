"""Whoever looks on in a test sees what happened before, by whichever server it looks."""

from collections.abc import Iterator

from testbed.ensemble import Ensemble, Server
from testbed.person import person_at

PATH = "/person"


def behind(ensemble: Ensemble, late: Server) -> Iterator[bytes]:
    """What has just been written, while the late server did not hear it; again and again."""
    with person_at(f"127.0.0.1:{ensemble.leader().port}{PATH}") as writer:
        for number in range(20):
            late.pause()
            for _ in range(20):
                writer.set("/", b"old")
            writer.set("/", b"%d" % number)
            late.resume()
            yield b"%d" % number


def test_a_server_that_is_behind_shows_nothing_old(ensemble: Ensemble) -> None:
    """A plain client was shown something old in two of five such rounds."""
    late = ensemble.followers()[0]
    with person_at(f"127.0.0.1:{late.port}{PATH}") as reader:
        for written in behind(ensemble, late):
            assert reader.get("/")[0] == written


def test_who_has_just_come_is_shown_nothing_old(ensemble: Ensemble) -> None:
    """A plain client, which does nothing but open its session."""
    late = ensemble.followers()[0]
    for written in behind(ensemble, late):
        with late.client() as reader:
            assert reader.get(PATH)[0] == written
