"""The example stores (examples/stores) on real daemons: a town of them, what to do to their processes, and
people who write, remember what was acknowledged, and say what is wrong in the end."""

import io
import os
import random
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

from stores.blocks.files import ChangedError, Files, LateError
from stores.blocks.names import ConflictError, EndedError, NoSuchFileError
from stores.partitions.log import Record
from stores.partitions.topic import NoAnswerError, Topic
from stores.regions.client import NotDoneError, Regions

from mwapp import ShardState
from testbed import evidence
from testbed.daemons import Daemon, Site
from testbed.network import Network
from testbed.waiting import wait_for

PROJECT = Path(__file__).parents[1]


class Town(Site):
    """Masters, and workers that know the stores. Each worker, and what it has started, reaches the ensemble
    through a network of its own: whoever is cut off from that can still be reached by clients."""

    def __init__(self, connect: str, home: Path) -> None:
        super().__init__(connect, home)
        self.networks: dict[str, Network] = {}
        self.own, self.shared = home / "own", home / "shared"  # what the handlers store
        self.shared.mkdir()

    def begin(
        self,
        masters: Mapping[str, Sequence[str]],
        workers: Mapping[str, Sequence[str]],
        role: str = "worker",
        **environment: str,
    ) -> None:
        """Start them with their options, and wait until they are ready."""
        for name, options in masters.items():
            self.start("master", name, *options)
        if masters:
            self.active()
        environment = {
            "PYTHONPATH": f"{PROJECT}/examples/stores:{os.environ.get('PYTHONPATH', '')}",
            "STORES_DIR": str(self.own),
            "STORES_REGIONS_DIR": str(self.shared),
        } | environment
        for name, options in workers.items():
            self.networks[name] = network = Network(self.connect)
            connect = network.connect_string
            self.start(role, name, *options, "--connect", connect, **environment, MWAPP_CONNECT=connect)
        for name in workers:
            self.named(name).wait_for_state("ready", "active")

    def named(self, name: str) -> Daemon:
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def cut_off(self, name: str, table: str) -> Network:
        """From the ensemble, until the network is healed. Clients still reach its handlers, which stop."""
        network = self.networks[name]
        network.silence()
        wait_for(f"handlers of {name} stop", lambda: not handlers(self.named(name), table))
        return network

    def active(self) -> Daemon:
        """The active master, or the node that is it."""
        able = [daemon for daemon in self.daemons if daemon.role != "worker"]
        return wait_for(
            "one is active",
            lambda: next((one for one in able if one.status().get("state") == "active"), None),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for network in self.networks.values():
            network.close()


def in_sync(states: Iterable[ShardState], replicas: int) -> bool:
    """Whether each shard is served, has so many in sync, and is to have no others."""
    return all(
        state.state == "serving"
        and state.target is None
        and [member.state for member in state.members.values()] == ["sync"] * replicas
        for state in states
    )


# ---------------------------------------------------------------- processes


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    """What it has started, and what those have."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if stat := _read(int(path.name), "stat"):
            children.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(path.name))
    found = list(children.get(pid, ()))
    for child in found:
        found += children.get(child, ())
    return found


def handlers(of: Daemon, table: str) -> dict[int, int]:
    """The processes of a worker's shards, by shard."""
    found = {}
    for pid in descendants(of.process.pid):
        if b"shard_process" in _read(pid, "cmdline"):
            pairs = (line.partition(b"=") for line in _read(pid, "environ").split(b"\0"))
            told = {name: value for name, _, value in pairs}
            if told.get(b"MWAPP_TABLE") == table.encode() and b"MWAPP_SHARD" in told:
                found[int(told[b"MWAPP_SHARD"])] = pid
    return found


def handler(of: Daemon, table: str, shard: int) -> int:
    """That one, as soon as it is there."""
    return wait_for(f"{of.name} has {table} {shard}", lambda: handlers(of, table).get(shard))


def send(pid: int, number: signal.Signals) -> None:
    """If it is there."""
    evidence.note(f"{number.name} to process {pid}")
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_handler(of: Daemon, table: str, shard: int) -> None:
    """SIGKILL, and wait until its worker has begun another one in its place."""
    killed = handler(of, table, shard)
    send(killed, signal.SIGKILL)
    wait_for(
        f"{of.name} has another {table} {shard}", lambda: handlers(of, table).get(shard, killed) != killed
    )


def kill_host(of: Daemon) -> None:
    """As its host without power: it and all that it has started, and nobody ends its session."""
    of.signal(signal.SIGSTOP)
    for pid in descendants(of.process.pid):
        send(pid, signal.SIGKILL)
    of.kill()


def freeze(of: Daemon) -> list[int]:
    """As its host: it and all that it has started. Returns them, for :func:`thaw`."""
    of.signal(signal.SIGSTOP)  # first: it starts nothing more
    started = descendants(of.process.pid)
    for pid in started:
        send(pid, signal.SIGSTOP)
    return [*started, of.process.pid]


def thaw(frozen: Iterable[int]) -> None:
    """Its handlers first: they answer while it does not know yet that its session is over."""
    for pid in frozen:
        send(pid, signal.SIGCONT)
        time.sleep(0.02)


# ---------------------------------------------------------------- people


class Done(NamedTuple):
    """A write that was acknowledged."""

    began: float  # time.monotonic()
    ended: float
    place: int  # partition, group, or district of the keys


class Writer(threading.Thread, ABC):
    """Writes one thing after the other, and remembers what was acknowledged."""

    pause = 0.002  # between two writes, seconds
    failures: ClassVar[tuple[type[Exception], ...]]  # after these it is unknown whether it was written

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.done: list[Done] = []
        self.late: list[str] = []  # what was not acknowledged in time
        self.wrong: list[str] = []
        self.over = threading.Event()

    @abstractmethod
    def write(self, number: int) -> int:
        """Returns where."""

    def look_back(self, number: int) -> None:
        """Read something again now and then."""

    def close(self) -> None:
        """When it writes nothing more."""

    def run(self) -> None:
        try:
            for number in count(1):
                if self.over.wait(self.pause):
                    return
                try:
                    began = time.monotonic()
                    place = self.write(number)
                    self.done.append(Done(began, time.monotonic(), place))
                    self.look_back(number)
                except self.failures as problem:
                    self.late.append(repr(problem))
        except BaseException as problem:
            self.wrong.append(f"{self.name} has ended: {problem!r}")
            raise
        finally:
            self.close()


class People:
    """Several who write while this context lasts."""

    def __init__(self, writers: Collection[Writer]) -> None:
        self._writers = writers

    def __enter__(self) -> Self:
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            writer.over.set()
        for writer in self._writers:
            writer.join()

    def counts(self) -> Counter[int]:
        """How many writes were acknowledged at each place."""
        return Counter(done.place for writer in self._writers for done in list(writer.done))

    def wait_until_each_writes(self, more: int = 3) -> None:
        """Everybody is served: each writes so many times from now on."""
        before = [len(writer.done) for writer in self._writers]
        wait_for(
            "all go on",
            lambda: all(
                len(writer.done) >= done + more for writer, done in zip(self._writers, before, strict=True)
            ),
        )

    def wait_for_more(self, places: Collection[int]) -> None:
        """At each place something is acknowledged that was begun after now."""
        now = time.monotonic()
        wait_for("writes are acknowledged", lambda: self.first(places, now) is not None)

    def first(self, places: Collection[int], after: float) -> Mapping[int, float] | None:
        """When the first write at each of these places was acknowledged that was begun after that moment;
        None: there is none yet at one of them."""
        found: dict[int, float] = {}
        for writer in self._writers:
            for done in reversed(list(writer.done)):
                if done.began <= after:
                    break
                found[done.place] = min(done.ended, found.get(done.place, done.ended))
        return {place: found[place] for place in places} if found.keys() >= set(places) else None


class Person(Writer):
    """Regions: counts in keys that only this one writes. What it then reads is what it has written."""

    failures = (NotDoneError,)

    def __init__(self, regions: Regions, name: str, districts: int = 16, *, once: int = 4) -> None:
        """Keys begin with the number of a district. Every so manyth is never written again (``once``): what
        others overwrite tells nothing of a write before them that was lost."""
        super().__init__(name)
        self._regions, self._districts, self._once = regions, districts, once
        self._random = random.Random(name)  # noqa: S311 - no secret
        self._key = ""
        # By key what it may be: the last that was acknowledged, and later ones.
        self.last: dict[str, list[int]] = {}

    def write(self, number: int) -> int:
        district = self._random.randrange(self._districts)
        one = f"only-{number}" if number % self._once == 0 else self._random.randrange(10)
        self._key = f"{district:02}-{self.name}-{one}"
        self.last.setdefault(self._key, [0]).append(number)
        self._regions.put(self._key, b"%d" % number + b" " * 60)
        self.last[self._key] = [number]
        return district

    def look_back(self, number: int) -> None:
        if number % 4 == 0:
            self.look(self._key, self._regions.get(self._key))

    def look(self, key: str, value: bytes | None) -> None:
        seen = int(value or b"0")
        if seen not in self.last[key]:
            self.wrong.append(f"{key} is {seen}, and should be one of {self.last[key]}")


def wrong_in_regions(found: Mapping[str, bytes], people: Collection[Person]) -> list[str]:
    """What is wrong of what a scan has found, and of what people have seen before."""
    written = {key for person in people for key, may_be in person.last.items() if may_be != [0]}
    wrong = [f"nobody has written {key}" for key in found.keys() - written]
    if list(found) != sorted(found):
        wrong.append("the scan is not sorted")
    for person in people:
        for key in person.last:
            person.look(key, found.get(key))
        wrong += person.wrong
    return wrong


class Producer(Writer):
    """Partitions: its values are its number and a count, one partition after the other."""

    failures = (NoAnswerError,)

    def __init__(self, topic: Topic, number: int, partitions: int) -> None:
        super().__init__(f"producer {number}")
        self._topic, self._number, self._partitions = topic, number, partitions
        self.acknowledged: dict[tuple[int, int], bytes] = {}  # by partition and offset

    def write(self, number: int) -> int:
        value = b"%d %d" % (self._number, number)
        at = self._topic.produce(value, partition=number % self._partitions)
        if at in self.acknowledged:
            self.wrong.append(f"{at}: {self.acknowledged[at]!r} and {value!r}")
        self.acknowledged[at] = value
        return at[0]


def whole_log(topic: Topic, partition: int) -> list[Record]:
    """All that readers see of a partition."""
    seen: list[Record] = []
    while more := topic.consume(partition, len(seen)):
        seen += more
    return seen


def wrong_in_log(seen: Sequence[Record], partition: int, producers: Iterable[Producer]) -> list[str]:
    """What is wrong of a partition. What was acknowledged is there, where that was said, once, in order."""
    wrong = []
    if [record.offset for record in seen] != list(range(len(seen))):
        wrong.append(f"partition {partition}: offsets are missing, or there twice")
    values = [record.value for record in seen]
    wrong += [f"{value!r} is there {times} times" for value, times in Counter(values).items() if times > 1]
    last: dict[bytes, int] = {}
    for value in values:
        who, number = value.split()
        if int(number) < last.get(who, 0):
            wrong.append(f"{value!r} is behind a later one of its producer")
        last[who] = int(number)
    for producer in producers:
        for (where, offset), value in producer.acknowledged.items():
            if where == partition and values[offset : offset + 1] != [value]:
                wrong.append(f"partition {partition}, {offset}: it is not {value!r}")
    return wrong


class FileWriter(Writer):
    """Blocks: writes files, some of them again and again."""

    pause = 0.02
    failures = (EndedError, LateError, OSError, ConflictError)

    def __init__(self, files: Files, number: int, longest: int, *, once: int = 5) -> None:
        """``files`` is its own from now on; ``longest``: bytes; ``once``: as of a Person."""
        super().__init__(f"writer {number}")
        self._files, self._number, self._longest, self._once = files, number, longest, once
        self._random = random.Random(number)  # noqa: S311 - no secret
        self.acknowledged: dict[str, bytes] = {}
        self.perhaps: dict[str, list[bytes]] = {}  # since then

    def write(self, number: int) -> int:
        path = f"{self._number}/{f'only-{number}' if number % self._once == 0 else number % 25}"
        data = self._random.randbytes(self._random.randint(0, self._longest))
        self.perhaps.setdefault(path, []).append(data)
        file = self._files.put(path, io.BytesIO(data))
        self.acknowledged[path], self.perhaps[path] = data, []
        return file.blocks[0].group if file.blocks else -1

    def close(self) -> None:
        self._files.close()


def wrong_in_files(files: Files, writers: Iterable[FileWriter]) -> list[str]:
    """What is wrong of the files: each is the last that was acknowledged, or was tried since."""
    wrong = []
    for writer in writers:
        for path, data in writer.acknowledged.items():
            try:
                found = b"".join(files.get(path))
            except (NoSuchFileError, ChangedError, LateError) as problem:
                wrong.append(f"{path}: {problem!r}; {writer.late}")
                continue
            if found != data and found not in writer.perhaps[path]:
                wrong.append(
                    f"{path} has neither what was acknowledged nor what was tried since; {writer.late}"
                )
    return wrong
