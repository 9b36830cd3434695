"""The view service. Assignment: README.md, part A."""

from common.host import Host


class ViewServer:
    """One view service on its host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def run(self) -> None:
        """Serves for ever."""
        # await self.host.serve({Ping: …, GetView: …})
        raise NotImplementedError("the view service is still to be written: lab1_pbservice/viewservice/server.py")
