"""Whole runs of the role again, and preflight is the module itself, which reads each host's files.

As in test_zookeeper_whole_runs.py, whatever is drawn: nobody leads who lacks what was acknowledged, no run
leaves fewer servers with the newest data than it found, and what refusals advise leads to the end. Here
hosts may also have another server's disk, data that nobody says whose they are, data in another directory
than the inventory says, and those of an installation before.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.proof.test_zookeeper_whole_runs import NOBODY, Scene
from tests.unit import zookeeper_disks
from tests.unit.zookeeper_disks import Disk
from tests.unit.zookeeper_hosts import Host, RefusedError, Run, majority, plan_of
from tests.unit.zookeeper_role import load, load_file

SEEDS = 100
refusals = load_file("filter/zookeeper_filters.py").zookeeper_refusals
PLAN = plan_of.__globals__
FILTERS = refusals.__globals__
# What the drawn hosts must lead to, or the test says nothing of it.
REFUSALS = (
    "but its data belongs to server",
    "neither zoo.cfg nor",
    "has its data in",
    "set zookeeper_adopt: true to take the data over",
    "older data of its own in",
    "which are as new or newer: set zookeeper_adopt: false",
    "but the plan depends on its data",
    "they may be another ensemble's",
)


@dataclass
class OnDisk(Run):
    """A run that looks at the files."""

    disks: dict[int, Disk] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    found: tuple[int, int] = (0, 0)  # the newest zxid, and how many had it
    old: dict[int, str] = field(default_factory=dict)  # by id where a machine runs that another one replaces

    def look(self, names: list[str], play: list[str]) -> dict[str, dict[str, Any]]:
        """What the module says, and its refusals as preflight of the role joins them."""
        seen = {name: self._seen(self._host(name)) for name in names}
        failed = [name for name in play if "problems" not in seen[name] and "msg" not in seen[name]]
        assert not failed, seen
        left_out = [{"item": name, **found} for name, found in seen.items() if name not in play]
        if problems := refusals(play, {name: {"__zookeeper_found": seen[name]} for name in play}, left_out):
            raise RefusedError(" ".join(problems))
        self.seen, self.found = seen, self._newest()
        return seen

    def _seen(self, host: Host) -> dict[str, Any]:
        runs = [h for h in self.ensemble.hosts.values() if h.running is not None and not h.dead]
        alive = {address for h in runs for address in h.addresses} | {*self.old.values()}
        if host.dead:
            return host.seen()
        answers: Callable[[str], bool] = alive.__contains__
        return self.disks[host.number].look(host, self.members, self.dead, answers)

    def prepare(self, play: list[str]) -> None:
        """What another installation left is copied to where the server has its data."""
        for host in map(self._host, play):
            disk = self.disks[host.number]
            assert not host.log or disk.myid == host.number, "it goes on with the data of another server"
            self._require_one(host)
            if self.seen[host.name]["adopt"]:
                host.log = disk.left if disk.theirs is None else host.log
                disk.theirs = disk.older = disk.left = None  # what is there are copies

    def _require_one(self, host: Host) -> None:
        """Nobody begins while a server with its number runs where others know it."""
        if host.running is not None or host.log is not None:
            return
        found = [where for seen in self.seen.values() for where in seen["servers"].values()]
        known = {where.partition(":")[0] for where in found} - {m["host"] for m in self.members}
        assert self.old.get(host.number) not in known, "two servers have one id"

    def _newest(self) -> tuple[int, int]:
        """How far the newest data of the members go, and how many have them."""
        names = {m["name"] for m in self.members}
        lasts = [h.last for h in self.ensemble.hosts.values() if h.name in names and h.log is not None]
        newest = max(lasts, default=0)
        return newest, lasts.count(newest)

    def _step(self) -> None:
        """At no moment fewer have the newest data that were found: as many as before, or a quorum."""
        super()._step()
        newest, count = self.found
        names = {m["name"] for m in self.members}
        have = [h for h in self.ensemble.hosts.values() if h.name in names and h.log and h.last >= newest]
        assert not newest or len(have) >= min(count, majority(names)), "the newest data are lost"


@dataclass
class Disks(Scene):
    """With a disk in each host."""

    root: Path = Path()
    disks: dict[int, Disk] = field(default_factory=dict)
    old: dict[int, str] = field(default_factory=dict)

    def _running(self, members: list[dict[str, Any]], **how: Any) -> Run:
        for number in self.ensemble.hosts:
            self.disks.setdefault(number, Disk(self.root / f"zk{number}", number))
        if not hasattr(self, "members"):  # their first start, on hosts that have nothing
            return Run(self.ensemble, members, **how)
        return OnDisk(self.ensemble, members, disks=self.disks, old=self.old, **how)

    def _damage(self) -> None:
        super()._damage()
        stopped = [h for h in self.ensemble.hosts.values() if h.log and h.running is None and not h.dead]
        for host in stopped:
            disk = self.disks[host.number]
            kind = self.luck.choice(["swapped", "unknown", "elsewhere", "theirs", "older", "left", *[""] * 4])
            if kind == "swapped":
                self._swap(host, self.luck.choice(stopped))
            if kind == "unknown" and disk.myid == host.number:
                disk.myid, host.config = None, None
            if kind == "elsewhere" and host.config is not None and disk.myid == host.number:
                disk.elsewhere = True
            if kind in ("theirs", "older") and host.config and disk.myid == host.number:
                disk.theirs, host.config = host.config, None
            if kind == "older" and disk.theirs and host.log:
                keep = self.luck.randint(0, len(host.log))
                disk.older = dict(sorted(host.log.items())[:keep])
            if kind == "left" and host.log and disk.myid == host.number and not disk.elsewhere:
                host.config, disk.adopt = None, self.luck.random() < 0.5
                disk.left = dict(sorted(host.log.items())[: self.luck.randint(0, len(host.log) - 1)])
            self.ensemble.tell(f"{host.name} is {kind or 'as it was'}: {disk}")

    def _all_go_down(self) -> list[Host]:
        if any(disk.elsewhere or disk.theirs or disk.older or disk.left for disk in self.disks.values()):
            return []
        return super()._all_go_down()

    def _promise(self) -> None:
        """And, now and then, the machine that another one replaces still runs."""
        super()._promise()
        for host in (self.ensemble.hosts[m["id"]] for m in self.members):
            if host.address.startswith("10.0.1.") and self.luck.random() < 0.5:
                self.old[host.number] = f"10.0.0.{host.number}"
                self.ensemble.tell(f"the old {host.name} runs")

    def _mistake(self) -> None:
        super()._mistake()
        for host in self.ensemble.hosts.values():
            disk = self.disks.get(host.number)
            if disk and host.config is None:  # nothing tells where it had its data
                disk.elsewhere = False
            if disk and host.number == self.stranger:  # its disk is another one
                disk.myid, disk.theirs, disk.older, disk.left = host.number, None, None, None

    def _swap(self, host: Host, other: Host) -> None:
        """Their disks: the data, and whose they are. What the host itself has stays."""
        disks = self.disks[host.number], self.disks[other.number]
        if any(disk.elsewhere or disk.theirs or disk.left or not disk.myid for disk in disks):
            return
        host.log, other.log = other.log, host.log
        disks[0].myid, disks[1].myid = disks[1].myid, disks[0].myid

    # ------------------------------------------------------------ advice

    def _names_the_newest(self, advice: str, members: list[dict[str, Any]]) -> None:
        """Of preflight's texts, too: who is told to move data away knows which are the newest."""
        super()._names_the_newest(advice, members)
        hosts = [self.ensemble.hosts[m["id"]] for m in members if not self.ensemble.hosts[m["id"]].dead]
        for name, last in re.findall(r"zk(\d+) has data of another.*?\(last zxid (0x[0-9a-f]+)\)", advice):
            host, left = self.ensemble.hosts[int(name)], self.disks[int(name)].left
            assert int(last, 16) == max(left if left is not None else host.log or {}, default=0)
            assert host.running is None, "a server that serves is told to give up its data"
        if "move version-2 there" in advice and sum(bool(host.log) for host in hosts) > 1:
            found = re.search(r"Those of zk(\d+) must not be put away", advice)
            assert found, "it is not told which to keep"
            assert self.ensemble.hosts[int(found[1])].last == max(host.last for host in hosts)
            assert all(f"{host.name}: {host.last:#x}, epoch" in advice for host in hosts if host.log)

    def _moved_away(self, host: Host) -> None:
        super()._moved_away(host)
        disk = self.disks[host.number]
        disk.theirs = disk.older = disk.left = None

    def _obey(self, advice: str) -> bool:
        if self._obeys_preflight(advice):
            return True
        return super()._obey(advice)

    def _obeys_preflight(self, advice: str) -> bool:
        hosts = self.ensemble.hosts
        obeyed = False
        running = (
            r"(?:a server (\d+) still runs on|zookeeper_dead names server (\d+) on) "
            r"([^\s,]+), (?:and two servers|but it answers)"
        )
        for moved, left, where in re.findall(running, advice):
            if self.old.get(int(moved or left)) == where:  # it is stopped, as it should have been
                del self.old[int(moved or left)]
                obeyed = True
        for name, number in re.findall(r"zk(\d+) is \d+, but its data belongs to server (\d+): ", advice):
            other = next(n for n, disk in self.disks.items() if disk.myid == int(name))
            assert (
                f"set zookeeper_id back to {number}, or mount the disk of server {name} on zk{name}" in advice
            )
            if hosts[other].running is None:
                self._swap(hosts[int(name)], hosts[other])
                return True
        for number, path in re.findall(r"write (\d+) to (\S+)/myid and run again", advice):
            disk = self.disks[int(number)]
            assert path in (f"{disk.root}/data", str(disk.root / zookeeper_disks.THEIRS))
            disk.myid, obeyed = int(number), True
        for name, path in re.findall(r"but zk(\d+) has its data in (\S+): set it back to", advice):
            disk = self.disks[int(name)]
            assert path == f"{disk.root}/data"
            disk.elsewhere, obeyed = False, True
        for name in re.findall(
            r"zk(\d+) has data of another [^;]*? zookeeper_adopt: true to take the", advice
        ):
            self.disks[int(name)].adopt = obeyed = True
        for name, theirs, own in re.findall(
            r"adopt is true, and zk(\d+) has data of another installation in \S+ \(last zxid (\S+)\); but it "
            r"also has other data in \S+ and \S+ \(last zxid (\S+)\), which are as new or newer: set zoo"
            r"keeper_adopt: false",
            advice,
        ):
            assert int(own, 16) >= int(theirs, 16), "the newer data are passed by"
            self.disks[int(name)].adopt, obeyed = False, True
        pattern = (
            r"zk(\d+) has data of another installation in \S+ \(last zxid (\S+)\), and older data of its own "
            r"in \S+ and \S+ \(last zxid (\S+)\): with these it would go back. Move what is in"
        )
        for name, theirs, own in re.findall(pattern, advice):
            disk = self.disks[int(name)]
            assert int(own, 16) < int(theirs, 16), "the newer data are moved away"
            disk.older, disk.adopt, obeyed = None, True, True
        return obeyed


def outcome(seed: int, root: Path, said: list[str] | None = None) -> str | None:
    """How it ends: a refusal, or None. Raises AssertionError, which tells the story."""
    scene = Disks(random.Random(seed), random.Random(f"luck {seed}"), root=root)  # noqa: S311 - as above
    try:
        ended = scene.follow(scene.play())
        assert ended in (None, NOBODY), f"the advice does not help: {ended}"
    except AssertionError as wrong:
        raise AssertionError("\n".join([f"seed {seed}: {wrong}", *scene.ensemble.story])) from None
    if said is not None:
        said += [text for text in scene.ensemble.story if text.startswith("--- refused")]
    return ended


@pytest.fixture(autouse=True)
def below_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load("zookeeper_rules"), "UNSEEN", ())


def test_no_run_costs_what_was_acknowledged_and_advice_leads_to_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    ends = [outcome(seed, tmp_path / str(seed), said) for seed in range(SEEDS)]
    assert ends.count(None) > SEEDS // 2
    for refusal in REFUSALS:
        assert any(refusal in text for text in said), f"nobody was told: {refusal}"


PREFLIGHT = vars(zookeeper_disks.preflight)
RULES = vars(load("zookeeper_rules"))


def _snapshots_alone(_: object) -> Any:
    return load("zookeeper_history").History(0, {})


def _nothing(*_: object) -> list[str]:
    return []


NOT_TOLD = r"assert 'server \d+: "  # how far its data go
# What is planted where, what goes wrong, and a seed that shows it.
PLANTED = {
    "the data of another server are taken for its own": (RULES, "_id_problems", _nothing, "of another", 6),
    "newer data of another installation are passed by": (RULES, "_newer_problems", _nothing, NOT_TOLD, 25),
    "logs are not read": (PREFLIGHT, "read_history", _snapshots_alone, NOT_TOLD, 0),
    "newer data of its own are written over": (PREFLIGHT, "are_copies", lambda *_: True, NOT_TOLD, 9),
    "a new machine begins while the old one runs": (
        PLAN,
        "_require_one_of_each",
        _nothing,
        "two servers have one id",
        35,
    ),
    "which to keep is not told": (FILTERS, "_farthest", _nothing, "it is not told which to keep", 12),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_seen(planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, instead, wrong, seed = PLANTED[planted]
    monkeypatch.setitem(where, name, instead)
    with pytest.raises(AssertionError, match=wrong):
        outcome(seed, tmp_path)
