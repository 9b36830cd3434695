"""The clerk: asks one server after the other until one of them has an answer."""

from common.host import Host


class Clerk:
    """One client, which knows these servers (one, some or all). It does one operation at a time."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.servers = servers

    async def get(self, key: str) -> str:
        """The value of `key`, or the empty string if it was never written."""
        raise NotImplementedError("Clerk.get is still to be written: lab2_kvpaxos/kvpaxos/clerk.py")

    async def put(self, key: str, value: str) -> None:
        """Makes `value` the value of `key`."""
        raise NotImplementedError("Clerk.put is still to be written: lab2_kvpaxos/kvpaxos/clerk.py")

    async def append(self, key: str, value: str) -> None:
        """Adds `value` to the end of the value of `key`."""
        raise NotImplementedError("Clerk.append is still to be written: lab2_kvpaxos/kvpaxos/clerk.py")
