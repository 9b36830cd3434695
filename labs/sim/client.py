"""SimWorker: the harness's end of a `labs.sim.worker` process."""

import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import msgspec

from labs.sim.run import LIMIT, Outcome
from labs.sim.worker import Done, Job

ENDS_IN_A_ROW: Final = 3
"""So many seeds in a row that end the worker, and no more are tried: it is no seed's fault."""
REAL_LIMIT: Final = 120.0
"""Seconds that one seed may take on the clock on the wall."""


class SimWorker:
    """A process that simulates. Started when it is first needed; after it died or was killed, started anew.

    One job at a time. Use it as a context manager, or `stop` it.
    """

    def __init__(self, real_limit: float = REAL_LIMIT) -> None:
        self.real_limit = real_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._unread = b""
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
    ) -> Iterator[Outcome]:
        """Runs the test with each seed and yields the outcomes in that order, each as soon as it is there.

        A seed on which the worker dies or takes too long has the status `error`; the others go on in a new worker.
        Closing the iterator early ends the worker.
        """
        todo = list(seeds)
        job = Job(str(file), test, package, todo, [str(folder) for folder in path], patience, limit)
        job.folder = None if folder is None else str(folder)
        if job.path != self._path:
            self.stop()  # it may have imported the same names from elsewhere
            self._path = job.path
        ends = 0
        over = False
        try:
            while todo and ends < ENDS_IN_A_ROW:
                self._start()
                job.seeds = list(todo)
                self._send(job)
                while todo and self._process is not None:
                    outcome = self._outcome(todo.pop(0))
                    ends = 0 if self._process is not None else ends + 1
                    yield outcome
            for seed in todo:
                yield Outcome(seed, "error", f"not tried: {ends} seeds in a row ended the simulation's process")
            if self._process is not None and job.seeds:
                self._finish()
            over = True
        finally:
            if not over:
                self.stop()

    def stop(self) -> None:
        """Ends the worker."""
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

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        root = str(Path(__file__).resolve().parents[2])
        environment = os.environ | {
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        }
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `stop` closes it
        self._unread = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "labs.sim.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            bufsize=0,
        )

    def _send(self, job: Job) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # if it died, the missing answer will tell
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")

    def _outcome(self, seed: int) -> Outcome:
        line = self._line()
        if line:
            return msgspec.json.decode(line, type=Outcome)
        assert self._process is not None
        if line is None:
            message = f"this seed took more than {self.real_limit:g} s of real time, and the simulation was stopped"
        else:
            message = f"the simulation's process ended (exit status {self._process.wait()})\n{self._printed()}"
        self.stop()
        return Outcome(seed, "error", message)

    def _finish(self) -> None:
        line = self._line()
        if not line or not msgspec.json.decode(line, type=Done).done:
            self.stop()

    def _line(self) -> bytes | None:
        """The worker's next line. Empty if the worker is gone, None if it is too slow."""
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            pieces = [self._unread]
            while b"\n" not in pieces[-1]:
                if not selector.select(self.real_limit):
                    return None
                piece = os.read(self._process.stdout.fileno(), 1 << 20)
                if not piece:
                    return b""
                pieces.append(piece)
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        return line

    def _printed(self) -> str:
        """The end of what the worker wrote to its standard error."""
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-4000:]
