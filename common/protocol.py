"""The contract of the labs: the messages and constants that everyone has to agree on.

The graded tests know these and nothing else. What a lab's servers say to each other, and what a clerk says to its
servers, is the lab's own affair and stands in that lab's `messages.py`.
"""

from typing import Final

from common.wire import Record, Reply, Request

# --- every clerk -----------------------------------------------------------------------------------------------------
# A clerk is a process too. Whoever wants something done asks the clerk, and the clerk asks the servers, again and
# again until it has an answer. It is asked one thing at a time.


class Value(Reply):
    """What a key holds. A key that was never written holds the empty string."""

    value: str


class Done(Reply):
    """It has been done, once."""


class Get(Request[Value]):
    """The value of a key."""

    key: str


class Put(Request[Done]):
    """Makes `value` the key's value."""

    key: str
    value: str


class Append(Request[Done]):
    """Adds `value` to the end of the key's value."""

    key: str
    value: str


# --- lab 1: the view service -----------------------------------------------------------------------------------------

PING_INTERVAL: Final = 0.1
"""Seconds between two Pings of a server."""
DEAD_PINGS: Final = 5
"""A server that has sent no Ping for so many intervals is dead."""


class View(Record):
    """Who is primary and who is backup. An empty name is nobody. View 0, before the first Ping, has neither."""

    viewnum: int
    primary: str
    backup: str


class Ping(Request[View]):
    """A server says that it is alive, and which view is the newest that it knows. 0: it just (re)started, and none.

    From the primary of view n, Ping(n) also acknowledges view n. The reply is the current view.
    """

    me: str
    viewnum: int


class GetView(Request[View]):
    """The current view, without being alive for it. For clerks."""


# --- lab 2: a Paxos peer, as the harness drives it -------------------------------------------------------------------


class Decided(Reply):
    """The instance is decided, and this is its value for ever."""

    value: str


class Pending(Reply):
    """This peer does not know (yet) that the instance is decided."""


class Forgotten(Reply):
    """Every peer is done with the instance, so its value is gone."""


class Number(Reply):
    """The number of an instance, or -1 for none."""

    seq: int


class Start(Request[Done]):
    """Proposes `value` for the instance `seq`. The reply comes at once; agreement takes its time.

    Nothing happens if the instance is decided or forgotten.
    """

    seq: int
    value: str


class Status(Request[Decided | Pending | Forgotten]):
    """What this peer itself knows of the instance. It asks nobody else."""

    seq: int


class DoneUpTo(Request[Done]):
    """The application on this peer needs no instance up to and including `seq` any more. Calls come in any order."""

    seq: int


class Max(Request[Number]):
    """The highest instance that this peer knows of, -1 if it knows of none."""


class Min(Request[Number]):
    """One more than the lowest instance up to which any peer is done: all before it are forgotten. 0 at first."""


# --- lab 2: a replicated state machine, as the harness drives it -----------------------------------------------------
# The machine of the tests is a list of strings: an operation adds one to its end, and its result is its place.


class Place(Reply):
    """The place of the operation in the list, counted from 0."""

    index: int


class Applied(Reply):
    """What this replica has applied so far, in order."""

    operations: list[str]


class Submit(Request[Place]):
    """Adds `operation` to the list, once, and answers when this replica has applied it."""

    operation: str


class GetApplied(Request[Applied]):
    """The list as this replica has it now. It asks nobody else."""
