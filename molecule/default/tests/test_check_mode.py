"""Check mode on converged hosts tells the truth: there is nothing to change."""

from testbed.playbook import play


def test_check_mode_finds_nothing_to_change() -> None:
    played = play("site", "--check", "--diff")
    assert (played.status, played.changed) == (0, 0), played.output
