"""Which events of a trace somebody wants to see."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from labs.traces.events import HARNESS, Event, Kind
from labs.traces.words import LINKS, MESSAGES, content, scalars

KINDS: Final[dict[str, tuple[Kind, ...]]] = {
    "message": MESSAGES,
    "operation": ("call", "answer"),
    "process": ("start", "serve", "kill", "crash", "pause", "resume"),
    "fault": (*LINKS, "kill", "pause", "resume"),
}
"""Several kinds under one name."""
PASSED_ON: Final[tuple[Kind, ...]] = ("arrive", "return")
"""What says no more than that a message has come."""
FIELDS: Final = {"key": "key", "seq": "seq", "view": "viewnum", "config": "num"}
"""The fields of messages that can be asked for, by their name in the protocol."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. An event has to meet all of it; of several servers, methods or kinds, one."""

    servers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    key: str | None = None
    seq: int | None = None
    view: int | None = None
    config: int | None = None
    values: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None
    brief: bool = False
    """Without arrivals and returns, and without what the harness asked for itself."""

    @property
    def asks_for_content(self) -> bool:
        """Whether it depends on what is in a message."""
        return bool(self.values) or any(getattr(self, each) is not None for each in FIELDS)


@dataclass(slots=True)
class Selection:
    """Picks events. What a message is about is known once an event of it with the content has been shown to it."""

    wish: Wish
    _about: set[tuple[bool, int]] = field(default_factory=set)
    """Calls and operations that are about what is asked for."""

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        """Those of a whole trace."""
        events = list(events)
        for event in events:
            self.learn(event)
        return (event for event in events if self.fits(event))

    def learn(self, event: Event) -> None:
        """Notes what the event's call or operation is about."""
        if self.wish.asks_for_content and event.id and self._is_about(event):
            self._about.add((bool(event.dst), event.id))

    def fits(self, event: Event) -> bool:
        """Whether the event is asked for."""
        wish = self.wish
        if (wish.after is not None and event.t < wish.after) or (wish.before is not None and event.t > wish.before):
            return False
        if wish.kinds and not any(event.kind in KINDS.get(each, (each,)) for each in wish.kinds):
            return False
        if wish.brief and (event.kind in PASSED_ON or (event.src == HARNESS and event.method)):
            return False
        if wish.servers and event.src not in wish.servers and event.dst not in wish.servers:
            return False
        if wish.methods and event.method.lower() not in wish.methods:
            return False
        return not wish.asks_for_content or (bool(event.dst), event.id) in self._about or self._is_about(event)

    def _is_about(self, event: Event) -> bool:
        wish = self.wish
        said = list(scalars(content(event)))
        words = [value for _, value in said] + [event.text]
        return all(
            _says(said, name, wanted) for each, name in FIELDS.items() if (wanted := getattr(wish, each)) is not None
        ) and all(any(_contains(word, value) for word in words) for value in wish.values)


def _says(said: list[tuple[str | None, Any]], name: str, wanted: Any) -> bool:
    """Whether a field of this name has this value; of a message whose fields have no names, any field."""
    named = any(field is not None for field, _ in said)
    return any(
        value == wanted and isinstance(value, type(wanted)) and not isinstance(value, bool)
        for field, value in said
        if field == name or not named
    )


def _contains(word: Any, value: str) -> bool:
    return value in word if isinstance(word, str) else str(word) == value
