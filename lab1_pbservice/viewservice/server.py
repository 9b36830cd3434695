"""The view server: it answers Pings, and makes the core's ticks."""

from common.host import Host, every
from common.protocol import PING_INTERVAL, GetView, Ping, View
from lab1_pbservice.viewservice.core import TICKS_PER_PING, ViewService


class ViewServer:
    """One view service on its host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.service = ViewService()
        self._logged = self.service.view

    async def run(self) -> None:
        """Serves for ever."""
        await self.host.serve({Ping: self.ping, GetView: self.get_view})
        await every(self.host, PING_INTERVAL / TICKS_PER_PING, self.tick)

    def ping(self, request: Ping) -> View:
        """A server reports."""
        view = self.service.ping(request.me, request.viewnum)
        self._log_change()
        return view

    def get_view(self, request: GetView) -> View:
        """A clerk asks."""
        return self.service.view

    def tick(self) -> None:
        """Time goes by."""
        self.service.tick()
        self._log_change()

    def _log_change(self) -> None:
        if self._logged != self.service.view:
            view = self._logged = self.service.view
            self.host.log(f"view {view.viewnum}: primary {view.primary}, backup {view.backup or 'none'}")
