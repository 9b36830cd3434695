"""What a user does with a run: moves in it, looks around, chooses what happens next. There is no terminal here.

Going back costs nothing where only the recorded events are needed. To see the state at a moment, the run is taken up
to there again by whoever plays it (`Player`), which comes out the same since everything comes from the seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from labs import linearizability
from labs.choices import NEVER, Choice
from labs.debugging.divergence import Nearest, nearest
from labs.debugging.messages import Field, Flight, Look, Recording, ServerLook
from labs.debugging.timeline import Timeline, Wanted


class Player(Protocol):
    """Whoever can play the run."""

    def record(self, instead: Sequence[Choice]) -> Recording:
        """The whole run, with these choices. Raises `Refused`."""

    def record_seed(self, seed: int) -> Recording:
        """The run of another seed. Raises `Refused`."""

    def record_schedule(self, schedule: Sequence[Choice], outcome_only: bool) -> Recording:
        """The run in which all is simple that is not in the schedule. Raises `Refused`."""

    def look(self, instead: Sequence[Choice], time: float) -> Look:
        """The same run, as it is when this instant is over. Raises `Refused`."""


class Refused(Exception):
    """It cannot be done; the text says why, and what can."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the user has chosen."""

    words: str
    choice: Choice
    place: int
    """Where they were then."""


class Difference(NamedTuple):
    """A part of a server's state that is not what it was."""

    path: str
    before: str | None
    """None: it was not there."""
    after: str | None


class Session:
    """One user, one test, one seed."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._runs: dict[tuple[tuple[str, int, float], ...], Timeline] = {}
        """The runs that were recorded so far, by what was chosen in them."""
        self._looks: dict[int, Look] = {}
        """What has been seen of the present run, by place."""
        self.changes: list[Change] = []
        self.place = 0
        self.timeline = self._play([])

    # --- where we are ------------------------------------------------------------------------------------------------

    @property
    def look(self) -> Look:
        """All that there is to see here. Raises `Refused`."""
        return self.look_at(self.place)

    def look_at(self, place: int) -> Look:
        """All that there was or will be to see at another place. Raises `Refused`."""
        if place not in self._looks:
            if len(self._looks) >= KEPT_LOOKS:
                del self._looks[next(iter(self._looks))]
            self._looks[place] = self._player.look(self.instead, self.timeline.time(place))
        return self._looks[place]

    @property
    def instead(self) -> list[Choice]:
        """What the user has chosen."""
        return [change.choice for change in self.changes]

    def server(self, name: str) -> ServerLook:
        """A server or clerk as it is now. Raises `Refused`."""
        return server_in(self.look, name)

    @property
    def failure(self) -> int:
        """Where it shows that the run fails: the answer that nothing explains, or the end."""
        outcome = self.timeline.outcome
        verdict = linearizability.check(outcome.operations)
        if outcome.status == "failed" and verdict.ok is False and verdict.explanation in outcome.message:
            answer = verdict.operations[0]
            place = self.timeline.forward(
                0,
                lambda event: (
                    event.kind == "answer"
                    and event.src == answer.client
                    and answer.return_ is not None
                    and abs(event.t - answer.return_) < SAME_INSTANT
                ),
            )
            if place is not None:
                return place
        return len(self.timeline)

    # --- moving ------------------------------------------------------------------------------------------------------

    def go(self, place: int) -> None:
        """Goes to a place. Raises `Refused`."""
        if not 0 <= place <= len(self.timeline):
            raise Refused(f"expected a moment from 0 to {len(self.timeline)}, got {place}")
        self.place = place

    def step(self, count: int) -> None:
        """So many moments on, or back if negative. Raises `Refused`."""
        place = min(max(0, self.place + count), len(self.timeline))
        if place == self.place and count:
            raise Refused("this is the end of the run" if count > 0 else "this is the beginning of the run")
        self.place = place

    def find(self, wanted: Wanted, what: str, back: bool = False) -> None:
        """Goes where something wanted has just happened. Raises `Refused`, which says `what` is not there."""
        place = (self.timeline.backward if back else self.timeline.forward)(self.place, wanted)
        if place is None:
            raise Refused(f"there is no {what} {'before' if back else 'after'} this moment")
        self.place = place

    # --- choosing ----------------------------------------------------------------------------------------------------

    def deliver(self, label: str) -> Change:
        """Lets a message arrive next. Raises `Refused`."""
        now = self.timeline.time(self.place)
        flight = self.flight(label)
        return self._choose(flight, just_after(now) - arrival(flight), "arrives next")

    def drop(self, label: str) -> Change:
        """Lets a message never arrive: whoever waits for it waits in vain. Raises `Refused`."""
        return self._choose(self.flight(label), NEVER, "never arrives")

    def delay(self, label: str, seconds: float) -> Change:
        """Lets a message arrive so much later than it would. Raises `Refused`."""
        flight = self.flight(label)
        now = self.timeline.time(self.place)
        if arrival(flight) + seconds <= now:
            raise Refused(f"expected a time after {now:.6f} s, which is now; `deliver {label}` lets it arrive next")
        return self._choose(flight, seconds, f"arrives {1000 * seconds:g} ms later")

    def flight(self, label: str) -> Flight:
        """The message on its way that has this label. Raises `Refused`."""
        flights = labelled(self.look.flights)
        flight = flights.get(label.removeprefix("#"))
        if flight is None:
            raise Refused(f"expected a message on its way ({', '.join(flights) or 'there is none'}), got {label}")
        if flight.choice is None:
            raise Refused(f"when this message arrives cannot be chosen: {flight.why}")
        return flight

    def _choose(self, flight: Flight, later: float, words: str) -> Change:
        """Has the message arrive so much later, and the run from here on anew."""
        made = flight.choice
        assert made is not None
        choice = Choice(made.of, made.number, made.time, made.value + later, made.simplest)
        said = f"{flight.method} #{flight.id} ({flight.what} {flight.src} > {flight.dst}) {words}"
        change = Change(said, choice, self.place)
        before = self.timeline
        self._take([*(each for each in self.changes if not _about(each.choice, choice)), change])
        if self.timeline.same_until(before) < self.place:
            self._take([each for each in self.changes if each is not change])
            raise Refused("the run up to here would be another one, so nothing was changed")
        return change

    def undo(self) -> Change:
        """Takes the last choice back. Raises `Refused`."""
        if not self.changes:
            raise Refused("nothing was chosen yet: the run is what its seed gives")
        change = self.changes[-1]
        self._take(self.changes[:-1])
        self.place = min(change.place, len(self.timeline))
        return change

    # --- beside other runs -------------------------------------------------------------------------------------------

    def nearest(self, told: Callable[[str], object]) -> Nearest | None:
        """A run near this one that passes (see `labs.debugging.divergence`). Raises `Refused`."""
        if self.timeline.outcome.status == "passed":
            raise Refused("this run passes; `diverge` compares one that fails with one that passes")
        return nearest(self.timeline.outcome.choices, self._player.record_schedule, told)

    def other_seed(self, seed: int) -> Timeline:
        """The run that another seed gives. Raises `Refused`."""
        return Timeline(self._player.record_seed(seed))

    def _take(self, changes: list[Change]) -> None:
        self.timeline = self._play([change.choice for change in changes])
        self.changes = changes
        self._looks = {}

    def _play(self, instead: list[Choice]) -> Timeline:
        key = tuple((choice.of, choice.number, choice.value) for choice in instead)
        if key not in self._runs:
            self._runs[key] = Timeline(self._player.record(instead))
        return self._runs[key]


KEPT_LOOKS: Final = 200
"""Places whose state is remembered."""
SAME_INSTANT: Final = 1e-6
"""Seconds between two times that mean the same."""


def arrival(flight: Flight) -> float:
    """When a message arrives whose time was chosen."""
    assert flight.arrives is not None
    return flight.arrives


def just_after(time: float) -> float:
    """A moment later than now, and before anything else that is to come."""
    return time + 1e-9


def labelled(flights: Sequence[Flight]) -> dict[str, Flight]:
    """Messages on their way by what they are called here: the number of their call, and a letter if it has several."""
    found: dict[str, Flight] = {}
    for flight in flights:
        label = str(flight.id)
        for letter in "bcdefgh":
            if label not in found:
                break
            label = f"{flight.id}{letter}"
        found[label] = flight
    return found


def server_in(look: Look, name: str) -> ServerLook:
    """A server or clerk. Raises `Refused`."""
    for server in look.servers:
        if server.name == name:
            return server
    names = ", ".join(server.name for server in look.servers) or "none has started yet"
    raise Refused(f"expected a server or a clerk ({names}), got {name!r}")


def differences(before: ServerLook | None, after: ServerLook) -> list[Difference]:
    """What is not in a server's state as it was."""
    old = _paths(before.fields) if before is not None else {}
    new = _paths(after.fields)
    found = [Difference(path, old.get(path), value) for path, value in new.items() if old.get(path) != value]
    return found + [Difference(path, value, None) for path, value in old.items() if path not in new]


def _paths(fields: Sequence[Field]) -> dict[str, str]:
    """Parts that have the same name, as the items of a set, are counted."""
    found: dict[str, str] = {}
    for path, value in fields:
        name, number = path, 1
        while name in found:
            number += 1
            name = f"{path} ({number})"
        found[name] = value
    return found


def _about(one: Choice, other: Choice) -> bool:
    return (one.of, one.number) == (other.of, other.number)
