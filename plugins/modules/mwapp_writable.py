#!/usr/bin/python
"""Ansible module for a host: into which directories a user of it can write."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mwapp_writable
short_description: Tell into which directories a user can write
description:
  - Asks the kernel, which knows whom groups, access control lists and directories above let in.
  - No process of that user is started, to which others of this user could do what they like.
options:
  user: {description: Its name., type: str, required: true}
  paths: {description: Of the directories., type: list, elements: str, required: true}
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See where the tasks' user can write
  zklab.zookeeper.mwapp_writable:
    user: mwapp-task
    paths: [/srv/shared]
"""

RETURN = r"""
writable:
  description: Those into which it can write; null if the host has no such user.
  type: list
  elements: str
  returned: success
"""

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ansible.module_utils.basic import AnsibleModule


def writable(user: str, paths: Sequence[str]) -> list[str] | None:
    """Those into which the user can write; None if there is no such user."""
    try:
        its = pwd.getpwnam(user)
    except KeyError:
        return None
    with _rights_of(its):
        return [path for path in paths if os.access(path, os.W_OK | os.X_OK, effective_ids=True)]


@contextmanager
def _rights_of(user: pwd.struct_passwd) -> Iterator[None]:
    """Have its rights. The real user stays root, so who is this user cannot signal or trace this process."""
    groups = os.getgroups()
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        yield
    finally:
        os.seteuid(os.getuid())
        os.setegid(os.getgid())
        os.setgroups(groups)


def main() -> None:
    arguments = {
        "user": {"type": "str", "required": True},
        "paths": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        found = writable(module.params["user"], module.params["paths"])
    except OSError as error:
        module.fail_json(
            msg=f"This process may not have the rights of {module.params['user']} (mwapp_task_user), and so "
            f"cannot see where it can write: {error}. Let Ansible be root on this host (become)."
        )
    else:
        module.exit_json(changed=False, writable=found)


if __name__ == "__main__":
    main()
