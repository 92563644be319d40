"""One shard, one step: what its record is to be next, from what it is and what its holders say.

    the primary is lost or has failed -> a live member that is in sync is the primary, in this very step
                                         (of shared data any worker, of others nobody until one has come back)
    it is to move                     -> the new worker copies; when it is caught up it is in sync;
                                         the primary releases the shard (handover), and only then has it
                                         another
    somebody is not wanted any more   -> it goes when everybody who is wanted is in sync
    a member is lost                  -> it is no member any more, and copies when it comes back

The generation grows whenever somebody is to do something that he is not to do under the one before: with the
primary, with who is a member, when somebody is no longer in sync, and when a handover is called off. What a
holder says counts only if it says it of the record's generation, so nothing that is old is believed.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace

from mwapp.core.shards.protocol import BACK, COPY, FAILED, READY, RELEASED, SYNC, Member, Record, Saying


@dataclass(frozen=True, slots=True)
class Holder:
    """A worker that is there; ``says`` is what it says of this shard."""

    incarnation: int
    says: Saying | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Who is there for a shard. ``anyone``: any worker may be the primary, with a copy or without.
    ``may_copy`` takes a place for one more copy at that worker, if there is one. ``resting``: whose handler
    has failed as the primary lately: it gets the shard only if nobody else can."""

    holders: Mapping[str, Holder]
    anyone: bool
    may_copy: Callable[[str], bool]
    resting: Set[str] = frozenset()


def step(record: Record, situation: Situation) -> Record:
    """The record that comes next; the same one if nothing is to be done now."""
    return _Step(record, situation).next()


class _Step:
    def __init__(self, record: Record, situation: Situation) -> None:
        self._record, self._holders = record, situation.holders
        self._anyone, self._may_copy = situation.anyone, situation.may_copy
        self._resting = situation.resting
        self._members = dict(record.members)
        self._up = {n for n in record.members if self._lives(n) and not self._says(n, FAILED)}

    def next(self) -> Record:
        record = self._record
        if record.primary not in self._up:
            return self._without_primary()
        if record.handover:
            return self._hand_over()
        return self._go_on()

    # ------------------------------------------------------------ what is so

    def _lives(self, name: str) -> bool:
        """The incarnation that is the member."""
        holder = self._holders.get(name)
        return holder is not None and holder.incarnation == self._record.incarnation(name)

    def _says(self, name: str, word: str) -> bool:
        holder = self._holders.get(name)
        return holder is not None and self._lives(name) and holder.says == (self._record.generation, word)

    def _state(self, name: str) -> str | None:
        member = self._members.get(name)
        return None if member is None else member.state

    def _in_sync(self) -> set[str]:
        return {name for name in self._up if self._state(name) == SYNC}

    def _first(self, names: set[str]) -> str | None:
        """The one that is wanted most."""
        wanted = self._record.wanted
        order = {name: at for at, name in enumerate(wanted)}
        return min(names, key=lambda name: (order.get(name, len(wanted)), name), default=None)

    # ------------------------------------------------------------ what is to be

    def _become(self, name: str, state: str) -> None:
        self._members[name] = replace(self._members[name], state=state)

    def _result(self, primary: str, *, handover: bool = False, again: bool = False) -> Record:
        """With the members as they are now. The generation has grown if it must, or if somebody who has
        failed is to begin ``again``."""
        before, members = self._record, self._members
        target = before.target
        if target is None and (primary != before.primary or not members.keys() >= before.members.keys()):
            target = before.wanted  # who is lost, or was the primary, is still wanted
        who = {name: member.incarnation for name, member in members.items()}
        was = {name: member.incarnation for name, member in before.members.items()}
        left = any(m.state == SYNC != members[n].state for n, m in before.members.items() if n in members)
        called_off = before.handover and not handover
        grows = again or who != was or left or called_off or primary != before.primary
        generation = before.generation + grows
        after = replace(
            before, generation=generation, primary=primary, members=members, target=target, handover=handover
        )
        return settled(after)

    # ------------------------------------------------------------ without a primary

    def _begin(self) -> Record:
        """Nobody has had it: there is nothing to copy."""
        there = [name for name in self._record.wanted if name in self._holders]
        if not there:
            return self._record
        self._members = {name: Member(self._holders[name].incarnation, SYNC) for name in there}
        return self._result(there[0])

    def _without_primary(self) -> Record:
        record = self._record
        if record.target == ():
            return self._given_up()
        if not record.members:
            return self._begin()
        chosen = self._first(self._in_sync() - self._resting) or self._first(self._in_sync())
        if chosen is None and self._anyone:
            chosen = self._any()
        elif chosen is None:
            chosen = self._first({n for n in self._up if self._state(n) == BACK and self._says(n, READY)})
        if chosen is None:
            return record if self._anyone else self._wait()
        self._members[chosen] = Member(self._holders[chosen].incarnation, SYNC)
        for name in [name for name in self._members if name != chosen]:
            if not self._lives(name):
                del self._members[name]
            elif name not in self._up or self._state(name) == BACK:
                self._become(name, COPY)
        return self._result(chosen, again=chosen == record.primary)

    def _any(self) -> str | None:
        """Of shared data: who is wanted first, rather one that has not just failed."""
        there = [name for name in self._record.wanted if name in self._holders]
        well = [name for name in there if not self._says(name, FAILED) and name not in self._resting]
        return next(iter([*well, *there]), None)

    def _wait(self) -> Record:
        """All that had everything are dead. Whoever of them comes back is asked whether it still has it."""
        record, again = self._record, False
        for name, member in record.members.items():
            holder = self._holders.get(name)
            if member.state == COPY or holder is None:
                continue
            if holder.incarnation != member.incarnation:
                self._members[name] = Member(holder.incarnation, BACK)
            elif self._says(name, FAILED):
                self._become(name, BACK)
                again = True
        changed = self._members != record.members
        return self._result("", again=again) if changed or again else record

    def _given_up(self) -> Record:
        record = self._record
        if not record.members:
            return record
        return Record(record.generation + 1, target=(), since=record.since)

    # ------------------------------------------------------------ with a primary

    def _hand_over(self) -> Record:
        """The primary is there, and is to release the shard."""
        record = self._record
        released = self._says(record.primary, RELEASED)
        if record.target == ():
            return self._given_up() if released else record
        to = record.wanted[0]
        if to == record.primary or to not in self._in_sync():
            return self._result(record.primary)  # it goes on, under a generation that it has not released
        if not released:
            return record
        self._drop_whom_nobody_wants(keep=to)
        return self._result(to)

    def _go_on(self) -> Record:
        record = self._record
        if record.target == ():
            return replace(record, handover=True)
        again = self._note_losses()
        for name in record.wanted:
            self._take_in(name)
        for name in self._up:
            if self._state(name) in (COPY, BACK) and self._says(name, READY):
                self._become(name, SYNC)
        self._drop_whom_nobody_wants(keep=record.primary)
        first = record.wanted[0]
        handover = first != record.primary and first in self._in_sync() - self._resting
        return self._result(record.primary, handover=handover, again=again)

    def _note_losses(self) -> bool:
        """Returns whether a replica has failed, and is to begin again."""
        again = False
        for name in list(self._members):
            if not self._lives(name):
                del self._members[name]
            elif self._says(name, FAILED):
                self._become(name, COPY)
                again = True
        return again

    def _take_in(self, name: str) -> None:
        """Who is wanted, and is no member, copies."""
        holder = self._holders.get(name)
        if holder is not None and name not in self._members and self._may_copy(name):
            self._members[name] = Member(holder.incarnation, COPY)

    def _drop_whom_nobody_wants(self, keep: str) -> None:
        """They stay until everybody who is wanted is in sync, or nobody would have what they have."""
        wanted = set(self._record.wanted)
        complete = wanted <= self._in_sync()
        for name in list(self._members):
            if name not in wanted and name != keep and (complete or self._state(name) == COPY):
                del self._members[name]


def settled(record: Record) -> Record:
    """Without a target, if who has it now is who was to have it."""
    target = record.target
    done = (
        target is not None
        and target != ()
        and not record.handover
        and record.primary == target[0]
        and record.members.keys() == set(target)
        and all(member.state == SYNC for member in record.members.values())
    )
    return replace(record, target=None) if done else record
