"""The Paxos library: one peer on its host, with the course's interface.

It carries the core's messages and decides nothing. A proposal goes to each peer until it is decided or refused; a
refused proposer waits a random while and campaigns anew, until what it wants is decided, by whomever. Decisions are
told along with the next proposal, or a moment later if there is none, and again until each peer has heard of them.
As long as a bare majority answers promptly, the others are not asked, and get what was decided every few milliseconds.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from common.host import CallFailed, Handlers, Host
from lab2_kvpaxos.paxos.core import Peer, owner
from lab2_kvpaxos.paxos.messages import (
    Abstained,
    Accept,
    Accepted,
    Decide,
    Learn,
    Learned,
    Noted,
    Prepare,
    Promise,
    Rejected,
)

PEER_TIMEOUT: Final = 0.5
"""Seconds that a peer has to answer before it is asked again."""
FIRST_PAUSE: Final = 0.005
LAST_PAUSE: Final = 0.1
"""Seconds between two tries on average, at first and after many."""
NEWS_DELAY: Final = 0.005
"""Seconds that the news of a decision waits for a proposal to travel with."""
MAX_NEWS: Final = 1000
"""Decisions told in one message."""
PATIENCE: Final = 0.01
"""Seconds that those who are asked alone have to answer, twice at most, before everybody is asked."""
MAX_ON_THE_WAY: Final = 64
"""Proposals that may wait for one peer's answer. A peer who is slower hears of the decisions later."""
RECENTLY: Final = 0.05
"""Seconds for which another's proposal counts as a sign that it is at work, and may finish ours too."""


class Fate(Enum):
    """What a peer knows of an instance."""

    DECIDED = "decided"
    PENDING = "pending"
    FORGOTTEN = "forgotten"


class Paxos:
    """One peer among `peers`, of which one has its host's name. Its host has to serve `handlers`."""

    def __init__(self, host: Host, peers: Sequence[str], on_decided: Callable[[], None] = lambda: None) -> None:
        self.host = host
        self.peers = list(peers)
        self.core = Peer(self.peers.index(host.name), len(self.peers), host.lives)
        self.handlers: Handlers = {
            Prepare: self._prepare,
            Accept: self._accept,
            Decide: self._decide,
            Learn: self._learn,
        }
        self._on_decided = on_decided
        self._others = [peer for peer in range(len(self.peers)) if peer != self.core.me]
        self._on_the_way = [0] * len(self.peers)
        self._telling: set[int] = set()
        self._watching = False
        self._heard_of_another = float("-inf")
        self._wake = asyncio.Event()
        host.spawn(self._drive(), name="propose")

    # --- the course's interface --------------------------------------------------------------------------------------

    def start(self, seq: int, value: bytes) -> None:
        """Proposes `value` for the instance `seq`, and returns at once. Ignored if it is decided or forgotten."""
        accept = self.core.start(seq, value)
        if accept is not None:
            self._propose(accept)
        if self.core.needs_campaign:
            self._wake.set()

    def status(self, seq: int) -> tuple[Fate, bytes | None]:
        """What this peer itself knows of the instance, with its value if it is decided."""
        if seq < self.core.minimum:
            return Fate.FORGOTTEN, None
        value = self.core.decided.get(seq)
        return (Fate.PENDING, None) if value is None else (Fate.DECIDED, value)

    def done(self, seq: int) -> None:
        """The application here needs no instance up to and including `seq` any more."""
        self.core.done_up_to(seq)

    def max(self) -> int:
        """The highest instance that this peer knows of, -1 if none."""
        return self.core.highest

    def min(self) -> int:
        """One more than the lowest instance up to which any peer is done. All before it is forgotten."""
        return self.core.minimum

    # --- beyond the course's interface -------------------------------------------------------------------------------

    @property
    def leader(self) -> str | None:
        """Who was the last that is known to propose: the one to ask if there is a choice. Perhaps it is dead."""
        return self.peers[owner(self.core.promised)] if self.core.promised else None

    async def learn_from(self, peer: str, first: int) -> Learned | None:
        """Asks a peer for the decisions from instance `first` on, and takes them in. None if it does not answer."""
        try:
            reply = await self.host.call(peer, Learn(first, self.core.done), timeout=PEER_TIMEOUT)
        except CallFailed:
            return None
        self.core.merge_done(reply.done)
        for seq, value in reply.values:
            self.core.learn(seq, value)
        self.core.highest = max(self.core.highest, reply.highest)
        self._after()
        return reply

    # --- phase 1 -----------------------------------------------------------------------------------------------------

    async def _drive(self) -> None:
        """Campaigns whenever something is wanted where this peer may not propose."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            pause = FIRST_PAUSE
            while self.core.needs_campaign:
                if self.host.now() - self._heard_of_another < RECENTLY:
                    await self.host.sleep(RECENTLY * (0.5 + 0.5 * self.host.random.random()))
                    if not self.core.needs_campaign:
                        break
                await self._campaign()
                if self.core.needs_campaign:
                    await self.host.sleep(2 * pause * self.host.random.random())
                    pause = min(2 * pause, LAST_PAUSE)

    async def _campaign(self) -> None:
        """One round of phase 1. Ends when it is won, lost, or everybody has answered or failed to."""
        prepare = self.core.campaign()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        left = len(self._others)

        async def ask(peer: int) -> None:
            nonlocal left
            try:
                reply = await self.host.call(self.peers[peer], prepare, timeout=PEER_TIMEOUT)
            except CallFailed:
                pass
            else:
                self.core.merge_done(reply.done)
                if isinstance(reply, Promise) and self.core.promise_from(peer, prepare.ballot, reply):
                    self._lead()
                elif isinstance(reply, Rejected):
                    self.core.saw(reply.promised)
            left -= 1
            if not over.done() and (left == 0 or self.core.leads or self.core.promised > prepare.ballot):
                over.set_result(None)

        if self.core.leads:  # a single peer is a majority
            self._lead()
            return
        for peer in self._others:
            self.host.spawn(ask(peer))
        if self._others:
            await over

    def _lead(self) -> None:
        for accept in self.core.due():
            self._propose(accept)
        self._after()

    def _prepare(self, request: Prepare) -> Promise | Rejected | Abstained:
        self.core.merge_done(request.done)
        reply = self.core.prepare(request.ballot, request.first)
        self._another_is_at_work(request.ballot)
        return reply

    def _another_is_at_work(self, ballot: int) -> None:
        if ballot == self.core.promised:
            self._heard_of_another = self.host.now()
        if self.core.needs_campaign:
            self._wake.set()

    # --- phase 2 -----------------------------------------------------------------------------------------------------

    def _propose(self, accept: Accept) -> None:
        for peer in self.core.ask(accept.seq):
            self.host.spawn(self._ask_to_accept(peer, accept))
        if self.core.spared and not self._watching:
            self._watching = True
            self.host.spawn(self._watch())
        self._after()

    async def _watch(self) -> None:
        """Asks everybody where those who were asked alone take too long."""
        while self.core.spared:
            before = list(self.core.spared)
            await self.host.sleep(PATIENCE * (0.5 + 0.5 * self.host.random.random()))
            for seq in before:
                self._ask_the_others(seq)
        self._watching = False

    def _ask_the_others(self, seq: int) -> None:
        if seq in self.core.spared:
            accept = Accept(self.core.ballot, seq, self.core.values[seq], [], self.core.done)
            for peer in self.core.ask_the_others(seq):
                self.host.spawn(self._ask_to_accept(peer, accept))

    async def _ask_to_accept(self, peer: int, accept: Accept) -> None:
        """Sends a proposal to a peer until it answers, or the proposal is decided or given up."""
        pause = FIRST_PAUSE
        while self.core.is_proposing(accept.ballot, accept.seq):
            if self._on_the_way[peer] < MAX_ON_THE_WAY and await self._asked_to_accept(peer, accept):
                return
            self._ask_the_others(accept.seq)
            await self.host.sleep(2 * pause * self.host.random.random())
            pause = min(2 * pause, LAST_PAUSE)

    async def _asked_to_accept(self, peer: int, accept: Accept) -> bool:
        news = self.core.take_news(peer, MAX_NEWS)
        request = Accept(accept.ballot, accept.seq, accept.value, news, self.core.done)
        self._on_the_way[peer] += 1
        try:
            reply = await self.host.call(self.peers[peer], request, timeout=PEER_TIMEOUT)
        except CallFailed:
            self.core.give_back(peer, news)
            self._after()  # this may have been the last proposal that could carry them
            return False
        finally:
            self._on_the_way[peer] -= 1
        self.core.merge_done(reply.done)
        if isinstance(reply, Accepted):
            self.core.owe(peer, reply.missing)
            self.core.vote_from(peer, accept.ballot, accept.seq)
        else:
            self.core.give_back(peer, news)
            self._ask_the_others(accept.seq)
        if isinstance(reply, Rejected):
            self.core.saw(reply.promised)
            if self.core.needs_campaign:
                self._wake.set()
        self._after()
        return True

    def _accept(self, request: Accept) -> Accepted | Rejected | Abstained:
        self.core.merge_done(request.done)
        missing = self.core.note(request.news)
        reply = self.core.accept(request.ballot, request.seq, request.value)
        self._another_is_at_work(request.ballot)
        self._after()
        return Accepted(missing, self.core.done) if isinstance(reply, Accepted) else reply

    # --- decisions ---------------------------------------------------------------------------------------------------

    def _after(self) -> None:
        """Says what is newly decided to the application here, and sees to it that the others hear of it."""
        if self.core.fresh:
            self.core.fresh.clear()
            self._on_decided()
        for peer in self._others:
            if peer not in self._telling and (self.core.news[peer] or self.core.owed[peer]):
                self._telling.add(peer)
                self.host.spawn(self._tell(peer))

    async def _tell(self, peer: int) -> None:
        """Tells a peer what no proposal has told it in the meantime, until it has heard. Who is deaf gets no values."""
        pause = NEWS_DELAY
        await self.host.sleep(NEWS_DELAY)
        while self.core.news[peer] or self.core.owed[peer]:
            news = self.core.take_news(peer, MAX_NEWS)
            values = self.core.take_owed(peer, MAX_NEWS) if pause == NEWS_DELAY else []
            try:
                reply = await self.host.call(
                    self.peers[peer], Decide(news, values, self.core.done), timeout=PEER_TIMEOUT
                )
            except CallFailed:
                self.core.give_back(peer, news)
                self.core.owe(peer, (seq for seq, _ in values))
                pause = min(2 * pause, LAST_PAUSE)
                await self.host.sleep(pause * (0.25 + 0.5 * self.host.random.random()))
            else:
                self.core.merge_done(reply.done)
                self.core.owe(peer, reply.missing)
                pause = NEWS_DELAY
                await self.host.sleep(NEWS_DELAY)  # with what is decided meanwhile
        self._telling.discard(peer)

    def _decide(self, request: Decide) -> Noted:
        self.core.merge_done(request.done)
        for seq, value in request.values:
            self.core.learn(seq, value)
        missing = self.core.note(request.news)
        self._heard_of_another = self.host.now()
        self._after()
        return Noted(missing, self.core.done)

    def _learn(self, request: Learn) -> Learned:
        self.core.merge_done(request.done)
        return self.core.decided_from(request.first)
