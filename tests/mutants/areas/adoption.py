"""Workers that people made by hand: which masters give them tasks, and what is said of the others."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest(
        "tests/unit/test_core_adoption.py", "tests/unit/test_core_by_hand.py", "tests/unit/test_overview.py"
    ),
    pytest("tests/unit/test_cli.py", "tests/unit/test_cli_status.py", "tests/unit/test_mwapp_filters.py"),
)

master = partial(Mutant, "mwapp/core/master.py")
mirror = partial(Mutant, "mwapp/core/mirror.py")
overview = partial(Mutant, "mwapp/status/overview.py")
health = partial(Mutant, "mwapp/status/health.py")
probes = partial(Mutant, "mwapp/status/probes.py")
daemons = partial(Mutant, "mwapp/cli/daemons.py")
filters = partial(Mutant, "plugins/filter/mwapp_filters.py")

MUTANTS = [
    master("        if not self._adopts:\n", "        if False:\n", "whoever makes a znode gets tasks"),
    master("[] if self._adopts else sorted", "sorted", "who was adopted is warned of", at="Master.status"),
    master("            self._not_adopted[name] = session\n", "", "it is told again every few seconds"),
    master(" if one in there}", "}", "a master for ever remembers who has gone"),
    master(
        "        self._mirror.look_at_workers_after(LOOK_AGAIN_SECONDS)\n\n    def _ran",
        "\n    def _ran",
        "who registers later gets no task",
    ),
    master(
        "if self._not_adopted.get(name) != session:",
        "if name not in self._not_adopted:",
        "of another session under that name nothing is told",
    ),
    mirror("if due < self._workers_due:", "if True:", "a soon look is put off"),
    mirror(
        "if due == self._workers_due:", "if True:", "a look that was wanted sooner is followed by one more"
    ),
    mirror(
        "                self._workers_due = math.inf\n                self.look_at_workers()\n",
        "                self.look_at_workers()\n",
        "they are looked at once more, and never again",
    ),
    mirror("if due < self._workers_due:", "if self._workers_due == math.inf:", "a soon look comes late"),
    mirror(
        " or (registered.adopted and not self._adopts)", "", "what an earlier master adopted gets more tasks"
    ),
    mirror("            adopts=self._adopts,\n", "", "after a refusal it gets tasks all the same"),
    overview('        state = "unregistered"\n', "        pass\n", "it is shown as ready"),
    overview(
        "(registration is None or registration.session != worker.stat.owner)",
        "registration is None",
        "under a name that was used before it is shown as ready",
    ),
    health(
        'worker.state == "ready" for',
        'worker.state in ("ready", "unregistered") for',
        "it counts as one that runs tasks",
    ),
    health("for name in self.master_status.not_adopted:", "for name in ():", "nobody is warned"),
    probes('master.get("not_adopted", ())', "()", "nobody is warned"),
    daemons('adopts=settings["adopt"]', "adopts=True", "the option says nothing"),
    filters('is_true(its["mwapp_adopt"])', 'bool(its["mwapp_adopt"])', "-e mwapp_adopt=false switches it on"),
]
