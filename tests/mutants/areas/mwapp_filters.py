"""What the role mwapp makes of its variables."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_filters.py"),)

filters = partial(Mutant, "plugins/filter/mwapp_filters.py")

MUTANTS = [
    filters('its.get("zookeeper_host") or its', "its", "where Ansible goes in, and the others cannot"),
    filters('or its.get("ansible_host") or name', "or name", "a name that nobody resolves", at="_address"),
    filters("f'[{host}]' if ':' in host else host", "host", "IPv6 cannot be told from its port"),
    filters("its.get('zookeeper_client_port') or CLIENT_PORT", "CLIENT_PORT", "a server on another port"),
]
