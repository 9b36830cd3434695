"""Mistakes in the sharded key/value service, and the graded tests that have to notice them."""

from labs.mistakes import Edit, Mistake

CORE = "shardkv/core.py"
SERVER = "shardkv/server.py"
CLERK = "shardkv/clerk.py"
NEWS = "shardmaster/clerk.py"

SERVED_WHEN_EXECUTED = """
if holding.state != "serving":
    return WrongGroup(self.config.num)
"""
SERVED_WHEN_ASKED = 'return self.ops.submit(op) if holding.state == "serving" else WrongGroup(self.group.config.num)'
IS_OVERDUE = "return self.host.now() - self._first_seen.setdefault(thing, self.host.now()) > OVERDUE"

SERVING = [
    Mistake(
        "SK2",
        "who serves a shard is asked when a request comes, and not when it is executed",
        "Between the two the shard may be given up, and what is executed then is lost.",
        (Edit(CORE, SERVED_WHEN_EXECUTED, ""),),
        ("test_requests_behind_a_configuration", "test_shared_keys_evil", "test_concurrent_moves_unreliable"),
    ),
    Mistake(
        "SK3",
        "nobody asks who serves a shard",
        "Any group executes anything.",
        (Edit(CORE, SERVED_WHEN_EXECUTED, ""), Edit(SERVER, SERVED_WHEN_ASKED, "return self.ops.submit(op)")),
        ("test_concurrent_moves", "test_untouched_shards_go_on", "test_wrong_group_leaves_no_trace"),
    ),
    Mistake(
        "SK4",
        "a group goes on serving what it hands over",
        "What is written meanwhile stays behind.",
        (
            Edit(CORE, 'if holding.state != "serving":', 'if holding.state not in ("serving", "leaving"):'),
            Edit(SERVER, SERVED_WHEN_ASKED, "return self.ops.submit(op)"),
        ),
        ("test_untouched_shards_go_on", "test_last_group_leaves"),
    ),
    Mistake(
        "SK18",
        "a request that is refused is noted as executed",
        "The retry is answered, and does nothing.",
        (
            Edit(
                CORE,
                SERVED_WHEN_EXECUTED,
                """
                if holding.state != "serving":
                    holding.newest[op.client] = op.seq
                    return WrongGroup(self.config.num)
                """,
            ),
            Edit(SERVER, SERVED_WHEN_ASKED, "return self.ops.submit(op)"),
        ),
        ("test_wrong_group_leaves_no_trace", "test_concurrent_moves"),
    ),
    Mistake(
        "SK20",
        "no duplicate is recognised",
        "A retry is executed again.",
        (Edit(CORE, "newest = self.newest.get(op.client, 0)", "newest = 0"),),
        ("test_concurrent_moves_unreliable", "test_retry_where_the_shard_has_moved"),
    ),
    Mistake(
        "SK23",
        "a Get is answered from what the server has",
        "It may have missed that its shard has moved.",
        (
            Edit(
                SERVER,
                "leader = self.rsm.leader\nif request.route == HERE or leader is None or leader == self.host.name:",
                """
                if op.kind == "get" and holding.state == "serving":
                    return self.group.execute(op)
                leader = self.rsm.leader
                if request.route == HERE or leader is None or leader == self.host.name:
                """,
            ),
        ),
        ("test_cut_off_server_of_the_old_group", "test_server_slept_while_its_shard_moved"),
    ),
    Mistake(
        "SK24",
        "a Get whose shard was given up meanwhile finds nothing there",
        "The empty string is answered where a refusal was due.",
        (
            Edit(CORE, 'if holding.state != "serving":', 'if holding.state != "serving" and op.kind != "get":'),
            Edit(SERVER, SERVED_WHEN_ASKED, "return self.ops.submit(op)"),
        ),
        ("test_shared_keys", "test_basic_join_leave"),
    ),
    Mistake(
        "",
        "nothing is served while something is on its way",
        "One group that does not answer stops another.",
        (
            Edit(
                CORE,
                'if holding.state != "serving":',
                'if any(each.state not in ("serving", "gone") for each in self.holdings) or holding.state == "gone":',
            ),
        ),
        ("test_untouched_shards_go_on", "test_served_as_they_arrive"),
    ),
    Mistake(
        "",
        "a shard is found by its key's first character",
        "Group and clerk agree on it, and yet it is another shard than everybody else's.",
        (
            Edit(
                CORE,
                "return self.holdings[shard_of(key, len(self.holdings))]",
                "return self.holdings[ord(key[0]) % len(self.holdings) if key else 0]",
            ),
            Edit(
                CORE,
                "holding = self.holdings[shard_of(op.key, len(self.holdings))]",
                "holding = self.holding(op.key)",
            ),
            Edit(
                CLERK,
                "gid = self._config.shards[shard_of(key, len(self._config.shards))]",
                "gid = self._config.shards[ord(key[0]) % len(self._config.shards) if key else 0]",
            ),
        ),
        ("test_any_key",),
    ),
]

CONFIGURATIONS = [
    Mistake(
        "SK1",
        "each server follows the configurations by itself, outside of the log",
        "What is executed before and what after is another thing at each of them.",
        (
            Edit(
                SERVER,
                "if not self.group.can_follow(config) or not (self._leads() or self._is_overdue(config.num)):",
                "if not self.group.can_follow(config):",
            ),
            Edit(SERVER, "await self.rsm.submit(NextConfig(config))", "self.apply(NextConfig(config))"),
        ),
        ("test_shared_keys", "test_concurrent_moves"),
    ),
    Mistake(
        "SK11",
        "a server hands over what it has itself",
        "It may have missed the last writes.",
        (
            Edit(
                SERVER,
                "if not self.group.can_follow(config) or not (self._leads() or self._is_overdue(config.num)):",
                "if not self.group.can_follow(config):",
            ),
            Edit(SERVER, "await self.rsm.submit(NextConfig(config))", "self.apply(NextConfig(config))"),
            Edit(SERVER, "await self.rsm.submit(Begin(num, shard))", "self.apply(Begin(num, shard))"),
        ),
        ("test_lagging_server_hands_nothing_over",),
    ),
    Mistake(
        "SK21",
        "a group goes straight to the newest configuration",
        "Whoever had a shard in between is never asked.",
        (
            Edit(
                SERVER,
                "while (config := await self._masters.get(self.group.config.num + 1)) is not None:",
                "while (config := await self._masters.get(-1)) is not None:",
            ),
            Edit(CORE, "config.num == self.config.num + 1", "config.num > self.config.num"),
        ),
        ("test_changes_pile_up", "test_concurrent_moves"),
    ),
    Mistake(
        "SK28",
        "the next configuration is followed while shards are still to come",
        "They come too late.",
        (Edit(CORE, 'and all(holding.state != "arriving" for holding in self.holdings)', ""),),
        ("test_changes_without_a_pause", "test_concurrent_moves"),
    ),
    Mistake(
        "",
        "a group takes back what it has begun to give away",
        "Then two have it.",
        (
            Edit(
                CORE,
                "and not any(holding.begun and self._is_ours(config, shard) "
                "for shard, holding in enumerate(self.holdings))",
                "",
            ),
        ),
        ("test_shared_keys_evil", "test_changes_without_a_pause"),
    ),
    Mistake(
        "",
        "a shard that nobody is to have is thrown away",
        "The data is lost when the last group leaves.",
        (
            Edit(
                CORE,
                """
                holding.to = owner(self.config, shard)
                self._set(shard, "leaving")
                """,
                """
                holding.to = owner(self.config, shard)
                self._set(shard, "leaving")
                if holding.to == _nobody:
                    self.holdings[shard] = _nothing(self.config.num)
                """,
            ),
        ),
        ("test_last_group_leaves",),
    ),
    Mistake(
        "",
        "the state for those that were away has no configuration",
        "A server that restarts knows neither what is its group's nor what comes next.",
        (
            Edit(
                CORE,
                "self.config, self.holdings, self.was_owned = _states.decode(state)",
                "_, self.holdings, self.was_owned = _states.decode(state)",
            ),
        ),
        ("test_server_without_memory",),
    ),
    Mistake(
        "",
        "one master is asked, and no other",
        "It may be dead, or cut off from those that know.",
        (Edit(NEWS, "self._turn = (self._turn + 1) % len(self.servers)", "self._turn = 0"),),
        ("test_master_cut_off", "test_masters_sleep_and_die"),
    ),
    Mistake(
        "",
        "a clerk asks the masters before each operation",
        "They are in the way of everything, and needed for everything.",
        (
            Edit(
                CLERK,
                "self.seq += 1",
                """
                self.seq += 1
                while (config := await self._masters.get(-1)) is None:
                    await self._rest(LAST_PAUSE)
                self._config = config
                """,
            ),
        ),
        ("test_no_master_is_needed",),
    ),
]

HANDOVERS = [
    Mistake(
        "SK5",
        "a group gives nothing away while it waits for something itself",
        "Two groups that exchange shards wait for each other.",
        (
            Edit(
                CORE,
                'if holding.state == "leaving" and holding.to != _nobody:',
                """
                if any(each.state == "arriving" for each in self.holdings):
                    continue
                if holding.state == "leaving" and holding.to != _nobody:
                """,
            ),
        ),
        ("test_changes_pile_up", "test_groups_give_to_each_other"),
    ),
    Mistake(
        "SK7",
        "a shard is confirmed before it is in the log",
        "Whoever handed it over deletes it, and the one who has it dies.",
        (
            Edit(SERVER, "self._rest_until = 0.0", "self._rest_until = 0.0\nself._taken = set()"),
            Edit(
                SERVER,
                """
                await self.rsm.submit(piece)
                return self.group.answer(request.gid, piece.num, piece.shard)
                """,
                """
                self.rsm.submit(piece)
                self._taken.add((piece.num, piece.shard))
                return Settled()
                """,
            ),
            Edit(
                SERVER,
                "answer = self.group.answer(request.gid, request.num, request.shard)",
                """
                if (request.num, request.shard) in self._taken:
                    return Settled()
                answer = self.group.answer(request.gid, request.num, request.shard)
                """,
            ),
        ),
        ("test_kept_until_received",),
    ),
    Mistake(
        "SK8",
        "a shard is handed over once, whatever comes of it",
        "If the other group does not answer, it waits for ever.",
        (
            Edit(
                SERVER,
                "pause = FIRST_PAUSE\nwhile (handover := self.group.handover(num, shard)) is not None:",
                """
                pause = FIRST_PAUSE
                for _ in range(3):
                    if (handover := self.group.handover(num, shard)) is None:
                        break
                """,
            ),
            Edit(SERVER, "self._handing_over.discard((num, shard))", "pass"),
            Edit(SERVER, IS_OVERDUE, "return False"),
        ),
        ("test_untouched_shards_go_on", "test_changes_pile_up"),
    ),
    Mistake(
        "SK9",
        "only the first server of the other group is asked",
        "It may be dead, or cut off.",
        (Edit(SERVER, "return place % len(handover.to.servers)", "return 0"),),
        ("test_dead_replicas", "test_kept_until_received", "test_receiver_without_one"),
    ),
    Mistake(
        "SK10",
        "all servers of the other group have to confirm",
        "One that is dead keeps a shard from ever being gone.",
        (
            Edit(
                SERVER,
                "return await self._ask(handover, Offer(handover.to.gid, handover.num, handover.shard))",
                """
                offer = Offer(handover.to.gid, handover.num, handover.shard)
                for server in handover.to.servers:
                    try:
                        reply = await self.host.call(server, offer, timeout=PIECE_TIMEOUT)
                    except CallFailed:
                        return None
                return reply
                """,
            ),
        ),
        ("test_dead_replicas", "test_receiver_without_one"),
    ),
    Mistake(
        "SK12",
        "nobody asks whether the other group is in the configuration",
        "What comes too early is not taken, and deleted where it was.",
        (
            Edit(CORE, "if gid != self.gid or self.config.num < num:", "if gid != self.gid:"),
            Edit(
                SERVER,
                'if isinstance(reply, Awaited) and handover.kind == "offer":',
                'if handover.kind == "offer":',
            ),
        ),
        ("test_basic_join_leave", "test_concurrent_moves"),
    ),
    Mistake(
        "SK13",
        "a shard that does not come soon is taken for empty",
        "It comes later, and is not taken any more.",
        (
            Edit(SERVER, "self._rest_until = 0.0", "self._rest_until = 0.0\nself._waiting = {}"),
            Edit(
                SERVER,
                "upcoming = self.group.config.num + 1",
                """
                upcoming = self.group.config.num + 1
                for shard, holding in enumerate(self.group.holdings):
                    since = self._waiting.setdefault((shard, holding.since), self.host.now())
                    if holding.state == "arriving" and self.host.now() - since > 0.5:
                        self.rsm.submit(Part(holding.since, shard, b"\\x92\\x80\\x80", 0, 0, []))
                """,
            ),
        ),
        ("test_untouched_shards_go_on", "test_served_as_they_arrive", "test_kept_until_received"),
    ),
    Mistake(
        "SK14",
        "all that a group has is sent with each shard",
        "There are copies of keys where they do not belong.",
        (
            Edit(
                CORE,
                "return cut(handover.num, handover.shard, holding)",
                """
                values = {key: value for each in self.holdings for key, value in each.values.items()}
                return cut(handover.num, handover.shard, msgspec.structs.replace(holding, values=values))
                """,
            ),
        ),
        ("test_moved_shards_are_deleted", "test_any_key"),
    ),
    Mistake(
        "SK15",
        "the duplicate table stays behind when a shard moves",
        "A retry is executed again by the new group.",
        (
            Edit(
                CORE,
                "return cut(handover.num, handover.shard, holding)",
                "return cut(handover.num, handover.shard, msgspec.structs.replace(holding, newest={}))",
            ),
        ),
        ("test_retry_where_the_shard_has_moved", "test_late_request_after_return"),
    ),
    Mistake(
        "SK16",
        "the duplicate table that comes with a shard replaces all that was known",
        "A retry for another shard is executed again.",
        (
            Edit(
                CORE,
                "holding.newest.update(newest)",
                """
                for each in self.holdings:
                    each.newest = newest
                """,
            ),
        ),
        ("test_arriving_notes_replace_none",),
    ),
    Mistake(
        "SK22",
        "a piece of a shard is taken whenever it comes",
        "It comes for a second time, when the shard has been written, and brings old values back.",
        (
            Edit(
                CORE,
                "if not self._awaits(part.num, part.shard):",
                'if self.holdings[part.shard].state not in ("arriving", "serving"):',
            ),
        ),
        ("test_shared_keys_evil",),
    ),
    Mistake(
        "SK25",
        "what was handed over is kept and served",
        "Two groups serve a shard.",
        (
            Edit(CORE, 'if holding.state != "serving":', 'if holding.state not in ("serving", "leaving"):'),
            Edit(SERVER, SERVED_WHEN_ASKED, "return self.ops.submit(op)"),
            Edit(CORE, "if holding.begun and holding.since == entry.num:", "if False:"),
        ),
        ("test_moved_shards_are_deleted", "test_dead_replicas"),
    ),
    Mistake(
        "",
        "what was handed over is kept",
        "It is never used again, and never deleted.",
        (Edit(CORE, "if holding.begun and holding.since == entry.num:", "if False:"),),
        ("test_moved_shards_are_deleted", "test_memory_of_moved_shards"),
    ),
    Mistake(
        "",
        "a shard is served when its first part has come",
        "The rest is missing.",
        (Edit(CORE, "if len(holding.values) == part.keys and len(holding.newest) == part.clients:", "if True:"),),
        ("test_giver_without_one", "test_receiver_without_one"),
    ),
    Mistake(
        "",
        "only the one who leads hands over, dead or alive",
        "A move ends with it, until somebody writes to the group.",
        (
            Edit(
                SERVER,
                "return self.rsm.leader in (None, self.host.name, self._silent)",
                "return self.rsm.leader in (None, self.host.name)",
            ),
            Edit(SERVER, IS_OVERDUE, "return False"),
        ),
        ("test_giver_without_one",),
    ),
]

CLERKS = [
    Mistake(
        "SK19",
        "what was refused is asked again as a new request",
        "It had been executed before, and is executed again.",
        (
            Edit(
                CLERK,
                "# A group that is in an older configuration will follow, and a shard that it waits for will arrive.",
                """
                if isinstance(reply, WrongGroup):
                    self.seq += 1
                    op = Op(kind, self.client, self.seq, key, value)
                """,
            ),
        ),
        ("test_retry_where_the_shard_has_moved", "test_concurrent_moves_unreliable"),
    ),
    Mistake(
        "",
        "a clerk stays with one server of a group",
        "It may be dead.",
        (Edit(CLERK, "self._asked[gid] = (asked + 1) % len(servers)", "pass"),),
        ("test_dead_replicas", "test_no_master_is_needed"),
    ),
]

MISTAKES = [*SERVING, *CONFIGURATIONS, *HANDOVERS, *CLERKS]
