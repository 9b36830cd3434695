"""Mistakes in the shard master, and the graded tests that have to notice them."""

from labs.mistakes import Edit, Mistake

CORE = "shardmaster/core.py"
SERVER = "shardmaster/server.py"
CLERK = "shardmaster/clerk.py"

SHARING = [
    Mistake(
        "SM1",
        "ties are broken by where a group lies in memory",
        "Each replica has its own order, as with a map in Go, and so its own configurations.",
        (
            Edit(
                CORE,
                "groups = sorted(gids, key=lambda gid: (-had[gid], gid))",
                "groups = sorted(gids, key=lambda gid: (-had[gid], id(gids[gid])))",
            ),
        ),
        ("test_concurrent", "test_fewest_moves", "test_many_clerks"),
    ),
    Mistake(
        "SM2",
        "shards are dealt out anew each time",
        "It is even, and nearly every shard moves.",
        (
            Edit(
                CORE,
                "takers = iter([gid for gid in groups for _ in range(room[gid])])",
                """
                groups.sort()
                new = [groups[shard % len(groups)] for shard in range(len(shards))]
                takers = iter(groups)
                """,
            ),
        ),
        ("test_fewest_moves", "test_more_groups_than_shards"),
    ),
    Mistake(
        "SM2",
        "who gets one more shard is decided by number",
        "A group that has one more loses it to another.",
        (Edit(CORE, "groups = sorted(gids, key=lambda gid: (-had[gid], gid))", "groups = sorted(gids)"),),
        ("test_fewest_moves", "test_fewest_moves_after_moves"),
    ),
    Mistake(
        "SM3",
        "Leave gives all shards to one group",
        "They are not shared out.",
        (
            Edit(
                CORE,
                """
                del groups[op.gid]
                shards = rebalance(shards, groups)
                """,
                """
                del groups[op.gid]
                shards = [min(groups, default=NOBODY) if gid == op.gid else gid for gid in shards]
                """,
            ),
        ),
        ("test_fewest_moves", "test_more_groups_than_shards"),
    ),
    Mistake(
        "SM4",
        "Leave leaves shards with nobody",
        "They have no group until the next Join.",
        (
            Edit(
                CORE,
                """
                del groups[op.gid]
                shards = rebalance(shards, groups)
                """,
                """
                del groups[op.gid]
                shards = [NOBODY if gid == op.gid else gid for gid in shards]
                """,
            ),
        ),
        ("test_basic", "test_fewest_moves"),
    ),
    Mistake(
        "SM5",
        "one group gets all that does not divide evenly",
        "It has two shards more than another.",
        (
            Edit(
                CORE,
                "room = {gid: share + (place < more) for place, gid in enumerate(groups)}",
                "room = {gid: share + (more if place == 0 else 0) for place, gid in enumerate(groups)}",
            ),
        ),
        ("test_concurrent_and_failure", "test_query_beyond_the_newest"),
    ),
    Mistake(
        "SM13",
        "the share is computed though there is no group",
        "When the last group leaves, every master divides by zero.",
        (
            Edit(
                CORE,
                """
                if not groups:
                    return [NOBODY] * len(shards)
                share, more = divmod(len(shards), len(groups))
                """,
                "share, more = divmod(len(shards), len(groups))",
            ),
        ),
        ("test_basic", "test_no_group_is_left"),
    ),
    Mistake(
        "SM14",
        "groups without shards are forgotten when a group leaves",
        "With more groups than shards, those that have none never get any.",
        (
            Edit(
                CORE,
                """
                del groups[op.gid]
                shards = rebalance(shards, groups)
                """,
                """
                del groups[op.gid]
                shards = rebalance(shards, [gid for gid in groups if gid in shards])
                """,
            ),
        ),
        ("test_more_groups_than_shards",),
    ),
    Mistake(
        "",
        "shares are taken for even before a Join",
        "The new group takes its share from the first group only, as if no Move had made them uneven.",
        (
            Edit(
                CORE,
                """
                groups = dict(sorted({**groups, op.gid: op.servers}.items()))
                shards = rebalance(shards, groups)
                """,
                """
                groups = dict(sorted({**groups, op.gid: op.servers}.items()))
                for _ in range(len(shards) // len(groups)):
                    most = max(groups, key=lambda gid: (shards.count(gid), gid))
                    shards[shards.index(most if most in shards else NOBODY)] = op.gid
                shards = [op.gid if gid == NOBODY else gid for gid in shards]
                """,
            ),
        ),
        ("test_fewest_moves_after_moves",),
    ),
]

CONFIGURATIONS = [
    Mistake(
        "SM6",
        "configurations share the map of groups",
        "What comes later changes what was before.",
        (
            Edit(
                CORE,
                "shards, groups = list(current.shards), dict(current.groups)",
                "shards, groups = list(current.shards), current.groups",
            ),
        ),
        ("test_historical_queries", "test_group_comes_again"),
    ),
    Mistake(
        "SM17",
        "a configuration is changed after it was made",
        "A Move changes the newest configuration instead of making one.",
        (
            Edit(
                CORE,
                "shards, groups = list(current.shards), dict(current.groups)",
                "shards, groups = current.shards, dict(current.groups)",
            ),
        ),
        ("test_move", "test_fewest_moves_after_moves"),
    ),
    Mistake(
        "SM7",
        "Move balances again",
        "The shard goes where it was asked to, and others go elsewhere.",
        (
            Edit(
                CORE,
                "shards[op.number] = op.gid",
                """
                shards[op.number] = op.gid
                shards = rebalance(shards, groups)
                """,
            ),
        ),
        ("test_repeated_join_and_leave", "test_fewest_moves_after_moves"),
    ),
    Mistake(
        "SM10",
        "Join of a group that is there shares out again",
        "Its servers change, and what Moves have done is undone.",
        (
            Edit(
                CORE,
                'if op.kind == "join" and op.gid not in groups:',
                'if op.kind == "join":',
            ),
        ),
        ("test_repeated_join_and_leave",),
    ),
    Mistake(
        "SM10",
        "what changes nothing makes a configuration, too",
        "Every group has to look at it; and whoever waits for his own change takes it for that.",
        (
            Edit(
                CORE,
                "if (shards, groups) != (current.shards, current.groups):",
                "if op:",
            ),
        ),
        ("test_repeated_join_and_leave", "test_move_to_nowhere"),
    ),
    Mistake(
        "SM12",
        "Leave of a group that is not there stops the master",
        "All masters stop, since all execute it.",
        (
            Edit(
                CORE,
                'elif op.kind == "leave" and op.gid in groups:',
                'elif op.kind == "leave":',
            ),
        ),
        ("test_basic", "test_repeated_join_and_leave"),
    ),
    Mistake(
        "SM15",
        "a group that comes again gets the servers that it once had",
        "They may not be there any more.",
        (
            Edit(
                CORE,
                "groups = dict(sorted({**groups, op.gid: op.servers}.items()))",
                """
                old = [config.groups[op.gid] for config in self.configs if op.gid in config.groups]
                groups = dict(sorted({**groups, op.gid: [*old, op.servers][0]}.items()))
                """,
            ),
        ),
        ("test_group_comes_again",),
    ),
    Mistake(
        "SM18",
        "Move to a group that does not exist",
        "The shard belongs to a group without servers.",
        (
            Edit(
                CORE,
                'elif op.kind == "move" and op.gid in groups and 0 <= op.number < len(shards):',
                'elif op.kind == "move" and 0 <= op.number < len(shards):',
            ),
        ),
        ("test_move_to_nowhere",),
    ),
    Mistake(
        "",
        "Move of a shard that does not exist",
        "It stops all masters, or moves the last shard, where its number is below 0.",
        (
            Edit(
                CORE,
                'elif op.kind == "move" and op.gid in groups and 0 <= op.number < len(shards):',
                'elif op.kind == "move" and op.gid in groups:',
            ),
        ),
        ("test_move_to_nowhere", "test_number_of_shards"),
    ),
    Mistake(
        "",
        "the number of shards is a constant",
        "Masters that are started with another number have ten shards.",
        (Edit(SERVER, "self.configurations = Configurations(shards)", "self.configurations = Configurations(10)"),),
        ("test_number_of_shards",),
    ),
]

QUERIES = [
    Mistake(
        "SM8",
        "Query is answered by the master alone",
        "It may have missed what others have answered.",
        (
            Edit(
                SERVER,
                'config = self.configurations.find(op.number) if op.kind == "query" else None',
                """
                newest = self.configurations.configs[-1]
                config = (self.configurations.find(op.number) or newest) if op.kind == "query" else None
                """,
            ),
        ),
        ("test_fresh_query", "test_minority_waits", "test_fresh_query_after_a_partition", "test_master_that_slept"),
    ),
    Mistake(
        "SM8",
        "a Query beyond the newest is answered by the master alone",
        "Only -1 goes through the log.",
        (
            Edit(
                SERVER,
                'config = self.configurations.find(op.number) if op.kind == "query" else None',
                """
                newest = self.configurations.configs[-1]
                fresh = op.kind != "query" or op.number == -1
                config = None if fresh else self.configurations.find(op.number) or newest
                """,
            ),
        ),
        ("test_query_beyond_the_newest",),
    ),
    Mistake(
        "SM11",
        "Query beyond the newest gives configuration 0",
        "A number that is too high means the newest.",
        (
            Edit(
                CORE,
                "return Found(self.find(op.number) or self.configs[-1])",
                "return Found(self.find(op.number) or self.configs[-1 if op.number == -1 else 0])",
            ),
        ),
        ("test_query_beyond_the_newest",),
    ),
]

ONCE = [
    Mistake(
        "SM16",
        "a master recognises no duplicate",
        "A repeated Move undoes what came between; so does a repeated Join or Leave.",
        (
            Edit(
                CORE,
                'return op.kind != "query" and op.seq <= self.newest.get(op.client, 0)',
                "return False",
            ),
        ),
        (
            "test_late_retry_of_a_move",
            "test_late_retries_of_join_and_leave",
            "test_doubled_moves",
            "test_two_masters_propose_one_move",
            "test_many_clerks_evil",
            "test_masters_in_a_storm",
        ),
    ),
    Mistake(
        "SM16",
        "duplicates of Join and Leave are thought to be harmless",
        "A group that had left is there again.",
        (
            Edit(
                CORE,
                'return op.kind != "query" and op.seq <= self.newest.get(op.client, 0)',
                'return op.kind == "move" and op.seq <= self.newest.get(op.client, 0)',
            ),
        ),
        ("test_late_retries_of_join_and_leave",),
    ),
    Mistake(
        "SM16",
        "duplicates are recognised when they come and not when they are executed",
        "Two masters may propose the same request.",
        (
            Edit(
                CORE,
                """
                if not self.was_executed(op):
                    self.newest[op.client] = op.seq
                    self._change(op)
                """,
                """
                self.newest[op.client] = op.seq
                self._change(op)
                """,
            ),
        ),
        ("test_two_masters_propose_one_move",),
    ),
    Mistake(
        "SM16",
        "only a client's very last request is recognised",
        "A copy of the one before is executed again.",
        (
            Edit(
                CORE,
                'return op.kind != "query" and op.seq <= self.newest.get(op.client, 0)',
                'return op.kind != "query" and op.seq == self.newest.get(op.client, 0)',
            ),
        ),
        ("test_doubled_moves", "test_many_clerks_evil"),
    ),
    Mistake(
        "",
        "a clerk gives a retried request a new number",
        "It is another request then.",
        (
            Edit(
                CLERK,
                "self._asked = (self._asked + 1) % len(self.servers)",
                """
                op.seq = self._next_seq()
                self._asked = (self._asked + 1) % len(self.servers)
                """,
            ),
        ),
        ("test_late_retry_of_a_move", "test_many_clerks_unreliable"),
    ),
    Mistake(
        "",
        "a clerk is known by its name",
        "When it restarts, it counts from 1 again, and nothing of what it asks is done.",
        (
            Edit(
                CLERK,
                "self.client = host.random.getrandbits(62)",
                "self.client = int.from_bytes(host.name.encode()) % 2**62",
            ),
        ),
        ("test_clerk_restarts",),
    ),
]

REPLICAS = [
    Mistake(
        "SM9",
        "Done is never called",
        "The log is never forgotten.",
        (
            Edit(
                SERVER,
                "self.ops: ClientOps[Op] = ClientOps(host, self.rsm)",
                """
                self.ops: ClientOps[Op] = ClientOps(host, self.rsm)
                self.rsm.paxos.done = lambda seq: None
                """,
            ),
        ),
        ("test_min", "test_lagging_master_catches_up", "test_memory"),
    ),
    Mistake(
        "",
        "an operation that the leader did not answer is given up",
        "A master that cannot reach the one that led never answers again.",
        (
            Edit(
                SERVER,
                "return self.ops.pass_on(op, leader, Execute(op, passed_on=True))",
                "return self._hand_on(leader, Execute(op, passed_on=True))",
            ),
            Edit(
                SERVER,
                "def get_config(self, request: GetConfig) -> Found | Unknown:",
                """
                async def _hand_on(self, leader: str, request: Execute) -> Any:
                    try:
                        return await self.host.call(leader, request, timeout=0.3)
                    except Exception:
                        await self.host.sleep(1e9)

                def get_config(self, request: GetConfig) -> Found | Unknown:
                """,
            ),
        ),
        ("test_masters_die",),
    ),
    Mistake(
        "",
        "a clerk stays with one master",
        "It waits for the dead.",
        (
            Edit(
                CLERK,
                "self._asked = (self._asked + 1) % len(self.servers)",
                "self._asked = 0",
            ),
        ),
        ("test_masters_die",),
    ),
    Mistake(
        "",
        "a master that lost its memory gets the newest configuration only",
        "It gives others for those that came before.",
        (
            Edit(
                CORE,
                "return encode((self.configs, self.newest))",
                "return encode((self.configs[-1:], self.newest))",
            ),
        ),
        ("test_master_that_lost_its_memory",),
    ),
    Mistake(
        "",
        "a master remembers every request",
        "Its memory grows with what was asked, for ever.",
        (
            Edit(
                CORE,
                "self.newest[op.client] = op.seq",
                """
                self.newest[op.client] = op.seq
                self.newest[2**62 + hash((op.client, op.seq))] = op.seq
                """,
            ),
        ),
        ("test_memory",),
    ),
]

MISTAKES = [*SHARING, *CONFIGURATIONS, *QUERIES, *ONCE, *REPLICAS]
