"""The roles of lab 3's processes. `python -m common.main lab3_shardkv ROLE NAME NET [key=json …]` runs one."""

from common.host import Host
from common.protocol import DEFAULT_SHARDS
from lab3_shardkv.shardmaster.clerk import Clerk as MasterClerk
from lab3_shardkv.shardmaster.clerk import serve_clerk as serve_master_clerk
from lab3_shardkv.shardmaster.server import ShardMaster


async def shardmaster(host: Host, servers: list[str], shards: int = DEFAULT_SHARDS) -> None:
    """One of the shard masters."""
    await ShardMaster(host, servers, shards).run()


async def masterclerk(host: Host, servers: list[str]) -> None:
    """A client that changes and asks for configurations, and knows these masters."""
    await serve_master_clerk(host, MasterClerk(host, servers))


ROLES = {"shardmaster": shardmaster, "masterclerk": masterclerk}
