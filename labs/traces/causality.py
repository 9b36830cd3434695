"""What may have caused what in a trace: Lamport's happened-before, and vector clocks that tell it.

Each process and each client has a lane. On a lane, what comes later in the trace comes after what came before. A
request comes before its arrival, a reply before its return. Nothing else does. What the harness asks for itself is a
lane of its own for each call: the order in which a test does things causes nothing in the servers.

Leslie Lamport, "Time, clocks, and the ordering of events in a distributed system", 1978; Colin Fidge, "Timestamps in
message-passing systems that preserve the partial ordering", 1988.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from labs.traces.events import HARNESS, Event, Kind

AT_CALLEE: Final[tuple[Kind, ...]] = ("arrive", "reply", "lose reply")
"""What happens to a call at the server that is called. All else happens at the caller; a loss at whoever sent."""

Clock = dict[str, int]
"""For each lane, how many of its events came before, the event itself included."""


def lane(event: Event) -> str:
    """Where an event happens. The harness's for what belongs to no process: faults, notes, the verdict."""
    if event.method and event.dst:
        return event.dst if event.kind in AT_CALLEE else event.src
    return HARNESS if event.dst or not event.src else event.src


def predecessors(events: Sequence[Event], harness_in_order: bool = False) -> list[list[int]]:
    """For each event the places of those that come directly before it: on its lane, and what was sent to it.

    `harness_in_order` makes the harness one lane like others.
    """
    found: list[list[int]] = []
    last: dict[str, int] = {}
    sent: dict[tuple[Kind, int], int] = {}
    for place, event in enumerate(events):
        where = lane(event)
        if where == HARNESS and not harness_in_order:
            where = f"{HARNESS} #{event.id}" if event.method else f"{HARNESS} at {place}"
        before = [last[where]] if where in last else []
        last[where] = place
        if event.method and event.dst:
            if event.kind in ("request", "reply"):
                sent.setdefault((event.kind, event.id), place)
            origin = sent.get((_SENT_BY[event.kind], event.id)) if event.kind in _SENT_BY else None
            if origin is not None and origin not in before:
                before.append(origin)
        found.append(before)
    return found


_SENT_BY: Final[dict[Kind, Kind]] = {"arrive": "request", "return": "reply"}


def past(events: Sequence[Event], place: int) -> set[int]:
    """The places of all events that happened before this one, and its own."""
    before = predecessors(events)
    return _reached(place, before)


def future(events: Sequence[Event], place: int) -> set[int]:
    """The places of all events that this one happened before, and its own."""
    after: list[list[int]] = [[] for _ in events]
    for later, earlier in enumerate(predecessors(events)):
        for each in earlier:
            after[each].append(later)
    return _reached(place, after)


def _reached(start: int, steps: Sequence[Iterable[int]]) -> set[int]:
    seen, todo = {start}, [start]
    while todo:
        for each in steps[todo.pop()]:
            if each not in seen:
                seen.add(each)
                todo.append(each)
    return seen


def clocks(events: Sequence[Event]) -> list[Clock]:
    """The vector clock of each event. The harness is one lane here, so that each clock counts every lane from 1."""
    found: list[Clock] = []
    for event, before in zip(events, predecessors(events, harness_in_order=True), strict=True):
        clock: Clock = {}
        for place in before:
            for where, count in found[place].items():
                if count > clock.get(where, 0):
                    clock[where] = count
        where = lane(event)
        clock[where] = clock.get(where, 0) + 1
        found.append(clock)
    return found
