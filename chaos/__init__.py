"""Faults on the running system under load, and what they cost.

The demo, the scenarios and the benchmarks use it on a lab that ``playbooks/site.yml`` has provisioned.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "examples/stores"))  # the stores are not installed
