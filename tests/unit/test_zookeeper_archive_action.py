"""The action plugin zookeeper_archive, from settings to the release on a host, which is this machine."""

from __future__ import annotations

import hashlib
import posixpath
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from tests.unit.ansible_module import run
from tests.unit.test_zookeeper_archive import RELEASE, SUM, action, content, module, pack


class Here(action.ActionModule):  # type: ignore[misc] # loaded by its path
    """The plugin with a way to the host of its own: modules run in this process, files are copied."""

    def __init__(self, tmp: Path, arguments: dict[str, Any], check: bool) -> None:
        task = SimpleNamespace(args=arguments, check_mode=check, async_val=0, action="zookeeper_archive")
        shell = SimpleNamespace(join_path=posixpath.join, tmpdir=None)
        super().__init__(task, SimpleNamespace(_shell=shell), None, None, None)
        self.tmp, self.ran, self.sent, self.full = tmp, 0, 0, False

    def _execute_module(self, *, module_name: str, module_args: Any, task_vars: Any) -> dict[str, Any]:
        assert (module_name, task_vars) == ("zklab.zookeeper.zookeeper_archive", {"x": 1})
        self.ran += 1
        return run(module, dict(module_args), check=self._task.check_mode)

    def _make_tmp_path(self, *_: object) -> str:
        return tempfile.mkdtemp(dir=self.tmp)

    def _remove_tmp_path(self, tmp_path: str | None, *_: object) -> None:
        if tmp_path:
            shutil.rmtree(tmp_path)

    def _transfer_file(self, local_path: str, remote_path: str) -> str:
        if self.full:
            raise AnsibleError("No space left on device")
        self.sent += 1
        return str(shutil.copy(local_path, remote_path))


class Host:
    def __init__(self, tmp_path: Path) -> None:
        self.archive = tmp_path / "apache-zookeeper-3.9.3-bin.tar.gz"
        pack(self.archive, RELEASE)
        self.home = tmp_path / "opt/apache-zookeeper-3.9.3-bin-01234567"
        self.tmp = tmp_path / "tmp"
        self.tmp.mkdir()
        self.checksum = hashlib.sha512(self.archive.read_bytes()).hexdigest()

    def plugin(self, *, check: bool = False, **other: str) -> Here:
        arguments = {"archive": str(self.archive), "checksum": self.checksum, "home": str(self.home)}
        return Here(self.tmp, arguments | other, check)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(module, "STARTED_WITH", tmp_path / "started-with")
    monkeypatch.setattr(module.os, "sync", lambda: None)
    return Host(tmp_path)


def go(plugin: Here) -> dict[str, Any]:
    answer: dict[str, Any] = plugin.run(task_vars={"x": 1})
    assert not any(plugin.tmp.iterdir()), "nothing is left on the host"
    return answer


def test_a_file_is_sent_to_a_host_that_lacks_the_release(host: Host) -> None:
    plugin = host.plugin()
    answer = go(plugin)
    assert not answer.get("failed"), answer
    assert (answer["changed"], answer["wanted"], plugin.ran, plugin.sent) == (True, False, 2, 1)
    assert content(host.home) == RELEASE


def test_nothing_is_sent_to_a_host_that_has_it(host: Host) -> None:
    go(host.plugin())
    host.archive.unlink()  # nobody needs it any more
    plugin = host.plugin()
    answer = go(plugin)
    assert (answer["changed"], plugin.ran, plugin.sent) == (False, 1, 0)
    assert not answer.get("failed")


def test_check_mode_sends_nothing(host: Host) -> None:
    plugin = host.plugin(check=True)
    answer = go(plugin)
    assert (answer["changed"], answer["wanted"], plugin.sent) == (True, True, 0)
    assert not host.home.exists()


def refused(answer: dict[str, Any]) -> str:
    assert answer["failed"]
    assert not answer["changed"]
    assert answer["msg"].startswith("Nothing that runs was touched: zookeeper_archive")
    return str(answer["msg"])


@pytest.mark.parametrize("check", [False, True])
def test_a_file_that_is_not_there(check: bool, host: Host) -> None:
    host.archive.unlink()
    assert "the controller has no such file" in refused(go(host.plugin(check=check)))


def test_a_host_without_room_for_it(host: Host) -> None:
    plugin = host.plugin()
    plugin.full = True
    said = refused(go(plugin))
    assert "cannot be sent to the host: No space left on device. Make room there" in said
    assert not host.home.exists()


def test_settings_are_judged_before_any_host_is_asked(host: Host) -> None:
    plugin = host.plugin(checksum="abc")
    assert "zookeeper_archive_checksum is abc" in refused(go(plugin))
    assert plugin.ran == 0


def test_another_checksum(host: Host) -> None:
    answer = go(host.plugin(checksum=SUM))
    assert answer["failed"]
    assert "but the SHA-512 of" in answer["msg"]
    assert not host.home.exists()
