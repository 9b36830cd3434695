"""Histories in which no two events have the same time: who asks which answer came first gets one answer.

A time is replaced by its place in the order of all calls and returns, where calls come first among equals. So one
operation returned before another was called exactly if it did so before, and nothing else is ever asked of times.
"""

from collections.abc import Iterable

from labs.history import Operation


class Ranked(Operation, kw_only=True, gc=False):
    """An operation whose times are places in the order of all events."""

    original: Operation


def ranked(history: Iterable[Operation]) -> list[Ranked]:
    """The same history with places for times."""
    operations = list(history)
    events = [(each.call, 0, number) for number, each in enumerate(operations)]
    events += [(each.return_, 1, number) for number, each in enumerate(operations) if each.return_ is not None]
    places = {event[1:]: float(place) for place, event in enumerate(sorted(events))}
    return [
        Ranked(
            each.client,
            each.op,
            each.key,
            each.value,
            each.result,
            places[0, number],
            places.get((1, number)),
            each.expected,
            original=each,
        )
        for number, each in enumerate(operations)
    ]


def original(operation: Operation) -> Operation:
    """As it was before it was ranked."""
    return operation.original if isinstance(operation, Ranked) else operation
