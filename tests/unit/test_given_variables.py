"""Variables that a worker is given for what it runs (--env): all that runs has them, the worker has not."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mwapp.cli import daemons
from mwapp.core.messages import Exited, OpenShard, PromoteShard, Run, ShardSays
from mwapp.core.task import Task
from mwapp.execution.runner import Runner
from testbed.users import becomes_nobody
from testbed.waiting import LONGEST_WAIT, read_number
from tests.unit.handlers.harness import TOKEN
from tests.unit.patience import patient

__all__ = ["patient"]
pytestmark = pytest.mark.processes

FOREVER = 1e12
USUAL: dict[str, Any] = {
    **{f"{whose}_{what}": None for whose in ("task", "worker") for what in ("memory", "cpu", "pids")},
    **{"task_user": None, "task_network": True, "log_level": "info", "log_format": "text"},
}
GIVEN = {"GIVEN": "a=b é", "MWAPP_CONNECT": "nowhere:1", "TZ": "Asia/Tokyo"}
SHOWN = "a=b é nowhere:1 Asia/Tokyo"
SHOWS = 'echo "$GIVEN $MWAPP_CONNECT $TZ"'
MODULE = """
import os
from mwapp.handlers import Shard

def shown():
    return " ".join(os.environ[name] for name in ("GIVEN", "MWAPP_CONNECT", "TZ"))

AT_ITS_IMPORT = shown()

def shows(argument, run):
    return [AT_ITS_IMPORT, shown(), os.environ["HOME"], os.environ["LANG"]]

class Shows(Shard):
    def promote(self, term):
        self.address = shown()
"""


class Harness:
    """A worker's runner as the command line makes it, and what it tells."""

    def __init__(self, given: dict[str, str]) -> None:
        self.told: queue.SimpleQueue[Exited | ShardSays] = queue.SimpleQueue()
        made = daemons._runner(USUAL | {"env": given})(self.told.put)
        assert isinstance(made, Runner)
        self.runner = made

    def run(self, task: Task, number: int = 1) -> Exited:
        self.runner.start(Run(number, task, TOKEN))
        exited = self.told.get(timeout=LONGEST_WAIT)
        assert isinstance(exited, Exited)
        return exited

    def address(self, command: str | None = None, handler: str | None = None) -> str:
        """What a shard says when it serves."""
        self.runner.tell_shard(OpenShard(1, "t", 3, "w", handler, command, 7, "", {"w": "sync"}, FOREVER))
        self.runner.tell_shard(PromoteShard(1, 8, {"w": "sync"}, FOREVER))
        while (said := self.told.get(timeout=LONGEST_WAIT)) and isinstance(said, ShardSays):
            if said.said in ("serving", "closed"):
                break
        assert isinstance(said, ShardSays)
        assert said.said == "serving", said.reason
        return said.address


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    (tmp_path / "shown.py").write_text(MODULE)
    (tmp_path / "shown-1.dist-info").mkdir()
    (tmp_path / "shown-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: shown\nVersion: 1\n")
    (tmp_path / "shown-1.dist-info/entry_points.txt").write_text("[mwapp.handlers]\nshows = shown:shows\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    harness = Harness(GIVEN | {"TMPDIR": str(tmp_path)})
    yield harness
    harness.runner.kill_all()


def test_commands_have_them_and_a_task_s_own_come_first(worker: Harness) -> None:
    assert worker.run(Task(SHOWS)).output.decode() == f"{SHOWN}\n"
    assert worker.run(Task(SHOWS, environment={"GIVEN": "own"})).output.decode().startswith("own nowhere:1")


def test_handlers_have_them_run_after_run_and_before_their_import(worker: Harness, tmp_path: Path) -> None:
    for number, own in ((1, {}), (2, {"GIVEN": "own"}), (3, {})):
        exited = worker.run(Task(handler="shows", environment=own), number)
        assert exited.result is not None, exited
        at_import, now, home, language = json.loads(exited.result)
        assert at_import == SHOWN
        assert now == (SHOWN.replace("a=b é", "own") if own else SHOWN)
        assert (home, language) == (str(tmp_path), "C.UTF-8")  # what programs expect, by these variables


def test_handlers_of_shards_have_them(worker: Harness) -> None:
    assert worker.address(handler="shown:Shows") == SHOWN


def test_commands_of_shards_have_them(worker: Harness, tmp_path: Path) -> None:
    worker.address(command=f"{SHOWS} >{tmp_path}/out; echo 1 >{tmp_path}/done; exec sleep 600")
    read_number(tmp_path / "done")
    assert (tmp_path / "out").read_text() == f"{SHOWN}\n"


def test_neither_the_worker_nor_its_guard_has_them(worker: Harness) -> None:
    others = children()
    worker.run(Task("true"))
    assert not {"GIVEN", "TZ"} & set(os.environ)
    guards = [
        process
        for process in map(Path, map("/proc/{}".format, children() - others))
        if b"guard" in (process / "cmdline").read_bytes()
    ]
    assert len(guards) == 1
    assert b"GIVEN=" not in (guards[0] / "environ").read_bytes()


def children() -> set[int]:
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


AS_NOBODY = """
import json, queue, sys
from mwapp.cli import daemons
from mwapp.core.messages import Run
from mwapp.core.task import Task
from testbed.waiting import LONGEST_WAIT
told, settings = queue.SimpleQueue(), json.loads(sys.argv[1])
runner = daemons._runner(settings)(told.put)
runner.start(Run(1, Task(sys.argv[2])))
print(told.get(timeout=LONGEST_WAIT).output.decode())
runner.kill_all()
"""


@pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")
@pytest.mark.parametrize("more", [{}, {"LONG": "x" * 100_000}])
def test_as_another_user_runs_have_them_and_the_process_that_starts_them_has_not(
    more: dict[str, str],
) -> None:
    settings = USUAL | {"task_user": "nobody", "env": GIVEN | more}
    asks = f"{SHOWS} ${{#LONG}}; tr '\\0' '\\n' </proc/$PPID/environ | grep -E '^(GIVEN|TZ|LONG|USER)='"
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, json.dumps(settings), asks],
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "TZ"},
    )
    shown = f"{SHOWN} {len(more.get('LONG', ''))}"
    assert done.stdout.splitlines() == [shown, "USER=nobody", ""], done.stderr
