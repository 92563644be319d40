"""Who asks that ended tasks run again or are removed, for scenes of them."""

from mwapp.core.again import AskEnded
from mwapp.core.limits import LIMITS, Limits
from mwapp.core.messages import Delete
from mwapp.core.protocol import RUN
from mwapp.core.session import Process
from tests.unit.core_stage import Actor, Stage

# A task is not removed sooner than this, seconds; and some more.
LEAST = 22.0


class Asker:
    """A client that asks for one of them, and what it is told."""

    def __init__(self, stage: Stage, do: str, *tasks: str, limits: Limits = LIMITS) -> None:
        self.told: dict[str, str | None] = {}
        self.finished = 0
        self._do, self._tasks = do, tasks
        self.client: Actor = stage.client(self._build, limits=limits)
        stage.settle(2.0 if do == RUN else LEAST)

    def _build(self, process: Process) -> None:
        AskEnded(process, self._tasks, self._do, told=self._tell, finished=self._done)

    def _tell(self, name: str, problem: str | None) -> None:
        assert name not in self.told
        self.told[name] = problem

    def _done(self) -> None:
        self.finished += 1


def ended(stage: Stage, worker: Actor, name: str = "t", code: int = 1) -> None:
    """A task that has run."""
    stage.person().create(f"/tasks/{name}", "date")
    stage.settle()
    worker.finish(name, code=code)


def withheld(stage: Stage, path: str) -> None:
    """The master may not delete it, for now."""
    stage.forbids = lambda op: isinstance(op, Delete) and op.path == path
