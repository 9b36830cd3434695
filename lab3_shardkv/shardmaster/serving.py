"""A clerk of the shard master as a process: it does what is asked of it by the messages of common/protocol.py."""

import asyncio

from common.host import Host
from common.protocol import Config, Done, Join, Leave, Move, Query
from lab3_shardkv.shardmaster.clerk import Clerk


async def serve_clerk(host: Host, clerk: Clerk) -> None:
    """Lets others have `clerk` do things."""
    one_at_a_time = asyncio.Lock()

    async def join(request: Join) -> Done:
        async with one_at_a_time:
            await clerk.join(request.gid, request.servers)
        return Done()

    async def leave(request: Leave) -> Done:
        async with one_at_a_time:
            await clerk.leave(request.gid)
        return Done()

    async def move(request: Move) -> Done:
        async with one_at_a_time:
            await clerk.move(request.shard, request.gid)
        return Done()

    async def query(request: Query) -> Config:
        async with one_at_a_time:
            return await clerk.query(request.num)

    await host.serve({Join: join, Leave: leave, Move: move, Query: query})
