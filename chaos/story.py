"""The story of the seeds, played on the running lab and told as it happens.

``python -m chaos.story`` prints it with times, then a table; the same figures go to
build/demo/summary.json. Exit status 0 only if the story held.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos import faults
from chaos.cluster import MASTER_PORT, Cluster, StoryError, wait_for
from chaos.load import Submitter, Writer
from lab import Lab

log = logging.getLogger(__name__)

SUMMARY = Path("build/demo/summary.json")
LOAD_PER_SECOND = 20
REFUSAL_SECONDS = 3


@dataclass(slots=True)
class Story:
    """The cast, the clock and the figures."""

    cluster: Cluster
    submitter: Submitter
    writers: list[Writer]
    began: float = field(default_factory=time.monotonic)
    takeover_ms: dict[str, list[float]] = field(default_factory=dict)
    write_gap_ms: dict[str, list[float]] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Tell it, with the seconds since the story began."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def takeover(self, fault: str, ms: float) -> None:
        """Note a time, milliseconds."""
        self.takeover_ms.setdefault(fault, []).append(round(ms, 1))

    def gap(self, fault: str, ms: float) -> None:
        """Note the longest write gap under a fault, milliseconds."""
        self.write_gap_ms.setdefault(fault, []).append(round(ms, 1))

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """A heading, and a moment of quiet afterwards in which all is well again."""
        print(f"\n{title}", flush=True)
        yield
        self.cluster.settle()

    # ------------------------------------------------------------ chapters

    def cast(self) -> None:
        """Who is who; the preset roles of the seeds: mw1 active, mw2 its backup."""
        with self.chapter("The cast"):
            for node, mode in self.cluster.modes().items():
                self.say(f"{node} is {mode}")
            if self.cluster.master() != "mw1":
                self.say("mw2 won the first election; it is stopped gracefully so that mw1 takes the office")
                self.cluster.systemctl("mw2", "restart", faults.MASTER_UNIT)
                wait_for("mw1 active", lambda: self.cluster.master() == "mw1", 15)
            epoch = self.cluster.endpoint("mw1", MASTER_PORT)["epoch"]
            self.say(f"mw1 is the active master (epoch {epoch}), mw2 its backup; workers on mw1, mw2, mw3")

    def work(self) -> None:
        """A few tasks to look at, then a steady load until the end."""
        with self.chapter("Tasks are submitted and run"):
            for command in ("hostname", "echo $((6 * 7))", "exit 3"):
                name = self.submitter.submit(command)
                ending = self.submitter.wait(name)
                said = ending.outcome.output.strip() or f"exit status {ending.outcome.code}"
                self.say(f"{name}  {command!r} -> {ending.state} on {ending.outcome.worker}: {said}")
                self.submitter.expected_failures += ending.state == "failed"
            self.submitter.load(LOAD_PER_SECOND)
            self.say(f"from now on {LOAD_PER_SECOND} tasks a second, and a client writing at each server")
            time.sleep(2)

    def master_dies(self) -> None:
        """SIGKILL of the active master's process."""
        with self.chapter("The active master is SIGKILLed"):
            old = self.cluster.master()
            self.say(f"kill -9 of the master on {old}")
            takeover = faults.kill_master(self.cluster)
            self.takeover("sigkill", takeover.ms)
            self.say(
                f"{takeover.master} is master, epoch {takeover.epoch}: "
                f"its first write came {takeover.ms:.0f} ms after the kill"
            )

    def worker_loses_power(self) -> None:
        """A worker's host goes dark with tasks on it; they are run elsewhere."""
        with self.chapter("A worker's host loses power"):
            self.say("mw3 is given tasks of three seconds, and then no more electricity")
            endings, ms = faults.lose_worker(self.cluster, self.submitter, power=True)
            self.takeover("worker_power_cut", ms)
            for ending in endings:
                self.say(f"{ending.task} of mw3 ran again {ending.outcome.output.strip()}")
            self.say(f"its session had to time out first: {ms / 1000:.1f} s until the last ran elsewhere")
            self.cluster.lab.boot("mw3")
            self.say("mw3 has power again")

    def leader_dies(self) -> None:
        """SIGKILL of the ensemble's leader; clients go on."""
        with self.chapter("The ensemble's leader is killed"):
            self.say(f"kill -9 of the server on {self.cluster.leader()}, the leader")
            leader, gap = faults.kill_leader(self.cluster, self.writers)
            self.gap("leader_kill", gap)
            self.say(f"{leader} leads now; no client waited longer than {gap:.0f} ms for a write")

    def servers_go_down(self) -> None:
        """One of three down: served. Two down: refused, and nothing lost."""
        with self.chapter("One server of three down, then two"):
            leader = self.cluster.leader()
            first, second = (node for node in self.cluster.servers if node != leader)
            began = time.monotonic()
            self.cluster.lab.power_cut(first)
            self.say(f"{first} is off")
            wait_for("writes go on", lambda: all(w.writes_since(began + 1) > 20 for w in self.writers), 15)
            gap = max(w.longest_gap(began, time.monotonic()) for w in self.writers) * 1000
            self.gap("one_of_three_down", gap)
            self.say("two servers still are a quorum: writes go on")
            self.say(f"(its clients noticed the silence and changed over in {gap / 1000:.1f} s)")
            self.cluster.lab.power_cut(second)
            self.say(f"{second} is off too: {leader} alone is no quorum")
            time.sleep(1)
            dark = time.monotonic()
            time.sleep(REFUSAL_SECONDS)
            written = sum(w.writes_since(dark) for w in self.writers)
            if written:
                raise StoryError(f"{written} writes were acknowledged without a quorum")
            self.say(f"for {REFUSAL_SECONDS} s no write was acknowledged")
            self.cluster.lab.boot(first)
            self.cluster.lab.boot(second)
            self.say(f"{first} and {second} have power again")
            self.cluster.leader()
            healed = time.monotonic()
            wait_for(
                "every client writes again", lambda: all(w.writes_since(healed) for w in self.writers), 30
            )
            for writer in self.writers:
                writer.verify()
            gap = max(w.longest_gap(dark, time.monotonic()) for w in self.writers) * 1000
            self.gap("two_of_three_down", gap)
            self.say("the quorum is back, every client writes, every acknowledged write is there")

    def play(self) -> None:
        """All of it."""
        self.cast()
        self.work()
        self.master_dies()
        self.worker_loses_power()
        self.leader_dies()
        self.servers_go_down()
        print("\nAll heals", flush=True)
        self.submitter.load(0)
        self.say("no more tasks are submitted; waiting for the last ones")
        self.submitter.drain()


def report(story: Story, problem: str | None) -> dict[str, Any]:
    """Print the table; return the summary."""
    ledger = story.submitter.ledger()
    held = problem is None and not ledger.lost and not ledger.doubled
    held = held and len(ledger.failed) == story.submitter.expected_failures
    print(f"\n{'The story held' if held else 'THE STORY DID NOT HOLD'}{': ' + problem if problem else ''}\n")
    counts = {
        "submitted": ledger.submitted,
        "done": ledger.done,
        "failed": len(ledger.failed),
        "lost": len(ledger.lost),
        "doubled": len(ledger.doubled),
    }
    print("  tasks        " + "   ".join(f"{name} {n}" for name, n in counts.items()))
    meant = story.submitter.expected_failures
    print(f"               {meant} were meant to fail, {ledger.moved} took a second attempt")
    for title, figures in (("taken over", story.takeover_ms), ("write gap", story.write_gap_ms)):
        for fault, times in figures.items():
            print(f"  {title:11}  {fault.replace('_', ' '):20} {', '.join(f'{ms:.0f} ms' for ms in times)}")
    for what in ("lost", "doubled"):
        for name in getattr(ledger, what):
            print(f"  {what}: {name}")
    return {
        "ok": held,
        "problem": problem,
        "tasks": counts,
        "takeover_ms": story.takeover_ms,
        "write_gap_ms": story.write_gap_ms,
    }


def main() -> int:
    """Play the story on the lab that LAB names."""
    logging.basicConfig(level=logging.ERROR)  # clients warn of every connection we cut on purpose
    SUMMARY.unlink(missing_ok=True)  # that of an earlier run must not pass for this one's
    with ExitStack() as stack:
        cluster = Cluster(Lab())
        cluster.settle()
        submitter = stack.enter_context(Submitter(cluster))
        writers = [stack.enter_context(Writer(cluster, node)) for node in cluster.servers]
        story = Story(cluster, submitter, writers)
        problem = None
        try:
            story.play()
        except Exception as error:  # whatever it is, the story did not hold, and what is known is told
            problem = f"{type(error).__name__}: {error}"
            log.exception("the story broke off")
        summary = report(story, problem)
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    SUMMARY.write_text(json.dumps(summary, indent=2) + "\n")
    print(f"\n  {SUMMARY} has the figures. The lab is still up; look around:")
    for command in (
        "make ssh NODE=zk1          # then: zkServer.sh status; zkCli.sh",
        "make ssh NODE=mw1          # then: mwapp status; mwapp submit 'echo hello' --wait",
        "make down                  # removes everything",
    ):
        print(f"    {command}")
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
