"""The clerk: finds the group that has a key's shard, and asks one server of it after the other."""

from typing import Any, Final

from common.host import BadRequest, CallFailed, Host
from common.protocol import NOBODY, Config, Value, shard_of
from lab3_shardkv.shardkv.core import MAX_VALUE
from lab3_shardkv.shardkv.messages import ELSEWHERE, PASS_ON, Execute, Kind, Leader, Op, TooLong, WrongGroup
from lab3_shardkv.shardmaster.clerk import News

OPERATION_TIMEOUT: Final = 1.0
"""Seconds to wait for a server before asking the next."""
FIRST_PAUSE: Final = 0.005
LAST_PAUSE: Final = 0.05
"""Seconds between two tries, at first and after many."""


class Clerk:
    """One client. It does one operation at a time."""

    def __init__(self, host: Host, masters: list[str]) -> None:
        self.host = host
        self.client = host.random.getrandbits(62)
        self.seq = 0
        self._masters = News(host, masters)
        self._config = Config(0, [NOBODY], {})
        """The newest configuration that this clerk knows. It may be old: then the groups say so."""
        self._asked: dict[int, int] = {}
        """Which server of each group answered last."""

    async def get(self, key: str) -> str:
        """The value of `key`, or the empty string if it was never written."""
        reply: Value = await self._ask("get", key, "")
        return reply.value

    async def put(self, key: str, value: str) -> None:
        """Makes `value` the value of `key`. Raises `BadRequest` if it is too long."""
        await self._write("put", key, value)

    async def append(self, key: str, value: str) -> None:
        """Adds `value` to the end of the value of `key`. Raises `BadRequest` if that gets too long."""
        await self._write("append", key, value)

    async def _write(self, kind: Kind, key: str, value: str) -> None:
        if len(value) > MAX_VALUE or isinstance(await self._ask(kind, key, value), TooLong):
            raise BadRequest(
                f"expected values of at most {MAX_VALUE} characters, that of {key[:100]!r} would be longer"
            )

    async def _ask(self, kind: Kind, key: str, value: str) -> Any:
        self.seq += 1
        op = Op(kind, self.client, self.seq, key, value)  # the same at each try, so that it is executed once
        route = ELSEWHERE
        pause = FIRST_PAUSE
        while True:
            gid = self._config.shards[shard_of(key, len(self._config.shards))]
            reply = await self._ask_group(gid, Execute(op, route)) if gid != NOBODY else None
            route = PASS_ON  # whoever is asked next, it has to see to it
            if isinstance(reply, Leader):
                continue
            if reply is not None and not isinstance(reply, WrongGroup):
                return reply
            # A group that is in an older configuration will follow, and a shard that it waits for will arrive.
            only_wait = isinstance(reply, WrongGroup) and reply.num <= self._config.num and pause < LAST_PAUSE
            if not only_wait and await self._found_newer():
                route = ELSEWHERE
                continue
            await self._rest(pause)
            pause = min(2 * pause, LAST_PAUSE)

    async def _ask_group(self, gid: int, request: Execute) -> Any:
        """The answer of a server of the group. None if it gave none.

        Then another is asked next, and also if the server says that the shard is not the group's: perhaps it is cut off
        from the others and does not know better.
        """
        servers = self._config.groups[gid]
        asked = self._asked.get(gid, 0) % len(servers)
        reply: Any
        try:
            reply = await self.host.call(servers[asked], request, timeout=OPERATION_TIMEOUT)
        except CallFailed:
            reply = None
        if isinstance(reply, Leader) and reply.server in servers:
            self._asked[gid] = servers.index(reply.server)
        elif reply is None or isinstance(reply, WrongGroup):
            self._asked[gid] = (asked + 1) % len(servers)
        return reply

    async def _found_newer(self) -> bool:
        config = await self._masters.get(-1)
        if config is None or config.num <= self._config.num:
            return False
        self._config = config
        return True

    async def _rest(self, seconds: float) -> None:
        await self.host.sleep(seconds * (0.5 + self.host.random.random()))
