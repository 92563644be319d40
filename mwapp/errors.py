"""What can go wrong, and the exit status each problem has.

The statuses are an interface: scripts test them, so no number ever gets a new meaning.

====  =========================================================================
code  meaning
====  =========================================================================
0     it worked
1     a task failed, or was cancelled while it was waited for
2     wrong usage or bad input; the message names the setting and the remedy
3     the ensemble cannot be reached
4     there is no such task
5     the time limit of an option was reached
6     there are too many tasks; later there may be room
7     refused: another task has the name, or the ensemble refuses (no permission, for example)
70    a defect in mwapp itself; the message is a traceback worth reporting
74    it worked, but standard output cannot be written (a full disk); standard error has it
129   SIGHUP has ended a command: its terminal was closed
130   interrupted from the keyboard
143   SIGTERM has ended a command, as `timeout` sends it
====  =========================================================================
"""

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from mwapp.client.background import End

OK = 0
DEFECT = 70
UNWRITTEN = 74
INTERRUPTED = 130


class MwappError(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1
    # For programs in Python: the tasks that were stored all the same, if not all of several were.
    submitted: "tuple[Any, ...]" = ()

    def __init__(self, message: str | None = None) -> None:
        """Without a message the first line of the class's docstring is the message."""
        super().__init__(message or (type(self).__doc__ or "").split("\n", 1)[0])


class TaskFailedError(MwappError):
    """A task failed."""

    exit_code = 1
    end: "End"  # for programs in Python: how it ended


class BadInputError(MwappError):
    """A setting or an argument cannot be used as it is."""

    exit_code = 2


class UnreachableError(MwappError):
    """The ensemble cannot be reached."""

    exit_code = 3


class NotFoundError(MwappError):
    """There is no such task."""

    exit_code = 4


class TimedOutError(MwappError, TimeoutError):
    """The time limit was reached."""

    exit_code = 5


class FullError(MwappError):
    """There are too many tasks."""

    exit_code = 6


class RefusedError(MwappError):
    """The ensemble refused the request."""

    exit_code = 7


class ClosedError(MwappError):
    """This client is closed."""

    exit_code = DEFECT  # a command does not close its own; only a defect does
