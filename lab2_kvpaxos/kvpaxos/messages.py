"""What clerks say to servers, and servers pass to each other."""

from typing import Final, Literal

from common.protocol import Done, Value
from common.wire import Record, Reply, Request

ELSEWHERE: Final = 0
"""A server that does not lead may answer who does."""
PASS_ON: Final = 1
"""A server that does not lead passes the operation to the one that does."""
HERE: Final = 2
"""The server proposes the operation itself, whoever leads."""


class Op(Record):
    """What goes through the log. `seq` counts the operations of a client from 1."""

    kind: Literal["get", "put", "append"]
    client: int
    seq: int
    key: str
    value: str


class TooLong(Reply):
    """Nothing was done: the value would have more than `limit` characters."""

    limit: int


class Leader(Reply):
    """Nothing was done: this server is the one to ask."""

    server: str


class Execute(Request[Value | Done | TooLong | Leader]):
    """Executes an operation once, however often it is asked, and wherever."""

    op: Op
    route: int
