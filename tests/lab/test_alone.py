"""What can be seen only while there is no other lab. By its name it comes first: others' stand long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, kernel, spec
from tests.lab.conftest import PREFIX

NAME = f"{PREFIX}-labtest3"


@pytest.fixture(autouse=True)
def gone() -> Iterator[None]:
    """No lab before and after."""
    Lab(NAME).down()
    yield
    Lab(NAME).down()


@pytest.mark.parametrize("setting", kernel.NEEDED, ids=lambda setting: setting.name)
def test_settings_of_the_kernel_are_put_back(setting: Path) -> None:
    if spec.labs():
        pytest.skip("another lab needs it")
    before = setting.read_text()
    Lab(NAME).up(["x"])
    assert int(setting.read_text()) >= kernel.NEEDED[setting]
    Lab(NAME).down()
    if spec.labs():
        pytest.skip("another lab has come, and needs it")
    assert setting.read_text() == before
