"""Which workers hold which shards: even, spread over the values of a label, and with few moves.

1. Spread. Every shard has its replicas on workers with different values of the label, its domains. If there
   are fewer values than replicas, every domain gets nearly the same number of them, and no worker gets two.
2. Targets. Each domain gets a part of all replicas by its number of workers, as far as the spread allows, and
   each of its workers the same part of that. Rounding favours who has more now.
3. Keep. What is legal stays. A shard gives up a replica only if it has too many, in all or in one domain, or
   if a domain or a worker has more than its target.
4. Fill. Each missing replica goes where there is the most room, of the places that the shard may have: first
   the domain is chosen, then the worker in it.
5. Exchange. Where nobody with room may have a replica, others make place, along the shortest chain of legal
   moves. There is one, because the targets can be met: nothing stalls.
6. Primaries. A primary that is still there stays. One that is gone is followed by a replica that was there
   before. Then workers with more primaries than others pass them on (mwapp/core/shards/primaries.py).

3 to 5 are done twice, for the domains and then for the workers in them (mwapp/core/shards/level.py). That is
quick; the two together may cost some moves more than the fewest there are. In thousands of random cases of up
to 4 workers and 6 shards it was 1 more in 1 of 100, 2 more in 1 of 10,000, and never 3. The targets are met
exactly, so a placement that meets them is left as it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from mwapp.core.shards.level import Givers, Level, holders
from mwapp.core.shards.primaries import Primaries


class Shortfall(NamedTuple):
    """What a table asks for that its workers do not allow."""

    replicas: int  # that each shard has instead
    values: int  # of the label, on which they are
    why: str


def shortfall(workers: Mapping[str, str], replicas: int, label: str = "") -> Shortfall | None:
    """What :func:`place` cannot honour, for a warning. None: it honours all. ``label``: what it is spread
    over."""
    domains = set(_domains(workers))
    can, values = min(replicas, len(workers)), min(replicas, len(domains))
    if can < replicas:
        why = f"each shard has {can} of {replicas} replicas: there are {len(workers)} workers"
    elif values < replicas:
        its = f"the label {label} has {len(domains)} values"
        why = f"{replicas} replicas of each shard are in {values} places: {its}"
    elif label and replicas > 1 and workers and not any(workers.values()):
        why = f"no worker has the label {label}, so replicas are not spread over it"
        values = 0
    else:
        return None
    return Shortfall(can, values, why)


def place(
    old: Mapping[int, tuple[str, ...]], workers: Mapping[str, str], replicas: int, *, salt: str = ""
) -> dict[int, tuple[str, ...]]:
    """Who is to hold each shard: names of workers, the primary first.

    ``old`` says who holds it now, the primary first. ``workers`` are those that are there, each with its
    value of the label ("": it is a place of its own). ``salt`` decides who gets more where numbers are
    uneven: with the names of their tables, small tables are not all on the same workers.
    """
    shards = sorted(old)
    if not workers or replicas < 1:
        return dict.fromkeys(shards, ())
    return _Plan([old[shard] for shard in shards], workers, replicas, salt).result(shards)


def fewest_moves(old: Mapping[int, tuple[str, ...]], new: Mapping[int, tuple[str, ...]]) -> int:
    """How many replicas must be made at least, so that each worker has as many as in ``new``: those that are
    missing, and those that a worker has too many. What the spread demands comes on top."""
    load = _counted(chain.from_iterable(set(names) for names in old.values()))
    target = _counted(chain.from_iterable(new.values()))
    return sum(max(0, count - load.get(name, 0)) for name, count in target.items())


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _domains(workers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The domain of each worker: the value of its label, or itself."""
    return [(value, "") if value else ("", name) for name, value in workers.items()]


class _Plan:
    """One placement. Workers and domains are numbers in it, and so are the shards."""

    def __init__(
        self, old: Sequence[Sequence[str]], workers: Mapping[str, str], replicas: int, salt: str
    ) -> None:
        self._old = old
        self._names = sorted(workers, key=lambda name: (crc32(f"{salt} {name}".encode()), name))
        kinds = _domains({name: workers[name] for name in self._names})
        number = {kind: index for index, kind in enumerate(dict.fromkeys(kinds))}
        self._domain = [number[kind] for kind in kinds]  # of each worker
        self._members: list[list[int]] = [[] for _ in number]
        for worker, domain in enumerate(self._domain):
            self._members[domain].append(worker)
        self._replicas = min(replicas, len(workers))
        # Of each domain a shard has so many workers, and of those in `more` one besides, or not.
        sizes = [len(members) for members in self._members]
        enough = (n for n in range(1, replicas + 1) if sum(min(n, s) for s in sizes) >= self._replicas)
        most = next(enough)
        self._least = [min(size, most - 1) for size in sizes]
        self._more = [size >= most for size in sizes]
        self._free = self._replicas - sum(self._least)  # so many have one more
        self._needed = [domain for domain, least in enumerate(self._least) if least]
        worker_of = {name: index for index, name in enumerate(self._names)}
        living = ([worker_of[name] for name in row if name in worker_of] for row in old)
        self._rows = [list(dict.fromkeys(row)) for row in living]
        # Those that are still there.
        self._primaries = [worker_of.get(row[0], -1) if row else -1 for row in old]
        self._load = [0] * len(self._names)
        for row in self._rows:
            for worker in row:
                self._load[worker] += 1
        self._set_targets(sizes)

    def result(self, shards: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """The whole placement."""
        self._trim()
        self._settle_domains()
        self._settle_workers()
        old = [
            primary if primary in row else -1
            for primary, row in zip(self._primaries, self._rows, strict=True)
        ]
        primaries = Primaries(self._rows, old, self._survivors, len(self._names)).chosen()
        names = self._names
        placed = {}
        for shard, row, primary in zip(shards, self._rows, primaries, strict=True):
            if row[0] != primary:
                row.remove(primary)
                row.insert(0, primary)
            placed[shard] = tuple([names[worker] for worker in row])
        return placed

    # ---------------------------------------------------------------- targets

    def _set_targets(self, sizes: Sequence[int]) -> None:
        """How many replicas each domain and each worker is to have."""
        shards = len(self._rows)
        low = [least * shards for least in self._least]
        high = [(least + more) * shards for least, more in zip(self._least, self._more, strict=True)]
        self._domain_target, uneven = _shares(self._replicas * shards, sizes, low, high)
        extra = self._replicas * shards - sum(self._domain_target)
        gain = {domain: self._kept(domain, 1) - self._kept(domain, 0) for domain in uneven}
        for domain in sorted(uneven, key=lambda domain: (-gain[domain], domain))[:extra]:
            self._domain_target[domain] += 1
        self._target = [0] * len(self._names)
        for domain, members in enumerate(self._members):
            each, extra = divmod(self._domain_target[domain], len(members))
            by_load = sorted(members, key=lambda worker: (-self._load[worker], worker))
            for place, worker in enumerate(by_load):
                self._target[worker] = each + (place < extra)

    def _kept(self, domain: int, more: int) -> int:
        """How many replicas may stay in the domain at most if its target were so many more."""
        members = self._members[domain]
        each, extra = divmod(self._domain_target[domain] + more, len(members))
        above = sum(self._load[worker] > each for worker in members)
        return sum(min(self._load[worker], each) for worker in members) + min(extra, above)

    def _surplus(self, worker: int) -> int:
        return self._load[worker] - self._target[worker]

    def _trim(self) -> None:
        """Shards with too many replicas give up some: of domains and workers that have too many, and the
        primary last."""
        level = Level(self._rows, self._load, self._target, [0] * len(self._load), self._primaries)
        for number, row in enumerate(self._rows):
            while len(row) > self._replicas:
                level.give_up(number, max(row, key=lambda worker: self._dispensable(number, worker)))
        level.take_back(self._may_replace)

    def _dispensable(self, number: int, worker: int) -> tuple[int, ...]:
        domain = self._domain[worker]
        count = self._in_domain(number, domain)
        least = self._least[domain]
        too_many = (count > least + self._more[domain]) + (count > least)
        return too_many, worker != self._primaries[number], self._surplus(worker)

    def _in_domain(self, number: int, domain: int) -> int:
        return sum(self._domain[worker] == domain for worker in self._rows[number])

    def _may_replace(self, number: int, worker: int, other: int) -> bool:
        """Whether the spread lets the shard have the other instead."""
        mine, its = self._domain[worker], self._domain[other]
        if mine == its:
            return True
        most = self._least[its] + self._more[its]
        return self._in_domain(number, mine) > self._least[mine] and self._in_domain(number, its) < most

    # ---------------------------------------------------------------- domains

    def _settle_domains(self) -> None:
        """Which domains have one more than the least, for each shard."""
        shards = len(self._rows)
        target = [
            total - least * shards for total, least in zip(self._domain_target, self._least, strict=True)
        ]
        count = [0] * len(target)
        rows = list(map(self._domains_of, self._rows))
        for row in rows:
            for domain in row:
                count[domain] += 1
        primaries = [self._domain[primary] if primary >= 0 else -1 for primary in self._primaries]
        level = Level(rows, count, target, [0] * len(target), primaries)
        free = self._free
        for number, row in enumerate(rows):
            while len(row) > free:
                level.give_up(number, max(row, key=lambda domain: self._weight(number, domain, level)))
            for _ in range(len(row), free):
                level.missing.append((number, 0))
        level.settle(self._givers)
        self._chosen = rows

    def _domains_of(self, row: Sequence[int]) -> list[int]:
        """Those in which a shard has more than the least."""
        domain = self._domain
        held = [domain[worker] for worker in row]
        return [d for d in dict.fromkeys(held) if self._more[d] and held.count(d) > self._least[d]]

    def _weight(self, number: int, domain: int, level: Level) -> tuple[int, ...]:
        """The heaviest is given up where a shard has too many domains."""
        surplus = max(
            self._surplus(worker) for worker in self._rows[number] if self._domain[worker] == domain
        )
        over = level.surplus(domain)
        return level.fixed[number] != domain, (over > 0) + (surplus > 0), over, surplus

    def _givers(self, over: Sequence[int]) -> Givers:
        """Who gives up shards in domains that have too many: workers that have too many."""
        members = [worker for domain in over for worker in self._members[domain]]
        theirs = holders(self._rows, members, self._primaries)
        for worker in members:
            yield self._domain[worker], self._surplus(worker), theirs[worker]
        for worker in members:
            yield self._domain[worker], len(theirs[worker]), theirs[worker]

    # ---------------------------------------------------------------- workers

    def _settle_workers(self) -> None:
        """Which workers have the shard, of the domains that have it."""
        level = Level(self._rows, self._load, self._target, self._domain, self._primaries)
        domain = self._domain
        for number, row in enumerate(self._rows):
            held = [domain[worker] for worker in row]
            chosen = self._chosen[number]
            if not self._needed and set(held) == set(chosen):
                continue
            for index in dict.fromkeys([*held, *self._needed, *chosen]):
                goal, has = self._least[index] + (index in chosen), held.count(index)
                level.missing += [(number, index)] * (goal - has)
                for _ in range(goal, has):
                    mine = [worker for worker in row if domain[worker] == index]
                    most = max(
                        mine, key=lambda worker: (worker != self._primaries[number], self._surplus(worker))
                    )
                    level.give_up(number, most, for_good=not goal)
        level.settle(self._workers_over)

    def _workers_over(self, over: Sequence[int]) -> Givers:
        """Workers that have too many give up shards."""
        for worker, numbers in holders(self._rows, over, self._primaries).items():
            yield worker, len(numbers), numbers

    # ---------------------------------------------------------------- primaries

    def _survivors(self, number: int) -> list[int]:
        """Who holds the shard, and held it before."""
        before = self._old[number]
        return [worker for worker in self._rows[number] if self._names[worker] in before]


def _shares(
    total: int, sizes: Sequence[int], low: Sequence[int], high: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Parts of the total by the sizes, within the bounds, rounded down; and which of them were not whole."""
    parts: dict[int, int] = {}
    while True:
        free = [index for index in range(len(sizes)) if index not in parts]
        weight, rest = sum(sizes[index] for index in free), total - sum(parts.values())
        below = {i: low[i] * weight - rest * sizes[i] for i in free if low[i] * weight > rest * sizes[i]}
        above = {i: rest * sizes[i] - high[i] * weight for i in free if high[i] * weight < rest * sizes[i]}
        if not below and not above:
            break
        excess = sum(below.values()) - sum(above.values())
        if excess >= 0:
            parts.update({index: low[index] for index in below})
        if excess <= 0:
            parts.update({index: high[index] for index in above})
    uneven = [index for index in free if rest * sizes[index] % weight]
    parts.update({index: rest * sizes[index] // weight for index in free})
    return [parts[index] for index in range(len(sizes))], uneven
