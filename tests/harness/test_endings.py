"""However a run ends, nothing is left of it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self
from uuid import uuid4

import psutil
import pytest

from labs.process.loop import run
from labs.usage import handled, interruptible
from tests.commands import LIMIT
from tests.harness.marked import MARK, marked


class LongRun:
    """A `lab test` that takes many seconds, and every process that came of it."""

    def __init__(self, out: Path, workers: int, tests: str = "repeated") -> None:
        self.out = out
        self._mark = uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labs", "test", "pbservice", "-k", tests, f"-n{workers}", f"--out={out}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {MARK: self._mark},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + LIMIT
        while len(self.others()) < 3 or not self.socket_files():  # a keeper and its servers
            assert time.monotonic() < deadline, "expected servers to have started"
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def socket_files(self) -> list[Path]:
        """The socket files that are there."""
        return [file for file in self.out.rglob("net/*/*") if not file.name.startswith(".")]

    def others(self) -> list[psutil.Process]:
        """Its processes, other than itself."""
        return [process for process in marked(self._mark) if process.pid != self.process.pid]

    def finish(self) -> str:
        """Waits for it, and until all is gone. Gives what it printed."""
        said, _ = self.process.communicate(timeout=LIMIT)
        deadline = time.monotonic() + LIMIT
        while others := self.others():
            assert time.monotonic() < deadline, f"expected nothing to be left, found {others}\n{said}"
            time.sleep(0.05)
        return said


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_clears_up_and_says_so(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    with LongRun(tmp_path / "run", workers) as run:
        run.process.send_signal(number)
        said = run.finish()
    assert run.process.returncode == 130
    assert said.splitlines()[-1] == "left behind: 0 processes, 0 socket files"
    assert "interrupted" in said
    assert not run.socket_files()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_leaves_nothing(tmp_path: Path, workers: int) -> None:
    with LongRun(tmp_path / "run", workers) as run:
        run.process.kill()
        run.finish()
    assert not run.socket_files()


def test_a_worker_that_dies_costs_its_own_test_only(tmp_path: Path) -> None:
    with LongRun(tmp_path / "run", workers=2, tests="single_primary or add_backup") as run:
        next(worker for worker in psutil.Process(run.process.pid).children() if worker.children()).kill()
        said = run.finish()
    assert run.process.returncode == 1
    assert said.splitlines()[-1] == "left behind: 0 processes, 0 socket files"
    found = json.loads((run.out / "result.json").read_text())
    assert sorted(test["status"] for test in found["tests"]) == ["error", "passed"]
    assert (found["points"], found["max_points"]) == (2, 4)


def test_nobody_reads_on_and_the_run_ends_as_it_would(tmp_path: Path) -> None:
    """As in `lab test … | head -1`."""
    words = ["viewservice", "-k", "first", "--world", "sim", "--seeds", "1", f"--out={tmp_path / 'run'}"]
    with subprocess.Popen(
        [sys.executable, "-m", "labs", "test", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        assert run.stderr
        assert run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == ""
        assert run.wait(timeout=LIMIT) == 0


def test_a_signal_is_handled_for_a_while_only() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is before


INTERRUPTIONS = [signal.SIGINT, signal.SIGTERM]
LONG = 20.0
"""Seconds that one sleeps here unless interrupted."""


class Interrupted(asyncio.Protocol):
    """A connection whose first bytes come in the very moment of an interruption."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def data_received(self, data: bytes) -> None:
        signal.raise_signal(self._number)


@pytest.mark.parametrize("number", INTERRUPTIONS)
def test_no_connection_swallows_an_interruption(number: signal.Signals) -> None:
    """What a protocol raises, a KeyboardInterrupt too, is to uvloop the end of that connection, and nothing more."""
    ended = False

    async def talk() -> None:
        nonlocal ended
        ours, theirs = socket.socketpair()
        with theirs:
            await asyncio.get_running_loop().create_connection(lambda: Interrupted(number), sock=ours)
            theirs.send(b"x")
            try:
                await asyncio.sleep(LONG)
            finally:
                await asyncio.sleep(0)
                ended = True

    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(talk())
    assert ended, "expected it to be cancelled, and to come to its end"


@pytest.mark.parametrize("number", INTERRUPTIONS)
def test_an_interruption_while_the_loop_starts(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    def in_that_moment() -> asyncio.AbstractEventLoop:
        signal.raise_signal(number)
        return asyncio.new_event_loop()

    monkeypatch.setattr("labs.process.loop.new_event_loop", in_that_moment)
    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(asyncio.sleep(LONG))


def test_a_second_interruption_waits_for_nothing() -> None:
    ended = False

    async def stubborn() -> None:
        nonlocal ended
        signal.raise_signal(signal.SIGTERM)
        try:
            await asyncio.sleep(LONG)
        finally:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(LONG)
            ended = True

    with interruptible(), pytest.raises(KeyboardInterrupt):
        run(stubborn())
    assert not ended


def test_in_the_background_a_ctrl_c_is_ignored() -> None:
    async def go_on() -> str:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        return "went on"

    with handled(signal.SIGINT, signal.SIG_IGN):
        assert run(go_on()) == "went on"
