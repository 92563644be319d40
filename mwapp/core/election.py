"""Who is the master: one transaction wins ``/master`` and an epoch, and the epoch fences every write.

    looking -> standby   somebody holds /master; watch it
    standby, looking -> active
                         [create /master, set /epoch and /tasks] committed; the version of /epoch is the epoch
                         (and before it, of a standby: delete /master, whose holder is silent: suspicion.py)
    active -> looking    /master is no longer ours, or a write was fenced off
    (any) -> disconnected, stopped

A lost reply needs no special case: after every cut the candidate looks again, and ``ephemeralOwner`` and the
session noted in ``/epoch`` tell whether it won.

A recreated znode starts at version 0. So the version of ``/tasks`` counts the epochs, too, and the winner
raises both above the higher one: no epoch repeats if a person deletes one of them.
"""

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from mwapp.core.candidates import stand, withdraw
from mwapp.core.layout import ensure_parents
from mwapp.core.messages import Check, Create, Delete, Error, Exited, Failed, Node, Op, Set, Stat
from mwapp.core.protocol import EPOCH, LOST, MASTER, TASKS, Winner, candidate_path, show_session
from mwapp.core.session import REFUSED, Callback, Process, Scope
from mwapp.core.states import step
from mwapp.core.suspicion import PATIENCE, Depositions, Patience, Watcher, beat

log = logging.getLogger(__name__)

# After an unforeseen answer (no permission, say) look again, but do not spin.
ELECTION_RETRY_SECONDS = 1.0
TRANSITIONS = {
    "disconnected": ("disconnected", "looking", "stopped"),
    "looking": ("looking", "standby", "active", "disconnected", "stopped"),
    "standby": ("active", "looking", "disconnected", "stopped"),
    "active": ("looking", "disconnected", "stopped"),
    "stopped": ("stopped", "disconnected"),  # cut off before /master was surely deleted
}
# A count that is behind the other by more than this is raised by this much at a time.
MOST_AT_ONCE = 10
# Why a candidate does not win if what it knows is old.
STALE = (Error.NODE_EXISTS, Error.BAD_VERSION)


class Duty(Protocol):
    """What the elected one does."""

    def begin(self, epoch: int, fenced: Callback) -> None:
        """We lead under this epoch (perhaps again: after a cut the duty begins again).

        Call ``fenced`` when a write finds another epoch.
        """

    def end(self) -> None:
        """We do not lead, or do not know it. Do nothing more of the duty."""

    def status(self) -> dict[str, Any]:
        """What the status endpoint says of it."""


class Election:
    """A candidate for leadership, and a :class:`~mwapp.core.session.Part` of its process.

    ``address`` is the ``host:port`` that ``/master`` shows.
    """

    def __init__(
        self, process: Process, name: str, address: str, duty: Duty, patience: Patience = PATIENCE
    ) -> None:
        self._process = process
        self._name = name
        self._address = address
        self._duty = duty
        self._patience = patience
        self._scope: Scope = process.scope()
        self.epoch: int | None = None  # None if not active
        self._epochs = 0  # as many as there were when it last looked
        self._watcher: Watcher | None = None  # of the master, while we stand by
        self._depositions = Depositions(patience)
        self._was_cut_off = False
        self._listens_from = 0.0  # who was cut off as we were has until then to come back
        self._late_in = 0  # the epoch in which we were late
        self._at_once = MOST_AT_ONCE  # less after a transaction that was too large: seed 5099073
        self.state = "disconnected"
        process.add(self)

    # ------------------------------------------------------------ Part

    def connected(self) -> None:
        """Look who holds leadership."""
        if self._was_cut_off:
            self._listens_from = self._process.now + self._patience.silence
        if self._process.stopping:
            self._vacate()
        else:
            self._restart()

    def suspended(self) -> None:
        """Without a connection nobody can lead."""
        self._was_cut_off = True
        self._resign("disconnected")

    def expired(self) -> None:
        """If we led, others can win leadership now."""
        self._resign("disconnected")
        if self._process.stopping:
            self._process.part_stopped(self)

    def closed(self, session: int) -> None:
        """The epoch, not the session, decides who leads."""

    def exited(self, event: Exited) -> None:
        """No commands here."""

    def stop(self) -> None:
        """Give up leadership at once: the session may live on until a peer's tasks are finished."""
        self._resign("stopped")
        if self._process.session is None or self._process.alone:
            self._process.part_stopped(self)  # the session's end deletes /master
        elif self._process.usable:
            self._vacate()
        # Otherwise when connected again, or when the session is over.

    def status(self) -> dict[str, Any]:
        """State, epoch, what it knows of depositions and what the duty says."""
        depositions = self._depositions.status(self._process.now)
        return {"state": self.state, "epoch": self.epoch} | depositions | self._duty.status()

    # ------------------------------------------------------------ for the duty

    def _fenced(self) -> None:
        """A write found another epoch, or a look another master: step down at once and look again."""
        log.warning("stepping down: epoch %s is over", self.epoch)
        self._restart()

    # ------------------------------------------------------------ inside

    def _resign(self, state: str) -> None:
        self._scope.cancel()
        self._watch(None)
        self._become(state)

    def _become(self, state: str, epoch: int | None = None) -> None:
        """Every change of the state; the duty begins and ends with it."""
        before, self.epoch = self.epoch, epoch
        self.state = step(TRANSITIONS, self.state, state)
        if before is not None:
            self._duty.end()
        if epoch is not None:
            self._duty.begin(epoch, self._fenced)

    def _restart(self) -> None:
        self._resign("looking")
        if self._process.stopping:
            return
        self._scope = self._process.scope()
        ensure_parents(self._scope, self._begin)

    def _begin(self) -> None:
        self._look()
        stand(self._scope, self._process.session or 0, self._name, self._address)

    def _vacate(self) -> None:
        """If /master is ours, known to us or not, delete it; the check makes sure that it is still ours."""
        scope = self._scope = self._process.scope()
        withdraw(scope, self._process.session or 0, self._name)

        def stopped(_: object) -> None:
            self._become("stopped")
            self._process.part_stopped(self)

        def seen(stat: Stat | None) -> None:
            if stat is not None and stat.owner == self._process.session:
                scope.get_all([EPOCH], vacate)  # which does not insist
            else:
                stopped(stat)

        def vacate(nodes: list[Node | Failed]) -> None:
            (epoch,) = nodes
            if isinstance(epoch, Node):
                scope.transact([Check(EPOCH, epoch.stat.version), Delete(MASTER)], stopped)
            else:
                stopped(epoch)

        scope.exists(MASTER, seen)

    def _look(self) -> None:
        found: dict[str, Any] = {}

        def note(what: str, result: Any) -> None:
            found[what] = result
            if len(found) == 2:
                self._seen(found[MASTER], *found[EPOCH])

        self._scope.exists(MASTER, partial(note, MASTER), watch=self._look)
        # Read both at the same time: to win a vacant /master a candidate must know the counts.
        self._scope.get_all([EPOCH, TASKS], partial(note, EPOCH))

    def _seen(self, stat: Stat | None, epoch: Node | Failed, spare: Node | Failed) -> None:
        if isinstance(epoch, Failed) or isinstance(spare, Failed):
            self._scope.after(ELECTION_RETRY_SECONDS, self._restart)
            return
        self._count(max(epoch.stat.version, spare.stat.version))
        self._watch(None)
        self._depositions.note(epoch, spare, self._process.now)
        if stat is None:
            if self.epoch is None:
                self._win(epoch.stat.version, spare.stat.version)
            else:  # deleted by hand; the epoch may still be ours, but anybody can win now
                self._restart()
        elif stat.owner != self._process.session:
            if self.epoch is not None:
                self._fenced()
                return
            if self.state != "standby":
                self._become("standby")
                if stat.owner:
                    log.info("standby: session %s holds leadership", show_session(stat.owner))
                else:
                    log.warning("/master was created by hand and is not ephemeral: nobody can win; delete it")
            winner = Winner.decode(epoch.data)
            if winner is not None and winner.session == stat.owner:  # not one that a person plays
                self._listen(winner, epoch.stat.version, spare.stat.version)
        elif self.epoch is None:
            self._resolve(epoch, spare.stat.version)

    def _watch(self, watcher: Watcher | None) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        self._watcher = watcher

    def _listen(self, winner: Winner, epoch: int, spare: int) -> None:
        """Stand by for a master that may fall silent."""
        path = candidate_path(winner.name, winner.session)

        def silent(version: int) -> None:
            self._win(epoch, spare, (Check(path, version), Delete(MASTER)), told)

        def told(result: object) -> None:
            if not isinstance(result, Failed):
                log.warning("deposed %s: it was silent for %g s", winner.name, self._patience.silence)
            elif result == Failed(Error.BAD_VERSION, 0) and self._late_in != epoch:  # it has beaten meanwhile
                self._late_in = epoch
                log.info("%s is alive, but its writes reach us late", winner.name)

        earliest = self._depositions.earliest(self._process.now)
        earliest = max(earliest, self._listens_from + self._patience.silence)
        if self._patience.silence < math.inf:
            self._watch(Watcher(self._process, path, self._patience, earliest, silent))

    def _count(self, epochs: int) -> None:
        """Epochs get fewer only if a person deletes both znodes that count them."""
        if epochs < self._epochs:
            log.error("epochs fell from %d to %d: %s /epoch and /tasks", self._epochs, epochs, LOST)
        self._epochs = epochs

    def _win(
        self,
        epoch: int,
        spare: int,
        deposes: tuple[Op, ...] = (),
        told: Callable[[object], None] = lambda _: None,
    ) -> None:
        """The counts are as read. If one is far behind, raise it first.

        ``deposes``: what makes /master vacant, if that is all right; ``told`` what came of it.
        """
        number = max(epoch, spare)
        wins = number - min(epoch, spare) < self._at_once
        if deposes and not wins:
            return  # a person works here: wait for the end of the session
        if wins:
            depositions = self._depositions.of_late(self._process.now) + bool(deposes)
            won = Winner(self._name, self._process.session or 0, depositions).encode()
            ops: list[Op] = [*deposes, Create(MASTER, self._address.encode(), ephemeral=True)]
            for count, version in ((EPOCH, epoch), (TASKS, spare)):
                ops += [*_raise(count, version, number), Set(count, won, number)]
        else:
            ops = [*_raise(EPOCH, epoch, number), *_raise(TASKS, spare, number)][: self._at_once]

        def done(result: tuple[Any, ...] | Failed) -> None:
            if deposes:
                self._depositions.tried(result)
                told(result)
            if isinstance(result, tuple) and wins:
                self._elected(number + 1)
            elif deposes or isinstance(result, tuple) or result.error in STALE:
                self._look()  # somebody was faster, or our watch is late; looking tells which
            else:  # a parent was deleted by hand, say
                if result == REFUSED:
                    self._at_once = max(1, self._at_once // 2)
                self._scope.after(ELECTION_RETRY_SECONDS, self._restart)

        self._scope.transact(ops, done)

    def _resolve(self, node: Node, spare: int) -> None:
        """/master is ours, but we do not know the epoch: the reply was lost, or we forgot it at a cut."""
        epoch, winner = node.stat.version, Winner.decode(node.data)
        if winner and winner.session == self._process.session and spare >= epoch:
            self._elected(epoch)
            return
        # It is ours, but under an epoch that somebody else won, or that /tasks no longer counts: vacate it.
        # The check makes sure that it is still ours, because every winner raises the epoch.
        log.warning("vacating /master: this session did not win epoch %d, or /tasks is new", epoch)

        def done(result: tuple[Any, ...] | Failed) -> None:
            if isinstance(result, Failed):
                self._scope.after(ELECTION_RETRY_SECONDS, self._restart)
            else:
                self._restart()

        self._scope.transact([Check(EPOCH, epoch), Delete(MASTER)], done)

    def _elected(self, epoch: int) -> None:
        self._epochs = epoch
        log.info("active: epoch %d", epoch)
        self._become("active", epoch)
        self._look()  # watch /master while we lead
        path = candidate_path(self._name, self._process.session or 0)
        beat(self._scope, epoch, path, self._address.encode(), self._patience, self._fenced)


def _raise(count: str, version: int, number: int) -> list[Op]:
    """Operations that raise the version of a count, step by step."""
    return [Set(count, b"", at) for at in range(version, number)]
