"""The contract of the labs: the messages and constants that everyone has to agree on.

The graded tests know these and nothing else. What a lab's servers say to each other, and what a clerk says to its
servers, is the lab's own affair and stands in that lab's `messages.py`.
"""

from typing import Final, Literal

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


# --- the tutorial: a counter -----------------------------------------------------------------------------------------


class Count(Reply):
    """What the counter shows."""

    value: int


class GetCount(Request[Count]):
    """What does it show? A server and a clerk both answer this."""


class Increment(Request[Count]):
    """Adds one, once. The reply is what the counter shows right after that. For a clerk, which tells its server."""


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
# A server of the key/value service may answer Max and Min, too: then `lab up` can show its instances.


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


# --- lab 3: the shard master -----------------------------------------------------------------------------------------
# A clerk of the shard master is a process too (role `masterclerk`), asked one thing at a time. A master itself answers
# `Min`, so that the tests can see that it forgets what is over.


DEFAULT_SHARDS: Final = 10
"""Shards, where the shard masters are not started with another number."""
NOBODY: Final = 0
"""Stands for the group that does not exist. Groups are numbered from 1."""


class Config(Record):
    """A configuration: which group has which shard, and which servers a group has.

    `shards[s]` is the group of shard s. Configuration 0 has no groups, and all its shards belong to `NOBODY`. Each
    change makes one more, whose number is one higher; what changes nothing makes none.
    """

    num: int
    shards: list[int]
    groups: dict[int, list[str]]


class Join(Request[Done]):
    """A group comes, with these servers, and gets its share. Nothing changes if the group is there already.

    As long as there are groups, every shard belongs to one, no group has two shards more than another, and as few
    shards as possible change hands.
    """

    gid: int
    servers: list[str]


class Leave(Request[Done]):
    """A group goes, and its shards get to the others. Nothing changes if the group is not there."""

    gid: int


class Move(Request[Done]):
    """A shard gets to a group. No other shard changes hands. Nothing changes if there is no such shard or group."""

    shard: int
    gid: int


class Query(Request[Config]):
    """The configuration of this number; the newest if `num` is -1 or higher than any.

    The newest is one that has all changes in it that were answered before it was asked for.
    """

    num: int


# --- lab 3: the sharded key/value service ----------------------------------------------------------------------------
# Its servers read the configurations from the masters, and give shards to each other. Nobody tells them to.


def shard_of(key: str, shards: int) -> int:
    """The shard of a key, of so many: by its first byte. The empty key is in shard 0."""
    return key.encode()[0] % shards if key else 0


class Shard(Record):
    """What a group has of a shard.

    serving: it executes operations on it. arriving: the shard is the group's by the configuration, but the data is not
    here yet. leaving: the shard is another's, and the data is kept until that one has it for certain; nothing is
    executed. gone: nothing of it is here.
    """

    shard: int
    state: Literal["serving", "arriving", "leaving", "gone"]
    since: int
    """The number of the configuration that brought about this state, or that it is to be finished for."""
    keys: int
    """Keys that are here."""


class Shards(Reply):
    """The state of every shard, in their order, in the configuration `num`."""

    num: int
    shards: list[Shard]


class GetShards(Request[Shards]):
    """What this server of a group has of each shard, as far as it has got in its log. It asks nobody else."""
