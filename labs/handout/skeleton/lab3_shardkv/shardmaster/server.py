"""A shard master: one replica of the configurations. Assignment: README.md, part A."""

from common.host import Host
from common.protocol import DEFAULT_SHARDS


class ShardMaster:
    """One replica."""

    def __init__(self, host: Host, servers: list[str], shards: int = DEFAULT_SHARDS) -> None:
        self.host = host
        self.servers = servers
        self.shards = shards

    async def run(self) -> None:
        """Serves."""
        raise NotImplementedError("the shard master is still to be written: lab3_shardkv/shardmaster/server.py")
