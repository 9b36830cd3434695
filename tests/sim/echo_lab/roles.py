"""Servers that echo, wait, call each other, count, and make every mistake that the simulation has to notice."""

from common.host import Host
from common.wire import Request


class Echo(Request[str]):
    """The same text again, after so many seconds."""

    text: str
    seconds: float = 0.0


class Relay(Request[str]):
    """Asks `to` for an echo."""

    to: str
    text: str
    seconds: float = 0.0


class Count(Request[int]):
    """How many requests this server has answered. Each incarnation starts at 0."""


async def echo(host: Host) -> None:
    """Answers Echo, Relay and Count."""
    answered = 0

    async def on_echo(request: Echo) -> str:
        nonlocal answered
        answered += 1
        if request.seconds:
            await host.sleep(request.seconds)
        return request.text

    async def on_relay(request: Relay) -> str:
        return await host.call(request.to, Echo(request.text, request.seconds))

    def on_count(_request: Count) -> int:
        return answered

    await host.serve({Echo: on_echo, Relay: on_relay, Count: on_count})


ROLES = {"echo": echo}
