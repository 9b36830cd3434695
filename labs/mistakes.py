"""Mistakes on purpose: what students get wrong, planted in a copy of the reference, to see which graded test notices.

A suite is worth what it catches. So each lab has a table of mistakes, and each mistake names the tests that have to
fail when it is made.
"""

import re
import runpy
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import NamedTuple

from labs.sim.client import SimWorker
from labs.sim.run import Outcome


class Edit(NamedTuple):
    """One change of one file: whole lines replaced by others. Their common indentation need not be written."""

    file: str
    """Inside the lab's package."""
    old: str
    """Lines that stand exactly once in that file."""
    new: str

    def apply(self, text: str) -> str:
        """The file's text with the change. Raises `ValueError` if the old lines are not there, or not once."""
        old, new = (dedent(lines).strip("\n") for lines in (self.old, self.new))
        pattern = "\n".join(rf"(?P=indent){re.escape(line)}" if line else "" for line in old.split("\n"))
        pattern = pattern.replace("(?P=indent)", "^(?P<indent> *)", 1) + "$"
        found = list(re.finditer(pattern, text, re.MULTILINE))
        if len(found) != 1:
            raise ValueError(f"{self.file} holds this {len(found)} times, expected once:\n{old}")
        return text[: found[0].start()] + indent(new, found[0]["indent"]) + text[found[0].end() :]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that a student gets wrong."""

    student_bug: str
    """Its number among what was found in students' solutions, such as VS1 or PX5, or "" if it is none of those."""
    name: str
    why: str
    """What goes wrong then."""
    edits: tuple[Edit, ...]
    """Most mistakes are one edit. Where the reference guards something twice, both guards have to go."""
    caught_by: tuple[str, ...]
    """Graded tests: each of them has to fail for some seed."""


def load(table: Path) -> list[Mistake]:
    """The mistakes that a table's file lists as `MISTAKES`."""
    mistakes: list[Mistake] = runpy.run_path(str(table))["MISTAKES"]
    return mistakes


def plant(mistake: Mistake, package: Path, folder: Path) -> None:
    """Copies a lab's package into `folder` and makes the mistake there. Raises `ValueError` if an edit does not fit."""
    copy = folder / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in mistake.edits:
        file = copy / edit.file
        file.write_text(edit.apply(file.read_text()))


def first_failure(
    worker: SimWorker, file: Path, test: str, package: str, folder: Path, seeds: Iterable[int], limit: float
) -> Outcome | None:
    """Runs a graded test on the copy in `folder` until a seed fails. None if none does.

    Raises `ValueError` if the copy cannot be imported: then the mistake is no mistake but nonsense.
    """
    for outcome in worker.run(file, test, package, seeds, path=[folder], limit=limit):
        if outcome.status != "passed":
            if "could not be imported" in outcome.message:
                raise ValueError(outcome.message)
            return outcome
    return None
