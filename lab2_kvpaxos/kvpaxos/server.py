"""A KVPaxos server. Every operation goes through the log, a Get too: it is linearized where its instance is decided.

Any server takes any request. The one that leads proposes it; another passes it on, or tells the clerk who leads, and
proposes it itself if the leader does not answer. So an operation may get into the log twice, and is executed once.
"""

from typing import Any

from common.host import Host
from common.protocol import Done, Max, Min, Number, Value
from lab2_kvpaxos.kvpaxos.machine import Store
from lab2_kvpaxos.kvpaxos.messages import ELSEWHERE, HERE, Execute, Leader, Op, TooLong
from lab2_kvpaxos.paxosrsm.clients import ClientOps
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM


class KVPaxos:
    """One server."""

    def __init__(self, host: Host, servers: list[str]) -> None:
        self.host = host
        self.store = Store()
        self.rsm: PaxosRSM[Op] = PaxosRSM(host, servers, self, Op)
        self.ops: ClientOps[Op] = ClientOps(host, self.rsm)

    async def run(self) -> None:
        """Serves."""
        paxos = self.rsm.paxos
        looks = {Max: lambda _: Number(paxos.max()), Min: lambda _: Number(paxos.min())}
        await self.host.serve({**self.rsm.handlers, **looks, Execute: self.execute})

    def execute(self, request: Execute) -> Any:
        """A clerk, or another server for a clerk, wants an operation executed. The reply may be one to come."""
        if self.store.was_executed(request.op):
            return Done()
        leader = self.rsm.leader
        if request.route == HERE or leader is None or leader == self.host.name:
            return self.ops.submit(request.op)
        if request.route == ELSEWHERE:
            return Leader(leader)
        return self.ops.pass_on(request.op, leader, Execute(request.op, HERE))

    # --- the state machine -------------------------------------------------------------------------------------------

    def apply(self, op: Op) -> Value | Done | TooLong:
        """Executes an operation that was decided."""
        self.ops.applied(op)
        return self.store.apply(op)

    def snapshot(self) -> bytes:
        """The store."""
        return self.store.snapshot()

    def restore(self, state: bytes) -> None:
        """The store of another server."""
        self.store.restore(state)
