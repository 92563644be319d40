"""Run an Ansible module in this process, by its own ``main``, with arguments as Ansible hands them over."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args


def run(module: Any, arguments: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    """What the module answers; it is asked for differences, too. Its warnings are those of this run alone."""
    internal = {"_ansible_check_mode": check, "_ansible_diff": True}
    with (
        patch_module_args(arguments | internal),
        mock.patch.object(
            _internal, "is_controller", False
        ),  # though other tests in this process load its parts
        mock.patch.dict(warnings._global_warnings, clear=True),
        contextlib.redirect_stdout(io.StringIO()) as out,
        pytest.raises(SystemExit),
    ):
        module.main()
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def reroot(module: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the module find below ``root`` what its constants look for below ``/``."""
    for name, value in list(vars(module).items()):
        if isinstance(value, Path):
            monkeypatch.setattr(module, name, root / value.relative_to("/"))
