"""`lab up` in the terminal: real processes, with commands through a pipe, and typed at a terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import pytest

from labs.live.teaching import EXPERIMENTS, Experiment
from tests.harness.marked import MARK, marked
from tests.live.sessions import NOTHING_LEFT, PATIENT, SOON, UP, Told, answers, script, up


def test_a_primary_is_killed_and_a_client_notices_little(tmp_path: Path) -> None:
    done = up(
        tmp_path,
        "lab1",
        "stream log by ck-2",
        "wait 0.3",
        "kill pb-1",
        "until view pb-2 pb-3",
        "stop ck-2",
        "check",
        "status",
        "views",
        "log pb-1 1",
    )
    said = answers(done)
    assert done.returncode == 0
    assert said["kill pb-1"] == "pb-1 is dead"
    assert said["stop ck-2"].startswith("ck-2 appended ")
    assert said["check"].startswith("linearizable")
    assert "  pb-1  dead, spare" in said["status"].splitlines()
    assert "  pb-2  primary" in said["status"].splitlines()
    assert said["views"].splitlines()[-1].endswith("primary pb-2, backup pb-3")
    assert said["log pb-1 1"].endswith("s: killed")
    history = (tmp_path / "run/pbservice/history.jsonl").read_text().splitlines()
    assert {json.loads(line)["op"] for line in history} == {"append"}


def test_held_requests_are_let_through_one_by_one(tmp_path: Path) -> None:
    done = up(
        tmp_path,
        "lab1",
        "hold pb-1 pb-2",
        "append a x",
        "wait 0",
        "append a z",
        "held",
        "deliver pb-1 pb-2 1",
        "until answered",
        "release pb-1 pb-2",
        "expect a x",
        "tap pb-1 loss=50% delay=0.5 silent",
        "status",
        options=("--script", str(script(tmp_path, "put b 1"))),
    )
    assert done.returncode == 2  # ck-1 is busy
    said = answers(done)
    assert "no answer yet" in said["append a x"]
    assert said["append a z"].startswith("! ck-1 still waits for Append")
    kept = (tmp_path / "run/pbservice/session.lab").read_text()
    began = {line: float(at) for at, line in re.findall(r"^# ([\d.]+) s\n(.+)$", kept, re.MULTILINE)}
    assert began["wait 0"] - began["append a x"] > 2.9, "it waits as long as its patience says"


def test_a_minority_waits_and_the_network_shows_it(tmp_path: Path) -> None:
    done = up(
        tmp_path,
        "lab2",
        "put a 1 by ck-2",
        "partition kv-0 ck-1 | kv-1 kv-2 ck-2",
        "put a 2",
        "get a by ck-2",
        "cut kv-1 ck-2",
        "status",
        "heal",
        "until answered",
        "expect a 2 by ck-2",
        "instances",
        "memory",
    )
    said = answers(done)
    assert done.returncode == 0, done.stdout
    assert "no answer yet" in said["put a 2"]
    assert said["get a by ck-2"].startswith('"1"')
    assert "  kv-1 → kv-0: cut" in said["status"].splitlines()
    assert said["instances"].startswith("kv-0: instances to ")
    assert "MiB" in said["memory"]


def test_shards_change_hands(tmp_path: Path) -> None:
    done = up(tmp_path, "lab3", "put a 1", "join 101", "until settled", "shards", "move 0 101", "configurations")
    said = answers(done)
    assert done.returncode == 0, done.stdout
    assert said["join 101"] == "configuration 2: group 100 has 0-4; group 101 has 5-9"
    assert said["shards"].splitlines()[8].split() == ["7", "101", "gone/0", "serving/1"]
    assert said["configurations"].splitlines()[-1].startswith("configuration 3: group 101 has 0, 5-9")


def test_a_server_that_ends_by_itself_is_told_of_and_can_be_restarted(tmp_path: Path) -> None:
    package = tmp_path / "mine/lab1_pbservice"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "roles.py").write_text(
        "from common.protocol import GetView, Ping, View\n"
        "async def viewserver(host):\n"
        "    def ping(request):\n"
        "        raise RuntimeError('a mistake \\x1b[31m in red')\n"
        "    await host.serve({GetView: lambda _: View(0, '', ''), Ping: ping})\n"
        "ROLES = {'viewserver': viewserver}\n"
    )
    lines = ("alive a", Told("vs (viewserver) ended by itself"), "status", "silence a", "restart vs", "ping a")
    done = up(tmp_path, "viewservice", *lines, options=("--submission", "mine"))
    said = answers(done)
    assert "vs (viewserver) ended by itself" in done.stdout
    assert "a mistake \\x1b[31m in red" in done.stdout
    assert "  vs  dead" in said["status"]
    assert said["restart vs"] == "vs runs again, and has forgotten everything"
    # By whom it is told is open: by the one who looks at the servers, beside the answer, or by the answer.
    assert said["ping a"].count("vs (viewserver) ended by itself") == 1
    assert said["ping a"].startswith("! ") or "\n! no reply to Ping" in said["ping a"]
    assert done.returncode == 2


@pytest.mark.parametrize(
    "experiment",
    [each for each in EXPERIMENTS if each.name in ("failover", "late-message", "minority", "stopped-handover")],
    ids=lambda each: each.name,
)
def test_the_experiments_of_the_guide_come_out_well(tmp_path: Path, experiment: Experiment) -> None:
    done = up(tmp_path, experiment.suites[-1], *(step.line for step in experiment.steps), "check")
    assert done.returncode == 0, done.stdout
    assert answers(done)["check"].startswith("linearizable")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lab9"], "expected a lab or a suite (lab1, lab2, lab3, counter, viewservice, "),
        (["counter"], "expected a lab or a suite that can be had live (lab1, lab2, lab3, viewservice, pbservice"),
        (["lab1", "--groups", "2"], "--groups is for lab3 and shardkv"),
        (["viewservice", "--servers", "2"], "--servers does not go with viewservice"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], said: str) -> None:
    done = subprocess.run([*UP, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"lab: {said}")
    assert done.stderr.count("\n") == 1


# --- at a terminal ---------------------------------------------------------------------------------------------------


_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """`lab up pbservice` at a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
        self._bytes = b""
        self.master, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 120))
        self.process = subprocess.Popen(
            [*UP, "pbservice", "--out", str(self.run), *PATIENT],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {MARK: self.mark, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            preexec_fn=lambda: os.login_tty(theirs),
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        try:
            self.until("pbservice>")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, however far it is."""
        self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)

    def type(self, text: str) -> None:
        """Keys are pressed."""
        os.write(self.master, text.encode())

    @property
    def seen(self) -> str:
        """What was written on the screen until now."""
        return _ESCAPES.sub("", self._bytes.decode(errors="replace"))

    def until(self, text: str) -> None:
        """Waits until this is on the screen."""
        self.wait_for(lambda: text in self.seen, text)

    def until_typed(self, text: str) -> None:
        """Waits until this is on the screen, at the cursor: there, only what is new is written unless one asks for all.

        What is new may come in two parts, and the state of the servers in between.
        """

        def is_there() -> bool:
            self.type("\x0c")  # Ctrl-L
            return text in self.seen

        self.wait_for(is_there, text)

    def until_at_work(self) -> None:
        """Waits until a command is carried out: only then does the terminal itself see to the keys."""
        self.wait_for(lambda: bool(termios.tcgetattr(self.master)[3] & termios.ICANON), "a command to be carried out")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Waits, and reads."""
        deadline = time.monotonic() + SOON
        while not condition():
            assert time.monotonic() < deadline, f"expected {what!r}, got {self.seen[-500:]!r}"
            if self.master >= 0 and select.select([self.master], [], [], 0.05)[0]:
                try:
                    self._bytes += os.read(self.master, 65536)
                except OSError:  # the other side is closed
                    time.sleep(0.05)

    def ends(self) -> None:
        """Waits until it, and all that it started, is gone."""
        self.wait_for(lambda: self.process.poll() is not None and not marked(self.mark), "all to be gone")
        assert not list(self.run.rglob("net/*/*"))


def test_a_prompt_completes_and_remembers(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.until("primary pb-1")
        terminal.type("put key 1\r")
        terminal.until("done  (")
        terminal.type("kill pb-\t1\r")
        terminal.until("pb-1 is dead")
        terminal.type("get k\t")
        terminal.until_typed("get key")
        terminal.type("\r")
        terminal.until('"1"')
        terminal.type("\x04")  # Ctrl-D
        terminal.until(NOTHING_LEFT)
        terminal.ends()
        assert terminal.process.returncode == 0


def test_keys_typed_while_a_command_is_carried_out_wait_for_the_next_prompt(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        terminal.type("wait 1\r")
        terminal.until_at_work()
        terminal.type("put key 1\r")
        terminal.type("\x04")
        terminal.until("done  (")
        terminal.until(NOTHING_LEFT)
        terminal.ends()
        assert terminal.process.returncode == 0


@pytest.mark.parametrize("how", ["ctrl-c", "ctrl-c at work", "sigterm", "closed"])
def test_however_it_ends_nothing_is_left(tmp_path: Path, how: str) -> None:
    with Terminal(tmp_path) as terminal:
        if how == "ctrl-c at work":
            terminal.type("wait 500\r")
            terminal.until_at_work()
        if how.startswith("ctrl-c"):
            terminal.type("\x03")
        elif how == "sigterm":
            terminal.process.send_signal(signal.SIGTERM)
        else:
            os.close(terminal.master)
            terminal.master = -1
        if how != "closed":
            terminal.until(NOTHING_LEFT)
        terminal.ends()
        assert (tmp_path / "run/pbservice/session.lab").exists()
