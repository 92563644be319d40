"""A simulated machine: its threads run one at a time, its time is the world's, its network is simulated, too.

A thread of the product is a real thread that stands still but for when the world lets it go on, and gives the
world its turn back whenever it has to wait. So nothing happens at once, and a seed gives one history.
"""

import threading
from collections.abc import Callable
from typing import Any

from mwapp.zookeeper.machine import Machine
from tests.edge.network import Network, Pair
from tests.simulation.world import Violation, World

Ready = Callable[[], bool]

# A thread that can go on does so after so many seconds, and one in twenty times after up to so many.
SOON, LATE = 0.0001, 0.005
# A timer is never early, seconds.
TIMER = 1e-6


class Ended(BaseException):
    """Goes through every thread of a process that is over."""


class Thread:
    """A thread of the product."""

    def __init__(self, machine: "SimMachine", call: Callable[[], None]) -> None:
        self.over = False
        self.link: Any = None  # the last connection it has made
        self._machine, self._call = machine, call
        self._ready: Ready = lambda: True
        self._until: float | None = None
        self._looks = self._killed = False
        self._timer: float | None = None  # when the next one goes off
        self._its_turn, self._our_turn = threading.Lock(), threading.Lock()
        self._its_turn.acquire(), self._our_turn.acquire()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it is over."""
        self._machine.wait(lambda: self.over, timeout)

    # ------------------------------------------------------------ the world's side

    def stir(self) -> None:
        """Something has changed: let it go on soon, if it can."""
        if not self._looks and not self.over and self._ready():
            self._looks = True
            self._machine.world.after(self._machine.latency(), self._look)

    def hurry(self) -> None:
        """Let it go on at once, if it can."""
        if not self.over and self._ready() and not self._machine.stands_still:
            self._go_on()

    def kill(self) -> None:
        """End it where it is."""
        self._killed = True
        while not self.over:
            self._go_on()

    def _look(self) -> None:
        self._looks = False
        if self._machine.deferred(self._look) or self.over:
            return
        if self._ready() or (self._until is not None and self._machine.world.now >= self._until):
            self._go_on()

    def _alarm(self, at: float) -> None:
        if at == self._timer and not self._machine.deferred(lambda: self._alarm(at)):
            self._timer = None
            self._look()
            self._set_timer()

    def _set_timer(self) -> None:
        until = self._until
        if until is not None and not self.over and (self._timer is None or until < self._timer):
            at = self._timer = max(until, self._machine.world.now)
            self._machine.world.at(at, lambda: self._alarm(at))

    def _go_on(self) -> None:
        """Let it run until it waits again or is over."""
        machine = self._machine
        before, machine.running = machine.running, self
        self._until = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        else:
            self._its_turn.release()
        self._our_turn.acquire()
        machine.running = before
        if self.over:
            self._thread.join()
        if isinstance(self._failure, Violation):
            raise self._failure
        if self._failure is not None:
            raise Violation("no-crash", f"a thread ends with {self._failure!r}") from self._failure

    # ------------------------------------------------------------ its own side

    def pause(self, ready: Ready, until: float | None) -> None:
        """Give the world its turn until it can go on, or that time has come."""
        if self._killed:
            raise Ended
        self._ready, self._until = ready, until
        self._set_timer()
        self._our_turn.release()
        self._its_turn.acquire()
        if self._killed:
            raise Ended

    def _run(self) -> None:
        try:
            if not self._killed:
                self._call()
        except Ended:
            pass
        except Exception as problem:
            self._failure = problem
        self.over = True
        self._machine.ended(self)
        self._our_turn.release()


class Event:
    """What kazoo and the edge wait for."""

    def __init__(self, machine: "SimMachine") -> None:
        self._machine, self._set = machine, False

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    def set(self) -> None:
        """Let go on whoever waits."""
        self._set = True
        self._machine.stir()

    def clear(self) -> None:
        """Let whoever comes wait."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it is."""
        return self._machine.wait(self.is_set, timeout)


class SimMachine(Machine):
    """What a process of ours runs on."""

    def __init__(self, world: World, network: Network, name: str) -> None:
        self.world, self.name = world, name
        self.running: Thread | None = None
        self.frozen = False
        self.off = False  # it is being switched off
        self.hasty = 0.0  # how often a thread goes on at once, in the midst of another's turn
        self._network = network
        self.pairs: list[Pair] = []
        self._threads: list[Thread] = []
        self._inbox: list[Callable[[], None]] = []  # what is to happen after a freeze

    # ------------------------------------------------------------ what the product takes

    def now(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def spawn(self, call: Callable[[], None]) -> Thread:
        thread = Thread(self, call)
        self._threads.append(thread)
        thread.stir()
        return thread

    def event(self) -> Event:
        return Event(self)

    def connect(self, address: tuple[str | bytes, int], timeout: float) -> Any:
        assert self.running is not None
        link = self.running.link = self._network.dial(self, address)
        link.thread = self.running
        link.socket.settimeout(timeout)
        answered = self.wait(lambda: link.answered, timeout)
        if not answered or link.manner.refused:
            link.socket.close()
            raise ConnectionRefusedError("Connection refused") if answered else TimeoutError("timed out")
        return link.socket

    def socket_pair(self) -> tuple[Any, Any]:
        pair = Pair(self)
        self.pairs.append(pair)
        return pair, pair

    def select(self, reads: list[Any], writes: list[Any], _errors: list[Any], timeout: float) -> Any:
        def ready() -> bool:
            for each in reads:
                if each.readable:
                    return True
            return bool(writes) and any(each.writable for each in writes)

        if any(each.closed for each in (*reads, *writes)):
            raise ValueError("file descriptor cannot be a negative integer (-1)")
        self.wait(ready, timeout)
        return [r for r in reads if r.readable], [w for w in writes if w.writable], []

    # ------------------------------------------------------------ what the simulation does with it

    def wait(self, ready: Ready, timeout: float | None) -> bool:
        """Let the running thread wait until it is so; whether it is, after so many seconds at most."""
        until = None if timeout is None else self.world.now + timeout + (TIMER if timeout else 0.0)
        while not ready():
            if until is not None and self.world.now >= until:
                return False
            assert self.running is not None, "the main loop would stand still"
            self.running.pause(ready, until)
        return True

    def stir(self) -> None:
        """Something has changed: let go on whoever can."""
        for thread in self._threads:
            thread.stir()

    def interrupted(self) -> None:
        """The running thread may have to wait here, though for nothing; or another goes on at once."""
        if self.hasty and self.world.chance(self.hasty):
            if self.running is not None:
                self.sleep(self.latency())
            else:
                for thread in list(self._threads):
                    thread.hurry()

    def latency(self) -> float:
        """How long a thread that can go on waits for its turn."""
        draw = self.world.random.random()
        return draw * SOON if draw < 0.95 else draw * LATE

    def ended(self, thread: Thread) -> None:
        """A thread is over."""
        self._threads.remove(thread)
        self.stir()

    @property
    def alive(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def stands_still(self) -> bool:
        """Whether it is frozen."""
        return self.frozen

    def deferred(self, call: Callable[[], None]) -> bool:
        """Whether the machine is frozen; then this happens when it is thawed."""
        if self.frozen:
            self._inbox.append(call)
        return self.frozen

    def thaw(self) -> None:
        """Let what has waited happen now, in its order."""
        self.frozen = False
        inbox, self._inbox = self._inbox, []
        for call in inbox:
            call()

    def switch_off(self) -> None:
        """End every thread, and cut every connection."""
        self.frozen, self.off = False, True
        self._inbox.clear()
        self.pairs.clear()
        while self._threads:
            self._threads[0].kill()
        self._network.cut_off(self)
        self.off = False
