"""What the role mwapp makes of its variables."""

from __future__ import annotations

from tests.unit.zookeeper_role import load_file

filters = load_file("filter/mwapp_filters.py")


def test_the_ensemble_is_where_the_inventory_says() -> None:
    hostvars = {
        "zk1": {
            "ansible_host": "192.0.2.1",
            "zookeeper_host": "zk1.internal",
            "zookeeper_client_port": "2182",
        },
        "zk2": {"ansible_host": "2001:db8::2", "zookeeper_host": "", "zookeeper_client_port": ""},
        "zk3": {},
    }
    connect = filters.mwapp_connect(["zk1", "zk2", "zk3"], hostvars)
    assert connect == "zk1.internal:2182,[2001:db8::2]:2181,zk3:2181"
    assert filters.mwapp_connect([], {}) == ""
