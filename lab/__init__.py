"""Real systemd hosts on one Linux machine, and every way to break them.

from lab import Lab
lab = Lab("demo")
lab.up(["zk1", "zk2", "zk3"])
lab.exec("zk1", ["systemctl", "is-active", "ssh"]).stdout
lab.power_cut("zk1")
lab.boot("zk1")
lab.down()
"""

from lab.core import Lab
from lab.errors import LabError, UnknownError
from lab.spec import DEFAULT_NODES, Node

__all__ = ["DEFAULT_NODES", "Lab", "LabError", "Node", "UnknownError"]
