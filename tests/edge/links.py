"""What goes wrong with a connection, drawn before its first byte."""

from collections import Counter
from typing import TYPE_CHECKING

from tests.edge.network import How, Link, Manner
from tests.edge.server import Greeting, Script, Spoiled
from tests.simulation.world import Chance, World

if TYPE_CHECKING:
    from tests.edge.machine import SimMachine

# Errors a server may refuse a request with, other than those of the request itself: throttled, over a quota,
# no permission, and what nobody knows.
ERRORS = (-127, -125, -112, -102, -8, -5, -1, -115, -4242)


class Links:
    """Draws how each connection will go, until :meth:`mend`.

    A few kinds at a time find more than all of them. ``met`` counts what was drawn; ``refusals`` says whether
    servers may refuse what is asked.
    """

    def __init__(self, world: World, timeout: float, met: Counter[str], *, refusals: bool) -> None:
        self._world, self._timeout, self._met = world, timeout, met
        draw = world.random
        every = [self._refused, self._ignored, self._cut, self._greeting, self._spoils, self._trickles]
        every += [self._refusals] if refusals else []
        self._kinds = draw.sample(every, draw.choice([0, 1, 2, 4]))
        self._often = draw.choice([0.2, 0.5, 0.8])
        self.sluggish: float | None = None  # so long every server takes to greet, always
        self._at_war = True
        self._doomed: list[Script] = []
        self._drawn: tuple[Manner, Script] = Manner(), Script()

    def mend(self) -> None:
        """From now on all goes well, also with what was drawn."""
        self._at_war = False
        for script in self._doomed:
            script.mend()

    def manner(self, machine: "SimMachine", server: int) -> Manner:  # noqa: ARG002 - others need it
        """How the next connection goes, and what its server will do wrong (:meth:`script`)."""
        manner, script = self._drawn = Manner(), Script(slow=self.sluggish)
        draw = self._world.ingredient() if self._at_war and self._kinds else None
        if draw is not None:
            script.draw = draw
            self._doomed.append(script)
            for kind in self._kinds:
                if draw.chance(self._often / len(self._kinds)):
                    self._met[kind.__name__.strip("_")] += 1
                    kind(draw, manner, script)
        return manner

    def script(self, _: Link) -> Script:
        """As :meth:`manner` has drawn it; between the two nothing else is asked for."""
        return self._drawn[1]

    def _refused(self, _: Chance, manner: Manner, __: Script) -> None:
        """Nobody listens."""
        manner.refused = True

    def _ignored(self, _: Chance, manner: Manner, __: Script) -> None:
        """Nobody answers."""
        manner.ignored = True

    def _cut(self, draw: Chance, manner: Manner, _: Script) -> None:
        """It breaks at some byte."""
        manner.how = draw.random.choice(list(How))
        at = int(draw.random.choice([30, 100, 1000, 20_000]) * draw.random.random())
        if draw.chance(0.7):
            manner.cut_down = at
        else:
            manner.cut_up = at

    def _greeting(self, draw: Chance, _: Manner, script: Script) -> None:
        """The server does not greet as it should."""
        script.greeting = draw.random.choice(list(Greeting))

    def _spoils(self, draw: Chance, _: Manner, script: Script) -> None:
        """One of its replies is worth nothing, or one comes to nothing."""
        number = int(draw.between(0, 60))
        if draw.chance(0.1):
            script.unasked = number
        else:
            script.spoils, script.spoiled = number, draw.random.choice(list(Spoiled))

    def _refusals(self, draw: Chance, _: Manner, script: Script) -> None:
        """Some requests are refused."""
        script.keeps = draw.chance(0.3)
        for __ in range(draw.random.choice([1, 3, 20])):
            script.refuses[int(draw.between(0, 60))] = draw.random.choice(ERRORS)

    def _trickles(self, draw: Chance, manner: Manner, _: Script) -> None:
        """The server is slow, but not silent."""
        manner.gap = self._timeout * draw.random.choice([0.02, 0.1])
