"""One server of a group. Assignment: README.md, part B."""

from common.host import Host


class ShardKV:
    """One server."""

    def __init__(self, host: Host, gid: int, masters: list[str], servers: list[str]) -> None:
        self.host = host
        self.gid = gid
        self.masters = masters
        self.servers = servers

    async def run(self) -> None:
        """Serves."""
        raise NotImplementedError("the server is still to be written: lab3_shardkv/shardkv/server.py")
