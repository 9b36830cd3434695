"""SimWorker: the harness's end of the `labs.sim.worker` processes."""

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Final

import msgspec

from labs.choices import Choice
from labs.sim.run import LIMIT, Outcome
from labs.sim.worker import Job
from labs.traces.events import Header

ENDS_IN_A_ROW: Final = 3
"""So many seeds in a row that end the worker, and no more are tried: it is no seed's fault."""
REAL_LIMIT: Final = 120.0
"""Seconds that one seed may take on the clock on the wall."""
MANY_SEEDS: Final = 10
"""For so many seeds, it is worth running the first one twice, to see whether the same comes of it."""
SHARE: Final = 16
"""Seeds that one of several processes is given at a time, at most."""


class SimWorker:
    """A process that simulates, or several that share the seeds of a test.

    Started when they are first needed; after one died or was killed, it is started anew. One `run` at a time. Use it
    as a context manager, or `stop` it.
    """

    def __init__(self, processes: int = 1, real_limit: float = REAL_LIMIT) -> None:
        self.real_limit = real_limit
        self._processes = [_Seeds() for _ in range(processes)]
        self._path: list[str] = []

    def __enter__(self) -> "SimWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(
        self,
        file: str | Path,
        test: str,
        package: str,
        seeds: Iterable[int],
        path: Iterable[str | Path] = (),
        patience: float = 1.0,
        limit: float = LIMIT,
        folder: str | Path | None = None,
        note_choices: bool = False,
        schedule: Sequence[Choice] | None = None,
        histories: Iterable[int] = (),
        header: Header | None = None,
    ) -> Iterator[Outcome]:
        """Runs the test with each seed and yields the outcomes, each as soon as it is there.

        One process yields them in the order of the seeds. A seed on which a process dies or takes too long has the
        status `error`; the others go on in a new process. Closing the iterator early ends the processes. With
        `note_choices` the outcomes tell what was left to chance; with a `schedule`, nothing is that is not in it.
        Those of the seeds in `histories` tell their history even if they passed. Traces go to `folder`, with this
        `header`.
        """
        seeds = list(seeds)
        job = Job(str(file), test, package, [], [str(folder) for folder in path], patience, limit)
        job.folder = None if folder is None else str(folder)
        job.header = header
        job.note_choices = note_choices or schedule is not None
        job.schedule = None if schedule is None else list(schedule)
        job.histories = list(histories)
        job.first_twice = len(seeds) >= MANY_SEEDS
        if job.path != self._path:
            self.stop()  # they may have imported the same names from elsewhere
            self._path = job.path
        over = False
        try:
            yield from self._run(job, seeds)
            over = True
        finally:
            if not over:
                self.stop()

    def _run(self, job: Job, seeds: list[int]) -> Iterator[Outcome]:
        count = len(self._processes)
        share = len(seeds) if count == 1 else max(1, min(SHARE, len(seeds) // (4 * count)))
        rest = iter(seeds)
        fatal = _Fatal(seeds)
        with selectors.DefaultSelector() as selector:
            while not fatal.in_a_row:
                for process in self._processes:
                    given = process.todo or list(islice(rest, share))
                    if given and not process.busy:
                        process.begin(job, given)
                        selector.register(process, selectors.EVENT_READ)
                        job.first_twice = False
                busy = [process for process in self._processes if process.busy]
                if not busy:
                    return
                wakes = min(process.since for process in busy) + self.real_limit
                ready = {key.fileobj for key, _ in selector.select(max(0.0, wakes - time.monotonic()))}
                for process in busy:
                    lines = process.read() if process in ready else []
                    for line in lines or ():
                        yield process.told(line)
                    ended = lines is None or time.monotonic() - process.since > self.real_limit
                    if ended or not process.todo:
                        selector.unregister(process)
                        process.busy = False
                    if ended:
                        outcome = process.give_up(None if lines is None else self.real_limit)
                        fatal.add(outcome.seed)
                        yield outcome
        for seed in [*(seed for process in self._processes for seed in process.todo), *rest]:
            yield Outcome(seed, "error", f"not tried: {ENDS_IN_A_ROW} seeds in a row ended the simulation's process")
        self.stop()

    def stop(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.stop()


class _Fatal:
    """The seeds that ended their process. Which of them stand in a row does not depend on who came first."""

    def __init__(self, seeds: list[int]) -> None:
        self.in_a_row = False
        """Whether there are so many beside each other that the others are not tried."""
        self._place = {seed: place for place, seed in enumerate(seeds)}
        self._places: set[int] = set()

    def add(self, seed: int) -> None:
        """One more."""
        place = self._place[seed]
        self._places.add(place)
        firsts = range(place - ENDS_IN_A_ROW + 1, place + 1)
        self.in_a_row |= any(self._places.issuperset(range(first, first + ENDS_IN_A_ROW)) for first in firsts)


class Child:
    """A process that simulates: it is given lines, and gives lines. Started when it is first needed."""

    def __init__(self, module: str) -> None:
        self.module = module
        """Whose main program it is."""
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._unread: list[bytes] = []

    def fileno(self) -> int:
        """Where its answers come from."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def tell(self, order: msgspec.Struct) -> None:
        """Sends it an order, as a line of JSON."""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        left = memoryview(msgspec.json.encode(order) + b"\n")
        with suppress(BrokenPipeError):  # if it died, the missing answer will tell
            while left:
                left = left[self._process.stdin.write(left) :]

    def read(self) -> list[bytes] | None:
        """The lines that have come meanwhile. None: the process has ended."""
        piece = os.read(self.fileno(), 1 << 20)
        if not piece:
            return None
        *lines, rest = piece.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._unread, lines[0]])
            self._unread = []
        self._unread.append(rest)
        return lines

    def last_words(self) -> str:
        """Why it has ended, in words."""
        assert self._process is not None
        assert self._errors is not None
        status = self._process.wait()
        self._errors.seek(0)
        printed = self._errors.read().decode(errors="replace")[-4000:]
        return f"the simulation's process ended (exit status {status})\n{printed}"

    def stop(self) -> None:
        """Ends it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
        self._unread = []

    def start(self) -> None:
        """Starts it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        root = str(Path(__file__).resolve().parents[2])
        environment = os.environ | {
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        }
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `stop` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            bufsize=0,
        )


class _Seeds(Child):
    """One worker process, and the seeds that it was given."""

    def __init__(self) -> None:
        super().__init__("labs.sim.worker")
        self.todo: list[int] = []
        """Seeds that it was given and has not told the outcome of."""
        self.busy = False
        self.since = 0.0
        """When it began with the first of them, on the clock on the wall."""

    def begin(self, job: Job, seeds: list[int]) -> None:
        """Gives it seeds, all of which it is to run now."""
        self.start()  # which forgets what an earlier process was given
        self.todo, self.busy, self.since = seeds, True, time.monotonic()
        job.seeds = seeds
        self.tell(job)

    def told(self, line: bytes) -> Outcome:
        """One more outcome."""
        self.todo.pop(0)
        self.since = time.monotonic()
        return msgspec.json.decode(line, type=Outcome)

    def give_up(self, limit: float | None) -> Outcome:
        """The outcome of the seed at which the process has ended or, given the limit, was too slow."""
        if limit is not None:
            message = f"this seed took more than {limit:g} s of real time, and the simulation was stopped"
        else:
            message = self.last_words()
        seed, *rest = self.todo
        self.stop()
        self.todo = rest
        return Outcome(seed, "error", message)

    def stop(self) -> None:
        """Ends it."""
        super().stop()
        self.todo, self.busy = [], False
