"""Clients' operations on their way into the log of a replicated service: one of each client at a time.

A server that does not lead passes an operation on to the one that does, and proposes it itself if there is no answer.
So an operation may get into the log twice; whoever applies it knows by its client and `seq` that it was executed.
"""

import asyncio
from typing import Any, Final, Generic, Protocol, TypeVar

from common.host import CallFailed, Host
from common.wire import Request
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM

PASS_ON_TIMEOUT: Final = 0.3
"""Seconds that the leader has to answer before another server proposes the operation itself."""


class ClientOp(Protocol):
    """An operation that says whose it is, and the how manieth of that client."""

    @property
    def client(self) -> int: ...

    @property
    def seq(self) -> int: ...


Op = TypeVar("Op", bound=ClientOp)


class ClientOps(Generic[Op]):
    """The operations that this server has submitted for clients. What comes again meanwhile waits for the same."""

    def __init__(self, host: Host, rsm: PaxosRSM[Any]) -> None:
        self._host = host
        self._rsm = rsm
        self._submitted: dict[int, tuple[int, asyncio.Future[Any]]] = {}

    def submit(self, op: Op) -> "asyncio.Future[Any]":
        """Has `op` executed, and gives its result. Only the newest operation of a client is remembered."""
        seq, result = self._submitted.get(op.client, (0, None))
        if result is None or seq != op.seq or result.done():
            result = self._rsm.submit(op)
            self._submitted[op.client] = (op.seq, result)
        return result

    async def pass_on(self, op: Op, leader: str, request: Request[Any]) -> Any:
        """Has the leader execute `op`, by this request. If it does not answer, `op` is submitted here."""
        try:
            return await self._host.call(leader, request, timeout=PASS_ON_TIMEOUT)
        except CallFailed:
            return await self.submit(op)  # it may be decided for the leader, too; then ours is the repetition

    def applied(self, op: Op) -> None:
        """An operation was decided, for whomever. If it waited here, it does no longer."""
        self._submitted.pop(op.client, None)
