"""`lab`, run as a user runs it; and submissions with a mistake of the tables in them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from labs.mistakes import load, plant

ROOT: Final = Path(__file__).parents[1]
LAB: Final = (sys.executable, "-m", "labs")
"""What begins the command line."""
LIMIT: Final = 300.0
"""Seconds after which a command is taken to hang, however busy the machine is."""

Done = subprocess.CompletedProcess[str]


def lab(*words: object, folder: Path = ROOT, typed: str = "", **environment: str) -> Done:
    """Runs `lab` with these words in a folder, and waits for it."""
    return subprocess.run(
        [*LAB, *map(str, words)],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT), **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def planted(package: str, name: str, folder: Path) -> Path:
    """A submission in this folder: the reference's package with the one mistake of this name."""
    table = ROOT / "tests" / "mistakes" / f"{package.partition('_')[0]}.py"
    (mistake,) = (each for each in load(table) if each.name == name)
    plant(mistake, ROOT / package, folder)
    return folder
