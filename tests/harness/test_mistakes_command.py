"""`lab mistakes` on a small table of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from rich.console import Console

from labs.mistakes import Edit, Mistake, command
from labs.mistakes.document import document
from labs.mistakes.measuring import Subject, Tally
from labs.mistakes.results import matrix
from labs.mistakes.table import tables as tables_of
from labs.usage import BadUsage
from tests.commands import LIMIT
from tests.harness.marked import is_alive

ROOT: Final = Path(__file__).parents[2]

TABLE: Final = """
from labs.mistakes import Edit, Mistake

CORE = "viewservice/core.py"
GOOD = Mistake(
    "VS10",
    "dead after twenty intervals",
    "Clerks wait <long>.",
    (Edit(CORE, "DEAD_TICKS = DEAD_PINGS * TICKS_PER_PING", "DEAD_TICKS = 20 * TICKS_PER_PING"),),
    ("test_death_after_five_intervals",),
)
OTHER = Mistake(
    "VS12",
    "the idle live for ever",
    "",
    (
        Edit(
            CORE,
            "if server.silent_ticks >= DEAD_TICKS:",
            "if server.silent_ticks >= DEAD_TICKS and name == self.view.primary:",
        ),
    ),
    ("test_dead_idle_server_is_not_recruited",),
)
HARMLESS = Mistake(
    "",
    "nothing is wrong",
    "Nobody can tell.",
    (Edit(CORE, "self._joined = 0", "self._joined = 7"),),
    ("test_first_primary",),
)
OLD = Mistake("VS1", "of another time", "", (Edit(CORE, "def no_such_line():", "pass"),), ("test_first_primary",))
STRAY = Mistake("VS1", "of nobody", "", (Edit(CORE, "self._joined = 0", "pass"),), ("test_no_such_test",))
MISTAKES = {}
"""
KINDS: Final = """
from labs.mistakes import Kind

KINDS = {
    "VS10": Kind("servers are declared dead late", "never"),
    "VS14": Kind("Pings are handled without a lock", "never", "nobody interrupts them."),
}
"""


def tables(folder: Path, *names: str) -> Path:
    """A folder with a table of these mistakes."""
    folder = folder / "tables"
    folder.mkdir()
    (folder / "lab1.py").write_text(TABLE.replace("{}", f"[{', '.join(names)}]"))
    (folder / "kinds.py").write_text(KINDS)
    return folder


def start(folder: Path, *words: object) -> "subprocess.Popen[str]":
    """Runs `lab mistakes` with these words in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "labs", "mistakes", "-n", "2", *map(str, words)],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def measure(folder: Path, *words: object) -> tuple[int, str, dict[str, Any]]:
    """The exit status, the output and the JSON."""
    file = folder / "mistakes.json"
    with start(folder, *words, "--json", file) as run:
        said, errors = run.communicate(timeout=LIMIT)
    assert not errors
    return run.returncode, said, json.loads(file.read_text())


def test_what_is_noticed_is_shown_and_written(tmp_path: Path) -> None:
    page, markdown = tmp_path / "page.html", tmp_path / "page.md"
    words = ["--tables", tables(tmp_path, "GOOD"), "--seeds", "20", "--html", page, "--markdown", markdown]
    status, said, found = measure(tmp_path, *words)
    assert status == 0, said
    assert "1 of 1 mistakes noticed, 1 of them of a kind that the suites of 2015 let through" in said
    (mistake,) = found["mistakes"]
    assert 0 < mistake.pop("seconds") < LIMIT
    (test,) = mistake.pop("worlds")["sim"]["tests"]
    assert (test["runs"], test["caught"]) == (10, 10)  # more seeds would tell nothing
    assert mistake == {
        "name": "dead after twenty intervals",
        "lab": "lab1",
        "suite": "viewservice",
        "kind": "VS10",
        "in_2015": "never",
        "why": "Clerks wait <long>.",
        "caught": True,
        "by": ["test_death_after_five_intervals"],
        "rate": 1.0,
        "sure": True,
        "error": "",
    }
    (reference,) = found["reference"]
    assert (reference["test"], reference["runs"], reference["failed"]) == ("test_death_after_five_intervals", 20, 0)
    assert "death_after_five_intervals" in page.read_text()
    assert "Clerks wait &lt;long&gt;." in page.read_text()
    assert "| **dead after twenty intervals**. Clerks wait <long>. | VS10 | never |" in markdown.read_text()
    assert "* **VS14**, Pings are handled without a lock: nobody interrupts them." in markdown.read_text()


def test_what_is_not_noticed_fails(tmp_path: Path) -> None:
    status, said, found = measure(tmp_path, "--tables", tables(tmp_path, "GOOD", "HARMLESS"), "--seeds", "15")
    assert status == 1
    assert "the mistake 'nothing is wrong' is not noticed reliably: Nobody can tell." in said
    assert [mistake["caught"] for mistake in found["mistakes"]] == [True, False]
    (test,) = found["mistakes"][1]["worlds"]["sim"]["tests"]
    assert test["runs"] == 15


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_mistake_of_which_every_run_was_inconclusive_is_told(interrupted: bool) -> None:
    test = "test_death_after_five_intervals"
    mistake = Mistake("VS10", "dead late", "Clerks wait.", (Edit("viewservice/core.py", "", ""),), (test,))
    tally = Tally(test, "viewservice", named=True)
    tally.note(1, "inconclusive", 2.0, "the machine was too busy")
    subject = Subject("lab1", "lab1_pbservice", mistake, "process", 1, {test: tally})
    came = matrix([subject], {}, interrupted)
    with StringIO() as shown:
        Console(file=shown, width=200).print(*tables_of(came))
        said = shown.getvalue()
    assert ("nobody knows whether the mistake 'dead late' is noticed" in said) == (not interrupted)
    assert [each.name for each in came.mistakes] == ([] if interrupted else ["dead late"])
    assert came.is_good == interrupted  # of what was not reached nothing is said
    assert ("unknown: the machine was too busy" in document(came, {}, "lab mistakes")) == (not interrupted)


def test_a_mistake_that_cannot_be_made_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    status, said, found = measure(tmp_path, "--tables", tables(tmp_path, "OLD", "STRAY", "GOOD"), "--seeds", "10")
    assert status == 1
    assert "the mistake 'of another time' could not be made: viewservice/core.py holds this 0 times" in said
    assert "the mistake 'of nobody' could not be made: lab1 has no graded test test_no_such_test" in said
    assert [mistake["caught"] for mistake in found["mistakes"]] == [False, False, True]


@pytest.mark.parametrize("table", ["lab1.py", "kinds.py"])
def test_a_table_that_cannot_be_read_is_told_before_anything_is_measured(tmp_path: Path, table: str) -> None:
    there = tables(tmp_path, "GOOD")
    (there / table).write_text("KINDS = MISTAKES = {")
    with pytest.raises(BadUsage, match=r"a table in .* cannot be read: SyntaxError"):
        command.run(command.Request(folder=there))


def test_real_processes_and_all_tests(tmp_path: Path) -> None:
    words = ["--tables", tables(tmp_path, "GOOD"), "--world", "both", "--seeds", "3", "--all-tests"]
    status, said, found = measure(tmp_path, *words)
    assert status == 0, said
    assert said.count("left behind: 0 processes, 0 socket files") == 1
    (mistake,) = found["mistakes"]
    assert list(mistake["worlds"]) == ["sim", "process"]
    for world in mistake["worlds"].values():
        assert world["caught"]
        assert "test_death_after_five_intervals" in world["by"]
        assert len(world["tests"]) > 15
        assert {test["suite"] for test in world["tests"]} == {"viewservice"}


def test_what_was_measured_earlier_is_added(tmp_path: Path) -> None:
    there = tables(tmp_path, "GOOD", "OTHER", "HARMLESS")
    earlier, markdown = tmp_path / "earlier.json", tmp_path / "page.md"
    status, _, simulated = measure(tmp_path, "--tables", there, "--seeds", "20", "dead", "for ever")
    assert status == 0
    (tmp_path / "mistakes.json").rename(earlier)
    words = ["--tables", there, "--world", "process", "dead after", "nothing", "--add", earlier, "--markdown", markdown]
    status, said, found = measure(tmp_path, *words)
    assert status == 1
    assert "the mistake 'nothing is wrong' is not noticed reliably" in said
    assert (
        "2 of 3 mistakes noticed, 1 of them of a kind that the suites of 2015 let through; 1 in real processes" in said
    )
    names = ["dead after twenty intervals", "the idle live for ever", "nothing is wrong"]
    assert [each["name"] for each in found["mistakes"]] == names
    assert [list(each["worlds"]) for each in found["mistakes"]] == [["sim", "process"], ["sim"], ["process"]]
    for before, after in zip(simulated["mistakes"], found["mistakes"], strict=False):
        assert after["worlds"]["sim"] == before["worlds"]["sim"]
        assert (after["seconds"], after["by"], after["sure"]) == (before["seconds"], before["by"], True)
    assert [each["world"] for each in found["reference"]].count("sim") == len(simulated["reference"])
    page = markdown.read_text()
    assert "In the simulation 2 of 2 mistakes were noticed. The reference failed in 0 of 40 runs" in page
    assert "In real processes 1 of 2 mistakes were noticed. The reference failed in 0 of 2 runs" in page


def test_a_later_measurement_replaces_the_earlier_one(tmp_path: Path) -> None:
    there, earlier = tables(tmp_path, "GOOD"), tmp_path / "earlier.json"
    measure(tmp_path, "--tables", there, "--seeds", "3")
    (tmp_path / "mistakes.json").rename(earlier)
    _, _, found = measure(tmp_path, "--tables", there, "--seeds", "5", "--add", earlier, "--add", earlier)
    assert [test["runs"] for each in found["mistakes"] for test in each["worlds"]["sim"]["tests"]] == [5]
    assert [each["runs"] for each in found["reference"]] == [5]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_done_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "mistakes.json"
    words = ["--tables", tables(tmp_path, "GOOD", "HARMLESS"), "--seeds", "100000", "--json", file]
    with start(tmp_path, *words) as run:
        assert run.stdout
        first = run.stdout.readline()
        processes = psutil.Process(run.pid).children(recursive=True)
        assert len(processes) >= 2
        run.send_signal(number)
        said, errors = run.communicate(timeout=LIMIT)
    assert run.returncode == 130, errors
    assert not errors
    assert "dead after twenty intervals: test_death_after_five_intervals 10 of 10" in first
    assert "interrupted: what was measured before is what you see" in said
    found = json.loads(file.read_text())
    assert found["interrupted"]
    assert found["mistakes"][0]["caught"]
    deadline = time.monotonic() + LIMIT
    while any(map(is_alive, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["VS99"], "VS99"),
        (["--tables", "."], "lab1.py"),
        (["--tables", "broken"], "nothing"),
        (["--json", "no/such/folder/r.json"], "no/such/folder"),
        (["--repeat", "3"], "expected --repeat with real processes"),
        (["--world", "process", "--seeds", "3"], "expected --seeds with the simulation"),
        (["--add", "broken/lab1.py"], "what `lab mistakes --json` writes in broken/lab1.py: JSON is malformed"),
    ],
)
def test_bad_usage_is_one_clear_line(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lab1.py").write_text("MISTAKES = nothing\n")
    if "--tables" not in words:
        words = [*words, "--tables", str(tables(tmp_path, "GOOD"))]
    with start(tmp_path, *words) as run:
        _, errors = run.communicate(timeout=LIMIT)
    assert run.returncode == 2
    (line,) = errors.splitlines()
    assert line.startswith("lab: ")
    assert said in line


def test_it_needs_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "is_checkout", lambda: False)
    with pytest.raises(BadUsage, match="needs a checkout"):
        command.run(command.Request())
