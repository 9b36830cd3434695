"""A shard master: one replica of the configurations. Every change goes through the log, and so does every Query that
may be for the newest configuration. One that is there already never changes, so any master gives it at once.

Any master takes any request, and passes it on to the one that leads; if that does not answer, it proposes the operation
itself. A clerk that gets no answer asks another master. So an operation may get into the log twice, and is executed
once.
"""

import asyncio
from typing import Any, Final

from common.host import CallFailed, Host
from common.protocol import DEFAULT_SHARDS, Done, Min, Number
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM
from lab3_shardkv.shardmaster.core import Configurations
from lab3_shardkv.shardmaster.messages import Execute, Found, GetConfig, Op, Unknown

PASS_ON_TIMEOUT: Final = 0.3
"""Seconds that the leader has to answer before another master proposes the operation itself."""


class ShardMaster:
    """One replica."""

    def __init__(self, host: Host, servers: list[str], shards: int = DEFAULT_SHARDS) -> None:
        self.host = host
        self.configurations = Configurations(shards)
        self.rsm: PaxosRSM[Op] = PaxosRSM(host, servers, self.configurations, Op)
        self._submitted: dict[int, tuple[int, asyncio.Future[Any]]] = {}
        """The operation of each client that is in the log's hands: what comes again meanwhile waits for the same."""

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
            return self._submit(op)
        return self._pass_on(op, leader)

    async def _pass_on(self, op: Op, leader: str) -> Any:
        try:
            return await self.host.call(leader, Execute(op, passed_on=True), timeout=PASS_ON_TIMEOUT)
        except CallFailed:
            return await self._submit(op)  # it may be decided for the leader, too; then ours is the repetition

    def _submit(self, op: Op) -> "asyncio.Future[Any]":
        seq, result = self._submitted.get(op.client, (0, None))
        if result is None or seq != op.seq or result.done():
            result = self.rsm.submit(op)
            self._submitted[op.client] = (op.seq, result)
            result.add_done_callback(lambda _: self._submitted.pop(op.client, None))
        return result

    def get_config(self, request: GetConfig) -> Found | Unknown:
        """Somebody wants a configuration, if it is here."""
        newest = self.configurations.configs[-1]
        config = newest if request.num == -1 else self.configurations.find(request.num)
        return Unknown(newest.num) if config is None else Found(config)

    def lowest(self, request: Min) -> Number:
        """The tests want to see that the log is forgotten."""
        return Number(self.rsm.paxos.min())
