"""For tests of what runs: what is killed is waited for, however slow the machine is."""

from collections.abc import Iterator

import pytest

from testbed.waiting import LONGEST_WAIT


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """In every module that imports it. A daemon gives up after seconds on what the kernel does not remove."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mwapp.execution.process_group.GROUP_END", 10 * LONGEST_WAIT)
        patch.setattr("mwapp.execution.runner.THREAD_END", LONGEST_WAIT)
        patch.setattr("mwapp.execution.remote.THREAD_END", LONGEST_WAIT)
        yield
