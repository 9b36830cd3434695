"""One replica of the primary/backup service: what it stores, and what it may do in which view.

The primary puts operations into an order, in batches. A batch is first executed by the backup and then by the
primary, which only then answers, reads included. Two facts make the service linearizable:

* The backup executes a batch of view n only while n is the newest view that it has heard of from the view service.
  So when the primary of view n gets its confirmation, nobody had yet become primary of view n + 1, and whatever the
  primary answers was current at the moment of that confirmation: the linearization point of reads. A write takes
  effect when the backup executes it (if there is no backup, when the primary does).
* Whoever becomes primary has all that was ever answered. A server counts as primary of view n + 1 only if it was the
  primary of view n, or the backup of view n and had received everything that the primary of view n had.

A server that restarted, or was left out of a view, has forgotten everything, and none of this applies to it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from common.protocol import Done, Value, View
from lab1_pbservice.pbservice.messages import Accepted, Forward, NotBackup, NotSynced, Read, TooLong, Transfer, Write

MAX_PART: Final = 1_000_000
"""Characters of keys and values in one part of a transfer, unless a single value is longer."""
MAX_VALUE: Final = 4_000_000
"""Characters in one value. A write that would make a longer one does nothing and is answered `TooLong`."""


class Replica:
    """The data of one server and its part in the current view."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.view = View(0, "", "")
        self.values: dict[str, str] = {}
        self.newest: dict[int, int] = {}
        """The duplicate table: the `seq` of each client's newest write, negative if too long. One entry a client."""
        self.valid_in = 0
        """The newest view in which this server had all the data there was. Before the first view there was none."""
        self.batch = 0
        """Batches executed in this view."""
        self.backup_is_synced = False
        """As primary: the backup has all the data, or there is no backup."""
        self.backup_seems_dead = False
        """As primary: the backup cannot be reached. The view service may replace it."""
        self._parts: dict[int, Transfer] = {}

    # --- views -------------------------------------------------------------------------------------------------------

    def learn(self, view: View) -> bool:
        """Takes in what the view service said. Gives whether it is news."""
        if view.viewnum <= self.view.viewnum:
            return False
        self.view = view
        self.batch = 0
        self.backup_is_synced = not view.backup
        self.backup_seems_dead = False
        self._parts.clear()
        if view.primary == self.name and view.viewnum == self.valid_in + 1:
            self.valid_in = view.viewnum
        else:
            self.values.clear()
            self.newest.clear()
            self.valid_in = 0
        return True

    @property
    def is_valid(self) -> bool:
        """It has all the data of the current view."""
        return self.valid_in == self.view.viewnum

    @property
    def is_primary(self) -> bool:
        """It is named primary, and rightly."""
        return self.view.primary == self.name and self.is_valid

    @property
    def is_backup(self) -> bool:
        """It is named backup. Whether it has the data yet is another question."""
        return self.view.backup == self.name

    @property
    def ping_viewnum(self) -> int:
        """The number to Ping with. The current view's says: my part of this view is done, and the next may come."""
        waits_for_backup = self.is_primary and not self.backup_is_synced and not self.backup_seems_dead
        waits_for_data = self.name in (self.view.primary, self.view.backup) and not self.is_valid
        return self.view.viewnum - 1 if waits_for_backup or waits_for_data else self.view.viewnum

    # --- operations --------------------------------------------------------------------------------------------------

    def execute(self, operations: Sequence[Read | Write]) -> list[Value | Done | TooLong]:
        """Executes the next batch of this view, in its order, and gives the replies."""
        self.batch += 1
        return [self._write(op) if isinstance(op, Write) else Value(self.values.get(op.key, "")) for op in operations]

    def _write(self, write: Write) -> Done | TooLong:
        newest = self.newest.get(write.client, 0)
        if write.seq <= abs(newest):
            return TooLong(MAX_VALUE) if write.seq == -newest else Done()  # it is known from before
        value = self.values.get(write.key, "") + write.value if write.append else write.value
        if len(value) > MAX_VALUE:
            self.newest[write.client] = -write.seq
            return TooLong(MAX_VALUE)
        self.newest[write.client] = write.seq
        self.values[write.key] = value
        return Done()

    # --- the backup's side -------------------------------------------------------------------------------------------

    def forwarded(self, request: Forward) -> Accepted | NotSynced | NotBackup:
        """Executes the primary's next batch. One that was executed before is not executed again."""
        if not self.is_backup or request.viewnum != self.view.viewnum:
            return NotBackup(self.view.viewnum)
        if not self.is_valid or request.batch > self.batch + 1:
            return NotSynced()
        if request.batch == self.batch + 1:
            self.execute(request.writes)
        return Accepted()

    def transferred(self, request: Transfer) -> Accepted | NotBackup:
        """Takes one part of the primary's data, and all of it once the last has come.

        A part may come twice, or late: what the primary had after so many batches of one view is always the same.
        """
        if not self.is_backup or request.viewnum != self.view.viewnum:
            return NotBackup(self.view.viewnum)
        if self.is_valid and request.batch <= self.batch:
            return Accepted()
        if any(part.batch < request.batch for part in self._parts.values()):
            self._parts.clear()
        if all(part.batch <= request.batch for part in self._parts.values()):
            self._parts[request.part] = request
        if len(self._parts) == request.parts:
            self._install()
        return Accepted()

    def _install(self) -> None:
        self.values.clear()
        self.newest.clear()
        for part in self._parts.values():
            self.values.update(part.values)
            self.newest.update(part.newest)
            self.batch = part.batch
        self._parts.clear()
        self.valid_in = self.view.viewnum

    # --- the primary's side ------------------------------------------------------------------------------------------

    def forward(self, batch: Sequence[Read | Write]) -> Forward:
        """The next batch, for the backup. Within a view the same number must always mean the same writes."""
        return Forward(self.view.viewnum, self.batch + 1, [op for op in batch if isinstance(op, Write)])

    def transfer(self) -> list[Transfer]:
        """All that a new backup needs, in parts."""
        contents = list(self._cut())
        return [
            Transfer(self.view.viewnum, self.batch, part, len(contents), values, newest)
            for part, (values, newest) in enumerate(contents)
        ]

    def _cut(self) -> Iterator[tuple[dict[str, str], dict[int, int]]]:
        values: dict[str, str] = {}
        size = 0
        for key, value in self.values.items():
            values[key] = value
            size += len(key) + len(value)
            if size >= MAX_PART:
                yield values, {}
                values, size = {}, 0
        yield values, dict(self.newest)
