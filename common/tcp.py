"""The real world: servers as processes that speak MessagePack-RPC over TCP on loopback, found through socket files.

Connections are kept open and shared: any number of calls are under way on one, and replies come in any order. What
one turn of the event loop has to say to a peer leaves in one system call, or in a few if it is much. Each call goes by
what the link is now: no file, no call; another file, another connection. So a link is looked at, by one `stat`,
whenever its folder has changed. Where the kernel does not tell that, it is looked at in every turn of the loop, and
the calls of a turn share the look: nobody could tell which of them came before a cut.
"""

import asyncio
import contextlib
import os
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic
from types import CoroutineType
from typing import Any, Final, TypeVar, cast

import msgspec

from common import links
from common.host import CALL_TIMEOUT, BadRequest, CallFailed, CallRefused, Handlers
from common.snapshot import Snapshot, Waiting
from common.wire import (
    LOST,
    MAX_FRAME,
    FrameReader,
    Malformed,
    Methods,
    Request,
    RequestFrame,
    ResponseFrame,
    decode_frame,
    decode_result,
    decode_single,
    encode_error,
    encode_request,
    encode_result,
)

R = TypeVar("R")

MAX_CONNECTIONS: Final = 4096
"""Connections that a server keeps open. A further one is closed at once."""
MAX_RUNNING: Final = 10_000
"""Requests of one connection that may be in work. Its further bytes wait in the socket until some are answered."""
MAX_UNSENT: Final = 2 * MAX_FRAME
"""Bytes that wait for a peer who does not read. Calls beyond them fail, and answers beyond them end the connection."""
MAX_TOGETHER: Final = 40
"""Frames that wait for the end of a turn. More would leave the peer idle for as long as we are busy."""
WRITE_AT_ONCE: Final = 512
"""Bytes that are written when they are given, and not when the loop gets to it: uvloop's limit for that."""
UNPACED: Final = b"reno"
"""The congestion control of our connections. Every Linux has this one; BBR, say, spreads over time what we send."""
TIMEOUT_GRAIN: Final = 0.02
"""Seconds between two looks for calls whose time has run out."""


class Channel(asyncio.Protocol):
    """What both ends of a connection share: frames in, and the frames of one loop turn out in one write."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._unsent: list[bytes] = []
        self.writing_paused = False
        """Whether the peer has not taken all that was written."""
        self._one_by_one = False
        """Whether the latest bytes were one frame: then the next ones probably are, and need not be cut."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        self.transport.set_write_buffer_limits(high=WRITE_AT_ONCE)
        if hasattr(socket, "TCP_CONGESTION"):
            with contextlib.suppress(OSError):  # it may be forbidden, and we only lose some speed
                transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)
        if self._unsent:
            self._flush()

    def send(self, frame: bytes, alone: bool = False) -> None:
        """Sends a frame, at the end of this turn of the loop at the latest, or as soon as there is a connection.

        `alone`: nothing else is under way, so this turn will hardly have more to send. Then it leaves at once.
        """
        assert len(frame) <= MAX_FRAME, f"expected messages of at most {MAX_FRAME} bytes, got {len(frame)}: send parts"
        if alone and self._one_by_one and not self._unsent:
            self._write(frame)
            return
        self._unsent.append(frame)
        if self.transport is None:
            return
        if len(self._unsent) == 1:
            self.loop.call_soon(self._flush)
        elif len(self._unsent) == MAX_TOGETHER:
            self._flush()

    def _flush(self) -> None:
        frames, self._unsent = self._unsent, []
        if frames:
            self._write(b"".join(frames))

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def backlog(self) -> int:
        """Bytes written that the peer has not taken yet."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False

    def data_received(self, data: bytes) -> None:
        try:
            if self._one_by_one and (single := decode_single(data)) is not None:
                self.frame_received(single)
                return
            frames = self._reader.feed(data)
            self._one_by_one = len(frames) == 1 and self._reader.is_between_frames
            for frame in frames:
                self.frame_received(decode_frame(frame))
        except Malformed as error:
            self.malformed(str(error))
            self.abort()

    def frame_received(self, frame: RequestFrame | ResponseFrame) -> None:
        """A whole message has come. Raises `Malformed` if it has no place here."""
        raise NotImplementedError

    def malformed(self, reason: str) -> None:
        """The peer does not speak MessagePack-RPC, so the connection is about to end."""

    def abort(self) -> None:
        """Ends the connection now."""
        if self.transport is not None:
            self.transport.abort()


class Client(Channel):
    """The calling end. Made without waiting: what is asked before the connection stands is sent when it does."""

    def __init__(self, endpoint: links.Endpoint, identity: links.Identity | None = None) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.identity = identity
        self.closed = False
        self._retired = False
        self._calls: dict[int, tuple[asyncio.Future[Any], type[Request[Any]], float, float]] = {}
        """For each call under way: its reply to come, what was asked, when, and until when it may be answered."""
        self.asked = 0
        """Requests so far. Each is numbered by those before it."""
        self._sweeping = False
        self._connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self.loop.create_connection(lambda: self, self.endpoint.host, self.endpoint.port)
        except OSError as error:
            self.connection_lost(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.closed:
            self.abort()

    def ask(self, request: Request[R], timeout: float = CALL_TIMEOUT) -> "asyncio.Future[R]":
        """The reply to come. Raises (through the future, or at once) as `Host.call` does."""
        if self.closed:
            raise CallFailed(f"the connection to {self.endpoint.host}:{self.endpoint.port} is closed")
        if self.writing_paused and self.backlog() > MAX_UNSENT:
            raise CallFailed(
                f"{self.backlog()} bytes wait for {self.endpoint.host}:{self.endpoint.port}, who does not read"
            )
        msgid = self.asked & 0xFFFFFFFF
        self.asked += 1
        future: asyncio.Future[R] = self.loop.create_future()
        now = self.loop.time()
        alone = not self._calls
        self._calls[msgid] = (future, type(request), now, now + timeout)
        self.send(encode_request(msgid, request), alone)
        if not self._sweeping:
            self._sweeping = True
            self.loop.call_later(TIMEOUT_GRAIN, self._sweep)
        return future

    def _sweep(self) -> None:
        now = self.loop.time()
        for msgid in [msgid for msgid, (_, _, _, deadline) in self._calls.items() if deadline <= now]:
            future, request, _, _ = self._calls.pop(msgid)
            if not future.done():
                future.set_exception(CallFailed(f"no reply to {request.__name__} in time"))
        self._sweeping = bool(self._calls)
        if self._sweeping:
            self.loop.call_later(TIMEOUT_GRAIN, self._sweep)
        elif self._retired:
            self.close()

    def frame_received(self, frame: RequestFrame | ResponseFrame) -> None:
        if isinstance(frame, RequestFrame):
            raise Malformed(f"expected a response, got the request {frame.method[:100]!r}")
        call = self._calls.pop(frame.msgid, None)
        if call is None:
            return  # its time had run out
        future, request, _, _ = call
        if not future.done():
            if frame.error is None:
                try:
                    future.set_result(decode_result(request, frame.result))
                except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                    future.set_exception(CallRefused(f"the reply to {request.__name__} makes no sense: {error}"))
            elif frame.error == LOST:
                future.set_exception(CallFailed(LOST))
            else:
                future.set_exception(CallRefused(f"{request.__name__} was refused: {frame.error}"))
        if self._retired and not self._calls:
            self.close()

    def malformed(self, reason: str) -> None:
        print(f"{self.endpoint.host}:{self.endpoint.port} sent nonsense: {reason}", file=sys.stderr)

    def under_way(self) -> list[tuple[str, float]]:
        """For each call that has no answer yet: what was asked, and for how many seconds that has been so."""
        now = self.loop.time()
        return [
            (request.__name__, now - asked)
            for future, request, asked, _ in self._calls.values()
            if not future.done()  # whoever asked may have stopped waiting
        ]

    def retire(self) -> None:
        """No new calls: closes as soon as the calls under way are over."""
        self._retired = True
        if not self._calls:
            self.close()

    def close(self) -> None:
        """Ends the connection. Calls under way fail."""
        self.abort()
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        calls, self._calls = self._calls, {}
        for future, request, _, _ in calls.values():
            if not future.done():
                reason = f": {exc}" if exc is not None else ""
                future.set_exception(CallFailed(f"no reply to {request.__name__}, the connection ended{reason}"))


class Served(Channel):
    """The answering end of one connection."""

    def __init__(self, host: "TcpHost", handlers: Handlers, methods: Methods) -> None:
        super().__init__()
        self._host = host
        self._handlers = handlers
        self._methods = methods
        self._running = 0
        self._reading_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._host.connections.add(self)
        if len(self._host.connections) > MAX_CONNECTIONS:
            self._host.log(f"closed a connection: {MAX_CONNECTIONS} are open, which is the most")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.connections.discard(self)

    def malformed(self, reason: str) -> None:
        self._host.log(f"closed a connection: {reason}")

    def frame_received(self, frame: RequestFrame | ResponseFrame) -> None:
        if isinstance(frame, ResponseFrame):
            raise Malformed("expected a request, got a response")
        try:
            request = self._methods.decode(frame.method, frame.params)
        except ValueError as error:
            self._refuse(frame.msgid, error)
            return
        try:
            outcome = self._handlers[type(request)](request)
            if isinstance(outcome, asyncio.Future):
                self._running += 1
                outcome.add_done_callback(partial(self._finish, frame.msgid))
                self._throttle()
            elif isinstance(outcome, CoroutineType):
                self._running += 1
                self._host.spawn(self._wait(frame.msgid, outcome))
                self._throttle()
            else:
                self._answer(frame.msgid, outcome)
        except BadRequest as error:
            self._refuse(frame.msgid, error)
        except Exception as error:  # a handler's mistake stops the server, as a panic does
            self._host.crash(error)

    async def _wait(self, msgid: int | None, outcome: Coroutine[Any, Any, Any]) -> None:
        try:
            reply = await outcome
        except BadRequest as error:
            self._one_less()
            self._refuse(msgid, error)
        else:
            self._one_less()
            self._answer(msgid, reply)

    def _finish(self, msgid: int | None, outcome: "asyncio.Future[Any]") -> None:
        if outcome.cancelled():
            return  # this process is ending
        self._one_less()
        try:
            self._answer(msgid, outcome.result())
        except BadRequest as error:
            self._refuse(msgid, error)
        except Exception as error:
            self._host.crash(error)

    def _one_less(self) -> None:
        self._running -= 1
        if self._reading_paused:
            self._throttle()

    def _answer(self, msgid: int | None, reply: Any) -> None:
        if msgid is None:
            return
        self.send(encode_result(msgid, reply), alone=not self._running)
        if self.writing_paused and self.backlog() > MAX_UNSENT:
            self.malformed(f"{self.backlog()} bytes of answers wait for a peer who does not read")
            self.abort()

    def _refuse(self, msgid: int | None, error: Exception) -> None:
        if msgid is not None:
            self.send(encode_error(msgid, str(error)))

    # A peer that asks faster than it is answered, or does not read its answers, waits: its bytes stay in the socket.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._throttle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._throttle()

    def _throttle(self) -> None:
        paused = self.writing_paused or self._running > MAX_RUNNING
        if paused != self._reading_paused and self.transport is not None and not self.transport.is_closing():
            self._reading_paused = paused
            if paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()


def stop_process(error: BaseException) -> None:
    """What a server's own mistake does in the real world: a traceback into its log, and the process ends."""
    traceback.print_exception(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


class TcpHost:
    """The `Host` of one process. `net` is the folder of socket files."""

    def __init__(self, name: str, net: Path, on_crash: Callable[[BaseException], None] = stop_process) -> None:
        self.name = links.check_name(name)
        self.lives = links.live(net, name)
        self.random = Random()
        self.connections: set[Served] = set()
        self.crash = on_crash
        self._net = net
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: dict[str, Client] = {}
        self._asked_before = 0
        """Requests on connections that have had others in their place."""
        self._paths: dict[str, str] = {}
        self._watch = links.Watch(net / name)
        self._seen = self._watch.changes
        self._looked: dict[str, Client] = {}
        """Where the links lead that were looked at since then or, without a watch, in this turn of the loop."""
        self._servers: list[asyncio.Server] = []

    def now(self) -> float:
        """Seconds on a clock that only goes forward: not the loop's, since uvloop's counts whole milliseconds."""
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits so long."""
        await asyncio.sleep(seconds)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str = "") -> "asyncio.Task[None]":
        """Runs a coroutine beside the others. An exception that escapes it stops the process."""
        task = self._loop.create_task(self._guarded(coroutine), name=name or getattr(coroutine, "__qualname__", ""))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except Exception as error:  # the one place where a server's own mistake ends up
            self.crash(error)

    async def serve(self, handlers: Handlers) -> None:
        """Listens on a free port of 127.0.0.1 and publishes the socket file."""
        methods = Methods(handlers)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)  # uvloop would look the address up, for 3 ms
        server = await self._loop.create_server(lambda: Served(self, handlers, methods), sock=listener, backlog=1024)
        self._servers.append(server)
        host, port = listener.getsockname()
        links.publish(self._net, self.name, self.name, links.Endpoint(host, port))

    async def call(self, address: str, request: Request[R], timeout: float = CALL_TIMEOUT) -> R:
        """Asks `address`, if the link to it is there. Raises `CallFailed` and `CallRefused`."""
        client = self._looked.get(address)
        if client is None or client.closed or self._seen != self._watch.changes:
            client = self._look(address)
        try:
            return await client.ask(request, timeout)
        except CallRefused as error:
            raise CallRefused(f"{self.name} called {address}: {error}") from None

    def _look(self, address: str) -> Client:
        """The connection to where the link leads now. Raises `CallFailed`."""
        changes = self._watch.changes  # of before we look: what happens meanwhile is looked at the next time
        if self._seen != changes:
            self._seen = changes
            self._looked.clear()
        path = self._paths.get(address)
        if path is None:
            path = self._paths[address] = str(self._net / self.name / links.check_name(address))
        identity = links.look(path)
        if identity is None:
            raise CallFailed(f"{self.name} has no link to {address}")
        client = self._clients.get(address)
        if client is None or client.closed or client.identity != identity:
            client = self._connect(address, path, identity)
        if not self._watch.works and not self._looked:
            self._loop.call_soon(self._looked.clear)
        self._looked[address] = client
        return client

    def _connect(self, address: str, path: str, identity: links.Identity) -> Client:
        old = self._clients.pop(address, None)
        if old is not None:
            self._asked_before += old.asked
            old.retire()
        try:
            endpoint = links.read(path)
        except ValueError as error:
            raise CallFailed(str(error)) from None
        if endpoint is None:
            raise CallFailed(f"{self.name} has no link to {address}")
        client = self._clients[address] = Client(endpoint, identity)
        return client

    def snapshot(self) -> Snapshot:
        """The calls of this server that have no answer yet, and how many there ever were."""
        waiting = [
            Waiting(address, request, seconds)
            for address, client in self._clients.items()
            for request, seconds in client.under_way()
        ]
        asked = self._asked_before + sum(client.asked for client in self._clients.values())
        return Snapshot("running", waiting, requests=asked)

    def log(self, text: str) -> None:
        """One line with the time of day on standard output, which the harness keeps as this server's log."""
        print(f"{datetime.now():%H:%M:%S.%f} {self.name} {text}", flush=True)

    async def close(self) -> None:
        """Ends everything of this host, for a process that goes on without it."""
        for server in self._servers:
            server.close()
        for channel in [*self.connections, *self._clients.values()]:
            channel.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watch.close()


async def ask_once(endpoint: links.Endpoint, request: Request[R], timeout: float = CALL_TIMEOUT) -> R:
    """One call on a connection of its own, by someone who knows where the server listens (the harness, a tool)."""
    client = Client(endpoint)
    try:
        return await client.ask(request, timeout)
    finally:
        client.close()
        await asyncio.sleep(0)  # the loop closes the socket in its next turn, and there may be none after us
