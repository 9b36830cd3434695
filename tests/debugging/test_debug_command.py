"""`lab debug`, with commands from a pipe, on servers with a mistake in them."""

from pathlib import Path
from typing import Final

import pytest

from labs.schedules import Schedule
from tests.commands import lab, planted

ROOT: Final = Path(__file__).parents[2]
TEST: Final = "pbservice::test_old_primary_serves_no_gets"
MISTAKE: Final = "Gets do not ask the backup"


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A submission of lab 1 with a mistake in it."""
    return planted("lab1_pbservice", MISTAKE, tmp_path_factory.mktemp("mine"))


def test_a_failing_run_is_walked_back_to_its_cause(mine: Path) -> None:
    typed = "failure\nlast ck-old\nlast Read\nstate pb-1\nlinks\nwhere"
    done = lab("debug", TEST, "--seed", 1, "--submission", mine, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    _, failure, last, read, state, links, where = done.stdout.split(" s> ")
    assert 'ck-old: Get("a") is answered: "1"' in failure
    assert 'pb-1 > ck-old: Value("1") arrives, the reply to Read("a")' in last
    assert 'pb-1 > ck-old: Value("1") sets out' in read
    assert 'replica.view = View(viewnum=2, primary="pb-1", backup="pb-2")' in state
    assert "pb-1 cannot call vs: the links are cut" in links
    assert "in test_old_primary_serves_no_gets: await not_stale(" in where


def test_a_choice_changes_the_run_and_is_saved_and_played_exactly(mine: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    typed = f"next Read\nflight\ndelay 43 400\nchoices\ngoto end\nback 3\nchoices\nsave {file}\nundo\nchoices"
    done = lab("debug", TEST, "--seed", 1, "--submission", mine, typed=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.split(" s> ")
    assert "Read #43 (request ck-old > pb-1) arrives 400 ms later; with that the test" in said[3]
    assert said[4].splitlines()[1] == said[7].splitlines()[1]
    assert said[4].splitlines()[1].endswith("Read #43 (request ck-old > pb-1) arrives 400 ms later")
    assert "no longer: Read #43" in said[9]
    assert "nothing was chosen" in said[10]
    schedule = Schedule.read(file)
    assert any(choice.of == "delay of ck-old > pb-1" and choice.value > 0.4 for choice in schedule.choices)
    replayed = lab("replay", file, "--submission", mine)
    assert "This is the very run that was saved." in replayed.stdout
    again = lab("debug", "--schedule", file, "--submission", mine, typed="goto end")
    assert again.returncode == 0
    assert said[5].splitlines()[1:3] == again.stdout.split(" s> ")[1].splitlines()[1:3]


REFUSED: Final = (
    ("jump", "expected a command, got 'jump'; `help` lists them"),
    ("back", "this is the beginning of the run"),
    ("bac 3", "this is the beginning of the run"),
    ("de", "expected a command, got 'de'"),
    ("goto 100000", "expected a moment from 0 to "),
    ("goto soon", "expected a number, got 'soon'"),
    ("next nothing", "there is no event with 'nothing' in it after this moment"),
    ("deliver 1", "expected a message on its way (there is none), got 1"),
    ("state pb-9", "no server runs yet; `step` goes on"),
    ("undo", "nothing was chosen yet"),
    ("failure", "this run passes"),
    ("diverge", "this run passes"),
    ('step "', "this line cannot be read: No closing quotation"),
    ("delay 1", "expected the number of a message on its way, and by how many milliseconds"),
)


def test_what_cannot_be_done_is_said() -> None:
    done = lab("debug", "viewservice::test_first_primary", typed="\n".join(typed for typed, _ in REFUSED))
    said = done.stdout.split(" s> ")[1:]
    assert len(said) == len(REFUSED)
    for came, (typed, message) in zip(said, REFUSED, strict=True):
        assert came.startswith(f"{typed}\n{message}"), came
    assert done.returncode == 1


def test_bad_usage_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    for words, message in [
        (("debug",), "expected a graded test, as in kvpaxos::test_basic, or --schedule FILE"),
        (("debug", "test_nothing"), "there is no 'test_nothing' in any suite"),
        (("debug", "--schedule", tmp_path / "bad.json"), "expected a file that `lab shrink` has written"),
        (("debug", "pbservice::test_add_backup", "--submission", tmp_path), "found none"),
    ]:
        done = lab(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
