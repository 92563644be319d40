"""Whole runs of the role, on simulated hosts in any state, broken off anywhere (zookeeper_hosts.py).

Whatever is drawn: nobody leads who lacks what was acknowledged and can still be had; and repeating the
command ends in what the inventory wants, or in one refusal that changes nothing. What a refusal advises is
done to the letter. Where an ensemble of the living is sound, and the change is one that the role makes, all
ends in what the inventory wants.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit import zookeeper_hosts
from tests.unit.zookeeper_hosts import PORTS, CutError, Ensemble, Host, RefusedError, Run, majority
from tests.unit.zookeeper_role import load

SEEDS = 400
PLAN = zookeeper_hosts.plan_of.__globals__
ONE = vars(load("zookeeper_one_ensemble"))
NEW_PORTS = (2889, 3889)


@dataclass
class Scene:
    """Hosts as they are found, the inventory, and whether it must come out well."""

    chance: random.Random
    ensemble: Ensemble = field(init=False)
    members: list[dict[str, Any]] = field(init=False)
    before: list[dict[str, Any]] = field(init=False)
    dead: str = ""
    disaster: bool = False
    sound: bool = True

    def __post_init__(self) -> None:
        chance = self.chance
        size = chance.choice([1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7])
        hosts = {n: Host(n, f"10.0.0.{n}") for n in range(1, size + 1)}
        self.ensemble = Ensemble(hosts, chance)
        observers = {size} if size > 3 and chance.random() < 0.3 else set()
        self.before = [self._member(host, observer=n in observers) for n, host in hosts.items()]
        Run(self.ensemble, self.before).play()  # their first start
        self._live()
        self.ensemble.tell(f"--- found, acknowledged {len(self.ensemble.acknowledged)}")
        self._damage()
        self.members = self._inventory()
        self._promise()

    def _member(
        self, host: Host, *, observer: bool = False, ports: tuple[int, int] = PORTS
    ) -> dict[str, Any]:
        return {
            "name": host.name,
            "id": host.number,
            "host": host.address,
            "observer": observer,
            "quorum_port": ports[0],
            "election_port": ports[1],
        }

    def _live(self) -> None:
        """For a while servers stop and start, and not all have everything."""
        for _ in range(self.chance.randint(0, 4)):
            host = self.chance.choice(list(self.ensemble.hosts.values()))
            if host.running is None:
                self.ensemble.start(host)
            else:
                self.ensemble.stop(host)
            self.ensemble.settle()

    def _damage(self) -> None:
        """To any of them, but often to a few."""
        share = self.chance.choice([0.1, 0.3, 0.9])
        voters = {m["id"] for m in self.before if not m["observer"]}
        hurt = set()
        for host in self.ensemble.hosts.values():
            if self.chance.random() > share:
                continue
            kind = self.chance.choice(["stopped", "empty", "reimaged", "restored", "moved", "dead"])
            self.ensemble.tell(f"{host.name} is {kind}")
            self.ensemble.stop(host)
            host.marker = False
            if kind in ("empty", "moved"):
                host.log = None
                host.config = self.chance.choice([host.config, None])
            if kind == "moved":
                host.address, host.config = f"10.0.1.{host.number}", None
            if kind in ("reimaged", "restored"):
                host.config = None
            if kind == "restored" and host.log:
                keep = self.chance.randint(1, len(host.log))
                host.log = dict(sorted(host.log.items())[:keep])
            if kind == "dead":
                host.dead = True
            if kind != "stopped":
                hurt.add(host.number)
        sound = voters - hurt
        self.sound = len(sound) >= majority(voters) and len(voters) > 2
        self.ensemble.settle()

    def _inventory(self) -> list[dict[str, Any]]:
        chance, hosts = self.chance, self.ensemble.hosts
        dead = [host for host in hosts.values() if host.dead]
        members = [
            {**m, "host": hosts[m["id"]].address}
            for m in self.before
            if chance.random() < 0.03 or not hosts[m["id"]].dead
        ]
        if any(hosts[m["id"]].dead for m in members):
            self.sound = False
        if dead and chance.random() < 0.8:
            self.dead = ",".join(host.address for host in dead)
            self.disaster = chance.random() < 0.5
        elif dead:
            self.sound = False
        kind = chance.choice(["same", "same", "remove", "add", "ports", "observer"])
        if dead and kind != "same":
            self.sound = False
        if kind == "remove" and len(members) > 1:
            members.remove(chance.choice(members))
            self.sound = False  # a leader that is taken out has to be restarted by hand
        if kind == "add":
            for _ in range(chance.randint(1, 2)):
                number = max(hosts) + 1
                hosts[number] = Host(number, f"10.0.0.{number}")
                members.append(self._member(hosts[number]))
        if kind == "ports":
            members = [
                {**m, "quorum_port": NEW_PORTS[0], "election_port": NEW_PORTS[1]}
                if chance.random() < 0.7
                else m
                for m in members
            ]
        if kind == "observer" and members:
            changed = chance.choice(members)
            changed["observer"] = not changed["observer"]
            self.sound = False
        self.ensemble.tell(f"--- {kind}, dead {self.dead or 'none'}, sound {self.sound}")
        return members

    def _promise(self) -> None:
        """What can still be had: what the newest of those that are to be members has."""
        known = [self.ensemble.hosts[m["id"]] for m in self.members]
        newest = max((h for h in known if not h.dead), key=lambda host: host.last, default=None)
        kept = (newest.log if newest else None) or {}
        held = self.ensemble.acknowledged
        if self.ensemble.leader is None:
            self.ensemble.acknowledged = {z: c for z, c in held.items() if kept.get(z) == c}

    # ------------------------------------------------------------ runs

    def run(self, steps: int, members: list[dict[str, Any]]) -> str | None:
        """Why it was refused, or broken off ("cut"); None if it is done."""
        self.ensemble.tell(f"--- run, {steps} steps")
        try:
            Run(self.ensemble, members, steps=steps, dead=self.dead, disaster=self.disaster).play()
        except CutError:
            self.ensemble.tell("--- cut")
            return "cut"
        except RefusedError as refused:
            self.ensemble.tell(f"--- refused: {refused}")
            self._names_the_newest(str(refused), members)
            return str(refused)
        return None

    def _names_the_newest(self, advice: str, members: list[dict[str, Any]]) -> None:
        """Who speaks of giving up data says how far the data of each server go."""
        if not re.search(
            r"move the contents|Discard|Unset zookeeper_observer|(are|then) lost|keep these", advice
        ):
            return
        for host in (self.ensemble.hosts[m["id"]] for m in members):
            if host.log is not None and not host.dead:
                assert f"server {host.number}: {host.last:#x}" in advice

    def play(self) -> str | None:
        """Runs that are broken off, then whole ones."""
        if not self.members:
            return "nobody is left"
        for steps in zookeeper_hosts.trials(3, self.chance):
            back = steps < 1 << 30 and self.chance.random() < 0.2
            ended = self.run(steps, self.before if back and not self.dead else self.members)
        assert ended != "cut"
        started = sum("starts" in text for text in self.ensemble.story)
        assert self.run(1 << 30, self.members) == ended, "the same command does not end the same"
        if ended is None or not ended.startswith("not healthy"):
            assert sum("starts" in text for text in self.ensemble.story) == started, "it changed something"
        return ended

    # ------------------------------------------------------------ advice

    def follow(self, advice: str | None) -> str | None:
        """Do what refusals say, to the letter, as long as they say something new."""
        done: set[str] = set()
        while advice and advice not in done and self._obey(advice):
            done.add(advice)
            advice = self.run(1 << 30, self.members)
        return advice

    def _obey(self, advice: str) -> bool:
        """Whether there was something to do."""
        self.ensemble.tell("--- as the refusal says:")
        hosts = self.ensemble.hosts
        if found := re.search(r"Stop server (\d+), move the contents of its", advice):
            host = hosts[int(found[1])]
            self.ensemble.tell(f"{host.name} is stopped, its data are moved away")
            others = [h.last for h in hosts.values() if h is not host and h.log is not None and not h.dead]
            assert host.last <= max(others), "the newest data are given up"
            served = self.ensemble.leader
            self.ensemble.stop(host)
            self.ensemble.settle()
            assert served is None or self.ensemble.leader, "the advice costs the quorum"
            host.log, host.marker = None, False
        elif found := re.search(r"never run again, declare that: -e zookeeper_dead=(\S+)", advice):
            self.dead = found[1]
            for host in hosts.values():  # they must never run again: now they do not
                if host.address in self.dead.split(","):
                    self.ensemble.stop(host)
                    host.dead = True
            self.ensemble.tell(f"{self.dead} are declared dead")
            self.ensemble.settle()
        elif "give -e zookeeper_disaster_recovery=true" in advice:
            assert re.search(r"all writes after 0x[0-9a-f]+ \(server \d+\) are lost", advice)
            self.disaster = True
        elif "set the ports back, run, and change them then" in advice:
            back = [{**m, "quorum_port": PORTS[0], "election_port": PORTS[1]} for m in self.members]
            self.run(1 << 30, back)
        elif found := re.search(
            r"(?:Servers?|server) ([\d, and]+) were taken out of the group at once", advice
        ):
            several = [int(n) for n in re.findall(r"\d+", found[1])]
            again = [{**m, "host": hosts[m["id"]].address} for m in self.before if m["id"] in several[1:]]
            self.run(1 << 30, sorted(self.members + again, key=lambda m: m["id"]))
        elif found := re.search(r"take server (\d+) out of the group, run, and put it back", advice):
            self.run(1 << 30, [m for m in self.members if m["id"] != int(found[1])])
        elif found := re.search(r"take out of the group the voters ([\d, and]+):", advice):
            lost = {int(n) for n in re.findall(r"\d+", found[1])}
            self.members = [m for m in self.members if m["id"] not in lost]
            if found := re.search(
                r"writes after (0x[0-9a-f]+) \(server \d+\), if there were any, are then lost", advice
            ):
                held = self.ensemble.acknowledged
                self.ensemble.acknowledged = {z: c for z, c in held.items() if z <= int(found[1], 16)}
        elif found := re.search(r"Unset zookeeper_observer for server (\d+), run, and set it then", advice):
            self.run(
                1 << 30, [{**m, "observer": m["observer"] and m["id"] != int(found[1])} for m in self.members]
            )
        else:
            return False
        return True


def outcome(seed: int) -> str | None:
    """How it ends: a refusal, or None. Raises AssertionError, which tells the story."""
    scene = Scene(random.Random(seed))  # noqa: S311 - to be drawn again from its seed
    try:
        ended = scene.follow(scene.play())
        assert ended is None or not scene.sound, f"refused, though it is sound: {ended}"
    except AssertionError as wrong:
        raise AssertionError("\n".join([f"seed {seed}: {wrong}", *scene.ensemble.story])) from None
    return ended


def test_no_run_costs_what_was_acknowledged_and_the_same_command_finishes_it() -> None:
    ends = [outcome(seed) for seed in range(SEEDS)]
    assert SEEDS // 2 < ends.count(None) < SEEDS, "many are done, and some are refused"


def _one_step(members: Any, ids: Any, _seen: Any, _now: Any, _whole: Any, target: Any, _left: Any) -> Any:
    return [PLAN["_stage"](members, target, list(ids), True)]


def _all_begin(members: Any, ids: Any, _holders: Any, target: Any) -> Any:
    return [PLAN["_stage"](members, target, list(ids), True)]


def _oldest(holders: Any) -> dict[int, int]:
    return {number: -int(found["last_zxid"] or "0x0", 16) for number, found in holders.items()}


def _healthy(*_: object) -> list[object]:
    return []


# What is planted where, what goes wrong, and a seed that shows it.
PLANTED = {
    "the newest data are not the first to run": (PLAN, "_newest_first", lambda *_: [], "leads without", 476),
    "who has the newest data has no vote": (PLAN, "_require_newest_vote", _healthy, "leads without", 999),
    "after a disaster anybody may begin": (PLAN, "_from_what_lives", _all_begin, "leads without", 211),
    "voters change while the old ones do not serve": (PLAN, "_serves", lambda _: True, "leads without", 143),
    "voters change all at once": (PLAN, "_stages", _one_step, "leads without", 143),
    "advice keeps the oldest data": (ONE, "_zxids", _oldest, "leads without", 38),
    "all is well": (vars(zookeeper_hosts.health), "judge", _healthy, "is restarted, though", 1311),
    "ports change all at once": (PLAN["_Ports"], "stages", lambda _, last: [last], "not healthy", 62),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_seen(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, instead, said, seed = PLANTED[planted]
    if isinstance(where, dict):
        monkeypatch.setitem(where, name, instead)
    else:
        monkeypatch.setattr(where, name, instead)
    with pytest.raises(AssertionError, match=said):
        outcome(seed)
