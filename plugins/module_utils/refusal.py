"""How the collection's code refuses what it is asked for."""

from __future__ import annotations


class RefusalError(Exception):
    """Something is refused; the message says what and why, and names the remedy."""
