"""The cluster: what a graded test holds in its hands. One interface, two worlds.

A test starts servers, kills and pauses them, cuts links, and asks clerks; it never knows whether the servers are
processes or coroutines. The worlds fill in the abstract methods; what the network looks like is decided here, once.
"""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, TypeVar, overload

import msgspec

from common.host import CallFailed, CallRefused
from common.links import check_name
from common.protocol import Append, Get, Put
from common.snapshot import Snapshot
from common.wire import Request, encode
from labs.faults import NONE, Faults
from labs.history import History, Operation
from labs.traces.bodies import MOST, body_of, cut_text
from labs.traces.events import HARNESS, Event, Kind
from labs.traces.recorder import Recorder

R = TypeVar("R")
T = TypeVar("T")

POLL: Final = 0.02
"""Seconds between two looks at a condition that a test waits for."""
ENOUGH_SEEDS: Final = 20
"""In a batch of so many seeds, what is meant to happen sometimes should have happened."""


class ServerStopped(AssertionError):
    """A server ended by itself: its own mistake (a traceback is in its log), so the test has failed."""


class NotInTime(AssertionError):
    """A condition did not come true within its bound."""


class Link(msgspec.Struct, frozen=True):
    """The state of the one-way link from one server to another."""

    up: bool = True
    """The socket file is there: new calls can start."""
    tap: Faults | None = None
    """The odds of the tap on this link, or None if no tap sits on it."""
    held: bool = False
    """The tap keeps every request back until the link is released."""


class Held(msgspec.Struct):
    """A request that a tap keeps back."""

    number: int
    """Counted from 1 on each link, for as long as the run lasts."""
    method: str
    params: str
    """What it asks, for people."""


class Mark(msgspec.Struct):
    """Something that a test is meant to bring about sometimes, and whether it did."""

    happened: bool
    seeds: int
    """In so many runs it should happen at least once."""


@dataclass(slots=True)
class Seen:
    """What the simulation saw on its links. In real processes nobody looks, and all of it stays 0."""

    repeated: int = 0
    """Requests that a clerk sent again, since the reply to the first had been lost."""
    duplicates: int = 0
    """Requests that reached a server a second time."""


class Clerk:
    """One clerk process, asked one operation at a time. Everything asked and answered goes into the history."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.cluster = cluster
        self.name = name

    async def get(self, key: str) -> str:
        """The value of `key`, or the empty string."""
        history, now = self.cluster.history, self.cluster.now
        operation = history.begin(self.name, "get", key, None, now())
        reply = await self.cluster.peek(self.name, Get(key), timeout=None)
        history.end(operation, reply.value, now())
        return reply.value

    async def put(self, key: str, value: str) -> None:
        """Makes `value` the value of `key`."""
        history, now = self.cluster.history, self.cluster.now
        operation = history.begin(self.name, "put", key, value, now())
        await self.cluster.peek(self.name, Put(key, value), timeout=None)
        history.end(operation, None, now())

    async def append(self, key: str, value: str) -> None:
        """Adds `value` to the end of the value of `key`."""
        history, now = self.cluster.history, self.cluster.now
        operation = history.begin(self.name, "append", key, value, now())
        await self.cluster.peek(self.name, Append(key, value), timeout=None)
        history.end(operation, None, now())


class Cluster(ABC):
    """Servers, clerks and the links between them. Every name is unique; a server's name is its address."""

    world: Literal["process", "sim"]

    def __init__(
        self,
        package: str,
        seed: int,
        folder: Path | None = None,
        patience: float = 1.0,
        recorder: Recorder | None = None,
    ) -> None:
        self.package = package
        """The lab whose roles this cluster runs, such as `lab1_pbservice`."""
        self.seed = seed
        self.random = Random(f"test {seed}")
        """The test's own randomness."""
        self.folder = folder
        """Where this run's files are kept (None: nothing is kept)."""
        self.patience = patience
        """By how much the bounds of waits are stretched on a slow machine. Protocol periods never are."""
        self.recorder = recorder
        """Told of all that happens. None: nobody wants to know, or no longer."""
        self.recorded_until = 0.0
        """When the recording was stopped."""
        self.history = History()
        self.history.on_event = self._record_operation
        self.seen = Seen()
        self.marks: dict[str, Mark] = {}
        self.names: list[str] = []
        """Every server and clerk that was ever started, in that order."""
        self._links: dict[tuple[str, str], Link] = {}
        self._taps: dict[str, Faults] = {}
        """Taps on every link to a server, those from servers that start later included."""

    def choose(self, of: str, draw: Callable[[], T], simplest: T) -> T:
        """What `draw()` gives. A test makes its choices here that a failure may turn out not to need.

        When a failing run of the simulation is shrunk, `simplest` is given instead wherever the failure stays, such as
        [] for an operation that need not be. Both are values as JSON has them. `of` says who chooses, or what.
        """
        return draw()

    def random_of(self, part: str) -> Random:
        """Randomness of its own for a part of the test, which stays what it was when another part is left out."""
        return Random(f"test {self.seed} {part}")

    def sometimes(self, what: str, happened: bool, seeds: int = ENOUGH_SEEDS) -> None:
        """Says that this is meant to happen in some runs of the test, though not in each, and whether it did now.

        If it happens in no run of a batch of at least so many seeds, the batch fails: then the test does not test what
        it was written for. A single run never fails by it, nor does one in real processes.
        """
        mark = self.marks.setdefault(what, Mark(False, seeds))
        mark.happened = mark.happened or happened

    # --- what is recorded --------------------------------------------------------------------------------------------

    def record(
        self, kind: Kind, src: str, dst: str = "", number: int = 0, method: str = "", body: Any = None, text: str = ""
    ) -> None:
        """One event for the trace, at this moment. See `labs.traces.events.Event`."""
        if self.recorder is not None:
            self.recorder.add(Event(self.now(), kind, src, dst, number, method, body, text))

    def stop_recording(self) -> None:
        """The test is over: what happens from now on is no part of it. A second time changes nothing."""
        if self.recorder is not None:
            self.recorded_until = self.now()
            self.recorder = None

    def _record_operation(self, number: int, operation: Operation) -> None:
        if self.recorder is None:
            return
        if operation.return_ is None:
            asked = {"key": operation.key, "expected": operation.expected, "value": operation.value}
            body = {name: cut_text(value, MOST) for name, value in asked.items() if value is not None}
            self.record("call", operation.client, "", number, operation.op, body)
        else:
            result = None if operation.result is None else cut_text(operation.result, MOST)
            self.record("answer", operation.client, "", number, operation.op, result)

    def _record_link(self, src: str, dst: str, old: Link, new: Link) -> None:
        if self.recorder is None:
            return
        if new.up != old.up:
            self.record("join" if new.up else "cut", src, dst)
        if new.tap != old.tap:
            self.record("tap", src, dst, text="" if new.tap is None else new.tap.in_words())
        if new.held != old.held:
            self.record("hold" if new.held else "release", src, dst)

    # --- time --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def now(self) -> float:
        """Seconds since the run began."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Waits so long."""

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs a coroutine of the test beside it. Await the task, or cancel it."""
        return asyncio.get_running_loop().create_task(coroutine)

    async def gather(self, *coroutines: Coroutine[Any, Any, T]) -> list[T]:
        """Runs coroutines side by side and returns their results, in order. The first exception ends them all."""
        tasks = [self.spawn(coroutine) for coroutine in coroutines]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def finishes(self, task: "asyncio.Task[Any]", within: float) -> bool:
        """Whether a task ends within so many seconds. It goes on if it does not. Its exception, if any, is raised."""
        deadline = self.now() + within
        while not task.done() and self.now() < deadline:
            self.check()
            await self.sleep(min(POLL, max(0.0, deadline - self.now())))
        if task.done():
            task.result()
            return True
        return False

    @overload
    async def until(
        self, condition: Callable[[], Awaitable[T]], within: float, what: str | Callable[[], str], every: float = POLL
    ) -> T: ...

    @overload
    async def until(
        self, condition: Callable[[], T], within: float, what: str | Callable[[], str], every: float = POLL
    ) -> T: ...

    async def until(
        self,
        condition: Callable[[], Awaitable[T] | T],
        within: float,
        what: str | Callable[[], str],
        every: float = POLL,
    ) -> T:
        """Looks every so often until `condition()` is true, and returns what it gave.

        Raises `NotInTime`, which says `what` was waited for, after `within` seconds (times the run's patience).
        """
        started = self.now()
        while True:
            outcome = condition()
            result: T = await outcome if inspect.isawaitable(outcome) else outcome
            if result:
                return result
            self.check()
            if self.now() - started >= within * self.patience:
                said = what if isinstance(what, str) else what()
                raise NotInTime(f"waited {within * self.patience:g} s for this: {said}")
            await self.sleep(every)

    # --- servers -----------------------------------------------------------------------------------------------------

    async def start(self, role: str, name: str, **arguments: Any) -> None:
        """Starts a server of the cluster's package and returns once it can be reached: by all and from all."""
        if check_name(name) in self.names:
            raise ValueError(f"expected a new name, got {name!r} again (use restart)")
        others = list(self.names)
        self.names.append(name)
        for other in (*others, name):
            for pair in ((name, other), (other, name)):
                self._links[pair] = Link(tap=self._taps.get(pair[1]) if pair[0] != pair[1] else None)
                self._record_link(*pair, Link(), self._links[pair])
        await self._start(role, name, arguments)
        self._relink_all(name)

    @abstractmethod
    async def _start(self, role: str, name: str, arguments: dict[str, Any]) -> None:
        """Starts the process `name` and returns when its own socket file is there."""

    @abstractmethod
    async def kill(self, name: str) -> None:
        """SIGKILL. Returns when the process is gone, with everything that it started."""

    async def restart(self, name: str) -> None:
        """Starts a killed server again: same name, role and arguments, empty memory. Links are as they were."""
        await self._restart(name)
        self._relink_all(name)

    @abstractmethod
    async def _restart(self, name: str) -> None:
        """As `_start`, with what it was started with."""

    @abstractmethod
    def pause(self, name: str) -> None:
        """SIGSTOP: the process keeps all it has and does nothing. Nobody is told."""

    @abstractmethod
    def resume(self, name: str) -> None:
        """SIGCONT."""

    @abstractmethod
    def running(self, name: str) -> bool:
        """Whether the process is there (paused or not)."""

    @abstractmethod
    def check(self) -> None:
        """Raises `ServerStopped` if a server ended that nobody killed."""

    @abstractmethod
    def memory(self, name: str) -> int:
        """Bytes that the server holds for itself."""

    @abstractmethod
    def log(self, name: str) -> str:
        """What the server wrote to its standard output and error so far."""

    @abstractmethod
    async def snapshot(self, name: str) -> Snapshot:
        """What a server is doing at this moment. Its state is running, paused, killed, or busy: it hears nobody."""

    async def call(self, address: str, request: Request[R], timeout: float | None = 10.0) -> R:
        """Asks a server as the harness, on a path of its own that no fault touches. Raises `CallFailed`.

        None waits as long as the process lives.
        """
        if self.recorder is None:
            return await self.peek(address, request, timeout)
        call = HARNESS, address, self.recorder.number(), type(request).__name__
        self.record("request", *call, body_of(encode(request)))
        if self.running(address):
            self.record("arrive", *call)
        try:
            reply = await self.peek(address, request, timeout)
        except CallFailed as error:
            self.record("fail", *call, text=str(error))
            raise
        except CallRefused as error:
            self.record("reply", *call, text=str(error))
            self.record("return", *call)
            raise
        self.record("reply", *call, body_of(encode(reply)))
        self.record("return", *call)
        return reply

    @abstractmethod
    async def peek(self, address: str, request: Request[R], timeout: float | None) -> R:
        """As `call`, without a word to the recorder: for whoever only looks, or whose doings are recorded otherwise."""

    async def clerk(self, name: str, role: str = "clerk", **arguments: Any) -> Clerk:
        """Starts a clerk's process."""
        await self.start(role, name, **arguments)
        return Clerk(self, name)

    # --- network -----------------------------------------------------------------------------------------------------

    def link(self, src: str, dst: str) -> Link:
        """The state of a link."""
        return self._links[src, dst]

    def cut(self, src: str, dst: str) -> None:
        """src can no longer start calls to dst. The other direction stays as it is."""
        self._change(src, dst, up=False)

    def join(self, src: str, dst: str) -> None:
        """src can call dst again."""
        self._change(src, dst, up=True)

    def partition(self, *groups: Iterable[str]) -> None:
        """Among all the servers named here, links are up exactly within each group. Others' links stay."""
        parts = [list(group) for group in groups]
        for number, part in enumerate(parts):
            for src in part:
                for other_number, other_part in enumerate(parts):
                    for dst in other_part:
                        self._change(src, dst, up=number == other_number)

    def heal(self) -> None:
        """Every link is up again. Taps stay."""
        for (src, dst), link in list(self._links.items()):
            if not link.up:
                self._change(src, dst, up=True)

    def deafen(self, name: str) -> None:
        """Nobody can call `name`, itself included (its socket file is deleted). It can still call others."""
        for src in self.names:
            self._change(src, name, up=False)

    def undeafen(self, name: str) -> None:
        """`name` can be called by everybody again."""
        for src in self.names:
            self._change(src, name, up=True)

    def tap(self, dst: str, faults: Faults = NONE, sources: Iterable[str] | None = None) -> None:
        """Puts a tap with these odds on the links to `dst` from `sources` (everybody, now and later, if None).

        Taps count what passes, even with no faults. A server's link to itself is never tapped.
        """
        if sources is None:
            self._taps[dst] = faults
        for src in self.names if sources is None else sources:
            if src != dst:
                self._change(src, dst, tap=faults)

    def untap(self, dst: str) -> None:
        """Takes the taps on the links to `dst` away. What they counted stays."""
        self._taps.pop(dst, None)
        for src in self.names:
            if src != dst:
                self._change(src, dst, tap=None)

    def hold(self, src: str, dst: str) -> None:
        """Requests from src to dst set out but do not arrive until `release`."""
        self._change(src, dst, tap=self._links[src, dst].tap or NONE, held=True)

    def release(self, src: str, dst: str) -> None:
        """Lets the held requests arrive."""
        self._change(src, dst, held=False)

    @abstractmethod
    def held(self, src: str, dst: str) -> list[Held]:
        """The requests that are held on a link, oldest first."""

    def deliver(self, src: str, dst: str, number: int) -> None:
        """Lets one held request arrive, whichever came before it. Raises `ValueError` if there is none of this number.

        What the tap's odds say may still happen to it.
        """
        self._check_held(src, dst, number)
        self._deliver(src, dst, number)

    def drop(self, src: str, dst: str, number: int) -> None:
        """Loses one held request, and src learns that no reply will come. Raises `ValueError` as `deliver` does."""
        self._check_held(src, dst, number)
        self._drop(src, dst, number)

    def _check_held(self, src: str, dst: str, number: int) -> None:
        numbers = [each.number for each in self.held(src, dst)]
        if number not in numbers:
            there = ", ".join(map(str, numbers)) or "none is"
            raise ValueError(f"expected a request that is held from {src} to {dst} ({there}), got {number}")

    @abstractmethod
    def _deliver(self, src: str, dst: str, number: int) -> None:
        """As `deliver`, of one that is there."""

    @abstractmethod
    def _drop(self, src: str, dst: str, number: int) -> None:
        """As `drop`, of one that is there."""

    @abstractmethod
    def calls(self, dst: str) -> int:
        """Requests that taps on links to `dst` have seen since the start, the lost ones included."""

    def _relink_all(self, name: str) -> None:
        for other in self.names:
            if other != name:
                self._relink(name, other)
                self._relink(other, name)

    def _change(self, src: str, dst: str, **changes: Any) -> None:
        old = self._links[src, dst]
        new = msgspec.structs.replace(old, **changes)
        if new != old:
            self._links[src, dst] = new
            self._record_link(src, dst, old, new)
            self._relink(src, dst)

    @abstractmethod
    def _relink(self, src: str, dst: str) -> None:
        """Makes the world agree with `self.link(src, dst)`."""


__all__ = ["POLL", "CallFailed", "Clerk", "Cluster", "Link", "NotInTime", "ServerStopped"]
