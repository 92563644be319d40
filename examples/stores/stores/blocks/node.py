"""A data node's part of one group: the handler. The primary sends each block to all who must have it.

write   a client, to the primary: acknowledged when all in sync have it on their disks
store   the primary, with its generation, to the others
read    a client, to anybody: a damaged or lost block is first repaired from another replica
fetch   another replica: only what is here and whole
join, list, joined    a replica that copies, to the primary
look                  anybody: whether a block is here, and whole
list, remove          gc, to anybody
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import NoReturn

import mwapp
from mwapp.errors import MwappError
from mwapp.handlers import Shard, Term
from stores import rpc
from stores.blocks.disk import BrokenError, DamagedError, DifferentError, Disk, MissingError, checksum
from stores.blocks.standing import Standing
from stores.rpc import Message, RefusedError

# So long a primary tries to have a block stored everywhere before it refuses it.
STORE_EVERYWHERE_SECONDS = 2.0
PAUSE = 0.05
# A part of a list has so many blocks: it fits into a message.
MOST_LISTED = 20_000


def name_of(table: str, group: int, worker: str) -> str:
    """Whom a message is for: the port may be another process's by now."""
    return f"{table}/{group}@{worker}"


class Group(Shard):
    """One group of blocks on one data node."""

    def open(self, term: Term) -> None:
        """Serve reads at once; copy if the term says so."""
        top = Path(os.environ["STORES_DIR"])
        self._disk = Disk(top / self.worker / "blocks" / self.table / str(self.shard), top)
        self._standing = Standing(self.worker, int(os.environ.get("STORES_BLOCKS_LEAST", "2")))
        self._members: mwapp.Table | None = None
        self._known: Mapping[str, str] = {}  # workers' addresses
        self._looking, self._looked = threading.Lock(), 0.0
        self._attempts = count(1)
        self._other_disk = False
        self._caught_up = 0  # under which generation the primary counts on us
        self._term = term
        self._told = threading.Event()
        self.demote(term)
        self._server = rpc.Server(self._answer)
        self.address = self._server.address
        threading.Thread(target=self._attend, daemon=True).start()

    def caught_up(self) -> bool:
        """In sync it is; a copy is when it has joined; who is back is if its disk is the one that it had."""
        state = self._term.members.get(self.worker)
        if state == "back" and self._other_disk:
            raise RuntimeError(f"the disk of {self.worker} is not the one it had: {self.table} {self.shard}")
        if state == "back":
            return self._disk.complete
        return state != "copy" or self._caught_up == self._term.generation

    def promote(self, term: Term) -> None:
        """Take writes."""
        self._be(term, primary=True)

    def handover(self, term: Term, to: str) -> None:  # noqa: ARG002 - whoever it is has everything
        """Acknowledge nothing more. What has begun is refused, and its client tries again at the next one."""
        self._be(term, primary=False)

    def demote(self, term: Term) -> None:
        """Be a replica."""
        if term.members.get(self.worker) == "sync":
            self._disk.note_complete()
        self._be(term, primary=False)

    def close(self) -> None:
        """Answer nobody more."""
        self._term = self._term._replace(members={})
        self._told.set()
        self._server.close()

    def _be(self, term: Term, *, primary: bool) -> None:
        self._standing.be(term, primary=primary)
        self._term = term
        self._told.set()

    # ------------------------------------------------------------ requests

    def _answer(self, request: Message) -> Message:
        do = {
            "write": self._write,
            "store": self._store,
            "read": self._read,
            "fetch": self._fetch,
            "look": self._look_at,
            "list": self._list,
            "remove": self._remove,
            "join": self._join,
            "joined": self._joined,
        }.get(str(request.fields.get("do")))
        own = name_of(self.table, self.shard, self.worker)
        if do is None or request.fields.get("to") != own:
            raise RefusedError(f"{own} does not do that")
        try:
            return do(request)
        except (KeyError, TypeError, ValueError) as problem:
            raise RefusedError(f"not a request: {problem!r}") from None
        except BrokenError as problem:
            self._give_up(problem)
        except OSError as problem:  # of the network: we have asked others
            raise RefusedError(f"{own}: {problem}") from None

    def _write(self, request: Message) -> Message:
        block = request.fields["block"]
        have: dict[str, int] = {}
        self._standing.missing(have)  # do not store what we may not acknowledge
        self._put(block, request)
        end = time.monotonic() + STORE_EVERYWHERE_SECONDS
        while True:
            generation, missing = self._standing.missing(have)
            if not missing:
                return Message({"generation": generation})
            took = self._send_all(missing, generation, request)
            have |= dict.fromkeys(took, generation)
            if took != missing and time.monotonic() > end:
                raise RefusedError(f"{', '.join(sorted(missing - took))} did not take it yet")
            if took != missing:
                time.sleep(PAUSE)

    def _send_all(self, names: set[str], generation: int, request: Message) -> set[str]:
        """To all at once; returns who took it."""
        took: set[str] = set()

        def send(name: str) -> None:
            if self._send(name, generation, request):
                took.add(name)

        threads = [threading.Thread(target=send, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return took

    def _send(self, name: str, generation: int, request: Message) -> bool:
        fields = {"do": "store", "generation": generation}
        fields |= {key: request.fields[key] for key in ("block", "checksum")}
        try:
            seen = self._call(name, fields, request.body).fields["generation"]
        except (OSError, RefusedError, KeyError):
            self._standing.missed(name)
            return False
        if seen > generation:
            self._standing.overtaken(seen)
        return bool(seen == generation)

    def _store(self, request: Message) -> Message:
        generation = request.fields["generation"]
        if self._standing.obey(generation) == generation:
            self._put(request.fields["block"], request)
        # Once more: whoever joined a later primary, ourselves perhaps, before this was stored, lacks it.
        return Message({"generation": self._standing.obey(generation)})

    def _put(self, block: str, request: Message) -> None:
        if checksum(request.body) != request.fields["checksum"]:
            raise RefusedError(f"{block} was damaged on its way")
        try:
            self._disk.store(block, request.body)
        except DifferentError as problem:
            raise RefusedError(str(problem)) from None

    def _give_up(self, problem: BrokenError) -> NoReturn:
        """The others can go on without us only when the master knows: nothing is acknowledged meanwhile."""
        print(f"the disk of {self.worker}: {problem}", file=sys.stderr, flush=True)
        os._exit(1)

    def _fetch(self, request: Message) -> Message:
        block = request.fields["block"]
        try:
            return Message({"block": block}, self._disk.read(block))
        except (MissingError, DamagedError) as problem:
            raise RefusedError(f"not whole here: {problem}") from None

    def _read(self, request: Message) -> Message:
        block = request.fields["block"]
        try:
            return Message({"block": block}, self._disk.read(block))
        except (MissingError, DamagedError):
            data = self._from_others(block)
        if data is None:
            raise RefusedError(f"{block} is whole nowhere, as far as {self.worker} can see")
        self._disk.replace(block, data)
        return Message({"block": block, "repaired": True}, data)

    def _look_at(self, request: Message) -> Message:
        try:
            self._disk.read(request.fields["block"])
        except MissingError:
            return Message({"has": "missing"})
        except DamagedError:
            return Message({"has": "damaged"})
        return Message({"has": "whole"})

    def _list(self, request: Message) -> Message:
        after = request.fields.get("after", "")
        found = [(block, age) for block, age in self._disk.blocks().items() if block > after]
        lines = (f"{block} {age:.3f}" for block, age in found[:MOST_LISTED])
        return Message({"more": len(found) > MOST_LISTED}, "\n".join(lines).encode())

    def _remove(self, request: Message) -> Message:
        for block in request.body.decode().split():
            self._disk.remove(block)
        return Message({})

    def _join(self, request: Message) -> Message:
        self._standing.join(*_who(request))
        return Message({})

    def _joined(self, request: Message) -> Message:
        self._standing.joined(*_who(request))
        return Message({})

    # ------------------------------------------------------------ copying

    def _attend(self) -> None:
        """A replica that copies no more must not look like one that does: its worker opens it anew."""
        try:
            self._copy_when_told()
        except BrokenError as problem:
            self._give_up(problem)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    def _copy_when_told(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            term = self._term
            if not term.members:
                return
            with suppress(OSError):
                self._look()  # a new primary needs the addresses at once
            while term is self._term and not self._done(term):
                try:
                    if term.members[self.worker] == "copy":
                        self._copy(term)
                    else:
                        self._come_back()
                except (OSError, RefusedError):  # of the network, or another replica's
                    time.sleep(2 * PAUSE)

    def _done(self, term: Term) -> bool:
        state = term.members.get(self.worker)
        if state == "back":
            return self._disk.complete or self._other_disk
        return state != "copy" or self._caught_up == term.generation

    def _come_back(self) -> None:
        """Its disk does not say that it had everything. Either it is another disk, or this group has never
        been opened here; then nothing has been acknowledged yet. A new table can begin so."""
        if self.needed():
            self._other_disk = True
        else:
            self._disk.note_complete()

    def _copy(self, term: Term) -> None:
        """Everything that the primary has. What is new meanwhile it sends us itself."""
        about = {"worker": self.worker, "generation": term.generation, "attempt": next(self._attempts)}
        self._call(term.primary, {"do": "join", **about})
        after, more = "", True
        while more:
            part = self._call(term.primary, {"do": "list", "after": after})
            blocks = [line.split()[0] for line in part.body.decode().splitlines()]
            have = self._disk.blocks()
            for block in blocks:
                if term is not self._term:
                    return
                if block not in have:
                    self._copy_block(block, term)
            after, more = blocks[-1] if blocks else "", part.fields["more"]
        self._call(term.primary, {"do": "joined", **about})
        self._disk.note_complete()
        self._caught_up = term.generation

    def _copy_block(self, block: str, term: Term) -> None:
        """Raises OSError if somebody does not answer who may have it. If nobody has it whole it is lost, or
        was removed: that must not keep all others from being copied."""
        data = self._from_others(block, first=term.primary)
        if data is not None:
            self._disk.store(block, data)

    def _from_others(self, block: str, first: str = "") -> bytes | None:
        """None: nobody has it whole. Raises OSError: somebody who may have it does not answer."""
        silent: OSError | None = None
        members = [name for name in self._term.members if name != self.worker]
        for name in sorted(members, key=lambda name: name != first):
            try:
                return self._call(name, {"do": "fetch", "block": block}).body
            except RefusedError:
                continue
            except OSError as problem:
                silent = problem
        if silent is not None:
            raise silent
        return None

    # ------------------------------------------------------------ the others

    def _call(self, name: str, fields: dict[str, object], body: bytes = b"") -> Message:
        if not self._known.get(name):
            self._look()
        address = self._known.get(name)
        if not address:
            raise ConnectionError(f"{name} has told no address yet")
        try:
            return rpc.call(address, {**fields, "to": name_of(self.table, self.shard, name)}, body)
        except (OSError, RefusedError):
            self._look()  # it may have another by now
            raise

    def _look(self) -> None:
        """See where the others are; not again and again, however many threads ask."""
        with self._looking:
            if time.monotonic() - self._looked > PAUSE:
                self._known = self.addresses()
                self._looked = time.monotonic()

    def addresses(self) -> Mapping[str, str]:
        """Where the members of this group are. Raises OSError if the ensemble does not say."""
        try:
            if self._members is None:  # in the thread that copies: to open has to be quick
                self._members = mwapp.Client().table(self.table)
            members = self._members.shard(self.shard).members
        except MwappError as problem:
            raise ConnectionError(str(problem)) from None
        return {name: member.address for name, member in members.items()}

    def needed(self) -> bool:
        """Whether files have blocks of this group, or may have. Raises OSError."""
        from stores.blocks.names import Names  # seldom needed

        with closing(Names(self.table)) as names:
            return names.needs(self.shard)


def _who(request: Message) -> tuple[str, int, int]:
    worker, generation, attempt = (request.fields[key] for key in ("worker", "generation", "attempt"))
    return str(worker), int(generation), int(attempt)
