"""Who may connect to which port, by the inventory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.zookeeper_role import load_file

filters = load_file("filter/packet_filter_rules.py")

MEMBERS = [{"name": "vm1", "host": "zk1"}, {"name": "vm2", "host": "2001:db8::2"}]
GROUPS = {"mwapp_masters": ["mw1"], "mwapp_workers": ["mw1", "vm1"], "mwapp_nodes": ["mw2"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "mw1": {"ansible_host": "192.0.2.11"},
    "mw2": {"mwapp_host": "mw2.internal", "ansible_host": "192.0.2.12"},
    "vm1": {},
}
SETTINGS = {
    "zookeeper_client_port": 2181,
    "zookeeper_tls": False,
    "zookeeper_tls_port": 2182,
    "zookeeper_quorum_port": 2888,
    "zookeeper_election_port": 3888,
    "zookeeper_admin_server": False,
    "zookeeper_admin_port": 8080,
    "zookeeper_config": {},
    "zookeeper_client_networks": ["198.51.100.0/24"],
    "zookeeper_monitoring_networks": ["prometheus"],
}


def server(known: list[Any] | None = None, **settings: Any) -> dict[tuple[int, ...], list[str]]:
    """Who may connect, by the ports."""
    rules = filters.zookeeper_packet_filter(MEMBERS, SETTINGS | settings, HOSTVARS, GROUPS, known or [])
    return {tuple(rule["ports"]): [source["address"] for source in rule["sources"]] for rule in rules}


def test_members_reach_each_other_and_clients_the_client_port() -> None:
    peers = ["zk1", "2001:db8::2"]
    assert server() == {
        (2888, 3888): peers,
        (2181,): [*peers, "192.0.2.11", "vm1", "mw2.internal", "198.51.100.0/24"],
        (): ["prometheus"],
    }


def test_each_address_says_where_it_comes_from() -> None:
    rules = filters.zookeeper_packet_filter(MEMBERS, SETTINGS, HOSTVARS, GROUPS, [])
    settings = {source["address"]: source["setting"] for rule in rules for source in rule["sources"]}
    assert settings["zk1"] == "zookeeper_host of vm1"
    assert settings["192.0.2.11"] == "mwapp_host of mw1"
    assert settings["198.51.100.0/24"] == "zookeeper_client_networks"
    assert settings["prometheus"] == "zookeeper_monitoring_networks"
    assert not [source for rule in rules for source in rule["sources"] if source["optional"]]


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ({"zookeeper_client_port": "2182"}, [(2888, 3888), ("2182",), ()]),
        ({"zookeeper_tls": "true", "zookeeper_tls_port": "2281"}, [(2888, 3888), (2181, 2281), ()]),
        ({"zookeeper_config": {"secureClientPort": 2281}}, [(2888, 3888), (2181, 2281), ()]),
        ({"zookeeper_config": {"observerMasterPort": "2191"}}, [(2888, 3888, 2191), (2181,), ()]),
        ({"zookeeper_config": {"observerMasterPort": 0}}, [(2888, 3888), (2181,), ()]),
        ({"zookeeper_admin_server": "yes"}, [(2888, 3888), (2181,), (8080,)]),
    ],
)
def test_ports_are_those_of_the_settings(settings: dict[str, Any], ports: list[Any]) -> None:
    assert list(server(**settings)) == ports


def test_on_the_way_from_tls_back_its_port_stays_open() -> None:
    """Until the clients have moved; without the running servers it is as the inventory says."""

    def ports(*speaks: str | None) -> list[int]:
        both = {"plain": 2181, "tls": 2182}
        known = [{"servers": {}, "speaks": phase, "deployed_ports": both} for phase in speaks]
        rules = filters.zookeeper_packet_filter(MEMBERS, SETTINGS, HOSTVARS, GROUPS, [*known, {}])
        return list(rules[1]["ports"])

    assert ports("accepts", "plain") == ports("tls") == [2181, 2182]
    assert ports("plain", "", None) == ports() == [2181]


@pytest.mark.parametrize(
    ("config", "ports"),
    [
        ({}, (7000,)),
        ({"metricsProvider.httpPort": 7001, "metricsProvider.httpsPort": 7002}, (7001, 7002)),
        ({"metricsProvider.className": "x.DefaultMetricsProvider", "metricsProvider.httpPort": 7001}, ()),
    ],
)
def test_metrics_are_for_monitoring(config: dict[str, Any], ports: tuple[int, ...]) -> None:
    provider = {"metricsProvider.className": "org.apache.zookeeper.metrics.PrometheusMetricsProvider"}
    assert server(zookeeper_config=provider | config)[ports] == ["prometheus"]


def test_networks_given_by_e_are_text() -> None:
    clients = server(zookeeper_client_networks="192.0.2.7, bastion,")[(2181,)]
    assert clients[-2:] == ["192.0.2.7", "bastion"]


def test_one_that_leaves_is_let_in_while_servers_know_it() -> None:
    known = [
        {"servers": {"1": "zk1:2888:3888", "3": "zk3:2888:3888"}},
        {"servers": {"2": "[2001:db8::2]:2888:3888", "4": "[2001:db8::4]:2888:3888:observer"}},
        {"msg": "unreachable"},
    ]
    rules = filters.zookeeper_packet_filter(MEMBERS, SETTINGS, HOSTVARS, GROUPS, known)
    optional = [source["address"] for source in rules[0]["sources"] if source["optional"]]
    assert optional == ["2001:db8::4", "zk3"]
    assert set(optional) < {source["address"] for source in rules[1]["sources"]}


def test_ports_that_servers_still_use_are_filtered_until_all_have_left_them() -> None:
    known = [
        {
            "deployed_ports": {"plain": 2171, "tls": 2172},
            "servers": {"1": "zk1:2888:3888", "2": "[2001:db8::2]:2878:3878:observer"},
        },
        {"deployed_ports": {"plain": 2181, "tls": 2182}, "servers": {}},
        {"unreachable": True},
    ]
    peers = ["zk1", "2001:db8::2"]
    clients = [*peers, "192.0.2.11", "vm1", "mw2.internal", "198.51.100.0/24"]
    assert server(known) == {(2888, 3888, 2878, 3878): peers, (2181, 2171): clients, (): ["prometheus"]}
    changed = server(known, zookeeper_quorum_port=2889)
    assert next(iter(changed)) == (2889, 3888, 2878, 2888, 3878)


def test_a_new_member_behind_filters_that_limit_leaves_out_is_refused() -> None:
    old = {"item": "vm1", "servers": {"1": "zk1:2888:3888"}}
    [problem] = filters.zookeeper_shut_out(MEMBERS, ["vm2"], [old])
    assert problem.startswith("The packet filter of vm1 does not let vm2 in")
    assert "without --limit" in problem
    knows = {"item": "vm1", "servers": {"1": "zk1:2888:3888", "2": "[2001:db8::2]:2888:3888:observer"}}
    assert filters.zookeeper_shut_out(MEMBERS, ["vm2"], [knows]) == []
    assert filters.zookeeper_shut_out(MEMBERS, ["vm1"], [old]) == []
    assert filters.zookeeper_shut_out(MEMBERS, ["vm2"], [{"item": "vm1", "msg": "unreachable"}]) == []


def test_clients_that_are_connected_are_not_cut_off_unasked() -> None:
    def found(*addresses: str) -> dict[str, Any]:
        return {"__zookeeper_filter": {"cut_off": list(addresses)}}

    hostvars = {"vm1": found("192.0.2.9"), "vm2": found("192.0.2.8", "192.0.2.9"), "vm3": {}}
    [problem] = filters.zookeeper_cut_off(["vm1", "vm2", "vm3"], hostvars)
    assert "192.0.2.8 (at vm2), 192.0.2.9 (at vm1, vm2). Name them in zookeeper_client_networks" in problem
    assert "-e zookeeper_packet_filter_cut_off=true" in problem
    assert filters.zookeeper_cut_off(["vm1"], {"vm1": found()}) == []


def test_status_endpoints_are_for_the_application_and_monitoring() -> None:
    services = [{"port": 2223}, {"port": 2224}]
    [rule] = filters.mwapp_packet_filter(services, ["192.0.2.7"], HOSTVARS, GROUPS)
    assert rule["ports"] == [2223, 2224]
    addresses = {source["address"]: source["setting"] for source in rule["sources"]}
    assert addresses == {
        "192.0.2.11": "mwapp_host of mw1",
        "vm1": "mwapp_host of vm1",
        "mw2.internal": "mwapp_host of mw2",
        "192.0.2.7": "mwapp_monitoring_networks",
    }
