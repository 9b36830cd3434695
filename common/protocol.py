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
