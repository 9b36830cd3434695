"""The clerk: asks the server, again and again until it has an answer."""

from typing import Final

from common.host import CallFailed, Host
from common.protocol import Count, GetCount
from common.wire import Request
from counter.messages import Add

PAUSE: Final = 0.05
"""Seconds between two tries."""


class Clerk:
    """One client of the counter. It is asked one thing at a time."""

    def __init__(self, host: Host, server: str) -> None:
        self.host = host
        self.server = server
        self.client = host.random.getrandbits(62)
        self.number = 0

    async def get_count(self) -> int:
        """What the counter shows."""
        return (await self._ask(GetCount())).value

    async def increment(self) -> int:
        """Adds one, once, and gives what the counter showed right after that."""
        self.number += 1
        return (await self._ask(Add(self.client, self.number))).value

    async def _ask(self, request: Request[Count]) -> Count:
        while True:
            try:
                return await self.host.call(self.server, request, timeout=0.5)
            except CallFailed:  # it may have been done: the very same request again adds nothing
                await self.host.sleep(PAUSE)
