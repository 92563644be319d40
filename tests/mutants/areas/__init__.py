"""The lists: a module for each area, with its ``MUTANTS`` and the ``KILLERS`` that are to notice them, from
quick to slow."""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from tests.mutants.killers import Killer
from tests.mutants.mutant import Mutant


class Area(NamedTuple):
    """A list and what is to notice what is on it."""

    name: str
    mutants: Sequence[Mutant]
    killers: Sequence[Killer]


def every() -> list[Area]:
    """All there are."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return [Area(module.__name__.rpartition(".")[2], module.MUTANTS, module.KILLERS) for module in modules]
