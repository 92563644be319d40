"""How long a request of a session that its client has given up may still be carried out, at the worst: what
``UNDER_WAY`` in mwapp/core/client.py is for; and how soon it is known otherwise. Times are in session
time-outs."""

import pytest

from mwapp.client.background import CLIENT_SESSION_SECONDS
from mwapp.core.client import UNDER_WAY, Submit
from mwapp.core.messages import Tick
from mwapp.core.retention import RETENTION
from mwapp.core.session import Process
from mwapp.core.task import Task
from tests.simulation.clock import Clock
from tests.simulation.ensemble import Transacted
from tests.simulation.host import Host
from tests.simulation.service import Service
from tests.simulation.world import Chance, World

TICK = 0.5  # the longest there is: a time-out is two at least
MOMENT = 0.01


class Unlucky(World):
    """What is by chance turns out badly: nobody can close the session that was given up, and the server that
    was cut off is back before the leader has done without it."""

    def chance(self, probability: float) -> bool:  # noqa: ARG002 - whatever it is
        return False


class Lucky(World):
    """The session that was given up can be closed, and the client hears so at once."""

    def chance(self, probability: float) -> bool:
        return probability > 0.5

    def stream(self, name: str) -> Chance:  # noqa: ARG002 - all are alike
        return Lucky(1)

    def between(self, low: float, high: float) -> float:  # noqa: ARG002 - as soon as it can be
        return low


class Giving(Process):
    """Notes when its session is over for it."""

    given_up: float | None = None

    def _lose(self, *, abandon: bool) -> None:
        self.given_up = self.now
        super()._lose(abandon=abandon)


class Scene:
    """A client and its connection, and when its tasks were created."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.service = Service(self.world, self._committed, slow=0.0, tick=TICK)
        self.created: list[float] = []
        self.accepted: list[int] = []
        self.process = Giving()
        self.client = Host(
            self.world,
            self.service,
            "client",
            self._build,
            timeout=1.0,
            clock=Clock(self.world, began=0.0, drift=0.0),
            process=lambda: self.process,
        )
        self.client.start()

    def _build(self, _: Host, process: Process) -> None:
        self.part = Submit(
            process,
            [],
            accepted=lambda index, _: self.accepted.append(index),
            refused=lambda *_: None,
            finished=lambda: None,
        )

    def _committed(self, entry: Transacted) -> None:
        self.created += [self.world.now for c in entry.changes if c.path.startswith("/tasks/")]

    def submit(self, until: float) -> None:
        """The client submits a task, and time goes on."""
        self.part.add(Task("date", key=f"key-{self.part.unacknowledged + len(self.accepted)}"))
        self.client.event(Tick())
        self.world.run(until)


def test_nothing_is_submitted_twice_however_long_it_is_under_way() -> None:
    scene = Scene(Unlucky(1))
    world, service, edge = scene.world, scene.service, scene.client.edge
    world.run(1.0)
    scene.submit(2.2)
    assert scene.accepted == [0]

    # The client hears no answer any more, but is heard, by a server that is the only one it can reach.
    edge.cut(deaf=False, mute=True, notice=UNDER_WAY)
    (server,) = {connection.server for connection in service._connections.values()}
    service.confine(server)
    # A server tells the leader whom it has heard of twice a tick. It has just done so; then it hears of the
    # client once more, is cut off from the leader, and the client's next request takes long to arrive.
    world.run(5 * TICK + MOMENT)
    scene.submit(world.now + MOMENT)
    expiry = 5 * TICK + 1 + TICK  # at whole ticks
    service.isolate(server, True)
    edge.stall(expiry + 1 - 2 * MOMENT - world.now, up=True)
    scene.submit(expiry - MOMENT)
    assert scene.process.given_up is not None
    # The server is back just before the leader would end the session, which lives once more as long; and just
    # before the end of that the request arrives.
    service.isolate(server, False)
    world.run(expiry + 1)
    assert len(scene.created) == 3
    under_way = scene.created[-1] - scene.process.given_up
    assert 2.1 < under_way < UNDER_WAY - TICK, "the scene is as bad as it can be, but for what the ticks add"

    world.run(world.now + 2 * UNDER_WAY)
    assert sorted(scene.accepted) == [0, 1, 2]
    assert len(scene.created) == 3


@pytest.mark.parametrize("arrives", [True, False])
def test_the_wait_is_over_when_another_server_has_closed_the_session(arrives: bool) -> None:
    """However long the request still waits at the old server, which is cut off from the others."""
    scene = Scene(Lucky(1))
    world, service = scene.world, scene.service
    world.run(1.0)
    scene.submit(2.2)
    assert scene.accepted == [0]

    (server,) = {connection.server for connection in service._connections.values()}
    service.confine(server)
    if arrives:  # and no answer comes back
        scene.client.edge.cut(deaf=False, mute=True, notice=UNDER_WAY)
        scene.submit(world.now + MOMENT)
        service.isolate(server, True)
    else:
        service.isolate(server, True)
        scene.submit(world.now + MOMENT)
    assert len(scene.created) == 1 + arrives
    while scene.process.given_up is None:
        world.run(world.now + MOMENT)
    assert scene.accepted == [0]

    service.reachable.clear()  # the others can be reached again
    world.run(world.now + 0.5)
    assert (scene.accepted, len(scene.created)) == ([0, 1], 2)
    service.isolate(server, False)  # and what waits there is carried out, if the ensemble allows it
    world.run(world.now + 2 * UNDER_WAY)
    assert (scene.accepted, len(scene.created)) == ([0, 1], 2)


def test_what_has_ended_is_not_removed_while_a_command_may_still_have_to_find_it() -> None:
    assert RETENTION.least > (UNDER_WAY + 1) * CLIENT_SESSION_SECONDS
