"""The seam between a server and its world. A server is written once, against `Host`, and runs in two worlds.

`TcpHost` (common/tcp.py) is the real one: a process, sockets, the clock on the wall. `SimHost` (labs/sim) is the
simulated one: virtual time, one seed. A server that keeps to these verbs, and to asyncio's own tools for waiting on
itself (Event, Lock, Future, Queue), behaves the same in both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from random import Random
from typing import Any, Final, Protocol, TypeVar

from common.wire import Request

R = TypeVar("R")

CALL_TIMEOUT: Final = 2.0
"""Seconds that a call waits for its reply unless it says otherwise."""

CLOCK_ERROR: Final = 1e-6
"""Seconds by which two times may differ that are meant to be the same."""

Handler = Callable[[Any], Any]
"""Takes a request, gives its reply: at once, or a coroutine or a future that will give it."""
Handlers = Mapping[type[Request[Any]], Handler]
"""What a service answers: each request's type and who handles it."""


class CallFailed(Exception):
    """No reply came. The request may or may not have been executed: the caller cannot know which."""


class CallRefused(Exception):
    """The peer could make nothing of the request (unknown method, wrong types), or we nothing of its reply.

    That is a mistake in one of the two programs and no fault of the network, so it is not a `CallFailed`: let it
    stop the server, and read what it says.
    """


class BadRequest(Exception):
    """Raised by a handler that makes sense of a request's types but not of what it says. The caller is told why."""


class Host(Protocol):
    """What the world gives to one server or client: a clock, randomness, tasks, and calls to others by name."""

    name: str
    """The name under which others reach this server."""
    lives: int
    """How many servers of this name lived in this network before. They are dead, and with them all they knew."""
    random: Random
    """This server's randomness: seeded from the run's seed in the simulation, from the system otherwise."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward. Where it began means nothing."""

    async def sleep(self, seconds: float) -> None:
        """Waits so long."""

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str = "") -> "asyncio.Task[None]":
        """Runs a coroutine beside the others. An exception that escapes it stops this server, with a traceback."""

    async def serve(self, handlers: Handlers) -> None:
        """Answers these requests from now on. Returns as soon as others can reach this server.

        Each request has a handler run of its own, beside those still waiting. An exception that escapes a handler
        is this server's own mistake and stops it, with a traceback; all but `BadRequest`, which refuses the request.
        """

    async def call(self, address: str, request: Request[R], timeout: float = CALL_TIMEOUT) -> R:
        """Asks the server named `address` and returns its reply.

        Raises `CallFailed` when no reply came: the link is down, the request or reply was lost, the server died,
        or `timeout` seconds went by. Raises `CallRefused` when caller and server do not speak of the same thing.
        """

    def log(self, text: str) -> None:
        """One line into this server's log."""


async def every(host: Host, seconds: float, action: Callable[[], Awaitable[None] | None]) -> None:
    """Does `action`, waits `seconds`, and so on for ever. Spawn it.

    On a busy machine each wait takes too long by something. The next one is shorter by that, so that it does not add
    up; by a whole wait at most, since who was held up for long has nothing to catch up with.
    """
    late = 0.0
    while True:
        outcome = action()
        if outcome is not None:
            await outcome
        began, wait = host.now(), seconds - late
        await host.sleep(wait)
        late = min(host.now() - began - wait, seconds)
        if abs(late) < CLOCK_ERROR:
            late = 0.0
