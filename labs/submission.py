"""What somebody hands in: a folder with lab packages of their own, laid over the official `common`.

A lab is either a Python package with a `roles.py`, or a command in any language, named in `lab.toml`:

    [lab1_pbservice]
    command = ["node", "main.mjs"]

A command's servers are started in the submission's folder, as `COMMAND… ROLE NAME NET ARGUMENTS`; what is expected of
them stands in docs/process-contract.md.
"""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from labs.places import tutorial_folder
from labs.suites import BORROWS, SUITES, TUTORIAL
from labs.usage import BadUsage

FILE: Final = "lab.toml"
PACKAGES: Final = tuple(dict.fromkeys(suite.package for suite in (*SUITES, TUTORIAL)))


class Command(NamedTuple):
    """How the servers of a lab are started that is no Python package."""

    words: tuple[str, ...]
    folder: Path
    """Where: paths in the words are seen from there."""

    def line(self, role: str, name: str, net: Path, arguments: dict[str, Any]) -> list[str]:
        """The command line of one server."""
        return [*self.words, role, name, str(net), json.dumps(arguments)]

    def __str__(self) -> str:
        return " ".join(self.words)


class _Section(msgspec.Struct, forbid_unknown_fields=True):
    """What `lab.toml` says of one lab."""

    command: Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)]


def packages(folder: Path) -> list[str]:
    """The labs in a submission. Raises `BadUsage` if there is none, or if its `lab.toml` makes no sense."""
    if not folder.is_dir():
        raise BadUsage(f"expected a folder with a submission, but there is no folder {folder}")
    by_command = commands(folder)
    found = [package for package in PACKAGES if _is_python(folder, package) or package in by_command]
    if not found:
        raise BadUsage(
            f"expected a lab package ({', '.join(PACKAGES)}) with a roles.py in {folder}, or a {FILE} that names a "
            f"command for it, found none"
        )
    return found


def commands(folder: Path) -> dict[str, Command]:
    """The labs of a submission that are commands. Raises `BadUsage` if its `lab.toml` makes no sense."""
    file = folder / FILE
    try:
        sections = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadUsage(f"cannot read {file}: {error}") from None
    return {package: _command(folder, package, section) for package, section in sections.items()}


def _command(folder: Path, package: str, section: object) -> Command:
    where = f"{folder / FILE}, [{package}]"
    if package not in PACKAGES:
        raise BadUsage(f"{where}: expected the package of a lab ({', '.join(PACKAGES)})")
    try:
        words = msgspec.convert(section, _Section).command
    except msgspec.ValidationError as error:
        raise BadUsage(f'{where}: {error}; expected a list of words, as in command = ["node", "main.mjs"]') from None
    if _is_python(folder, package):
        raise BadUsage(f"{where}: expected one of the two, but there is a {package}/roles.py as well as a command")
    # As when it is started: a path is seen from the submission, a mere name is looked for where programs are.
    if shutil.which(folder / words[0] if "/" in words[0] else words[0]) is None:
        place = f"in {folder}" if "/" in words[0] else "on this machine"
        raise BadUsage(f"{where}: there is no program {words[0]!r} {place} that can be run")
    return Command(tuple(words), folder.absolute())


def check_offered(folder: Path, package: str, world: str) -> None:
    """Raises `BadUsage` unless a submission has this lab, and can run it in the world ("process", "sim" or "both")."""
    command = commands(folder).get(package)
    if command is None and not _is_python(folder, package):
        raise BadUsage(f"expected {package} in the submission {folder}, which has {', '.join(packages(folder))}")
    if command is not None and world != "process":
        raise BadUsage(
            f"the simulation runs Python only, and {package} in {folder} is a command ({command}): use --world process"
        )


def _is_python(folder: Path, package: str) -> bool:
    """Whether the lab is there as a package. Raises `BadUsage` if Python would look past it."""
    if not (folder / package / "roles.py").is_file():
        return False
    for each in (package, *BORROWS.get(package, ())):
        if any((folder / each).glob("*.py")) and not (folder / each / "__init__.py").is_file():
            raise BadUsage(
                f"expected a file {folder / each / '__init__.py'}: without it, Python looks for {each} elsewhere"
            )
    return True


def module_path(submission: Path | None, package: str) -> list[Path]:
    """Where servers of a lab look for their code before the reference's."""
    if submission is not None:
        return [submission.absolute()]
    return [tutorial_folder() / "solution"] if package == TUTORIAL.package else []
