"""What is said between `lab debug` and the process in which the run takes place: lines of JSON.

Each `Order` has one answer, which is a `Recording`, a `Look` or a `Failed`, each with its name in the field `type`.
A run that was stopped stays where it is until the next order: one that goes on from there is quick, any other begins
the run anew.
"""

from typing import NamedTuple

import msgspec

from common.snapshot import Place
from labs.choices import Choice
from labs.sim.run import Outcome
from labs.sim.worker import Job
from labs.traces.events import Event


class Order(msgspec.Struct):
    """Runs a test, to its end or up to a moment."""

    job: Job
    """Of its seeds the first one counts."""
    instead: list[Choice] = []
    """Choices that come out so, whatever is drawn."""
    stop: float | None = None
    """The time at whose end the run is stopped and looked into. None: it runs to its end and is recorded."""
    outcome_only: bool = False
    """Whether a recording needs no events."""


class Recording(msgspec.Struct, tag=True):
    """A run, from its beginning to its end."""

    outcome: Outcome
    events: list[Event] = []


class Failed(msgspec.Struct, tag=True):
    """It could not be done; the text says why."""

    why: str


class Field(NamedTuple):
    """A part of a server's state."""

    path: str
    """Such as `replica.view`."""
    value: str


class TaskLook(NamedTuple):
    """A task, and where it waits: own code only, the innermost line last. Each with its text."""

    name: str
    places: list[tuple[Place, str]]


class ServerLook(msgspec.Struct):
    """One server or clerk at a moment."""

    name: str
    role: str
    state: str
    """running, paused or killed."""
    fields: list[Field] = []
    tasks: list[TaskLook] = []
    calls: list[str] = []
    """The calls that it waits for, in words."""
    log: list[str] = []
    """The last lines that it wrote."""


class Flight(msgspec.Struct):
    """A message on its way."""

    id: int
    """Of its call."""
    what: str
    """request, reply, or notice: that no reply will come."""
    src: str
    """Who has sent it. Of a notice, whom the caller had called."""
    dst: str
    method: str
    sent: float = 0.0
    arrives: float | None = None
    """None: nobody knows when."""
    choice: Choice | None = None
    """The choice by which it takes so long. None: it is the harness's own, or held back by the test."""
    why: str = ""
    """Why its time cannot be chosen, or what it waits for."""


class Timer(NamedTuple):
    """Something that will happen by itself."""

    when: float
    who: str
    what: str


class Look(msgspec.Struct, tag=True):
    """A run that stands still."""

    time: float
    servers: list[ServerLook]
    flights: list[Flight]
    timers: list[Timer]
    cuts: list[str]
    """Who cannot call whom, in words."""
    test: list[TaskLook]
    """The tasks of the test itself, the test first."""
    operations: list[str]
    """Of clients, not answered yet."""


Answer = Recording | Look | Failed
