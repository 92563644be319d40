"""The base of modules that may be given secrets: a superuser's digest, a password that will be refused."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule


class UnloggedModule(AnsibleModule):  # type: ignore[misc] # ansible-core has no types
    """Of such a module the host's journal has that it ran, whoever calls it, and not what it was given.

    (Ansible logs all parameters that are not secret as a whole. It overrules no_log of the constructor.)
    """

    def log(self, msg: Any, log_args: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Ansible's names
        """Everything that Ansible logs goes through this; the invocation with its arguments."""
        if log_args is not None:
            super().log("Invoked; what it was given may be secret, and is not logged")
