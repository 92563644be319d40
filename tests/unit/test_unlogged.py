"""Modules that are given secrets leave none in the host's journal, where Ansible logs what it gives them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.module_utils import basic

from tests.unit.ansible_module import run
from tests.unit.four_letters import closed_port
from tests.unit.test_playbooks import FILES, tasks
from tests.unit.zookeeper_role import PROJECT, ROLE, load, load_file

KEY, DIGEST = "DigestAuthenticationProvider.superDigest", "super:c2VjcmV0"
LINE = f"{KEY}={DIGEST}\n"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
GIVEN: dict[str, dict[str, Any]] = {
    "zookeeper_preflight": {
        "name": "nobody",
        "members": [],
        "settings": {it.variable: DEFAULTS[it.variable] for it in load("zookeeper_settings").SETTINGS}
        | {"zookeeper_config": {KEY: DIGEST}},
        "packages": [],
        "classpath": "",
    },
    "zookeeper_files": {"directories": [], "files": [{"path": "/nowhere/at/all", "content": LINE}]},
    "zookeeper_status": {"host": "127.0.0.1", "config": f"dataDir=/nowhere/at/all\n{LINE}"},
}
# What may hold some, in the arguments of a task.
SECRETS = (
    *("__zookeeper_settings", "__zookeeper_file_list", "zookeeper_config", "zoo.cfg.j2"),
    *("_secrets", "_tls_texts"),
)
# What everybody may read of these.
NONE = ("zookeeper_config.forceSnapshotSync", "__mwapp_tls_texts['client-ca.pem']")
ON_THE_CONTROLLER = ("assert", "debug", "fail", "include_tasks", "set_fact")


@pytest.mark.servers
@pytest.mark.parametrize("name", GIVEN)
def test_the_journal_has_that_it_ran_and_not_what_it_was_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.AnsibleModule, "_log_to_syslog", lambda _, text: logged.append(text))
    port = {"port": closed_port()} if name == "zookeeper_status" else {}
    run(load_file(f"modules/{name}.py"), GIVEN[name] | port, check=True)
    assert logged == ["Invoked; what it was given may be secret, and is not logged"]


def without_public(arguments: Any) -> str:
    text = " ".join(map(str, arguments.values())) if isinstance(arguments, dict) else str(arguments)
    for public in NONE:
        text = text.replace(public, "")
    return text


def test_no_other_module_is_given_any() -> None:
    given = {
        action
        for path in FILES
        for task in tasks(yaml.safe_load(path.read_text()))
        for action, arguments in task.items()
        if "." in action and any(word in without_public(arguments) for word in SECRETS)
    }
    ours = {f"zklab.zookeeper.{name}" for name in GIVEN}
    assert ours <= given
    assert given - ours <= {f"ansible.builtin.{action}" for action in ON_THE_CONTROLLER}


def test_they_are_those_that_say_so() -> None:
    modules = (PROJECT / "plugins/modules").glob("*.py")
    assert {path.stem for path in modules if "UnloggedModule(" in path.read_text()} == set(GIVEN)
