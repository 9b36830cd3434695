"""Schedules that were kept: what once made a mistake fail, the reference passes."""

from pathlib import Path
from typing import Final

import pytest

from labs.mistakes import load, plant
from labs.schedules import Schedule
from labs.sim.client import SimWorker

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "tests" / "schedules"
MISTAKES: Final = {
    "duplicates_looked_for_too_early.json": (
        "duplicates are looked for when a request comes, and not when it is executed"
    ),
    "gets_do_not_ask_the_backup.json": "Gets do not ask the backup",
    "views_need_no_acknowledgement.json": "views need no acknowledgement",
}
"""For each file the mistake, by its name in the lab's table, with which it fails."""


def test_each_file_has_its_mistake() -> None:
    assert sorted(file.name for file in FOLDER.glob("*.json")) == sorted(MISTAKES)


@pytest.mark.parametrize("file", MISTAKES)
def test_the_reference_passes(file: str) -> None:
    with SimWorker() as worker:
        outcome = Schedule.read(FOLDER / file).play(worker)
    assert outcome.status == "passed", outcome.message


@pytest.mark.parametrize("file", MISTAKES)
def test_the_mistake_fails(file: str, tmp_path: Path) -> None:
    schedule = Schedule.read(FOLDER / file)
    suite = schedule.item.suite
    table = ROOT / "tests" / "mistakes" / f"{suite.lab}.py"
    (mistake,) = (each for each in load(table) if each.name == MISTAKES[file])
    plant(mistake, ROOT / suite.package, tmp_path)
    with SimWorker() as worker:
        outcome = schedule.play(worker, [tmp_path])
    assert outcome.status == "failed", f"{file} tests nothing any more; its folder's README says how to make it anew"
