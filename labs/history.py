"""What the clients of a run asked and were told, and when: the evidence for linearizability."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

OperationKind = Literal["get", "put", "append", "cas"]


class Operation(msgspec.Struct, omit_defaults=True, gc=False, rename={"return_": "return"}):
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
    call: float = msgspec.field(default_factory=float)  # and not 0.0, which would not be written
    return_: float | None = None
    expected: str | None = None
    """What a cas has to find so that it writes `value`. Its result is "yes" if it did, and "no" if it did not."""


class History:
    """The operations of one run, in the order in which they were called.

    No two events have the same time: one that comes in the same instant as another (which is usual in simulated time)
    gets the next float. So the times alone tell what came before what.
    """

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations: list[Operation] = list(operations)
        self.on_event: Callable[[int, Operation], None] = lambda number, operation: None
        """Told of each call and each answer. Operations are numbered from 1."""
        self._open: dict[int, tuple[int, Operation]] = {}
        self._latest = -math.inf

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def begin(self, client: str, op: OperationKind, key: str, value: str | None, now: float) -> Operation:
        """Notes that a client asks for something. Pass what comes back to `end`."""
        operation = Operation(client, op, key, value, None, self._event(now))
        self.operations.append(operation)
        self._open[id(operation)] = len(self.operations), operation
        self.on_event(len(self.operations), operation)
        return operation

    def in_flight(self) -> list[Operation]:
        """The operations that were asked for and not answered yet, oldest first."""
        return [operation for _, operation in self._open.values()]

    def end(self, operation: Operation, result: str | None, now: float) -> None:
        """Notes the answer."""
        operation.result = result
        operation.return_ = self._event(now)
        number, _ = self._open.pop(id(operation))
        self.on_event(number, operation)

    def _event(self, now: float) -> float:
        self._latest = now if now > self._latest else math.nextafter(self._latest, math.inf)
        return self._latest

    def write(self, path: Path) -> None:
        """Saves the history as JSON lines."""
        encoder = msgspec.json.Encoder()
        path.write_bytes(encoder.encode_lines(self.operations))

    @classmethod
    def read(cls, path: Path) -> "History":
        """A saved history. Raises `msgspec.DecodeError`."""
        return cls(msgspec.json.Decoder(Operation).decode_lines(path.read_bytes()))
