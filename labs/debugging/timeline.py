"""A run as it was recorded, moment by moment, and what can be looked for in it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from labs.debugging.messages import Recording
from labs.debugging.words import in_words
from labs.sim.run import Outcome
from labs.traces.events import HARNESS, Event

FAULTS: Final = frozenset(
    ("kill", "crash", "pause", "resume", "cut", "join", "tap", "hold", "release", "lose request", "lose reply")
)
OPERATIONS: Final = frozenset(("call", "answer"))


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens at once: an instant of virtual time."""

    time: float
    events: tuple[Event, ...]


Wanted = Callable[[Event], bool]
"""What one looks for."""


class Timeline:
    """All moments of one run. A place in it is the number of moments that are over, so 0 is the very beginning."""

    def __init__(self, recording: Recording) -> None:
        self.outcome: Outcome = recording.outcome
        self.moments: list[Moment] = []
        self._asked: dict[tuple[str, int], Event] = {}
        self._answered: dict[int, Event] = {}
        for event in recording.events:
            if event.kind in ("request", "call"):
                self._asked.setdefault((event.kind, event.id), event)
            elif event.kind == "reply":
                self._answered[event.id] = event
        dull = set(self._dull(recording.events))
        told = (
            event
            for event in recording.events
            if event.src != HARNESS or (event.id not in dull and event.kind not in ("arrive", "return"))
        )
        self.moments = [Moment(time, tuple(events)) for time, events in groupby(told, lambda event: event.t)]

    def _dull(self, events: Iterable[Event]) -> Iterator[int]:
        """Calls by which the test only heard again what it knew: it asks every few milliseconds what it waits for."""
        known: dict[str, object] = {}
        for event in events:
            if event.src == HARNESS and event.kind in ("reply", "fail"):
                asked = self._asked["request", event.id]
                question = f"{asked.dst} {asked.method} {asked.body}"
                answer = (event.kind, event.body, event.text)
                if known.get(question) == answer:
                    yield event.id
                known[question] = answer

    def __len__(self) -> int:
        return len(self.moments)

    def at(self, place: int) -> Moment | None:
        """The moment that has just been. None at the very beginning."""
        return self.moments[place - 1] if place else None

    def time(self, place: int) -> float:
        """The time there. Before the very beginning it is -1."""
        return self.moments[place - 1].time if place else -1.0

    def words(self, event: Event) -> str:
        """An event as a line for people."""
        kind = "call" if event.kind in OPERATIONS else "request"
        return in_words(event, self._asked.get((kind, event.id)), self._answered.get(event.id))

    def forward(self, place: int, wanted: Wanted) -> int | None:
        """The next place at which something wanted has just happened."""
        return self._first(range(place + 1, len(self) + 1), wanted)

    def backward(self, place: int, wanted: Wanted) -> int | None:
        """The last place before this one at which something wanted has just happened."""
        return self._first(range(place - 1, 0, -1), wanted)

    def _first(self, places: Iterable[int], wanted: Wanted) -> int | None:
        return next((place for place in places if any(map(wanted, self.moments[place - 1].events))), None)

    def at_time(self, seconds: float) -> int:
        """The place where all is over that happens up to this time."""
        return sum(moment.time <= seconds for moment in self.moments)

    def same_until(self, other: "Timeline") -> int:
        """The last place up to which both are the same."""
        pairs = zip(self.moments, other.moments, strict=False)
        return next(
            (at for at, (one, two) in enumerate(pairs) if one != two),
            min(len(self), len(other)),
        )


# --- what one may look for -------------------------------------------------------------------------------------------


def message_to(server: str) -> Wanted:
    """A request or a reply that reaches this server or clerk, or the news that no reply will come."""
    return lambda event: (
        (event.kind == "arrive" and event.dst == server) or (event.kind in ("return", "fail") and event.src == server)
    )


def is_fault(event: Event) -> bool:
    """Something that the test did to the servers or the network, or a message that was lost."""
    return event.kind in FAULTS


def is_operation(event: Event) -> bool:
    """A client asks for something, or has its answer."""
    return event.kind in OPERATIONS
