"""A person who works by hand where the shards are: deletes, creates and sets any of their znodes.

Drawn from a separate stream, in some of the schedules; each act is an ingredient. In the end the person sets
right, or deletes, what docs/shards.md says that a person has to.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mwapp.core.messages import Create, Delete, Set
from mwapp.core.protocol import assign_path
from mwapp.core.shards.protocol import (
    DELETE,
    DRAINS,
    HOLDERS,
    MOVES,
    TABLES,
    BadTableError,
    Report,
    decode_page,
    decode_table,
    drain_path,
    encode_page,
    holder_path,
    table_path,
    unfit,
)
from tests.simulation.hands import DEAD
from tests.simulation.world import Chance

if TYPE_CHECKING:
    from tests.simulation.shards.schedule import ShardSchedule

# The share of schedules with a person who works by hand.
SHARE = 0.4
# The person looks again after so many seconds of peace: what was on its way may be there now.
LOOKS_AGAIN = (0.0, 1.0, 3.0, 6.0, 10.0)
GARBAGE = (b"", b"x", b"{", b"[]", b"\xff", b"null", b'{"0": 1}', b'{"shards": {}}', b"[" * 2000)
# What a person may get wrong in a table's settings.
SETTINGS = (
    *(b"{}", b'{"shards":0}', b'{"shards":true}', b'{"shards":"5"}', b'{"shards":100000,"page":1}'),
    *(b'{"shards":5,"grace":-1}', b'{"shards":5,"grace":"1"}', b'{"shards":5,"spread":1}'),
    *(b'{"shards":5,"spread":"\\ud800"}', b'{"shards":5,"shared":1}', b'{"shards":5,"colour":"red"}'),
    b'{"shards":5,"handler":"copies","command":"serve"}',
)
# What a page may say of a shard that is wrong: the first becomes the second.
MISTAKES = (
    *((b'"sync"', b'"sunk"'), (b'"0":', b'"zero":'), (b'"generation":', b'"generation":-')),
    *((b'"generation":', b'"generation":true,"was":'), (b'"primary":"', b'"primary":"not-')),
    *((b'"members":', b'"members":[],"were":'), (b'"members":', b'"men":')),
    *((b'"primary":', b'"target":["w1","w1"],"primary":'), (b'"primary":', b'"target":1,"primary":')),
)
NOBODYS = "ghost"  # no worker has this name


class Hands:
    """A person at zkCli.sh who knows no rules."""

    def __init__(self, schedule: "ShardSchedule") -> None:
        self._schedule = schedule
        self._world, self._person = schedule.world, schedule.person
        self._draw: Chance = schedule.world  # of the current act
        self._kinds: list[Callable[[], None]] = []
        self._in_the_way: list[str] = []  # what must go before peace
        self._spoilt: dict[str, tuple[bytes, bytes]] = {}  # what the person wrote, and what was there
        self.met: Counter[str] = Counter()

    def begin(self, seconds: float) -> None:
        """Draw whether, what and when."""
        draw = self._world.stream("hands")
        every = [
            *(self.spoil_table, self.spoil_page, self.raise_generation),
            *(self.lose_page, self.lose_table, self.lose_parent, self.undelete),
            *(self.lose_holder, self.spoil_holder, self.occupy_holder, self.spoil_registration),
            *(self.misplace, self.withdraw, self.litter, self.invent_table),
        ]
        only = self._schedule.bug.faults if self._schedule.planted.faults else ()
        self._kinds = [kind for kind in every if kind.__name__ in only]
        if not only and draw.chance(SHARE):
            self._kinds = draw.random.sample(every, draw.random.choice([1, 2, 4, len(every)]))
        if self._kinds:
            for _ in range(draw.random.choice([1, 2, 4, 8])):
                self._world.after(draw.random.random() * seconds, self._act)

    def end(self) -> None:
        """Mend what the shards' own processes leave alone."""
        acted, self._kinds = bool(self._kinds), []
        for seconds in LOOKS_AGAIN if acted else ():
            self._world.after(seconds, self._mend)

    def _act(self) -> None:
        draw = self._world.ingredient() if self._kinds else None
        if draw is not None:
            self._draw = draw
            kind = draw.random.choice(self._kinds)
            self.met[kind.__name__] += 1
            kind()

    # ------------------------------------------------------------ tables and pages

    def spoil_table(self) -> None:
        """Set a table's znode to what cannot be, or to what it cannot become."""
        path = self._some(self._tables())
        if path is None:
            return
        name = path.rpartition("/")[2]
        try:
            table = decode_table(name, self._person.nodes[path].data)
        except BadTableError:
            return
        kinds = [SETTINGS, SETTINGS, GARBAGE]
        if table is not None and self._pages(name):  # that are made for what it said
            kinds += [
                (replace(table, shards=1).encode(), replace(table, page=1 + table.page % 4).encode())
            ] * 3
        self._spoil(path, self._draw.random.choice(self._draw.random.choice(kinds)))

    def spoil_page(self) -> None:
        """Set a page to what is none."""
        path = self._some(self._pages())
        if path is None or decode_page(self._person.nodes[path].data) is None:
            return
        said = self._person.nodes[path].data
        bad = [said.replace(right, wrong, 1) for right, wrong in MISTAKES]
        bad = [data for data in bad if decode_page(data) is None]
        self._spoil(path, self._draw.random.choice([*bad, *GARBAGE[:6]]))

    def _spoil(self, path: str, bad: bytes) -> None:
        before = self._person.nodes[path].data
        self._person.do(Set(path, bad))
        self._spoilt.setdefault(path, (bad, before))
        if self._draw.chance(0.5):
            self._world.after(self._draw.between(0.1, 4.0), partial(self._set_right, path))

    def _set_right(self, path: str) -> None:
        """Unless somebody else has, or it is gone."""
        bad, before = self._spoilt.get(path, (b"", b""))
        node = self._person.nodes.get(path)
        if node is not None and node.data == bad != before:
            self._person.do(Set(path, before))
        if path in self._spoilt and (node is None or node.data != bad):
            del self._spoilt[path]

    def raise_generation(self) -> None:
        """Have the owner of a shard begin anew."""
        path = self._some(self._pages())
        records = decode_page(self._person.nodes[path].data) if path is not None else None
        if path is not None and records:
            shard = self._draw.random.choice(sorted(records))
            raised = replace(records[shard], generation=records[shard].generation + 1)
            self._person.do(Set(path, encode_page(records | {shard: raised})))

    def lose_page(self) -> None:
        """Delete a page."""
        path = self._some(self._pages())
        if path is not None:
            self._delete_all(path)

    def lose_table(self) -> None:
        """Delete a table and its pages, and perhaps make it again at once."""
        path = self._some(self._tables())
        if path is not None:
            data = self._person.nodes[path].data
            self._delete_all(path)
            if self._draw.chance(0.3):
                self._person.do(Create(path, data))

    def undelete(self) -> None:
        """Have a table deleted, and think better of it."""
        path = self._some(self._tables())
        if path is not None:
            again = Set(path, self._person.nodes[path].data)
            self._person.do(Set(path, DELETE.encode()))
            self._world.after(self._draw.between(0.0, 1.0), partial(self._person.do, again))
            self._world.after(2.0, partial(self._schedule.make_again, path.rpartition("/")[2]))

    def lose_parent(self) -> None:
        """Delete one of the parents, with everything below it, or only if it is empty."""
        path = self._draw.random.choice([TABLES, HOLDERS, MOVES, DRAINS])
        if self._draw.chance(0.5):
            self._delete_all(path)
        else:
            self._person.do(Delete(path))

    def invent_table(self) -> None:
        """Make a table that cannot be."""
        path = self._draw.random.choice([f"{TABLES}/a name", table_path("odd")])
        said = self._draw.random.choice([b'{"shards":2}', b"date", DELETE.encode()])
        if path != f"{TABLES}/a name" and said.startswith(b"{"):
            said = b'{"shards":"two"}'
        self._person.do(Set(path, said) if path in self._person.nodes else Create(path, said))

    # ------------------------------------------------------------ holders

    def lose_holder(self) -> None:
        """Delete what a worker says."""
        self._person.do(Delete(holder_path(self._worker())))

    def spoil_holder(self) -> None:
        """Set what a worker says to something else. Not to a lie about being ready: whoever tells that takes
        the data's fate into his hands."""
        path = holder_path(self._worker())
        node = self._person.nodes.get(path)
        report = None if node is None else Report.decode(node.data)
        said = list(GARBAGE)
        if report is not None:
            said += [replace(report, incarnation=report.incarnation + 1).encode()] * 2
            said += [
                replace(report, shards={}, addresses={}).encode(),
                replace(report, leaving=True).encode(),
            ]
            dances = {key: (generation, "dances") for key, (generation, _) in report.shards.items()}
            said += [replace(report, shards=dances).encode()] * 5
        self._person.do(Set(path, self._draw.random.choice(said)))

    def occupy_holder(self) -> None:
        """Create a worker's znode, or nobody's: persistent, or ephemeral as a worker's."""
        path = holder_path(self._draw.random.choice([self._worker(), NOBODYS]))
        self._person.do(Delete(path))
        self._person.do(Create(path, self._draw.random.choice(GARBAGE), ephemeral=self._draw.chance(0.3)))

    def spoil_registration(self) -> None:
        """Set what stands for a worker's incarnation."""
        path = assign_path(self._worker())
        node = self._person.nodes.get(path)
        if node is not None:
            self._person.do(Set(path, self._draw.random.choice([*GARBAGE[:6], DEAD, node.data])))

    # ------------------------------------------------------------ requests

    def misplace(self) -> None:
        """Ask for what cannot be."""
        table = self._draw.random.choice([*sorted(self._schedule.tables), "nobodys", ""])
        shard = self._draw.random.choice(["0", "0", "00", "1", "99", "x", "", "1234567"])
        znode = self._draw.random.choice([f"{table}:{shard}"] * 3 + ["nonsense"])
        self._schedule.moved.add(table)
        self._person.do(Create(f"{MOVES}/{znode}", self._wish()))
        if self._draw.chance(0.3):
            self._person.do(Create(drain_path(NOBODYS), b"date"))

    def withdraw(self) -> None:
        """Have a move no more, or another in its place."""
        asked = self._person.nodes[MOVES].children if MOVES in self._person.nodes else ()
        path = self._some([f"{MOVES}/{znode}" for znode in asked])
        if path is None:  # make one, to withdraw it at once or soon
            table = self._draw.random.choice(sorted(self._schedule.tables))
            path = f"{MOVES}/{table}:0"
            self._schedule.moved.add(table)
            self._person.do(Create(path, self._wish()))
        another = [partial(self._person.do, Set(path, self._wish()))]
        another.append(partial(self._person.do, Delete(path)))
        if self._draw.chance(0.5):
            another.append(partial(self._person.do, Create(path, self._wish())))
        at = 0.0
        for act in another[self._draw.random.randrange(2) :]:
            at += self._draw.between(0.0, 0.02)
            self._world.after(at, act)

    def _wish(self) -> bytes:
        one, another = self._worker(), self._worker()
        some = ["", f"{one} {one}", NOBODYS, f"{one} {NOBODYS}", one, one, *[f"{one} {another}"] * 3]
        return self._draw.random.choice([*(name.encode() for name in some), b"\xff"])

    def litter(self) -> None:
        """Create something below a move, a page, a table or a drain."""
        nodes = self._person.nodes
        asked = [
            f"{parent}/{one}"
            for parent in (MOVES, DRAINS)
            if parent in nodes
            for one in nodes[parent].children
        ]
        path = self._some([*asked, *self._pages(), *self._tables(), *self._tables()])
        if path is None:
            return
        names = ["note", "note", "7", "99", "007"] if path in self._tables() else ["note"]
        litter = f"{path}/{self._draw.random.choice(names)}"
        if litter not in nodes:
            self._person.do(Create(litter, b"date"))
            self._in_the_way.append(litter)

    # ------------------------------------------------------------ in the end

    def _mend(self) -> None:
        """Take away what is in the way, set right what is spoilt, and give up what cannot be any more."""
        for path in reversed(self._in_the_way):
            node = self._person.nodes.get(path)
            if node is not None and decode_page(node.data) is None:  # otherwise it is a page by now
                self._delete_all(path)
        for path in list(self._spoilt):
            self._set_right(path)
        for page in self._pages():  # its table may have been made again
            if decode_page(self._person.nodes[page].data) is None:
                self._person.do(Delete(page))
        for name in sorted(self._schedule.tables):
            self._mend_table(name)

    def _mend_table(self, name: str) -> None:
        path, nodes = table_path(name), self._person.nodes
        wanted = self._schedule.tables[name]
        if path not in nodes:
            self._schedule.make(name, wanted)
            return
        try:
            table = decode_table(name, nodes[path].data)
        except BadTableError:
            self._person.do(Set(path, wanted.encode()))
            return
        pages = {int(one.rpartition("/")[2]): decode_page(nodes[one].data) or {} for one in self._pages(name)}
        if table is not None and unfit(table, pages) is not None:
            self._person.do(Set(path, DELETE.encode()))
            self._schedule.make_again(name)

    # ------------------------------------------------------------ what there is

    def _delete_all(self, path: str) -> None:
        """Like deleteall: delete what is there now, one by one, at once or while others continue."""
        pause = self._draw.random.choice([0.0, 0.0, 0.001, 0.02])
        for number, each in enumerate(self._person.below(path)):
            if pause and self._kinds:
                self._world.after(number * pause, partial(self._person.do, Delete(each)))
            else:
                self._person.do(Delete(each))

    def _tables(self) -> list[str]:
        return [path for path in map(table_path, self._schedule.tables) if path in self._person.nodes]

    def _pages(self, *tables: str) -> list[str]:
        """Of these tables, or of all."""
        nodes = self._person.nodes
        paths = [table_path(name) for name in tables] or self._tables()
        return [f"{path}/{one}" for path in paths for one in sorted(nodes[path].children) if one.isdigit()]

    def _some(self, paths: list[str]) -> str | None:
        return self._draw.random.choice(sorted(paths)) if paths else None

    def _worker(self) -> str:
        return self._draw.random.choice(sorted(host.name for host in self._schedule.workers))
