"""A replicated state machine: `await rsm.submit(op)` gives the result of `op`, applied in one order by all replicas.

Assignment: README.md, part B, first half.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from common.host import Handlers, Host
from lab2_kvpaxos.paxos.paxos import Paxos

Op = TypeVar("Op")
AnyOp = TypeVar("AnyOp", contravariant=True)


class Machine(Protocol[AnyOp]):
    """A deterministic state machine: the same operations in the same order give the same state and results."""

    def apply(self, op: AnyOp) -> Any:
        """Executes an operation and gives its result."""

    def snapshot(self) -> bytes:
        """The whole state."""

    def restore(self, state: bytes) -> None:
        """Replaces the state by one that `snapshot` gave."""


class PaxosRSM(Generic[Op]):
    """One replica. Its host has to serve `handlers`."""

    def __init__(self, host: Host, peers: Sequence[str], machine: Machine[Op], op_type: type[Op]) -> None:
        self.host = host
        self.machine = machine
        self.op_type = op_type
        self.paxos = Paxos(host, peers)
        self.handlers: Handlers = {**self.paxos.handlers}

    def submit(self, op: Op) -> "asyncio.Future[Any]":
        """Has `op` applied, once, and gives its result. That takes as long as no majority can be reached."""
        raise NotImplementedError("PaxosRSM.submit is still to be written: lab2_kvpaxos/paxosrsm/rsm.py")
