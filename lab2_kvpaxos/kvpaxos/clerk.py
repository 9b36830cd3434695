"""The clerk: asks one server after the other until one of them has an answer."""

from typing import Any, Final, Literal

from common.host import BadRequest, CallFailed, Host
from common.protocol import Value
from lab2_kvpaxos.kvpaxos.machine import MAX_VALUE
from lab2_kvpaxos.kvpaxos.messages import ELSEWHERE, PASS_ON, Execute, Leader, Op, TooLong

OPERATION_TIMEOUT: Final = 1.0
"""Seconds to wait for a server before asking the next."""
FIRST_PAUSE: Final = 0.005
LAST_PAUSE: Final = 0.1
"""Seconds between two tries, at first and after many."""


class Clerk:
    """One client, which knows these servers (one, some or all). It does one operation at a time."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.servers = servers
        self.client = host.random.getrandbits(62)
        self.seq = 0
        self._asked = 0
        """Which of the servers answered last."""

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

    async def _write(self, kind: Literal["put", "append"], key: str, value: str) -> None:
        if len(value) > MAX_VALUE or isinstance(await self._ask(kind, key, value), TooLong):
            raise BadRequest(
                f"expected values of at most {MAX_VALUE} characters, that of {key[:100]!r} would be longer"
            )

    async def _ask(self, kind: Literal["get", "put", "append"], key: str, value: str) -> Any:
        self.seq += 1
        op = Op(kind, self.client, self.seq, key, value)
        route = ELSEWHERE if len(self.servers) > 1 else PASS_ON
        pause = FIRST_PAUSE
        while True:
            try:
                reply = await self.host.call(self.servers[self._asked], Execute(op, route), timeout=OPERATION_TIMEOUT)
            except CallFailed:
                self._asked = (self._asked + 1) % len(self.servers)
                await self.host.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                if not isinstance(reply, Leader):
                    return reply
                if reply.server in self.servers:
                    self._asked = self.servers.index(reply.server)
            route = PASS_ON  # whoever is asked next, it has to see to it
