"""Simulated hosts with ZooKeeper servers, and runs of the role on them: its own plan, gate and order.

What servers do is ZooKeeper's way in short: who is elected, whom others follow, who has which transactions.
Where ZooKeeper's choice depends on timing, chance takes it. The tasks of the role are `Run`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any

from tests.unit.zookeeper_role import ROLE, load, load_file

# What the refusal of an ensemble that is not healthy says of members that --limit leaves out.
(EXCLUDED,) = re.findall(
    r"Members excluded by --limit.*?\.", (ROLE / "templates/unhealthy.txt.j2").read_text(), re.DOTALL
)

plan_of = load_file("filter/zookeeper_voter_stages.py").zookeeper_voter_stages
health = load("zookeeper_health")
order, rules = load("zookeeper_restart_order"), load("zookeeper_rules")
# Of a line of zoo.cfg: the same few are asked about all the time.
server_address = cache(load("zookeeper_zoo_cfg").server_address)

EPOCH = 1 << 32
PORTS = (2888, 3888)
Config = dict[int, str]  # by id the line of each member, as zoo.cfg has it
Log = dict[int, int]  # by zxid the checksum of a transaction


class LostError(AssertionError):
    """A server leads that lacks what was acknowledged, or a restart takes the quorum away."""


class CutError(Exception):
    """The run is broken off."""


class RefusedError(Exception):
    """The run has ended with a message."""


@dataclass
class Host:
    """A machine and what is on it. ``log`` is None without data; ``running`` is what it was started with."""

    number: int
    address: str
    log: Log | None = None
    config: Config | None = None  # on disk
    running: Config | None = None
    marker: bool = False
    dead: bool = False
    hidden: bool = False  # it does what it did, but nobody can log in
    snapshot: int = -1  # up to here it has no log
    damaged: str = ""  # a log of which ``log`` has only what can be read: the server does not start
    enabled: bool = False  # its unit is
    unmounted: Log | None = None  # what is on its disk while that is not mounted
    names: set[str] = field(default_factory=set)  # under which it is found besides the address

    @property
    def name(self) -> str:
        return f"zk{self.number}"

    @property
    def addresses(self) -> set[str]:
        """Where others find it."""
        return {self.address, *self.names}

    @property
    def last(self) -> int:
        return max(self.log or {}, default=0)

    @property
    def view(self) -> Config:
        """The members it goes by."""
        return self.running or {self.number: line(self.address)}

    @property
    def voters(self) -> frozenset[int]:
        return voters(self.view)

    def seen(self) -> dict[str, Any]:
        """What zookeeper_preflight tells of it."""
        if self.dead or self.hidden:
            return {"msg": "unreachable"}
        config = self.running if self.running is not None else self.config
        return {
            "data": self.log is not None,
            "marker": self.marker,
            "servers": {str(n): where for n, where in (config or {}).items()},
            "unit": {"running": self.running is not None, "enabled": self.enabled},
            "last_zxid": f"{self.last:#x}" if self.log is not None else None,
            "damaged": self.damaged,
            "trail": {f"{zxid:#x}": c for zxid, c in (self.log or {}).items() if zxid > self.snapshot},
            "times": self._times(),
            "configured": config is not None,
            "addresses": sorted(self.addresses),
        }

    def _times(self) -> dict[str, int]:
        """Of the transactions in its log, or else of some that its snapshot tells."""
        log = self.log or {}
        made = {zxid: c for zxid, c in log.items() if zxid > self.snapshot} or {
            zxid: c for zxid, c in log.items() if c % 3
        }
        return {f"{zxid:#x}": checksum for zxid, checksum in made.items()}


def line(address: str, ports: tuple[int, int] = PORTS, *, observer: bool = False) -> str:
    return f"{address}:{ports[0]}:{ports[1]}{':observer' if observer else ''}"


def voters(config: Config) -> frozenset[int]:
    return frozenset(n for n, where in config.items() if not where.endswith(":observer"))


def majority(ids: Iterable[int]) -> int:
    return len(list(ids)) // 2 + 1


@dataclass
class Ensemble:
    """The hosts, who leads, and what was acknowledged."""

    hosts: dict[int, Host]
    chance: random.Random
    leader: int | None = None
    following: set[int] = field(default_factory=set)
    acknowledged: Log = field(default_factory=dict)
    story: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        self.story.append(text)

    # ------------------------------------------------------------ what servers do

    def _up(self) -> dict[int, Host]:
        return {
            n: host
            for n, host in self.hosts.items()
            if host.running is not None and not (host.dead or host.damaged)
        }

    def _finds(self, one: Host, other: Host) -> bool:
        """Whether it looks for the other where that listens."""
        mine, own = one.view.get(other.number), other.view.get(other.number)
        if not (mine and own):
            return False
        address, *ports = server_address(mine)
        return address in other.addresses and ports == [*server_address(own)[1:]]

    def _hear(self, a: Host, b: Host) -> bool:
        """Whether they count each other's votes: one finds the other, which is told where the first is."""
        known = a.number in b.view and b.number in a.view
        return a is b or (known and (self._finds(a, b) or self._finds(b, a)))

    def _may_vote(self, host: Host) -> bool:
        return host.number in host.voters and (host.log is not None or host.marker)

    def _elects(self, leader: Host, group: tuple[Host, ...]) -> bool:
        """Whether these servers, all of which hear each other, can make one of them their leader."""
        ids = frozenset(host.number for host in group)
        last, followers = leader.last, leader.voters
        return (
            all(host.last <= last for host in group)
            and all(len(ids & voters) >= majority(voters) for voters in (host.voters for host in group))
            and all(
                host is leader or (host.number in followers and self._finds(host, leader)) for host in group
            )
        )

    def settle(self) -> None:
        """Let servers elect, follow and write, until nothing changes any more."""
        up = self._up()
        self.following &= up.keys()
        if self.leader not in up or not self._holds(up):
            self.leader, self.following = None, set()
            electorate = [host for host in up.values() if self._may_vote(host)]
            numbers = range(len(electorate))
            hear = {(a, b) for a, b in combinations(numbers, 2) if self._hear(electorate[a], electorate[b])}
            groups = [
                (leader, group)
                for size in range(1, len(electorate) + 1)
                for some in combinations(numbers, size)
                if hear.issuperset(combinations(some, 2))
                for group in [tuple(electorate[n] for n in some)]
                for leader in group
                if self._elects(leader, group)
            ]
            if not groups:
                return
            leader, group = self.chance.choice(groups)
            self._lead(leader, group)
        self._write(self.chance.randint(0, 2))
        while joined := [host for n, host in up.items() if n not in self._members() and self._joins(host)]:
            for host in joined:
                self._follow(host)
        self._write(self.chance.randint(0, 1))

    def _members(self) -> set[int]:
        return self.following | ({self.leader} if self.leader else set())

    def _holds(self, up: Mapping[int, Host]) -> bool:
        assert self.leader
        own = up[self.leader].voters
        return len(own & self._members()) >= majority(own)

    def _lead(self, leader: Host, group: tuple[Host, ...]) -> None:
        missing = {z: c for z, c in self.acknowledged.items() if (leader.log or {}).get(z) != c}
        self.tell(f"{leader.name} leads, with {', '.join(host.name for host in group)}")
        if missing:
            raise LostError(f"{leader.name} leads without {sorted(map(hex, missing))}")
        self.leader = leader.number
        leader.log = leader.log or {}
        leader.marker = False
        for host in group:
            if host is not leader:
                self._follow(host)
        self._epoch = leader.last // EPOCH + 1
        self._counter = 0

    def _joins(self, host: Host) -> bool:
        assert self.leader
        leader = self.hosts[self.leader]
        known = len(host.voters & (self._members() | {host.number})) >= majority(host.voters)
        return known and self._finds(host, leader) and self.leader in host.voters

    def _follow(self, host: Host) -> None:
        assert self.leader
        host.log, host.marker = dict(self.hosts[self.leader].log or {}), False
        self.following.add(host.number)

    def _write(self, count: int) -> None:
        """Transactions that just a majority has, and that are acknowledged."""
        if self.leader is None:
            return
        leader = self.hosts[self.leader]
        others = [n for n in leader.voters & self.following if n in self.hosts]
        for _ in range(count):
            self._counter += 1
            zxid, checksum = self._epoch * EPOCH + self._counter, self.chance.getrandbits(32)
            acks = [leader, *(self.hosts[n] for n in others)]
            for host in acks:
                assert host.log is not None
                host.log[zxid] = checksum
            self.acknowledged[zxid] = checksum

    def start(self, host: Host) -> None:
        host.running, host.enabled = dict(host.config or {}), True
        self.tell(f"{host.name} starts with {host.running}")

    def stop(self, host: Host) -> None:
        host.running = None
        self.following.discard(host.number)
        if self.leader == host.number:
            self.leader, self.following = None, set()

    def links(self, host: Host) -> list[tuple[str, str]]:
        """Its connections with its leader, or its followers: its end, and the other."""
        if self.leader is None or host.number not in self._members() or host.dead or host.hidden:
            return []
        leader = self.hosts[self.leader]
        port = server_address(leader.view[leader.number])[1]
        ends = {
            n: (f"{self.hosts[n].address}:{50000 + n}", f"{leader.address}:{port}") for n in self.following
        }
        if host is leader:
            return [(there, here) for here, there in ends.values()]
        return [ends[host.number]]

    def can_spare(self, host: Host, members: list[Host]) -> None:
        """Those that stay are a quorum; or, as after losses, all that are left of it serve."""
        if self.leader is None or host.number not in self._members():
            return
        own = self.hosts[self.leader].voters
        rest = own & self._members() - {host.number}
        away = [one.name for one in members if one.number in own and one.number not in self._members()]
        if host.number in own and len(rest) < majority(own) and away:
            raise LostError(f"{host.name} is restarted, though {' and '.join(away)} do not serve")

    def state(self, number: int) -> Any:
        """What a server says to srvr and mntr."""
        host = self.hosts[number]
        if host.running is None or host.dead:
            return health.State(reachable=False, error="Connection refused")
        if not host.running and number == self.leader:
            return health.State(reachable=True, mode="standalone")
        if number == self.leader:
            synced = len(host.voters & self.following)
            rest = len(self.following) - synced
            return health.State(reachable=True, mode="leader", synced_followers=synced, synced_others=rest)
        if number in self.following:
            mode = "follower" if number in host.voters else "observer"
            return health.State(reachable=True, mode=mode)
        return health.State(reachable=True)


@dataclass
class Run:
    """One run of zookeeper.yml. ``steps``: so many tasks on hosts until it is broken off."""

    ensemble: Ensemble
    members: list[dict[str, Any]]
    steps: int = 1 << 30
    limit: frozenset[str] = frozenset()
    dead: str = ""
    disaster: bool = False

    def play(self) -> None:
        """Raises RefusedError, CutError."""
        names = [m["name"] for m in self.members]
        play = [name for name in names if not self.limit or name in self.limit]
        for name in play:
            if self._host(name).dead or self._host(name).hidden:
                raise RefusedError(f"{name} cannot be reached. If it is lost for good, give its zookeeper_id")
        self._require_dead(play)
        seen = self.look(names, play)
        plan = plan_of(self.members, seen, play, self.dead, self.disaster)
        if plan["problems"]:
            raise RefusedError("".join(plan["problems"]))
        if self.disaster:  # what only the dead have is given up
            named = {*self.dead.split(",")}
            left = [h for h in self.ensemble.hosts.values() if not (h.dead or h.addresses & named)]
            kept = max((h.log or {} for h in left), key=lambda log: max(log, default=0), default={})
            lost = {z for z, c in self.ensemble.acknowledged.items() if kept.get(z) != c}
            for zxid in lost:
                del self.ensemble.acknowledged[zxid]
        self.prepare(play)
        for stage in plan["stages"]:
            self._stage(stage, plan["new"], [name for name in play if name in stage["hosts"]])

    def look(self, names: list[str], play: list[str]) -> dict[str, dict[str, Any]]:
        """What preflight tells of each. Raises RefusedError if it has something against one of ``play``."""
        assert set(play) <= set(names)
        hosts = {name: self._host(name) for name in names}
        return {name: host.seen() | {"links": self.ensemble.links(host)} for name, host in hosts.items()}

    def prepare(self, play: list[str]) -> None:
        """What is done before any server is set up."""

    def _require_dead(self, play: list[str]) -> None:
        """What preflight says of zookeeper_dead: by the zoo.cfg of each host, who answers where that says."""
        alive = {
            address
            for h in self.ensemble.hosts.values()
            if h.running is not None and not h.dead
            for address in h.addresses
        }
        wrong = [
            f"{number} on {server_address(where)[0]}"
            for name in play
            for number, where in (self._host(name).running or self._host(name).config or {}).items()
            if server_address(where)[0] in alive.intersection(self.dead.split(","))
        ]
        if problems := rules.alive_problems(sorted(set(wrong))):
            raise RefusedError(" ".join(problems))

    def _host(self, name: str) -> Host:
        return next(host for host in self.ensemble.hosts.values() if host.name == name)

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise CutError

    def _stage(self, stage: dict[str, Any], new: bool, hosts: list[str]) -> None:
        """tasks/_stage.yml: configure, hold back what a server that runs reads; start what does not run."""
        wanted = self._config(stage)
        pending = []
        for name in hosts:
            host = self._host(name)
            if host.running is not None:
                if host.running != wanted or host.config != wanted:
                    pending.append(name)
                continue
            self._step()
            host.config = wanted
            if new:
                host.marker = True
        for name in hosts:
            host = self._host(name)
            if host.running is None:
                self._step()
                self.ensemble.start(host)
                if self.ensemble.chance.random() < 0.5:
                    self.ensemble.settle()
        gate = self._health(stage, pending, may_idle=True)
        if isinstance(gate, list):
            pending = gate
        while pending:
            self._restart(stage, [pending.pop(0)])
            pending = self._health(stage, pending)

    def _config(self, stage: dict[str, Any]) -> Config:
        if len(stage["members"]) == 1:
            return {}
        return {
            int(m["id"]): line(m["host"], (m["quorum_port"], m["election_port"]), observer=m["observer"])
            for m in stage["members"]
        }

    def _restart(self, stage: dict[str, Any], names: list[str]) -> None:
        """tasks/_restart.yml, on these hosts side by side"""
        hosts = [self._host(name) for name in names]
        for host in hosts:
            self._step()
            host.config = self._config(stage)
        for host in hosts:
            self._step()
            if not stage["changing"]:  # a change among two or three takes seconds, and says so
                self.ensemble.can_spare(host, [self._host(m["name"]) for m in self.members])
            self.ensemble.stop(host)
        for host in hosts:
            if self.ensemble.chance.random() < 0.5:
                self.ensemble.settle()
            self.ensemble.start(host)

    def _health(self, stage: dict[str, Any], pending: list[str], *, may_idle: bool = False) -> list[str]:
        """tasks/_health.yml and _idle.yml: what is left to restart, in order. Raises RefusedError."""
        self.ensemble.settle()
        members = [health.Member(m["name"], m["host"], 2181, bool(m["observer"])) for m in stage["asked"]]
        states = {
            m.name: self.ensemble.state(self._host(m.name).number)
            if m.host in self._host(m.name).addresses
            else health.State(reachable=False, error="No route to host")
            for m in members
        }
        due, changing = set(pending), bool(pending) and stage["changing"]
        found = health.judge_change(members, states, due) if changing else health.judge(members, states)
        rolling: list[str] = order.rolling(
            members, states, due, changing=changing, first=stage.get("first", "")
        )
        if not found:
            return rolling
        idle = order.idle(members, states, due, changing=changing)
        if not may_idle or not idle:
            raise RefusedError("not healthy: " + "; ".join(p.text for p in found) + f". {EXCLUDED}")
        self._restart(stage, idle)
        return self._health(stage, rolling)


def trials(most: int, chance: random.Random) -> Iterator[int]:
    """After how many tasks runs are broken off; the last ones are not."""
    for _ in range(chance.randint(0, most)):
        yield chance.randint(0, 25)
    yield from [1 << 30] * 3
