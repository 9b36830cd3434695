"""A trace as columns: each field of all events together, and repeated values once. It packs well and loads fast."""

from collections.abc import Hashable, Iterable
from typing import Any, Final, get_args

import msgspec

from labs.traces.events import Event, Kind

SCALE: Final = 1_000_000
"""Times are whole numbers of microseconds, each as the difference from the one before."""
KINDS: Final[tuple[str, ...]] = get_args(Kind)


class _Table:
    """Values that occur again and again: each stands once, and is called by its place."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, value: Any, name: Hashable) -> int:
        """Where the value stands. `name` is what tells it from others."""
        place = self._places.setdefault(name, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def columns(events: Iterable[Event]) -> dict[str, Any]:
    """What static/model.js takes in place of an array of events."""
    names, methods, bodies, texts = _Table(), _Table(), _Table(), _Table()
    kinds = {kind: code for code, kind in enumerate(KINDS)}
    t: list[int] = []
    rows: list[tuple[int, ...]] = []
    encode = msgspec.json.Encoder().encode
    before = 0
    for event in events:
        now = round(event.t * SCALE)
        t.append(now - before)
        before = now
        rows.append(
            (
                kinds[event.kind],
                names.place(event.src, event.src),
                names.place(event.dst, event.dst),
                event.id,
                methods.place(event.method, event.method),
                bodies.place(event.body, encode(event.body)),
                texts.place(event.text, event.text),
            )
        )
    fields = "kind", "src", "dst", "id", "method", "body", "text"
    columned = zip(*rows, strict=True) if rows else ((),) * len(fields)
    return {
        "scale": SCALE,
        "kinds": KINDS,
        "names": names.values,
        "methods": methods.values,
        "bodies": bodies.values,
        "texts": texts.values,
        "t": t,
        **dict(zip(fields, columned, strict=True)),
    }
