"""One Paxos peer's decisions, a call at a time. The paper is "Paxos Made Simple" (Lamport 2001)."""

import time

import pytest

from lab2_kvpaxos.paxos import core
from lab2_kvpaxos.paxos.core import DECIDED, EVERYTHING, NO_BALLOT, Peer, make_ballot, owner
from lab2_kvpaxos.paxos.messages import Abstained, Accept, Accepted, Learned, Promise, Rejected

NOBODY_DONE = [-1, -1, -1]
B1, B2, B3 = (make_ballot(turn, 0, 2) for turn in (1, 2, 3))
"""Ballots of peer 2."""


def promise(*accepted: tuple[int, int, bytes], upto: int = EVERYTHING) -> Promise:
    """A promise with this report."""
    return Promise(list(accepted), upto, NOBODY_DONE)


def leader(*wanted: tuple[int, bytes]) -> Peer:
    """Peer 0 of three, which leads and wants these values. Nobody has voted but itself."""
    peer = Peer(0, 3)
    for seq, value in wanted:
        peer.start(seq, value)
    peer.campaign()
    assert peer.promise_from(1, peer.ballot, promise())
    peer.due()
    return peer


# --- ballots ---------------------------------------------------------------------------------------------------------


def test_no_two_peers_nor_lives_nor_rounds_share_a_ballot() -> None:
    ballots = [make_ballot(turn, lives, peer) for turn in (1, 2, 3) for lives in (0, 1, 300) for peer in (0, 1, 255)]
    assert ballots == sorted(set(ballots)), "round before life before peer, and none of them twice"
    assert [owner(ballot) for ballot in ballots[:3]] == [0, 1, 255]
    assert ballots[0] > NO_BALLOT
    assert ballots[-1] < DECIDED


def test_a_campaign_has_a_ballot_above_all_that_was_seen() -> None:
    peer = Peer(0, 3)
    first = peer.campaign().ballot
    second = peer.campaign().ballot
    peer.saw(make_ballot(7, 0, 2))
    third = peer.campaign().ballot
    assert first < second < make_ballot(7, 0, 2) < third
    assert {owner(first), owner(second), owner(third)} == {0}


# --- the acceptor ----------------------------------------------------------------------------------------------------


def test_a_promise_reports_what_was_accepted_from_the_instance_on() -> None:
    """Phase 1b: "and with the highest-numbered proposal (if any) that it has accepted"."""
    peer = Peer(0, 3)
    for seq, ballot, value in ((0, B1, b"old"), (1, B1, b"x"), (1, B2, b"y"), (3, B2, b"z")):
        peer.accept(ballot, seq, value)
    assert peer.prepare(B3, 1) == promise((1, B2, b"y"), (3, B2, b"z"))


def test_a_promise_is_kept() -> None:
    """P1a: it accepts a proposal iff it has not responded to a prepare request having a greater number."""
    peer = Peer(0, 3)
    peer.prepare(B2, 0)
    assert peer.accept(B1, 0, b"x") == Rejected(B2, NOBODY_DONE)
    assert peer.prepare(B1, 0) == Rejected(B2, NOBODY_DONE)
    assert not peer.accepted
    assert peer.accept(B2, 0, b"x") == Accepted([], NOBODY_DONE)
    assert peer.accepted == {0: (B2, b"x")}


def test_an_acceptor_that_never_promised_accepts() -> None:
    """P1: an acceptor must accept the first proposal that it receives."""
    peer = Peer(0, 3)
    assert peer.accept(B1, 0, b"x") == Accepted([], NOBODY_DONE)


def test_accepting_a_ballot_also_promises_it() -> None:
    peer = Peer(0, 3)
    peer.accept(B2, 5, b"x")
    assert peer.prepare(B1, 0) == Rejected(B2, NOBODY_DONE)
    assert peer.accept(B1, 0, b"y") == Rejected(B2, NOBODY_DONE), "a promise is for all instances"


def test_a_copy_of_a_question_gets_the_same_answer() -> None:
    peer = Peer(0, 3)
    assert peer.prepare(B1, 0) == peer.prepare(B1, 0) == promise()
    assert peer.accept(B1, 0, b"x") == peer.accept(B1, 0, b"x") == Accepted([], NOBODY_DONE)


def test_a_decision_is_reported_above_every_ballot() -> None:
    peer = Peer(0, 3)
    peer.accept(B1, 0, b"x")
    peer.learn(0, b"x")
    assert peer.prepare(B2, 0) == promise((0, DECIDED, b"x"))


def test_a_report_ends_where_it_gets_too_long_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_REPORT", 10)
    peer = Peer(0, 3)
    for seq in (0, 2, 4, 6):
        peer.accept(B1, seq, b"12345")
    assert peer.prepare(B2, 0) == promise((0, B1, b"12345"), (2, B1, b"12345"), upto=4)
    assert peer.prepare(B2, 4) == promise((4, B1, b"12345"), (6, B1, b"12345"))
    peer.accept(B2, 7, b"much longer than that")
    assert peer.prepare(B2, 7) == promise((7, B2, b"much longer than that")), "the first is reported however long"


def test_an_old_proposal_does_not_touch_a_decision_that_was_heard_of() -> None:
    peer = Peer(0, 3)
    peer.learn(0, b"x")
    assert peer.accept(B1, 0, b"y") == Accepted([], NOBODY_DONE)
    assert peer.prepare(B2, 0) == promise((0, DECIDED, b"x"))


def test_two_decisions_in_one_instance_are_our_own_mistake() -> None:
    peer = Peer(0, 3)
    peer.learn(0, b"x")
    with pytest.raises(AssertionError, match="decided twice"):
        peer.learn(0, b"y")


# --- the proposer ----------------------------------------------------------------------------------------------------


def test_a_majority_of_promises_makes_a_leader() -> None:
    peer = Peer(0, 5)
    peer.start(0, b"x")
    ballot = peer.campaign().ballot
    assert not peer.promise_from(1, ballot, promise())
    assert not peer.promise_from(1, ballot, promise()), "a copy of it counts once"
    assert not peer.leads
    assert peer.promise_from(2, ballot, promise())
    assert peer.leads
    assert not peer.promise_from(3, ballot, promise()), "it leads already"


def test_a_promise_for_an_earlier_round_does_not_count() -> None:
    peer = Peer(0, 3)
    earlier = peer.campaign().ballot
    peer.campaign()
    assert not peer.promise_from(1, earlier, promise())
    assert peer.promises == {0}


def test_it_adopts_what_was_accepted_under_the_highest_ballot() -> None:
    """P2c (b): "v is the value of the highest-numbered proposal … accepted by the acceptors in S"."""
    peer = Peer(0, 5)
    peer.start(0, b"mine")
    ballot = peer.campaign().ballot
    peer.promise_from(1, ballot, promise((0, B2, b"newer")))
    peer.promise_from(2, ballot, promise((0, B1, b"older")))
    assert peer.due() == [Accept(ballot, 0, b"newer", [], [-1] * 5)]


def test_what_it_accepted_itself_counts_too() -> None:
    peer = Peer(0, 3)
    peer.accept(make_ballot(1, 0, 1), 0, b"theirs")
    peer.start(0, b"mine")
    peer.campaign()
    peer.promise_from(2, peer.ballot, promise())
    assert [accept.value for accept in peer.due()] == [b"theirs"]


def test_where_nothing_was_accepted_it_proposes_its_own() -> None:
    """P2c (a): "no acceptor in S has accepted any proposal numbered less than n"."""
    peer = Peer(0, 3)
    peer.start(3, b"mine")
    peer.campaign()
    peer.promise_from(1, peer.ballot, promise((1, B1, b"found")))
    assert [(accept.seq, accept.value) for accept in peer.due()] == [(1, b"found"), (3, b"mine")]


def test_a_decision_in_a_promise_is_learned_and_not_proposed() -> None:
    peer = Peer(0, 3)
    peer.start(0, b"mine")
    peer.campaign()
    assert peer.promise_from(1, peer.ballot, promise((0, DECIDED, b"theirs")))
    assert peer.decided == {0: b"theirs"}
    assert peer.due() == []


def test_a_ballot_proposes_one_value_only() -> None:
    peer = leader((0, b"x"))
    assert peer.propose(0) is None
    assert peer.start(0, b"y") is None
    assert peer.values == {0: b"x"}


def test_a_leader_proposes_at_once_without_phase_1() -> None:
    """Section 3: it executes phase 1 for infinitely many instances."""
    peer = leader((0, b"x"))
    assert peer.start(9, b"y") == Accept(peer.ballot, 9, b"y", [], NOBODY_DONE)
    assert not peer.needs_campaign


def test_beyond_a_cut_report_it_does_not_propose() -> None:
    peer = Peer(0, 3)
    peer.start(2, b"x")
    peer.start(5, b"y")
    peer.campaign()
    peer.promise_from(1, peer.ballot, promise((0, B1, b"a"), (6, B1, b"b"), upto=5))
    assert [accept.seq for accept in peer.due()] == [0, 2]
    assert peer.needs_campaign
    for seq in (0, 1, 2):
        peer.learn(seq, b"decided")
    assert peer.campaign().first == 3


def test_it_does_not_propose_before_the_first_instance_that_it_asked_for() -> None:
    peer = Peer(0, 3)
    peer.learn(0, b"decided")
    peer.learn(1, b"decided")
    peer.campaign()
    peer.promise_from(1, peer.ballot, promise())
    assert not peer.covers(1)
    assert peer.covers(2)


def test_a_majority_of_votes_decides() -> None:
    peer = Peer(0, 5)
    peer.start(0, b"x")
    peer.campaign()
    for other in (1, 2):
        peer.promise_from(other, peer.ballot, promise())
    peer.due()
    assert not peer.vote_from(3, peer.ballot, 0)
    assert not peer.vote_from(3, peer.ballot, 0), "a copy of it counts once"
    assert peer.vote_from(4, peer.ballot, 0)
    assert peer.decided == {0: b"x"}
    assert not peer.vote_from(1, peer.ballot, 0), "it is decided already"


def test_a_vote_for_an_earlier_ballot_does_not_count() -> None:
    peer = leader((0, b"x"))
    earlier = peer.ballot
    peer.campaign()
    peer.promise_from(1, peer.ballot, promise())
    peer.due()
    assert not peer.vote_from(1, earlier, 0)
    assert not peer.decided


def test_who_hears_of_a_higher_ballot_leads_no_more_and_still_counts_its_votes() -> None:
    peer = leader((0, b"x"))
    peer.saw(make_ballot(9, 0, 1))
    assert not peer.leads
    assert peer.needs_campaign
    assert not peer.is_proposing(peer.ballot, 0)
    assert peer.start(1, b"y") is None
    assert peer.vote_from(1, peer.ballot, 0), "what a majority accepted is chosen, whatever was promised since"


def test_promising_another_ends_its_own_lead() -> None:
    peer = leader()
    peer.prepare(make_ballot(9, 0, 1), 0)
    assert not peer.leads


def test_a_single_peer_decides_alone() -> None:
    peer = Peer(0, 1)
    peer.start(0, b"x")
    peer.campaign()
    peer.due()
    assert peer.decided == {0: b"x"}


def test_what_is_decided_wanted_or_forgotten_is_not_started_again() -> None:
    peer = Peer(0, 1)
    peer.learn(0, b"x")
    peer.start(1, b"y")
    peer.done_up_to(0)
    for seq in (0, 1):
        assert peer.start(seq, b"z") is None
    assert peer.wanted == {1: b"y"}


def test_the_highest_instance_known_grows_with_whatever_tells_of_it() -> None:
    peer = Peer(0, 3)
    seen = [peer.highest]
    for tell in (
        lambda: peer.start(1, b"x"),
        lambda: peer.accept(B1, 2, b"x"),
        lambda: peer.accept(NO_BALLOT, 3, b"x"),
        lambda: peer.note([(4, B1)]),
        lambda: peer.learn(5, b"x"),
    ):
        tell()
        seen.append(peer.highest)
    assert seen == [-1, 1, 2, 3, 4, 5]


# --- done, min, and forgetting ---------------------------------------------------------------------------------------


def test_min_is_one_more_than_the_lowest_that_anybody_is_done_with() -> None:
    peer = Peer(0, 3)
    peer.done_up_to(7)
    assert peer.minimum == 0
    peer.merge_done([-1, 3, 5])
    assert peer.minimum == 4
    peer.merge_done([-1, 9, 2])
    assert (peer.minimum, peer.done) == (6, [7, 9, 5]), "old news of who is done changes nothing"


def test_done_never_goes_back() -> None:
    peer = Peer(0, 1)
    peer.done_up_to(5)
    peer.done_up_to(2)
    peer.done_up_to(-1)
    assert peer.minimum == 6


def test_forgetting_frees_every_table() -> None:
    peer = leader(*((seq, b"x") for seq in range(6)))
    for seq in (0, 1, 3):
        peer.vote_from(1, peer.ballot, seq)
    peer.found[2] = peer.found[5] = (B1, b"found")
    peer.owe(1, [0, 5])
    assert {2, 4, 5} == set(peer.accepted) == set(peer.wanted) == set(peer.values) == set(peer.votes)
    peer.merge_done([3, 3, 3])
    assert peer.minimum == 4
    for table in (peer.accepted, peer.wanted, peer.values, peer.votes):
        assert set(table) == {4, 5}
    assert set(peer.found) == set(peer.owed[1]) == {5}
    assert peer.decided == {}
    assert peer.news == [{}, {}, {}]
    assert peer.undecided() == 4


def test_nothing_comes_back_to_a_forgotten_instance() -> None:
    peer = Peer(0, 3)
    peer.merge_done([3, 3, 3])
    peer.learn(3, b"x")
    peer.accept(B1, 3, b"x")
    peer.start(3, b"x")
    peer.give_back(1, [(3, B1), (4, B1)])
    assert peer.note([(3, B1)]) == []
    peer.campaign()
    peer.promise_from(1, peer.ballot, promise((2, B1, b"x"), (3, DECIDED, b"x")))
    assert peer.due() == []
    for table in (peer.accepted, peer.decided, peer.wanted, peer.found, peer.values, peer.votes):
        assert table == {}
    assert peer.news[1] == {4: B1}


def test_done_with_an_absurd_number_is_quick() -> None:
    peer = leader((0, b"x"), (2**50, b"y"))
    began = time.process_time()
    peer.merge_done([2**60, 2**60, 2**60])
    assert peer.undecided() == peer.minimum == 2**60 + 1
    assert peer.start(2**60, b"z") is None
    assert time.process_time() - began < 1.0
    assert peer.wanted == {}


@pytest.mark.parametrize("done", [[], [5, 5], [5, 5, 5, 5]])
def test_a_table_of_another_size_says_nothing(done: list[int]) -> None:
    peer = Peer(0, 3)
    peer.merge_done(done)
    assert peer.done == NOBODY_DONE


# --- decisions travel ------------------------------------------------------------------------------------------------


def test_a_decision_is_news_for_all_others_once() -> None:
    peer = leader((0, b"x"), (1, b"y"), (2, b"z"))
    for seq in (0, 1, 2):
        peer.vote_from(1, peer.ballot, seq)
    assert peer.take_news(1, most=2) == [(0, peer.ballot), (1, peer.ballot)]
    assert peer.take_news(1, most=2) == [(2, peer.ballot)]
    assert peer.take_news(1, most=2) == []
    assert len(peer.take_news(2, most=9)) == 3
    assert peer.take_news(0, most=9) == [], "it tells itself nothing"


def test_news_that_did_not_arrive_are_told_again() -> None:
    peer = leader((0, b"x"))
    peer.vote_from(1, peer.ballot, 0)
    news = peer.take_news(1, most=9)
    peer.give_back(1, news)
    assert peer.take_news(1, most=9) == news


def test_news_of_the_ballot_that_was_accepted_are_enough() -> None:
    """A ballot proposes one value only, so who accepted under it knows the value."""
    peer = Peer(0, 3)
    peer.accept(B1, 0, b"x")
    assert peer.note([(0, B1)]) == []
    assert peer.decided == {0: b"x"}
    assert peer.news[1] == {}, "who decided it tells the others"


@pytest.mark.parametrize("ballot", [B1, B3, DECIDED])
def test_news_of_any_other_ballot_are_not(ballot: int) -> None:
    peer = Peer(0, 3)
    peer.accept(B2, 0, b"x")
    assert peer.note([(0, ballot), (1, ballot)]) == [0, 1]
    assert peer.decided == {}


def test_what_a_peer_misses_is_owed_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_REPORT", 2)
    peer = Peer(0, 3)
    for seq in (0, 1, 2):
        peer.learn(seq, b"x")
    peer.owe(1, [2, 7, 0, 1])
    assert peer.take_owed(1, most=9) == [(0, b"x"), (1, b"x")]
    assert peer.take_owed(1, most=9) == [(2, b"x")], "7 is not known here"
    assert peer.take_owed(1, most=9) == []


# --- whom a proposer asks --------------------------------------------------------------------------------------------


def test_everybody_is_asked_until_a_majority_has_answered() -> None:
    peer = leader((0, b"x"), (1, b"x"))
    assert peer.ask(0) == [1, 2]
    peer.vote_from(2, peer.ballot, 0)
    peer.start(2, b"y")
    assert peer.ask(2) == [2]
    assert peer.spared == {2: {1}}


def test_who_was_not_asked_is_owed_the_value_and_who_was_gets_the_news() -> None:
    peer = leader((0, b"x"))
    peer.vote_from(2, peer.ballot, 0)
    peer.start(1, b"y")
    peer.ask(1)
    peer.vote_from(2, peer.ballot, 1)
    assert peer.take_owed(1, most=9) == [(1, b"y")]
    assert peer.take_news(1, most=9) == [(0, peer.ballot)]
    assert peer.take_owed(2, most=9) == []
    assert peer.take_news(2, most=9) == [(0, peer.ballot), (1, peer.ballot)]


def test_who_does_not_answer_is_not_asked_alone_again() -> None:
    peer = leader((0, b"x"))
    peer.vote_from(2, peer.ballot, 0)
    peer.start(1, b"y")
    peer.ask(1)
    assert peer.ask_the_others(1) == [1]
    assert peer.ask_the_others(1) == [], "they have been asked"
    peer.start(2, b"z")
    assert peer.ask(2) == [1, 2]
    peer.vote_from(1, peer.ballot, 1)
    assert peer.take_owed(1, most=9) == [], "it was asked after all, so the news are enough"
    peer.start(3, b"z")
    assert peer.ask(3) == [1], "it was the one who answered"


def test_a_new_campaign_asks_everybody() -> None:
    peer = leader((0, b"x"))
    peer.vote_from(2, peer.ballot, 0)
    peer.start(1, b"y")
    peer.campaign()
    assert peer.promise_from(1, peer.ballot, promise())
    assert [accept.seq for accept in peer.due()] == [1]
    assert peer.ask(1) == [1, 2]


def test_decided_instances_are_told_up_to_the_first_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(0, 3)
    for seq in (1, 2, 4):
        peer.learn(seq, b"x")
    assert peer.decided_from(1) == Learned([(1, b"x"), (2, b"x")], 4, NOBODY_DONE)
    assert peer.decided_from(0) == Learned([], 4, NOBODY_DONE)
    monkeypatch.setattr(core, "MAX_REPORT", 1)
    assert peer.decided_from(1) == Learned([(1, b"x")], 4, NOBODY_DONE)


def test_the_owner_is_told_of_each_decision_once() -> None:
    peer = Peer(0, 3)
    peer.learn(0, b"x")
    peer.learn(0, b"x")
    assert peer.fresh == [0]


# --- lost memory -----------------------------------------------------------------------------------------------------


def test_who_lost_its_memory_never_votes() -> None:
    """Section 2.5: what an acceptor must remember has to survive; where it did not, there is no acceptor any more."""
    peer = Peer(0, 3, lives=1)
    assert peer.prepare(B1, 0) == Abstained(NOBODY_DONE)
    assert peer.accept(B2, 0, b"x") == Abstained(NOBODY_DONE)
    assert peer.accepted == {}


def test_it_does_not_vote_for_itself_either() -> None:
    peer = Peer(0, 3, lives=1)
    peer.start(0, b"x")
    peer.campaign()
    assert not peer.promise_from(1, peer.ballot, promise())
    assert peer.promise_from(2, peer.ballot, promise())
    assert [accept.value for accept in peer.due()] == [b"x"]
    assert not peer.vote_from(1, peer.ballot, 0)
    assert peer.vote_from(2, peer.ballot, 0)


def test_its_ballots_are_not_those_of_its_former_life() -> None:
    assert Peer(0, 3, lives=1).campaign().ballot != Peer(0, 3).campaign().ballot


def test_it_learns_as_everybody() -> None:
    peer = Peer(0, 3, lives=1)
    assert peer.note([(0, B1)]) == [0]
    peer.learn(0, b"x")
    assert peer.decided == {0: b"x"}
