"""Playbooks, played as an operator plays them, and what is said of it at the end."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
NEWEST = Path(sys.executable).parent
# Where the commands of the oldest and the newest ansible-core are that the roles support.
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
        """How many tasks changed something, over all hosts, by the recap; there has to be one."""
        counts = re.findall(r"changed=(\d+)", self.output)
        assert counts, self.output
        return sum(map(int, counts))

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def text(self) -> str:
        """What was said, whatever the lines were broken into."""
        return " ".join(self.output.split())


def environment(**more: str) -> dict[str, str]:
    """That of this process and ``more``, with nothing of what Molecule tells its own Ansible."""
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
        stdin=subprocess.DEVNULL,  # nobody is there to answer questions
        capture_output=True,
        text=True,
        check=False,
    )
    return Played(done.returncode, done.stdout + done.stderr, began, time.monotonic())
