"""`lab replay`: runs a saved schedule again, exactly, and says what happens in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from labs.places import short
from labs.running import failure_of, keep
from labs.schedules import Schedule, count, describe, path_of
from labs.sim.client import SimWorker
from labs.usage import FAILED, INCONCLUSIVE, PASSED, BadUsage

EXIT: Final = {"passed": PASSED, "failed": FAILED, "error": FAILED, "inconclusive": INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab replay` was asked for."""

    file: Path
    submission: Path | None = None
    out: Path | None = None
    """Where trace, logs and history go. None: nowhere."""


def replay(request: Request) -> int:
    """Runs the schedule and shows it. Returns the exit status. Raises `BadUsage`."""
    schedule = Schedule.read(request.file)
    item = schedule.item
    path = path_of(request.submission, item)
    if request.out is not None and request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise BadUsage(f"expected a new or empty folder for --out, but {request.out} has something in it")
    with SimWorker() as worker:
        outcome = schedule.play(worker, path, request.out)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{item.suite.name}: {item.grade.title}")
    console.print(f"seed {schedule.seed}, and of all that was left to chance: {count(outcome.choices)}\n")
    for choice in outcome.choices:
        console.print(describe(choice))
    if outcome.digest == schedule.digest:
        console.print("\nThis is the very run that was saved.")
    else:
        console.print("\nThis is not the run that was saved: the servers, the test or the harness are others now.")
    failure = failure_of(item, outcome, replay="", folder="")
    if request.out is not None:
        keep(outcome, request.out / str(schedule.seed), failure)
    if outcome.status == "passed":
        before = (
            f" When it was saved it failed:\n{schedule.failure}"
            if schedule.failure
            else " So it did when it was saved."
        )
        console.print(f"It passes.{before}")
        return PASSED
    logs = [f"\n{name} wrote\n{tail}" for name, tail in failure.logs.items()]
    stuck = f"\n{failure.stuck}" if failure.stuck else ""
    console.print("\n".join(filter(None, [f"{outcome.status}: {failure.message}", failure.where, stuck, *logs])))
    if request.out is not None:
        console.print(f"\nfiles   {short(request.out / str(schedule.seed))}")
    return EXIT[outcome.status]
