"""What a clerk says to its server. See common/protocol.py for what others say to both."""

from common.protocol import Count
from common.wire import Request


class Add(Request[Count]):
    """Adds one for this client. `number` counts its requests from 1; the same one again adds nothing."""

    client: int
    number: int
