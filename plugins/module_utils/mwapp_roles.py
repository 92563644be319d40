"""The services of the application."""

from __future__ import annotations

# In the order in which they go: while workers give their tasks back, nobody should hand these out again.
ROLES = ("master", "node", "worker")
