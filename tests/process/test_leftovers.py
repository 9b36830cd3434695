"""Nothing survives a run, however it ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from labs.process.leftovers import Leftovers, belonging, sweep
from labs.process.processes import Keeper, NotImported
from tests.harness.marked import is_alive

SOON = 60.0
"""Seconds within which all should be gone. It takes milliseconds."""


class Harness:
    """A harness process with servers, taps and daemons running."""

    def __init__(self, folder: Path, deed: str) -> None:
        self.id = uuid.uuid4().hex
        self.folder = folder
        command = [sys.executable, str(Path(__file__).with_name("harness.py")), self.id, str(folder), deed]
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ, PYTHONPATH=root),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def clear_up(self) -> None:
        """Leaves nothing, also when a test has failed."""
        self.process.kill()
        self.process.communicate()
        sweep(self.id)

    def processes(self) -> list[psutil.Process]:
        """What it runs: the keeper, the servers, and what those left behind."""
        return list(belonging(self.id))

    def wait(self) -> str:
        """Waits for its end and gives what it said on standard error."""
        _, errors = self.process.communicate(timeout=SOON)
        return errors


Start = Callable[[Path, str], Harness]
"""Starts a harness in a folder, for a deed."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts harnesses for one test."""
    started: list[Harness] = []

    def start(folder: Path, deed: str) -> Harness:
        started.append(Harness(folder, deed))
        return started[-1]

    yield start
    for harness in started:
        harness.clear_up()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with no socket file in it, in the end."""
    yield tmp_path
    assert not [file for file in tmp_path.glob("net/**/*") if file.is_file()]


def gone_soon(run: str, folder: Path) -> bool:
    """Whether all processes and socket files of a run are gone within a while."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if not list(belonging(run)) and not (folder / "net").exists():
            return True
        time.sleep(0.02)
    return False


def test_there_is_something_to_be_left_behind(start: Start, tmp_path: Path) -> None:
    """The other tests would prove nothing if there were nothing."""
    harness = start(tmp_path, "wait")
    assert len(harness.processes()) == 1 + 3 + 2  # keeper, servers, daemons
    assert len(list((tmp_path / "net").rglob("*/*"))) >= 9
    harness.process.kill()
    harness.wait()
    assert gone_soon(harness.id, tmp_path)


def test_nothing_is_left_after_a_normal_end(start: Start, folder: Path) -> None:
    harness = start(folder, "end")
    assert harness.wait() == ""
    assert sweep(harness.id, folder).sentence() == "left behind: 0 processes, 0 socket files"


def test_nothing_is_left_after_an_exception(start: Start, folder: Path) -> None:
    harness = start(folder, "raise")
    assert "a test that fails" in harness.wait()
    assert sweep(harness.id, folder) == Leftovers(0, 0)


def test_nothing_is_left_after_an_interrupt(start: Start, folder: Path) -> None:
    harness = start(folder, "wait")
    os.killpg(harness.process.pid, signal.SIGINT)  # as a terminal does
    assert "KeyboardInterrupt" in harness.wait()
    assert sweep(harness.id, folder) == Leftovers(0, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGSEGV])
def test_nothing_is_left_after_the_harness_was_killed(start: Start, folder: Path, number: signal.Signals) -> None:
    harness = start(folder, "wait")
    harness.process.send_signal(number)
    harness.wait()
    assert harness.process.returncode == -number
    assert gone_soon(harness.id, folder)


def test_nothing_is_left_after_the_keeper_was_asked_to_end(start: Start, folder: Path) -> None:
    harness = start(folder, "wait")
    keeper = psutil.Process(harness.process.pid).children()[0]
    keeper.terminate()
    keeper.wait(SOON)
    assert [process.pid for process in harness.processes()] == []
    harness.process.kill()
    harness.wait()


def test_nothing_is_left_after_keeper_and_harness_were_killed(start: Start, folder: Path) -> None:
    harness = start(folder, "wait")
    keeper = psutil.Process(harness.process.pid).children()[0]
    servers = keeper.children()
    harness.process.send_signal(signal.SIGSTOP)  # it cannot see its keeper die
    keeper.kill()
    deadline = time.monotonic() + SOON
    while any(map(is_alive, servers)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    harness.process.kill()
    harness.wait()
    # The servers died with their parent; the daemons are left, and counted.
    assert sweep(harness.id, folder).processes == 2
    assert sweep(harness.id, folder) == Leftovers(0, 0)


def test_a_keeper_does_not_outlive_a_harness_that_dies_while_it_imports(tmp_path: Path) -> None:
    package = tmp_path / "endless_lab"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "roles.py").write_text(f"open({str(tmp_path / 'begun')!r}, 'w').close()\nwhile True: pass")
    run = uuid.uuid4().hex
    script = (
        "import asyncio, sys; from pathlib import Path; from labs.process.processes import Keeper;"
        "asyncio.run(Keeper('endless_lab', sys.argv[1], [Path(sys.argv[2])], import_limit=3600).open())"
    )
    root = str(Path(__file__).parents[2])
    harness = subprocess.Popen(
        [sys.executable, "-c", script, run, str(tmp_path)], env=dict(os.environ, PYTHONPATH=root)
    )
    deadline = time.monotonic() + SOON
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    harness.kill()
    harness.wait()
    assert gone_soon(run, tmp_path)


def test_a_daemon_started_by_an_import_is_no_exception(tmp_path: Path) -> None:
    package = tmp_path / "haunted_lab"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "roles.py").write_text(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(3600)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "raise ZeroDivisionError('and then it fails')\n"
    )
    keeper = Keeper("haunted_lab", uuid.uuid4().hex, [tmp_path])
    with pytest.raises(NotImported, match="and then it fails"):
        asyncio.run(keeper.open())
    keeper.close()
    assert sweep(keeper.run) == Leftovers(0, 0)


def test_the_sentence_counts() -> None:
    assert Leftovers(0, 0).sentence() == "left behind: 0 processes, 0 socket files"
    assert Leftovers(1, 1).sentence() == "left behind: 1 process, 1 socket file"
    assert Leftovers(2, 3).sentence() == "left behind: 2 processes, 3 socket files"


def until_it_belongs(run: str) -> None:
    """Waits until a program that was just started has its environment."""
    deadline = time.monotonic() + SOON
    while not list(belonging(run)):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_sweep_kills_who_has_the_number_of_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = uuid.uuid4().hex
    straggler = subprocess.Popen(["sleep", "3600"], env=dict(os.environ, LAB_RUN=run))
    try:
        until_it_belongs(run)
        (remembered,) = (process for process in psutil.process_iter() if process.pid == straggler.pid)
        monkeypatch.setattr(remembered, "_ident", (straggler.pid, 0.0))  # of another who had this number
        assert sweep(run) == Leftovers(1, 0)
        assert not psutil.pid_exists(straggler.pid)
    finally:
        straggler.kill()
        straggler.wait()


def test_a_sweep_removes_what_it_counts(tmp_path: Path) -> None:
    run = uuid.uuid4().hex
    straggler = subprocess.Popen(["sleep", "3600"], env=dict(os.environ, LAB_RUN=run))
    bystander = subprocess.Popen(["sleep", "3600"], env=dict(os.environ, LAB_RUN=run + "-another"))
    until_it_belongs(run)
    (tmp_path / "test-1" / "net" / "a").mkdir(parents=True)
    (tmp_path / "test-1" / "net" / "a" / "b").write_text("127.0.0.1 1")
    (tmp_path / "test-1" / "logs").mkdir()
    (tmp_path / "test-1" / "logs" / "a.log").touch()
    try:
        assert sweep(run, tmp_path) == Leftovers(1, 1)
        assert sweep(run, tmp_path) == Leftovers(0, 0)
        assert not psutil.pid_exists(straggler.pid)
        assert bystander.poll() is None
        assert (tmp_path / "test-1" / "logs" / "a.log").exists()
    finally:
        for process in (straggler, bystander):
            process.kill()
            process.wait()
