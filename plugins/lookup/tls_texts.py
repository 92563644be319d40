"""Ansible lookup: files of the directory with an ensemble's certificates, as texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc] # ansible-core has no types
    """What Ansible looks for."""

    def run(self, terms: list[str], _variables: Any = None, **options: Any) -> list[dict[str, str]]:
        """See LookupBase."""
        top, *names = terms
        return [
            {name: _text(Path(top).expanduser() / name, name in options.get("but", ())) for name in names}
        ]


def _text(path: Path, changes: bool) -> str:
    return path.read_text() if path.is_file() and not changes else ""
