"""mwapp with masters that remove a task three seconds after its end: sooner than any option allows."""

from typing import Any

from mwapp.cli import main
from mwapp.core import master
from mwapp.core.retention import Remover, Retention

KEPT_SECONDS = 3.0


def _remover(_: Retention, *rest: Any) -> Remover:
    return Remover(Retention(KEPT_SECONDS, 1_000_000), *rest)


if __name__ == "__main__":
    master.Remover = _remover  # type: ignore[assignment, attr-defined]  # a function makes one, too
    main()
