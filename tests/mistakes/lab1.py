"""Mistakes in lab 1, and the graded tests that have to notice them."""

from labs.mistakes import Edit, Mistake

VIEWS = "viewservice/core.py"
VIEW_SERVER = "viewservice/server.py"
REPLICA = "pbservice/core.py"
SERVER = "pbservice/server.py"
CLERK = "pbservice/clerk.py"

IGNORES_RESTART_OF_PRIMARY = Edit(
    VIEWS,
    """
    if viewnum == 0:
        self._says_it_restarted(me, server)
    """,
    """
    if viewnum == 0 and me == self.view.primary:
        pass
    elif viewnum == 0:
        self._says_it_restarted(me, server)
    """,
)
TRUSTS_ITSELF_AS_PRIMARY = Edit(
    REPLICA,
    "if view.primary == self.name and view.viewnum == self.valid_in + 1:",
    "if view.primary == self.name:",
)
OPERATIONS_MAY_WAIT = (
    Edit(
        SERVER,
        'def operation(self, request: Read | Write) -> "NotPrimary | asyncio.Future[Outcome]":',
        "async def operation(self, request: Read | Write) -> Outcome:",
    ),
    Edit(SERVER, "return outcome", "return await outcome"),
)
FORWARDS_WRITES_ONLY = Edit(
    SERVER,
    "if view.backup and not await self.forward(batch):",
    """
    has_writes = any(isinstance(request, Write) for request in batch)
    if view.backup and has_writes and not await self.forward(batch):
    """,
)

VIEW_SERVICE = [
    Mistake(
        "VS1",
        "the primary's Ping(0) is a sign of life",
        "A restarted primary has no data, and goes on being primary.",
        (IGNORES_RESTART_OF_PRIMARY,),
        ("test_restarted_primary_is_dead", "test_restarted_primary_becomes_backup_at_once"),
    ),
    Mistake(
        "VS2",
        "idle servers are ignored while the view is full",
        "When one of the two dies, nobody is known who could take its place.",
        (
            Edit(
                VIEWS,
                "server = self._servers.get(me)",
                """
                if self.view.backup and me not in (self.view.primary, self.view.backup):
                    return self.view
                server = self._servers.get(me)
                """,
            ),
        ),
        ("test_promotion_and_recruiting_in_one_view",),
    ),
    Mistake(
        "VS3",
        "promotion now, recruiting in the next view",
        "In between the data exists once.",
        (
            Edit(
                VIEWS,
                """
                primary = backup
                backup = self._longest_waiting(primary)
                """,
                'primary, backup = backup, ""',
            ),
        ),
        ("test_promotion_and_recruiting_in_one_view", "test_restarted_primary_becomes_backup_at_once"),
    ),
    Mistake(
        "VS4",
        "views need no acknowledgement",
        "A backup is promoted before it has the data.",
        (Edit(VIEWS, "self.acknowledged = False", "self.acknowledged = True"),),
        ("test_waits_for_acknowledgement", "test_first_view_waits_too", "test_old_number_is_no_acknowledgement"),
    ),
    Mistake(
        "VS5",
        "anybody acknowledges",
        "The backup's Ping says nothing about what the primary knows.",
        (
            Edit(
                VIEWS,
                "elif me == self.view.primary and viewnum == self.view.viewnum and not self._primary_restarted:",
                "elif viewnum == self.view.viewnum and not self._primary_restarted:",
            ),
        ),
        ("test_waits_for_acknowledgement",),
    ),
    Mistake(
        "VS5",
        "any Ping of the primary acknowledges",
        "A primary that does not know of the view yet has not sent its data to the backup.",
        (
            Edit(
                VIEWS,
                "elif me == self.view.primary and viewnum == self.view.viewnum and not self._primary_restarted:",
                "elif me == self.view.primary and not self._primary_restarted:",
            ),
        ),
        ("test_old_number_is_no_acknowledgement",),
    ),
    Mistake(
        "VS6",
        "an idle server takes the place of a lone primary that died",
        "All data is gone, and clerks are told that no key was ever written.",
        (
            Edit(
                VIEWS,
                "elif not (self._primary_restarted and not backup):",
                """
                elif not backup and self._servers and not self._primary_restarted:
                    primary = self._longest_waiting("")
                elif not (self._primary_restarted and not backup):
                """,
            ),
        ),
        ("test_dead_lone_primary",),
    ),
    Mistake(
        "VS7",
        "a dead backup stays if nobody can replace it",
        "The primary waits for a dead server for ever.",
        (
            Edit(
                VIEWS,
                """
                if backup not in self._servers or self._backup_restarted:
                    backup = self._longest_waiting(primary)
                """,
                """
                if backup not in self._servers or self._backup_restarted:
                    backup = self._longest_waiting(primary) or backup
                """,
            ),
        ),
        ("test_dead_backup_is_removed",),
    ),
    Mistake(
        "VS8",
        "when a lone primary restarts, the view is empty, and whoever comes next is primary",
        "The new primary never had the data.",
        (
            Edit(
                VIEWS,
                "changed = (primary, backup) != (self.view.primary, self.view.backup)",
                """
                if self._primary_restarted and not self.view.backup:
                    primary = backup = ""
                changed = (primary, backup) != (self.view.primary, self.view.backup)
                """,
            ),
            Edit(
                VIEWS,
                "server.silent_ticks = 0",
                """
                server.silent_ticks = 0
                if self.view.viewnum > 0 and not self.view.primary:
                    self.view = View(self.view.viewnum + 1, me, "")
                """,
            ),
        ),
        ("test_restarted_lone_primary",),
    ),
    Mistake(
        "VS9",
        "the restart of the backup is ignored",
        "The primary is not told that its backup needs the data again.",
        (Edit(VIEWS, "self._backup_restarted = True", "self._backup_restarted = False"),),
        ("test_restarted_backup_is_announced",),
    ),
    Mistake(
        "VS10",
        "dead after eight intervals",
        "Clerks wait longer than they have to.",
        (Edit(VIEWS, "DEAD_TICKS = DEAD_PINGS * TICKS_PER_PING", "DEAD_TICKS = 8 * TICKS_PER_PING"),),
        ("test_death_after_five_intervals",),
    ),
    Mistake(
        "VS10",
        "dead after three intervals",
        "Servers that are only slow lose their part.",
        (Edit(VIEWS, "DEAD_TICKS = DEAD_PINGS * TICKS_PER_PING", "DEAD_TICKS = 3 * TICKS_PER_PING"),),
        ("test_death_after_five_intervals",),
    ),
    Mistake(
        "VS11",
        "an idle server is promoted when both are dead",
        "It never had the data.",
        (
            Edit(
                VIEWS,
                "elif not (self._primary_restarted and not backup):",
                """
                elif backup and self._servers:
                    primary, backup = self._longest_waiting(""), ""
                elif not (self._primary_restarted and not backup):
                """,
            ),
        ),
        ("test_uninitialised_server_is_no_primary",),
    ),
    Mistake(
        "VS12",
        "idle servers never die",
        "A dead server becomes backup, and the primary waits for it.",
        (
            Edit(
                VIEWS,
                "if server.silent_ticks >= DEAD_TICKS:",
                "if server.silent_ticks >= DEAD_TICKS and name in (self.view.primary, self.view.backup):",
            ),
        ),
        ("test_dead_idle_server_is_not_recruited",),
    ),
    Mistake(
        "VS13",
        "who asks before the first view gets no answer",
        "Clerks may come before servers.",
        (
            Edit(
                VIEW_SERVER,
                "return self.service.view",
                """
                assert self.service.view.viewnum > 0, "there is no view yet"
                return self.service.view
                """,
            ),
        ),
        ("test_first_primary",),
    ),
    Mistake(
        "VS15",
        "the time that a tick takes comes on top of the time between two",
        "A dead server is declared dead late.",
        (
            Edit(VIEW_SERVER, "def tick(self) -> None:", "async def tick(self) -> None:"),
            Edit(
                VIEW_SERVER,
                "self.service.tick()",
                """
                await self.host.sleep(PING_INTERVAL / TICKS_PER_PING)
                self.service.tick()
                """,
            ),
        ),
        ("test_death_after_five_intervals",),
    ),
]

FORWARDING = [
    Mistake(
        "PB1",
        "Gets do not ask the backup",
        "A primary that was replaced, and does not know it, gives old values.",
        (FORWARDS_WRITES_ONLY,),
        ("test_old_primary_serves_no_gets", "test_get_after_put", "test_pings_that_hang", "test_primary_that_slept"),
    ),
    Mistake(
        "PB2",
        "Gets do not ask the backup, and a server gives up its part when a Ping fails",
        "That hides the mistake where Pings fail at once, and not where they hang.",
        (
            FORWARDS_WRITES_ONLY,
            Edit(SERVER, "self._pinging = asyncio.Lock()", "self._pinging = asyncio.Lock()\nself.is_cut_off = False"),
            Edit(
                SERVER,
                "view = await self.host.call(self.viewserver, Ping(self.host.name, told), timeout=PING_TIMEOUT)",
                """
                view = await self.host.call(self.viewserver, Ping(self.host.name, told))
                self.is_cut_off = False
                """,
            ),
            Edit(
                SERVER,
                """
                except CallFailed:
                    return
                """,
                """
                except CallFailed:
                    self.is_cut_off = True
                    return
                """,
            ),
            Edit(
                SERVER,
                """
                if not self.replica.is_primary:
                    return NotPrimary()
                """,
                """
                if not self.replica.is_primary or self.is_cut_off:
                    return NotPrimary()
                """,
            ),
        ),
        ("test_pings_that_hang", "test_primary_that_slept"),
    ),
    Mistake(
        "PB3",
        "a Get is answered when the backup is silent",
        "A primary that is cut off from everybody gives old values.",
        (
            Edit(
                SERVER,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                """,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                if not request.writes:
                    return True
                """,
            ),
        ),
        ("test_partitioned_old_primary_completes_no_gets",),
    ),
    Mistake(
        "PB4",
        "a write is answered when the forward fails, and the backup gets everything later",
        "What was answered is lost if the primary dies before that.",
        (
            Edit(
                SERVER,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                """,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                if self.replica.view == view:
                    self.replica.backup_is_synced = False
                return True
                """,
            ),
        ),
        ("test_no_answer_before_backup",),
    ),
    Mistake(
        "PB6",
        "a failed forward is ignored",
        "What was answered is lost with the primary.",
        (
            Edit(
                SERVER,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                """,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                return True
                """,
            ),
        ),
        ("test_no_answer_before_backup", "test_retried_append_reaches_backup"),
    ),
    Mistake(
        "PB5",
        "answers first, forwards later",
        "What was answered is lost with the primary.",
        (
            Edit(
                SERVER,
                """
                if view.backup and not await self.forward(batch):
                    self._queue[:0] = taken
                    return
                """,
                """
                if view.backup:
                    asyncio.get_running_loop().create_task(self.forward(batch))
                """,
            ),
        ),
        ("test_no_answer_before_backup",),
    ),
    Mistake(
        "PB7",
        "executed before it is forwarded, and the retry is answered as a duplicate",
        "What was answered is lost with the primary.",
        (
            Edit(
                SERVER,
                """
                if not self.replica.is_primary:
                    return NotPrimary()
                """,
                """
                if not self.replica.is_primary:
                    return NotPrimary()
                if isinstance(request, Write) and request.seq <= self.replica.newest.get(request.client, 0):
                    outcome = asyncio.get_running_loop().create_future()
                    outcome.set_result(Done())
                    return outcome
                """,
            ),
            Edit(
                SERVER,
                "batch = [request for request, _ in taken]",
                """
                batch = [request for request, _ in taken]
                replies = self.replica.execute(batch)
                """,
            ),
            Edit(
                SERVER,
                "for (_, outcome), reply in zip(taken, self.replica.execute(batch), strict=True):",
                "for (_, outcome), reply in zip(taken, replies, strict=True):",
            ),
            Edit(
                REPLICA,
                "return Forward(self.view.viewnum, self.batch + 1, [op for op in batch if isinstance(op, Write)])",
                "return Forward(self.view.viewnum, self.batch, [op for op in batch if isinstance(op, Write)])",
            ),
        ),
        ("test_no_answer_before_backup",),
    ),
    Mistake(
        "PB8",
        "operations are forwarded side by side",
        "The backup executes them in another order than the primary.",
        (
            Edit(
                SERVER,
                'def operation(self, request: Read | Write) -> "NotPrimary | asyncio.Future[Outcome]":',
                "async def operation(self, request: Read | Write) -> Outcome:",
            ),
            Edit(
                SERVER,
                """
                outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
                self._queue.append((request, outcome))
                self._work.set()
                return outcome
                """,
                """
                while not self.replica.backup_is_synced:
                    await self.host.sleep(RETRY_PAUSE)
                if self.replica.view.backup and not await self.forward([request]):
                    return NotPrimary()
                return self.replica.execute([request])[0]
                """,
            ),
            Edit(
                REPLICA,
                """
                if not self.is_valid or request.batch > self.batch + 1:
                    return NotSynced()
                if request.batch == self.batch + 1:
                    self.execute(request.writes)
                """,
                """
                if not self.is_valid:
                    return NotSynced()
                self.execute(request.writes)
                """,
            ),
        ),
        ("test_concurrent_appends", "test_ten_appenders_unreliable"),
    ),
    Mistake(
        "PB9",
        "a failed batch is put together anew under the same number",
        "The backup, which has executed that number, accepts what it never saw.",
        (
            Edit(
                SERVER,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                """,
                """
                reply = await self.host.call(view.backup, request, timeout=PEER_TIMEOUT)
            except CallFailed:
                await self.host.sleep(RETRY_PAUSE)
                return False
                """,
            ),
        ),
        ("test_ten_appenders_unreliable", "test_lost_reply_of_backup"),
    ),
    Mistake(
        "PB10",
        "any server executes what a clerk asks",
        "The primary never hears of it.",
        (
            Edit(
                SERVER,
                """
                if not self.replica.is_primary:
                    return NotPrimary()
                """,
                """
                if not self.replica.is_primary:
                    return self.replica.execute([request])[0]
                """,
            ),
        ),
        ("test_backup_executes_nothing_by_itself",),
    ),
    Mistake(
        "PB11",
        "a server confirms what is forwarded to it, in whatever view",
        "An old primary goes on, with the new one as its backup.",
        (
            Edit(
                REPLICA,
                """
                if not self.is_backup or request.viewnum != self.view.viewnum:
                    return NotBackup(self.view.viewnum)
                if not self.is_valid or request.batch > self.batch + 1:
                    return NotSynced()
                if request.batch == self.batch + 1:
                """,
                "if request.batch > self.batch:",
            ),
        ),
        ("test_old_primary_serves_no_gets", "test_get_after_put", "test_old_primary_completes_no_append"),
    ),
    Mistake(
        "PB11",
        "only what is forwarded in a later view is refused",
        "What an old primary forwards looks like what the new one has executed already, once that has done more.",
        (
            Edit(
                REPLICA,
                """
                if not self.is_backup or request.viewnum != self.view.viewnum:
                    return NotBackup(self.view.viewnum)
                if not self.is_valid or request.batch > self.batch + 1:
                """,
                """
                if request.viewnum > self.view.viewnum:
                    return NotBackup(self.view.viewnum)
                if not self.is_valid or request.batch > self.batch + 1:
                """,
            ),
        ),
        ("test_old_primary_completes_no_append",),
    ),
    Mistake(
        "PB21",
        "the new value is forwarded, and not what an Append adds",
        "A retry that waits in the same batch adds to it twice.",
        (
            Edit(
                REPLICA,
                "return Forward(self.view.viewnum, self.batch + 1, [op for op in batch if isinstance(op, Write)])",
                """
                new: dict[str, str] = {}
                writes = []
                for op in batch:
                    if isinstance(op, Write):
                        old = new.get(op.key, self.values.get(op.key, ""))
                        new[op.key] = old + op.value if op.append else op.value
                        writes.append(Write(op.client, op.seq, op.key, new[op.key], False))
                return Forward(self.view.viewnum, self.batch + 1, writes)
                """,
            ),
        ),
        ("test_retried_append_reaches_backup",),
    ),
    Mistake(
        "PB32",
        "a refusal of the backup is taken for a confirmation",
        "A primary that was replaced goes on, and gives old values.",
        (
            Edit(
                SERVER,
                """
                if not isinstance(reply, NotSynced):
                    await self.disagree(view)
                """,
                """
                if not isinstance(reply, NotSynced):
                    return True
                """,
            ),
        ),
        ("test_old_primary_serves_no_gets", "test_old_primary_completes_no_append"),
    ),
    Mistake(
        "PB36",
        "a backup executes a batch when the next one comes",
        "The newest of what was answered is lost with the primary.",
        (
            Edit(
                REPLICA,
                "self._parts: dict[int, Transfer] = {}",
                """
                self._parts: dict[int, Transfer] = {}
                self._late: list[Write] = []
                """,
            ),
            Edit(
                REPLICA,
                "self.execute(request.writes)",
                """
                late, self._late = self._late, request.writes
                self.execute(late)
                """,
            ),
        ),
        ("test_no_answer_before_backup", "test_primary_failure", "test_retried_append_reaches_backup"),
    ),
    Mistake(
        "PB37",
        "a lock is held during calls",
        "Old and new primary, each the other's backup, wait for each other for ever.",
        (
            Edit(SERVER, "PEER_TIMEOUT: Final = 1.0", "PEER_TIMEOUT: Final = 1000.0"),
            Edit(
                SERVER, "self._pinging = asyncio.Lock()", "self._pinging = asyncio.Lock()\nself._lock = asyncio.Lock()"
            ),
            Edit(
                SERVER,
                """
                if not self.replica.backup_is_synced:
                    await self.synchronise()
                else:
                    await self.do_batch()
                """,
                """
                async with self._lock:
                    if not self.replica.backup_is_synced:
                        await self.synchronise()
                    else:
                        await self.do_batch()
                """,
            ),
            Edit(
                SERVER,
                """
                if request.viewnum > self.replica.view.viewnum:
                    return self.forwarded_in_newer_view(request)
                return self.replica.forwarded(request)
                """,
                "return self.forwarded_in_newer_view(request)",
            ),
            Edit(
                SERVER,
                """
                await self.ping()
                return self.replica.forwarded(request)
                """,
                """
                if request.viewnum > self.replica.view.viewnum:
                    await self.ping()
                async with self._lock:
                    return self.replica.forwarded(request)
                """,
            ),
            Edit(
                SERVER,
                "reply = self.replica.transferred(request)",
                """
                async with self._lock:
                    reply = self.replica.transferred(request)
                """,
            ),
        ),
        ("test_mutual_forwarding",),
    ),
]

TRANSFER = [
    Mistake(
        "PB12",
        "data is accepted from anybody, for any view",
        "Old data overwrites what has been written since.",
        (
            Edit(
                REPLICA,
                """
                if not self.is_backup or request.viewnum != self.view.viewnum:
                    return NotBackup(self.view.viewnum)
                if self.is_valid and request.batch <= self.batch:
                    return Accepted()
                if any(part.batch < request.batch for part in self._parts.values()):
                """,
                "if any(part.batch < request.batch for part in self._parts.values()):",
            ),
        ),
        ("test_late_transfer",),
    ),
    Mistake(
        "PB13",
        "a new backup gets no data",
        "It has only what came since.",
        (Edit(SERVER, "parts = self.replica.transfer()", "parts = self.replica.transfer()[:0]"),),
        ("test_add_backup", "test_primary_failure"),
    ),
    Mistake(
        "PB14",
        "a transfer in several parts is over after the first",
        "The backup lacks what was in the others.",
        (Edit(REPLICA, "if len(self._parts) == request.parts:", "if self._parts:"),),
        ("test_appends_during_transfer",),
    ),
    Mistake(
        "PB25",
        "a new backup executes before its data has come, and the older data then overwrites that",
        "What was answered during the transfer is lost with the primary.",
        (
            Edit(
                SERVER,
                """
                if not self.replica.backup_is_synced:
                    await self.synchronise()
                else:
                    await self.do_batch()
                """,
                """
                if not self.replica.backup_is_synced and self.replica.view != self._sent_to:
                    self._sent_to = self.replica.view
                    self.host.spawn(self.synchronise())
                if self._queue:
                    await self.do_batch()
                else:
                    await self.host.sleep(RETRY_PAUSE)
                """,
            ),
            Edit(
                SERVER,
                "self._work = asyncio.Event()",
                """
                self._work = asyncio.Event()
                self._sent_to = self.replica.view
                """,
            ),
            Edit(
                REPLICA,
                """
                if not self.is_valid or request.batch > self.batch + 1:
                    return NotSynced()
                if request.batch == self.batch + 1:
                    self.execute(request.writes)
                """,
                """
                if request.batch > self.batch:
                    self.batch = request.batch - 1
                    self.execute(request.writes)
                """,
            ),
        ),
        ("test_appends_during_transfer",),
    ),
    Mistake(
        "PB26",
        "a primary that cannot reach its backup tries for ever, whatever the view",
        "It waits for a dead server, and everybody waits for it.",
        (Edit(SERVER, "while self.replica.view == view:", "while True:"),),
        ("test_put_after_backup_failure",),
    ),
    Mistake(
        "PB22",
        "a view is acknowledged before the backup has the data",
        "If the primary dies now, the next one has nothing.",
        (
            Edit(
                REPLICA,
                "return self.view.viewnum - 1 if waits_for_backup or waits_for_data else self.view.viewnum",
                "return self.view.viewnum",
            ),
            TRUSTS_ITSELF_AS_PRIMARY,
        ),
        ("test_primary_dies_before_transfer", "test_primary_dies_around_transfer"),
    ),
    Mistake(
        "PB33",
        "a restarted primary goes on as primary",
        "It has no data, and sends that to its backup.",
        (TRUSTS_ITSELF_AS_PRIMARY, IGNORES_RESTART_OF_PRIMARY),
        ("test_primary_restarts_at_once", "test_reads_never_go_back"),
    ),
    Mistake(
        "PB33",
        "a restarted lone primary goes on as primary",
        "It has no data, and answers with that.",
        (TRUSTS_ITSELF_AS_PRIMARY,),
        ("test_lone_primary_restarts",),
    ),
]

DUPLICATES = [
    Mistake(
        "PB15",
        "the duplicate table stays behind",
        "The new backup executes a retry that was executed before it came.",
        (Edit(REPLICA, "yield values, dict(self.newest)", "yield values, {}"),),
        ("test_duplicates_move_with_data",),
    ),
    Mistake(
        "PB16",
        "no duplicate table",
        "A retry is executed again.",
        (Edit(REPLICA, "if write.seq <= abs(newest):", "if write.seq < 0:"),),
        ("test_at_most_once", "test_backup_knows_duplicates", "test_late_retry"),
    ),
    Mistake(
        "PB17",
        "one entry a key in the duplicate table",
        "What one clerk asks is taken for a duplicate of what another did.",
        (
            Edit(
                REPLICA,
                "if write.seq <= abs(newest):",
                "if write.seq <= self.newest.get(hash(write.key), 0):",
            ),
            Edit(REPLICA, "self.newest[write.client] = write.seq", "self.newest[hash(write.key)] = write.seq"),
        ),
        ("test_concurrent_appends", "test_equal_appends"),
    ),
    Mistake(
        "PB18",
        "the duplicate table forgets after a while",
        "A retry that comes late is executed again.",
        (
            Edit(
                REPLICA,
                "self.batch += 1",
                """
                self.batch += 1
                if self.batch % 20 == 0:
                    self.newest.clear()
                """,
            ),
        ),
        ("test_late_retry",),
    ),
    Mistake(
        "PB19",
        "duplicates are recognised by what they say",
        "The second of two equal Appends is not executed.",
        (
            Edit(
                REPLICA,
                "if write.seq <= abs(newest):",
                "if hash((write.key, write.value)) == newest:",
            ),
            Edit(
                REPLICA,
                "self.newest[write.client] = write.seq",
                "self.newest[write.client] = hash((write.key, write.value))",
            ),
        ),
        ("test_equal_appends",),
    ),
]

CLERKS = [
    Mistake(
        "PB27",
        "operations wait for the Ping",
        "While the view server is slow, so is everything.",
        (
            *OPERATIONS_MAY_WAIT,
            Edit(
                SERVER,
                "outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()",
                """
                async with self._pinging:
                    pass
                outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
                """,
            ),
        ),
        ("test_slow_view_server",),
    ),
    Mistake(
        "PB28",
        "a server asks the view server for each operation",
        "The view server has to bear the load of the whole service.",
        (
            *OPERATIONS_MAY_WAIT,
            Edit(
                SERVER,
                """
                if not self.replica.is_primary:
                    return NotPrimary()
                """,
                """
                await self.ping()
                if not self.replica.is_primary:
                    return NotPrimary()
                """,
            ),
        ),
        ("test_calls_to_view_server",),
    ),
    Mistake(
        "PB28",
        "a clerk asks the view server for each operation",
        "The view server has to bear the load of the whole service.",
        (Edit(CLERK, "if not self.primary:", "if True:"),),
        ("test_calls_to_view_server",),
    ),
    Mistake(
        "PB29",
        "a clerk never asks again who is primary",
        "It asks a dead server for ever.",
        (
            Edit(
                CLERK,
                """
                self.primary = ""
                await self.host.sleep(pause)
                """,
                "await self.host.sleep(pause)",
            ),
        ),
        ("test_primary_failure", "test_put_after_primary_failure"),
    ),
    Mistake(
        "PB30",
        "a clerk gives up",
        "The operation may have been executed, or may yet be: there is nothing that it could tell.",
        (Edit(CLERK, "while True:", "for _ in range(30):"),),
        ("test_clerk_keeps_trying",),
    ),
    Mistake(
        "PB31",
        "a retry is a new request",
        "It is executed again.",
        (
            Edit(
                CLERK,
                "await self.host.sleep(pause)",
                """
                if isinstance(request, Write):
                    self.seq += 1
                    request = Write(self.client, self.seq, request.key, request.value, request.append)
                await self.host.sleep(pause)
                """,
            ),
        ),
        ("test_at_most_once", "test_backup_knows_duplicates"),
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
]

MISTAKES = [*VIEW_SERVICE, *FORWARDING, *TRANSFER, *DUPLICATES, *CLERKS]
