"""Ansible lookup: files of the directory with an ensemble's certificates, as texts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc] # ansible-core has no types
    """What Ansible looks for."""

    def run(self, terms: list[str], _variables: Any = None, **options: Any) -> list[dict[str, str]]:
        """See LookupBase."""
        top, *names = terms
        # As the module tls_certificates reads it, which is given a path.
        directory = Path(os.path.expanduser(os.path.expandvars(top)))  # noqa: PTH111 - it goes with the other
        there = [name for name in names if (directory / name).is_file()]
        may_lack = {*there, *options.get("but", ()), *options.get("optional", ())}
        if options.get("complete") and (lacks := [name for name in names if name not in may_lack]):
            raise AnsibleLookupError(
                f"{', '.join(lacks)} must be in {directory}, and is not. Did something remove it "
                "in this run? Run again: it is made, or missed."
            )
        read = [name for name in there if name not in options.get("but", ())]
        return [{name: _text(directory / name) if name in read else "" for name in names}]


def _text(path: Path) -> str:
    """What it says. What is around certificates may be of any kind."""
    return path.read_text(encoding="utf-8", errors="replace")
