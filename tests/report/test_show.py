"""`lab show`, and the report that a failing `lab test` writes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from labs import mistakes
from labs.benchmark.traces import made_up
from labs.report.gathering import gather
from labs.traces import events
from labs.traces.events import Event, Unreadable
from tests.commands import LIMIT

ROOT: Final = Path(__file__).parents[2]
MISTAKE: Final = "Gets do not ask the backup"

Lab = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Runs `lab` with these words, where there is no screen, and waits for it."""
    hidden = {"DISPLAY", "WAYLAND_DISPLAY"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "labs", *map(str, words)]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )

    return run


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace as a file."""
    file = tmp_path / "some" / "trace.jsonl"
    file.parent.mkdir()
    events.write(file, *made_up(200))
    return file


def test_a_failing_test_has_a_report_that_tells_all_of_it(lab: Lab, tmp_path: Path) -> None:
    (mistake,) = (each for each in mistakes.load(ROOT / "tests/mistakes/lab1.py") if each.name == MISTAKE)
    mistakes.plant(mistake, ROOT / "lab1_pbservice", tmp_path / "mine")
    words = ["-k", "old_primary_serves_no_gets or basic_fail", "--world", "sim", "--seeds", 2, "--submission", "mine"]
    done = lab("test", "pbservice", *words, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert "report  run/report.html" in done.stdout.splitlines()
    whole = (tmp_path / "run" / "report.html").read_text()
    for part in (
        "Old primary does not serve Gets",
        "./lab test pbservice -k",
        "lab shrink",
        "0/3",
        "not_stale(cluster",
    ):
        assert part.removeprefix("./") in whole, part
    assert 'id="trace-0"' in whole
    (scene,) = gather(tmp_path / "run").scenes
    assert scene.trace == tmp_path / "run" / "pbservice" / "test_old_primary_serves_no_gets" / "1" / "trace.jsonl"
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    (scene,) = gather(tmp_path / "elsewhere").scenes
    assert scene.trace is not None
    assert scene.trace.is_file(), "the run's folder may be moved"
    assert "elsewhere" in scene.trace.parts


def test_show_makes_the_page_of_a_run_and_says_where(lab: Lab, tmp_path: Path) -> None:
    done = lab("test", "viewservice", "-k", "first_primary", "-n0", "--out", "run")
    assert done.returncode == 0
    page = tmp_path / "run" / "report.html"
    assert not page.exists(), "nothing failed, so nobody needs it yet"
    assert "report" not in done.stdout
    done = lab("show", "run")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["report  run/report.html", "no screen to show it on here: open it in a browser"]
    assert "First primary" in page.read_text()
    page.write_text("mine")
    assert lab("show", "run", "--no-open").stdout == "report  run/report.html\n"
    assert page.read_text() == "mine", "it is there, and nothing is newer"


def test_show_takes_a_trace(lab: Lab, trace: Path) -> None:
    done = lab("show", trace, "--no-open")
    assert (done.returncode, done.stdout) == (0, "report  some/trace.html\n")
    assert "A made-up run" in trace.with_suffix(".html").read_text()


def test_show_takes_a_folder_with_traces_below_it(lab: Lab, trace: Path, tmp_path: Path) -> None:
    done = lab("show", trace.parent.parent, "--no-open")
    assert done.returncode == 0
    assert "A made-up run" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], r"expected the folder of a run, or its name in .*, got nothing"),
        (["empty"], r"expected a run's folder: in empty there is no result\.json and no trace\.jsonl"),
        (["wrong.jsonl"], r"wrong\.jsonl, line 1: expected a Header of a trace"),
        (["page.html"], r"expected a trace or the folder of a run, got the page page\.html"),
    ],
)
def test_bad_usage_is_one_clear_line(lab: Lab, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.jsonl").write_text("no trace\n")
    (tmp_path / "page.html").write_text("")
    done = lab("show", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"lab: .*{said}.*\n", done.stderr)


def test_the_ends_of_a_trace(trace: Path, tmp_path: Path) -> None:
    header, last = events.ends(trace)
    whole = events.read(trace)
    assert (header, last) == (whole[0], whole[1][-1])
    events.write(trace, header, [])
    assert events.ends(trace) == (header, None)
    trace.write_bytes(b"")
    with pytest.raises(Unreadable):
        events.ends(trace)
    events.write(trace, header, [Event(0.0, "note", text="a\u2028b")])
    assert events.ends(trace)[1] == Event(0.0, "note", text="a\u2028b")
