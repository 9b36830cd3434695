"""The clerk: asks the server."""

from common.host import Host


class Clerk:
    """One client of the counter. It is asked one thing at a time."""

    def __init__(self, host: Host, server: str) -> None:
        self.host = host
        self.server = server

    async def get_count(self) -> int:
        """What the counter shows."""
        raise NotImplementedError("Clerk.get_count is still to be written: counter/clerk.py")

    async def increment(self) -> int:
        """Adds one, once, and gives what the counter showed right after that."""
        raise NotImplementedError("Clerk.increment is still to be written: counter/clerk.py")
