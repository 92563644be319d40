"""What the system costs, against what it is made of: ``python -m bench``; docs/benchmarks.md says how.

Every figure is a ratio of things measured in the same run, turn by turn, so that a noisy machine slows
both. A part that needs a provisioned lab uses the one that LAB names.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "examples/stores"))  # the stores are not installed
