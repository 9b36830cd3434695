"""What somebody hands in: a folder with lab packages of their own, laid before the reference's."""

from pathlib import Path

from labs.suites import SUITES


class BadSubmission(ValueError):
    """There is nothing to test in this folder. The text is one line for the user."""


def packages(folder: Path) -> list[str]:
    """The lab packages in a submission. Raises `BadSubmission` if there is none."""
    known = dict.fromkeys(suite.package for suite in SUITES)
    if not folder.is_dir():
        raise BadSubmission(f"expected a folder with a submission, but there is no folder {folder}")
    found = [package for package in known if (folder / package / "roles.py").is_file()]
    if not found:
        raise BadSubmission(f"expected a lab package ({', '.join(known)}) with a roles.py in {folder}, found none")
    return found
