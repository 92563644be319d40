"""The controller's part of the module zookeeper_archive: judges the settings, sends a file to the host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase


def problem(archive: str, checksum: str) -> str | None:
    """What speaks against the settings, and the remedy; None if nothing does."""
    if not archive:
        return (
            "zookeeper_archive is not set: set it to the URL of apache-zookeeper-VERSION-bin.tar.gz, or to "
            "the path of such a file on the controller; or set zookeeper_install_from to packages."
        )
    parts = urlsplit(archive)
    if parts.scheme not in ("http", "https", "") or (not parts.scheme and not archive.startswith("/")):
        return f"zookeeper_archive is {archive}: use a URL (https:// or http://) or an absolute path."
    if parts.username or parts.password:
        return (
            "zookeeper_archive has a user name or password in its URL, which logs would show: take a server "
            "that asks for none, or a file on the controller."
        )
    name = archive.rpartition("/")[2]  # the release's directory has its name from it
    if not re.fullmatch(r"[\w.+-]+\.(tar\.gz|tgz)", name, re.ASCII):
        return f"zookeeper_archive ends in {name or 'no name'}: it must be that of a .tar.gz or .tgz file."
    sha512 = re.fullmatch(r"([0-9a-fA-F]{128})(?:\s+\*?(\S+))?", checksum.strip())
    if sha512 is None:
        return (
            f"zookeeper_archive_checksum is {checksum.strip()[:20] or 'not set'}: set it to the archive's "
            f"SHA-512 (128 hexadecimal digits), which is in {name}.sha512 beside it on downloads.apache.org."
        )
    if sha512[2] and sha512[2] != name:
        return (
            f"zookeeper_archive_checksum is that of {sha512[2]}, but zookeeper_archive is {name}: set both."
        )
    return None


def _failure(said: str) -> dict[str, Any]:
    return {"failed": True, "changed": False, "msg": f"Nothing that runs was touched: {said}"}


class ActionModule(ActionBase):  # type: ignore[misc] # ansible-core has no types
    """One task, be the archive at a URL or here; a file is sent to those hosts only that lack the release."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """See ActionBase."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        archive = str(arguments["archive"])
        if said := problem(archive, str(arguments["checksum"])):
            return result | _failure(said)
        result |= self._module(arguments, task_vars)
        if not result.get("wanted"):
            return result
        # Asked for only now: where all hosts have the release, nobody needs its archive any more.
        if not Path(archive).is_file():
            said = f"zookeeper_archive is {archive}, but the controller has no such file: put it there."
            return result | _failure(said)
        if self._task.check_mode:
            return result
        directory = None
        try:
            directory = self._make_tmp_path()
            arguments["source"] = self._connection._shell.join_path(directory, "archive")
            self._transfer_file(archive, arguments["source"])
            return result | self._module(arguments, task_vars)
        except AnsibleError as error:
            said = f"zookeeper_archive cannot be sent to the host: {error}."
            return result | _failure(f"{said} Make room there, or set zookeeper_archive to a URL.")
        finally:
            self._remove_tmp_path(directory)

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="zklab.zookeeper.zookeeper_archive", module_args=arguments, task_vars=task_vars
        )
        return answer
