"""The recorder of a run: both worlds add events to it, it tells whoever wants to know, and it writes the trace.

A trace is bounded. Of one that grows too long the beginning and the end are kept, so a server that floods its peers
fills no disk. In real processes the file grows while the run goes on, and can be followed.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from labs.traces.events import Event, Header


class Limit(NamedTuple):
    """Of a part of a trace."""

    events: int
    bytes: int


START: Final = Limit(100_000, 12 * 1024**2)
"""What is kept of the beginning."""
END: Final = Limit(20_000, 4 * 1024**2)
"""What is kept of the end."""
MANY: Final = 10_000
"""So many events that came since the last `flush` are written without waiting for the next."""


def _time(event: Event) -> float:
    return event.t


class Recorder:
    """Takes the events of one run."""

    def __init__(self, header: Header, file: Path | None = None, start: Limit = START, end: Limit = END) -> None:
        """With a `file`, the trace is written there. Without, nothing is kept: then it is for subscribers."""
        self.header = header
        self.file = file
        self._subscribers: list[Callable[[Event], None]] = []
        self._numbers = count(1)
        self._pending: list[Event] = []
        self._start_limit = start
        self._end_limit = end
        self._start = Limit(0, 0)
        self._end: deque[bytes] = deque()
        self._end_bytes = 0
        self._left_out = 0
        self._latest = 0.0
        self._out: IO[bytes] | None = None
        self._encode = msgspec.json.Encoder().encode

    def add(self, event: Event) -> None:
        """One more event. A line of a log may come late, with an earlier time than events before it."""
        for callback in self._subscribers:
            callback(event)
        if self.file is not None:
            self._pending.append(event)
            if len(self._pending) >= MANY:
                self.flush()

    def subscribe(self, callback: Callable[[Event], None]) -> None:
        """`callback` is called with each event from now on, as it is added."""
        self._subscribers.append(callback)

    def number(self) -> int:
        """An id for a call that nothing else in this trace has."""
        return next(self._numbers)

    def flush(self, until: float = math.inf) -> None:
        """Writes what has come until then, in the order of time. What comes later with an earlier time is put there."""
        if self.file is None:
            return
        if self._out is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._out = self.file.open("wb")
            self._out.write(self._encode(self.header) + b"\n")
        self._pending.sort(key=_time)
        ready = bisect_right(self._pending, until, key=_time)
        for event in self._pending[:ready]:
            event.t = self._latest = round(max(self._latest, event.t), 6)
            self._keep(self._encode(event) + b"\n")
        del self._pending[:ready]
        self._out.flush()

    def _keep(self, line: bytes) -> None:
        """Writes a line, or puts it aside where it may belong to the end."""
        assert self._out is not None
        events, size = self._start.events + 1, self._start.bytes + len(line)
        if not self._end and events <= self._start_limit.events and size <= self._start_limit.bytes:
            self._start = Limit(events, size)
            self._out.write(line)
            return
        self._end.append(line)
        self._end_bytes += len(line)
        while len(self._end) > self._end_limit.events or self._end_bytes > self._end_limit.bytes:
            self._end_bytes -= len(self._end.popleft())
            self._left_out += 1

    def close(self) -> None:
        """Writes what is left. The trace is complete then; adding to it has no meaning any more."""
        self.flush()
        if self._out is None:
            return
        if self._left_out:
            text = f"{self._left_out} events were left out here: of a long run, beginning and end are kept"
            time = msgspec.json.decode(self._end[0], type=Event).t if self._end else self._latest
            self._out.write(self._encode(Event(time, "note", text=text)) + b"\n")
        self._out.writelines(self._end)
        self._out.close()
        self._out, self.file = None, None
