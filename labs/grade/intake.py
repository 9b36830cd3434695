"""Which submissions there are to grade: folders, archives, a folder of them, or the rows of a roster."""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labs.grade import unpacking
from labs.submission import FILE, PACKAGES
from labs.usage import BadUsage

LONGEST: Final = 80
"""Characters of an id that become a folder's name."""
DEEP: Final = 3
"""How many folders further down the labs may lie, as they do in an archive of a repository."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody to be graded."""

    id: str
    name: str
    source: Path | None
    """A folder or an archive. None: nothing was handed in."""

    @property
    def folder(self) -> str:
        """A name for its files: the id, made into one that every file system takes and that no other id has."""
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", self.id)[:LONGEST].lstrip(".-")
        if plain and plain == self.id:
            return plain
        return f"{plain}-{hashlib.sha256(self.id.encode()).hexdigest()[:8]}".lstrip("-")


def find(sources: Sequence[Path], roster: Path | None, single: bool = False) -> list[Entry]:
    """All submissions that are meant, by id. Raises `BadUsage`, with the line where it is about the roster.

    With `single` there is one, whatever its folder looks like.
    """
    if single and (len(sources) != 1 or roster is not None):
        raise BadUsage(f"expected a single submission, got {'a roster' if roster else len(sources)}")
    handed_in = {entry.id: entry for entry in _unique(_found(sources, single))}
    if roster is None:
        entries = list(handed_in.values())
        if not entries:
            raise BadUsage("expected submissions: folders, archives, a folder that holds them, or --roster FILE")
    else:
        entries = list(_read(roster, handed_in))
        unknown = sorted(set(handed_in) - {entry.id for entry in entries})
        if unknown:
            raise BadUsage(f"{roster} has no row for these submissions: {', '.join(unknown)}")
    return sorted(entries, key=lambda entry: entry.id)


def labs_folder(folder: Path) -> Path:
    """Where in a submission its labs lie: right there, or in the one folder further down that has any."""
    level = [folder]
    for _ in range(DEEP + 1):
        found = [each for each in level if _has_labs(each)]
        if found:
            return found[0] if len(found) == 1 else folder
        level = [child for each in level for child in sorted(each.iterdir()) if child.is_dir()]
    return folder


def _has_labs(folder: Path) -> bool:
    return (folder / FILE).is_file() or any((folder / package / "roles.py").is_file() for package in PACKAGES)


def _found(sources: Iterable[Path], single: bool) -> Iterator[Entry]:
    for source in sources:
        if not source.exists():
            raise BadUsage(f"expected a submission, but there is no {source}")
        if not source.is_dir() and not unpacking.is_archive(source):
            raise BadUsage(f"expected a folder or an archive ({', '.join(unpacking.ENDINGS)}), got {source}")
        inside = [] if single or not source.is_dir() or _has_labs(source) else list(_submissions_in(source))
        for each in inside or [source]:
            name = unpacking.stem(each.absolute())
            yield Entry(name, name, each)


def _submissions_in(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if not each.name.startswith((".", "_")) and (each.is_dir() or unpacking.is_archive(each)):
            yield each


def _unique(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.id in seen:
            raise BadUsage(f"two submissions would be called {entry.id!r}: {seen[entry.id].source} and {entry.source}")
        seen[entry.id] = entry
        yield entry


# --- the roster ------------------------------------------------------------------------------------------------------


def _read(roster: Path, handed_in: dict[str, Entry]) -> Iterator[Entry]:
    """The rows of a roster. Paths are seen from its folder; without one, the submission with the row's id is meant."""
    try:
        with roster.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            head = [cell.strip().lower() for cell in next(reader, [])]
            if "id" not in head:
                raise BadUsage(f"{roster}, line 1: expected the columns id, name and path (at least id), got {head}")
            lines: dict[str, int] = {}
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield _row(roster, reader.line_num, head, cells, lines, handed_in)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadUsage(f"cannot read the roster {roster}: {error}") from None


def _row(
    roster: Path, line: int, head: list[str], cells: list[str], lines: dict[str, int], handed_in: dict[str, Entry]
) -> Entry:
    where = f"{roster}, line {line}"
    if len(cells) != len(head):
        raise BadUsage(f"{where}: expected {len(head)} cells ({', '.join(head)}), got {len(cells)}")
    row = dict(zip(head, (cell.strip() for cell in cells), strict=True))
    name, path = row["id"], row.get("path", "")
    if not name:
        raise BadUsage(f"{where}: expected an id, got none")
    if name in lines:
        raise BadUsage(f"{where}: the id {name!r} is there already, in line {lines[name]}")
    lines[name] = line
    source = roster.parent / path if path else None
    if source is None and name in handed_in:
        source = handed_in[name].source
    elif source is not None and not source.is_dir() and not unpacking.is_archive(source):
        there = "no archive that can be unpacked" if source.exists() else "not there"
        raise BadUsage(f"{where}: expected a folder or an archive, but {source} is {there}")
    return Entry(name, row.get("name") or name, source)
