"""`lab grade`: from submissions to a folder with everybody's grades."""

from dataclasses import dataclass
from pathlib import Path

from labs.confidence import Policy
from labs.grade import classroom, intake, report, unpacking
from labs.grade.grader import Grader, Plan, Submission, labs_folder
from labs.grade.intake import Entry
from labs.grade.journal import FILE, Journal, Opened, Settings, locked, now
from labs.submission import packages
from labs.suites import SUITES
from labs.testing import catalogue
from labs.usage import BadUsage


@dataclass(frozen=True, slots=True)
class Request:
    """What `lab grade` was asked for."""

    sources: tuple[Path, ...]
    out: Path
    plan: Plan
    roster: Path | None = None
    lab: tuple[str, ...] = ()
    """Labs or suites. None: the labs that the submissions have."""
    keyword: str | None = None
    repeat: int | None = None
    until_confident: bool = False
    policy: Policy = "all"
    patience: float = 1.0
    gradescope: Path | None = None
    """Where Gradescope looks for the results of a single submission."""
    github: bool = False
    """Whether this is a step of a workflow that grades a single submission for GitHub Classroom."""


def grade(request: Request) -> int:
    """Grades what is not graded yet. Returns the exit status. Raises `BadUsage`."""
    if request.github:
        classroom.check()
    single = request.gradescope is not None or request.github
    entries = intake.find(request.sources, request.roster, single)
    _make_folder(request.out)
    with locked(request.out):
        journal = Journal(request.out)
        there = [_take_in(entry, request.out) for entry in entries]
        opened = open_folder(journal, request, there)
        grader = Grader(request.out, journal, opened, request.plan, request.gradescope)
        todo = [each for each in there if grader.wants(each)]
        status = grader.run(todo, len(there) - len(todo))
    if request.github and entries[0].id in journal.grades:
        classroom.write(journal.grades[entries[0].id])
    return status


# --- taking in -------------------------------------------------------------------------------------------------------


def _make_folder(out: Path) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / FILE).is_file())):
        raise BadUsage(
            f"expected a new or empty folder for --out, or one of an earlier lab grade, but {out} is neither"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadUsage(f"cannot make the output folder: {error}") from None


def _take_in(entry: Entry, out: Path) -> Submission:
    """Copies or unpacks it, unless the very same files are there already."""
    if entry.source is None:
        return Submission(entry)
    kept = out.absolute() / report.SUBMISSIONS / entry.folder
    fresh = kept.with_name(f".{entry.folder}.new")
    unpacking.discard(fresh)
    try:
        links = unpacking.take(entry.source, fresh)
    except unpacking.Unsafe as error:
        unpacking.discard(fresh)
        unpacking.discard(kept)
        return Submission(entry, refused=str(error))
    digest = unpacking.digest(fresh)
    if kept.is_dir() and unpacking.digest(kept) == digest:
        unpacking.discard(fresh)
    else:
        unpacking.discard(kept)
        fresh.rename(kept)
    return Submission(entry, digest, links=links)


def open_folder(journal: Journal, request: Request, there: list[Submission]) -> Opened:
    """What all in this folder are graded by. Raises `BadUsage` if that is something else than what is asked for now."""
    labs = request.lab or _labs_found(request.out, there)
    opened = journal.opened
    asked = (
        opened.catalogue if opened and not request.lab and request.keyword is None else catalogue(labs, request.keyword)
    )
    settings = Settings(
        tuple(test.test for test in asked),
        request.repeat,
        request.until_confident,
        request.policy,
        request.patience,
    )
    if opened is None:
        opened = Opened(settings, asked, now())
        journal.add(opened)
    elif opened.settings != settings:
        raise BadUsage(
            f"the submissions in {request.out} are graded by other tests or options "
            f"({_differences(opened.settings, settings)}): use the same again, or another --out"
        )
    return opened


def _differences(old: Settings, new: Settings) -> str:
    told = []
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            said = (f"{len(before)} tests", f"{len(after)}") if name == "tests" else (f"--{name} {before}", f"{after}")
            told.append(f"{said[0]} there, {said[1]} here")
    return "; ".join(told)


def _labs_found(out: Path, there: list[Submission]) -> tuple[str, ...]:
    """The labs that any of the submissions has. Raises `BadUsage` if there is none."""
    found: set[str] = set()
    for each in there:
        if each.digest:
            try:
                found.update(packages(labs_folder(out, each.entry)))
            except BadUsage:  # which becomes its grade
                continue
    labs = tuple(dict.fromkeys(suite.lab for suite in SUITES if suite.package in found))
    if not labs:
        raise BadUsage("none of the submissions has a lab: name what they are graded by with --lab")
    return labs
