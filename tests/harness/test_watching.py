"""`lab test --watch`, with a real process and real changes of files."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, Self
from uuid import uuid4

import psutil
import pytest

from labs.testing import Request
from labs.watching import Plan, syntax_errors, watched, words
from tests.commands import LIMIT
from tests.harness.marked import MARK, marked

ROOT: Final = Path(__file__).parents[2]
WAITS: Final = "\n        if not self.acknowledged:\n            return\n"


# --- the plan --------------------------------------------------------------------------------------------------------


def test_what_failed_last_runs_first_and_then_the_rest() -> None:
    plan = Plan("abcd")
    assert plan.next() == list("abcd")
    plan.note({"a": True, "b": False, "c": True, "d": False})
    assert plan.next() == []
    plan.change()
    assert plan.next() == ["b", "d"]
    plan.note({"b": True, "d": True})
    assert plan.next() == ["a", "c"]
    plan.note({"a": True, "c": True})
    assert (plan.next(), plan.verdict()) == ([], "all 4 passed")


def test_the_rest_waits_until_what_failed_passes() -> None:
    plan = Plan("abc")
    plan.note({"a": False, "b": False, "c": True})
    plan.change()
    plan.note({"a": True, "b": False})
    assert (plan.next(), plan.verdict()) == ([], "2 of 3 have run")
    plan.change()
    assert plan.next() == ["b"]


def test_a_run_that_was_cut_short_counts_as_far_as_it_came() -> None:
    plan = Plan("abc")
    plan.note({"a": False})
    plan.change()
    assert plan.next() == ["a"]
    plan.note({"a": True})
    assert plan.next() == ["b", "c"]


def test_nothing_runs_again_before_a_change_when_a_run_could_not_tell() -> None:
    plan = Plan("ab")
    plan.give_up()
    assert plan.next() == []
    plan.change()
    assert plan.next() == ["a", "b"]


# --- what is watched, and how a run is called ------------------------------------------------------------------------


def test_the_packages_are_watched_that_are_tested(tmp_path: Path) -> None:
    (tmp_path / "lab3_shardkv").mkdir()
    assert watched(None, ["lab1_pbservice"]) == [ROOT / "lab1_pbservice"]
    both = ["lab3_shardkv", "lab2_kvpaxos"]
    assert watched(tmp_path, both) == [tmp_path / "lab3_shardkv", ROOT / "lab2_kvpaxos"], "it stands on the reference's"
    (tmp_path / "lab2_kvpaxos").mkdir()
    assert watched(tmp_path, both) == [tmp_path / "lab3_shardkv", tmp_path / "lab2_kvpaxos"]
    (tmp_path / "lab.toml").write_text('[lab1_pbservice]\ncommand = ["sh"]\n')
    assert watched(tmp_path, ["lab1_pbservice"]) == [tmp_path]


def test_a_run_is_called_as_the_watch_was() -> None:
    request = Request(("lab1",), world="sim", keyword="x", seeds=3, seed=0, workers=0, submission=Path("mine"))
    called = words(request, ["a.py::test_a", "a.py::test_b"])
    assert called[:2] == [str(ROOT / "a.py::test_a"), str(ROOT / "a.py::test_b")]
    pairs = list(zip(called[2::2], called[3::2], strict=True))
    assert pairs == [
        *(("--world", "sim"), ("--seeds", "3"), ("--seed", "0"), ("--policy", "all"), ("-n", "0")),
        *(("--submission", "mine"), ("--patience", "1.0")),
    ]


def test_what_python_cannot_read_is_shown_and_not_executed(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("raise SystemExit('this must never run')\n")
    (tmp_path / "bad.py").write_text("def f():\n    if x\n        pass\n")
    (tmp_path / "worse.py").write_bytes(b"\0")
    bad, worse = syntax_errors([tmp_path])
    assert "bad.py, line 2: expected ':'\n        if x\n            ^" in bad
    assert "worse.py" in worse


# --- the command -----------------------------------------------------------------------------------------------------


class Watching:
    """A `lab test --watch` on a submission, what it says, and every process that comes of it."""

    def __init__(self, *words: object) -> None:
        self._mark = uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "labs", "test", *map(str, words), "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {MARK: self._mark, "NO_COLOR": "1"},
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join(LIMIT)

    def until(self, text: str) -> list[str]:
        """Reads on until a line has this in it. Gives what was read."""
        read: list[str] = []
        while not read or text not in read[-1]:
            try:
                read.append(self._lines.get(timeout=LIMIT))
            except queue.Empty:
                raise AssertionError(f"expected {text!r}, got {''.join(self.said + read)}") from None
        self.said += read
        return read

    def others(self) -> list[psutil.Process]:
        """Its processes, other than itself."""
        return [process for process in marked(self._mark) if process.pid != self.process.pid]

    def wait_for_servers(self) -> None:
        """Returns when a run has a keeper and servers."""
        deadline = time.monotonic() + LIMIT
        while len(self.others()) < 4:
            assert time.monotonic() < deadline, f"expected servers, got {self.said}"
            time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGINT) -> None:
        """Interrupts it, and sees that nothing is left."""
        self.process.send_signal(number)
        self.until("no longer watching")
        assert self.process.wait(LIMIT) == 130
        assert not self.others()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A submission of lab 1 whose view service does not wait for the primary's acknowledgement."""
    shutil.copytree(ROOT / "lab1_pbservice", tmp_path / "mine" / "lab1_pbservice")
    core = core_of(tmp_path / "mine")
    text = core.read_text()
    assert text.count(WAITS) == 1
    core.write_text(text.replace(WAITS, "\n"))
    return tmp_path / "mine"


def core_of(submission: Path) -> Path:
    return submission / "lab1_pbservice" / "viewservice" / "core.py"


@pytest.mark.parametrize("world", ["sim", "process"])
def test_from_a_failure_to_a_pass_and_a_slip_of_the_pen(mine: Path, world: str) -> None:
    right = (ROOT / "lab1_pbservice/viewservice/core.py").read_text()
    wrong = core_of(mine).read_text()
    selection = ["viewservice", "-k", "first_primary or waits_for_ack", "--world", world, "-n0", "--submission", mine]
    with Watching(*selection) as watching:
        watching.until("2 of 2 tests")
        watching.until("1 of 2 did not pass; watching")
        core_of(mine).write_text(right)
        watching.until("core.py has changed; first what failed last: 1 of 2 tests")
        watching.until("the rest: 1 of 2 tests")
        read = watching.until("all 2 passed; watching")
        assert any("First primary" in line for line in read)
        assert not any("waits for primary to ack" in line for line in read), "it has just passed"

        core_of(mine).write_text(wrong.replace("class ", "clas ", 1))
        read = watching.until("Python cannot read this, so nothing was run")
        assert any("core.py, line" in line for line in read)
        core_of(mine).write_text(wrong)
        watching.until("core.py has changed; 2 of 2 tests")
        watching.until("1 of 2 did not pass; watching")
        watching.end()


def test_a_change_ends_the_run_that_goes_on_and_begins_another(mine: Path) -> None:
    with Watching("pbservice", "-k", "repeated", "-n2", "--submission", mine) as watching:
        watching.wait_for_servers()
        before = {process.pid for process in watching.others()}
        core_of(mine).write_text((ROOT / "lab1_pbservice/viewservice/core.py").read_text())
        read = watching.until("core.py has changed")
        assert any("left behind: 0 processes, 0 socket files" in line for line in read)
        assert not before & {process.pid for process in watching.others()}
        watching.wait_for_servers()
        watching.end()


def test_a_watch_is_ended_by_sigterm_too(mine: Path) -> None:
    with Watching("viewservice", "-k", "first_primary", "-n0", "--submission", mine) as watching:
        watching.until("all 1 passed; watching")
        watching.end(signal.SIGTERM)


def test_nothing_is_left_of_a_watch_that_is_killed(mine: Path) -> None:
    with Watching("pbservice", "-k", "repeated", "-n0", "--submission", mine) as watching:
        watching.wait_for_servers()
        watching.process.kill()
        deadline = time.monotonic() + LIMIT
        while others := watching.others():
            assert time.monotonic() < deadline, others
            time.sleep(0.05)


def test_there_is_no_one_result_of_many_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labs", "test", "lab1", "--watch", "--json", tmp_path / "x.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "expected --watch without --json" in done.stderr
