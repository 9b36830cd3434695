"""What lets others run `lab grade`: an autograder for Gradescope, and a workflow for GitHub Classroom."""

import os
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from labs import handout, places
from labs.suites import find_suites
from labs.usage import BadUsage

HERE: Final = Path(__file__).parent
GRADESCOPE_SECONDS: Final = 540.0
"""Gradescope ends an autograder after 600, unless it is told otherwise. The rest is for starting and ending."""
GITHUB_SECONDS: Final = 3000.0
ZIP: Final = "autograder.zip"
WORKFLOW: Final = ".github/workflows/classroom.yml"


def gradescope(folder: Path, labs: Sequence[str], seconds: float | None, references: Sequence[str] = ()) -> Path:
    """Makes `autograder.zip` in `folder`: Gradescope's two scripts, and the project as students have it.

    So nothing of the solution is where a submission runs, but for the `references`: labs on which others may stand.
    Raises `BadUsage`.
    """
    _check(labs)
    file = folder / ZIP
    if file.exists():
        raise BadUsage(f"expected no {ZIP} in {folder} yet, but there is one, and nothing is written over")
    unknown = [lab for lab in references if lab not in handout.PACKAGES]
    if unknown:
        raise BadUsage(f"expected a lab ({', '.join(handout.PACKAGES)}) for --reference, got {unknown[0]!r}")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        project = Path(scratch, "project")
        handout.handout(project)
        for lab in references:
            package = handout.PACKAGES[lab]
            for source in handout.all_files(places.packages_folder() / package):
                handout.copy(source, project / package / source.relative_to(places.packages_folder() / package))
        told = {"@LABS@": " ".join(labs), "@SECONDS@": f"{seconds or GRADESCOPE_SECONDS:g}"}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for script in sorted((HERE / "gradescope").iterdir()):
                _add(archive, script.name, _filled(script, told).encode(), executable=True)
            for each in handout.all_files(project):
                executable = os.access(each, os.X_OK)
                _add(archive, str(each.relative_to(scratch)), each.read_bytes(), executable)
    return file


def github(folder: Path, labs: Sequence[str], seconds: float | None) -> Path:
    """Adds the workflow to a repository for students. Raises `BadUsage`."""
    _check(labs)
    file = folder / WORKFLOW
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"@LABS@": " ".join(f"--lab {lab}" for lab in labs), "@SECONDS@": f"{seconds or GITHUB_SECONDS:g}"}
    file.write_text(_filled(HERE / "github" / "classroom.yml", told))
    return file


def _check(labs: Sequence[str]) -> None:
    if not labs:
        raise BadUsage("name what submissions are graded by, as in --lab lab1")
    for lab in labs:
        try:
            find_suites(lab)
        except ValueError as error:
            raise BadUsage(str(error)) from None


def _filled(template: Path, told: dict[str, str]) -> str:
    text = template.read_text()
    for blank, value in told.items():
        text = text.replace(blank, value)
    return text


def _add(archive: zipfile.ZipFile, name: str, content: bytes, executable: bool) -> None:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
