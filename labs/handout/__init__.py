"""What students are given: a starting point for one lab, or a whole repository of their own.

A skeleton (`skeleton/`) has the public names of the reference, their docstrings, and no bodies. What is no part of the
task goes beside it as it is: the table of roles, and the servers that only carry the harness's messages to a library.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from labs import places
from labs.suites import SUITES, TUTORIAL
from labs.usage import BadUsage

SKELETON: Final = Path(__file__).parent / "skeleton"
TEXTS: Final = ("README.md", "pictures/*.svg")
"""The assignment."""
GIVEN: Final = (
    *("__init__.py", "*/__init__.py", "roles.py", *TEXTS),
    *("paxos/server.py", "paxosrsm/server.py", "shardmaster/serving.py"),
)
"""What a lab's package has that is no part of the task."""
REPOSITORY: Final = (
    *("lab", "requirements.txt", "setup.cfg", "pyproject.toml", "LICENSE", ".gitignore"),
    *("common", "labs", "tests/graded", "examples/counter"),
)
"""What a student's repository has of this one, as it is."""

PACKAGES: Final = {suite.lab: suite.package for suite in SUITES}


def new(lab: str, folder: Path) -> Path:
    """Makes a starting point for a lab ("lab1"), or for the tutorial, in `folder`, and gives the package's folder.

    Raises `BadUsage` if there is no such lab, or if the folder has that package already: nothing is written over.
    """
    known = {**PACKAGES, TUTORIAL.lab: TUTORIAL.package}
    names = {**known, **{package: package for package in known.values()}}
    if lab not in names:
        raise BadUsage(f"expected a lab ({', '.join(known)}), got {lab!r}")
    package = names[lab]
    target = folder / package
    if target.exists():
        raise BadUsage(f"expected no {package} in {folder} yet, but there is one, and nothing is written over")
    for source, inside in _files(package):
        copy(source, target / inside)
    return target


def handout(folder: Path) -> None:
    """Makes a repository for students in `folder`: every lab's skeleton, the graded tests, and the `./lab` command.

    Raises `BadUsage` if the folder holds anything already.
    """
    if not places.is_checkout():
        raise BadUsage("expected a checkout of the project, since a handout has its tests and its start script in it")
    if folder.is_dir() and any(folder.iterdir()):
        raise BadUsage(f"expected {folder} to be empty or not there yet, but it holds something")
    root = places.root()
    for name in REPOSITORY:
        for source in [root / name] if (root / name).is_file() else all_files(root / name):
            copy(source, folder / source.relative_to(root))
    for lab in PACKAGES:
        new(lab, folder)
    (folder / "README.md").write_text((Path(__file__).parent / "student.md").read_text())


def _files(package: str) -> Iterator[tuple[Path, Path]]:
    """What a starting point is made of: each file, and where in the package it goes."""
    if package == TUTORIAL.package:
        start = places.tutorial_folder() / "start" / package
        yield from ((file, file.relative_to(start)) for file in all_files(start))
        for pattern in TEXTS:
            tutorial = places.tutorial_folder()
            yield from ((file, file.relative_to(tutorial)) for file in sorted(tutorial.glob(pattern)))
        return
    reference = places.packages_folder() / package
    for pattern in GIVEN:
        yield from ((file, file.relative_to(reference)) for file in sorted(reference.glob(pattern)))
    skeleton = SKELETON / package
    yield from ((file, file.relative_to(skeleton)) for file in all_files(skeleton))


def all_files(folder: Path) -> list[Path]:
    """All that is in a folder, but for what Python leaves in it."""
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted(files)


def copy(source: Path, target: Path) -> None:
    """Copies a file, into a folder that may not be there yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
