"""Sessions of `lab up` whose commands come through a pipe."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

UP: Final = [sys.executable, "-m", "labs", "up"]
SOON: Final = 30.0
"""Seconds within which things happen that take one."""
NOTHING_LEFT: Final = "left behind: 0 processes, 0 socket files"


def up(tmp_path: Path, lab: str, *lines: str, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """A session whose commands come through a pipe."""
    done = subprocess.run(
        [*UP, lab, "--out", str(tmp_path / "run"), *options],
        input="\n".join(lines),
        text=True,
        capture_output=True,
        check=False,
        timeout=2 * SOON,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == NOTHING_LEFT
    return done


def answers(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """What was said after each command."""
    parts = [part.partition("\n") for part in done.stdout.split("\n> ")[1:]]
    return {line: said.partition("\nrecorded in")[0].strip() for line, _, said in parts}


def script(folder: Path, *lines: str) -> Path:
    """A file with these commands."""
    file = folder / "commands.lab"
    file.write_text("\n".join(lines) + "\n")
    return file
