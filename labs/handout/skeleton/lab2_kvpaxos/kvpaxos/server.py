"""A KVPaxos server. Assignment: README.md, part B, second half."""

from common.host import Host


class KVPaxos:
    """One server."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.servers = servers

    async def run(self) -> None:
        """Serves."""
        raise NotImplementedError("the server is still to be written: lab2_kvpaxos/kvpaxos/server.py")
