"""The way of a running ensemble between plaintext and TLS: which steps, and what stops it."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest

from tests.unit.test_status import GROUPS, found
from tests.unit.test_status import report as status_report
from tests.unit.test_zookeeper_role import render, stage
from tests.unit.zookeeper_role import load, load_file

phases = load("zookeeper_tls_phases")
zoo_cfg = load("zookeeper_zoo_cfg")
filters = load_file("filter/zookeeper_tls.py")
__all__ = ["found"]  # a fixture

PLAIN, ACCEPTS, SPEAKS, TLS = phases.PHASES
KEY_STORE = "/etc/zookeeper/tls/client.pem"


def understand(one: str, other: str) -> bool:
    """Whether two servers can connect to each other, whichever of them does it."""
    says = {PLAIN: "plain", ACCEPTS: "plain", SPEAKS: "tls", TLS: "tls"}
    takes = {PLAIN: {"plain"}, ACCEPTS: {"plain", "tls"}, SPEAKS: {"plain", "tls"}, TLS: {"tls"}}
    return says[one] in takes[other] and says[other] in takes[one]


def config(phase: str, **settings: object) -> dict[str, str]:
    text = render("zoo.cfg.j2", **stage("zk1", "zk2", "zk3"), __zookeeper_phase=phase, **settings)
    read: dict[str, str] = zoo_cfg.parse_config(text)
    return read


# ---------------------------------------------------------------- what zoo.cfg says


@pytest.mark.parametrize("phase", phases.PHASES)
def test_a_servers_zoo_cfg_tells_how_far_it_has_come(phase: str) -> None:
    assert phases.phase_of(config(phase), KEY_STORE) == phase
    assert phases.phase_of(config(phase), "/somebody/elses.pem") == PLAIN


def test_what_each_phase_writes() -> None:
    keys = ("clientPortAddress", "secureClientPort", "sslQuorum", "portUnification", "fips-mode")
    assert {phase: [config(phase).get(key) for key in keys] for phase in phases.PHASES} == {
        PLAIN: [None, None, None, None, None],
        ACCEPTS: [None, "2182", "false", "true", "false"],
        SPEAKS: [None, "2182", "true", "true", "false"],
        TLS: ["127.0.0.1", "2182", "true", None, "false"],
    }


def test_an_election_does_not_wait_until_the_connection_to_a_silent_leader_is_closed() -> None:
    """Which takes syncLimit ticks with TLS. Who wants it otherwise says so in zookeeper_config."""
    for key in ("learner.closeSocketAsync", "leader.closeSocketAsync"):
        said = {phase: config(phase).get(key) for phase in phases.PHASES}
        assert said == {PLAIN: None, ACCEPTS: "true", SPEAKS: "true", TLS: "true"}
        assert config(TLS, zookeeper_config={key: False})[key] == "false", "the last line of a key counts"


# ---------------------------------------------------------------- the way


@pytest.mark.parametrize("target", [PLAIN, TLS])
@pytest.mark.parametrize("running", [set(pair) for pair in product(phases.PHASES, repeat=2)], ids=sorted)
def test_whoever_runs_together_on_the_way_understands_each_other(running: set[str], target: str) -> None:
    """From wherever a run was cut short."""
    if not all(understand(one, other) for one, other in product(running, repeat=2)):
        with pytest.raises(phases.TooFarApartError):
            phases.way(running, target)
        return
    steps = phases.way(running, target)
    assert steps[-1] == target
    assert all(understand(one, steps[0]) for one in running)
    assert all(understand(one, other) for one, other in pairwise(steps))
    for before, step in pairwise([None, *steps]):
        those = running if before is None else {before}
        ports = {"plain": {PLAIN, ACCEPTS, SPEAKS}, "tls": {ACCEPTS, SPEAKS, TLS}}
        way = "tls" if phases.asks_with_tls(those, step) else "plain"
        assert {*those, step} <= ports[way], "the gate can ask all"


def test_it_takes_three_rolls_and_a_single_server_two() -> None:
    assert phases.way([PLAIN] * 3, TLS) == [ACCEPTS, SPEAKS, TLS]
    assert phases.way([TLS] * 3, PLAIN) == [SPEAKS, ACCEPTS, PLAIN]
    assert phases.way([PLAIN], TLS, alone=True) == [SPEAKS, TLS]
    assert phases.way([TLS], PLAIN, alone=True) == [SPEAKS, PLAIN]
    assert phases.way([], TLS) == [TLS]


# ---------------------------------------------------------------- the stages of a run

NAMES = ["zk1", "zk2", "zk3"]


def seen(*running: str, **clients: list[str]) -> dict[str, dict[str, Any]]:
    return {name: {"speaks": phase, "clients": clients} for name, phase in zip(NAMES, running, strict=False)}


def plan(*stages: str) -> dict[str, Any]:
    return {"problems": [], "stages": [{"label": label} for label in stages or ("voters 1, 2 and 3",)]}


def steps(made: dict[str, Any]) -> list[tuple[str, bool]]:
    assert made["problems"] == []
    return [(stage["tls"], stage["ask_tls"]) for stage in made["stages"] if "tls" in stage]


def way(running: tuple[str, ...], tls: bool, part: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = filters.zookeeper_tls_way(plan(), seen(*running), NAMES, tls, part, **more)
    return made


@pytest.mark.parametrize(
    ("running", "tls", "part", "wanted"),
    [
        ((PLAIN,) * 3, True, "open", [(ACCEPTS, False), (SPEAKS, False)]),
        ((SPEAKS,) * 3, True, "close", [(TLS, True)]),
        ((TLS,) * 3, False, "open", [(SPEAKS, True), (ACCEPTS, False)]),
        ((ACCEPTS,) * 3, False, "close", [(PLAIN, False)]),
        # cut short
        ((ACCEPTS, PLAIN, PLAIN), True, "open", [(ACCEPTS, False), (SPEAKS, False)]),
        ((ACCEPTS, SPEAKS, ACCEPTS), True, "open", [(SPEAKS, False)]),
        ((TLS, SPEAKS, SPEAKS), True, "open", []),
        ((TLS, SPEAKS, SPEAKS), True, "close", [(TLS, True)]),
        ((TLS, SPEAKS, SPEAKS), False, "open", [(SPEAKS, True), (ACCEPTS, False)]),
        ((ACCEPTS, SPEAKS, ""), False, "open", [(ACCEPTS, False)]),
        ((PLAIN, ACCEPTS, ACCEPTS), False, "open", []),
        ((PLAIN, ACCEPTS, ACCEPTS), False, "close", [(PLAIN, False)]),
        # one by itself
        ((PLAIN,), True, "open", [(SPEAKS, False)]),
        ((SPEAKS,), False, "close", [(PLAIN, False)]),
    ],
)
def test_each_part_of_the_way(
    running: tuple[str, ...], tls: bool, part: str, wanted: list[tuple[str, bool]]
) -> None:
    made = way(running, tls, part)
    assert steps(made) == wanted
    assert len(made["stages"]) == len(wanted)


@pytest.mark.parametrize("running", [("tls", "tls", "tls"), ("tls", "", "tls")])
def test_what_is_done_is_as_site_yml_has_it(running: tuple[str, ...]) -> None:
    assert way(running, True, "open")["stages"] == []
    assert way(running, True, "close") == plan()


def test_where_nobody_runs_there_is_no_way() -> None:
    """The application needs an ensemble when its turn comes."""
    for part in ("open", "close"):
        assert way(("", "", ""), True, part) == plan()


def test_a_check_tells_each_step_once_and_asks_as_servers_run() -> None:
    said = [steps(way((PLAIN,) * 3, True, part, check=True)) for part in ("open", "close")]
    assert said == [[(ACCEPTS, False), (SPEAKS, False)], [(TLS, False)]]


def test_servers_that_do_not_understand_each_other_stop_it() -> None:
    made = way((PLAIN, TLS, TLS), True, "open")
    assert made["stages"] == []
    assert made["problems"] == [
        "The running servers cannot talk to each other, because their TLS settings differ (zk1: plain, "
        "zk2: tls, zk3: tls): stop those that serve nobody (systemctl stop zookeeper), and run again."
    ]


def test_all_members_go_along() -> None:
    made = filters.zookeeper_tls_way(plan(), seen(PLAIN, PLAIN, PLAIN), ["zk1", "zk3"], True, "open")
    assert made["problems"][0].startswith("--limit leaves out zk2: ")
    done = filters.zookeeper_tls_way(plan(), seen(TLS, TLS, TLS), ["zk1"], True, "close")
    assert done == plan()


def test_what_the_plan_refuses_stays_refused() -> None:
    refused = {"problems": ["no"], "stages": []}
    assert filters.zookeeper_tls_way(refused, seen(PLAIN), NAMES, True, "open") == refused


LEAVES = {"problems": [], "stages": [{"label": "voters 1 and 2", "changing": True}]}
OTHER_PORTS = {"problems": [], "stages": [{"label": "ports of zk1", "first": "zk1", "changing": False}]}


@pytest.mark.parametrize("more", [plan("voters 1 and 2", "voters 1, 2 and 3"), LEAVES, OTHER_PORTS])
def test_members_change_at_another_time(more: dict[str, Any]) -> None:
    for tls, back in ((True, "false"), (False, "true")):
        running = seen(*(PLAIN if tls else TLS,) * 3)
        made = filters.zookeeper_tls_way(more, running, NAMES, tls, "open")
        assert made["stages"] == []
        assert f"Set zookeeper_tls back to {back}, run site.yml" in made["problems"][0]
    assert filters.zookeeper_tls_way(more, seen(TLS, TLS, TLS), NAMES, True, "close") == more


@pytest.mark.parametrize(
    ("running", "tls", "wanted"),
    [
        ((ACCEPTS, PLAIN), True, [(ACCEPTS, False), (ACCEPTS, False), (SPEAKS, False)]),
        ((ACCEPTS, SPEAKS), True, [(SPEAKS, False), (SPEAKS, False)]),
        ((TLS, SPEAKS), True, [(SPEAKS, True), (SPEAKS, True)]),
        ((TLS, SPEAKS), False, [(SPEAKS, True), (SPEAKS, True), (ACCEPTS, False)]),
        ((SPEAKS, ACCEPTS), False, [(ACCEPTS, False), (ACCEPTS, False)]),
    ],
)
def test_half_way_members_change_first_and_all_go_on(
    running: tuple[str, ...], tls: bool, wanted: list[tuple[str, bool]]
) -> None:
    """Members may be dead for good, and site.yml refuses to touch what is half-way."""
    more = plan("voters 1, 2 and 4", "voters 1 and 2")
    more["stages"][-1] |= {"changing": True, "first": "zk2", "members": "those that live"}
    made = filters.zookeeper_tls_way(more, seen(*running), NAMES, tls, "open")
    assert steps(made) == wanted
    assert [stage.get("changing", False) for stage in made["stages"]] == [
        False,
        True,
        *[False] * (len(wanted) - 2),
    ]
    assert all((stage["first"], stage["members"]) == ("", "those that live") for stage in made["stages"][2:])
    checked = filters.zookeeper_tls_way(more, seen(*running), NAMES, tls, "close", check=True)
    assert steps(checked) == [(TLS if tls else PLAIN, TLS in running)]


@pytest.mark.parametrize(("runs", "tls"), [(PLAIN, True), (TLS, False), (SPEAKS, True)])
def test_those_with_the_newest_data_start_as_the_one_that_runs(runs: str, tls: bool) -> None:
    """Their start is no change of members."""
    starts = plan("the newest data first: zk1 and zk2", "voters 1, 2 and 3")
    starts["stages"][0] |= {"newest_first": True}
    made = filters.zookeeper_tls_way(starts, seen(runs, "", ""), NAMES, tls, "open")
    assert steps(made)[:2] == [(runs, runs == TLS)] * 2
    assert steps(made)[2:] == steps(way((runs,) * 3, tls, "open"))
    assert [stage["label"] for stage in made["stages"][:2]] == [stage["label"] for stage in starts["stages"]]


def test_half_way_one_that_is_dead_leaves() -> None:
    made = filters.zookeeper_tls_way(LEAVES, seen(SPEAKS, SPEAKS), NAMES, True, "open")
    assert [(stage["tls"], stage["changing"]) for stage in made["stages"]] == [(SPEAKS, True)]


@pytest.mark.parametrize(
    ("tls", "kind", "words"),
    [
        (
            True,
            "plain",
            "without TLS: 10.0.0.9 (at zk1, zk2, zk3). Both ways are open: give them certificates",
        ),
        (
            False,
            "tls",
            "with TLS: 10.0.0.9 (at zk1, zk2, zk3). Both ways are open: let them use zookeeper_client",
        ),
    ],
)
def test_nobody_is_cut_off(tls: bool, kind: str, words: str) -> None:
    running = (SPEAKS if tls else ACCEPTS,) * 3
    here = seen(*running, **{kind: ["10.0.0.9"], "plain" if kind == "tls" else "tls": ["10.0.0.8"]})

    def close(**more: Any) -> dict[str, Any]:
        made: dict[str, Any] = filters.zookeeper_tls_way(plan(), here, NAMES, tls, "close", **more)
        return made

    made = close()
    assert made["stages"] == []
    assert words in made["problems"][0]
    assert "-e zookeeper_tls_cut_off=true" in made["problems"][0]
    assert steps(close(cut_off="true")) == [(TLS, True) if tls else (PLAIN, False)]
    done = seen(*(TLS if tls else PLAIN,) * 3, **{kind: ["10.0.0.9"]})
    assert filters.zookeeper_tls_way(plan(), done, NAMES, tls, "close")["problems"] == []


def test_servers_are_asked_as_they_run() -> None:
    asks = filters.zookeeper_asks_tls
    assert asks(seen(TLS, SPEAKS, ""), False)
    assert not asks(seen(SPEAKS, ACCEPTS, PLAIN), True)
    assert asks(seen("", ""), "true")
    assert not asks({"zk1": {}}, False)


# ---------------------------------------------------------------- what is said of it


def test_site_yml_and_status_name_the_playbook(found: dict[str, dict[str, Any]]) -> None:
    running = seen(PLAIN, SPEAKS, TLS)
    (problem,) = filters.zookeeper_tls_refusals(running, True)
    text = (
        "zookeeper_tls is true, but what runs on zk1 has no TLS and what runs on zk2 has come only a part of "
        "the way"
    )
    assert problem.startswith(
        f"{text}: to switch a running ensemble while clients write, run playbooks/tls.yml"
    )
    for name, its in running.items():
        found[name]["__zookeeper_found"] |= its
        found[name]["zookeeper_tls"] = "true"
    made = status_report.status_report(list(found), found, GROUPS)
    assert made["ensemble"]["warnings"] == [f"{text}: run playbooks/tls.yml, or set it back"]
