"""A KVPaxos server. Every operation goes through the log, a Get too: it is linearized where its instance is decided.

Any server takes any request. The one that leads proposes it; another passes it on, or tells the clerk who leads, and
proposes it itself if the leader does not answer. So an operation may get into the log twice, and is executed once.
"""

import asyncio
from typing import Any, Final

from common.host import CallFailed, Host
from common.protocol import Done, Value
from lab2_kvpaxos.kvpaxos.machine import Store
from lab2_kvpaxos.kvpaxos.messages import ELSEWHERE, HERE, Execute, Leader, Op, TooLong
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM

PASS_ON_TIMEOUT: Final = 0.3
"""Seconds that the leader has to answer before another server proposes the operation itself."""


class KVPaxos:
    """One server."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.store = Store()
        self.rsm: PaxosRSM[Op] = PaxosRSM(host, servers, self, Op)
        self._submitted: dict[int, tuple[int, asyncio.Future[Any]]] = {}
        """The operation of each client that is in the log's hands: what comes again meanwhile waits for the same."""

    async def run(self) -> None:
        """Serves."""
        await self.host.serve({**self.rsm.handlers, Execute: self.execute})

    def execute(self, request: Execute) -> Any:
        """A clerk, or another server for a clerk, wants an operation executed. The reply may be one to come."""
        if self.store.was_executed(request.op):
            return Done()
        leader = self.rsm.leader
        if request.route == HERE or leader is None or leader == self.host.name:
            return self._submit(request.op)
        if request.route == ELSEWHERE:
            return Leader(leader)
        return self._pass_on(request.op, leader)

    async def _pass_on(self, op: Op, leader: str) -> Any:
        try:
            return await self.host.call(leader, Execute(op, HERE), timeout=PASS_ON_TIMEOUT)
        except CallFailed:
            return await self._submit(op)  # it may be decided for the leader, too; then ours is the repetition

    def _submit(self, op: Op) -> "asyncio.Future[Any]":
        seq, result = self._submitted.get(op.client, (0, None))
        if result is None or seq != op.seq or result.done():
            result = self.rsm.submit(op)
            self._submitted[op.client] = (op.seq, result)
        return result

    # --- the state machine -------------------------------------------------------------------------------------------

    def apply(self, op: Op) -> Value | Done | TooLong:
        """Executes an operation that was decided. If it waited here, it does no longer."""
        self._submitted.pop(op.client, None)
        return self.store.apply(op)

    def snapshot(self) -> bytes:
        """The store."""
        return self.store.snapshot()

    def restore(self, state: bytes) -> None:
        """The store of another server."""
        self.store.restore(state)
