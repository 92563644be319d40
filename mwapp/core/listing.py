"""How often a list of names that changes all the time is read again."""

from mwapp.core.session import Callback, Scope

# The pause between two readings is at least this for each name, seconds. If the list is short, every change
# is read at once.
LISTING_SECONDS = 5e-6


def list_again(scope: Scope, look: Callback, *, listed: float, names: int) -> None:
    """The list has changed: look again, but not at a long list at each of its changes.

    ``listed``: when it was read, monotonic seconds; it had so many names.
    """
    wait = listed + names * LISTING_SECONDS - scope.now
    if wait > 0 and names > scope.limits.short_list:
        scope.after(wait, look)
    else:
        look()
