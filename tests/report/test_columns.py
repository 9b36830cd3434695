"""A trace as columns: nothing of it is lost, and what repeats stands once."""

from typing import Any

import msgspec

from labs.benchmark.traces import made_up
from labs.report.columns import SCALE, columns
from labs.traces.events import Event


def back(packed: dict[str, Any]) -> list[Event]:
    """The events that columns hold."""
    found: list[Event] = []
    now = 0
    for number, step in enumerate(packed["t"]):
        now += step
        found.append(
            Event(
                t=now / SCALE,
                kind=packed["kinds"][packed["kind"][number]],
                src=packed["names"][packed["src"][number]],
                dst=packed["names"][packed["dst"][number]],
                id=packed["id"][number],
                method=packed["methods"][packed["method"][number]],
                body=packed["bodies"][packed["body"][number]],
                text=packed["texts"][packed["text"][number]],
            )
        )
    return found


def test_columns_hold_all_of_a_trace() -> None:
    _, found = made_up(5000)
    packed = msgspec.json.decode(msgspec.json.encode(columns(found)))
    assert msgspec.to_builtins(back(packed)) == msgspec.to_builtins(found)


def test_values_that_are_equal_in_python_and_not_in_json_stay_apart() -> None:
    found = [Event(0.0, "note", body=body) for body in (1, True, 1.0, "1", [1], [True], None)]
    assert [repr(event.body) for event in back(columns(found))] == ["1", "True", "1.0", "'1'", "[1]", "[True]", "None"]


def test_no_event_makes_no_columns() -> None:
    assert back(columns([])) == []
