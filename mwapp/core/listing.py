"""How often a list of names that changes all the time is read again."""

from mwapp.core.session import Callback, Scope

# Where each change is told by name, too, the list is read for what those miss: the pause between two readings
# is at least this, and this for each name, seconds. It holds for a short list, too.
FOLLOWED_SECONDS, FOLLOWED_LEAST = 1e-4, 0.5


def list_again(scope: Scope, look: Callback, *, listed: float, names: int, followed: bool = False) -> None:
    """The list has changed: look again, but not at a long list at each of its changes.

    ``listed``: when it was read, monotonic seconds; it had so many names. ``followed``: somebody is told of
    each change by name.
    """
    if followed:
        wait = listed + max(FOLLOWED_LEAST, names * FOLLOWED_SECONDS) - scope.now
    else:
        wait = listed + names * scope.limits.listing - scope.now if names > scope.limits.short_list else 0
    if wait > 0:
        scope.after(wait, look)
    else:
        look()
