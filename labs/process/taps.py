"""A tap sits on one link, relays its messages whole, and does to them what the odds say.

It runs in the harness, where no server can touch it. A caller finds it behind its link like any server: the link
`net/src/dst` leads to the tap's port instead of to dst's. All that src sends to dst through it shares one connection
to dst, under message ids of the tap's own, so that a duplicated request's second reply can be told from the first.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from common import links
from common.tcp import Channel
from common.wire import (
    LOST,
    NOTIFICATION,
    REQUEST,
    RESPONSE,
    Malformed,
    RequestFrame,
    ResponseFrame,
    encode,
    encode_error,
)
from labs.faults import NONE, Fate, Faults

FOLDER: Final = ".taps"
"""Where, below a folder of links, the taps' own socket files are. No server has such a name."""


class Tap:
    """The tap on the link from `src` to `dst`. Made at once; listens from then on until it is closed."""

    def __init__(
        self, net: Path, src: str, dst: str, server: Callable[[], links.Endpoint | None], random: Random
    ) -> None:
        self.faults: Faults = NONE
        """Today's odds. They may change at any time, and hold for every request that comes from then on."""
        self.seen = 0
        """Requests that came, those without a reply and the lost ones included."""
        self.file = net / FOLDER / src / dst
        """This tap's socket file, for links to it."""
        self.random = random
        self.callers: set[Caller] = set()
        self._server = server
        self._upstream: Upstream | None = None
        self._held: list[tuple[Caller, RequestFrame]] | None = None
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.endpoint = links.Endpoint(*listener.getsockname())
        links.publish(net / FOLDER, src, dst, self.endpoint)
        self._loop = asyncio.get_running_loop()
        self._listening = self._loop.create_task(self._loop.create_server(lambda: Caller(self), sock=listener))

    def hold(self) -> None:
        """Keeps back all requests that come from now on, until `release`."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Sends on what was held, in the order in which it came."""
        held, self._held = self._held or [], None
        for caller, frame in held:
            self._carry_out(caller, frame)

    def arrived(self, caller: "Caller", frame: RequestFrame) -> None:
        """A request or notification has come from src."""
        self.seen += 1
        if self._held is not None:
            self._held.append((caller, frame))
        else:
            self._carry_out(caller, frame)

    def _carry_out(self, caller: "Caller", frame: RequestFrame) -> None:
        call = Call(self._loop, caller, frame.msgid, self.faults.draw(self.random), self.faults.silent)
        if not call.fate.copies:
            call.lost()
        for delay in call.fate.copies:
            if delay > 0:
                self._loop.call_later(delay, self._forward, frame, call)
            else:
                self._forward(frame, call)

    def _forward(self, frame: RequestFrame, call: "Call") -> None:
        if self._upstream is None or self._upstream.closed:
            endpoint = self._server()
            if endpoint is None:
                call.fail()
                return
            self._upstream = Upstream(self, endpoint)
        self._upstream.relay(frame, call)

    def pause_reading(self, paused: bool) -> None:
        """dst does not take what it is sent (or takes it again): src has to wait, as it would without a tap."""
        for caller in self.callers:
            caller.pause_reading(paused)

    def pause_replies(self, paused: bool) -> None:
        """The same in the other direction."""
        if self._upstream is not None:
            self._upstream.pause_reading(paused)

    async def close(self) -> None:
        """Ends the tap and its connections."""
        (await self._listening).close()
        for channel in [*self.callers, self._upstream]:
            if channel is not None:
                channel.abort()


class Call:
    """One request on its way through a tap, and what has to happen to it."""

    __slots__ = ("_caller", "_loop", "_msgid", "_over", "_silent", "fate")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, caller: "Caller", msgid: int | None, fate: Fate, silent: bool
    ) -> None:
        self.fate = fate
        self._loop = loop
        self._caller = caller
        self._msgid = msgid
        self._silent = silent
        self._over = msgid is None

    def lost(self) -> None:
        """The request or its reply is lost: the caller learns that, or nothing."""
        if self._silent:
            self._over = True
        else:
            self.fail()

    def fail(self) -> None:
        """No reply will come, and the caller learns it: what a connection that ends would say."""
        if not self._over:
            assert self._msgid is not None
            self._over = True
            self._caller.send(encode_error(self._msgid, LOST))

    def replied(self, frame: ResponseFrame) -> None:
        """dst has answered. Only the first answer to a request goes on its way."""
        if self._over:
            return
        if self.fate.reply_lost:
            self.lost()
            return
        self._over = True
        answer = encode((RESPONSE, self._msgid, frame.error, frame.result))
        if self.fate.reply_delay > 0:
            self._loop.call_later(self.fate.reply_delay, self._caller.send, answer)
        else:
            self._caller.send(answer)


class End(Channel):
    """What both sides of a tap share."""

    def __init__(self, tap: Tap) -> None:
        super().__init__()
        self.tap = tap

    def pause_reading(self, paused: bool) -> None:
        """Stops taking bytes from this side, or goes on."""
        if self.transport is not None and not self.transport.is_closing():
            if paused:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()


class Caller(End):
    """A connection from src."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.tap.callers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tap.callers.discard(self)

    def frame_received(self, frame: RequestFrame | ResponseFrame) -> None:
        if isinstance(frame, ResponseFrame):
            raise Malformed("expected a request, got a response")
        self.tap.arrived(self, frame)

    def pause_writing(self) -> None:
        self.tap.pause_replies(True)

    def resume_writing(self) -> None:
        self.tap.pause_replies(False)


class Upstream(End):
    """The connection to dst. When it ends, every call on it fails."""

    def __init__(self, tap: Tap, endpoint: links.Endpoint) -> None:
        super().__init__(tap)
        self.closed = False
        self._calls: dict[int, Call] = {}
        self._msgids = itertools.count()
        self._connecting = self.loop.create_task(self._connect(endpoint))

    async def _connect(self, endpoint: links.Endpoint) -> None:
        try:
            await self.loop.create_connection(lambda: self, endpoint.host, endpoint.port)
        except OSError as error:
            self.connection_lost(error)

    def relay(self, frame: RequestFrame, call: Call) -> None:
        """Sends a request to dst; the reply finds its way back by the new id."""
        if frame.msgid is None:
            self.send(encode((NOTIFICATION, frame.method, frame.params)))
            return
        msgid = next(self._msgids) & 0xFFFFFFFF
        self._calls[msgid] = call
        self.send(encode((REQUEST, msgid, frame.method, frame.params)))

    def frame_received(self, frame: RequestFrame | ResponseFrame) -> None:
        if isinstance(frame, RequestFrame):
            raise Malformed(f"expected a response, got the request {frame.method[:100]!r}")
        call = self._calls.pop(frame.msgid, None)
        if call is not None:
            call.replied(frame)

    def pause_writing(self) -> None:
        self.tap.pause_reading(True)

    def resume_writing(self) -> None:
        self.tap.pause_reading(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.tap.pause_reading(False)
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail()
