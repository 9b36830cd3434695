"""What peers say to each other. Each message carries what its sender knows of who is done with what."""

from common.wire import Reply, Request

Done = list[int]
"""For each peer the highest instance up to which its application is done, -1 for none."""

# --- phase 1 ---------------------------------------------------------------------------------------------------------


class Promise(Reply):
    """Nothing under a lower ballot will be accepted here any more."""

    accepted: list[tuple[int, int, bytes]]
    """Instance, ballot and value of all that was accepted here in the instances asked for, below `upto`."""
    upto: int
    """The report is complete below this instance. There may be more to report from here on."""
    done: Done


class Rejected(Reply):
    """A higher ballot than yours was promised here: this one."""

    promised: int
    done: Done


class Abstained(Reply):
    """This peer has lost its memory, so it never votes again."""

    done: Done


class Prepare(Request[Promise | Rejected | Abstained]):
    """Phase 1a for all instances from `first` on, at once: promise me this ballot, and tell me what you accepted."""

    ballot: int
    first: int
    done: Done


# --- phase 2 ---------------------------------------------------------------------------------------------------------

News = list[tuple[int, int]]
"""Instances that were decided, each with the ballot under which it was."""


class Accepted(Reply):
    """This peer has accepted the value."""

    missing: list[int]
    """Decided instances of the news whose values are not known here."""
    done: Done


class Accept(Request[Accepted | Rejected | Abstained]):
    """Phase 2a, with the news that there is anyway."""

    ballot: int
    seq: int
    value: bytes
    news: News
    done: Done


# --- learning --------------------------------------------------------------------------------------------------------


class Noted(Reply):
    """The news has arrived."""

    missing: list[int]
    done: Done


class Decide(Request[Noted]):
    """News for a peer to whom there is nothing else to say, and values that it misses."""

    news: News
    values: list[tuple[int, bytes]]
    done: Done


class Learned(Reply):
    """Decided instances and their values, without a gap from the first that was asked for, as far as they go."""

    values: list[tuple[int, bytes]]
    highest: int
    """The highest instance that the peer knows of."""
    done: Done


class Learn(Request[Learned]):
    """What is decided from instance `first` on?"""

    first: int
    done: Done
