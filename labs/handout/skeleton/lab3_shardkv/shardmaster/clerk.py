"""The clerk of the shard master: asks one master after the other until one of them has an answer."""

from common.host import Host
from common.protocol import Config


class Clerk:
    """One client, which knows these masters (one, some or all). It does one operation at a time."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.servers = servers

    async def join(self, gid: int, servers: list[str]) -> None:
        """A group comes. Raises `BadRequest` if its number is below 1, or its servers are none or not different."""
        raise NotImplementedError("Clerk.join is still to be written: lab3_shardkv/shardmaster/clerk.py")

    async def leave(self, gid: int) -> None:
        """A group goes."""
        raise NotImplementedError("Clerk.leave is still to be written: lab3_shardkv/shardmaster/clerk.py")

    async def move(self, shard: int, gid: int) -> None:
        """A shard gets to a group."""
        raise NotImplementedError("Clerk.move is still to be written: lab3_shardkv/shardmaster/clerk.py")

    async def query(self, num: int = -1) -> Config:
        """The configuration of this number, or the newest. Raises `BadRequest` if `num` is below -1."""
        raise NotImplementedError("Clerk.query is still to be written: lab3_shardkv/shardmaster/clerk.py")
