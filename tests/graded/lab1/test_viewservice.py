"""The view service. Its servers, ck1 to ck4, are played by the test: they send Pings and do nothing else.

A Ping that the test itself sends late, because the machine is busy, would look like a death. So each scenario notes
how long it kept its servers silent, and one that fails after such a gap is played again on a fresh view server.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from common.protocol import DEAD_PINGS, PING_INTERVAL, GetView, Ping, View
from labs.cluster import Cluster
from labs.grading import Inconclusive, expect_equal, graded

SUITE = "viewservice"

ATTEMPTS: Final = 3
LONGEST_GAP: Final = 0.35
"""Seconds between two Pings of a living server. A view server that counts its ticks may take 0.4 s for a death."""
ROUNDS: Final = 20
"""Intervals in which something has to happen, where being late is not the point. The original gave it 10."""
QUIET_ROUNDS: Final = 10
"""Intervals in which something must not happen: twice what it takes to notice a death."""
NEWEST: Final = -1
"""In place of a view number: the newest that this server was told (0 if it has just started), as a real server does."""


class Players:
    """Servers that only ping, the view server that they ping, and all that it told them."""

    def __init__(self, cluster: Cluster, viewserver: str) -> None:
        self.cluster = cluster
        self.viewserver = viewserver
        self.longest_gap = 0.0
        """The longest time for which a server meant to be alive may have seemed silent."""
        self.waits = 0
        self.late = 0.0
        """How many times the test has waited, and seconds by which these waits were too long, in sum."""
        self.views: list[View] = []
        """Each view that was seen, in the order in which they came."""
        self._sent: dict[str, float] = {}
        self._told: dict[str, int] = {}

    async def ping(self, me: str, viewnum: int) -> View:
        """One Ping. Gives the view in the reply."""
        sent = self.cluster.now()
        if viewnum == NEWEST:
            viewnum = self._told.get(me, 0)
        view = self._seen(await self.cluster.call(self.viewserver, Ping(me, viewnum)))
        self.longest_gap = max(self.longest_gap, self.cluster.now() - self._sent.get(me, sent))
        self._sent[me] = sent
        self._told[me] = view.viewnum
        return view

    async def view(self) -> View:
        """The current view, without being alive for it."""
        return self._seen(await self.cluster.call(self.viewserver, GetView()))

    def _seen(self, view: View) -> View:
        if not self.views or self.views[-1] != view:
            self.views.append(view)
        return view

    async def wait(self, seconds: float) -> None:
        """Waits, and notes how late the machine lets one go on."""
        began = self.cluster.now()
        await self.cluster.sleep(seconds)
        self.waits += 1
        self.late += self.cluster.now() - began - seconds

    def silence(self, *names: str) -> None:
        """These servers have died: they ping no more, and if they come back, then knowing nothing."""
        for name in names:
            self._sent.pop(name, None)
            self._told.pop(name, None)

    async def rounds(
        self, numbers: Mapping[str, int], until: Callable[[View], bool] | None = None, count: int = ROUNDS
    ) -> View:
        """In each interval all these servers ping their numbers. Ends when a view pleases. Gives the newest view."""
        view = await self.view()
        for _ in range(count):
            for me, number in numbers.items():
                await self.ping(me, number)
            view = await self.view()
            if until is not None and until(view):
                break
            await self.wait(PING_INTERVAL)
        return view

    async def reach(self, numbers: Mapping[str, int], primary: str, backup: str) -> View:
        """Rounds of Pings until a view with this primary and backup has come. Gives it, when both have pinged it."""
        view = await self.rounds(numbers, lambda view: (view.primary, view.backup) == (primary, backup))
        if (view.primary, view.backup) != (primary, backup):
            raise AssertionError(
                f"could not reach the starting state: expected a view with primary {primary!r} and backup {backup!r} "
                f"after {ROUNDS} rounds of Pings by {', '.join(numbers)}, got {view}"
            )
        for me in (primary, backup):
            if me:
                await self.ping(me, view.viewnum)
        return view

    async def pair(self) -> View:
        """A view with primary ck1 and backup ck2, acknowledged."""
        await self.reach({"ck1": NEWEST}, "ck1", "")
        return await self.reach({"ck1": NEWEST, "ck2": NEWEST}, "ck1", "ck2")


Scenario = Callable[[Players], Awaitable[None]]


async def play(cluster: Cluster, scenario: Scenario, exact: bool = False) -> None:
    """Plays a scenario on a fresh view server, again if it failed after a gap that was our own fault.

    An exact scenario measures times, which any part of a busy machine can spoil: it passes if one attempt does.
    """
    for attempt in range(1, ATTEMPTS + 1):
        players = Players(cluster, f"vs-{attempt}")
        await cluster.start("viewserver", players.viewserver)
        try:
            await scenario(players)
            return
        except Inconclusive:
            if attempt == ATTEMPTS:
                raise
        except AssertionError as failure:
            gap = players.longest_gap
            if attempt == ATTEMPTS and gap > LONGEST_GAP:
                raise Inconclusive(
                    f"the test itself kept a living server silent for {gap:.2f} s: {failure}"
                ) from failure
            if attempt == ATTEMPTS or not (exact or gap > LONGEST_GAP):
                raise
        await cluster.kill(players.viewserver)


def differs(view: View) -> Callable[[View], bool]:
    """Whether a view is another one than this."""
    return lambda other: other.viewnum != view.viewnum


def expect_view(came: View, expected: View, hint: str) -> None:
    """The view has to be exactly this one."""
    expect_equal("GetView()", came, expected, hint)


# --- the nine of 2015 ------------------------------------------------------------------------------------------------


@graded(part="A", points=2, within=20.0)
async def test_first_primary(cluster: Cluster) -> None:
    """First primary.

    ck1 pings. Catches: no primary is ever chosen, or the first view has another number than 1.
    """

    async def scenario(players: Players) -> None:
        expect_equal("GetView() before any Ping", await players.view(), View(0, "", ""))
        view = await players.rounds({"ck1": 0}, lambda view: view.primary == "ck1")
        expect_view(view, View(1, "ck1", ""), "the first server to ping becomes primary of view 1")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_first_backup(cluster: Cluster) -> None:
    """First backup.

    ck1 is primary, then ck2 pings, too. Catches: an idle server is not recruited, or the number jumps.
    """

    async def scenario(players: Players) -> None:
        before = await players.reach({"ck1": 0}, "ck1", "")
        view = await players.rounds({"ck1": before.viewnum, "ck2": 0}, lambda view: view.backup == "ck2")
        expect_view(view, View(before.viewnum + 1, "ck1", "ck2"), "an idle server becomes backup where there is none")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_backup_takes_over(cluster: Cluster) -> None:
    """Backup takes over if primary fails.

    The primary falls silent. Catches: no death is ever noticed, or the dead primary is kept as backup.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        players.silence("ck1")
        view = await players.rounds({"ck2": before.viewnum}, lambda view: view.primary == "ck2" and not view.backup)
        expect_view(view, View(before.viewnum + 1, "ck2", ""), f"ck1 sent no Ping for more than {DEAD_PINGS} intervals")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_restarted_server_becomes_backup(cluster: Cluster) -> None:
    """Restarted server becomes backup.

    ck1 dies as primary and comes back. Catches: a server that was dead once is ignored.
    """

    async def scenario(players: Players) -> None:
        view = await players.pair()
        players.silence("ck1")
        before = await players.reach({"ck2": view.viewnum}, "ck2", "")
        view = await players.rounds({"ck1": 0, "ck2": before.viewnum}, lambda view: view.backup == "ck1")
        expect_view(view, View(before.viewnum + 1, "ck2", "ck1"), "ck1 pings again, so it is alive and idle")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_idle_server_becomes_backup(cluster: Cluster) -> None:
    """Idle third server becomes backup if primary fails.

    ck3 is idle when the primary falls silent. One view after another may bring this about, as in the original.
    Catches: idle servers are forgotten.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        await players.rounds({"ck1": before.viewnum, "ck2": before.viewnum, "ck3": 0}, count=2)
        players.silence("ck1")
        wanted = ("ck2", "ck3")
        view = await players.rounds({"ck3": 0, "ck2": NEWEST}, lambda view: (view.primary, view.backup) == wanted)
        expect_equal("GetView()", (view.primary, view.backup), wanted, "ck3 was alive and idle when ck1 died")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_restarted_primary_is_dead(cluster: Cluster) -> None:
    """Restarted primary treated as dead.

    The primary says Ping(0). Catches: Ping(0) of the primary counted as a sign of life.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        view = await players.rounds({"ck1": 0, "ck2": before.viewnum}, lambda view: view.primary != "ck1")
        expect_equal("GetView().primary", view.primary, "ck2", "ck1 has restarted, so only ck2 still has the data")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_dead_backup_is_removed(cluster: Cluster) -> None:
    """Dead backup is removed from view.

    The backup falls silent, and nobody can take its place. Catches: it stays in the view.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        players.silence("ck2")
        view = await players.rounds({"ck1": NEWEST}, lambda view: not view.backup)
        expect_view(view, View(before.viewnum + 1, "ck1", ""), f"ck2 sent no Ping for more than {DEAD_PINGS} intervals")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_waits_for_acknowledgement(cluster: Cluster) -> None:
    """Viewserver waits for primary to ack view.

    A new view comes, and its primary falls silent without having acknowledged it, while the backup pings the new
    number. Catches: the view moves on without the acknowledgement, or takes the backup's Ping for one.
    """

    async def scenario(players: Players) -> None:
        before = await players.reach({"ck1": 0}, "ck1", "")
        view = await players.rounds({"ck1": before.viewnum, "ck2": 0}, differs(before))
        expect_view(view, View(before.viewnum + 1, "ck1", "ck2"), "an idle server becomes backup where there is none")
        players.silence("ck1")
        after = await players.rounds({"ck2": view.viewnum}, differs(view), count=QUIET_ROUNDS)
        expect_view(after, view, f"ck1 is dead, but never sent Ping({view.viewnum}), so the view has to stay")

    await play(cluster, scenario)


@graded(part="A", points=2, within=20.0)
async def test_uninitialised_server_is_no_primary(cluster: Cluster) -> None:
    """Uninitialized server can't become primary.

    Primary and backup fall silent together; ck3, which was never in a view, goes on. Catches: ck3, which has no
    data, becomes primary.
    """

    async def scenario(players: Players) -> None:
        await players.pair()
        await players.rounds({"ck1": NEWEST, "ck2": NEWEST, "ck3": 0}, count=QUIET_ROUNDS // 2)
        players.silence("ck1", "ck2")
        view = await players.rounds({"ck3": 0}, lambda view: view.primary == "ck3", count=QUIET_ROUNDS)
        if view.primary == "ck3":
            raise AssertionError(f"GetView() gave {view}, but ck3 was never primary or backup: it has none of the data")

    await play(cluster, scenario)


# --- what the suite of 2015 let through ------------------------------------------------------------------------------

A_TICK: Final = PING_INTERVAL * 1.5
"""Seconds in which a view server that looks at its servers once an interval has done so, though its clock drifts."""


@graded(part="A+", points=1, within=30.0)
async def test_one_tick_is_enough(cluster: Cluster) -> None:
    """One Ping and one interval are enough.

    After a single Ping of each the next view has to be there within one tick: first primary, first backup, and a
    server that comes back. Catches: a view server that needs several Pings or ticks for one decision.
    """

    async def scenario(players: Players) -> None:
        await players.ping("ck1", 0)
        await cluster.sleep(A_TICK)
        expect_view(await players.view(), View(1, "ck1", ""), "one tick after ck1's first Ping")
        await players.ping("ck1", 1)
        await players.ping("ck2", 0)
        await cluster.sleep(A_TICK)
        expect_view(await players.view(), View(2, "ck1", "ck2"), "one tick after ck2's first Ping")
        await players.ping("ck1", 2)
        players.silence("ck1")
        view = await players.rounds({"ck2": 2}, lambda view: view.primary == "ck2")
        await players.ping("ck2", view.viewnum)
        await players.ping("ck1", 0)
        await cluster.sleep(A_TICK)
        expect_view(await players.view(), View(4, "ck2", "ck1"), "one tick after ck1 came back")

    await play(cluster, scenario, exact=True)


WAITS: Final = 2 * (DEAD_PINGS + 1)
"""So many times a view server may have waited until it notices a death: twice an interval, if it looks so often."""


@graded(part="A+", points=1, within=30.0)
async def test_death_after_five_intervals(cluster: Cluster) -> None:
    """A silent server is dead after five intervals, no earlier and no later.

    Measures the time from the last Ping of the primary to the view without it. It has to lie between 0.4 s (a tick
    that comes at once counts as a whole interval) and 0.6 s (one interval until somebody looks). On a busy machine each
    wait of the view server may take too long, as the test's own do, and then it cannot be told. Catches: deaths noticed
    after three intervals, or after eight.
    """
    earliest, latest = (DEAD_PINGS - 1) * PING_INTERVAL, (DEAD_PINGS + 1) * PING_INTERVAL + PING_INTERVAL / 2

    async def scenario(players: Players) -> None:
        before = await players.pair()
        last_sent = cluster.now()
        await players.ping("ck1", before.viewnum)
        last_arrived = cluster.now()
        players.silence("ck1")
        asked = last_arrived
        for look in range(500):
            if look % 5 == 0:
                await players.ping("ck2", before.viewnum)
            previously_asked, asked = asked, cluster.now()
            if (await players.view()).viewnum != before.viewnum:
                break
            await players.wait(PING_INTERVAL / 10)
        # The death was noticed between the last look that saw the old view and the first that saw the new one.
        at_most, at_least = cluster.now() - last_sent, previously_asked - last_arrived
        if at_most < earliest:
            raise AssertionError(f"ck1 was dead {at_most:.3f} s after its last Ping, expected {earliest:.2f} s or more")
        if at_least > latest:
            what = f"ck1 was not dead {at_least:.3f} s after its last Ping, expected it by {latest:.2f} s"
            late = players.late / players.waits
            if at_least <= latest + WAITS * late:
                raise Inconclusive(
                    f"{what}; but the test's own waits were {late:.3f} s too long each, as may be the view server's"
                )
            raise AssertionError(what)

    await play(cluster, scenario, exact=True)


@graded(part="A+", points=1, within=20.0)
async def test_promotion_and_recruiting_in_one_view(cluster: Cluster) -> None:
    """The new primary and the new backup come in one view.

    ck3 has been idle while the view was full; then the primary falls silent. The first view that comes must have
    ck2 as primary and ck3 as backup. Catches: Pings of idle servers ignored while the view is full; fail-over and
    recruiting in two views, between which the data exists once.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        await players.rounds({"ck1": before.viewnum, "ck2": before.viewnum, "ck3": 0}, count=3)
        players.silence("ck1")
        view = await players.rounds({"ck2": before.viewnum, "ck3": 0}, differs(before))
        expect_view(view, View(before.viewnum + 1, "ck2", "ck3"), "ck3 was alive and idle when ck1 died")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_restarted_primary_becomes_backup_at_once(cluster: Cluster) -> None:
    """A restarted primary becomes backup in the same view.

    The primary says Ping(0). The first view that comes must have it as backup: it is alive, and has no data.
    Catches: a restarted primary that keeps its role, or is left out of the view until it pings again.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        view = await players.rounds({"ck1": 0, "ck2": before.viewnum}, differs(before))
        expect_view(view, View(before.viewnum + 1, "ck2", "ck1"), "ck1 said Ping(0): it has restarted, and is idle now")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_restarted_backup_is_announced(cluster: Cluster) -> None:
    """A restarted backup is announced by a new view.

    The backup says Ping(0): it has no data any more, and the primary only learns that from a new view. Catches: a
    restarted backup that is taken to be initialised, and later promoted without data.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        await players.ping("ck2", 0)
        alive = {"ck1": NEWEST, "ck2": NEWEST}
        view = await players.rounds(alive, lambda view: view.viewnum > before.viewnum and view.backup == "ck2")
        expect_equal("GetView()", (view.primary, view.backup), ("ck1", "ck2"), "ck2 has restarted, and is alive")
        if view.viewnum == before.viewnum:
            raise AssertionError(f"GetView() still gave {view} though ck2 said Ping(0): it needs the data again")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_restarted_lone_primary(cluster: Cluster) -> None:
    """Nobody takes the place of a lone primary that restarts.

    ck1 was alone, restarts, dies, and restarts again, while ck2 is idle. What ck1 had is gone, but ck2 never had it.
    Catches: a view that becomes empty, and after it a fresh start with whoever pings.
    """

    async def scenario(players: Players) -> None:
        await players.reach({"ck1": 0}, "ck1", "")
        await players.ping("ck1", 0)
        players.silence("ck1")
        await players.rounds({"ck2": 0}, count=QUIET_ROUNDS)
        await players.rounds({"ck1": 0, "ck2": 0}, count=QUIET_ROUNDS // 2)
        never_primary(players, "ck2")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_dead_lone_primary(cluster: Cluster) -> None:
    """Nobody takes the place of a lone primary that dies.

    ck2 comes when ck1 has been dead for long. Catches: an idle server promoted where there is no backup.
    """

    async def scenario(players: Players) -> None:
        await players.reach({"ck1": 0}, "ck1", "")
        players.silence("ck1")
        await cluster.sleep(QUIET_ROUNDS * PING_INTERVAL)
        await players.rounds({"ck2": NEWEST}, count=QUIET_ROUNDS)
        never_primary(players, "ck2")

    await play(cluster, scenario)


def never_primary(players: Players, name: str) -> None:
    """No view may have had this primary."""
    for view in players.views:
        if view.primary == name:
            raise AssertionError(f"GetView() gave {view}, but {name} never had the data: it must not become primary")


@graded(part="A+", points=1, within=20.0)
async def test_first_view_waits_too(cluster: Cluster) -> None:
    """The very first view waits for its acknowledgement, too.

    ck1 becomes primary of view 1, never says Ping(1), and dies, while ck2 is idle. View 1 has to stay for ever.
    Catches: an exception for view 1.
    """

    async def scenario(players: Players) -> None:
        view = await players.rounds({"ck1": 0}, lambda view: view.primary == "ck1")
        expect_view(view, View(1, "ck1", ""), "the first server to ping becomes primary of view 1")
        players.silence("ck1")
        after = await players.rounds({"ck2": 0}, differs(view), count=QUIET_ROUNDS)
        expect_view(after, view, "ck1 is dead, but never sent Ping(1), so view 1 has to stay")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_old_number_is_no_acknowledgement(cluster: Cluster) -> None:
    """Only the primary's Ping with the current number acknowledges a view.

    The primary goes on with the number of the view before, and its backup dies: the view has to stay. With the
    right number, the dead backup leaves. Catches: any Ping of the primary taken for an acknowledgement.
    """

    async def scenario(players: Players) -> None:
        before = await players.reach({"ck1": 0}, "ck1", "")
        view = await players.rounds({"ck1": before.viewnum, "ck2": 0}, differs(before))
        expect_view(view, View(before.viewnum + 1, "ck1", "ck2"), "an idle server becomes backup where there is none")
        players.silence("ck2")
        after = await players.rounds({"ck1": before.viewnum}, differs(view), count=QUIET_ROUNDS)
        expect_view(after, view, f"ck1 only sent Ping({before.viewnum}): it has not acknowledged view {view.viewnum}")
        after = await players.rounds({"ck1": view.viewnum}, differs(view))
        expect_view(after, View(view.viewnum + 1, "ck1", ""), f"ck1 sent Ping({view.viewnum}), and ck2 is dead")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_dead_idle_server_is_not_recruited(cluster: Cluster) -> None:
    """A dead server is not recruited.

    Two servers are idle, one of them dies, and later the backup does. The other idle server has to become backup.
    Catches: idle servers that are remembered for ever.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        alive = {"ck1": before.viewnum, "ck2": before.viewnum}
        await players.rounds({**alive, "ck3": 0, "ck4": 0}, count=3)
        players.silence("ck3")
        await players.rounds({**alive, "ck4": 0}, count=QUIET_ROUNDS)
        players.silence("ck2")
        view = await players.rounds({"ck1": before.viewnum, "ck4": 0}, differs(before))
        expect_view(view, View(before.viewnum + 1, "ck1", "ck4"), "ck2 and ck3 are dead, ck4 is alive and idle")

    await play(cluster, scenario)


@graded(part="A+", points=1, within=20.0)
async def test_views_are_stable(cluster: Cluster) -> None:
    """Nothing changes while everybody pings.

    Primary, backup and an idle server ping for three times the time of a death. Catches: views that change without
    a cause, such as an idle server's Ping(0) or a backup that says an older number than the current one.
    """

    async def scenario(players: Players) -> None:
        before = await players.pair()
        numbers = {"ck1": before.viewnum, "ck2": before.viewnum - 1, "ck3": 0}
        view = await players.rounds(numbers, differs(before), count=3 * DEAD_PINGS)
        expect_view(view, before, "all three servers are alive, and none of the two in the view has restarted")

    await play(cluster, scenario)


class Lives:
    """Servers that come, fall silent, come back and restart at random, so that the data is never lost.

    A server of the view loses its memory only while the other has the data and pings, and then that one is spared until
    a next view is acknowledged. So whatever happened, the view service can always go on when all are back.
    """

    def __init__(self, players: Players, names: Sequence[str]) -> None:
        self.players = players
        self.random = players.cluster.random
        self.known: dict[str, int | None] = dict.fromkeys(names, 0)
        """What each server pings: the newest number that it was told. None: it is dead."""
        self.silent: set[str] = set()
        """Those that nobody hears, though they live."""
        self.acknowledged = {0}
        self._has_data: dict[str, int] = {}
        """For which view a server has the data, and says so in every interval."""
        self._mourned = -1
        """The view in which a server of it lost its memory."""

    @property
    def view(self) -> View:
        """The newest that anybody saw."""
        return self.players.views[-1]

    def draw(self) -> list[str]:
        """What happens next, and to whom."""
        if self.random.random() < 0.4:
            return []
        return [self.random.choice(["silence", "silence", "die", "restart"]), self.random.choice(list(self.known))]

    def strike(self, what: str, name: str) -> None:
        """It happens, unless it would leave nobody with the data. Who is silent or dead comes back instead."""
        if name in self.silent:
            self.silent.discard(name)
        elif self.known[name] is None:
            self.known[name] = 0
        elif self._is_dispensable(name, forgets=what != "silence"):
            self.players.silence(name)
            self._has_data.pop(name, None)
            if what == "silence":
                self.silent.add(name)
            else:
                self.known[name] = None if what == "die" else 0
                if name in (self.view.primary, self.view.backup):
                    self._mourned = self.view.viewnum

    def _is_dispensable(self, name: str, forgets: bool) -> bool:
        view = self.view
        if name not in (view.primary, view.backup):
            return True
        if self._mourned >= max(self.acknowledged):
            return False
        other = view.backup if name == view.primary else view.primary
        return not forgets or (view.viewnum in self.acknowledged and self._has_data.get(other) == view.viewnum)

    async def ping(self) -> None:
        """All that live and can be heard ping what they know."""
        for name, number in self.known.items():
            if number is not None and name not in self.silent:
                if number == self.view.viewnum and name == self.view.primary:
                    self.acknowledged.add(number)
                view = await self.players.ping(name, number)
                if number == view.viewnum and number in self.acknowledged and name in (view.primary, view.backup):
                    self._has_data[name] = number
                self.known[name] = view.viewnum

    def recover(self) -> None:
        """Everybody is back."""
        self.silent.clear()
        self.known = {name: number or 0 for name, number in self.known.items()}


@graded(part="A+", points=1, within=60.0)
async def test_random_lives(cluster: Cluster) -> None:
    """Each view follows from the one before, and in the end there are a primary and a backup.

    Four servers come, restart, and fall silent at random, so that the data is never lost; then all of them recover.
    Catches: whatever breaks the rules of succession: numbers go up by one, a view is left only when its primary has
    acknowledged it, and the next primary was one of its two. Catches too: a view service that is stuck for ever.
    """

    async def scenario(players: Players) -> None:
        await players.view()
        lives = Lives(players, ["ck1", "ck2", "ck3", "ck4"])
        for _ in range(40):
            blow: list[str] = cluster.choose("lives", lives.draw, [])
            if blow:
                lives.strike(*blow)
            await lives.ping()
            await cluster.sleep(PING_INTERVAL)
        views = len(players.views)
        lives.recover()
        for _ in range(ROUNDS):
            await lives.ping()
            await cluster.sleep(PING_INTERVAL)
        for earlier, later in pairwise(players.views):
            check_succession(earlier, later, lives.acknowledged)
        view = await players.view()
        if not (view.primary and view.backup and view.viewnum in lives.acknowledged):
            raise AssertionError(
                f"GetView() gave {view} when all of {', '.join(lives.known)} had been alive for {ROUNDS} intervals: "
                f"expected a primary and a backup, since one that had all the data was alive at every moment"
            )
        replaced = sum(later.primary == earlier.backup != "" for earlier, later in pairwise(players.views))
        cluster.sometimes("a backup takes its primary's place", replaced > 0)
        cluster.sometimes("a view changes when all have recovered", len(players.views) > views)
        cluster.sometimes("five views come and go", players.views[-1].viewnum > 5)

    await play(cluster, scenario)


def check_succession(earlier: View, later: View, acknowledged: set[int]) -> None:
    """One view may only be followed by certain others."""
    said = f"{earlier} was followed by {later}"
    expect_equal(f"{said}: its number", later.viewnum, earlier.viewnum + 1, "views are numbered without gaps")
    if earlier.viewnum not in acknowledged:
        raise AssertionError(f"{said}, but {earlier.primary} never sent Ping({earlier.viewnum}) to acknowledge it")
    if earlier.viewnum and (not later.primary or later.primary not in (earlier.primary, earlier.backup)):
        raise AssertionError(f"{said}, but nobody else than {earlier.primary} and {earlier.backup!r} can have the data")
    if later.primary == later.backup:
        raise AssertionError(f"{said}: one server cannot be both")
