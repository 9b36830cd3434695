"""Mistakes, planted in the Paxos core one at a time: each a peer that breaks one rule of the protocol."""

from typing import Final

from lab2_kvpaxos.paxos.core import DECIDED, NO_BALLOT, Peer, make_ballot
from lab2_kvpaxos.paxos.messages import Abstained, Accept, Accepted, News, Prepare, Promise, Rejected


class AcceptsBelowThePromise(Peer):
    """The acceptor does not look at what it promised (P1a)."""

    def accept(self, ballot: int, seq: int, value: bytes) -> Accepted | Rejected | Abstained:
        if self.lives == 0 and ballot < self.promised and seq not in self.decided:
            self.accepted[seq] = (ballot, value)
            return Accepted([], self.done)
        return super().accept(ballot, seq, value)


class PromisesNothing(Peer):
    """The acceptor promises, and does not remember it."""

    def prepare(self, ballot: int, first: int) -> Promise | Rejected | Abstained:
        before = self.promised
        reply = super().prepare(ballot, first)
        if ballot != self.ballot:
            self.promised = before
        return reply


class ForgetsWhatItAccepted(Peer):
    """The acceptor does not say in its promise what it accepted."""

    def prepare(self, ballot: int, first: int) -> Promise | Rejected | Abstained:
        reply = super().prepare(ballot, first)
        if isinstance(reply, Promise):
            reply.accepted = [report for report in reply.accepted if report[1] == DECIDED]
        return reply


class AdoptsTheLowest(Peer):
    """The proposer takes what was accepted under the lowest ballot (P2c says: the highest)."""

    def promise_from(self, peer: int, ballot: int, promise: Promise) -> bool:
        if ballot != self.ballot or len(self.promises) >= self.quorum:
            return False
        known = dict(self.found)
        for seq, theirs, value in promise.accepted:
            if theirs < known.get(seq, (NO_BALLOT, b""))[0]:
                self.found[seq] = (theirs, value)
        unknown = [report for report in promise.accepted if report[0] not in known]
        return super().promise_from(peer, ballot, Promise(unknown, promise.upto, promise.done))


class AdoptsNothing(Peer):
    """The proposer proposes its own value, whatever the promises say."""

    def propose(self, seq: int) -> Accept | None:
        if seq in self.wanted:
            self.found.pop(seq, None)
        return super().propose(seq)


class HalfIsEnough(Peer):
    """A quorum of half."""

    def __init__(self, me: int, size: int, lives: int = 0) -> None:
        super().__init__(me, size, lives)
        self.quorum = size // 2


class CountsOldPromises(Peer):
    """The proposer takes a promise of an earlier round for one of this round."""

    def promise_from(self, peer: int, ballot: int, promise: Promise) -> bool:
        return super().promise_from(peer, self.ballot, promise)


class CountsOldVotes(Peer):
    """The proposer takes a vote for an earlier ballot for one of this ballot."""

    def vote_from(self, peer: int, ballot: int, seq: int) -> bool:
        return super().vote_from(peer, self.ballot, seq)


class BelievesAnyNews(Peer):
    """The learner takes whatever it accepted itself for what was decided."""

    def note(self, news: News) -> list[int]:
        return super().note([(seq, self.accepted.get(seq, (ballot, b""))[0]) for seq, ballot in news])


class SharesBallots(Peer):
    """Two peers have the same ballots."""

    def campaign(self) -> Prepare:
        me, self.me = self.me, 0
        prepare = super().campaign()
        self.me = me
        self.promises = {me if peer == 0 else peer for peer in self.promises}
        return prepare


class VotesWithoutMemory(Peer):
    """A peer that lost its memory votes as if nothing had happened."""

    def prepare(self, ballot: int, first: int) -> Promise | Rejected | Abstained:
        lives, self.lives = self.lives, 0
        reply = super().prepare(ballot, first)
        self.lives = lives
        return reply

    def accept(self, ballot: int, seq: int, value: bytes) -> Accepted | Rejected | Abstained:
        lives, self.lives = self.lives, 0
        reply = super().accept(ballot, seq, value)
        self.lives = lives
        return reply


class RepeatsItsBallots(Peer):
    """A peer that lost its memory begins again with the ballots of its former life."""

    def campaign(self) -> Prepare:
        promised = self.promised
        prepare = super().campaign()
        if self.lives:
            self.ballot = prepare.ballot = make_ballot(prepare.ballot >> 24, 0, self.me)
            self.promised = max(promised, self.ballot)
        return prepare


MISTAKES: Final[dict[type[Peer], str]] = {
    AcceptsBelowThePromise: "two proposers",
    PromisesNothing: "two proposers",
    ForgetsWhatItAccepted: "two proposers",
    AdoptsTheLowest: "two proposers, one tries again",
    AdoptsNothing: "two proposers",
    HalfIsEnough: "two proposers",
    CountsOldPromises: "two proposers, one tries again",
    CountsOldVotes: "two proposers, one tries again",
    BelievesAnyNews: "two proposers",
    SharesBallots: "two proposers",
    VotesWithoutMemory: "a voter loses its memory",
    RepeatsItsBallots: "a proposer loses its memory",
}
"""Each with the scenario in which it shows."""
