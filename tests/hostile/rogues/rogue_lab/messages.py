"""What the rogue is asked to do."""

from common.wire import Request


class Hello(Request[str]):
    """Its name."""


class Call(Request[str]):
    """Says hello to `to` as an honest server does: over the link. What came of it."""

    to: str


class Dial(Request[str]):
    """Connects to a port and says hello there, whether a link leads there or not. What came of it.

    `blocking` waits for the connection as programs without an event loop do.
    """

    port: int
    blocking: bool = False


class Redial(Request[str]):
    """Says hello on the connection that the last `Dial` made, and kept."""


class Tamper(Request[None]):
    """Puts something at this name in its own folder: a folder, a link, a pipe, a lie, or an endless file."""

    name: str
    what: str
    text: str = ""
