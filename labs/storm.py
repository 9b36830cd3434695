"""A storm: faults drawn from the seed, one upon the other. What survives it has little left to fear from a network."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from random import Random
from typing import Any, Final

from labs.cluster import Cluster
from labs.faults import Faults

DEATH_WITHIN: Final = 2.0
"""Seconds between the first sign of a server's death and its being known to be dead, at most."""
LULL: Final = (0.02, 0.3)
"""Seconds between two blows, at least and at most."""
PAUSE: Final = (0.1, 1.2)
"""Seconds for which a server is paused."""


Blow = list[Any]
"""What happens at one moment, as JSON has it: a word, and whom or what it concerns. Empty: nothing happens."""


class Storm:
    """What befalls some servers of a test: re-partitions, one-way cuts, loss, duplicates, delays, pauses, deaths.

    How often each of them comes is drawn from the seed, too, so that some storms are all of one kind. Of each group of
    servers a majority is alive and awake at every moment; links fail within groups and between them.
    """

    def __init__(self, cluster: Cluster, *groups: Sequence[str], deaths: int = 0, slowness: float = 1.0) -> None:
        self.cluster = cluster
        self.groups = [list(group) for group in groups]
        self.servers = [name for group in self.groups for name in group]
        self.deaths = deaths
        """Servers that die, and not more than all the groups together can do without."""
        self.slowness = slowness
        """By how much longer than usual it is from one blow to the next."""
        self.random = Random(f"storm {cluster.seed}")
        self._asleep: dict[str, float] = {}
        """Paused servers, and when they wake."""
        blows = [self._partition, self._cut, self._heal, self._weather, self._pause]
        self._odds: dict[Callable[[], Blow], float] = {blow: self.random.random() ** 2 for blow in blows}
        self._deaths: list[float] = []
        """When the next servers die."""

    @property
    def survivors(self) -> list[str]:
        """The servers that were not killed."""
        return [name for name in self.servers if self.cluster.running(name)]

    async def rage(self, seconds: float) -> None:
        """Lasts so long. Then everything heals and wakes, and only the dead stay dead."""
        mix = ", ".join(f"{blow.__name__.strip('_')} {odds:.2f}" for blow, odds in self._odds.items())
        print(f"storm: {mix}, {self.deaths} deaths")
        self.cluster.record("note", "", text=f"storm: {mix}, {self.deaths} deaths")
        end = self.cluster.now() + seconds
        self._deaths = sorted(end - self.random.uniform(0.0, seconds) for _ in range(self.deaths))
        while self.cluster.now() < end:
            self._wake(until=self.cluster.now())
            blow: Blow = self.cluster.choose("storm", self._draw, [])
            if blow:
                await self._strike(*blow)
            await self.cluster.sleep(self.slowness * self.random.uniform(*LULL))
        self._wake(until=float("inf"))
        for name in self.servers:
            self.cluster.untap(name)
        self.cluster.heal()

    # --- blows -------------------------------------------------------------------------------------------------------

    async def _strike(self, what: str, *whom: Any) -> None:
        """Does what was drawn. Where blows before it have been left out, it may have no meaning any more."""
        cluster = self.cluster
        cluster.record("note", "", text=" ".join(["storm:", what, *map(str, whom)]))
        if what == "partition":
            cluster.partition(*whom)
        elif what == "cut":
            cluster.cut(*whom)
        elif what == "weather":
            for name in self.servers:
                cluster.tap(name, Faults(**whom[0]))
        elif what == "pause" and whom[0] in self._dispensable():
            name, seconds = whom
            self._asleep[name] = cluster.now() + seconds
            cluster.pause(name)
        elif what == "kill" and cluster.running(whom[0]):
            if whom[0] not in self._dispensable():
                self._wake(until=float("inf"))
            await cluster.kill(whom[0])

    def _draw(self) -> Blow:
        if self._deaths and self._deaths[0] <= self.cluster.now():
            self._deaths.pop(0)
            return self._kill()
        return self.random.choices(list(self._odds), list(self._odds.values()))[0]()

    def _partition(self) -> Blow:
        groups: list[list[str]] = [[], [], []]
        for name in self.servers:
            self.random.choice(groups).append(name)
        return ["partition", *groups]

    def _cut(self) -> Blow:
        return ["cut", *self.random.sample(self.servers, 2)]

    def _heal(self) -> Blow:
        return ["partition", self.servers]

    def _weather(self) -> Blow:
        random = self.random
        faults = Faults(
            request_lost=random.uniform(0.0, 0.3),
            reply_lost=random.uniform(0.0, 0.3),
            duplicate=random.uniform(0.0, 0.3),
            reorder=random.uniform(0.0, 0.5),
            delay=random.choice([0.0, 0.0, random.uniform(0.0, 0.03)]),
        )
        return ["weather", asdict(faults)]

    def _pause(self) -> Blow:
        dispensable = self._dispensable()
        return ["pause", self.random.choice(dispensable), self.random.uniform(*PAUSE)] if dispensable else []

    def _kill(self) -> Blow:
        if not self._dispensable():
            self._wake(until=float("inf"))
        return ["kill", self.random.choice(self._dispensable())]

    def _dispensable(self) -> list[str]:
        """The servers without any one of which a majority of its group is still alive and awake."""
        dispensable: list[str] = []
        for group in self.groups:
            awake = [name for name in group if self.cluster.running(name) and name not in self._asleep]
            if len(awake) - 1 > len(group) // 2:
                dispensable += awake
        return dispensable

    def _wake(self, until: float) -> None:
        for name in [name for name, wakes in self._asleep.items() if wakes <= until]:
            del self._asleep[name]
            self.cluster.resume(name)


async def expect_dead(cluster: Cluster, name: str, asked: str) -> None:
    """A server that did not answer what it was asked by the harness itself must have been killed."""
    await cluster.until(
        lambda: not cluster.running(name), DEATH_WITHIN, f"{name} to be dead, since it did not answer {asked}"
    )
