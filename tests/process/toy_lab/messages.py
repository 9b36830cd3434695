"""What the toy servers are asked."""

from common.wire import Request


class Echo(Request[str]):
    """The same text back, after so many seconds."""

    text: str
    seconds: float = 0.0


class Add(Request[int]):
    """Adds a number to the sum, and gives the new sum."""

    number: int


class Numbers(Request[list[int]]):
    """The numbers that were added, in the order in which they came."""


class Send(Request[list[str]]):
    """Asks `to` to add all these numbers, side by side. Gives what came of each: the reply, or why there is none."""

    to: str
    numbers: list[int]
    timeout: float = 60.0


class Lend(Request[str]):
    """Locks itself up, and then asks `to` to do the same (nobody, if `to` is empty)."""

    to: str = ""


class Spin(Request[None]):
    """The handler never gives the loop back."""


class Flood(Request[None]):
    """Writes so many lines of a thousand characters."""

    lines: int


class Crash(Request[None]):
    """The handler makes a mistake."""


class Leave(Request[int]):
    """Leaves a daemon behind: its own session, orphaned, deaf to SIGTERM. Gives its process id."""
