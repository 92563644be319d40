"""JSON as znodes have it."""

import json

import pytest

from mwapp.core import compact

VALUE = {"name": "Grüße \u2028 \x00", "half": "\ud800", "list": [1, 2.5, None, True], "empty": {}}


def test_it_is_written_short_and_as_it_is_spelt() -> None:
    written = compact.encode(VALUE)
    assert written.startswith('{"name":"Grüße \u2028 \\u0000","half":')
    assert json.loads(written) == VALUE


@pytest.mark.parametrize("around", ["", " ", "\t\r\n "])
def test_it_is_read_whatever_blanks_are_around(around: str) -> None:
    assert compact.decode(around + json.dumps(VALUE, indent=2) + around) == VALUE


@pytest.mark.parametrize(
    "text", ["", " ", "{}}", '{"a":1} {"b":2}', "{} date", "\u00a0{}", "\ufeff{}", "{}\x0b", "{'a': 1}"]
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Extra data"):
        compact.decode(text)


def test_what_is_nested_too_deeply_is_no_crash() -> None:
    with pytest.raises(RecursionError):
        compact.decode("[" * 100_000)
