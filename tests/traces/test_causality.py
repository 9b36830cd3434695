"""Happened-before and vector clocks, compared with brute force on random traces."""

from itertools import product
from random import Random
from typing import Final

import pytest

from labs.traces.causality import Clock, clocks, future, lane, past
from labs.traces.events import HARNESS, Event

NAMES: Final = ("a", "b", "c", HARNESS)


def random_trace(random: Random) -> list[Event]:
    """Calls among a few servers, some of them lost or doubled, and what else there may be in a trace."""
    pending: list[list[Event]] = []
    events: list[Event] = []
    for number in range(1, 9):
        src, dst = random.choice(NAMES), random.choice(NAMES[:-1])
        kinds = random.choice(
            [
                ("request", "arrive", "reply", "return"),
                ("request", "arrive", "arrive", "reply", "return"),
                ("request", "arrive", "reply", "arrive", "lose reply", "fail"),
                ("request", "lose request", "fail"),
                ("request", "fail"),
            ]
        )
        pending.append([Event(0.0, kind, src, dst, number, "M") for kind in kinds])  # type: ignore[arg-type]
    pending.append([Event(0.0, "call", "a", id=1), Event(0.0, "answer", "a", id=1)])
    pending.append([Event(0.0, "cut", "a", "b"), Event(0.0, "join", "a", "b")])
    pending.append([Event(0.0, "start", "b"), Event(0.0, "log", "b"), Event(0.0, "note", text="x")])
    while pending:
        first = random.choice(pending)
        events.append(first.pop(0))
        pending = [each for each in pending if each]
    for place, event in enumerate(events):
        event.t = float(place)
    return events


def before_by_force(events: list[Event], harness_in_order: bool) -> set[tuple[int, int]]:
    """All pairs of which the first happened before the second: the definition, closed under transitivity."""

    def directly(one: int, other: int) -> bool:
        first, second = events[one], events[other]
        same_call = first.method != "" and (first.id, first.method) == (second.id, second.method)
        if same_call and (first.kind, second.kind) in (("request", "arrive"), ("reply", "return")):
            return True
        if lane(first) != lane(second):
            return False
        return lane(first) != HARNESS or harness_in_order or same_call

    found = {
        (one, other) for one, other in product(range(len(events)), repeat=2) if one < other and directly(one, other)
    }
    for middle in range(len(events)):
        into = [one for one, other in found if other == middle]
        out = [other for one, other in found if one == middle]
        found |= set(product(into, out))
    return found


def is_before(one: Clock, other: Clock) -> bool:
    return one != other and all(count <= other.get(name, 0) for name, count in one.items())


@pytest.mark.parametrize("seed", range(100))
def test_clocks_tell_exactly_what_happened_before_what(seed: int) -> None:
    events = random_trace(Random(seed))
    expected = before_by_force(events, harness_in_order=True)
    found = clocks(events)
    for one, other in product(range(len(events)), repeat=2):
        assert is_before(found[one], found[other]) == ((one, other) in expected), (events[one], events[other])


@pytest.mark.parametrize("seed", range(30))
def test_past_and_future_are_what_happened_before_and_after(seed: int) -> None:
    events = random_trace(Random(seed))
    before = before_by_force(events, harness_in_order=False)
    for place in range(len(events)):
        assert past(events, place) == {place, *(one for one, other in before if other == place)}
        assert future(events, place) == {place, *(other for one, other in before if one == place)}


def test_each_lane_counts_from_one() -> None:
    events = random_trace(Random(1))
    counts: dict[str, list[int]] = {}
    for event, clock in zip(events, clocks(events), strict=True):
        counts.setdefault(lane(event), []).append(clock[lane(event)])
    assert len(counts) == len(NAMES)
    assert all(each == list(range(1, len(each) + 1)) for each in counts.values())


def test_what_the_test_does_causes_nothing_in_servers() -> None:
    events = [
        Event(0.0, "request", HARNESS, "a", 1, "Status"),
        Event(0.1, "arrive", HARNESS, "a", 1, "Status"),
        Event(0.2, "reply", HARNESS, "a", 1, "Status"),
        Event(0.3, "return", HARNESS, "a", 1, "Status"),
        Event(0.4, "request", HARNESS, "b", 2, "Status"),
        Event(0.5, "arrive", HARNESS, "b", 2, "Status"),
    ]
    assert past(events, 5) == {4, 5}
