"""What `mwapp acl` finds, against an ensemble in memory; on a real one: tests/integration/test_acl.py."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from kazoo.exceptions import NoAuthError, NoNodeError

from mwapp.zookeeper import apply_acl
from mwapp.zookeeper.acl import OPEN, OPEN_TO_ALL, PATH, Policy
from mwapp.zookeeper.apply_acl import Lists
from mwapp.zookeeper.connect_string import Servers

POLICY = Policy.of(masters=["m"], nodes=[], workers=["w"], clients=["cli"])
FORBIDDEN = {"/tasks/a/secret", "/tasks/own"}


class Answer(SimpleNamespace):
    """What kazoo gives at once."""

    def get(self, **_: Any) -> Any:
        if isinstance(self.it, Exception):
            raise self.it
        return self.it


class Ensemble:
    """Some znodes, two of which keep their lists from us. All others have the lists that they should have."""

    policy: Policy | None = POLICY

    def __init__(self, **_: Any) -> None:
        self._children = {"/tasks": ["a", "own"], "/tasks/a": ["secret"]}

    def start(self, _patience: float) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

    def get(self, path: str) -> Any:
        assert path.endswith(PATH)
        if self.policy is None:
            raise NoNodeError
        return self.policy.encode(), None

    def get_acls_async(self, path: str) -> Answer:
        if path in FORBIDDEN:
            return Answer(it=NoAuthError())
        lists = (self.policy or OPEN_TO_ALL).acl(path.removeprefix("/app") or "/")
        return Answer(it=(apply_acl._kazoo(lists), SimpleNamespace(numChildren=len(self.names(path)))))

    def exists_async(self, _path: str) -> Answer:
        return Answer(it=SimpleNamespace())

    def get_children_async(self, path: str) -> Answer:
        return Answer(it=self.names(path))

    def names(self, path: str) -> list[str]:
        return self._children.get(path, [])


class WithQuotas(Ensemble):
    """As ZooKeeper makes its own, and zkCli.sh a quota: open to all."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._children |= {
            "/zookeeper": ["config", "quota"],
            "/zookeeper/quota": ["tasks"],
            "/zookeeper/quota/tasks": ["zookeeper_limits"],
        }

    def get_acls_async(self, path: str) -> Answer:
        answer = super().get_acls_async(path)
        if "/zookeeper" in path:
            answer.it = (apply_acl._kazoo(OPEN), answer.it[1])
        return answer


OWN = [
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/quota/tasks",
    "/zookeeper/quota/tasks/zookeeper_limits",
]


@pytest.mark.parametrize(("chroot", "told"), [("", OWN), ("/app", [])])
@pytest.mark.parametrize("quick", [None, False, True])
@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_quotas_are_for_masters_alone_but_not_those_of_others(
    monkeypatch: pytest.MonkeyPatch, chroot: str, told: list[str], quick: bool | None, at_once: int
) -> None:
    """Those of the top are none of ours below a chroot, and neither is what has the same name there; however
    many are asked for at once."""
    monkeypatch.setattr(apply_acl, "AT_ONCE", at_once)
    monkeypatch.setattr(apply_acl, "KazooClient", WithQuotas)
    monkeypatch.setattr(apply_acl, "TlsHandler", lambda _tls: SimpleNamespace(refused=None))
    monkeypatch.setattr(Ensemble, "policy", replace(POLICY, complete=True))
    tls: Any = SimpleNamespace(subject="CN=cli")
    with Lists(Servers((("zk1", 2182),), chroot, tls), 1.0, look_only=True) as lists:
        report = lists.show() if quick is None else lists.on(POLICY, quick=quick)
    assert (sorted(report.changed), report.problems) == (told, [])


@pytest.mark.parametrize(
    ("who", "policy", "told"),
    [
        ("CN=mwapp-master-m", POLICY, ["/tasks/own", "/tasks/a/secret"]),
        ("CN=cli", POLICY, ["/tasks/own"]),
        ("CN=cli", None, ["/tasks/own"]),
        (None, POLICY, ["/tasks/own"]),
    ],
)
def test_secret_values_that_are_not_for_us_are_nobody_s_mistake(
    monkeypatch: pytest.MonkeyPatch, who: str | None, policy: Policy | None, told: list[str]
) -> None:
    """Only who may read a znode may see its list. For a master it is a list that keeps it from its own."""
    monkeypatch.setattr(apply_acl, "KazooClient", Ensemble)
    monkeypatch.setattr(apply_acl, "TlsHandler", lambda _tls: SimpleNamespace(refused=None))
    monkeypatch.setattr(Ensemble, "policy", policy)
    tls: Any = SimpleNamespace(subject=who)
    with Lists(Servers((("zk1", 2182),), tls=tls), 1.0) as lists:
        report = lists.show()
    assert [one.partition(":")[0] for one in report.foreign] == told
    assert (report.problems, report.changed) == ([], [])
