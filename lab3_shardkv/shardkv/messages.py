"""What clerks say to groups, what groups say to each other, and what a group writes into its log."""

from typing import Final, Literal

from common.protocol import NOBODY, Config, Done, Value
from common.wire import Record, Reply, Request

Kind = Literal["get", "put", "append"]

# --- a group's log ---------------------------------------------------------------------------------------------------


class Op(Record, tag=True):
    """A clerk's operation. `seq` counts the operations of a client from 1, and stays the same at each try."""

    kind: Kind
    client: int
    seq: int
    key: str
    value: str


class NextConfig(Record, tag=True):
    """The configuration after the one that the group is in."""

    config: Config


class Begin(Record, tag=True):
    """The shard that the configuration `num` takes away goes to its new owner, who lives. There is no way back."""

    num: int
    shard: int


class Owner(Record):
    """Who has a shard by a configuration: a group with these servers, or `NOBODY`."""

    gid: int
    servers: list[str]

    def __str__(self) -> str:
        return f"group {self.gid}" if self.gid != NOBODY else "nobody"


class PassedOver(Record):
    """The configuration `num` gave the shard to somebody who did not get it, and perhaps still waits for it."""

    num: int
    to: Owner


class Part(Record, tag=True):
    """A piece of a shard, for the group that gets it in the configuration `num`."""

    num: int
    shard: int
    data: bytes
    """Values and duplicate table, in part: see `Group.cut`."""
    keys: int
    """How many keys the whole shard has."""
    clients: int
    """How many clients its duplicate table has."""
    passed_over: list[PassedOver]
    """Who is still to be told that the shard did not come: whoever has it has to."""


class Withdrawn(Record, tag=True):
    """The shard that the configuration `num` gives to this group does not come: a later one had other plans with it."""

    num: int
    shard: int


class Forget(Record, tag=True):
    """Whoever was to get, or not to get, the shard of the configuration `num` knows: for certain, and for ever."""

    num: int
    shard: int


Entry = Op | NextConfig | Begin | Part | Withdrawn | Forget

# --- clerks ----------------------------------------------------------------------------------------------------------

ELSEWHERE: Final = 0
"""A server that does not lead may answer who does."""
PASS_ON: Final = 1
"""A server that does not lead passes the operation to the one that does."""
HERE: Final = 2
"""The server proposes the operation itself, whoever leads."""


class TooLong(Reply):
    """Nothing was done: the value would have more than `limit` characters."""

    limit: int


class Leader(Reply):
    """Nothing was done: this server of the group is the one to ask."""

    server: str


class WrongGroup(Reply):
    """Nothing was done, and nothing is remembered: in the group's configuration `num` it does not serve the shard."""

    num: int


class Execute(Request[Value | Done | TooLong | Leader | WrongGroup]):
    """Executes an operation once, however often it is asked, and wherever."""

    op: Op
    route: int


# --- groups ----------------------------------------------------------------------------------------------------------
# The group that has a shard offers it to the group that is to have it, and gives it, piece by piece.


class NotYet(Reply):
    """As far as this server has got in its log, the group is not in that configuration yet."""


class Awaited(Reply):
    """The group is in that configuration, and it waits for the shard. More of it may come."""


class Settled(Reply):
    """The group has the whole shard, or has had it, or knows that it does not come. No server will say otherwise."""


class Offer(Request[NotYet | Awaited | Settled]):
    """The shard is the group `gid`'s from the configuration `num` on. Does it wait for it?"""

    gid: int
    num: int
    shard: int


class Give(Request[NotYet | Awaited | Settled | Leader]):
    """A piece of the shard, or the news that it does not come, for the log of the group `gid`."""

    gid: int
    piece: Part | Withdrawn
    here: bool
    """A server that does not lead proposes it all the same."""
