"""`lab shrink` and `lab replay`: from a failing seed to a small schedule in a file, and back."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from labs import shrinking
from labs.choices import NEVER, Choice
from labs.schedules import VERSION, Schedule, count, describe, find_test
from labs.shrinking import Shrinker, way_of
from labs.sim.run import Outcome
from labs.usage import INTERRUPTED, BadUsage
from tests.commands import lab, planted

TEST: Final = "paxos::test_peers_in_a_storm"
MISTAKE: Final = "an acceptor accepts without looking at what it promised"

FAILED: Final = 'Traceback (most recent call last):\n  File "test.py", line 7, in test\nAssertionError: 1 and 2\n'
OTHERWISE: Final = FAILED.replace("line 7", "line 8")


def some(of: str, number: int, value: Any = 1, simplest: Any = 0) -> Choice:
    return Choice(of, number, number / 10, value, simplest)


MADE: Final = [
    *(some("delay of a > b", number, 0.01, 0.0002) for number in range(300)),
    *(some("fate of a > b", number, [[], False, 0.0], [[0.0], False, 0.0]) for number in range(30)),
    *(some("storm", number, ["cut", "a", "b"], []) for number in range(12)),
    *(some("ck-1", number, ["get", "k"], []) for number in range(40)),
]

Needs = Callable[[set[tuple[str, int]], Sequence[Choice]], bool]


class Runs:
    """Runs of a made-up test, which fails with these choices and, if it is told so, otherwise with others."""

    def __init__(self, needs: Needs, otherwise: Needs = lambda names, choices: False) -> None:
        self.needs = needs
        self.otherwise = otherwise

    def __call__(self, choices: Sequence[Choice]) -> Outcome:
        names = {(choice.of, choice.number) for choice in choices}
        if self.needs(names, choices):
            return Outcome(1, "failed", FAILED, choices=list(choices))
        if self.otherwise(names, choices):
            return Outcome(1, "failed", OTHERWISE, choices=list(choices))
        return Outcome(1, "passed", choices=list(choices))


def shrunk(runs: Runs, most: int = 1000, made: list[Choice] = MADE) -> tuple[list[tuple[str, int]], Shrinker]:
    """What is left of a failing run that made all these choices."""
    shrinker = Shrinker(runs, Outcome(1, "failed", FAILED, choices=made), most, 60.0)
    left = [(choice.of, choice.number) for choice in shrinker.shrink().choices]
    return left, shrinker


def test_what_the_failure_needs_is_left() -> None:
    needed = {("delay of a > b", 177), ("fate of a > b", 3), ("storm", 11), ("ck-1", 0), ("ck-1", 39)}
    left, shrinker = shrunk(Runs(lambda names, _: needed <= names))
    assert set(left) == needed
    assert shrinker.done
    assert shrinker.runs < 120


def test_a_run_that_fails_by_itself_needs_nothing() -> None:
    left, shrinker = shrunk(Runs(lambda names, _: True))
    assert left == []
    assert shrinker.runs == 1


def test_another_failure_is_not_this_one() -> None:
    left, _ = shrunk(Runs(lambda names, _: ("storm", 4) in names, otherwise=lambda names, _: True))
    assert left == [("storm", 4)]


def test_what_a_shorter_run_does_not_come_to_is_gone() -> None:
    """With the blow away, the faults that hang on it are not chosen any more."""

    class Hanging(Runs):
        def __call__(self, choices: Sequence[Choice]) -> Outcome:
            outcome = super().__call__(choices)
            if not any(choice.of == "storm" for choice in choices):
                outcome.choices = [choice for choice in choices if not choice.of.startswith("fate")]
            return outcome

    left, shrinker = shrunk(Hanging(lambda names, _: ("ck-1", 5) in names))
    assert left == [("ck-1", 5)]
    assert shrinker.runs < 30


def test_a_fault_is_made_simpler() -> None:
    both = some("fate of a > b", 0, [[0.03, 0.0], True, 0.02], [[0.0], False, 0.0])
    _, shrinker = shrunk(Runs(lambda _, choices: any(choice.value[1] for choice in choices)), made=[both])
    assert [choice.value for choice in shrinker.best.choices] == [[[0.0], True, 0.0]]


def test_it_ends_when_its_runs_are_spent() -> None:
    left, shrinker = shrunk(Runs(lambda names, _: len(names) > 100), most=5)
    assert len(left) > 101
    assert shrinker.runs == 5
    assert not shrinker.done


@pytest.mark.parametrize(
    ("message", "way"),
    [
        (FAILED, ("AssertionError", "test.py:7")),
        (FAILED.replace("AssertionError", "labs.cluster.NotInTime"), ("NotInTime", "test.py:7")),
        ("TimeLimit: not done after 9 s\n  the test waits at test.py:7 in test", ("TimeLimit", "")),
        (f"{FAILED}\nDuring handling of the above exception, x:\n\n{OTHERWISE}", ("AssertionError", "test.py:8")),
    ],
)
def test_the_way_of_a_failure(message: str, way: tuple[str, str]) -> None:
    assert way_of(message) == way


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (some("storm", 1, ["pause", "kv-1", 0.313], []), "   0.1000 s  storm: pause kv-1 0.31"),
        (some("delay of a > b", 2, 0.0153, 0.0002), "   0.2000 s  a > b: message 2 takes 15.3 ms"),
        (some("delay of a > b", 2, NEVER + 0.01, 0.0002), "   0.2000 s  a > b: message 2 never arrives"),
        (some("ck-1", 2, "", "x"), "   0.2000 s  ck-1: nothing"),
        (some("fate of a > b", 3, [[], False, 0.0], [[0.0], False, 0.0]), "   0.3000 s  a > b: request 3 is lost"),
        (
            some("fate of a > b", 4, [[0.5, 0.51], True, 0.0], [[0.5], False, 0.0]),
            "   0.4000 s  a > b: request 4 arrives twice, is held back 500.0 and 510.0 ms, loses its reply",
        ),
    ],
)
def test_a_choice_in_words(choice: Choice, said: str) -> None:
    assert describe(choice) == said


def test_choices_are_counted_by_kind() -> None:
    assert count(MADE) == "300 message times, 30 faults, 12 blows, 40 steps"
    assert count([]) == "nothing"


# --- end to end ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission of lab 2 with a mistake in it."""
    return planted("lab2_kvpaxos", MISTAKE, tmp_path_factory.mktemp("mine"))


@pytest.fixture(scope="module")
def small(mine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shrunk failure of it."""
    file = tmp_path_factory.mktemp("small") / "small.json"
    for seed in range(1, 30):
        done = lab("shrink", TEST, "--seed", seed, "--submission", mine, "--out", file, "--runs", 300)
        if done.returncode == 0:
            said = done.stdout.splitlines()
            assert said[0].startswith("before  ")
            assert said[-1] == f"replay  ./lab replay {file} --submission {mine}"
            return file
        assert f"with seed {seed} has passed" in done.stderr
    raise AssertionError("expected a seed that fails")


def test_who_interrupts_gets_the_smallest_run_so_far(
    mine: Path, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place with a space in its name, too, is one word of the command that replays it."""
    place = tmp_path / "in here"
    (place / "mine").parent.mkdir()
    (place / "mine").symlink_to(mine)

    def interrupt(shrinker: Shrinker) -> Outcome:
        shrinker._fails([])
        raise KeyboardInterrupt

    monkeypatch.setattr(Shrinker, "shrink", interrupt)
    request = shrinking.Request(TEST, Schedule.read(small).seed, place / "small.json", place / "mine")
    console = StringIO()
    with redirect_stdout(console):
        assert shrinking.shrink(request) == INTERRUPTED
    assert "(interrupted)" in console.getvalue()
    (replay,) = re.findall("^replay  (.*)$", console.getvalue(), re.MULTILINE)
    assert lab(*shlex.split(replay)[1:]).returncode == 1


def test_a_shrunk_failure_is_small_and_replayed_exactly(mine: Path, small: Path, tmp_path: Path) -> None:
    schedule = Schedule.read(small)
    assert schedule.item.name == "test_peers_in_a_storm"
    assert len(schedule.choices) < 40
    assert "decided" in schedule.failure
    for attempt in range(2):
        done = lab("replay", small, "--submission", mine, "--out", tmp_path / str(attempt))
        assert done.returncode == 1, done.stdout + done.stderr
        assert "This is the very run that was saved." in done.stdout
        assert schedule.failure.splitlines()[0] in done.stdout
        for choice in schedule.choices:
            assert describe(choice) in done.stdout
    files = [tmp_path / attempt / str(schedule.seed) / "trace.jsonl" for attempt in "01"]
    assert files[0].read_bytes() == files[1].read_bytes() != b""


def test_what_is_right_passes_the_same_schedule(small: Path) -> None:
    done = lab("replay", small)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It passes. When it was saved it failed:" in done.stdout


def test_a_seed_that_passes_cannot_be_shrunk(tmp_path: Path) -> None:
    done = lab("shrink", "viewservice::test_first_primary", "--seed", 1, "--out", tmp_path / "x.json")
    assert (done.returncode, done.stderr) == (
        2,
        "lab: expected a seed with which the test fails, but test_first_primary with seed 1 has passed\n",
    )
    assert not (tmp_path / "x.json").exists()


# --- what makes no sense ---------------------------------------------------------------------------------------------

GOOD: Final[dict[str, Any]] = {
    "version": VERSION,
    "suite": "viewservice",
    "test": "test_first_primary",
    "seed": 1,
    "patience": 1.0,
    "failure": "",
    "digest": "",
    "choices": [],
}


def test_a_schedule_is_what_it_was_after_a_journey_through_a_file(tmp_path: Path) -> None:
    schedule = Schedule(VERSION, "paxos", "test_basic", 7, 1.0, "it failed", "12ab", MADE[:3])
    schedule.write(tmp_path / "x.json")
    assert Schedule.read(tmp_path / "x.json") == schedule


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a file that `lab shrink` has written, but .* is none"),
        ("[]", "expected a file that `lab shrink` has written"),
        (json.dumps({"version": VERSION}), "missing required field `suite`"),
        (json.dumps({**GOOD, "version": 99}), f"expected a schedule of version {VERSION}, but .* has version 99"),
        (json.dumps({**GOOD, "test": "test_gone"}), "there is no 'test_gone' in the suite viewservice"),
        (json.dumps({**GOOD, "suite": "gone"}), "expected a lab or a suite .* got 'gone'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BadUsage, match=message):
        Schedule.read(tmp_path / "x.json").item  # noqa: B018


def test_bad_usage_is_one_line(tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps(GOOD))
    for words, message in [
        (("replay", tmp_path / "none.json"), "cannot read the schedule"),
        (("replay", good, "--submission", tmp_path / "nobody"), "there is no folder"),
        (("replay", good, "--out", tmp_path), "expected a new or empty folder for --out"),
        (("shrink", "test_nothing", "--seed", 1, "--out", tmp_path / "x"), "there is no 'test_nothing' in any suite"),
        (("shrink", TEST, "--seed", 1, "--out", tmp_path / "no" / "x"), "expected a folder to write"),
    ]:
        done = lab(*words)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert message in done.stderr


def test_a_test_has_several_names() -> None:
    for name in ("test_peers_in_a_storm", TEST, "tests/graded/lab2/test_paxos.py::test_peers_in_a_storm"):
        assert find_test(name).suite.name == "paxos"
    with pytest.raises(BadUsage, match="expected one graded test, got kvpaxos::test_basic, "):
        find_test("test_basic")
