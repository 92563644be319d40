"""What the journals of a lab's nodes say, as :mod:`testbed.evidence` reads it."""

import json
import time
from collections.abc import Collection

from lab import Lab

# A line of a ZooKeeper server says its level itself; all others have journald's.
OWN = ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")
LEVELS = {"2": "critical", "3": "error", "4": "warning", "7": "debug"}


def journals(
    lab: Lab, since: str, units: Collection[str] = (), names: Collection[str] = ()
) -> list[tuple[str, str]]:
    """What these units and systemd of them (without any: everybody) have said on these nodes (without any: on
    all) since then. Those that do not run have nothing to say."""
    fields = "--output-fields=MESSAGE,PRIORITY"
    ask = ["journalctl", "--quiet", "--no-pager", "--utc", "--output=json", fields]
    ask += [f"--since={since.replace('T', ' ')} UTC", *(f"--unit={unit}" for unit in units)]
    running = [name for name in names or lab.nodes if lab.state(name) == "running"]
    return [(name, "\n".join(map(_line, lab.exec(name, ask).stdout.splitlines()))) for name in running]


def _line(entry: str) -> str:
    fields = json.loads(entry)
    seconds, rest = divmod(int(fields["__REALTIME_TIMESTAMP"]), 1_000_000)
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:03}Z"
    message = str(fields["MESSAGE"])
    level = [] if message.startswith(OWN) else [LEVELS.get(fields.get("PRIORITY", ""), "info")]
    return " ".join([at, *level, message])
