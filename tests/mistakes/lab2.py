"""Mistakes in lab 2, and the graded tests that have to notice them."""

from labs.mistakes import Edit, Mistake

CORE = "paxos/core.py"
PAXOS = "paxos/paxos.py"
PEER = "paxos/server.py"
RSM = "paxosrsm/rsm.py"
STORE = "kvpaxos/machine.py"
SERVER = "kvpaxos/server.py"
CLERK = "kvpaxos/clerk.py"

ACCEPTORS = [
    Mistake(
        "PX4",
        "an acceptor accepts without looking at what it promised",
        "An old proposer undoes what a newer one has decided.",
        (
            Edit(
                CORE,
                """
                self.highest = max(self.highest, seq)
                if self.lives:
                    self.promised = max(self.promised, ballot)
                    return Abstained(self.done)
                if ballot < self.promised:
                    return Rejected(self.promised, self.done)
                self.promised = ballot
                """,
                """
                self.highest = max(self.highest, seq)
                if self.lives:
                    self.promised = max(self.promised, ballot)
                    return Abstained(self.done)
                self.promised = max(self.promised, ballot)
                """,
            ),
        ),
        ("test_many_instances", "test_accepting_is_promising"),
    ),
    Mistake(
        "PX5",
        "accepting does not raise the promise",
        "An acceptor that missed a Prepare lets an older value replace the one that was decided.",
        (
            Edit(
                CORE,
                """
                self.highest = max(self.highest, seq)
                if self.lives:
                    self.promised = max(self.promised, ballot)
                    return Abstained(self.done)
                if ballot < self.promised:
                    return Rejected(self.promised, self.done)
                self.promised = ballot
                """,
                """
                self.highest = max(self.highest, seq)
                if self.lives:
                    self.promised = max(self.promised, ballot)
                    return Abstained(self.done)
                if ballot < self.promised:
                    return Rejected(self.promised, self.done)
                """,
            ),
        ),
        ("test_accepting_is_promising",),
    ),
    Mistake(
        "PX6",
        "a promise to another is not remembered",
        "It is not kept either.",
        (
            Edit(
                CORE,
                """
                self.promised = ballot
                return self._report(first)
                """,
                """
                if owner(ballot) == self.me:
                    self.promised = ballot
                return self._report(first)
                """,
            ),
        ),
        ("test_many_instances", "test_many_instances_evil"),
    ),
    Mistake(
        "PX12",
        "a promise wipes what was accepted",
        "The next proposer is told of it, and the one after that is not.",
        (
            Edit(
                CORE,
                "return self._report(first)",
                """
                report = self._report(first)
                self.accepted.clear()
                return report
                """,
            ),
        ),
        ("test_many_instances_evil",),
    ),
    Mistake(
        "PX13",
        "a promise does not tell of decided instances",
        "Who was not there when they were decided, and asks for promises, decides anew.",
        (
            Edit(
                CORE,
                "for seq in sorted(seq for seq in (*self.accepted, *self.decided) if seq >= first):",
                "for seq in sorted(seq for seq in self.accepted if seq >= first):",
            ),
        ),
        ("test_minority_proposal_ignored", "test_one_peer_switches"),
    ),
    Mistake(
        "PX14",
        "an acceptor takes what it accepts for decided",
        "It may be the only one that accepts it.",
        (Edit(CORE, "self.accepted[seq] = (ballot, value)", "self.learn(seq, value)"),),
        ("test_highest_accepted_value_wins", "test_many_instances"),
    ),
]

PROPOSERS = [
    Mistake(
        "PX1",
        "one promise less is enough",
        "The proposer does not hear of what a majority has accepted.",
        (
            Edit(
                CORE,
                "return len(self.promises) >= self.quorum and self.promised == self.ballot",
                "return len(self.promises) >= self.quorum - 1 and self.promised == self.ballot",
            ),
            Edit(
                CORE,
                "if len(self.promises) < self.quorum:",
                "if len(self.promises) < self.quorum - 1:",
            ),
        ),
        ("test_minority_of_promises",),
    ),
    Mistake(
        "PX2",
        "one vote less is enough",
        "Two halves decide differently.",
        (Edit(CORE, "if len(self.votes[seq]) < self.quorum:", "if len(self.votes[seq]) < self.quorum - 1:"),),
        ("test_many_instances_unreliable",),
    ),
    Mistake(
        "PX1",
        "half of the peers are a majority",
        "Each half decides for itself.",
        (Edit(CORE, "self.quorum = size // 2 + 1", "self.quorum = size // 2"),),
        (
            "test_no_decision_if_partitioned",
            "test_dead_minority",
            "test_minority_waits",
            "test_no_progress_in_minority",
        ),
    ),
    Mistake(
        "PX7",
        "a proposer proposes its own value, whatever was accepted before",
        "What is decided does not stay decided.",
        (
            Edit(
                CORE,
                "value = self.values[seq] = self.found[seq][1] if seq in self.found else self.wanted[seq]",
                "value = self.values[seq] = self.wanted[seq] if seq in self.wanted else self.found[seq][1]",
            ),
        ),
        ("test_highest_accepted_value_wins", "test_many_requests_changing_partitions"),
    ),
    Mistake(
        "PX8",
        "a proposer adopts the first accepted value that it hears of",
        "Only the one under the highest number can have been decided.",
        (
            Edit(
                CORE,
                'if seq >= self.minimum and theirs > self.found.get(seq, (NO_BALLOT, b""))[0]:',
                "if seq >= self.minimum and seq not in self.found:",
            ),
        ),
        ("test_highest_accepted_value_wins",),
    ),
    Mistake(
        "PX11",
        "two proposers use the same number",
        "An acceptor that promised it to one takes it from the other.",
        (Edit(CORE, "return turn << 24 | lives << 8 | peer", "return turn << 24 | lives << 8"),),
        ("test_many_proposers_different_values", "test_many_instances"),
    ),
    Mistake(
        "PX15",
        "a refusal counts as a vote",
        "A decision that no majority has accepted.",
        (
            Edit(
                PAXOS,
                """
                if isinstance(reply, Accepted):
                    self.core.owe(peer, reply.missing)
                """,
                """
                self.core.vote_from(peer, accept.ballot, accept.seq)
                if isinstance(reply, Accepted):
                    self.core.owe(peer, reply.missing)
                """,
            ),
        ),
        ("test_many_instances", "test_many_instances_evil"),
    ),
    Mistake(
        "PX17",
        "a proposer takes its own value for decided where it proposed another's",
        "It alone believes that.",
        (
            Edit(
                CORE,
                "self.learn(seq, self.values[seq], ballot)",
                "self.learn(seq, self.wanted.get(seq, self.values[seq]), ballot)",
            ),
        ),
        ("test_highest_accepted_value_wins",),
    ),
    Mistake(
        "",
        "a proposer that was overtaken goes on under its old number",
        "Everybody refuses it, and it does not try a higher one.",
        (
            Edit(
                CORE,
                "return len(self.promises) >= self.quorum and self.promised == self.ballot",
                "return len(self.promises) >= self.quorum",
            ),
        ),
        ("test_one_peer_switches", "test_minority_waits"),
    ),
    Mistake(
        "PX21",
        "an empty value is taken for none",
        "It was decided, and is replaced.",
        (
            Edit(
                CORE,
                "value = self.values[seq] = self.found[seq][1] if seq in self.found else self.wanted[seq]",
                """
                accepted = self.found[seq][1] if seq in self.found else None
                value = self.values[seq] = accepted or self.wanted.get(seq, b"")
                """,
            ),
        ),
        ("test_highest_accepted_value_wins",),
    ),
    Mistake(
        "PX27",
        "a proposer tries once",
        "What was refused or lost is never decided.",
        (Edit(PAXOS, "while self.core.needs_campaign:", "for _ in range(1):"),),
        ("test_decision_in_majority_partition",),
    ),
    Mistake(
        "PX31",
        "a proposer tries again without a pause",
        "One that is cut off keeps the machine busy with nothing.",
        (
            Edit(
                PAXOS,
                """
                await self._campaign()
                if self.core.needs_campaign:
                    await self.host.sleep(2 * pause * self.host.random.random())
                """,
                """
                await self._campaign()
                if self.core.needs_campaign:
                    await self.host.sleep(0.0)
                """,
            ),
        ),
        ("test_calls_while_cut_off",),
    ),
    Mistake(
        "PX33",
        "Start proposes also where a decision is known",
        "Peers talk about what is settled.",
        (
            Edit(
                CORE,
                "if seq < self.minimum or seq in self.decided or seq in self.wanted:",
                "if seq < self.minimum or seq in self.wanted:",
            ),
        ),
        ("test_nothing_to_agree_on",),
    ),
    Mistake(
        "PX3",
        "a peer that does not answer does not count",
        "A minority that reaches nobody else is a majority of those it reaches.",
        (
            Edit(
                CORE,
                "self.prompt, self.spared = set(), {}",
                """
                self.prompt, self.spared = set(), {}
                self.quorum = self.size // 2 + 1
                """,
            ),
            Edit(
                PAXOS,
                """
                reply = await self.host.call(self.peers[peer], prepare, timeout=PEER_TIMEOUT)
            except CallFailed:
                pass
                """,
                """
                reply = await self.host.call(self.peers[peer], prepare, timeout=PEER_TIMEOUT)
            except CallFailed:
                self.core.quorum = max(1, self.core.quorum - 1)
                if self.core.leads:
                    self._lead()
                """,
            ),
        ),
        ("test_no_decision_if_partitioned", "test_minority_waits"),
    ),
    Mistake(
        "PX16",
        "a proposer takes for decided what it has accepted itself",
        "Nobody else may ever accept it.",
        (Edit(CORE, "if len(self.votes[seq]) < self.quorum:", "if not self.votes[seq]:"),),
        ("test_many_instances", "test_many_instances_evil"),
    ),
    Mistake(
        "PX18",
        "a proposer asks again under the highest number that it has seen",
        "That number belongs to another, who proposes another value under it.",
        (
            Edit(
                CORE,
                "return ballot == self.ballot and seq in self.values and self.promised == ballot",
                "return ballot == self.ballot and seq in self.values",
            ),
            Edit(
                PAXOS,
                "request = Accept(accept.ballot, accept.seq, accept.value, news, self.core.done)",
                "request = Accept(self.core.promised, accept.seq, accept.value, news, self.core.done)",
            ),
        ),
        ("test_many_instances", "test_many_instances_evil"),
    ),
    Mistake(
        "PX19",
        "where no reply came, that of another peer counts again",
        "A decision that no majority has accepted.",
        (
            Edit(
                PAXOS,
                'self._heard_of_another = float("-inf")',
                """
                self._heard_of_another = float("-inf")
                self._last_was_vote = False
                """,
            ),
            Edit(
                PAXOS,
                """
                if isinstance(reply, Accepted):
                    self.core.owe(peer, reply.missing)
                """,
                """
                self._last_was_vote = isinstance(reply, Accepted)
                if isinstance(reply, Accepted):
                    self.core.owe(peer, reply.missing)
                """,
            ),
            Edit(
                PAXOS,
                "self._after()  # this may have been the last proposal that could carry them",
                """
                if self._last_was_vote:
                    self.core.vote_from(peer, accept.ballot, accept.seq)
                self._after()
                """,
            ),
        ),
        ("test_one_peer_switches", "test_many_instances_unreliable"),
    ),
    Mistake(
        "PX20",
        "Start writes its value where an acceptor has what it accepted",
        "Others take it for accepted under a number that nobody proposed it with.",
        (
            Edit(
                CORE,
                "self.wanted[seq] = value",
                """
                self.wanted[seq] = value
                self.accepted[seq] = (self.promised, value)
                """,
            ),
        ),
        ("test_many_instances_evil",),
    ),
    Mistake(
        "PX28",
        "Start waits for the decision",
        "Whoever starts several instances waits for each, and for ever where there is no majority.",
        (
            Edit(PEER, "def start(request: Start) -> Done:", "async def start(request: Start) -> Done:"),
            Edit(
                PEER,
                "paxos.start(request.seq, request.value.encode())",
                """
                paxos.start(request.seq, request.value.encode())
                while paxos.status(request.seq)[0] is Fate.PENDING:
                    await host.sleep(0.01)
                """,
            ),
        ),
        ("test_no_decision_if_partitioned",),
    ),
    Mistake(
        "PX29",
        "one instance at a time",
        "Each waits for the one before.",
        (
            Edit(
                CORE,
                "if seq in self.values or seq in self.decided or seq < self.minimum or not self.covers(seq):",
                "if self.values or seq in self.decided or seq < self.minimum or not self.covers(seq):",
            ),
            Edit(
                PAXOS,
                "self.core.fresh.clear()",
                """
                self.core.fresh.clear()
                if self.core.leads:
                    for accept in self.core.due():
                        self._propose(accept)
                """,
            ),
        ),
        ("test_many_agreements_at_once",),
    ),
    Mistake(
        "PX30",
        "a peer calls itself over the network",
        "A peer that nobody can call cannot vote for itself either.",
        (
            Edit(
                PAXOS,
                "self._others = [peer for peer in range(len(self.peers)) if peer != self.core.me]",
                "self._others = list(range(len(self.peers)))",
            ),
            Edit(CORE, "if isinstance(own, Promise):", "if not isinstance(own, Promise):"),
            Edit(
                CORE,
                """
                if isinstance(self.accept(self.ballot, seq, value), Accepted):
                    self.vote_from(self.me, self.ballot, seq)
                """,
                "",
            ),
            Edit(
                CORE,
                "others = [peer for peer in range(self.size) if peer != self.me]",
                "others = list(range(self.size))",
            ),
        ),
        ("test_own_vote",),
    ),
    Mistake(
        "PX34",
        "each look at a pending instance begins a new round",
        "The more often somebody looks, the more messages.",
        (
            Edit(
                PAXOS,
                "value = self.core.decided.get(seq)",
                """
                value = self.core.decided.get(seq)
                if value is None:
                    self.host.spawn(self._campaign())
                """,
            ),
        ),
        ("test_rpc_count",),
    ),
    Mistake(
        "PX51",
        "a peer that does not know a decision asks the others at each look",
        "Status is to say what the peer knows, at once and without messages.",
        (
            Edit(
                PAXOS,
                "value = self.core.decided.get(seq)",
                """
                value = self.core.decided.get(seq)
                if value is None:
                    for peer in self._others:
                        self.host.spawn(self.learn_from(self.peers[peer], seq))
                """,
            ),
        ),
        ("test_rpc_count",),
    ),
]

LEARNERS = [
    Mistake(
        "",
        "who hears of a decision takes what it accepted itself for its value",
        "That may have been another proposer's.",
        (Edit(CORE, "if accepted_under == ballot:", "if accepted_under != NO_BALLOT:"),),
        ("test_many_instances_evil",),
    ),
    Mistake(
        "PX23",
        "a decision is not told",
        "Nobody but its proposer knows.",
        (Edit(CORE, "if ballot != NO_BALLOT:", "if ballot == DECIDED:"),),
        ("test_single_proposer",),
    ),
    Mistake(
        "PX24",
        "a decision is told once",
        "Where that is lost, nobody says it again.",
        (
            Edit(
                CORE,
                "self.news[peer].update((seq, ballot) for seq, ballot in news if seq >= self.minimum)",
                "del news[:]",
            ),
        ),
        ("test_decision_is_told_again",),
    ),
    Mistake(
        "",
        "who was not asked to accept is not told the value",
        "It never learns what the others decided without it.",
        (Edit(CORE, "self.owed[peer][seq] = None", "pass"),),
        ("test_rpc_count",),
    ),
    Mistake(
        "",
        "who answered once is asked alone for ever",
        "When it is gone, nobody else is asked.",
        (Edit(CORE, "return sorted(self.spared.pop(seq, ()))", "return []"),),
        ("test_dead_majority", "test_lagging_server_catches_up"),
    ),
    Mistake(
        "PX44",
        "a late Accept opens a forgotten instance again",
        "It stays there for ever.",
        (
            Edit(
                CORE,
                "if seq >= self.minimum and seq not in self.decided:",
                "if seq not in self.decided:",
            ),
        ),
        ("test_late_messages_are_forgotten",),
    ),
    Mistake(
        "PX47",
        "Max() looks at what is not forgotten",
        "A number is used again.",
        (Edit(PAXOS, "return self.core.highest", "return max(self.core.decided, default=-1)"),),
        ("test_max_after_done",),
    ),
    Mistake(
        "PX48",
        "Max() counts only what one proposed or knows decided",
        "A replica proposes in an instance that is under way.",
        (
            Edit(
                CORE,
                """
                self.highest = max(self.highest, seq)
                spared = self.spared.get(seq, ())
                """,
                "spared = self.spared.get(seq, ())",
            ),
            Edit(
                CORE,
                """
                self.highest = max(self.highest, seq)
                if self.lives:
                """,
                "if self.lives:",
            ),
            Edit(
                CORE,
                """
                self.highest = max(self.highest, seq)
                if seq in self.decided or seq < self.minimum:
                """,
                "if seq in self.decided or seq < self.minimum:",
            ),
        ),
        ("test_out_of_order_instances",),
    ),
    Mistake(
        "PX49",
        "Max() is 0 at first",
        "As if there were an instance 0.",
        (Edit(CORE, "self.highest = -1", "self.highest = 0"),),
        ("test_nothing_is_known_at_first",),
    ),
    Mistake(
        "PX25",
        "a decision is told ten times",
        "Nine of them are for nothing.",
        (
            Edit(
                PAXOS,
                """
                reply = await self.host.call(
                    self.peers[peer], Decide(news, values, self.core.done), timeout=PEER_TIMEOUT
                )
                """,
                """
                for _ in range(10):
                    reply = await self.host.call(
                        self.peers[peer], Decide(news, values, self.core.done), timeout=PEER_TIMEOUT
                    )
                """,
            ),
        ),
        ("test_rpc_count",),
    ),
    Mistake(
        "PX26",
        "decisions are told to one peer after the other",
        "One that does not answer keeps the others from hearing of them.",
        (
            Edit(
                PAXOS,
                "if peer not in self._telling and (self.core.news[peer] or self.core.owed[peer]):",
                "if not self._telling and (self.core.news[peer] or self.core.owed[peer]):",
            ),
        ),
        ("test_hanging_minority",),
    ),
]

FORGETTING = [
    Mistake(
        "PX35",
        "the latest Done() counts, and not the highest",
        "Instances that everybody was done with are kept.",
        (
            Edit(
                CORE,
                "self.merge_done([seq if peer == self.me else -1 for peer in range(self.size)])",
                """
                self.done[self.me] = seq - 1
                self.merge_done([seq if peer == self.me else -1 for peer in range(self.size)])
                """,
            ),
        ),
        ("test_done_never_goes_back",),
    ),
    Mistake(
        "PX36",
        "a peer forgets what it is done with itself",
        "Others still need it.",
        (
            Edit(
                CORE,
                "old, minimum = self.minimum, min(self.done) + 1",
                "old, minimum = self.minimum, self.done[self.me] + 1",
            ),
        ),
        ("test_forgetting", "test_not_forgotten_too_early"),
    ),
    Mistake(
        "PX37",
        "a peer forgets what anybody is done with",
        "Others still need it.",
        (
            Edit(
                CORE,
                "old, minimum = self.minimum, min(self.done) + 1",
                "old, minimum = self.minimum, max(self.done) + 1",
            ),
        ),
        ("test_forgetting", "test_not_forgotten_too_early"),
    ),
    Mistake(
        "PX38",
        "Min() is the last forgotten instance",
        "It should be the first that is not.",
        (Edit(CORE, "old, minimum = self.minimum, min(self.done) + 1", "old, minimum = self.minimum, min(self.done)"),),
        ("test_forgetting",),
    ),
    Mistake(
        "PX39",
        "acceptors do not listen to what proposers are done with",
        "Only who proposes can forget.",
        (
            Edit(
                PAXOS,
                """
                self.core.merge_done(request.done)
                reply = self.core.prepare(request.ballot, request.first)
                """,
                "reply = self.core.prepare(request.ballot, request.first)",
            ),
            Edit(
                PAXOS,
                """
                self.core.merge_done(request.done)
                missing = self.core.note(request.news)
                """,
                "missing = self.core.note(request.news)",
            ),
            Edit(
                PAXOS,
                """
                self.core.merge_done(request.done)
                for seq, value in request.values:
                """,
                "for seq, value in request.values:",
            ),
        ),
        ("test_done_goes_both_ways",),
    ),
    Mistake(
        "PX40",
        "nothing is freed",
        "Memory grows with each instance.",
        (
            Edit(
                CORE,
                "for table in (*self._undecided_tables(), self.decided, *self.news, *self.owed):",
                "for table in self.news:",
            ),
        ),
        ("test_frees_forgotten_memory", "test_frees_log_memory"),
    ),
    Mistake(
        "PX43",
        "values are freed before all are done with them",
        "Who comes late cannot learn them any more.",
        (
            Edit(
                CORE,
                "self.merge_done([seq if peer == self.me else -1 for peer in range(self.size)])",
                """
                self.merge_done([seq if peer == self.me else -1 for peer in range(self.size)])
                for old in [old for old in self.decided if old <= seq]:
                    del self.decided[old]
                """,
            ),
        ),
        ("test_not_forgotten_too_early",),
    ),
    Mistake(
        "PX45",
        "Start below Min() is not ignored",
        "The peer tries for ever to have a forgotten instance decided.",
        (
            Edit(
                CORE,
                "if seq < self.minimum or seq in self.decided or seq in self.wanted:",
                "if seq in self.decided or seq in self.wanted:",
            ),
        ),
        ("test_nothing_to_agree_on",),
    ),
    Mistake(
        "PX46",
        "a forgotten instance is called pending",
        "The application waits for it.",
        (Edit(PAXOS, "return Fate.FORGOTTEN, None", "return Fate.PENDING, None"),),
        ("test_frees_forgotten_memory",),
    ),
    Mistake(
        "PX52",
        "a proposal for a forgotten instance goes on",
        "Its proposer tries for ever to have it decided.",
        (
            Edit(
                CORE,
                "for table in (*self._undecided_tables(), self.decided, *self.news, *self.owed):",
                "for table in (self.accepted, self.values, self.votes, self.decided, *self.news, *self.owed):",
            ),
        ),
        ("test_forgotten_proposal_ends",),
    ),
    Mistake(
        "",
        "a peer that lost its memory votes",
        "It votes again where it may have voted before.",
        (
            Edit(
                CORE,
                """
                if self.lives:
                    self.promised = max(self.promised, ballot)
                    return Abstained(self.done)
                if ballot < self.promised:
                    return Rejected(self.promised, self.done)
                self.promised = ballot
                return self._report(first)
                """,
                """
                if ballot < self.promised:
                    return Rejected(self.promised, self.done)
                self.promised = ballot
                return self._report(first)
                """,
            ),
            Edit(
                CORE,
                """
                self.highest = max(self.highest, seq)
                if self.lives:
                    self.promised = max(self.promised, ballot)
                    return Abstained(self.done)
                """,
                "self.highest = max(self.highest, seq)",
            ),
        ),
        ("test_peer_that_lost_its_memory", "test_lost_memory", "test_server_that_lost_its_memory"),
    ),
    Mistake(
        "PX41",
        "only decided instances are freed",
        "What was proposed or accepted and not decided here stays for ever.",
        (
            Edit(
                CORE,
                "for table in (*self._undecided_tables(), self.decided, *self.news, *self.owed):",
                "for table in (self.decided, *self.news, *self.owed):",
            ),
        ),
        ("test_forgotten_proposal_ends",),
    ),
    Mistake(
        "PX42",
        "what an acceptor accepted is not freed",
        "Memory grows with each instance.",
        (
            Edit(
                CORE,
                "return self.accepted, self.wanted, self.found, self.values, self.votes, self.spared",
                "return self.wanted, self.found, self.values, self.votes, self.spared",
            ),
        ),
        ("test_frees_forgotten_memory",),
    ),
]

REPLICAS = [
    Mistake(
        "KV9",
        "a batch is known by what it holds",
        "Two replicas take the same decision for their own.",
        (Edit(RSM, "return encode((self._me, self._number, ops))", "return encode((0, 0, ops))"),),
        ("test_equal_operations",),
    ),
    Mistake(
        "KV10",
        "a replica applies its own operations only",
        "Each has a state of its own.",
        (
            Edit(
                RSM,
                """
                for op in self._decoder.decode(value)[2]:
                    self.machine.apply(op)
                """,
                "self._decoder.decode(value)",
            ),
        ),
        ("test_places", "test_servers_die"),
    ),
    Mistake(
        "KV11",
        "a replica skips an instance that is not decided yet",
        "It applies what comes after it, and never what was decided there.",
        (
            Edit(
                RSM,
                "while (value := self.paxos.core.decided.get(self.applied)) is not None:",
                """
                while self.applied <= max(self.paxos.core.decided, default=-1):
                    value = self.paxos.core.decided.get(self.applied)
                    if value is None:
                        self.applied += 1
                        continue
                """,
            ),
        ),
        ("test_many_at_all_replicas", "test_evil"),
    ),
    Mistake(
        "KV12",
        "holes are not filled",
        "All wait for an instance in which nobody proposes.",
        (Edit(RSM, "self._fill_holes()", "pass"),),
        ("test_holes_are_filled",),
    ),
    Mistake(
        "KV13",
        "a replica never asks for what it missed, and is told of it once",
        "It is behind until somebody asks it for something, and the others have to remember for it.",
        (
            Edit(RSM, "if self._others:", "if False:"),
            Edit(PAXOS, "self.core.owe(peer, (seq for seq, _ in values))", "pass"),
            Edit(
                PAXOS,
                "values = self.core.take_owed(peer, MAX_NEWS) if pause == NEWS_DELAY else []",
                "values = self.core.take_owed(peer, MAX_NEWS)",
            ),
            Edit(
                CORE,
                "self.news[peer].update((seq, ballot) for seq, ballot in news if seq >= self.minimum)",
                "del news[:]",
            ),
        ),
        ("test_lagging_replica_catches_up", "test_lagging_server_catches_up"),
    ),
    Mistake(
        "KV14",
        "Done() is never called",
        "The log grows for ever.",
        (Edit(RSM, "self.paxos.done(self.applied - 1)", "pass"),),
        ("test_memory", "test_frees_log_memory"),
    ),
    Mistake(
        "KV15",
        "Done() is called fifty instances late",
        "Fifty instances more than needed are kept.",
        (Edit(RSM, "self.paxos.done(self.applied - 1)", "self.paxos.done(self.applied - 50)"),),
        ("test_memory", "test_frees_log_memory"),
    ),
    Mistake(
        "KV21",
        "pauses between two tries grow without a limit",
        "When the network is back, nobody notices.",
        (
            Edit(PAXOS, "LAST_PAUSE: Final = 0.1", "LAST_PAUSE: Final = 1000.0"),
            Edit(CLERK, "OPERATION_TIMEOUT: Final = 1.0", "OPERATION_TIMEOUT: Final = 1000.0"),
        ),
        ("test_heal_is_noticed",),
    ),
    Mistake(
        "KV24",
        "an operation whose instance went to another is lost",
        "Whoever submitted it waits for ever.",
        (Edit(RSM, "self._queue[:0] = flight.batch", "pass"),),
        ("test_many_at_all_replicas",),
    ),
    Mistake(
        "",
        "an operation whose instance went to another is answered",
        "It was never applied.",
        (
            Edit(
                RSM,
                "self._queue[:0] = flight.batch",
                """
                for op, result in flight.batch:
                    result.done() or result.set_result(self.machine.apply(op))
                """,
            ),
        ),
        ("test_many_at_all_replicas",),
    ),
    Mistake(
        "KV16",
        "Done() is called for what is not applied yet",
        "It is forgotten before it is applied, and whoever needs it never gets it.",
        (
            Edit(
                RSM,
                "self.paxos.done(self.applied - 1)\nself._propose()",
                "self.paxos.done(self.paxos.max())\nself._propose()",
            ),
        ),
        ("test_many_at_all_replicas",),
    ),
    Mistake(
        "KV19",
        "a replica keeps a copy of the log",
        "Memory grows with each operation, whatever Paxos forgets.",
        (
            Edit(
                RSM,
                "self._known_by_others: dict[str, int] = {}",
                """
                self._known_by_others: dict[str, int] = {}
                self._log: list[bytes] = []
                """,
            ),
            Edit(
                RSM,
                "flight = self._flying.pop(self.applied, None)",
                "flight = self._flying.pop(self.applied, None)\nself._log.append(value)",
            ),
        ),
        ("test_memory", "test_frees_log_memory"),
    ),
    Mistake(
        "KV25",
        "a replica does not apply what was decided where it wanted something else",
        "Its state lacks these operations.",
        (
            Edit(
                RSM,
                """
                for op in self._decoder.decode(value)[2]:
                    self.machine.apply(op)
                if flight is not None:
                    self._queue[:0] = flight.batch
                """,
                """
                if flight is not None:
                    self._queue[:0] = flight.batch
                else:
                    for op in self._decoder.decode(value)[2]:
                        self.machine.apply(op)
                """,
            ),
        ),
        ("test_many_at_all_replicas",),
    ),
]

SERVICE = [
    Mistake(
        "KV1",
        "a Get is answered from what the server has itself",
        "It may be behind.",
        (
            Edit(
                SERVER,
                "leader = self.rsm.leader",
                """
                if request.op.kind == "get":
                    return self.store.apply(request.op)
                leader = self.rsm.leader
                """,
            ),
        ),
        ("test_no_progress_in_minority",),
    ),
    Mistake(
        "KV1",
        "the server that leads answers Gets by itself",
        "It may not know that it leads no longer.",
        (
            Edit(
                SERVER,
                "if request.route == HERE or leader is None or leader == self.host.name:",
                """
                if request.op.kind == "get" and leader == self.host.name:
                    return self.store.apply(request.op)
                if request.route == HERE or leader is None or leader == self.host.name:
                """,
            ),
        ),
        ("test_server_that_was_cut_off", "test_server_that_slept"),
    ),
    Mistake(
        "KV8",
        "a write is answered before it is decided",
        "It may never be.",
        (
            Edit(
                SERVER,
                """
                if request.route == HERE or leader is None or leader == self.host.name:
                    return self.ops.submit(request.op)
                """,
                """
                if request.route == HERE or leader is None or leader == self.host.name:
                    result = self.ops.submit(request.op)
                    return result if request.op.kind == "get" else Done()
                """,
            ),
        ),
        ("test_dead_majority",),
    ),
    Mistake(
        "KV4",
        "duplicates are looked for when a request comes, and not when it is executed",
        "Two servers propose it, and it is executed twice.",
        (
            Edit(
                STORE,
                """
                if self.was_executed(op):
                    return Done()
                new = old + op.value if op.kind == "append" else op.value
                """,
                'new = old + op.value if op.kind == "append" else op.value',
            ),
        ),
        ("test_two_servers_propose_one_operation", "test_sequences_unreliable"),
    ),
    Mistake(
        "KV5",
        "only the newest client's duplicates are known",
        "A retry that comes late is executed again.",
        (Edit(STORE, "self.newest[op.client] = op.seq", "self.newest = {op.client: op.seq}"),),
        ("test_late_retry_at_another_server",),
    ),
    Mistake(
        "KV6",
        "duplicates are known by their key",
        "Another client's operation is taken for a duplicate.",
        (
            Edit(
                STORE,
                'return op.kind != "get" and op.seq <= self.newest.get(op.client, 0)',
                'return op.kind != "get" and op.seq <= self.newest.get(op.key, 0)',
            ),
            Edit(STORE, "self.newest[op.client] = op.seq", "self.newest[op.key] = op.seq"),
        ),
        ("test_basic", "test_concurrent_appends_unreliable"),
    ),
    Mistake(
        "",
        "only the very last write of a client is known as a duplicate",
        "A copy that was on its way for long is executed when the next write already was.",
        (
            Edit(
                STORE,
                'return op.kind != "get" and op.seq <= self.newest.get(op.client, 0)',
                'return op.kind != "get" and op.seq == self.newest.get(op.client, 0)',
            ),
        ),
        ("test_shared_keys_evil",),
    ),
    Mistake(
        "KV20",
        "all requests are remembered",
        "Memory grows with each operation.",
        (
            Edit(
                STORE,
                "self.newest[op.client] = op.seq",
                """
                self.newest[op.client] = op.seq
                self.newest[op.client << 64 | op.seq] = op.seq
                """,
            ),
        ),
        ("test_memory_grows_with_clients_only",),
    ),
    Mistake(
        "KV27",
        "a clerk stays with one server",
        "That may be dead.",
        (Edit(CLERK, "self._asked = (self._asked + 1) % len(self.servers)", "pass"),),
        ("test_clerk_asks_others", "test_servers_die"),
    ),
    Mistake(
        "",
        "a retry is a new request",
        "It is executed again.",
        (
            Edit(
                CLERK,
                "await self.host.sleep(pause)",
                """
                self.seq += 1
                op = Op(kind, self.client, self.seq, key, value)
                await self.host.sleep(pause)
                """,
            ),
        ),
        ("test_concurrent_appends_unreliable", "test_late_retry_at_another_server"),
    ),
    Mistake(
        "",
        "a clerk is known by its name",
        "When it restarts and counts from 1 again, what it asks is taken for duplicates.",
        (
            Edit(
                CLERK,
                "self.client = host.random.getrandbits(62)",
                'self.client = int.from_bytes(host.name.encode()[-7:], "big")',
            ),
        ),
        ("test_clerk_restarts",),
    ),
    Mistake(
        "KV2",
        "a Get gets a place in the log, and the value of when it was asked",
        "Between the two somebody else may have written.",
        (
            Edit(
                SERVER,
                "if request.route == HERE or leader is None or leader == self.host.name:",
                """
                if request.op.kind == "get" and (request.route == HERE or leader in (None, self.host.name)):
                    return self._early(self.store.apply(request.op), self.ops.submit(request.op))
                if request.route == HERE or leader is None or leader == self.host.name:
                """,
            ),
            Edit(
                SERVER,
                "def apply(self, op: Op) -> Value | Done | TooLong:",
                """
                async def _early(self, value: Any, result: Any) -> Any:
                    await result
                    return value

                def apply(self, op: Op) -> Value | Done | TooLong:
                """,
            ),
        ),
        ("test_server_that_was_cut_off",),
    ),
    Mistake(
        "KV18",
        "the replies that were given are kept",
        "Memory grows with each Get.",
        (
            Edit(
                STORE,
                "self.refused: dict[int, int] = {}",
                "self.refused: dict[int, int] = {}\nself.replies: dict[tuple[int, int], Value] = {}",
            ),
            Edit(STORE, "return Value(old)", "return self.replies.setdefault((op.client, op.seq), Value(old))"),
        ),
        ("test_memory_grows_with_clients_only",),
    ),
]

MISTAKES = [*ACCEPTORS, *PROPOSERS, *LEARNERS, *FORGETTING, *REPLICAS, *SERVICE]
