"""What clerks say to masters, masters pass to each other, and everybody may ask a master about what it has."""

from typing import Literal

import msgspec

from common.protocol import NOBODY, Config, Done
from common.wire import Record, Reply, Request


class Op(Record):
    """What goes through the log. `seq` counts the operations of a client from 1."""

    kind: Literal["join", "leave", "move", "query"]
    client: int
    seq: int
    gid: int = NOBODY
    """The group that joins, leaves, or gets a shard."""
    servers: list[str] = msgspec.field(default_factory=list)
    """Those of a group that joins."""
    number: int = 0
    """The shard that moves, or the configuration that is wanted."""


class Found(Reply):
    """The configuration that was asked for."""

    config: Config


class Unknown(Reply):
    """This master has no configuration of that number yet: only those up to `newest`."""

    newest: int


class Execute(Request[Done | Found]):
    """Executes an operation once, however often it is asked, and wherever."""

    op: Op
    passed_on: bool = False
    """By a master, to the one that leads as far as it knows: whoever gets it sees to it itself."""


class GetConfig(Request[Found | Unknown]):
    """The configuration `num` if this master has it already; with -1, the newest that it has.

    It asks nobody else, so this costs no agreement, and a master that was cut off may not know the newest. What it
    knows is true for ever: a configuration never changes. So whoever asks for news asks another master every time.
    """

    num: int
