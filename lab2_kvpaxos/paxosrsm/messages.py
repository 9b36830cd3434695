"""What replicas say to each other beside Paxos: the state of one that has it, for one that has lost it."""

from common.wire import Reply, Request


class StatePart(Reply):
    """A piece of the state after all instances before `applied`: the bytes from `offset` on, of `total`."""

    applied: int
    offset: int
    total: int
    data: bytes


class FetchState(Request[StatePart]):
    """The state from the byte `offset` on: the one after the instances before `applied`, or, if -1, the newest."""

    applied: int
    offset: int
