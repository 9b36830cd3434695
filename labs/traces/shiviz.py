"""A trace for ShiViz: a log whose first line is the regular expression by which ShiViz reads the rest."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from labs.traces.causality import clocks, lane
from labs.traces.events import Event
from labs.traces.words import what

PATTERN: Final = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"
"""Two lines for each event: where and with which vector clock, and what."""


def write(events: Sequence[Event], file: Path) -> None:
    """Writes the log. Raises `OSError`."""
    with file.open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines(events))


def lines(events: Sequence[Event]) -> Iterator[str]:
    """The log's lines. The second is empty: there is one execution in it."""
    yield PATTERN
    yield ""
    for event, clock in zip(events, clocks(events), strict=True):
        counted = {_host(name): count for name, count in clock.items()}
        yield f"{_host(lane(event))} {msgspec.json.encode(counted).decode()}"
        yield f"{event.t:.6f} {_who(event)}{event.kind} {what(event)}".rstrip()


def _host(name: str) -> str:
    """A host has no spaces in ShiViz."""
    return name.replace(" ", "-")


def _who(event: Event) -> str:
    return f"{event.src} > {event.dst} " if event.dst else ""
