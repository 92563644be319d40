"""In which order the servers of an ensemble restart. Pure: members and their states in, names out."""

from __future__ import annotations

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import Member, State


def rolling(
    members: list[Member],
    states: dict[str, State],
    pending: set[str],
    *,
    changing: bool = False,
    first: str = "",
) -> list[str]:
    """The order in which serving servers (while voters are ``changing``, waiting ones, too) are restarted.

    Those that do not vote, or should not any more, come first: they cost the quorum least. The leader is the
    last, so that one election is enough. Before all goes ``first``, whose new ports the others are to learn:
    they could not come back to a leader that is not yet where they look for it. So does a leader that shall
    not vote any more: who knows of that does not follow it.
    """

    def place(member: Member) -> int:
        mode = states[member.name].mode
        if member.name == first or (member.observer and mode == "leader"):
            return -1
        if member.observer or mode in ("observer", None):
            return 0
        return 2 if mode in ("leader", "standalone") else 1

    due = [member for member in members if member.name in pending and states[member.name].reachable]
    return [member.name for member in sorted(due, key=place) if changing or states[member.name].mode]


def idle(
    members: list[Member], states: dict[str, State], pending: set[str], *, changing: bool = False
) -> list[str]:
    """Servers whose restart takes nothing from the quorum, though the ensemble is not healthy.

    They say that they serve nobody. One that does not answer may well be a voter; but where those that do
    answer are a quorum without it, what it needs may be just the change that waits for it. (Not while voters
    are ``changing``: then there are two lists to be a quorum of.)
    """
    voters = [member.name for member in members if not member.observer]
    serving = [name for name in voters if states[name].mode in ("leader", "follower")]
    spare = not changing and len(serving) > len(voters) // 2
    return [
        member.name
        for member in members
        if member.name in pending
        and states[member.name].mode is None
        and (states[member.name].reachable or spare)
    ]
