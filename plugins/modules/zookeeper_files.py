#!/usr/bin/python
"""Ansible module: a server's directories and files in one go, those of a running server held back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_files
short_description: Place the directories and files of a ZooKeeper server
description:
  - Does what a loop over M(ansible.builtin.file) and M(ansible.builtin.copy) would do, in one round trip.
  - With O(hold), files marked C(restart) are left alone and only named in RV(waiting). So a server that runs
    never has a configuration on disk that it was not yet started with, and a crash cannot bring it up
    with one that nobody tried.
options:
  directories:
    description: Directories, those they are in included.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is.
        type: str
        required: true
      owner:
        description: Its owner.
        type: str
        required: true
      group:
        description: Its group.
        type: str
        required: true
      mode:
        description: Its mode.
        type: str
        required: true
      contents:
        description: What is in it that must have the same owner, with all that is below; empty for nothing.
        type: str
        default: ""
  files:
    description: Files of root.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is.
        type: str
        required: true
      content:
        description: What it says.
        type: str
        default: ""
      secret:
        description: >-
          Whether it says what O(secrets) has for its path. No difference of it is shown. If they have
          nothing, it is left alone. An empty one is refused.
        type: bool
        default: false
      group:
        description: Its group.
        type: str
        default: root
      mode:
        description: Its mode.
        type: str
        default: "0644"
      restart:
        description: Whether the server reads it when it starts.
        type: bool
        default: false
  secrets:
    description: By path, what files marked C(secret) say.
    type: dict
    default: {}
  links:
    description: Symbolic links; held back like files marked C(restart).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it is.
        type: str
        required: true
      target:
        description: What it points to; empty for no link.
        type: str
        required: true
  hold:
    description: Whether to hold back the files which the server reads when it starts.
    type: bool
    default: false
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Place the configuration
  zklab.zookeeper.zookeeper_files:
    directories:
      - {path: /etc/zookeeper, owner: root, group: root, mode: "0755"}
    files:
      - {path: /etc/zookeeper/zoo.cfg, content: "tickTime=2000\n", restart: true}
"""

RETURN = r"""
placed: {description: Files marked C(restart) that changed now., type: list, returned: always}
waiting: {description: What was held back and differs from what it should be., type: list, returned: always}
"""

import errno
import grp
import os
import pwd
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.unlogged import UnloggedModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import MASK, masked

ANY_KEY = "PRIVATE KEY-----"


class Placer:
    """Places entries and collects what changed."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changed = False
        self.diffs: list[dict[str, Any]] = []
        self.placed: list[str] = []  # what a server reads when it starts

    def directory(self, entry: dict[str, Any]) -> None:
        path = Path(entry["path"])
        if path.is_symlink() and not path.exists():
            self.module.fail_json(
                msg=f"{path} leads to {path.resolve()}, which is not there. Mount it, and run again. "
                "(If there is nothing to keep, remove the link.)"
            )
        if path.exists() and not path.is_dir():
            self.module.fail_json(msg=f"{path} is in the way: a directory is needed there. Move it away.")
        if not path.exists():
            self._note(path, "", "a directory\n")
            if self.module.check_mode:
                return
            path.mkdir(0o700, parents=True)  # whoever else is to enter it may do so at once: see below
        # Of a link it is what it points to that the server must be able to enter.
        self._attributes(path.resolve(), entry)
        if entry["contents"] and _known(entry):
            self._contents(path / entry["contents"], entry)

    def file(self, entry: dict[str, Any]) -> None:
        path, entry = Path(entry["path"]), {**entry, "owner": "root"}
        now = _text(path)
        if now == entry["content"]:
            self._attributes(path, entry)
            return
        self._note(path, *(_shown(entry, text) for text in (now or "", entry["content"])))
        if entry["restart"]:
            self.placed.append(str(path))
        if not self.module.check_mode:
            self._replace(path, entry)

    def link(self, entry: dict[str, Any]) -> None:
        path, target = Path(entry["path"]), entry["target"]
        if path.exists() and not path.is_symlink():
            self.module.fail_json(msg=f"{path} is in the way: a link is needed there. Move it away.")
        if _target(path) == target:
            return
        self._note(path, *(f"-> {name}\n" if name else "" for name in (_target(path), target)))
        if self.module.check_mode:
            return
        if target:
            new = path.with_name(f".{path.name}")
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            new.replace(path)
        else:
            path.unlink()

    def _replace(self, path: Path, entry: dict[str, Any]) -> None:
        """By a rename: nobody ever sees half of it, or a secret that is more open than it shall be.

        (AnsibleModule.atomic_move gives a new file 0644, and another the mode of the one before.)
        """
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        new = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(entry["content"].encode())
            self.module.set_fs_attributes_if_different(self._wanted(new, entry), False)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def _attributes(self, path: Path, entry: dict[str, Any]) -> None:
        if self.module.check_mode and not _known(entry):
            return  # the check comes before user and group: whatever there is will be given to them
        diff: dict[str, Any] = {"before": {}, "after": {}}
        if self.module.set_fs_attributes_if_different(self._wanted(path, entry), False, diff=diff):
            self.changed = True
            self.diffs.append(diff)

    def _wanted(self, path: Path, entry: dict[str, Any]) -> Any:
        wanted = {key: entry[key] for key in ("owner", "group", "mode")}
        return self.module.load_file_common_arguments(wanted, path=str(path))

    def _contents(self, top: Path, entry: dict[str, Any]) -> None:
        # a disk that comes from another host has the numbers of the users there
        user, group = pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid
        top = Path(os.path.realpath(top))  # of a link it is what it points to that the server must enter
        strange = [path for path in (top, *top.rglob("*")) if _owner(path) not in (None, user)]
        if not strange:
            return
        self._note(top, f"{len(strange)} files of another user\n", f"files of {entry['owner']}\n")
        for path in [] if self.module.check_mode else strange:
            os.lchown(path, user, group)

    def _note(self, path: Path, before: str, after: str) -> None:
        self.changed = True
        shown, new = masked(before), masked(after)
        if shown == new:  # nothing but a secret differs
            new = new.replace(MASK, f"{MASK} (another)")
        self.diffs.append(
            {"before_header": str(path), "after_header": str(path), "before": shown, "after": new}
        )


def explain(error: OSError) -> str:
    """Why something could not be placed, and the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            "No space is left: make room (df -h shows where; look at /etc, zookeeper_data_dir and "
            "zookeeper_txnlog_dir), and run again."
        )
    return f"{error}: root must be able to write there."


def _shown(entry: dict[str, Any], text: str) -> str:
    """What a difference may show: of a secret, that it is there; of any key, too."""
    return f"secret={MASK}\n" if (entry["secret"] and text) or ANY_KEY in text else text


def _text(path: Path) -> str | None:
    # not read_text, to which all ends of lines are the same
    return path.read_bytes().decode(errors="replace") if path.is_file() else None


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:  # a server that runs removes old ones
        return None


def _target(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else ""


def _known(entry: dict[str, Any]) -> bool:
    try:
        pwd.getpwnam(entry["owner"])
        grp.getgrnam(entry["group"])
    except KeyError:
        return False
    return True


def keys_for_all(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Which files would have a private key that they should not have."""
    return [one for one in files if not one["secret"] and ANY_KEY in one["content"]]


def place(placer: Placer, given: dict[str, Any]) -> list[str]:
    """Place everything but what is to be held back, and tell what that is."""
    for entry in given["directories"]:
        placer.directory(entry)
    waiting = []
    for entry in given["files"]:
        held = given["hold"] and entry["restart"]
        if held and _text(Path(entry["path"])) != entry["content"]:
            waiting.append(entry["path"])
        else:
            placer.file(entry)
    for entry in given["links"]:
        if not given["hold"]:
            placer.link(entry)
        elif _target(Path(entry["path"])) != entry["target"]:
            waiting.append(entry["path"])
    return waiting


def main() -> None:
    module = UnloggedModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    key: {"type": "str", "required": True} for key in ("path", "owner", "group", "mode")
                }
                | {"contents": {"type": "str", "default": ""}},
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str", "default": ""},
                    "secret": {"type": "bool", "default": False},
                    "group": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0644"},
                    "restart": {"type": "bool", "default": False},
                },
            },
            # At the top, because Ansible logs what is below one that is not secret.
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "links": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {key: {"type": "str", "required": True} for key in ("path", "target")},
            },
            "hold": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    os.umask(0o022)
    placer = Placer(module)
    secrets = module.params["secrets"]
    files = [one for one in module.params["files"] if not one["secret"] or one["path"] in secrets]
    for entry in files:
        entry["content"] = secrets[entry["path"]] if entry["secret"] else entry["content"]
    if keys := keys_for_all(files):
        module.no_log_values.update(one["content"] for one in keys)  # a failure shows what it was given
        paths = ", ".join(one["path"] for one in keys)
        module.fail_json(
            msg=f"{paths}: its new content has a private key, and this file is not for secrets. Nothing was "
            "changed: take the key out of the file that it comes from."
        )
    empty = [one["path"] for one in files if one["secret"] and not one["content"].strip()]
    if empty and not module.check_mode:  # a check may not know it yet
        module.fail_json(
            msg=f"{', '.join(empty)}: its new content is empty, and a secret is needed there. Nothing was "
            "changed: see that the file that it comes from is there, and is not empty."
        )
    try:
        waiting = place(placer, module.params | {"files": files})
    except OSError as error:
        module.fail_json(msg=explain(error))
    module.exit_json(changed=placer.changed, diff=placer.diffs, waiting=waiting, placed=placer.placed)


if __name__ == "__main__":
    main()
