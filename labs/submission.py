"""What somebody hands in: a folder with lab packages of their own, laid before the reference's."""

from pathlib import Path

from labs.suites import SUITES
from labs.usage import BadUsage


def packages(folder: Path) -> list[str]:
    """The lab packages in a submission. Raises `BadUsage` if there is none."""
    known = dict.fromkeys(suite.package for suite in SUITES)
    if not folder.is_dir():
        raise BadUsage(f"expected a folder with a submission, but there is no folder {folder}")
    found = [package for package in known if (folder / package / "roles.py").is_file()]
    if not found:
        raise BadUsage(f"expected a lab package ({', '.join(known)}) with a roles.py in {folder}, found none")
    return found
