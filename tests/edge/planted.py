"""The edge with a mistake in it: its modules once more, with one text in place of another."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from mwapp.release import end_session
from mwapp.zookeeper.sessions import Sessions
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
# Each after those it imports.
MODULES = (
    "release",
    *("zookeeper.machine", "zookeeper.wire", "zookeeper.connection"),
    *("zookeeper.client", "zookeeper.sessions"),
)


class Edge(NamedTuple):
    """What is tested: mwapp.zookeeper.sessions.Sessions, and mwapp.release.end_session."""

    sessions: Callable[..., Any]
    end_session: Callable[..., bool]


REAL = Edge(Sessions, end_session)


def edge(mutant: Mutant) -> Edge:
    """The edge with the mistake in it."""
    names = [f"mwapp.{name}" for name in MODULES]
    kept = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        made = {name: _module(name, mutant) for name in names}
    finally:
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(kept)
    return Edge(made["mwapp.zookeeper.sessions"].Sessions, made["mwapp.release"].end_session)


def _module(name: str, mutant: Mutant) -> ModuleType:
    file = name.replace(".", "/") + ".py"
    source = mutant.text(ROOT) if mutant.file == file else (ROOT / file).read_text()
    module = ModuleType(name)
    module.__file__ = str(ROOT / file)
    sys.modules[name] = module
    exec(compile(source, module.__file__, "exec"), module.__dict__)  # noqa: S102  # it is ours
    return module
