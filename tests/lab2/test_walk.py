"""Long random walks: three to five peers, many instances at once, every kind of trouble, and then peace.

The exploration in `explore.py` sees every order of a few messages; a walk sees few orders of very many. When it is over
the network delivers again, and everything that is wanted has to be decided, and everybody has to know it.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

from lab2_kvpaxos.paxos.core import Peer
from tests.lab2 import planted
from tests.lab2.world import Lines, World

WALKS: Final = 50
STEPS: Final = 1500
AHEAD: Final = 2
"""How far beyond the highest instance that it knows of a peer may propose."""
KEPT: Final = 40
"""Steps of the trace that a failure shows."""

ODDS: Final = {
    "deliver": 40,
    "duplicate": 6,
    "lose": 6,
    "start": 10,
    "campaign": 10,
    "tell": 1,
    "resend": 2,
    "widen": 2,
    "ask": 2,
    "done": 3,
    "cut": 0.3,
    "heal": 0.6,
    "restart": 0.3,
}

OFTEN_MET: Final = (
    *(planted.AcceptsBelowThePromise, planted.PromisesNothing, planted.ForgetsWhatItAccepted, planted.AdoptsNothing),
    *(planted.HalfIsEnough, planted.SharesBallots, planted.VotesWithoutMemory),
)
"""Mistakes that show in many orders. The others take so special a one that the exploration is the place for them."""


class Walk:
    """One walk. It is the same for the same seed."""

    def __init__(self, seed: int, peer_type: Callable[[int, int, int], Peer] = Peer) -> None:
        self.random = Random(seed)
        self.size = 3 + seed % 3
        self.world = World(self.size, peer_type)
        self.restarts_left = (self.size - 1) // 2
        """A majority has to remember."""
        self.trace: Lines = []

    def steps(self, count: int) -> None:
        """Does so many things at random."""
        for verb in self.random.choices(list(ODDS), list(ODDS.values()), k=count):
            self.trace += self._do(verb)
            check_forgotten(self.world)

    def _do(self, verb: str) -> Lines:
        world, random = self.world, self.random
        me = random.randrange(self.size)
        peer = world.peers[me]
        match verb:
            case "deliver" | "duplicate" | "lose":
                if not world.under_way:
                    return []
                message = random.choice(world.under_way)
                if verb != "duplicate":
                    world.under_way.remove(message)
                return world.lose(message) if verb == "lose" else world.deliver(message)
            case "start":
                seq = random.randint(peer.minimum, max(peer.minimum, peer.highest) + AHEAD)
                value = f"{me}.{random.randrange(1000)}"
                return [f"p{me} wants {seq} = {value!r}", *world.start(me, seq, value.encode())]
            case "campaign":
                return [f"p{me} campaigns", *world.campaign(me)] if peer.needs_campaign else []
            case "tell" | "resend" | "widen":
                lines: Lines = getattr(world, verb)(me)
                return lines
            case "ask":
                return world.ask(
                    me, random.choice([other for other in range(self.size) if other != me]), peer.undecided()
                )
            case "done":
                seq = random.randint(-1, peer.undecided() - 1)
                return [f"p{me} is done up to {seq}", *world.done(me, seq)]
            case "cut":
                world.cuts.add((me, random.randrange(self.size)))
            case "heal":
                world.cuts.clear()
            case "restart" if self.restarts_left:
                self.restarts_left -= peer.lives == 0
                return world.restart(me)
        return []

    def peace(self) -> None:
        """Nothing is lost any more, and peers do what they do: fill holes, campaign in turn, tell, and ask."""
        world = self.world
        world.cuts.clear()
        for message in world.under_way:
            self.trace += world.lose(message)
        world.under_way.clear()
        for _ in range(2):
            for me, peer in enumerate(world.peers):
                for seq in range(peer.undecided(), peer.highest):
                    self.trace += world.start(me, seq, b"nothing")
                if peer.needs_campaign:
                    self.trace += [f"p{me} campaigns", *world.campaign(me)]
                self.trace += world.widen(me)
                self._deliver_all()
                for other in range(self.size):
                    if other != me:
                        self.trace += world.ask(me, other, peer.undecided())
                for _ in range(2):  # what happened, and then the values that are missing
                    self.trace += world.tell(me)
                    self._deliver_all()

    def _deliver_all(self) -> None:
        while self.world.under_way:
            self.trace += self.world.deliver(self.world.under_way.pop(0))


def check_forgotten(world: World) -> None:
    """Nothing below Min is in any table."""
    for peer in world.peers:
        tables: tuple[dict[int, Any], ...] = (
            peer.accepted,
            peer.decided,
            peer.wanted,
            peer.found,
            peer.values,
            peer.votes,
            peer.spared,
            *peer.news,
            *peer.owed,
        )
        kept = {seq for table in tables for seq in table if seq < peer.minimum}
        assert not kept, f"p{peer.me} has not forgotten {sorted(kept)}, before its Min {peer.minimum}"


def walk(seed: int, peer_type: Callable[[int, int, int], Peer] = Peer, steps: int = STEPS) -> Walk:
    """A walk, and the peace after it. Raises `AssertionError` if something is wrong, with the end of the trace."""
    walk = Walk(seed, peer_type)
    try:
        walk.steps(steps)
        walk.peace()
    except AssertionError as error:
        trace = "\n".join(walk.trace[-KEPT:])
        raise AssertionError(f"walk {seed}: {error}\n{trace}") from error
    return walk


@pytest.mark.parametrize("seed", range(WALKS))
def test_peers_agree_and_in_peace_everything_is_decided(seed: int) -> None:
    world = walk(seed).world
    for peer in world.peers:
        assert not peer.wanted, f"walk {seed}: p{peer.me} still wants {sorted(peer.wanted)}"
        assert peer.minimum == world.peers[0].minimum
        assert peer.decided == {seq: value for seq, value in world.decided.items() if seq >= peer.minimum}
    assert len(world.decided) > 3, "expected a walk in which something happens"


@pytest.mark.parametrize("mistake", OFTEN_MET, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_met(mistake: type[Peer]) -> None:
    def walks() -> None:
        for seed in range(300):
            walk(seed, mistake)

    with pytest.raises(AssertionError, match="walk"):
        walks()
