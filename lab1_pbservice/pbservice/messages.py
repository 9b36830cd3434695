"""What clerks say to the primary, and the primary to its backup."""

from common.protocol import Done, Value
from common.wire import Reply, Request

# --- clerk to primary ------------------------------------------------------------------------------------------------


class NotPrimary(Reply):
    """Nothing was done: I am not the primary, or not yet, or no longer. Ask the view service who is."""


class TooLong(Reply):
    """Nothing was done: the value would have more than `limit` characters."""

    limit: int


class Read(Request[Value | NotPrimary]):
    """The value of a key. It may be asked again: each time it gives the value of that moment."""

    key: str


class Write(Request[Done | TooLong | NotPrimary]):
    """Puts or appends `value`. `seq` counts the client's writes from 1; the same one again is executed once."""

    client: int
    seq: int
    key: str
    value: str
    append: bool


# --- primary to backup -----------------------------------------------------------------------------------------------


class NotBackup(Reply):
    """I am not the backup of the view that you speak of: the newest that I know has this number."""

    viewnum: int


class Accepted(Reply):
    """It has been done, now or before."""


class NotSynced(Reply):
    """I am the backup of this view, but what I have is not what you build on: send me everything."""


class Forward(Request[Accepted | NotSynced | NotBackup]):
    """The primary's next batch in this view, counted from 1. One without writes confirms that the view still stands."""

    viewnum: int
    batch: int
    writes: list[Write]


class Transfer(Request[Accepted | NotBackup]):
    """One part of all that the primary has after so many batches of this view."""

    viewnum: int
    batch: int
    part: int
    parts: int
    values: dict[str, str]
    newest: dict[int, int]
    """The duplicate table: the `seq` of each client's newest write, negative if it was too long."""
