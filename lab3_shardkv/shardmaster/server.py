"""A shard master: one replica of the configurations. Every change goes through the log, and so does every Query that
may be for the newest configuration. One that is there already never changes, so any master gives it at once.

Any master takes any request, and passes it on to the one that leads; if that does not answer, it proposes the operation
itself. A clerk that gets no answer asks another master. So an operation may get into the log twice, and is executed
once.
"""

from typing import Any

from common.host import Host
from common.protocol import DEFAULT_SHARDS, Done, Min, Number
from lab2_kvpaxos.paxosrsm.clients import ClientOps
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM
from lab3_shardkv.shardmaster.core import Configurations
from lab3_shardkv.shardmaster.messages import Execute, Found, GetConfig, Op, Unknown


class ShardMaster:
    """One replica."""

    def __init__(self, host: Host, servers: list[str], shards: int = DEFAULT_SHARDS) -> None:
        self.host = host
        self.configurations = Configurations(shards)
        self.rsm: PaxosRSM[Op] = PaxosRSM(host, servers, self, Op)
        self.ops: ClientOps[Op] = ClientOps(host, self.rsm)

    async def run(self) -> None:
        """Serves."""
        await self.host.serve(
            {**self.rsm.handlers, Execute: self.execute, GetConfig: self.get_config, Min: self.lowest}
        )

    def execute(self, request: Execute) -> Any:
        """A clerk, or another master for a clerk, wants an operation executed. The reply may be one to come."""
        op = request.op
        if self.configurations.was_executed(op):
            return Done()
        config = self.configurations.find(op.number) if op.kind == "query" else None
        if config is not None:
            return Found(config)
        leader = self.rsm.leader
        if request.passed_on or leader is None or leader == self.host.name:
            return self.ops.submit(op)
        return self.ops.pass_on(op, leader, Execute(op, passed_on=True))

    def get_config(self, request: GetConfig) -> Found | Unknown:
        """Somebody wants a configuration, if it is here."""
        newest = self.configurations.configs[-1]
        config = newest if request.num == -1 else self.configurations.find(request.num)
        return Unknown(newest.num) if config is None else Found(config)

    def lowest(self, request: Min) -> Number:
        """The tests want to see that the log is forgotten."""
        return Number(self.rsm.paxos.min())

    # --- the state machine -------------------------------------------------------------------------------------------

    def apply(self, op: Op) -> Done | Found:
        """Executes an operation that was decided."""
        self.ops.applied(op)
        return self.configurations.apply(op)

    def snapshot(self) -> bytes:
        """The configurations."""
        return self.configurations.snapshot()

    def restore(self, state: bytes) -> None:
        """The configurations of another master."""
        self.configurations.restore(state)
