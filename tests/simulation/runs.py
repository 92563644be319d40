"""What must hold of the commands that hosts run."""

from collections import defaultdict
from typing import TYPE_CHECKING

from mwapp.core.protocol import Outcome, secret_path
from mwapp.core.running import GRACE_SECONDS
from mwapp.core.task import encode_secrets
from mwapp.core.worker import MOST_REFUSALS
from tests.simulation.accounts import unlike
from tests.simulation.host import Host
from tests.simulation.runner import DEATH, Execution
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.judge import Judge

# A command may end this much too late, seconds: timers are late, and so is what they start.
SLACK = 0.5


class Runs:
    """Sees every start of a command, and its end, and judges them by what was committed."""

    def __init__(self, judge: "Judge") -> None:
        self._judge = judge
        self.last: dict[tuple[str, int], Execution] = {}  # by task and attempt, the last of each
        self.of: defaultdict[tuple[str, int], list[Execution]] = defaultdict(list)  # all of them

    def started(self, execution: Execution) -> None:
        """A command starts."""
        judge = self._judge
        task, attempt = execution.task, execution.attempt
        if (task, attempt) in self.last:
            judge.broken("attempts-bounded", task, f"{task}'s attempt {attempt} was started again")
        if execution.epoch not in judge.attempts.epochs(task, attempt):
            said = f"{task}'s attempt {attempt} is told epoch {execution.epoch!r}"
            judge.broken("token-grows", task, said)
        if execution.asked != judge.asked.get(task):
            judge.broken(
                "acked-never-lost", task, f"{task} is {judge.asked.get(task)}, but {execution.asked} runs"
            )
        if self._gone(execution.session) and execution.in_time:
            raise Violation(
                "no-zombie-run", f"{task} was started at {execution.host.name}, whose session has ended"
            )
        mine = self._undisturbed(execution)
        # What it read, that the task runs again, may be lost before it has started that: seed 91146174.
        unread = task in judge.lost and not judge.holders.get(task)
        if mine and task in judge.status and task not in judge.ended_by_hand and not unread:
            judge.broken("one-final-status", task, f"{task} has ended, yet its attempt {attempt} was started")
        if names := execution.asked.secrets:
            values = {name: execution.environment.get(name, "") for name in names}
            if encode_secrets(values) != judge.secrets.get(task):
                judge.broken("secrets-kept", task, f"{task} has the secret values {values}")
        for other in (run for (of, _), run in self.last.items() if of == task):
            if other.attempt > attempt and mine:
                judge.broken("token-grows", task, f"{task}: attempt {attempt} after {other.attempt}")
            if mine and self._undisturbed(other) and not other.over:
                judge.broken("duplicates-explained", task, f"{task}: {other.attempt} and {attempt} run")
            if not other.over and (other.host, other.life) == (execution.host, execution.life):
                raise Violation("duplicates-explained", f"{execution.host.name} runs {task} twice at once")
        self.last[task, attempt] = execution
        self.of[task, attempt].append(execution)

    def _undisturbed(self, execution: Execution) -> bool:
        """Whether its worker's session lives, and nobody changed it by hand."""
        judge, session = self._judge, execution.session
        return session in judge.ensemble.sessions and session not in judge.killed | judge.evicted

    def over(self, execution: Execution, now: float) -> None:
        """A command is over."""
        if execution.asked.timeout is None:
            return
        ran = now - execution.started - execution.spared
        if ran > execution.asked.timeout + GRACE_SECONDS + SLACK:
            raise Violation("timeout-enforced", f"{execution.task} ran for {ran:.1f} s")

    def awake(self, host: Host) -> None:
        """It handles events, so it must not continue without its session."""
        for execution in host.executions:
            dies = execution.killed and (execution.stuck or host.awake_for <= DEATH)
            if self._gone(execution.session) and not dies:
                raise Violation(
                    "no-zombie-run", f"{execution.task} goes on at {host.name} without its session"
                )
        process, election = host.process, host.election
        if process is None or process.session is None or not self._gone(process.session):
            return
        if election is not None and election.epoch is not None:
            raise Violation("master-steps-down", f"{host.name} acts on without its session")
        raise Violation("deadline-first", f"{host.name} takes its session for alive, which has ended")

    def look(self) -> None:
        """A session has ended: look at all hosts that handle events."""
        for host in self._judge.hosts:
            if not host.frozen and host.awake:
                self.awake(host)

    def _gone(self, session: int) -> bool:
        """Whether it has ended, not by hand, and its process must know by its clock."""
        judge = self._judge
        ended = session not in judge.ensemble.sessions and session not in judge.killed
        return ended and not judge.clocks_stop

    def none_like(self, task: str, outcome: Outcome) -> str:
        """How no run ended like this: the last of that number, or any of this task if numbers repeated."""
        judge = self._judge
        runs, asked, repeats = self.of[task, outcome.attempt or 0], judge.asked.get(task), task in judge.lost
        these = [run for run in runs if run.asked == asked] if repeats else runs[-1:]
        refused = judge.denied.reads[secret_path(task)] >= MOST_REFUSALS
        unread = refused or judge.explained("secrets-kept", task)
        return unlike(outcome, these, asked, repeats=repeats, cut=judge.denied.large, unread=unread)
