"""Single keys from the terminal, for a command that runs until somebody has seen enough."""

import os
import select
import sys
import termios
import time
import tty
from contextlib import suppress


class Keys:
    """The keys pressed from now on, one by one and without echo, until :meth:`close`.

    There are none if standard input is not a terminal, or belongs to another command in the foreground.
    """

    def __init__(self) -> None:
        self._terminal: int | None = None
        if _in_foreground():
            self._terminal = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal, termios.TCSANOW)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._terminal is not None:
            with suppress(termios.error):  # it was closed
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)

    def pressed(self, key: str, seconds: float) -> bool:
        """Wait up to that many seconds for this key. Returns whether it was pressed."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._terminal is None:
                time.sleep(left)
            elif select.select([self._terminal], [], [], left)[0]:
                read = os.read(self._terminal, 1)
                if read == key.encode():
                    return True
                if not read:  # nobody is there any more
                    self._terminal = None
        return False


def _in_foreground() -> bool:
    try:
        return (
            sys.stdin is not None and sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        )
    except OSError:  # it is not this session's terminal
        return False
