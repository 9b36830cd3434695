"""One Paxos peer, as pure decisions: acceptor, proposer and learner of any number of instances.

Each instance is decided by the protocol of "Paxos Made Simple" (Lamport 2001), section 2. What differs is only how
much of it has to be said:

* A ballot is promised for *all* instances at once (section 3). A peer whose ballot a majority has promised is the
  distinguished proposer: it has been told of everything that was accepted in any instance from `first` on, and goes
  straight to phase 2 there. It loses that right when it hears of a higher ballot, and safely so, because acceptors
  then refuse its own. Promising more than one instance needs is never wrong: it only refuses more.
* In an instance for which the promises reported something accepted, it proposes what was accepted under the highest
  of these ballots (P2c); in any other, whatever it likes.
* Ballots are unique and grow: round, then how often the peer had lived before, then the peer. A decision counts as
  accepted under a ballot above all others, since no other value can follow it.
* That an instance is decided travels with the next message. Only (instance, ballot) is said: who accepted a value
  under that ballot has that very value, since a ballot proposes one value only; who has not, asks for it.
* Nothing says that all have to be asked to accept. While a bare majority answers promptly, nobody else is; the others
  get the values of decided instances, many in one message. Whom a proposer asks is a matter of speed alone, since a
  decision needs a majority's votes whoever they are: to ask one peer less is as if its message were lost.

A peer that lost its memory does not know what it promised, so it abstains for ever: it proposes and learns, but it
does not vote, not even for itself. To the others it is a dead acceptor, as it was.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from lab2_kvpaxos.paxos.messages import (
    Abstained,
    Accept,
    Accepted,
    Learned,
    News,
    Prepare,
    Promise,
    Rejected,
)

NO_BALLOT: Final = 0
DECIDED: Final = 2**62
"""Stands for the ballot of a decision: higher than any real one."""
EVERYTHING: Final = 2**62
"""Higher than any instance."""
MAX_REPORT: Final = 8_000_000
"""Bytes of values in one Promise or Learned, unless the first value alone is longer."""


def make_ballot(turn: int, lives: int, peer: int) -> int:
    """The ballot of a peer (0 to 255) that lived `lives` times before (up to 65,535), in its round `turn`."""
    return turn << 24 | lives << 8 | peer


def owner(ballot: int) -> int:
    """Whose ballot it is."""
    return ballot & 0xFF


class Peer:
    """What one peer of `size` knows. It is peer `me`, and lived `lives` times before, of which it knows nothing."""

    def __init__(self, me: int, size: int, lives: int = 0) -> None:
        self.me = me
        self.size = size
        self.quorum = size // 2 + 1
        self.lives = lives
        # acceptor
        self.promised = NO_BALLOT
        """The highest ballot that was ever seen, which is the one promised."""
        self.accepted: dict[int, tuple[int, bytes]] = {}
        # learner
        self.decided: dict[int, bytes] = {}
        self.fresh: list[int] = []
        """Decisions that the owner has not been told of."""
        self.highest = -1
        self.done = [-1] * size
        self.minimum = 0
        self._undecided = 0
        # proposer
        self.wanted: dict[int, bytes] = {}
        """What the application proposed, in instances that are not decided here."""
        self.ballot = NO_BALLOT
        self.first = 0
        self.limit = EVERYTHING
        """The promises cover the instances from `first` on, and their reports those below `limit`."""
        self.promises: set[int] = set()
        self.found: dict[int, tuple[int, bytes]] = {}
        """What the promises reported, and still has to be proposed again."""
        self.values: dict[int, bytes] = {}
        """What is proposed under `ballot` and not decided yet."""
        self.votes: dict[int, set[int]] = {}
        self.prompt: set[int] = set()
        """Peers whose votes made the last decision here, and are asked alone the next time. None: ask everybody."""
        self.spared: dict[int, set[int]] = {}
        """For instances that are proposed the peers who were not asked."""
        self.news: list[dict[int, int]] = [{} for _ in range(size)]
        """For each peer the decisions that it has to hear of from us: instance and ballot."""
        self.owed: list[dict[int, None]] = [{} for _ in range(size)]
        """For each peer the decided instances whose values it has to get from us."""

    # --- the application's side --------------------------------------------------------------------------------------

    def start(self, seq: int, value: bytes) -> Accept | None:
        """Wants `value` in an instance. Gives what to send if this peer is its distinguished proposer."""
        if seq < self.minimum or seq in self.decided or seq in self.wanted:
            return None
        self.highest = max(self.highest, seq)
        self.wanted[seq] = value
        return self.propose(seq)

    def done_up_to(self, seq: int) -> None:
        """The application here needs no instance up to `seq` any more."""
        self.merge_done([seq if peer == self.me else -1 for peer in range(self.size)])

    def merge_done(self, done: list[int]) -> None:
        """Takes in what another peer knows of who is done, and forgets what nobody needs."""
        if done == self.done or len(done) != self.size:
            return
        self.done = list(map(max, done, self.done))
        old, minimum = self.minimum, min(self.done) + 1
        if minimum > old:
            self.minimum = minimum
            self._undecided = max(self._undecided, minimum)
            for table in (*self._undecided_tables(), self.decided, *self.news, *self.owed):
                if minimum - old < len(table):  # the usual case: little of much is over
                    for seq in range(old, minimum):
                        table.pop(seq, None)
                elif table:
                    for seq in [seq for seq in table if seq < minimum]:
                        del table[seq]

    # --- acceptor ----------------------------------------------------------------------------------------------------

    def prepare(self, ballot: int, first: int) -> Promise | Rejected | Abstained:
        """Phase 1b."""
        if self.lives:
            self.promised = max(self.promised, ballot)
            return Abstained(self.done)
        if ballot < self.promised:
            return Rejected(self.promised, self.done)
        self.promised = ballot
        return self._report(first)

    def _report(self, first: int) -> Promise:
        report: list[tuple[int, int, bytes]] = []
        size = 0
        for seq in sorted(seq for seq in (*self.accepted, *self.decided) if seq >= first):
            if size >= MAX_REPORT:
                return Promise(report, seq, self.done)
            ballot, value = (DECIDED, self.decided[seq]) if seq in self.decided else self.accepted[seq]
            report.append((seq, ballot, value))
            size += len(value)
        return Promise(report, EVERYTHING, self.done)

    def accept(self, ballot: int, seq: int, value: bytes) -> Accepted | Rejected | Abstained:
        """Phase 2b."""
        self.highest = max(self.highest, seq)
        if self.lives:
            self.promised = max(self.promised, ballot)
            return Abstained(self.done)
        if ballot < self.promised:
            return Rejected(self.promised, self.done)
        self.promised = ballot
        # A decision that was only heard of leaves the promise as low as it was. Then an old proposal of another value
        # may still come, and to accept it is right and useless: its ballot is below the one that decided.
        if seq >= self.minimum and seq not in self.decided:
            self.accepted[seq] = (ballot, value)
        return Accepted([], self.done)

    # --- proposer ----------------------------------------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """It is the distinguished proposer, as far as it knows."""
        return len(self.promises) >= self.quorum and self.promised == self.ballot

    def covers(self, seq: int) -> bool:
        """It may propose in this instance without phase 1."""
        return self.leads and self.first <= seq < self.limit

    @property
    def needs_campaign(self) -> bool:
        """There is something to propose where it may not."""
        return not all(self.covers(seq) for seq in self.wanted)

    def campaign(self) -> Prepare:
        """Begins phase 1 under a new ballot, for all that is not decided here. Gives what to send."""
        self.ballot = make_ballot((max(self.promised, self.ballot) >> 24) + 1, self.lives, self.me)
        self.first, self.limit = self.undecided(), EVERYTHING
        self.promises, self.found, self.values, self.votes = set(), {}, {}, {}
        self.prompt, self.spared = set(), {}
        own = self.prepare(self.ballot, self.first)
        if isinstance(own, Promise):
            self.promise_from(self.me, self.ballot, own)
        return Prepare(self.ballot, self.first, self.done)

    def promise_from(self, peer: int, ballot: int, promise: Promise) -> bool:
        """A promise has come. Gives whether it makes this peer the distinguished proposer."""
        if ballot != self.ballot or len(self.promises) >= self.quorum:
            return False
        self.promises.add(peer)
        self.limit = min(self.limit, promise.upto)
        for seq, theirs, value in promise.accepted:
            if seq >= self.minimum and theirs > self.found.get(seq, (NO_BALLOT, b""))[0]:
                self.found[seq] = (theirs, value)
        if len(self.promises) < self.quorum:
            return False
        for seq in [seq for seq, (theirs, _) in self.found.items() if theirs == DECIDED]:
            self.learn(seq, self.found[seq][1], DECIDED)
        return self.leads

    def due(self) -> list[Accept]:
        """All that it has to propose now that it leads: what the promises reported, and what is wanted."""
        accepts = [self.propose(seq) for seq in sorted({*self.found, *self.wanted})]
        return [accept for accept in accepts if accept is not None]

    def propose(self, seq: int) -> Accept | None:
        """Proposes in an instance, if it may and has not done so. Gives what to send."""
        if seq in self.values or seq in self.decided or seq < self.minimum or not self.covers(seq):
            return None
        value = self.values[seq] = self.found[seq][1] if seq in self.found else self.wanted[seq]
        self.found.pop(seq, None)
        self.votes[seq] = set()
        if isinstance(self.accept(self.ballot, seq, value), Accepted):
            self.vote_from(self.me, self.ballot, seq)
        return Accept(self.ballot, seq, value, [], self.done)

    def ask(self, seq: int) -> list[int]:
        """Whom to ask for votes at first."""
        others = [peer for peer in range(self.size) if peer != self.me]
        asked = [peer for peer in others if peer in self.prompt] or others
        if len(asked) < len(others) and seq in self.values:
            self.spared[seq] = {*others} - {*asked}
        return asked

    def ask_the_others(self, seq: int) -> list[int]:
        """Whom to ask, too, since those who were asked first do not answer. They are not relied on any more."""
        self.prompt = set()
        return sorted(self.spared.pop(seq, ()))

    def is_proposing(self, ballot: int, seq: int) -> bool:
        """The proposal still stands and wants votes."""
        return ballot == self.ballot and seq in self.values and self.promised == ballot

    def vote_from(self, peer: int, ballot: int, seq: int) -> bool:
        """A peer has accepted our proposal. Gives whether that decides it."""
        if ballot != self.ballot or seq not in self.votes:
            return False
        self.votes[seq].add(peer)
        if len(self.votes[seq]) < self.quorum:
            return False
        self.prompt = self.votes[seq] - {self.me}
        self.learn(seq, self.values[seq], ballot)
        return True

    def saw(self, ballot: int) -> None:
        """Somebody has promised this ballot."""
        self.promised = max(self.promised, ballot)  # ours, if lower, is lost: see `leads`

    # --- learner -----------------------------------------------------------------------------------------------------

    def undecided(self) -> int:
        """The first instance that is neither decided here nor forgotten."""
        while self._undecided in self.decided:
            self._undecided += 1
        return self._undecided

    def _undecided_tables(self) -> tuple[dict[int, Any], ...]:
        return self.accepted, self.wanted, self.found, self.values, self.votes, self.spared

    def learn(self, seq: int, value: bytes, ballot: int = NO_BALLOT) -> None:
        """An instance is decided. With the ballot under which it was, the others hear of it from us."""
        if seq < self.minimum or seq in self.decided:
            assert self.decided.get(seq, value) == value, f"instance {seq} was decided twice, differently"
            return
        self.decided[seq] = value
        self.fresh.append(seq)
        self.highest = max(self.highest, seq)
        spared = self.spared.get(seq, ())
        for table in self._undecided_tables():
            table.pop(seq, None)
        if ballot != NO_BALLOT:
            for peer, news in enumerate(self.news):
                if peer in spared:
                    self.owed[peer][seq] = None
                elif peer != self.me:
                    news[seq] = ballot

    def take_news(self, peer: int, most: int) -> News:
        """What a peer has to hear of. If it does not hear of it, give it back."""
        news = self.news[peer]
        taken = list(islice(news.items(), most))
        for seq, _ in taken:
            del news[seq]
        return taken

    def give_back(self, peer: int, news: News) -> None:
        """The peer did not get these news."""
        self.news[peer].update((seq, ballot) for seq, ballot in news if seq >= self.minimum)

    def owe(self, peer: int, seqs: Iterable[int]) -> None:
        """The peer has to get the values of these decided instances."""
        self.owed[peer].update((seq, None) for seq in seqs if seq >= self.minimum)

    def take_owed(self, peer: int, most: int) -> list[tuple[int, bytes]]:
        """Values that a peer misses. If they do not arrive, they are owed again."""
        taken: list[tuple[int, bytes]] = []
        size = 0
        for seq in sorted(islice(self.owed[peer], most)):
            if size >= MAX_REPORT:
                break
            del self.owed[peer][seq]
            if seq in self.decided:
                taken.append((seq, self.decided[seq]))
                size += len(self.decided[seq])
        return taken

    def note(self, news: News) -> list[int]:
        """Takes in that instances are decided. Gives those whose values are not known here."""
        missing = []
        for seq, ballot in news:
            self.highest = max(self.highest, seq)
            if seq in self.decided or seq < self.minimum:
                continue
            accepted_under, value = self.accepted.get(seq, (NO_BALLOT, b""))
            if accepted_under == ballot:
                self.learn(seq, value)
            else:
                missing.append(seq)
        return missing

    def decided_from(self, first: int) -> Learned:
        """What is decided here from an instance on, up to the first gap."""
        values: list[tuple[int, bytes]] = []
        size = 0
        while first in self.decided and size < MAX_REPORT:
            values.append((first, self.decided[first]))
            size += len(self.decided[first])
            first += 1
        return Learned(values, self.highest, self.done)
