"""The client's side: wait for tasks to end.

Tasks end roughly in the order of their submission. So a client that waits for many watches only some. When
one of these has ended it reads the others, from the first on, many in one request:

    overtaken by one that has ended -> watch it
    first of those behind the last that has ended -> watch it
    the rest -> look again when that one has ended

A watch for each would cost the servers more than all other reads of a task. It does not miss a task that ends
out of turn: it watches some more every second, and many more if nothing has ended meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from mwapp.core.client import CLIENT_RETRY_SECONDS, ClientPart
from mwapp.core.messages import Error, Failed, Node
from mwapp.core.pairs import Pair, read_ends
from mwapp.core.protocol import Outcome, task_path
from mwapp.core.session import Callback, Process


class Wait(ClientPart):
    """Wait for the final state of each of ``tasks`` (names).

    ``ended(name, state, outcome)`` is called for each as it ends: state is the status word, or None if
    there is no such task; outcome is None where no result was written. ``finished()`` after the last.
    A task that is added is watched as long as few are. The number of others read together is the number that
    had ended at the last read, half as many more, and the smallest page (mwapp/core/limits.py).
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[str],
        *,
        ended: Callable[[str, str | None, Outcome | None], None],
        finished: Callable[[], None],
    ) -> None:
        super().__init__(process)
        self._limits = process.limits
        self._waiting = dict.fromkeys(tasks)  # all that have not ended, as far as we know
        self._begun = False  # connected, and each of them is either
        self._watched: set[str] = set()  # or
        self._unwatched: dict[str, None] = {}  # in their order
        self._unanswered = 0  # requests for a watch
        self._looking = False  # at some of the unwatched
        self._page = self._limits.smallest_look
        self._due = False  # more will be watched in a second
        self._quiet = False  # none has ended since more were watched
        self._ended, self._finished = ended, finished

    def add(self, task: str) -> None:
        """Wait for one more task, which this process has submitted (between two events)."""
        self._waiting[task] = None
        if self._begun:
            self._take_up(task)

    def suspended(self) -> None:
        """Read all again. An expired session was suspended before."""
        super().suspended()
        self._begun = False

    def _start(self) -> None:  # who only reads makes nothing
        self._begin()

    def _begin(self) -> None:
        self._watched.clear()
        self._unwatched.clear()
        self._unanswered, self._looking, self._due = 0, False, False
        if not self._waiting:
            self._begun = True
            self._finished()
            return
        self._look_through(iter(list(self._waiting)))

    def _look_through(self, rest: Iterator[str]) -> None:
        """Any number of them may have ended before, anywhere in the list."""
        page = list(islice(rest, self._limits.largest_look))
        if page:
            self._read(page, then=partial(self._look_through, rest))
            return
        self._begun = True
        for name in self._waiting:
            self._take_up(name)

    def _take_up(self, name: str) -> None:
        if len(self._watched) < self._limits.watched:
            self._watch(name)
            return
        self._unwatched[name] = None
        if not self._due:
            self._due = True
            self._scope.after(1.0, self._watch_more)

    # ------------------------------------------------------------ watched, one by one

    def _watch(self, name: str) -> None:
        if name not in self._waiting:
            return
        self._unwatched.pop(name, None)
        self._watched.add(name)
        self._unanswered += 1
        # The watch goes off when a status is created, and when the task is deleted.
        self._scope.children(
            task_path(name), partial(self._seen, name), watch=partial(self._fired, name), insist=False
        )

    def _watch_more(self) -> None:
        if not self._unanswered:
            more = self._limits.watched_many_more if self._quiet else self._limits.watched_more
            for name in list(islice(self._unwatched, more)):
                self._watch(name)
            self._quiet = True
        self._due = bool(self._unwatched)
        if self._due:
            self._scope.after(1.0, self._watch_more)

    def _seen(self, name: str, children: tuple[str, ...] | Failed) -> None:
        self._unanswered -= 1
        if name not in self._watched:
            return
        if not isinstance(children, Failed):
            if "status" in children:
                self._fired(name)
        elif children.error is Error.NO_NODE:
            self._end(name, None, None)
            for following in list(islice(self._unwatched, 1)):  # it may be gone, too: retention removes many
                self._watch(following)
        else:
            self._watch_later(name)

    def _watch_later(self, name: str) -> None:
        """The ensemble refused a read that we need: do not spin."""
        self._scope.after(CLIENT_RETRY_SECONDS, partial(self._watch, name))

    def _fired(self, name: str) -> None:
        if name in self._watched:
            self._read([name])
            self._look_on()

    # ------------------------------------------------------------ unwatched, many at once

    def _look_on(self) -> None:
        page = list(islice(self._unwatched, self._page))
        if page and not self._looking:
            self._looking = True
            self._read(page, then=partial(self._looked_at, page))

    def _looked_at(self, page: list[str]) -> None:
        self._looking = False
        ended = [at for at, name in enumerate(page) if name not in self._waiting]
        self._page = min(self._limits.largest_look, self._limits.smallest_look + len(ended) * 3 // 2)
        overtaken, behind = page[: max(ended, default=0)], page[max(ended, default=-1) + 1 :]
        for name in [*overtaken, *behind[:1]]:
            if name in self._unwatched:
                self._watch(name)
        if not behind:
            self._look_on()

    # ------------------------------------------------------------ final states

    def _read(self, names: list[str], then: Callback | None = None) -> None:
        scope = self._scope

        def read(ends: list[Pair]) -> None:
            for name, (status, result) in zip(names, ends, strict=True):
                if scope.cancelled:  # the callback may stop us
                    return
                if isinstance(status, Node):
                    outcome = Outcome.decode(result.data) if isinstance(result, Node) else None
                    self._end(name, status.data.decode(errors="replace"), outcome)
                elif name in self._watched:
                    if status.error is Error.NO_NODE:  # something else has changed
                        self._watch(name)
                    else:
                        self._watch_later(name)
            if then:
                then()

        read_ends(scope, names, read)

    def _end(self, name: str, state: str | None, outcome: Outcome | None) -> None:
        if name not in self._waiting:
            return
        del self._waiting[name]
        self._unwatched.pop(name, None)
        self._watched.discard(name)
        self._quiet = False
        self._ended(name, state, outcome)
        if not self._waiting:
            self._finished()
