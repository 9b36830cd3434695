"""A peer as a process of its own, driven by whoever sends it the messages of common/protocol.py."""

from common.host import Host
from common.protocol import Decided, Done, DoneUpTo, Forgotten, Max, Min, Number, Pending, Start, Status
from lab2_kvpaxos.paxos.paxos import Fate, Paxos


async def serve_paxos(host: Host, peers: list[str]) -> None:
    """Serves the library's interface."""
    paxos = Paxos(host, peers)

    def start(request: Start) -> Done:
        paxos.start(request.seq, request.value.encode())
        return Done()

    def status(request: Status) -> Decided | Pending | Forgotten:
        fate, value = paxos.status(request.seq)
        if value is not None:
            return Decided(value.decode())
        return Forgotten() if fate is Fate.FORGOTTEN else Pending()

    def done(request: DoneUpTo) -> Done:
        paxos.done(request.seq)
        return Done()

    def highest(request: Max) -> Number:
        return Number(paxos.max())

    def lowest(request: Min) -> Number:
        return Number(paxos.min())

    await host.serve({**paxos.handlers, Start: start, Status: status, DoneUpTo: done, Max: highest, Min: lowest})
