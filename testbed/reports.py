"""What pytest shows of a failure, and in which order."""

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntryNative


def put_first(report: pytest.TestReport, title: str, text: str) -> None:
    """Show this before everything else of the failure, also when the report comes from another process.

    pytest prints its sections after the traceback, so it becomes the first entry of that.
    """
    shown = report.longrepr
    if isinstance(shown, ExceptionChainRepr):
        (first, *_), *_ = shown.chain
        first.reprentries = [ReprEntryNative([f"--- {title}\n{text}\n---\n"]), *first.reprentries]
    else:  # there is no traceback
        report.sections.insert(0, (title, text))
