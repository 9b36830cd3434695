"""A trace for Perfetto (ui.perfetto.dev) and chrome://tracing, in the JSON of Chrome's trace events.

Each process and each client is a process there. Its first thread has its life; the calls that it makes, and those that
it answers, are slices on as many threads as overlap. Arrows lead from a request to its arrival and from a reply to its
return. Faults are instants of the network, client operations are asynchronous slices, times are in microseconds.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from labs.traces.events import HARNESS, Event, Header
from labs.traces.words import LINKS, MESSAGES, said, what

LIFE: Final = 1
"""The thread of a process's life, its log and its clients' operations."""
CALLS: Final = 10
"""The first thread for the calls that it makes."""
ANSWERS: Final = 1000
"""The first thread for the calls that it answers."""
NETWORK: Final = "the network"

Item = dict[str, Any]


def write(header: Header, events: Sequence[Event], file: Path) -> None:
    """Writes the trace. Raises `OSError`."""
    file.write_bytes(msgspec.json.encode(document(header, events)))


def document(header: Header, events: Sequence[Event]) -> Item:
    """The whole JSON object."""
    return {
        "traceEvents": _Picture(events).items,
        "displayTimeUnit": "ms",
        "otherData": {"suite": header.suite, "test": header.test, "world": header.world, "seed": str(header.seed)},
    }


class _Slots:
    """Threads of one process on which slices do not overlap."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._ends: list[int] = []

    def take(self, start: int, end: int) -> int:
        for slot, busy_until in enumerate(self._ends):
            if busy_until <= start:
                self._ends[slot] = end
                return self._first + slot
        self._ends.append(end)
        return self._first + len(self._ends) - 1


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


class _Picture:
    """Draws the events one after the other."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.items: list[Item] = []
        self._end = _us(events[-1].t) + 1 if events else 1
        self._pids: dict[str, int] = {}
        self._slots: dict[tuple[int, int], _Slots] = {}
        self._flows = count(1)
        self._lives: dict[str, Item] = {}
        self._pauses: dict[str, Item] = {}
        self._calls(events)
        for event in events:
            if event.kind not in MESSAGES:
                self._draw(event)
        self.items += self._names()

    def _pid(self, name: str) -> int:
        return self._pids.setdefault(name, len(self._pids) + 1)

    def _names(self) -> Iterator[Item]:
        for name, pid in self._pids.items():
            yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
            yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": pid}}
        for pid, tid in sorted({(each["pid"], each["tid"]) for each in self.items}):
            name = "life" if tid == LIFE else "calls" if tid < ANSWERS else "answers"
            yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}

    # --- calls -------------------------------------------------------------------------------------------------------

    def _calls(self, events: Sequence[Event]) -> None:
        calls: dict[int, list[Event]] = {}
        for event in events:
            if event.kind in MESSAGES:
                self._pid(event.src)
                self._pid(event.dst)
                calls.setdefault(event.id, []).append(event)
        for call in calls.values():
            if call[0].kind == "request":  # of one whose beginning was left out there is nothing to draw from
                self._call(call)

    def _call(self, call: list[Event]) -> None:
        request = call[0]
        over = next((_us(event.t) for event in call if event.kind in ("return", "fail")), self._end)
        asked = self._slice(request.src, CALLS, request, over, {"request": what(request)})
        answers: list[Item] = []
        for event in call[1:]:
            match event.kind:
                case "arrive":
                    done = (_us(each.t) for each in call if each.kind == "reply" and each.t >= event.t)
                    answers.append(self._slice(event.dst, ANSWERS, event, next(done, self._end), {}))
                    self._arrow("request", asked, request.t, answers[-1], event.t)
                case "reply":
                    asked["args"]["reply"] = what(event)
                case "return" if answers:
                    replied = next(each.t for each in call if each.kind == "reply")
                    self._arrow("reply", answers[0], replied, asked, event.t)
                case "fail" | "lose request" | "lose reply":
                    where = answers[0] if event.kind == "lose reply" and answers else asked
                    self._instant(f"{event.kind} {event.method}", event.t, where["pid"], where["tid"], event.text)

    def _slice(self, name: str, first: int, event: Event, end: int, args: Item) -> Item:
        start, pid = _us(event.t), self._pid(name)
        slots = self._slots.setdefault((pid, first), _Slots(first))
        other = event.dst if first == CALLS else event.src
        item = {
            "ph": "X",
            "name": event.method,
            "cat": "call" if first == CALLS else "answer",
            "ts": start,
            "dur": max(1, end - start),
            "pid": pid,
            "tid": slots.take(start, max(start + 1, end)),
            "args": {"id": event.id, "to" if first == CALLS else "from": other, **args},
        }
        self.items.append(item)
        return item

    def _arrow(self, kind: str, begin: Item, sent: float, end: Item, came: float) -> None:
        """An arrow between two slices. An arrow is bound to the slice in which its end lies, so it has to lie in it."""
        both = {"name": kind, "cat": "message", "id": next(self._flows)}
        for ph, item, t in (("s", begin, sent), ("f", end, came)):
            ts = min(max(_us(t), item["ts"]), item["ts"] + item["dur"])
            more = {"bp": "e"} if ph == "f" else {}
            self.items.append({"ph": ph, "ts": ts, "pid": item["pid"], "tid": item["tid"], **both, **more})

    # --- everything else ---------------------------------------------------------------------------------------------

    def _draw(self, event: Event) -> None:
        match event.kind:
            case "start":
                self._lives[event.src] = self._span(event, event.text or "lives")
            case "kill" | "crash":
                for spans in (self._pauses, self._lives):
                    self._close(spans, event)
                self._instant(f"{event.kind} {event.text}".strip(), event.t, self._pid(event.src), LIFE, event.text)
            case "pause":
                self._pauses[event.src] = self._span(event, "paused")
            case "resume":
                self._close(self._pauses, event)
            case "call" | "answer":
                self._operation(event)
            case "log" | "serve":
                self._instant(event.text or event.kind, event.t, self._pid(event.src), LIFE, "")
            case _ if event.kind in LINKS:
                name = f"{event.kind} {event.src} > {event.dst}"
                self._instant(name, event.t, self._pid(NETWORK), LIFE, event.text)
            case _:
                self._instant(f"{event.kind} {what(event)}", event.t, self._pid(HARNESS), LIFE, event.text, scope="g")

    def _span(self, event: Event, name: str) -> Item:
        """A slice that goes on until something closes it."""
        ts = _us(event.t)
        item = {"ph": "X", "name": name, "cat": "process", "ts": ts, "dur": self._end - ts, "tid": LIFE}
        self.items.append(item | {"pid": self._pid(event.src), "args": {}})
        return self.items[-1]

    def _close(self, spans: dict[str, Item], event: Event) -> None:
        span = spans.pop(event.src, None)
        if span is not None:
            span["dur"] = max(1, _us(event.t) - span["ts"])

    def _operation(self, event: Event) -> None:
        said_ = {"asked": said(event.body)} if event.kind == "call" else {"answer": said(event.body)}
        item = {"ph": "b" if event.kind == "call" else "e", "name": event.method, "cat": "operation"}
        where = {"pid": self._pid(event.src), "tid": LIFE}
        self.items.append({**item, "id": f"o{event.id}", "ts": _us(event.t), **where, "args": said_})

    def _instant(self, name: str, t: float, pid: int, tid: int, text: str, scope: str = "t") -> None:
        args = {"text": text} if text else {}
        self.items.append({"ph": "i", "s": scope, "name": name, "ts": _us(t), "pid": pid, "tid": tid, "args": args})
