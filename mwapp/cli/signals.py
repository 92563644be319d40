"""A command that is ended from outside tells first what it has done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never

# What `timeout`, systemd and CI send; and a terminal that is closed.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
# What a shell adds to a signal's number for the exit status.
_BY_SIGNAL = 128


class EndedError(BaseException):
    """This signal has come. Like KeyboardInterrupt it is no Exception."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = _BY_SIGNAL + number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raises EndedError when one comes. What is ignored, as below nohup, still is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    heeded = [number for number, action in before.items() if action == signal.SIG_DFL]
    try:
        for number in heeded:
            signal.signal(number, _end)
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _end(number: int, _frame: FrameType | None) -> Never:
    for other in _ENDING:  # a closed terminal tells twice: the second is not to cut short what is told
        signal.signal(other, signal.SIG_IGN)
    raise EndedError(number)
