"""The clerk of the shard master: asks one master after the other until one of them has an answer."""

from typing import Any, Final

from common.host import BadRequest, CallFailed, Host
from common.protocol import NOBODY, Config
from lab3_shardkv.shardmaster.messages import Execute, Found, GetConfig, Op

OPERATION_TIMEOUT: Final = 1.0
"""Seconds to wait for a master before asking the next."""
NEWS_TIMEOUT: Final = 0.3
"""Seconds to wait for a master that only has to look."""
FIRST_PAUSE: Final = 0.005
LAST_PAUSE: Final = 0.1
"""Seconds between two tries, at first and after many."""


class Clerk:
    """One client, which knows these masters (one, some or all). It does one operation at a time."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.servers = servers
        self.client = host.random.getrandbits(62)
        self.seq = 0
        self._asked = 0
        """Which of the masters answered last."""

    async def join(self, gid: int, servers: list[str]) -> None:
        """A group comes. Raises `BadRequest` if its number is below 1, or its servers are none or not different."""
        if gid <= NOBODY:
            raise BadRequest(f"expected a group's number from 1 on, got {gid}")
        if not servers or len(set(servers)) < len(servers):
            raise BadRequest(f"expected one or more different servers for group {gid}, got {servers}")
        await self._ask(Op("join", self.client, self._next_seq(), gid=gid, servers=servers))

    async def leave(self, gid: int) -> None:
        """A group goes."""
        await self._ask(Op("leave", self.client, self._next_seq(), gid=gid))

    async def move(self, shard: int, gid: int) -> None:
        """A shard gets to a group."""
        await self._ask(Op("move", self.client, self._next_seq(), gid=gid, number=shard))

    async def query(self, num: int = -1) -> Config:
        """The configuration of this number, or the newest. Raises `BadRequest` if `num` is below -1."""
        if num < -1:
            raise BadRequest(f"expected the number of a configuration, or -1 for the newest, got {num}")
        found: Found = await self._ask(Op("query", self.client, self._next_seq(), number=num))
        return found.config

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    async def _ask(self, op: Op) -> Any:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self.host.call(self.servers[self._asked], Execute(op), timeout=OPERATION_TIMEOUT)
            except CallFailed:
                self._asked = (self._asked + 1) % len(self.servers)
                await self.host.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)


class News:
    """Reads configurations from the masters, one master after the other, without an agreement among them."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.servers = servers
        self._turn = host.random.randrange(len(servers))

    async def get(self, num: int) -> Config | None:
        """The configuration `num` (-1: the newest) if the master whose turn it is has it. None: try again later."""
        self._turn = (self._turn + 1) % len(self.servers)
        try:
            reply = await self.host.call(self.servers[self._turn], GetConfig(num), timeout=NEWS_TIMEOUT)
        except CallFailed:
            return None
        return reply.config if isinstance(reply, Found) else None
