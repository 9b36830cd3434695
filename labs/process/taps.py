"""A tap sits on one link, relays its messages whole, does to them what the odds say, and tells the recorder of them.

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
from typing import Final, Literal

import msgspec

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
from labs.cluster import Held
from labs.faults import LOSE, NONE, Fate, Faults
from labs.texts import params_text
from labs.traces.bodies import MOST, body_of, cut_text
from labs.traces.events import Event, Kind
from labs.traces.recorder import Recorder

FOLDER: Final = ".taps"
"""Where, below a folder of links, the taps' own socket files are. No server has such a name."""


class Tap:
    """The tap on the link from `src` to `dst`. Made at once; listens from then on until it is closed."""

    def __init__(
        self, net: Path, src: str, dst: str, server: Callable[[], links.Endpoint | None], random: Random
    ) -> None:
        self.faults: Faults = NONE
        """Today's odds. They may change at any time, and hold for every request that comes from then on."""
        self.counts = True
        """Whether requests are counted. Not those on a link that has a tap only so that they can be recorded."""
        self.seen = 0
        """Requests that came and were counted, those without a reply and the lost ones included."""
        self.recorder: Recorder | None = None
        self.now: Callable[[], float] = lambda: 0.0
        """Seconds, for the recorder."""
        self.file = net / FOLDER / src / dst
        """This tap's socket file, for links to it."""
        self.random = random
        self.callers: set[Caller] = set()
        self._src = src
        self._dst = dst
        self._server = server
        self._upstream: Upstream | None = None
        self._held: dict[int, Call] = {}
        self._holds = False
        self._held_ever = 0
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.endpoint = links.Endpoint(*listener.getsockname())
        links.publish(net / FOLDER, src, dst, self.endpoint)
        self._loop = asyncio.get_running_loop()
        self._listening = self._loop.create_task(self._loop.create_server(lambda: Caller(self), sock=listener))

    def hold(self) -> None:
        """Keeps back all requests that come from now on, until `release`."""
        self._holds = True

    def release(self) -> None:
        """Sends on what was held, in the order in which it came."""
        self._holds = False
        held, self._held = self._held, {}
        for call in held.values():
            self._carry_out(call)

    def held(self) -> list[Held]:
        """What is held, oldest first."""
        return [Held(number, call.method, params_text(call.frame.params)) for number, call in self._held.items()]

    def deliver(self, number: int) -> None:
        """Sends on one request that is held. Raises `KeyError`."""
        self._carry_out(self._held.pop(number))

    def drop(self, number: int) -> None:
        """Loses one request that is held, and tells the caller. Raises `KeyError`."""
        call = self._held.pop(number)
        call.fate = LOSE
        call.lost("lose request")

    def arrived(self, caller: "Caller", frame: RequestFrame) -> None:
        """A request or notification has come from src."""
        self.seen += self.counts
        call = Call(self, caller, frame)
        call.tell("request", frame.params)
        if self._holds:
            self._held_ever += 1
            self._held[self._held_ever] = call
        else:
            self._carry_out(call)

    def _carry_out(self, call: "Call") -> None:
        call.fate, call.silent = self.faults.draw(self.random), self.faults.silent
        if not call.fate.copies:
            call.lost("lose request")
        for delay in call.fate.copies:
            if delay > 0:
                self._loop.call_later(delay, self._forward, call)
            else:
                self._forward(call)

    def _forward(self, call: "Call") -> None:
        if self._upstream is None or self._upstream.closed:
            endpoint = self._server()
            if endpoint is None:
                call.fail()
                return
            self._upstream = Upstream(self, endpoint)
        call.tell("arrive")
        self._upstream.relay(call)

    def tell(self, call: "Call", kind: Kind, encoded: msgspec.Raw | None, text: str) -> None:
        """One event of a call, for the recorder."""
        if self.recorder is not None:
            call.id = call.id or self.recorder.number()
            body = None if encoded is None else body_of(encoded)
            self.recorder.add(Event(self.now(), kind, self._src, self._dst, call.id, call.method, body, text))

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

    __slots__ = ("_caller", "_over", "_tap", "fate", "frame", "id", "method", "silent")

    def __init__(self, tap: Tap, caller: "Caller", frame: RequestFrame) -> None:
        self.frame = frame
        self.method = cut_text(frame.method, MOST)
        self.fate: Fate
        """What happens to it, once that is decided."""
        self.silent = False
        """Whether the caller learns nothing of a loss."""
        self.id = 0
        """In the trace, if there is one."""
        self._tap = tap
        self._caller = caller
        self._over = frame.msgid is None

    def tell(self, kind: Kind, encoded: msgspec.Raw | None = None, text: str = "") -> None:
        """One event of this call, for the recorder."""
        if self._tap.recorder is not None:
            self._tap.tell(self, kind, encoded, text)

    def lost(self, kind: Literal["lose request", "lose reply"]) -> None:
        """The request or its reply is lost: the caller learns that, or nothing."""
        self.tell(kind)
        if self.silent:
            self._over = True
        else:
            self.fail()

    def fail(self) -> None:
        """No reply will come, and the caller learns it: what a connection that ends would say."""
        if not self._over:
            assert self.frame.msgid is not None
            self._over = True
            self.tell("fail", text=LOST)
            self._caller.send(encode_error(self.frame.msgid, LOST))

    def replied(self, frame: ResponseFrame) -> None:
        """dst has answered. Only the first answer to a request goes on its way."""
        if self._over:
            return
        self.tell("reply", frame.result, frame.error or "")
        if self.fate.reply_lost:
            self.lost("lose reply")
            return
        self._over = True
        answer = encode((RESPONSE, self.frame.msgid, frame.error, frame.result))
        if self.fate.reply_delay > 0:
            self._caller.loop.call_later(self.fate.reply_delay, self._answer, answer)
        else:
            self._answer(answer)

    def _answer(self, frame: bytes) -> None:
        self.tell("return")
        self._caller.send(frame)


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

    def relay(self, call: Call) -> None:
        """Sends a request to dst; the reply finds its way back by the new id."""
        frame = call.frame
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
