"""Who is shown as what: what a part said of itself, as long as nothing that was seen contradicts it."""

from collections.abc import Iterator
from itertools import chain, pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from demo.report.history import Event, History, Span
from tests.unit.demo_records import event, history, seen

END = event(10.0, "end", problem=None)
Told = list[tuple[float, float, str]]
UNITS = {"master": "mwapp-master.service", "server": "zookeeper.service"}
SERVERS, MASTERS, WORKERS = ("zk1", "zk2", "zk3"), ("mw1", "mw2"), ("mw1", "mw2", "mw3")


def _kill(t: float, kind: str, node: str) -> Event:
    """A process was killed."""
    return event(t, "kill", kind=kind, node=node, unit=UNITS[kind])


def _lane(told: History, kind: str, node: str) -> Told:
    return [(span.begin, span.end, span.state) for span in told.lanes[kind, node]]


def test_a_master_that_finds_its_way_back_is_active_from_then_on_and_not_before() -> None:
    """It was elected long ago, but while it looked for a server it was not the active master."""
    told = history(
        seen(1.0, "master", "mw1", "active", epoch=4, elected=0.5),
        seen(3.0, "master", "mw1", "disconnected"),
        seen(5.0, "master", "mw1", "looking"),
        seen(6.0, "master", "mw1", "active", epoch=4, elected=0.5),
        END,
    )
    assert _lane(told, "master", "mw1") == [
        (1.0, 3.0, "active"),
        (3.0, 5.0, "disconnected"),
        (5.0, 6.0, "looking"),
        (6.0, 10.0, "active"),
    ]


def test_a_master_is_not_elected_before_there_is_a_leader() -> None:
    """Its election is exact, and the leader is looked at ten times a second: it led before that was seen."""
    told = history(
        seen(1.0, "server", "zk1", "not serving"),
        seen(1.0, "master", "mw1", "looking"),
        seen(4.5, "server", "zk1", "leader", epoch=2, after=4.0),
        seen(4.6, "master", "mw1", "active", epoch=9, elected=4.4),
        END,
    )
    assert _lane(told, "server", "zk1") == [(1.0, 4.4, "not serving"), (4.4, 10.0, "leader")]
    assert _lane(told, "master", "mw1") == [(1.0, 4.4, "looking"), (4.4, 10.0, "active")]


def test_a_leader_that_was_asked_meanwhile_does_not_lead_earlier() -> None:
    told = history(
        seen(1.0, "server", "zk1", "not serving"),
        seen(1.0, "server", "zk2", "not serving"),
        seen(4.1, "server", "zk2", "follower", after=4.0),
        seen(4.5, "server", "zk1", "leader", epoch=2, after=4.3),
        END,
    )
    assert _lane(told, "server", "zk1") == [(1.0, 4.5, "not serving"), (4.5, 10.0, "leader")]


def test_a_host_that_is_off_or_frozen_is_so_in_all_its_lanes() -> None:
    told = history(
        seen(0.0, "host", "mw2", "running"),
        seen(0.0, "worker", "mw2", "ready"),
        seen(0.0, "master", "mw2", "active", epoch=4, elected=-1.0),
        seen(3.0, "host", "mw2", "frozen"),
        seen(3.2, "worker", "mw2", "no answer"),
        seen(5.0, "host", "mw2", "running"),
        seen(5.5, "master", "mw2", "standby"),
        seen(5.5, "worker", "mw2", "ready"),
        seen(7.0, "host", "mw2", "off"),
        END,
    )
    assert _lane(told, "master", "mw2") == [
        (0.0, 3.0, "active"),
        (3.0, 5.0, "frozen"),
        (5.0, 5.5, "no answer"),  # nobody knows what it was before it was asked again
        (5.5, 7.0, "standby"),
        (7.0, 10.0, "off"),
    ]
    assert _lane(told, "worker", "mw2")[1:3] == [(3.0, 5.0, "frozen"), (5.0, 5.5, "no answer")]
    assert "master none" in told.tell(4.0)


def test_a_host_that_is_seen_to_be_off_was_off_when_it_fell_silent() -> None:
    """On a busy machine a second may pass until it is seen. Its effects must not come before it."""
    told = history(
        seen(0.0, "host", "mw2", "running"),
        seen(0.0, "master", "mw2", "standby"),
        seen(0.0, "worker", "mw2", "ready"),
        event(2.9, "fault", fault="worker_power_cut"),
        seen(3.0, "master", "mw2", "no answer"),
        seen(3.1, "worker", "mw2", "no answer"),
        seen(3.9, "host", "mw2", "off"),
        END,
    )
    assert [(act.at, act.kind) for act in told.faults[0].acts] == [(3.1, "off")]
    assert _lane(told, "worker", "mw2") == [(0.0, 3.1, "ready"), (3.1, 10.0, "off")]


def test_a_host_was_not_off_before_its_power_was_about_to_be_cut() -> None:
    """Whoever was asked before that, and not answered in time, was asked too early by a moment."""
    told = history(
        seen(0.0, "host", "zk1", "running"),
        seen(0.0, "server", "zk1", "follower"),
        event(1.0, "fault", fault="leader_kill"),
        event(3.0, "fault", fault="one_of_three_down"),
        seen(2.9, "server", "zk1", "no answer"),
        seen(3.5, "host", "zk1", "off"),
        END,
    )
    assert [[act.at for act in fault.acts] for fault in told.faults] == [[], [3.0]]


def test_a_process_that_was_dead_for_long_was_not_without_power_since() -> None:
    told = history(
        seen(0.0, "host", "zk1", "running"),
        seen(0.0, "server", "zk1", "follower"),
        seen(1.0, "server", "zk1", "no answer"),
        seen(6.0, "host", "zk1", "off"),
        END,
    )
    assert _lane(told, "server", "zk1")[1:] == [(1.0, 6.0, "no answer"), (6.0, 10.0, "off")]


def test_what_was_seen_again_after_a_moment_of_standstill_goes_on() -> None:
    told = history(
        seen(0.0, "host", "zk1", "running"),
        seen(0.0, "server", "zk1", "follower"),
        seen(3.0, "host", "zk1", "frozen"),
        seen(3.5, "host", "zk1", "running"),
        seen(8.0, "server", "zk1", "no answer", after=7.9),
        END,
    )
    assert _lane(told, "server", "zk1") == [
        (0.0, 3.0, "follower"),
        (3.0, 3.5, "frozen"),
        (3.5, 8.0, "follower"),
        (8.0, 10.0, "no answer"),
    ]


def test_what_is_killed_on_a_host_without_power_has_none_until_the_host_has() -> None:
    told = history(
        seen(1.0, "master", "mw1", "active", epoch=4, elected=1.0),
        seen(1.0, "host", "mw1", "running"),
        seen(3.0, "host", "mw1", "off"),
        _kill(4.0, "master", "mw1"),
        seen(6.0, "host", "mw1", "running"),
        seen(6.5, "master", "mw1", "standby", after=2.9),
        END,
    )
    assert _lane(told, "master", "mw1") == [
        (1.0, 3.0, "active"),
        (3.0, 6.0, "off"),
        (6.0, 6.5, "no answer"),
        (6.5, 10.0, "standby"),
    ]


def test_who_was_killed_is_nothing_until_seen_again() -> None:
    told = history(
        seen(0.0, "master", "mw1", "active", epoch=4, elected=-1.0),
        seen(0.0, "worker", "mw1", "ready"),
        _kill(2.0, "master", "mw1"),
        seen(2.3, "master", "mw1", "looking", after=1.95),
        END,
    )
    assert _lane(told, "master", "mw1") == [
        (0.0, 2.0, "active"),
        (2.0, 2.3, "no answer"),
        (2.3, 10.0, "looking"),
    ]
    assert _lane(told, "worker", "mw1") == [(0.0, 10.0, "ready")]  # another process


def test_of_two_masters_the_one_of_the_earlier_epoch_is_deposed() -> None:
    told = history(
        seen(0.0, "master", "mw1", "active", epoch=4, elected=-1.0),
        seen(0.0, "master", "mw2", "standby"),
        seen(5.2, "master", "mw2", "active", epoch=5, elected=5.0),
        seen(6.0, "master", "mw1", "standby"),
        seen(7.0, "master", "mw1", "active", epoch=4, elected=-1.0),  # whatever it believes
        END,
    )
    assert told.lanes["master", "mw1"] == [
        Span(0.0, 5.0, "active", 4),
        Span(5.0, 6.0, "deposed", 4),
        Span(6.0, 7.0, "standby"),
        Span(7.0, 10.0, "deposed", 4),
    ]
    assert "master mw2 (epoch 5), " in told.tell(5.5)
    assert "master mw2 (epoch 5), " in told.tell(8.0)


def test_a_leader_that_wakes_up_does_not_lead_beside_its_successor() -> None:
    told = history(
        *(seen(0.0, "server", node, "follower") for node in ("zk2", "zk3")),
        seen(0.0, "server", "zk1", "leader", epoch=1),
        seen(2.0, "host", "zk1", "frozen"),
        seen(4.0, "server", "zk2", "leader", epoch=2),
        seen(6.0, "host", "zk1", "running"),
        seen(6.1, "server", "zk1", "no answer"),
        seen(6.2, "server", "zk1", "leader", epoch=1),
        seen(6.5, "server", "zk1", "not serving"),
        END,
    )
    assert _lane(told, "server", "zk1")[-3:] == [
        (6.0, 6.2, "no answer"),
        (6.2, 6.5, "deposed"),
        (6.5, 10.0, "not serving"),
    ]
    assert "leader zk2," in told.tell(6.3)


def test_a_leader_whose_followers_are_gone_leads_nobody() -> None:
    """It calls itself leader until it notices. When the others are back, they have elected another."""
    told = history(
        *(seen(0.0, "host", node, "running") for node in SERVERS),
        *(seen(0.0, "server", node, "follower") for node in ("zk1", "zk3")),
        seen(0.0, "server", "zk2", "leader", epoch=4),
        seen(2.0, "host", "zk1", "off"),
        seen(3.0, "host", "zk3", "off"),
        seen(5.0, "host", "zk1", "running"),
        seen(5.0, "host", "zk3", "running"),
        seen(5.1, "server", "zk1", "no answer", after=4.9),
        seen(5.1, "server", "zk3", "no answer", after=4.9),
        seen(7.0, "server", "zk1", "follower", after=6.5),
        seen(7.1, "server", "zk3", "leader", epoch=5, after=6.6),
        seen(8.0, "server", "zk2", "not serving"),
        END,
    )
    assert _lane(told, "server", "zk2") == [
        (0.0, 3.0, "leader"),
        (3.0, 7.0, "leader without a quorum"),
        (7.0, 8.0, "deposed"),
        (8.0, 10.0, "not serving"),
    ]
    assert "leader zk2," in told.tell(2.5)
    assert "leader none," in told.tell(4.0)
    assert "leader zk3," in told.tell(7.5)


def test_a_leader_has_its_quorum_although_it_was_looked_at_before_its_followers() -> None:
    told = history(
        *(seen(0.0, "server", node, "not serving") for node in SERVERS),
        seen(2.0, "server", "zk1", "leader", epoch=4, after=1.9),
        seen(2.1, "server", "zk2", "follower", after=1.95),
        END,
    )
    assert _lane(told, "server", "zk1") == [(0.0, 2.0, "not serving"), (2.0, 10.0, "leader")]


NODES = {"master": MASTERS, "worker": WORKERS, "server": SERVERS}
STATES = {
    "master": ["active", "standby", "looking", "no answer"],
    "worker": ["ready", "disconnected", "no answer"],
    "server": ["leader", "follower", "not serving", "no answer"],
    "host": ["running", "off", "frozen"],
}
NODES["host"] = tuple(dict.fromkeys([*SERVERS, *WORKERS]))


def _looks() -> Iterator[Event]:
    """All that might be seen. The parts may say whatever they like, however impossible."""
    for kind, nodes in NODES.items():
        for node, state, ago in product(nodes, STATES[kind], (0.1, 0.6)):
            for epoch in range(1, 5) if state in ("active", "leader") else [None]:
                look = seen(0.0, kind, node, state, after=-ago, epoch=epoch)
                elected = [{"elected": -0.05}, {"elected": -5.0}] if state == "active" else [{}]
                yield from (look | since for since in elected)
    for kind, node in product(UNITS, NODES["host"]):
        yield _kill(0.0, kind, node)


def _record(looks: list[Event]) -> list[Event]:
    """Of these, one after the other."""
    times = ("t", "after", "elected")
    events = [
        look | {name: look[name] + 0.2 * number for name in times if name in look}
        for number, look in enumerate(looks)
    ]
    return [*events, event(10.0, "end", problem=None)]


LOOK = st.sampled_from(list(_looks()))
MANY = st.integers(1, 40).flatmap(lambda number: st.lists(LOOK, min_size=number, max_size=number))
RECORDS = MANY.map(_record)


@settings(derandomize=True)  # the same records each time
@given(RECORDS)
def test_never_two_leaders_nor_two_active_masters_nor_a_life_without_power(events: list[Event]) -> None:
    told = history(*events)
    for claim, kind in (("active", "master"), ("leader", "server")):
        claims = sorted(
            (span.begin, span.end)
            for (k, _), spans in told.lanes.items()
            if k == kind
            for span in spans
            if span.state == claim
        )
        assert all(one[1] <= other[0] for one, other in pairwise(claims)), claims
    for spans in told.lanes.values():
        assert all(span.begin < span.end for span in spans)
        assert all(one.end == other.begin for one, other in pairwise(spans)), spans
    for act in told.acts:
        lanes = [spans for (kind, node), spans in told.lanes.items() if node == act.node and kind != "host"]
        for span in chain.from_iterable(lanes) if act.kind != "kill" else ():
            assert span.end <= act.at or span.begin >= act.until or span.state == act.kind


@settings(derandomize=True)  # the same records each time
@given(RECORDS)
def test_what_is_told_of_a_moment_is_what_its_lanes_show(events: list[Event]) -> None:
    told = history(*events)
    for time in range(10):
        now = {
            (kind, span.state): node
            for (kind, node), spans in told.lanes.items()
            for span in spans
            if span.begin <= time < span.end
        }
        assert f"leader {now.get(('server', 'leader'), 'none')}," in told.tell(time)
        assert f"master {now.get(('master', 'active'), 'none')}" in told.tell(time)
