"""The roles of lab 1's processes. `python -m common.main lab1_pbservice ROLE NAME NET [key=json …]` runs one."""

import asyncio

from common.host import Host
from common.protocol import Append, Done, Get, Put, Value
from lab1_pbservice.pbservice.clerk import Clerk
from lab1_pbservice.pbservice.server import PBServer
from lab1_pbservice.viewservice.server import ViewServer


async def viewserver(host: Host) -> None:
    """The view service."""
    await ViewServer(host).run()


async def pbserver(host: Host, viewserver: str) -> None:
    """A server of the primary/backup service, watched over by `viewserver`."""
    await PBServer(host, viewserver).run()


async def clerk(host: Host, viewserver: str) -> None:
    """A client: does the Gets, Puts and Appends that it is asked to do, one at a time."""
    client = Clerk(host, viewserver)
    one_at_a_time = asyncio.Lock()

    async def get(request: Get) -> Value:
        async with one_at_a_time:
            return Value(await client.get(request.key))

    async def put(request: Put) -> Done:
        async with one_at_a_time:
            await client.put(request.key, request.value)
        return Done()

    async def append(request: Append) -> Done:
        async with one_at_a_time:
            await client.append(request.key, request.value)
        return Done()

    await host.serve({Get: get, Put: put, Append: append})


ROLES = {"viewserver": viewserver, "pbserver": pbserver, "clerk": clerk}
