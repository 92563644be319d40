"""How large a request may be, what was outlived, and what is read again."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

bound = partial(Mutant, "mwapp/core/request_size.py")
outlived = partial(Mutant, "mwapp/core/outlived.py")
requests = partial(Mutant, "mwapp/core/requests.py")

MUTANTS = [
    # ---------------------------------------------------------------- how large a request may be
    bound("if now >= self._until:", "if False:", "what the network did is a bound for ever"),
    bound("if now >= self._until:", "if True:", "what is too large is sent again and again"),
    bound(
        "            self._most = self._usual\n        return",
        "            self._most = self._most + 1\n        return",
        "it is one byte more each time",
    ),
    bound("size(operation) <= self._most", "size(operation) < self._most", "the largest request is refused"),
    bound("size(operation) >= self._smallest", "True", "small requests show that large ones are taken"),
    bound(
        "        if self._losses and size(operation) >= self._smallest:\n            self._losses = 0\n",
        "",
        "what was taken in between counts for nothing",
    ),
    bound("if largest < self._suspect:", "if False:", "a bad network makes all requests small"),
    bound("if largest < self._suspect:", "if largest <= self._suspect:", "the smallest suspect is none"),
    bound(
        "min(self._smallest, largest) if self._losses else largest",
        "largest",
        "the last that was lost counts, not the smallest",
    ),
    bound(
        "min(self._smallest, largest) if self._losses else largest",
        "min(self._smallest, largest)",
        "nothing is ever lost but what is of no size",
    ),
    bound(
        "self._losses, self._most, self._until = 0, self._smallest - 1,",
        "self._losses, self._most, self._until = 0, self._smallest,",
        "what is too large is tried again as it is",
    ),
    bound(
        "self._losses, self._most, self._until = 0, ",
        "self._losses, self._most, self._until = self._losses, ",
        "the second time no number of losses is enough",
    ),
    bound("+ 64 +", "+", "a thousand small operations are too much for the servers"),
    bound("isinstance(op, Create | Set)", "isinstance(op, Create)", "what is set counts for nothing"),
    # ---------------------------------------------------------------- what was outlived
    outlived("max(self.last, incarnation)", "incarnation", "an older one starts again what it must not"),
    outlived("[*self._numbers, incarnation][-OUTLIVED:]", "[incarnation]", "one of them is to blame again"),
    outlived(
        "[*self._numbers, incarnation][-OUTLIVED:]", "[*self._numbers, incarnation]", "it grows for ever"
    ),
    outlived(
        "{*(before.outlived if before is not None else ()), *self._numbers}",
        "{*self._numbers}",
        "what the processes before us outlived is forgotten",
    ),
    outlived("before.session in self._sessions", "False", "a registration of ours kills tasks: seed 9068067"),
    outlived("and before.session in self._sessions", "", "somebody else's end is taken for ours"),
    outlived(
        "self._sessions = [*self._sessions, session][-OUTLIVED:]",
        "self._sessions = [session]",
        "of two sessions whose replies were lost the first is forgotten",
    ),
    outlived("tuple(sorted(known)[-OUTLIVED:])", "tuple(sorted(known)[:OUTLIVED])", "the oldest are named"),
    # ---------------------------------------------------------------- what is read again
    requests(
        "new, self._names = set(names) - self._names, set(names)",
        "new, self._names = set(names), set(names)",
        "with each request that comes all are read",
    ),
]
