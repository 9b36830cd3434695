"""The view service decides who is primary and who is backup, and numbers its decisions.

A view may only be followed by another once its primary has acknowledged it, by a Ping with its number; a primary does
so when its backup has a copy of the data. The backup becomes primary only if its own newest Ping had the view's
number too: it says by that number that the copy has arrived. So whoever is promoted has all the data there is. The
price is taken on purpose: if those who have the data are gone, the service stays where it is, and waits for them.
"""

from dataclasses import dataclass

from common.protocol import DEAD_PINGS, View

TICKS_PER_PING = 4
"""Ticks in one ping interval: a silent server is taken for dead a quarter of an interval early at most."""
DEAD_TICKS = DEAD_PINGS * TICKS_PER_PING


@dataclass(slots=True)
class Server:
    """What the service knows of one server that is alive."""

    joined: int
    """It was the how-manieth to come: who waits longest is recruited first."""
    viewnum: int = 0
    """Of its newest Ping."""
    silent_ticks: int = 0


class ViewService:
    """The current view, and the servers that could be in the next.

    Time is counted in ticks, of which the owner makes `TICKS_PER_PING` in every ping interval. A service that was
    itself held up has missed ticks as well as Pings, so it does not take the whole world for dead.
    """

    def __init__(self) -> None:
        self.view = View(0, "", "")
        self.acknowledged = True  # nobody has to acknowledge view 0
        self._primary_restarted = False
        self._backup_restarted = False
        self._servers: dict[str, Server] = {}
        self._joined = 0

    def ping(self, me: str, viewnum: int) -> View:
        """A server is alive and knows this view (0: none, it has just started). Gives the current view."""
        server = self._servers.get(me)
        if server is None:
            server = self._servers[me] = Server(self._next_place())
        server.silent_ticks = 0
        server.viewnum = viewnum
        if viewnum == 0:
            self._says_it_restarted(me, server)
        elif me == self.view.primary and viewnum == self.view.viewnum and not self._primary_restarted:
            self.acknowledged = True
        self._advance()
        return self.view

    def tick(self) -> None:
        """A quarter of a ping interval went by."""
        for name, server in list(self._servers.items()):
            server.silent_ticks += 1
            if server.silent_ticks >= DEAD_TICKS:
                del self._servers[name]
        self._advance()

    def _next_place(self) -> int:
        self._joined += 1
        return self._joined

    def _says_it_restarted(self, me: str, server: Server) -> None:
        """A member of the view has nothing (any more). While its view is new, it may just say its first Ping again."""
        if me == self.view.primary and (self.acknowledged or self.view.viewnum > 1):
            self._primary_restarted = True
            server.joined = self._next_place()
        elif me == self.view.backup and self.acknowledged:
            self._backup_restarted = True
            server.joined = self._next_place()

    def _advance(self) -> None:
        """Moves on if there is cause and the view is acknowledged: promotion and recruiting in one step."""
        if not self.acknowledged:
            return
        viewnum, primary, backup = self.view.viewnum, self.view.primary, self.view.backup
        if viewnum == 0:
            primary = self._longest_waiting("")
            backup = self._longest_waiting(primary)
        elif primary in self._servers and not self._primary_restarted:
            if backup not in self._servers or self._backup_restarted:
                backup = self._longest_waiting(primary)
        elif backup in self._servers and self._servers[backup].viewnum == viewnum:
            primary = backup
            backup = self._longest_waiting(primary)
        elif not (self._primary_restarted and not backup):
            return  # whoever has the data is silent: wait for one of them to come back
        # A lone primary that restarted gets this far too: the same view under a new number, which it can tell from
        # the one in which it had all the data, and can never acknowledge.
        changed = (primary, backup) != (self.view.primary, self.view.backup)
        if changed or self._primary_restarted or self._backup_restarted:
            self.view = View(viewnum + 1, primary, backup)
            self.acknowledged = False
            self._primary_restarted = self._backup_restarted = False

    def _longest_waiting(self, chosen: str) -> str:
        """The server alive that came first, other than the one already chosen, or nobody."""
        waiting = {server.joined: name for name, server in self._servers.items() if name != chosen}
        return waiting[min(waiting)] if waiting else ""
