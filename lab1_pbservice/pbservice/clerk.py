"""The clerk: asks the primary, again and again until it has an answer."""

from typing import Any, Final

from common.host import BadRequest, CallFailed, Host
from common.protocol import PING_INTERVAL, Done, GetView, Value
from common.wire import Request
from lab1_pbservice.pbservice.core import MAX_VALUE
from lab1_pbservice.pbservice.messages import NotPrimary, Read, TooLong, Write

OPERATION_TIMEOUT: Final = 1.0
"""Seconds to wait for the primary before asking the view service whether it still is."""
FIRST_PAUSE: Final = 0.005
"""Seconds between the first two tries. Each further pause is twice as long, up to a ping interval."""


class Clerk:
    """One client of the service. It does one operation at a time."""

    def __init__(self, host: Host, viewserver: str) -> None:
        self.host = host
        self.viewserver = viewserver
        self.primary = ""
        """Who was primary when it last mattered. Only when that server does not answer is the view service asked."""
        self.client = host.random.getrandbits(62)
        self.seq = 0

    # Every operation raises `BadRequest` if the service takes no value of that length.

    async def get(self, key: str) -> str:
        """The value of `key`, or the empty string if it was never written."""
        reply: Value = await self._ask(Read(key))
        return reply.value

    async def put(self, key: str, value: str) -> None:
        """Makes `value` the value of `key`."""
        await self._write(key, value, append=False)

    async def append(self, key: str, value: str) -> None:
        """Adds `value` to the end of the value of `key`."""
        await self._write(key, value, append=True)

    async def _write(self, key: str, value: str, append: bool) -> None:
        if len(value) > MAX_VALUE:
            raise _too_long(key, MAX_VALUE)
        self.seq += 1
        reply: Done | TooLong = await self._ask(Write(self.client, self.seq, key, value, append))
        if isinstance(reply, TooLong):
            raise _too_long(key, reply.limit)

    async def _ask(self, request: Request[Any]) -> Any:
        pause = FIRST_PAUSE
        while True:
            try:
                if not self.primary:
                    self.primary = (await self.host.call(self.viewserver, GetView())).primary
                if self.primary:
                    reply = await self.host.call(self.primary, request, timeout=OPERATION_TIMEOUT)
                    if not isinstance(reply, NotPrimary):
                        return reply
            except CallFailed:
                pass  # it may have been executed: the same request again does no harm
            self.primary = ""
            await self.host.sleep(pause)
            pause = min(2 * pause, PING_INTERVAL)


def _too_long(key: str, limit: int) -> BadRequest:
    return BadRequest(f"expected values of at most {limit} characters, that of {key[:100]!r} would be longer")
