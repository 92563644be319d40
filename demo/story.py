"""The story of the seeds, played on the running lab and told as it happens."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from chaos import faults, stores
from chaos.cluster import MASTER_PORT, BrokenPromiseError, Cluster
from chaos.load import TASKS_PER_SECOND, Submitter, Writer
from chaos.stores import Store
from demo.about import about
from demo.recorder import ClusterRecorder, EventLog, RecordedCluster
from lab import Lab
from mwapp import Client
from testbed.stores import People
from testbed.waiting import wait_for

log = logging.getLogger(__name__)

WRITING_SECONDS = 1.0  # a store's client writes for so long before the kill, and again after it


class Scene(NamedTuple):
    """How a store's owner dies, and the words for it."""

    fault: str
    title: str
    store: type[Store]
    worker: bool  # it is killed, too
    owns: str
    killed: str
    writes: str


SCENES = (
    Scene(
        fault="region_server_kill",
        title="A region server dies",
        store=stores.RegionStore,
        worker=True,
        owns="serves the region",
        killed="the worker on {} and of its region's process",
        writes="values",
    ),
    Scene(
        fault="partition_leader_kill",
        title="A partition's leader dies",
        store=stores.PartitionStore,
        worker=False,
        owns="leads the partition",
        killed="the leader's process on {}; its worker lives",
        writes="records",
    ),
    Scene(
        fault="data_node_kill",
        title="A data node dies",
        store=stores.BlockStore,
        worker=True,
        owns="receives the blocks",
        killed="the worker on {} and of its blocks' process",
        writes="files",
    ),
)


@dataclass(slots=True)
class Story:
    """The cast and the record."""

    cluster: Cluster
    submitter: Submitter
    writers: list[Writer]
    events: EventLog
    recorder: ClusterRecorder
    waited: bool = False  # every task had the time to end

    def say(self, text: str) -> None:
        """Print it, with the seconds since the story began."""
        self.events.write("said", text=text)
        print(f"[{self.events.now():6.1f} s] {text}", flush=True)

    def takeover(self, fault: str, ms: float, **more: Any) -> None:
        """Record a take-over time, milliseconds."""
        self.events.write("figure", fault=fault, kind="takeover", ms=round(ms, 1), **more)

    def gap(self, fault: str, ms: float) -> None:
        """Record the longest write gap of any client under a fault, milliseconds."""
        self.events.write("figure", fault=fault, kind="gap", ms=round(ms, 1))

    def fault(self, key: str) -> None:
        """From now on everything belongs to this fault (a key of ``demo.report.texts.FAULTS``)."""
        self.events.write("fault", fault=key)

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """A heading, and afterwards a moment of quiet in which all is well again."""
        print(f"\n{title}", flush=True)
        yield
        self.cluster.settle()

    # ------------------------------------------------------------ chapters

    def cast(self) -> None:
        """Who is who; the preset roles of the seeds: mw1 active, mw2 its standby."""
        with self.chapter("The cast"):
            for node, mode in self.cluster.modes().items():
                self.say(f"{node} is {mode}")
            if self.cluster.master() != "mw1":
                self.say("mw2 won the first election; it is stopped so that mw1 becomes the active master")
                self.cluster.systemctl("mw2", "restart", faults.MASTER_UNIT)
                wait_for("mw1 active", lambda: self.cluster.master() == "mw1", 15)
            epoch = self.cluster.epoch("mw1")
            self.say(f"mw1 is the active master (epoch {epoch}), mw2 its standby; workers on mw1, mw2, mw3")

    def work(self) -> None:
        """A few tasks to look at, then a steady load until the end."""
        with self.chapter("Tasks are submitted and run"):
            for command in ("hostname", "echo $((6 * 7))", "exit 3"):
                name = self.submitter.submit(command)
                ending = self.submitter.wait(name)
                said = ending.outcome.output.strip() or f"exit status {ending.outcome.code}"
                self.say(f"{name}  {command!r} -> {ending.state} on {ending.outcome.worker}: {said}")
                self.events.write(
                    "shown",
                    task=name,
                    command=command,
                    state=ending.state,
                    worker=ending.outcome.worker,
                    said=said,
                )
                self.submitter.expected_failures += ending.state == "failed"
            self.submitter.load(TASKS_PER_SECOND)
            self.say(f"from now on {TASKS_PER_SECOND} tasks a second, and a client writing at each server")
            time.sleep(2)

    def master_dies(self) -> None:
        """SIGKILL of the active master's process."""
        with self.chapter("The active master is SIGKILLed"):
            old = self.cluster.master()
            self.say(f"kill -9 of the master on {old}")
            self.fault("sigkill")
            takeover = faults.kill_master(self.cluster)
            self.takeover("sigkill", takeover.ms, master=takeover.master, epoch=takeover.epoch)
            self.say(
                f"{takeover.master} is master, epoch {takeover.epoch}: "
                f"its first write came {takeover.ms:.0f} ms after the kill"
            )

    def master_freezes(self) -> None:
        """A master that stands still, is replaced, and comes back believing that it is still active."""
        with self.chapter("The active master's host freezes"):
            old, epoch = faults.about_to_fall_silent(self.cluster)
            self.say(f"{old} is frozen. The standby takes over after 0.6 s of silence")
            self.fault("frozen")
            takeover = faults.freeze_master(self.cluster)
            self.takeover("frozen", takeover.ms, master=takeover.master, epoch=takeover.epoch)
            self.say(
                f"{takeover.master} is master, epoch {takeover.epoch}: "
                f"its first write came {takeover.ms / 1000:.1f} s after"
            )
            wait_for(f"{old} stands by", lambda: self.cluster.state(old, MASTER_PORT) == "standby", 15)
            self.say(f"{old} goes on, finds itself deposed and stands by")
            committed = faults.write_as(self.cluster, epoch)
            self.events.write("stale", epoch=epoch, committed=committed)
            if committed:
                raise BrokenPromiseError(
                    f"a write under epoch {epoch} was accepted in epoch {takeover.epoch}"
                )
            self.say(f"a write with its epoch {epoch} is refused: it is fenced off")

    def worker_loses_power(self) -> None:
        """A worker's host goes dark with tasks on it; they run elsewhere."""
        with self.chapter("A worker's host loses power"):
            self.say("mw3 is given tasks of three seconds, and then no more electricity")
            self.fault("worker_power_cut")
            endings, ms = faults.lose_worker(self.cluster, self.submitter, power=True)
            self.takeover("worker_power_cut", ms)
            for ending in endings:
                self.say(f"{ending.task} of mw3 ran again {ending.outcome.output.strip()}")
            self.say(f"its session had to time out first: {ms / 1000:.1f} s until the last ran elsewhere")
            self.cluster.lab.boot("mw3")
            self.say("mw3 has power again")

    def leader_dies(self) -> None:
        """SIGKILL of the ensemble's leader; clients continue."""
        with self.chapter("The ensemble's leader is killed"):
            self.say(f"kill -9 of the server on {self.cluster.leader()}, the leader")
            self.fault("leader_kill")
            leader, gap = faults.kill_leader(self.cluster, self.writers)
            self.gap("leader_kill", gap)
            self.say(f"{leader} leads now; no client waited longer than {gap:.0f} ms for a write")

    def leader_freezes(self) -> None:
        """A leader that stands still, is replaced, and comes back as a follower."""
        with self.chapter("The host of the ensemble's leader freezes"):
            old = self.cluster.leader()
            self.say(f"{old}, the leader, stands still; its connections stay open")
            self.fault("leader_freeze")
            gap = faults.freeze_leader(self.cluster, self.writers)
            self.gap("leader_freeze", gap)
            self.say(
                f"the others noticed the silence and elected {self.cluster.leader()}: no client waited "
                f"longer than {gap / 1000:.1f} s for a write"
            )
            self.say(f"{old} goes on, and follows")

    def servers_go_down(self) -> None:
        """One of three down: served. Two down: refused, and nothing lost."""
        with self.chapter("One server of three down, then two"):
            leader = self.cluster.leader()
            first, second = (node for node in self.cluster.servers if node != leader)
            self.say(f"{first} is switched off")
            self.fault("one_of_three_down")
            gap = faults.lose_server(self.cluster, first, self.writers)
            self.gap("one_of_three_down", gap)
            self.say("two servers still are a quorum: writes go on")
            self.say(f"(its client noticed the silence and changed over in {gap / 1000:.1f} s)")
            self.say(f"{second} is switched off too: {leader} alone is no quorum")
            self.fault("two_of_three_down")
            outage = faults.lose_quorum(self.cluster, second, self.writers)
            self.events.write("dark", seconds=faults.REFUSAL_SECONDS, written=outage.written)
            if outage.written:
                raise BrokenPromiseError(f"{outage.written} writes were acknowledged without a quorum")
            self.say(f"for {faults.REFUSAL_SECONDS} s no write was acknowledged")
            self.say(f"{first} and {second} are switched on again")
            gap = faults.regain_quorum(self.cluster, outage, self.writers)
            for writer in self.writers:
                writer.verify()
            self.events.write("verified", writes=sum(len(w.acknowledged) for w in self.writers))
            self.gap("two_of_three_down", gap)
            self.say("the quorum is back, every client writes, every acknowledged write is there")

    def owners_die(self) -> None:
        """Regions, partitions, blocks: a client writes all the time, and who owns that is killed."""
        if not stores.installed(self.cluster):
            print("\nRegions, partitions, blocks", flush=True)
            settings = "LAB_STORES, LAB_TASK_USER, LAB_PLAIN"
            self.say(f"left out: the hosts do not have the example stores (docs/lab.md: {settings})")
            return
        stores.admit(self.cluster)
        with Client(self.cluster.hosts()) as client:
            for scene in SCENES:
                with self.chapter(scene.title):
                    self._owner_dies(scene, scene.store(self.cluster, client))

    def _owner_dies(self, scene: Scene, store: Store) -> None:
        writer = store.writer
        with self.recorder.following(store), People([writer]) as people:
            people.wait_until_each_writes()
            owner = store.owner()
            self.say(
                f"{owner.worker} {scene.owns}, generation {owner.generation}; a client writes all the time"
            )
            time.sleep(WRITING_SECONDS)
            self.say(f"kill -9 of {scene.killed.format(owner.worker)}")
            self.fault(scene.fault)
            before, after, ms = stores.lose_owner(self.cluster, store, worker=scene.worker)
            owners = {"before": before._asdict(), "after": after._asdict()}
            self.takeover(scene.fault, ms, store=store.table, **owners)
            self.say(
                f"{after.worker} {scene.owns}, generation {after.generation}: "
                f"the next write was acknowledged {ms:.0f} ms after the kill"
            )
            time.sleep(WRITING_SECONDS)
            if store.replicas > 1:
                store.wait_until_whole()
                self.say(f"{before.worker} is back, and has copied what it missed")
        wrong = store.wrong()
        self.events.write("kept", store=store.table, writes=len(writer.done), wrong=wrong)
        if wrong:
            raise BrokenPromiseError(f"{store.table}: {'; '.join(wrong[:5])}")
        self.say(f"{len(writer.done)} {scene.writes} were acknowledged, and all of them are there")

    def play(self) -> None:
        """All of it."""
        self.cast()
        self.work()
        self.master_dies()
        self.master_freezes()
        self.worker_loses_power()
        self.leader_dies()
        self.leader_freezes()
        self.servers_go_down()
        self.owners_die()
        print("\nAll heals", flush=True)
        self.submitter.load(0)
        self.say("no more tasks are submitted; waiting for the last ones")
        self.waited = True
        self.submitter.drain()

    def account(self) -> None:
        """Record the end of every acknowledged task, as the ensemble has it."""
        self.submitter.load(0)
        ledger = self.submitter.ledger()
        ends = [
            [self.events.at_unix(it.at), it.task, it.state, it.outcome.worker, it.outcome.attempt]
            for it in ledger.endings
        ]
        self.events.write(
            "ledger",
            submitted=ledger.submitted,
            done=ledger.done,
            failed=len(ledger.failed),
            lost=ledger.lost if self.waited else [],
            open=[] if self.waited else ledger.lost,
            doubled=ledger.doubled,
            meant_to_fail=self.submitter.expected_failures,
            moved=ledger.moved,
            ends=ends,
        )


def play(lab: Lab, events: EventLog) -> str | None:
    """Play the story; returns what did not hold, if anything."""
    story: Story | None = None
    problem: str | None = None
    with ExitStack() as stack:
        try:
            cluster = RecordedCluster(lab, events)
            versions, machine = about(cluster)
            events.write("machine", versions=versions, machine=machine)
            cluster.settle()
            recorder = stack.enter_context(ClusterRecorder(events, cluster))
            submitter = stack.enter_context(Submitter(cluster))
            writers = {node: stack.enter_context(Writer(cluster, node)) for node in cluster.servers}
            recorder.follow(submitter, writers)
            story = Story(cluster, submitter, list(writers.values()), events, recorder)
            story.play()
        except KeyboardInterrupt:
            problem = "it was interrupted"
        except Exception as error:  # for any error: the story did not hold, and we tell what we know
            problem = f"{type(error).__name__}: {error}"
            log.exception("the story broke off")
        if story:
            try:
                story.account()
            except (Exception, KeyboardInterrupt) as error:
                problem = problem or f"the tasks could not be accounted for: {type(error).__name__}: {error}"
    return problem
