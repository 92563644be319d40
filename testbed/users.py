"""Whether tests can be other users than their own."""

import functools
import os
import subprocess
import sys
import tempfile


@functools.cache
def becomes_nobody() -> bool:
    """We are root, and the user nobody can read this checkout and what is installed for it."""
    if os.geteuid() != 0:
        return False
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    done = subprocess.run(
        [*as_nobody, sys.executable, "-P", "-c", "import mwapp, click"],
        cwd=tempfile.gettempdir(),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0
