"""The server: it has the counter, and remembers what it has told each client."""

from common.host import Host
from common.protocol import Count, GetCount
from counter.messages import Add


class Server:
    """One counter on its host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.value = 0
        self.answers: dict[int, tuple[int, int]] = {}
        """For each client, the number of its newest request, and what the counter showed after it."""

    async def run(self) -> None:
        """Serves for ever."""
        await self.host.serve({GetCount: self.get_count, Add: self.add})

    def get_count(self, request: GetCount) -> Count:
        """What the counter shows."""
        return Count(self.value)

    def add(self, request: Add) -> Count:
        """Adds one, unless this very request, or a later one of the same client, has been here before."""
        newest, answer = self.answers.get(request.client, (0, 0))
        if request.number > newest:
            self.value += 1
            answer = self.value
            self.answers[request.client] = request.number, answer
        return Count(answer)
