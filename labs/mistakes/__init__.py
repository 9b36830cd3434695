"""Mistakes on purpose: what students get wrong, planted in a copy of the reference, to see which graded test notices.

A suite is worth what it catches. So each lab has tables of mistakes (`tests/mistakes/lab*.py`), and each mistake names
the tests that have to fail when it is made. `lab mistakes` makes them all and says how soon each one was noticed.
"""

import re
import runpy
import shutil
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Literal, NamedTuple

Caught = Literal["always", "sometimes", "never", ""]
"""How often the course's own suite of 2015 noticed a kind of mistake. Empty: nobody has tried."""


class Kind(NamedTuple):
    """A kind of mistake that was found in students' solutions."""

    what: str
    in_2015: Caught
    left_out: str = ""
    """Why no table has a mistake of this kind, if none has."""


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
    """Its kind, such as VS1 or PX5, by which `tests/mistakes/kinds.py` knows it, or "" if it is none of those."""
    name: str
    why: str
    """What goes wrong then."""
    edits: tuple[Edit, ...]
    """Most mistakes are one edit. Where the reference guards something twice, both guards have to go."""
    caught_by: tuple[str, ...]
    """Graded tests of the same lab: each of them has to fail for some seed."""

    @property
    def suite(self) -> str:
        """The service in which the mistake is made: that of the first edit."""
        return Path(self.edits[0].file).parts[0]


def load(table: Path) -> list[Mistake]:
    """The mistakes that a table's file lists as `MISTAKES`."""
    mistakes: list[Mistake] = runpy.run_path(str(table))["MISTAKES"]
    return mistakes


def load_all(folder: Path) -> dict[str, list[Mistake]]:
    """For each lab what stands in its tables: `lab1.py`, or `lab3_<part>.py` for a part of one."""
    found: dict[str, list[Mistake]] = {}
    for table in sorted(folder.glob("lab*.py")):
        found.setdefault(table.stem.partition("_")[0], []).extend(load(table))
    return found


def load_kinds(folder: Path) -> dict[str, Kind]:
    """The kinds that `kinds.py` lists as `KINDS`. None if there is no such file."""
    file = folder / "kinds.py"
    kinds: dict[str, Kind] = runpy.run_path(str(file))["KINDS"] if file.is_file() else {}
    return kinds


def plant(mistake: Mistake, package: Path, folder: Path) -> None:
    """Copies a lab's package into `folder` and makes the mistake there. Raises `ValueError` if an edit does not fit."""
    copy = folder / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in mistake.edits:
        file = copy / edit.file
        file.write_text(edit.apply(file.read_text()))
