"""The roles of the counter's processes: what the harness starts by name."""

import asyncio

from common.host import Host
from common.protocol import Count, GetCount, Increment
from counter.clerk import Clerk
from counter.server import Server


async def server(host: Host) -> None:
    """The counter's server."""
    await Server(host).run()


async def clerk(host: Host, server: str) -> None:
    """A client as a process: the harness tells it what to do, and it does one thing after the other."""
    it = Clerk(host, server)
    one_at_a_time = asyncio.Lock()

    async def get_count(request: GetCount) -> Count:
        async with one_at_a_time:
            return Count(await it.get_count())

    async def increment(request: Increment) -> Count:
        async with one_at_a_time:
            return Count(await it.increment())

    await host.serve({GetCount: get_count, Increment: increment})


ROLES = {"server": server, "clerk": clerk}
