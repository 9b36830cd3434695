"""One server of the primary/backup service. Assignment: README.md, part B."""

from common.host import Host


class PBServer:
    """Primary, backup or idle, as the view service says."""

    def __init__(self, host: Host, viewserver: str) -> None:
        self.host = host
        self.viewserver = viewserver

    async def run(self) -> None:
        """Serves for ever."""
        # await self.host.serve({…}), and a Ping to the view service every PING_INTERVAL
        raise NotImplementedError("the server is still to be written: lab1_pbservice/pbservice/server.py")
