"""SimCluster: the cluster of a graded test, in the simulated world."""

import asyncio
import gc
import importlib
import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, Literal, TypeVar

import msgspec

from common.links import check_name
from common.snapshot import Snapshot, Waiting, places_of
from common.wire import Request
from labs.choices import Choices
from labs.cluster import Cluster, Held, ServerStopped
from labs.sim.loop import SimHandle, SimLoop, all_tasks, wake
from labs.sim.network import Call, Network, Process, SimHost
from labs.sim.trace import Trace
from labs.traces.events import Kind
from labs.traces.recorder import Recorder

R = TypeVar("R")

START_SECONDS: Final = 0.002
"""How long it takes until a new process runs."""
AFTERWARDS: Final = 10.0
"""Virtual seconds for whoever looks at a run that is over."""


class SimCluster(Cluster):
    """Servers and clerks as coroutines of one virtual-time loop."""

    world: Literal["process", "sim"] = "sim"

    def __init__(
        self,
        package: str,
        seed: int,
        loop: SimLoop,
        trace: Trace,
        folder: Path | None = None,
        patience: float = 1.0,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(package, seed, folder, patience, recorder)
        self._loop = loop
        self.network = Network(loop, seed, trace)
        self.network.on_crash = self._on_crash
        self.network.seen = self.seen
        self.network.recorder = recorder
        self._roles = importlib.import_module(f"{package}.roles").ROLES
        self._started: dict[str, tuple[str, bytes, int]] = {}
        """For each name: role, arguments (encoded: a process shares no objects), and how often it was started."""
        self._logs: defaultdict[str, list[str]] = defaultdict(list)
        self._paused: set[str] = set()
        self._harness = Process("the harness", 0, self.network, [], copy_context())
        self.choices: Choices | None = None
        """Where somebody wants to know or to say what is left to chance."""
        self._waiting: dict[asyncio.Future[Any], None] = {}
        """What the test waits for, in the order in which it began to."""
        self._mistake: str | None = None
        """The first server's end that nobody wanted, in words."""

    def stop_recording(self) -> None:
        super().stop_recording()
        self.network.recorder = None

    def afterwards(self, what: Coroutine[Any, Any, R]) -> R:
        """Runs this once the run itself can or may not go on. The test stands still from now on, the servers do not.

        It may take `AFTERWARDS`. Raises what it raises, or a `SimulationError`.
        """
        self._loop.stop_owner(None)
        self._loop.limit = self._loop.now + AFTERWARDS
        self._harness = Process("the harness", 0, self.network, [])  # one that does not belong to the test
        return self._harness.context.copy().run(self._loop.run_until_complete, what)

    def choose(self, of: str, draw: Callable[[], R], simplest: R) -> R:
        return draw() if self.choices is None else self.choices.choose(of, draw, simplest)

    # --- time --------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        self.check()
        over: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_later(seconds, wake, over)
        await self._unless_stopped(over, timer)

    async def _unless_stopped(self, future: "asyncio.Future[R]", timer: SimHandle | None) -> R:
        """Waits for `future`. When a server ends by its own mistake, that is raised instead, at once."""
        self._waiting[future] = None
        try:
            return await future
        finally:
            del self._waiting[future]
            if timer is not None:
                timer.cancel()

    # --- servers -----------------------------------------------------------------------------------------------------

    async def _start(self, role: str, name: str, arguments: dict[str, Any]) -> None:
        check_name(name)
        if role not in self._roles:
            raise ServerStopped(f"{name}: expected a role of {self.package} ({', '.join(self._roles)}), got {role!r}")
        try:
            inspect.signature(self._roles[role]).bind(None, **arguments)
        except TypeError as error:
            raise ServerStopped(f"{name}: role {role} of {self.package}: {error}") from None
        self._started[name] = (role, msgspec.msgpack.encode(arguments), 0)
        await self._launch(name)

    async def _restart(self, name: str) -> None:
        self.check()
        if self.running(name):
            raise ValueError(f"expected a server that was killed, but {name} runs")
        await self._launch(name)

    async def _launch(self, name: str) -> None:
        role, arguments, incarnation = self._started[name]
        self._started[name] = (role, arguments, incarnation + 1)
        process = Process(name, incarnation, self.network, self._logs[name])
        self.network.processes[name] = process
        self._mark(name, "start", role)
        await asyncio.sleep(START_SECONDS)
        self.network.set_link(name, name, self.link(name, name))
        main = process.run(process.context.run(self._roles[role], process.host, **msgspec.msgpack.decode(arguments)))
        await asyncio.wait([main, process.serving], return_when=asyncio.FIRST_COMPLETED)
        self.check()
        if process.handlers is None and process.alive:
            process.end()
            raise ServerStopped(f"{name} ({role}) ended without serving anything: its role has to call host.serve(...)")
        if process.handlers is None:
            raise ServerStopped(f"{name} was killed while it started")

    async def kill(self, name: str) -> None:
        process = self.network.processes[name]
        self._paused.discard(name)
        if process.alive:
            self._mark(name, "kill")
            process.end()

    def pause(self, name: str) -> None:
        self._must_run(name)
        if name not in self._paused:
            self._paused.add(name)
            self._mark(name, "pause")
            self._loop.stop_owner(self.network.processes[name])

    def resume(self, name: str) -> None:
        self._must_run(name)
        if name in self._paused:
            self._paused.discard(name)
            self._mark(name, "resume")
            self._loop.resume_owner(self.network.processes[name])

    def _must_run(self, name: str) -> None:
        if not self.running(name):
            self.check()
            raise ValueError(f"expected a running server, but {name} does not run")

    def _mark(self, name: str, event: Kind, what: str = "") -> None:
        """Something was done to a server: that belongs into the trace, and into its log."""
        self.network.note(event, name, text=what)
        self.record(event, name, text=what)
        self.network.processes[name].mark(f"{event} {what}".rstrip())

    def running(self, name: str) -> bool:
        process = self.network.processes.get(name)
        return process is not None and process.alive

    def check(self) -> None:
        if self._mistake is not None:
            raise ServerStopped(self._mistake)

    def _on_crash(self, process: Process, traceback: str) -> None:
        if self._mistake is None:
            role, _, _ = self._started[process.name]
            self._mistake = f"{process.name} ({role}) ended by itself. A server runs until it is killed.\n{traceback}"
        for future in self._waiting:
            if not future.done():
                future.set_exception(ServerStopped(self._mistake))

    def memory(self, name: str) -> int:
        process = self.network.processes[name]
        if not process.alive:
            return 0
        return deep_size([process.handlers, *(task.get_coro() for task in self._tasks_of(process))])

    def log(self, name: str) -> str:
        return "".join(self._logs[name])

    async def snapshot(self, name: str) -> Snapshot:
        return self.look_into(name)

    def look_into(self, name: str) -> Snapshot:
        """As `snapshot`, also where the run cannot go on."""
        process = self.network.processes.get(name)
        if process is None or not process.alive:
            return Snapshot("killed")
        return Snapshot(
            "paused" if name in self._paused else "running",
            [
                Waiting(call.dst_name, call.request.__name__, self.now() - since)
                for call, since in process.waiting.items()
            ],
            places_of(self._tasks_of(process)),
        )

    def _tasks_of(self, process: Process) -> "list[asyncio.Task[Any]]":
        return [task for task in all_tasks(self._loop) if getattr(task, "owner", None) is process]

    async def peek(self, address: str, request: Request[R], timeout: float | None) -> R:
        if not self.running(address):
            self.check()
        call = self.network.call(self._harness, address, request, timeout, control=True)
        return await self._unless_stopped(call.future, call.timer)

    # --- network -----------------------------------------------------------------------------------------------------

    def calls(self, dst: str) -> int:
        return self.network.counted.get(dst, 0)

    def held(self, src: str, dst: str) -> list[Held]:
        return self.network.held(src, dst)

    def _deliver(self, src: str, dst: str, number: int) -> None:
        self.network.deliver(src, dst, number)

    def _drop(self, src: str, dst: str, number: int) -> None:
        self.network.drop(src, dst, number)

    def _relink(self, src: str, dst: str) -> None:
        self.network.set_link(src, dst, self.link(src, dst))


_SHARED: Final = (ModuleType, CodeType, type, Context, SimHost, Process, Network, Call, SimLoop, asyncio.Future)


def deep_size(roots: list[Any]) -> int:
    """Bytes of all objects that these lead to, each counted once: approximately what a process holds for itself.

    Code, types, modules and the world are not followed. What is reachable only from callbacks is missed.
    """
    seen: set[int] = set()
    size = 0
    pending: list[Any] = list(roots)
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        size += sys.getsizeof(thing)
        if isinstance(thing, FunctionType):
            pending.extend(thing.__closure__ or ())
        elif isinstance(thing, msgspec.Struct):  # the garbage collector, asked below, does not look into most of them
            pending.extend(getattr(thing, field) for field in thing.__struct_fields__)
        else:
            pending.extend(gc.get_referents(thing))
    return size
