"""The Paxos library: one peer on its host, with the course's interface. Assignment: README.md, part A."""

from collections.abc import Callable, Sequence
from enum import Enum

from common.host import Handlers, Host


class Fate(Enum):
    """What a peer knows of an instance."""

    DECIDED = "decided"
    PENDING = "pending"
    FORGOTTEN = "forgotten"


class Paxos:
    """One peer among `peers`, of which one has its host's name. Its host has to serve `handlers`."""

    def __init__(self, host: Host, peers: Sequence[str], on_decided: Callable[[], None] = lambda: None) -> None:
        self.host = host
        self.peers = list(peers)
        self.handlers: Handlers = {}  # your messages, and who handles them
        self._on_decided = on_decided  # call it when an instance was decided: whoever uses this library may wait for it

    def start(self, seq: int, value: bytes) -> None:
        """Proposes `value` for the instance `seq`, and returns at once. Ignored if it is decided or forgotten."""
        raise NotImplementedError("Paxos.start is still to be written: lab2_kvpaxos/paxos/paxos.py")

    def status(self, seq: int) -> tuple[Fate, bytes | None]:
        """What this peer itself knows of the instance, with its value if it is decided."""
        raise NotImplementedError("Paxos.status is still to be written: lab2_kvpaxos/paxos/paxos.py")

    def done(self, seq: int) -> None:
        """The application here needs no instance up to and including `seq` any more."""
        raise NotImplementedError("Paxos.done is still to be written: lab2_kvpaxos/paxos/paxos.py")

    def max(self) -> int:
        """The highest instance that this peer knows of, -1 if none."""
        raise NotImplementedError("Paxos.max is still to be written: lab2_kvpaxos/paxos/paxos.py")

    def min(self) -> int:
        """One more than the lowest instance up to which any peer is done. All before it is forgotten."""
        raise NotImplementedError("Paxos.min is still to be written: lab2_kvpaxos/paxos/paxos.py")
