"""Which folders of runs stay, and how the tests of a run take turns."""

import fcntl
import time
from pathlib import Path
from threading import Thread

from labs.runs import KEPT, MARKER, Run, Turns, prune

A_WHILE = 0.2
"""Seconds in which nothing may happen."""
SOON = 60.0


def make_runs(folder: Path, count: int) -> list[Path]:
    """Folders of runs, oldest first."""
    made = [folder / f"20260101-{number:06}-abcd" for number in range(count)]
    for run in made:
        (run / "pbservice").mkdir(parents=True)
        (run / MARKER).touch()
    return made


def until_waited_for(gate: Path) -> None:
    """Waits until somebody holds the gate, who then waits to be alone."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        with gate.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        time.sleep(0.001)
    raise AssertionError("expected somebody at the gate")


def test_the_newest_runs_stay(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, KEPT + 3)
    (tmp_path / "latest").symlink_to(runs[-1].name)
    prune(tmp_path)
    assert [run for run in runs if run.exists()] == runs[3:]
    assert (tmp_path / "latest" / MARKER).exists()


def test_a_run_that_goes_on_stays(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, KEPT + 2)
    with (runs[0] / MARKER).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        prune(tmp_path)
    assert runs[0].exists()
    assert not runs[1].exists()


def test_a_folder_that_somebody_chose_stays(tmp_path: Path) -> None:
    chosen = tmp_path / "20250101-000000-abcd"  # though it looks like any other
    Run("20250101-000000-abcd", chosen).make_folder()
    (tmp_path / "notes").mkdir()
    make_runs(tmp_path, KEPT + 1)
    prune(tmp_path)
    assert chosen.exists()
    assert not (chosen / MARKER).exists()
    assert (tmp_path / "notes").exists()


def test_a_new_run_makes_room_for_itself(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, KEPT)
    run = Run("20270101-000000-abcd", tmp_path / "20270101-000000-abcd", prunable=True)
    for _ in range(2):  # each test makes sure of the folder
        run.make_folder()
    assert not runs[0].exists()
    assert runs[1].exists()
    assert (tmp_path / "latest").resolve() == run.folder


def test_turns_go_side_by_side_unless_one_is_alone(tmp_path: Path) -> None:
    turns, order = Turns(tmp_path), []

    def take(name: str, alone: bool) -> None:
        with turns.taken(alone):
            order.append(name)

    with turns.taken(), turns.taken():
        order.append("both")
        one = Thread(target=take, args=("alone", True))
        one.start()
        until_waited_for(tmp_path / ".gate")
        one.join(A_WHILE)
        assert order == ["both"], "expected the one who has to be alone to wait for the others"
        late = Thread(target=take, args=("late", False))
        late.start()
        late.join(A_WHILE)
        assert order == ["both"], "expected those who come later not to get past the one who waits to be alone"
    one.join(SOON)
    late.join(SOON)
    assert order == ["both", "alone", "late"]


def test_who_is_alone_keeps_the_others_out(tmp_path: Path) -> None:
    turns, order = Turns(tmp_path), []

    def take() -> None:
        with turns.taken():
            order.append("other")

    with turns.taken(alone=True):
        other = Thread(target=take)
        other.start()
        other.join(A_WHILE)
        order.append("alone")
    other.join(SOON)
    assert order == ["alone", "other"]
