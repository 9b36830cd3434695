"""The clerk: finds the group that has a key's shard, and asks its servers. Assignment: README.md, part B."""

from common.host import Host


class Clerk:
    """One client. It does one operation at a time."""

    def __init__(self, host: Host, masters: list[str]) -> None:
        self.host = host
        self.masters = masters

    async def get(self, key: str) -> str:
        """The value of `key`, or the empty string if it was never written."""
        raise NotImplementedError("Clerk.get is still to be written: lab3_shardkv/shardkv/clerk.py")

    async def put(self, key: str, value: str) -> None:
        """Makes `value` the value of `key`."""
        raise NotImplementedError("Clerk.put is still to be written: lab3_shardkv/shardkv/clerk.py")

    async def append(self, key: str, value: str) -> None:
        """Adds `value` to the end of the value of `key`."""
        raise NotImplementedError("Clerk.append is still to be written: lab3_shardkv/shardkv/clerk.py")
