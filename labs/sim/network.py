"""Simulated processes, and the network between them.

A message travels as the bytes that it would be on a wire, so nothing is shared between processes, and a wrong type is
refused as in the real world. Each message has a delay of its own: messages overtake each other. What a link does is
drawn from randomness of that link, seeded by the run's seed and the two names.
"""

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context, copy_context
from functools import partial
from random import Random
from types import CoroutineType
from typing import Any, Final, Generic, TypeVar

import msgspec

from common.host import CALL_TIMEOUT, BadRequest, CallFailed, CallRefused, Handlers
from common.links import check_name
from common.wire import (
    MAX_FRAME,
    Methods,
    Request,
    decode_result,
    encode,
    request_frame,
    response_frame,
)
from labs.choices import Choices
from labs.cluster import Held, Link, Seen
from labs.faults import NONE, Fate, Faults, as_json
from labs.sim.errors import own_traceback
from labs.sim.loop import OWNER, SimFuture, SimHandle, SimLoop, wake
from labs.sim.trace import Trace
from labs.texts import params_text
from labs.traces.bodies import body_of
from labs.traces.events import Event, Kind
from labs.traces.recorder import Recorder

R = TypeVar("R")

USUAL_DELAY: Final = (0.0002, 0.002)
"""Seconds that a message travels, at least and at most."""
LONG_DELAY: Final = (0.002, 0.020)
"""The same for one of those that take long."""
ODDS_OF_LONG_DELAY: Final = 0.02
CONTROL_DELAY: Final = 0.0001
"""Seconds that a message takes between the harness and a server."""

LARGE: Final = MAX_FRAME // 2
"""Bytes of params or a result from which on the length of the whole frame is looked at."""
NOTHING: Final = encode(None)
"""The result beside an error."""


class Process:
    """One simulated process: all that SIGKILL would take away."""

    def __init__(
        self, name: str, incarnation: int, world: "Network", log: list[str], context: Context | None = None
    ) -> None:
        self.name = name
        self.world = world
        self.alive = True
        self.handlers: Mapping[type[Request[Any]], Any] | None = None
        """What it serves. None: nobody can reach it yet."""
        self.methods: Methods | None = None
        self.serving: asyncio.Future[None] = world.loop.create_future()
        self.incoming: dict[int, Call[Any]] = {}
        """Calls to this process that have no answer yet: whoever waits learns of its end."""
        self.waiting: dict[Call[Any], float] = {}
        """Calls by this process that it waits for, and since when."""
        self.log = log
        self.host = SimHost(self, Random(f"{world.seed} {name} {incarnation}"), incarnation)
        if context is None:
            context = copy_context()
            context.run(OWNER.set, self)
        self.context = context

    def run(self, main: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Starts the process's main coroutine."""
        return self.spawn(main, "main")

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Runs a coroutine of this process; an exception that escapes it ends the process."""
        task = self.world.loop.create_task(coroutine, name=name, context=self.context.copy())
        task.add_done_callback(self._task_ended, context=self.context)
        return task

    def _task_ended(self, task: "asyncio.Future[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crash(error)

    def serve(self, handlers: Handlers) -> None:
        """From now on this process answers these requests."""
        self.methods = Methods(handlers)
        self.handlers = dict(handlers)
        self.world.note("serve", self.name)
        self.world.tell("serve", self.name)
        if not self.serving.done():
            self.serving.set_result(None)

    def crash(self, error: BaseException) -> None:
        """The process ends by its own mistake."""
        if not self.alive:
            return
        text = "".join(traceback.format_exception(error))
        self.write(text)
        self.world.note("crash", self.name)
        self.world.tell("crash", self.name, "".join(traceback.format_exception_only(error)).strip())
        self.end()
        self.world.on_crash(self, own_traceback(error))

    def end(self) -> None:
        """Nothing of this process ever runs again. Who waits for its answer learns so, as when a connection ends."""
        self.alive = False
        self.world.loop.stop_owner(self)
        for call in self.incoming.values():
            self.world.fail(call, f"{self.name} died")
        if not self.serving.done():
            self.serving.set_result(None)

    def write(self, text: str) -> None:
        """Text that this process printed. Each line of its log begins with the time."""
        for piece in text.splitlines(keepends=True):
            self._write(piece)
            if self.world.recorder is not None and piece.endswith("\n"):
                self.world.tell("log", self.name, self.log[-1][_STAMP:].rstrip())

    def mark(self, text: str) -> None:
        """A line in its log that is the harness's."""
        self._write(f"--- {text}\n")

    def _write(self, piece: str) -> None:
        if self.log and not self.log[-1].endswith("\n"):
            self.log[-1] += piece
        else:
            self.log.append(f"{self.world.loop.now:10.6f} {piece}")


_STAMP: Final = len(f"{0.0:10.6f} ")
"""Characters of the time before each line of a log."""


class Call(msgspec.Struct, Generic[R], eq=False):
    """One call under way."""

    number: int
    src: Process
    dst_name: str
    request: type[Request[R]]
    params: bytes
    """The request as it travels."""
    future: "asyncio.Future[R]"
    control: bool = False
    dst: Process | None = None
    arrived: bool = False
    reply_lost: bool = False
    reply_delay: float = 0.0
    silent: bool = False
    timer: SimHandle | None = None
    id: int = 0
    """In the trace, if there is one."""

    def fail(self, why: str) -> None:
        """No reply will come."""
        if not self.future.done():
            self.src.world.tell_of(self, "fail", text=why)
            self.future.set_exception(
                CallFailed(f"{self.src.name} called {self.dst_name}.{self.request.__name__}: {why}")
            )

    def time_out(self, seconds: float) -> None:
        """The caller has waited long enough."""
        self.fail(f"no reply within {seconds:g} s")

    def refuse(self, why: str) -> None:
        """Caller and server do not speak of the same thing."""
        self.future.set_exception(CallRefused(f"{self.src.name} called {self.dst_name}: {why}"))


def _task_of(process: Process) -> int | None:
    """The number of what a process, such as a clerk, is doing for the test. None: nothing."""
    return next((call.number for call in process.incoming.values() if call.control), None)


def _check_length(frame: bytes) -> None:
    assert len(frame) <= MAX_FRAME, (
        f"a message of {len(frame)} bytes is over the limit of {MAX_FRAME}: send it in parts"
    )


class Network:
    """All processes of a run, and the links between them."""

    def __init__(self, loop: SimLoop, seed: int, trace: Trace) -> None:
        self.loop = loop
        self.seed = seed
        self.trace = trace
        self.processes: dict[str, Process] = {}
        self.links: dict[tuple[str, str], Link] = {}
        """Who can reach whom. Nobody has a link to a process that has not started."""
        self.counted: dict[str, int] = {}
        """Requests that the taps before each server have seen."""
        self.messages = 0
        self.seen = Seen()
        self.choices: Choices | None = None
        self.recorder: Recorder | None = None
        self.on_crash: Callable[[Process, str], None] = lambda process, traceback: None
        """Told of each process that ends by its own mistake, and of its traceback."""
        self._randoms: dict[tuple[str, str], Random] = {}
        self._held: dict[tuple[str, str], dict[int, Call[Any]]] = {}
        """For each link what is held on it, by numbers that count from 1."""
        self._held_ever: dict[tuple[str, str], int] = {}
        self._unheard: dict[Process, tuple[int, type[Request[Any]]]] = {}
        """Who has lost a reply while it did something for the test: the number of that, and what it had asked."""
        self._calls = 0

    def note(self, kind: str, src: str = "", dst: str = "", text: str = "") -> None:
        """One event for the trace."""
        self.trace.add(self.loop.now, kind, src, dst, text)

    def _note_request(self, kind: str, call: "Call[Any]") -> None:
        """A request sets out, or does not."""
        if self.trace.is_short:
            self.trace.add_sent(call.params)
            return
        method = call.request.__name__
        frame = request_frame(call.number, method, call.params)
        self.trace.add(self.loop.now, kind, call.src.name, call.dst_name, method, frame)

    def _note_reply(self, kind: str, call: "Call[Any]", result: bytes, error: str | None) -> None:
        """The same of a reply."""
        if self.trace.is_short:
            self.trace.add_sent(result)
            return
        frame = response_frame(call.number, error, result)
        self.trace.add(self.loop.now, kind, call.dst_name, call.src.name, call.request.__name__, frame)

    def tell(self, kind: Kind, name: str, text: str = "") -> None:
        """Something about a process, for whoever reads of the run."""
        if self.recorder is not None:
            self.recorder.add(Event(self.loop.now, kind, name, text=text))

    def tell_of(self, call: "Call[Any]", kind: Kind, encoded: bytes = b"", text: str = "") -> None:
        """The same about a call. What the harness itself asks is told by the cluster."""
        if self.recorder is None or call.control:
            return
        call.id = call.id or self.recorder.number()
        body = body_of(encoded) if encoded else None
        self.recorder.add(
            Event(self.loop.now, kind, call.src.name, call.dst_name, call.id, call.request.__name__, body, text)
        )

    def random(self, src: str, dst: str) -> Random:
        """The randomness of one link."""
        found = self._randoms.get((src, dst))
        if found is None:
            found = self._randoms[src, dst] = Random(f"{self.seed} {src} {dst}")
        return found

    def delay(self, src: str, dst: str) -> float:
        """Seconds that the next message from src to dst travels."""
        draw = (self._randoms.get((src, dst)) or self.random(src, dst)).random()
        if draw < ODDS_OF_LONG_DELAY:
            delay = LONG_DELAY[0] + (LONG_DELAY[1] - LONG_DELAY[0]) * (draw / ODDS_OF_LONG_DELAY)
        else:
            delay = USUAL_DELAY[0] + (USUAL_DELAY[1] - USUAL_DELAY[0]) * draw
        if self.choices is None:
            return delay
        return self.choices.choose(f"delay of {src} > {dst}", lambda: delay, USUAL_DELAY[0])

    # --- a call, from its beginning to its end -----------------------------------------------------------------------

    def call(
        self, src: Process, dst: str, request: Request[R], timeout: float | None, control: bool = False
    ) -> Call[R]:
        """Sends a request on its way. `control`: by the harness's own path, which no fault touches."""
        loop = self.loop
        self._calls = number = self._calls + 1
        method = type(request)
        params = encode(request)
        if len(params) > LARGE:
            _check_length(request_frame(number, method.__name__, params))
        call: Call[R] = Call(number, src, dst, method, params, asyncio.Future(loop=loop), control)
        if timeout is not None and timeout != math.inf:
            call.timer = loop.time_out(timeout, call.time_out, timeout, context=src.context)
        if control:
            self._send(call, CONTROL_DELAY)
            return call
        if self.recorder is not None:
            self.tell_of(call, "request", params)
        if self._unheard:
            self._look_for_repetition(call)
        link = self.links.get((src.name, dst))
        if link is None:
            check_name(dst)
        if link is None or not link.up:
            self.fail(call, "there is no link")
            return call
        if link.tap is not None:
            self.counted[dst] = self.counted.get(dst, 0) + 1
            if link.held:
                self._hold(call)
            else:
                self._send_through_tap(call, link.tap)
            return call
        self._send(call, self.delay(src.name, dst))
        return call

    def _send(self, call: Call[Any], delay: float) -> None:
        target = self.processes.get(call.dst_name)
        if target is None or not target.alive or target.handlers is None:
            self.fail(call, "nobody listens there")
            return
        call.dst = target
        target.incoming[call.number] = call
        self.messages += 1
        self._note_request("request", call)
        self.loop.call_at(self.loop.now + delay, self._arrive, call, context=target.context)

    def _send_through_tap(self, call: Call[Any], faults: Faults) -> None:
        src, dst = call.src.name, call.dst_name
        fate = self._fate(src, dst, faults)
        call.silent = faults.silent
        if not fate.copies:
            self._note_request("lose request", call)
            self.tell_of(call, "lose request")
            self._lose(call)
            return
        call.reply_lost, call.reply_delay = fate.reply_lost, fate.reply_delay
        for held_back in fate.copies:
            self._send(call, held_back + self.delay(src, dst))

    def _fate(self, src: str, dst: str, faults: Faults) -> Fate:
        random = self.random(src, dst)
        if self.choices is None:
            return faults.draw(random)
        value = self.choices.choose(
            f"fate of {src} > {dst}", lambda: as_json(faults.draw(random)), as_json(faults.simplest)
        )
        return msgspec.convert(value, Fate)

    def _lose(self, call: Call[Any]) -> None:
        if not call.silent:
            self.fail(call, "the request or its reply was lost")

    def fail(self, call: Call[Any], why: str) -> None:
        """The caller learns, a moment later, that no reply will come."""
        delay = CONTROL_DELAY if call.control else self.delay(call.dst_name, call.src.name)
        self.loop.call_at(self.loop.now + delay, call.fail, why, context=call.src.context)

    def _arrive(self, call: Call[Any]) -> None:
        """A request is there. Runs as the process that it reached."""
        process = call.dst
        assert process is not None
        assert process.methods is not None
        assert process.handlers is not None
        if not self.trace.is_short:
            self.note("arrive", call.src.name, process.name, call.request.__name__)
        if self.recorder is not None:
            self.tell_of(call, "arrive")
        if call.arrived:
            self.seen.duplicates += 1
        call.arrived = True
        try:
            request = process.methods.decode(call.request.__name__, call.params)
        except ValueError as error:
            self._reply(call, NOTHING, str(error))
            return
        try:
            outcome = process.handlers[type(request)](request)
            if isinstance(outcome, CoroutineType):
                context = process.context.copy()
                self.loop.create_task(self._wait(call, outcome), name=call.request.__name__, context=context)
            elif isinstance(outcome, asyncio.Future):
                self.loop.skip_number()
                if self.loop.is_idle():
                    self._reply_when_done(call, outcome)
                else:
                    self.loop.call_soon(self._reply_when_done, call, outcome, context=process.context)
            else:
                self._reply(call, self._encoded(call, outcome))
        except Exception as error:
            self._fail_to_reply(call, error)

    async def _wait(self, call: Call[Any], outcome: Awaitable[Any]) -> None:
        try:
            result = self._encoded(call, await outcome)
        except Exception as error:
            self._fail_to_reply(call, error)
        else:
            self._reply(call, result)

    def _reply_when_done(self, call: Call[Any], outcome: "asyncio.Future[Any]") -> None:
        assert call.dst is not None
        if outcome.done():
            self._finish(call, outcome)
        else:
            outcome.add_done_callback(partial(self._finish, call), context=call.dst.context)

    def _finish(self, call: Call[Any], outcome: "asyncio.Future[Any]") -> None:
        if outcome.cancelled():
            return
        try:
            result = self._encoded(call, outcome.result())
        except Exception as error:
            self._fail_to_reply(call, error)
        else:
            self._reply(call, result)

    def _fail_to_reply(self, call: Call[Any], error: Exception) -> None:
        """The handler raised this: it refuses the request, or is mistaken, and then the process ends."""
        if isinstance(error, BadRequest):
            self._reply(call, NOTHING, str(error))
        else:
            assert call.dst is not None
            call.dst.crash(error)

    @staticmethod
    def _encoded(call: Call[Any], outcome: Any) -> bytes:
        result = encode(outcome)
        if len(result) > LARGE:
            _check_length(response_frame(call.number, None, result))
        return result

    def _reply(self, call: Call[Any], result: bytes, error: str | None = None) -> None:
        process = call.dst
        assert process is not None
        if process.incoming.pop(call.number, None) is None:
            return  # the second copy of a request: its first reply is on its way
        self.messages += 1
        if self.recorder is not None:
            self.tell_of(call, "reply", result, error or "")
        if call.reply_lost:
            self._note_reply("lose reply", call, result, error)
            self.tell_of(call, "lose reply")
            task = _task_of(call.src)
            if task is not None:
                self._unheard[call.src] = task, call.request
            self._lose(call)
            return
        delay = CONTROL_DELAY if call.control else call.reply_delay + self.delay(process.name, call.src.name)
        self._note_reply("reply", call, result, error)
        self.loop.call_at(self.loop.now + delay, self._return, call, result, error, context=call.src.context)

    def _return(self, call: Call[Any], result: bytes, error: str | None) -> None:
        """The reply is there. Runs as the process that called."""
        if call.future.done():
            return
        method = call.request.__name__
        if not self.trace.is_short:
            self.note("return", call.dst_name, call.src.name, method)
        if self.recorder is not None:
            self.tell_of(call, "return")
        if error is not None:
            call.refuse(f"{method} was refused: {error}")
            return
        try:
            call.future.set_result(decode_result(call.request, result))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as mismatch:
            call.refuse(f"the reply to {method} is not what it should be: {mismatch}")

    def _look_for_repetition(self, call: Call[Any]) -> None:
        """Counts a request that is made again for the same task, after a reply to it was lost."""
        task, request = self._unheard.get(call.src, (None, None))
        if request is call.request:
            del self._unheard[call.src]
            if task == _task_of(call.src):
                self.seen.repeated += 1

    # --- held links --------------------------------------------------------------------------------------------------

    def _hold(self, call: Call[Any]) -> None:
        self._note_request("hold", call)
        link = call.src.name, call.dst_name
        self._held_ever[link] = number = self._held_ever.get(link, 0) + 1
        self._held.setdefault(link, {})[number] = call

    def held(self, src: str, dst: str) -> list[Held]:
        """What is held on a link, oldest first."""
        held = self._held.get((src, dst), {})
        return [Held(number, call.request.__name__, params_text(call.params)) for number, call in held.items()]

    def deliver(self, src: str, dst: str, number: int) -> None:
        """One of them sets out."""
        call = self._held[src, dst].pop(number)
        self._send_through_tap(call, self.links[src, dst].tap or NONE)

    def drop(self, src: str, dst: str, number: int) -> None:
        """One of them is lost."""
        call = self._held[src, dst].pop(number)
        self._note_request("lose request", call)
        self.tell_of(call, "lose request")
        self.fail(call, "the request was dropped")

    def set_link(self, src: str, dst: str, link: Link) -> None:
        """The link's new state. What it held sets out if it holds no more."""
        if self.links.get((src, dst)) == link:
            return
        self.links[src, dst] = link
        if not self.trace.is_short:
            faults = "" if link.tap is None else str(link.tap)
            self.note("link", src, dst, f"{'up' if link.up else 'down'} {'held ' if link.held else ''}{faults}")
        if not link.held and self._held:
            for call in self._held.pop((src, dst), {}).values():
                self._send_through_tap(call, link.tap or NONE)


class SimHost:
    """`common.host.Host` for one simulated process."""

    def __init__(self, process: Process, random: Random, lives: int) -> None:
        self.name = process.name
        self.lives = lives
        self.random = random
        self._process = process

    def now(self) -> float:
        return self._process.world.loop.now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = self._process.world.loop
        over: SimFuture[None] = SimFuture(loop=loop)
        timer = loop.call_at(loop.now + seconds, wake, over)
        try:
            await over
        finally:
            timer.cancel()

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str = "") -> "asyncio.Task[None]":
        return self._process.spawn(coroutine, name or getattr(coroutine, "__qualname__", "task"))

    async def serve(self, handlers: Handlers) -> None:
        self._process.serve(handlers)

    async def call(self, address: str, request: Request[R], timeout: float = CALL_TIMEOUT) -> R:
        process = self._process
        call = process.world.call(process, address, request, timeout)
        process.waiting[call] = process.world.loop.now
        try:
            return await call.future
        finally:
            del process.waiting[call]
            if call.timer is not None:
                call.timer.cancel()

    def log(self, text: str) -> None:
        self._process.write(text + "\n")
