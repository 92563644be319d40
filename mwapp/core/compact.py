"""JSON as znodes have it: without blanks, and readable in every language.

Processes do little else as often: what ``json.dumps`` and ``json.loads`` find out each time is known here.
"""

import json
from typing import Any

BLANKS = " \t\n\r"  # of JSON (RFC 8259, section 2)

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_begin = json.JSONDecoder().raw_decode


def decode(text: str) -> Any:
    """What the text says. Raises ValueError, and RecursionError if it is nested too deeply."""
    text = text.strip(BLANKS)
    value, end = _begin(text)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value
