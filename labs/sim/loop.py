"""SimLoop: an asyncio event loop whose clock is a number.

Nothing ever really waits. Callbacks that are ready run in the order in which they became so; when none is, the clock
jumps to the next timer. Timers are ordered by time, then by when they were set, so one program has one schedule.

Every callback belongs to the simulated process in whose context it runs (`OWNER`). A process is stopped by taking all
its callbacks, present and future, out of the schedule; killing it is stopping it for ever. Hence no `finally` of a
killed process ever runs, as none would after SIGKILL.
"""

import asyncio
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from heapq import heapify, heappop, heappush
from itertools import chain, count, islice
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple, Unpack

import msgspec

from common.snapshot import await_chain
from labs.sim.errors import (
    USE_CALL,
    USE_CLUSTER,
    Deadlock,
    NotSimulated,
    Runaway,
    SimulationError,
    TimeLimit,
    caller,
    is_own_code,
    place,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEPS_AT_ONE_INSTANT: Final = 1_000_000
"""So many callbacks without the clock moving mean that somebody runs in circles."""
WAITS_SHOWN: Final = 60
"""Tasks that a report lists."""
FEW_TIMERS: Final = 1000
"""A schedule that has doubled since, and grown by so many, is swept of the timers that were cancelled."""

OWNER: ContextVar[Any] = ContextVar("owner", default=None)
"""The simulated process that the running code belongs to. None: the test."""


class SimHandle(msgspec.Struct, eq=False):
    """A callback in the schedule. It does what asyncio's `TimerHandle` does; thousands of them are made a second."""

    time: float
    callback: Callable[..., object] | None
    args: tuple[Any, ...]
    context: Context
    queue: "deque[Timer] | None" = None
    """Where it waits, if it is a time-out."""

    def __repr__(self) -> str:
        return f"<SimHandle {self.callback!r} at {self.time:.6f}>"

    def when(self) -> float:
        return self.time

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None


Timer = tuple[float, int, SimHandle]
"""When, the how-manieth that was set, and what then."""


class SimFuture(asyncio.Future[T]):
    """A future that a set keeps at a place of its own, and not at one that depends on its address in memory."""

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            loop = self.get_loop()
            assert isinstance(loop, SimLoop)
            self._number = next(loop.numbers)
            return self._number


class SimTask(asyncio.Task[T]):
    """A task that knows its process. It hashes as a `SimFuture` does: asyncio keeps tasks in sets, and walks them."""

    __slots__ = ("_number", "owner")
    _number: int
    owner: Any

    def __hash__(self) -> int:
        return self._number


class Stopped:
    """What a process that is stopped would have done: callbacks that were ready, and timers."""

    def __init__(self) -> None:
        self.ready: list[SimHandle] = []
        self.timers: list[Timer] = []


def _refuse(what: str, instead: str) -> Any:
    """A method of the loop that has no meaning here."""

    def refuse(self: "SimLoop", *_arguments: Any, **_options: Any) -> NoReturn:
        self.forbid(what, instead)
        raise AssertionError("not reached")

    return refuse


class SimLoop(asyncio.AbstractEventLoop):
    """One run's schedule and clock."""

    run_in_executor = set_default_executor = shutdown_default_executor = _refuse(
        "a thread", "use host.spawn(coroutine)"
    )
    create_connection = create_server = create_datagram_endpoint = _refuse("a socket", USE_CALL)
    create_unix_connection = create_unix_server = connect_accepted_socket = create_connection
    sock_accept = sock_connect = sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = create_connection
    sock_sendall = sock_sendto = sock_sendfile = sendfile = start_tls = getaddrinfo = getnameinfo = create_connection
    add_reader = remove_reader = add_writer = remove_writer = connect_read_pipe = connect_write_pipe = create_connection
    subprocess_exec = subprocess_shell = _refuse("a process", USE_CLUSTER)
    add_signal_handler = remove_signal_handler = _refuse("a signal", USE_CLUSTER)
    run_forever = stop = _refuse("the event loop itself", "a server is a coroutine: await what it waits for")
    set_debug = set_task_factory = get_task_factory = run_forever
    set_exception_handler = get_exception_handler = default_exception_handler = run_forever

    get_debug: Any = bool
    """No: `bool()` is False. asyncio asks for each future that it makes, and no function of Python's is called so."""

    def __init__(self, limit: float = 1000.0) -> None:
        self.limit = limit
        """Virtual seconds after which a run is given up."""
        self.now = 0.0
        self.steps = 0
        """Callbacks that have run so far."""
        self.on_error: Callable[[Any, dict[str, Any]], None] = self._log_error
        """Told of exceptions that nobody caught: the owner, and what asyncio knows of it."""
        self.numbers = count()
        """For tasks and futures, which hash to them."""
        self._sequence = count()
        self._ready: deque[SimHandle] = deque()
        self._timers: list[Timer] = []
        self._time_outs: dict[float, deque[Timer]] = {}
        """For each number of seconds its time-outs, oldest first. The first of each queue is also in the schedule."""
        self._sweep_at = FEW_TIMERS
        """The length of the schedule, or of a queue, at which they are swept next."""
        self._stopped: dict[Any, Stopped] = {}
        self._halt = False
        self._look: Callable[[], None] | None = None
        self._fatal: BaseException | None = None
        self._running = False
        self._closed = False

    # --- the schedule ------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimHandle:
        handle = SimHandle(self.now, callback, args, copy_context() if context is None else context)
        if self._stopped and (stopped := self._stopped.get(handle.context.get(OWNER))) is not None:
            stopped.ready.append(handle)
        else:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimHandle:
        handle = SimHandle(when, callback, args, copy_context() if context is None else context)
        timer = (when, next(self._sequence), handle)
        if self._stopped and (stopped := self._stopped.get(handle.context.get(OWNER))) is not None:
            stopped.timers.append(timer)
        else:
            heappush(self._timers, timer)
        return handle

    def time_out(self, seconds: float, callback: Callable[..., object], *args: object, context: Context) -> SimHandle:
        """As `call_later`, for what is nearly always cancelled before its time.

        Time-outs of one length end in the order in which they began. So they queue up, and only the first of a queue
        is in the schedule, which stays short.
        """
        handle = SimHandle(self.now + seconds, callback, args, context)
        timer = (handle.time, next(self._sequence), handle)
        if self._stopped and (stopped := self._stopped.get(context.get(OWNER))) is not None:
            stopped.timers.append(timer)
            return handle
        queue = self._time_outs.get(seconds)
        if queue is None:
            queue = self._time_outs[seconds] = deque()
        if not queue:
            heappush(self._timers, timer)
        elif len(queue) > self._sweep_at:
            self._sweep_timers()
            return self.time_out(seconds, callback, *args, context=context)
        handle.queue = queue
        queue.append(timer)
        return handle

    def _move_up(self, handle: SimHandle) -> None:
        """This time-out has left the schedule. The next one of its queue that was not cancelled gets there."""
        queue, handle.queue = handle.queue, None
        assert queue is not None
        queue.popleft()
        while queue and queue[0][2].callback is None:
            queue.popleft()
        if queue:
            heappush(self._timers, queue[0])

    def timers(self) -> Iterator[Timer]:
        """All that waits for its time, in no order; also what was cancelled. Not what a stopped process waits for."""
        return chain(self._timers, *(islice(queue, 1, None) for queue in self._time_outs.values()))

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> SimHandle:
        return self.call_soon(callback, *args, context=context)

    def stop_owner(self, owner: Any) -> None:
        """From now on nothing of this process runs. It is all kept, so that none of it is cleaned up either."""
        stopped = self._stopped.setdefault(owner, Stopped())
        self._sweep_timers()
        ready, timers = list(self._ready), list(self._timers)
        self._ready.clear()
        self._timers.clear()
        for handle in ready:
            (stopped.ready if handle.context.get(OWNER) is owner else self._ready).append(handle)
        for timer in timers:
            (stopped.timers if timer[2].context.get(OWNER) is owner else self._timers).append(timer)
        heapify(self._timers)

    def resume_owner(self, owner: Any) -> None:
        """The process goes on where it stopped. Timers that ran out in the meantime fire now, in their order."""
        stopped = self._stopped.pop(owner)
        self._ready.extend(stopped.ready)
        for timer in stopped.timers:
            heappush(self._timers, timer)

    def is_idle(self) -> bool:
        """Whether nothing is ready: what becomes so now would run next."""
        return not self._ready

    def skip_number(self) -> None:
        """Leaves out the number of a task that could have been made, so that all later ones keep theirs."""
        next(self.numbers)

    def is_stopped(self, owner: Any) -> bool:
        """Whether that process is stopped."""
        return owner in self._stopped

    def _sweep_timers(self) -> None:
        """Takes out what was cancelled, and puts into the schedule what waits in queues.

        Without this the schedule would be full of the time-outs of what was over long ago.
        """
        self._timers[:] = [timer for timer in self.timers() if timer[2].callback is not None]
        heapify(self._timers)
        for _, _, handle in self._timers:
            handle.queue = None
        self._time_outs.clear()
        self._sweep_at = 2 * len(self._timers) + FEW_TIMERS

    # --- running -----------------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Runs until `future` is done and returns its result. Raises it, or a `SimulationError`."""
        main: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        main.add_done_callback(self._end)
        old_hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finish_generator)
        events._set_running_loop(self)
        self._running = True
        try:
            self._run_all(main)
        finally:
            self._running = False
            events._set_running_loop(None)
            sys.set_asyncgen_hooks(*old_hooks)
        if self._fatal is not None:
            raise self._fatal
        return main.result()

    def _run_all(self, main: "asyncio.Future[Any]") -> None:
        """Runs callbacks until the run ends."""
        ready, timers = self._ready, self._timers
        too_many = self.steps + STEPS_AT_ONE_INSTANT
        while not self._halt:
            if ready:
                handle = ready.popleft()
                if handle.callback is None:
                    continue
            elif timers:
                timer = heappop(timers)
                when, _, handle = timer
                if handle.queue is not None:
                    self._move_up(handle)
                if handle.callback is None:
                    continue
                if when > self.now:
                    if self._look is not None:
                        heappush(timers, timer)
                        self._take_a_look()
                        continue
                    if when > self.limit:
                        self.now = self.limit
                        heappush(timers, timer)
                        raise TimeLimit(
                            f"not done after {self.limit:g} s of virtual time\n" + describe_waits(self, main)
                        )
                    self.now = when
                    too_many = self.steps + STEPS_AT_ONE_INSTANT
                    if len(timers) > self._sweep_at:
                        self._sweep_timers()
            elif self._look is not None:
                self._take_a_look()
                continue
            else:
                raise Deadlock(
                    f"at {self.now:.3f} s everybody waits, and nothing will ever happen again\n"
                    + describe_waits(self, main)
                )
            self.steps += 1
            if self.steps > too_many:
                raise Runaway(
                    f"{STEPS_AT_ONE_INSTANT} steps, and still it is {self.now:.6f} s: a loop that never sleeps?\n"
                    + describe_waits(self, main)
                )
            try:
                handle.context.run(handle.callback, *handle.args)
            except (SimulationError, KeyboardInterrupt):
                raise
            except BaseException as error:
                owner = handle.context.get(OWNER)
                self.on_error(owner, {"message": "an exception escaped a callback", "exception": error})
        if self._look is not None:
            self._take_a_look()

    def halt(self, error: BaseException) -> None:
        """Ends the run with this error as soon as the present callback is over. The first error wins."""
        if self._fatal is None:
            self._fatal = error
        self._halt = True

    def interrupt(self, look: Callable[[], None]) -> None:
        """Calls `look` when this instant is over, before the clock moves. Then the run goes on."""
        self._look = look

    def _take_a_look(self) -> None:
        look, self._look = self._look, None
        assert look is not None
        look()

    def _end(self, main: "asyncio.Future[Any]") -> None:
        self._halt = True

    def _finish_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.create_task(generator.aclose())

    def close(self) -> None:
        """Throws away what is left of the run, silently."""
        self._closed = True
        self.on_error = lambda owner, context: None
        for task in all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with suppress(BaseException):  # from a `finally` of a process that is no more: nobody to tell
                task.get_coro().close()
        self._ready.clear()
        self._timers.clear()
        self._stopped.clear()

    # --- what asyncio asks of a loop ---------------------------------------------------------------------------------

    def create_future(self) -> "SimFuture[Any]":
        return SimFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> "SimTask[T]":
        if self._closed:
            coro.close()
            raise RuntimeError("the run is over")
        task: SimTask[T] = SimTask.__new__(SimTask)
        task._number = next(self.numbers)  # before it begins, since asyncio then puts it into a set
        task.owner = OWNER.get() if context is None else context.get(OWNER)
        SimTask.__init__(task, coro, loop=self, name=name or getattr(coro, "__qualname__", "task"), context=context)
        return task

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        task = context.get("task") or context.get("future")
        self.on_error(task.owner if isinstance(task, SimTask) else OWNER.get(), context)

    def _log_error(self, owner: Any, context: dict[str, Any]) -> None:
        self.halt(context.get("exception") or RuntimeError(context["message"]))

    def forbid(self, what: str, instead: str) -> None:
        """Ends the run: somebody did what no run can repeat. Raises `NotSimulated`."""
        owner = OWNER.get()
        who = "the test" if owner is None else owner.name
        error = NotSimulated(f"{who} used {what} at {caller()}\nA simulation cannot repeat that: {instead}.")
        self.halt(error)
        raise error

    async def shutdown_asyncgens(self) -> None:
        """Nothing to do: `_finish_generator` has seen to each."""


def wake(sleeper: "asyncio.Future[None]") -> None:
    """Ends a wait, unless it has ended otherwise."""
    if not sleeper.done():
        sleeper.set_result(None)


# --- who waits where -------------------------------------------------------------------------------------------------


def all_tasks(loop: SimLoop) -> "list[asyncio.Task[Any]]":
    """The tasks that are not done, oldest first."""
    return sorted(asyncio.all_tasks(loop), key=hash)


def describe_waits(loop: SimLoop, main: "asyncio.Future[Any]") -> str:
    """For people: the test's stack, then where every other task waits."""
    lines = []
    for task in sorted(all_tasks(loop), key=lambda task: task is not main)[:WAITS_SHOWN]:
        owner = getattr(task, "owner", None)
        if not getattr(owner, "alive", True):
            continue  # it was killed
        places = await_chain(task.get_coro())
        own = [place for place in places if is_own_code(place[0])] or places
        who = "the test" if owner is None else owner.name
        if loop.is_stopped(owner):
            who += " (stopped)"
        for file, line, function in own if task is main else own[-1:]:
            name = "" if task is main else f": {task.get_name()}"
            lines.append(f"  {who}{name} waits at {place(file, line, function)}")
    return "\n".join(lines)
