"""Whoever looks on in a test sees what happened before, by whichever server it looks."""

from testbed.ensemble import Ensemble
from tests.integration.person import person_at


def test_a_server_that_is_behind_shows_nothing_old(ensemble: Ensemble) -> None:
    """A plain client was shown something old in two of five such rounds."""
    late = ensemble.followers()[0]
    with (
        person_at(f"127.0.0.1:{ensemble.leader().port}/person") as writer,
        person_at(f"127.0.0.1:{late.port}/person") as reader,
    ):
        for number in range(20):
            late.pause()
            for _ in range(20):
                writer.set("/", b"old")
            writer.set("/", b"%d" % number)
            late.resume()
            assert reader.get("/")[0] == b"%d" % number
