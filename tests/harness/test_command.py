"""`lab` end to end: exit status, output, files, and the way from a failure to its replay."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from labs import testing
from tests import commands

ROOT: Final = Path(__file__).parents[2]

Lab = Callable[..., "subprocess.CompletedProcess[str]"]


NOTHING_LEFT: Final = "left behind: 0 processes, 0 socket files"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Runs `lab` with these words in a folder of its own, and waits for it."""

    return partial(commands.lab, folder=tmp_path)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A submission of lab 1 whose view service does not wait for the primary's acknowledgement."""
    submission = tmp_path / "broken"
    shutil.copytree(ROOT / "lab1_pbservice", submission / "lab1_pbservice")
    core = submission / "lab1_pbservice" / "viewservice" / "core.py"
    text = core.read_text()
    waits = "        if not self.acknowledged:\n            return\n"
    assert text.count(waits) == 1, "expected the line that this mistake takes away"
    core.write_text(text.replace(waits, ""))
    return submission


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The line with which a command ended."""
    return done.stdout.splitlines()[-1]


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("world", "workers"), [("process", 0), ("sim", 0), ("both", 2)])
def test_a_good_run(lab: Lab, tmp_path: Path, world: str, workers: int) -> None:
    seeds = [] if world == "process" else ["--seeds", "3"]
    words = ["-k", "first_primary or first_backup", "--world", world, *seeds, "-n", workers]
    done = lab("test", "viewservice", *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "First primary" in done.stdout
    assert "4/4" in done.stdout
    assert last_line(done) == NOTHING_LEFT


def test_json_has_one_entry_a_test(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    words = ["-k", "first_primary", "--world", "both", "--seeds", "3", "--repeat", "2", "-n0", "--json", file]
    done = lab("test", "viewservice", *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    seconds = [test.pop("seconds") for test in found["tests"]]
    assert all(0 < each < commands.LIMIT for each in seconds)
    test = "tests/graded/lab1/test_viewservice.py::test_first_primary"
    common: dict[str, Any] = {"title": "First primary", "suite": "viewservice", "status": "passed", "failed_seeds": []}
    common |= {"pass_rate": 1.0, "decision": "", "starved": 0, "message": "", "replay": ""}
    twice = {"points": 2, "max_points": 2, "runs": 2, "passes": 2, "interval": [0.3424, 1.0]}
    thrice = {"points": 0, "max_points": 0, "runs": 3, "passes": 3, "interval": [0.4385, 1.0]}
    assert found == {
        "version": 1,
        "lab": "lab1",
        "submission": None,
        "world": "both",
        "points": 2,
        "max_points": 2,
        "interrupted": False,
        "tests": [
            {"id": f"{test}[process]", **twice, **common},
            {"id": f"{test}[sim]", **thrice, **common},
        ],
    }
    assert json.loads((tmp_path / "run" / "result.json").read_text())["points"] == 2


def test_the_options_of_pytest_work_without_the_command(tmp_path: Path) -> None:
    words = ["-q", "-k", "first_primary", "--world=both", "--seeds=2", "-n2", f"--out={tmp_path / 'run'}"]
    done = subprocess.run(
        [ROOT / ".venv/bin/pytest", "tests/graded", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert last_line(done) == NOTHING_LEFT


def test_a_run_has_a_folder_with_logs_and_history(lab: Lab, tmp_path: Path) -> None:
    done = lab("test", "pbservice", "-k", "single_primary", "-n0", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "run" / "pbservice").iterdir()
    assert {"logs", "history.jsonl"} <= {file.name for file in folder.iterdir()}
    assert list((folder / "logs").glob("*.log"))


@pytest.mark.parametrize(
    ("world", "asked", "tests", "shared"),
    [
        ("sim", None, 60, (0, 8)),  # one test after the other, and each on all cores
        ("sim", None, 1, (0, 8)),
        ("sim", 3, 60, (0, 3)),
        ("sim", 0, 60, (0, 1)),
        ("process", None, 60, (32, 1)),
        ("process", None, 1, (0, 1)),
        ("both", None, 60, (32, 1)),
        ("both", None, 2, (2, 4)),
        ("both", 0, 60, (0, 8)),
    ],
)
def test_work_is_shared(
    world: str, asked: int | None, tests: int, shared: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "cores", lambda: 8)
    assert testing._workers(testing.Request(world=world, workers=asked), tests) == shared


def test_one_seed_of_each_test_leaves_only_the_tests_to_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "cores", lambda: 8)
    for one_seed in (testing.Request(world="sim", seeds=1), testing.Request(world="sim", seed=7)):
        assert testing._workers(one_seed, 60) == (8, 1)
        assert testing._workers(one_seed, 3) == (0, 8)
    assert testing._workers(testing.Request(world="sim", seeds=2, seed=7), 60) == (0, 8)


def test_many_seeds_of_one_test_run_side_by_side_with_their_rate(lab: Lab, tmp_path: Path) -> None:
    words = ["-k", "first_primary", "--world", "sim", "--seeds", "60", "-n", "2", "--json", tmp_path / "x.json"]
    done = lab("test", "viewservice", *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r"^passed +sim +viewservice First primary \(.* s, 60 seeds at .* a second\)$", done.stdout, re.MULTILINE
    )
    assert last_line(done) == NOTHING_LEFT
    (test,) = json.loads((tmp_path / "x.json").read_text())["tests"]
    assert (test["runs"], test["failed_seeds"]) == (60, [])


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["process", "sim"])
def test_a_mistake_is_shown_with_a_command_that_shows_it_again(
    lab: Lab, tmp_path: Path, broken: Path, world: str
) -> None:
    junit, results = tmp_path / "junit.xml", tmp_path / "results.json"
    seeds = [] if world == "process" else ["--seeds", "5"]
    words = ["-k", "waits_for_ack", "--world", world, *seeds, "-n0", "--junit", junit, "--json", results]
    done = lab("test", "viewservice", "--submission", broken, *words, "--out", tmp_path / "run")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "expected View(viewnum=2" in done.stdout
    assert "vs-1 wrote" in done.stdout
    assert last_line(done) == NOTHING_LEFT

    found = json.loads(results.read_text())
    (test,) = found["tests"]
    assert (found["points"], found["submission"]) == (0, str(broken))
    assert (test["status"], test["points"], test["max_points"]) == ("failed", 0, 2)
    assert "expected View(viewnum=2" in test["message"]
    assert test["failed_seeds"] == ([1] if world == "process" else [1, 2, 3, 4, 5])

    (case,) = ElementTree.parse(junit).iter("testcase")
    failure = case.find("failure")
    assert failure is not None
    assert "expected View(viewnum=2" in (failure.text or "")

    (shown,) = re.findall(r"^replay +(.+)$", done.stdout, re.MULTILINE)
    assert shown == test["replay"]
    command, *again = shlex.split(shown)
    assert (tmp_path / command).samefile(ROOT / "lab")
    replayed = lab(*again, "--json", results, "--out", tmp_path / "again")
    assert replayed.returncode == 1
    (retested,) = json.loads(results.read_text())["tests"]
    assert retested["runs"] == 1
    if world == "sim":
        assert retested["message"] == test["message"]


def test_a_server_that_crashes_is_shown_with_its_traceback(lab: Lab, tmp_path: Path, broken: Path) -> None:
    server = broken / "lab1_pbservice" / "viewservice" / "server.py"
    text = server.read_text()
    server.write_text(
        text.replace(
            "view = self.service.ping(", 'assert request.viewnum < 2, "too new"\n        view = self.service.ping('
        )
    )
    for world in ("process", "sim"):
        words = ["-k", "backup_takes_over", "--world", world, "-n0"]
        done = lab("test", "viewservice", "--submission", broken, *words, "--out", tmp_path / world)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "AssertionError: too new" in done.stdout
        assert "viewservice/server.py" in done.stdout.replace(" │\n│ ", "")


def test_a_package_that_cannot_be_imported_fails_every_test(lab: Lab, tmp_path: Path, broken: Path) -> None:
    (broken / "lab1_pbservice" / "roles.py").write_text("import nothing_of_that_name\n")
    words = ["-k", "first_primary", "--world", "both", "--seeds", "2", "-n0"]
    done = lab("test", "viewservice", "--submission", broken, *words, "--out", tmp_path / "run")
    assert done.returncode == 1
    assert done.stdout.count("No module named 'nothing_of_that_name'") == 2


# --- many runs -------------------------------------------------------------------------------------------------------


def test_a_test_runs_until_one_can_be_confident(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    words = ["-k", "test_restarted_backup_is_announced", "--until-confident", "-n0", "--json", file]
    done = lab("test", "viewservice", *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed (31 of 31 passed)" in done.stdout
    assert "89% to 100%, reliable" in done.stdout
    (test,) = json.loads(file.read_text())["tests"]
    assert (test["runs"], test["passes"], test["decision"]) == (31, 31, "reliable")


def test_the_whole_name_of_a_test_means_that_one() -> None:
    names = {each.test.rpartition("::")[2] for each in testing.catalogue(("pbservice",), "test_at_most_once")}
    assert names == {"test_at_most_once"}
    names = {each.test.rpartition("::")[2] for each in testing.catalogue(("pbservice",), "at_most_once")}
    assert names >= {"test_at_most_once", "test_at_most_once_with_backup"}


OWN: Final = """
from labs.cluster import Cluster
from labs.grading import graded

SUITE = "viewservice"


@graded(part="A", points=1, within=10.0)
async def test_wrong(cluster: Cluster) -> None:
    \"""Nothing is right.\"""
    assert cluster.now() < 0
"""


@pytest.mark.parametrize("world", ["process", "sim"])
def test_a_test_of_one_s_own_is_replayed_as_it_was_run(lab: Lab, tmp_path: Path, world: str) -> None:
    file = tmp_path / "test my own.py"
    file.write_text(OWN)
    words = ["--world", world, "--patience", "2.5", *["--no-trace"] * (world == "process")]
    done = lab("test", file, *words, "--out", tmp_path / "run")
    assert done.returncode == 1, done.stdout + done.stderr
    (replay,) = re.findall("^replay  (.*)$", done.stdout, re.MULTILINE)
    assert replay.endswith(f"::test_wrong --world {world} --seed 1 --patience 2.5")
    assert not re.search("^(shrink|debug)  ", done.stdout, re.MULTILINE)
    again = lab(*shlex.split(replay)[1:], "--out", tmp_path / "again")
    assert again.returncode == 1, again.stdout + again.stderr
    assert replay in again.stdout


def test_an_interrupted_run_says_so(lab: Lab, tmp_path: Path) -> None:
    first = OWN.partition("@")[1] + OWN.partition("@")[2].replace("test_wrong", "test_first")
    first = first.replace("assert cluster.now() < 0", "raise KeyboardInterrupt  # somebody has enough")
    (tmp_path / "test_own.py").write_text(OWN.replace("@", f"{first}\n\n@", 1))
    words = ["-n0", "--no-trace", "--json", tmp_path / "f.json", "--out", tmp_path / "run"]
    done = lab("test", tmp_path / "test_own.py", *words)
    assert done.returncode == 130, done.stdout + done.stderr
    found = json.loads((tmp_path / "f.json").read_text())
    assert (found["interrupted"], found["points"], found["max_points"], found["tests"]) == (True, 0, 2, [])


@pytest.mark.parametrize("policy", ["weighted", "majority", "best"])
def test_a_wrong_solution_gets_nothing_by_any_policy(lab: Lab, tmp_path: Path, broken: Path, policy: str) -> None:
    file = tmp_path / "results.json"
    words = ["-k", "waits_for_ack", "--repeat", "3", "--policy", policy, "-n2", "--json", file]
    done = lab("test", "viewservice", "--submission", broken, *words, "--out", tmp_path / "run")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(file.read_text())
    (test,) = found["tests"]
    assert (found["points"], test["status"], test["runs"], test["pass_rate"]) == (0, "failed", 3, 0.0)


# --- bad usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "lab9"], "lab1"),
        (["test", "--submission", "nowhere"], "nowhere"),
        (["test", "--submission", "."], "lab1_pbservice"),
        (["test", "--world", "moon"], "moon"),
        (["test", "--seeds", "0"], "--seeds"),
        (["test", "--patience", "0"], "--patience"),
        (["test", "--patience", "nan"], "not a number above 0"),
        (["test", "--patience", "inf"], "not a number above 0"),
        (["test", "--seeds", "5"], "use --repeat N"),
        (["test", "--world", "sim", "--repeat", "5"], "use --seeds N"),
        (["test", "--world", "sim", "--until-confident"], "use --seeds N"),
        (["test", "--world", "sim", "--policy", "best"], "--policy is for real processes"),
        (["test", "--until-confident", "--repeat", "5"], "got both"),
        (["test", "--policy", "lucky"], "lucky"),
        (["test", "lab1", "-k", "no_such_test"], "no_such_test"),
        (["test", "lab1", "-k", "not ("], "not ("),
        (["test", "--json", "no/such/folder/r.json"], "no/such/folder"),
        (["test", "--out", "full"], "full"),
        (["test", "--out", "full/file/run"], "full/file/run"),
        (["test", "full/file"], "full/file"),
        (["test", str(ROOT / "tests/graded/lab1/test_viewservice.py::test_nothing")], "test_nothing"),
        (["tset"], "tset"),
        (["test", "--sumbission", "x"], "--sumbission"),
    ],
)
def test_bad_usage_is_one_clear_line(lab: Lab, tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = lab(*words, *(["--out", "run"] if words[0] == "test" and "--out" not in words else []))
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("lab: ")
    assert said in line
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("words", [[], ["--help"], ["test", "--help"], ["check", "--help"], ["doctor"], ["--version"]])
def test_help_is_there(lab: Lab, words: list[str]) -> None:
    done = lab(*words)
    assert done.returncode == 0
    assert done.stdout
    assert not done.stderr


def test_a_failure_of_the_simulation_is_shown_with_a_command_that_makes_it_small(
    lab: Lab, tmp_path: Path, broken: Path
) -> None:
    done = lab("test", "viewservice", "-k", "waits_for_ack", "--world=sim", "--seeds=3", "--submission", broken)
    (shown,) = re.findall(r"^shrink +(.+)$", done.stdout, re.MULTILINE)
    command, *words = shlex.split(shown)
    assert (tmp_path / command).samefile(ROOT / "lab")
    shrunk = lab(*words)
    assert shrunk.returncode == 0, shrunk.stdout + shrunk.stderr
    assert "after   nothing;" in shrunk.stdout  # this mistake needs no faults at all
    again = lab("replay", "small.json", "--submission", broken)
    assert again.returncode == 1
    assert "expected View(viewnum=2" in again.stdout


def test_what_fails_in_the_same_way_is_told_once(lab: Lab, tmp_path: Path, broken: Path) -> None:
    server = broken / "lab1_pbservice" / "viewservice" / "server.py"
    text = server.read_text()
    assert "        view = self.service.ping(" in text
    server.write_text(
        text.replace("        view = self.service.ping(", "        1 / 0\n        view = self.service.ping(")
    )
    for world in ("process", "sim"):
        words = ["-k", "first_primary or first_backup or waits_for", "--world", world, "-n0"]
        done = lab("test", "viewservice", "--submission", broken, *words, "--out", tmp_path / world)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stdout.count("ZeroDivisionError") == 1
        assert f"{world} world: 3 tests fail in the same way" in done.stdout
        for name in ("first_primary", "first_backup", "waits_for_acknowledgement"):
            assert f"│ viewservice::test_{name} " in done.stdout
        assert done.stdout.count("replay  ") == 1


@pytest.mark.parametrize("world", ["process", "sim"])
def test_a_slip_of_the_pen_is_shown_where_it_is(lab: Lab, tmp_path: Path, broken: Path, world: str) -> None:
    server = broken / "lab1_pbservice" / "viewservice" / "server.py"
    server.write_text(server.read_text().replace("class ViewServer:", "class ViewServer"))
    words = ["-k", "first_primary", "--world", world, "-n0", "--json", tmp_path / "results.json"]
    done = lab("test", "viewservice", "--submission", broken, *words, "--out", tmp_path / "run")
    assert done.returncode == 1, done.stdout + done.stderr
    (test,) = json.loads((tmp_path / "results.json").read_text())["tests"]
    assert re.search(r'viewservice/server\.py", line \d+\n +class ViewServer\n', test["message"])
    assert "SyntaxError: expected ':'" in test["message"]
    assert "importlib" not in test["message"], "expected nothing of how it was imported"
