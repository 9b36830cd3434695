"""The key/value store as a state machine, with the memory that makes a repeated request harmless."""

from typing import Final

import msgspec

from common.protocol import Done, Value
from common.wire import encode
from lab2_kvpaxos.kvpaxos.messages import Op, TooLong

MAX_VALUE: Final = 4_000_000
"""Characters in one value."""

_decoder = msgspec.msgpack.Decoder(tuple[dict[str, str], dict[int, int], dict[int, int]])


class Store:
    """Keys, their values, and the `seq` of each client's newest write: one entry a client.

    A Get changes nothing, so it is simply executed again when it comes again, and gives what is current then.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.newest: dict[int, int] = {}
        self.refused: dict[int, int] = {}
        """The `seq` of each client's newest write that was too long: a copy of it may not be executed either."""

    def was_executed(self, op: Op) -> bool:
        """The write is known from before."""
        return op.kind != "get" and op.seq <= self.newest.get(op.client, 0)

    def apply(self, op: Op) -> Value | Done | TooLong:
        """Executes an operation, unless it is a write that was executed before."""
        old = self.values.get(op.key, "")
        if op.kind == "get":
            return Value(old)
        if self.was_executed(op):
            return Done()
        new = old + op.value if op.kind == "append" else op.value
        if len(new) > MAX_VALUE or op.seq == self.refused.get(op.client):
            self.refused[op.client] = op.seq
            return TooLong(MAX_VALUE)
        self.newest[op.client] = op.seq
        self.values[op.key] = new
        return Done()

    def snapshot(self) -> bytes:
        """Values and duplicate tables."""
        return encode((self.values, self.newest, self.refused))

    def restore(self, state: bytes) -> None:
        """Takes what `snapshot` gave."""
        self.values, self.newest, self.refused = _decoder.decode(state)
