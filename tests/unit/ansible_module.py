"""Run Ansible modules in this process, by their own ``main``, with arguments as Ansible hands them over."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args


def load(path: Path) -> Any:
    """A role's module, plugin or program, by its path."""
    name = "_".join(path.parts[-3:]).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


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
