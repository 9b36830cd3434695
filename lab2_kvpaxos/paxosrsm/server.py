"""A replica as a process of its own, with the machine of the tests: a list of strings."""

import msgspec

from common.host import Host
from common.protocol import Applied, GetApplied, Place, Submit
from common.wire import encode
from lab2_kvpaxos.paxosrsm.rsm import PaxosRSM


class List:
    """A machine whose operations are strings. Each is added to the end of a list, and its result is its place."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def apply(self, op: str) -> int:
        """Adds the string."""
        self.operations.append(op)
        return len(self.operations) - 1

    def snapshot(self) -> bytes:
        """The list."""
        return encode(self.operations)

    def restore(self, state: bytes) -> None:
        """Takes the list."""
        self.operations = msgspec.msgpack.decode(state, type=list[str])


async def serve_rsm(host: Host, peers: list[str]) -> None:
    """Serves the state machine."""
    machine = List()
    rsm = PaxosRSM(host, peers, machine, str)

    async def submit(request: Submit) -> Place:
        return Place(await rsm.submit(request.operation))

    def applied(request: GetApplied) -> Applied:
        return Applied(machine.operations)

    await host.serve({**rsm.handlers, Submit: submit, GetApplied: applied})
