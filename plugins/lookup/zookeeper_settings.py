"""Ansible lookup: the variables of the role zookeeper that make a server's configuration."""

from __future__ import annotations

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import SETTINGS


class LookupModule(LookupBase):  # type: ignore[misc] # ansible-core has no types
    """What Ansible looks for."""

    def run(self, _terms: list[str], variables: dict[str, Any], **_options: object) -> list[dict[str, Any]]:
        """See LookupBase."""
        names = [setting.variable for setting in SETTINGS]
        return [{name: self._templar.template(variables[name]) for name in names}]
