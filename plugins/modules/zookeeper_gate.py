#!/usr/bin/python
"""Ansible module: is the ensemble healthy, and in which order may its servers be restarted?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_gate
short_description: Wait until a ZooKeeper ensemble is healthy
description:
  - Asks every member C(srvr), and the leader C(mntr), over its client port.
  - Healthy means that every member serves in its role (voter or observer), exactly one leads, and all
    others are in sync with it (of a single member, that it serves alone).
  - Changes nothing and never fails because of what it sees; the caller decides on RV(healthy).
options:
  members:
    description: The members, each with C(name), C(host), C(client_port) and C(observer).
    type: list
    elements: dict
    required: true
  pending:
    description: Names of the members to restart.
    type: list
    elements: str
    default: []
  deployed_ports:
    description: Client port, by name, that a pending member still listens on.
    type: dict
    default: {}
  changing:
    description: Whether pending members still go by another list of voters.
    type: bool
    default: false
  first:
    description: Name of a member to restart before the others.
    type: str
    default: ""
  gone:
    description: By id, C(host:port:port) of servers that were members. One that still runs is warned of.
    type: dict
    default: {}
  clocks:
    description: The time on hosts, by name, in seconds. It warns of those that are far from the others.
    type: dict
    default: {}
  snapshots:
    description: Whether the leader sends all its data to whoever joins. If not, it warns of some releases.
    type: bool
    default: false
  unsaid:
    description: Whether the inventory does not say if servers have TLS. It warns of that.
    type: bool
    default: false
  tls:
    description: >-
      How to ask with TLS: C(ca), the path of the certificates that servers must have theirs from, and
      C(certificate), the path of the key and the certificate to ask with. Members then have C(tls_port), too.
      Empty for no TLS.
    type: dict
    default: {}
  timeout:
    description: How long to wait for health, in seconds. V(0) looks once.
    type: float
    default: 60
  settle:
    description: >-
      Seconds after which pending servers that serve nobody, or do not answer and are not needed for the
      quorum, are no longer waited for (RV(idle)).
    type: float
    default: 10
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Wait until the ensemble is healthy
  zklab.zookeeper.zookeeper_gate:
    members:
      - {name: zk1, host: 10.0.0.11, client_port: 2181}
      - {name: zk2, host: 10.0.0.12, client_port: 2181}
      - {name: zk3, host: 10.0.0.13, client_port: 2181}
"""

RETURN = r"""
healthy: {description: Whether the ensemble is healthy., type: bool, returned: always}
members:
  description: "By name: reachable, mode, version, zxid, synced_followers, synced_others, error."
  type: dict
  returned: always
problems: {description: Why it is not healthy., type: list, returned: always}
blamed: {description: Names of the members to look at., type: list, returned: always}
rolling:
  description: "Pending members that serve, in the order of restart: observers first, the leader last."
  type: list
  returned: always
idle:
  description: Pending members that run but serve nobody, or do not answer and are not needed for the quorum.
  type: list
  returned: always
waited: {description: "How long it took, in seconds.", type: float, returned: always}
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import (
    UNSAID,
    Member,
    Problem,
    State,
    clocks_apart,
    judge,
    judge_change,
    look,
    losing,
    still_running,
    tls_context,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_restart_order import idle, rolling

ANSWER_SECONDS = 2.0  # a server that takes longer is of no use to its clients either
PAUSE_SECONDS = 0.25


def look_at_all(members: list[Member], tls: dict[str, str]) -> dict[str, State]:
    try:
        context = tls_context(tls)  # each time: while it waits, the files may change
    except OSError as error:
        return {member.name: State(reachable=False, error=str(error)) for member in members}
    with ThreadPoolExecutor(max_workers=len(members)) as pool:
        states = pool.map(lambda member: look(member, ANSWER_SECONDS, context), members)
        return dict(zip((member.name for member in members), states, strict=True))


class Finding(NamedTuple):
    """What the last look showed; ``stuck`` are pending servers that serve nobody, no longer waited for."""

    states: dict[str, State]
    problems: list[Problem]
    stuck: list[str]
    waited: float


def asked(
    members: list[dict[str, Any]], ports: dict[str, Any], pending: set[str], *, tls: bool
) -> list[Member]:
    """The members where they can be asked now: until its restart, one that is pending keeps its old port."""
    port = "tls_port" if tls else "client_port"
    old = {name: port for name, port in ports.items() if name in pending}
    return [
        Member(
            one["name"],
            one["host"],
            int(old.get(one["name"], one[port])),
            bool(one.get("observer")),
        )
        for one in members
    ]


def _warnings(states: dict[str, State], given: dict[str, Any]) -> list[str]:
    """What is to be told once all is done: of releases, and of servers that left and still run."""
    versions = {name: state.version for name, state in states.items()}
    clocks = {name: float(clock) for name, clock in given["clocks"].items()}
    return [
        *losing(versions, snapshots=given["snapshots"]),
        *clocks_apart(clocks),
        *([UNSAID] if given["unsaid"] else []),
        *(
            f"Server {server} is no longer a member, but still runs. Nobody counts its vote; stop it: "
            "systemctl disable --now zookeeper"
            for server in still_running(given["gone"])
        ),
    ]


def wait(
    members: list[Member],
    pending: set[str],
    *,
    changing: bool,
    timeout: float,
    settle: float,
    tls: dict[str, str],
) -> Finding:
    """Look until the ensemble is healthy, or cannot become so without a restart, or the time is over."""
    start = time.monotonic()
    while True:
        states = look_at_all(members, tls)
        problems = judge_change(members, states, pending) if changing else judge(members, states)
        waited = time.monotonic() - start
        stuck = idle(members, states, pending, changing=changing) if problems and waited >= settle else []
        if not problems or stuck or waited >= timeout:
            return Finding(states, problems, stuck, waited)
        time.sleep(PAUSE_SECONDS)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "members": {"type": "list", "elements": "dict", "required": True},
            "pending": {"type": "list", "elements": "str", "default": []},
            "deployed_ports": {"type": "dict", "default": {}},
            "changing": {"type": "bool", "default": False},
            "first": {"type": "str", "default": ""},
            "gone": {"type": "dict", "default": {}},
            "clocks": {"type": "dict", "default": {}},
            "snapshots": {"type": "bool", "default": False},
            "unsaid": {"type": "bool", "default": False},
            "tls": {"type": "dict", "default": {}},
            "timeout": {"type": "float", "default": 60},
            "settle": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    given, pending = module.params, set(module.params["pending"])
    members = asked(given["members"], given["deployed_ports"], pending, tls=bool(given["tls"]))
    changing = bool(pending) and given["changing"]
    found = wait(
        members,
        pending,
        changing=changing,
        timeout=given["timeout"],
        settle=given["settle"],
        tls=given["tls"],
    )
    healthy = not found.problems
    for text in _warnings(found.states, given) if healthy and not pending else ():
        module.warn(text)
    module.exit_json(
        changed=False,
        healthy=healthy,
        members={name: asdict(state) for name, state in found.states.items()},
        problems=[problem.text for problem in found.problems],
        blamed=list(dict.fromkeys(problem.member for problem in found.problems if problem.member)),
        rolling=rolling(members, found.states, pending, changing=changing, first=given["first"]),
        idle=found.stuck,
        waited=round(found.waited, 1),
    )


if __name__ == "__main__":
    main()
