"""What the clients of a run asked and were told, and when: the evidence for linearizability."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

OperationKind = Literal["get", "put", "append", "cas"]


class Operation(msgspec.Struct, omit_defaults=True, rename={"return_": "return"}):
    """One operation of one client. Times are seconds on the run's one clock.

    `return_` is None while no reply has come: the operation may have been executed, or may yet be, or never.
    """

    client: str
    op: OperationKind
    key: str
    value: str | None = None
    """What was put or appended."""
    result: str | None = None
    """What a get returned."""
    call: float = 0.0
    return_: float | None = None


class History:
    """The operations of one run, in the order in which they were called."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations: list[Operation] = list(operations)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def begin(self, client: str, op: OperationKind, key: str, value: str | None, now: float) -> Operation:
        """Notes that a client asks for something. Pass what comes back to `end`."""
        operation = Operation(client, op, key, value, None, now)
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation, result: str | None, now: float) -> None:
        """Notes the answer."""
        operation.result = result
        operation.return_ = now

    def write(self, path: Path) -> None:
        """Saves the history as JSON lines."""
        encoder = msgspec.json.Encoder()
        path.write_bytes(encoder.encode_lines(self.operations))

    @classmethod
    def read(cls, path: Path) -> "History":
        """A saved history. Raises `msgspec.DecodeError`."""
        return cls(msgspec.json.Decoder(Operation).decode_lines(path.read_bytes()))
