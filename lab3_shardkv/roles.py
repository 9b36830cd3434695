"""The roles of lab 3's processes. `python -m common.main lab3_shardkv ROLE NAME NET [key=json …]` runs one."""

from common.clerk import serve_clerk
from common.host import Host
from common.load import serve_load
from common.protocol import DEFAULT_SHARDS
from lab3_shardkv.shardkv.clerk import Clerk
from lab3_shardkv.shardkv.server import ShardKV
from lab3_shardkv.shardmaster.clerk import Clerk as MasterClerk
from lab3_shardkv.shardmaster.server import ShardMaster
from lab3_shardkv.shardmaster.serving import serve_clerk as serve_master_clerk


async def shardmaster(host: Host, servers: list[str], shards: int = DEFAULT_SHARDS) -> None:
    """One of the shard masters."""
    await ShardMaster(host, servers, shards).run()


async def masterclerk(host: Host, servers: list[str]) -> None:
    """A client that changes and asks for configurations, and knows these masters."""
    await serve_master_clerk(host, MasterClerk(host, servers))


async def shardkv(host: Host, gid: int, masters: list[str], servers: list[str]) -> None:
    """One of the servers of a group."""
    await ShardKV(host, gid, masters, servers).run()


async def clerk(host: Host, masters: list[str]) -> None:
    """A client of the key/value service, which finds the groups through these masters."""
    await serve_clerk(host, Clerk(host, masters))


async def load(host: Host, masters: list[str]) -> None:
    """Many clients in one process, for measurements."""
    await serve_load(host, lambda: Clerk(host, masters))


ROLES = {"shardmaster": shardmaster, "masterclerk": masterclerk, "shardkv": shardkv, "clerk": clerk, "load": load}
