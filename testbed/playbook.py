"""Plays playbooks as an operator does, and reads the result."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
NEWEST = Path(sys.executable).parent
# The commands of the oldest and the newest ansible-core that the roles support.
TOOLS = {"oldest": NEWEST.parent / "oldest/bin", "newest": NEWEST}


@dataclass(frozen=True)
class Played:
    """How a play ended, and when it was (monotonic time)."""

    status: int
    output: str
    began: float
    ended: float

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts, by the recap, which must exist."""
        counts = re.findall(r"changed=(\d+)", self.output)
        assert counts, self.output
        return sum(map(int, counts))

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def text(self) -> str:
        """The output without its line breaks."""
        return " ".join(self.output.split())


def environment(**more: str) -> dict[str, str]:
    """This process's environment and ``more``, without what Molecule sets for its own Ansible."""
    return {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")} | more


def play(name: str, *options: str, tools: Path = NEWEST) -> Played:
    """Play one of the checkout's playbooks by its name."""
    return play_in(PROJECT, f"playbooks/{name}.yml", *options, tools=tools, env=environment())


def play_in(directory: Path, playbook: str, *options: str, tools: Path, env: dict[str, str]) -> Played:
    """Play a playbook from that directory."""
    began = time.monotonic()
    done = subprocess.run(
        [str(tools / "ansible-playbook"), playbook, *options],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,  # nobody can answer questions
        capture_output=True,
        text=True,
        check=False,
    )
    return Played(done.returncode, done.stdout + done.stderr, began, time.monotonic())
