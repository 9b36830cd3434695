"""Sessions of `lab up` whose commands come through a pipe."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from tests.commands import LIMIT

UP: Final = [sys.executable, "-m", "labs", "up"]
PATIENT: Final = ("--patience", "3")
"""On a busy machine an answer may take more than the second that a command usually waits for it."""
SOON: Final = LIMIT / 2
"""Seconds within which things happen that take one."""
NOTHING_LEFT: Final = "left behind: 0 processes, 0 socket files"


class Told(NamedTuple):
    """In the place of a command: no further one is given before the session has said this."""

    text: str


def up(
    tmp_path: Path, lab: str, *lines: str | Told, options: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """A session whose commands come through a pipe."""
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    command = [*UP, lab, "--out", str(tmp_path / "run"), *PATIENT, *options]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, cwd=tmp_path, env=environment
        )
    try:
        for line in lines:
            if isinstance(line, Told):
                _wait_until_told(process, out, line.text)
            else:
                _give(process, f"{line}\n")
        process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, out.read_text(), err.read_text())
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == NOTHING_LEFT
    return done


def _give(process: "subprocess.Popen[bytes]", line: str) -> None:
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):  # the session has ended at an earlier line
        process.stdin.write(line.encode())
        process.stdin.flush()


def _wait_until_told(process: "subprocess.Popen[bytes]", out: Path, text: str) -> None:
    deadline = time.monotonic() + LIMIT
    while text not in out.read_text():
        assert process.poll() is None, f"expected {text!r}, got {out.read_text()!r}"
        assert time.monotonic() < deadline, f"expected {text!r}, got {out.read_text()!r}"
        time.sleep(0.05)


def answers(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """What was said after each command."""
    parts = [part.partition("\n") for part in done.stdout.split("\n> ")[1:]]
    return {line: said.partition("\nrecorded in")[0].strip() for line, _, said in parts}


def script(folder: Path, *lines: str) -> Path:
    """A file with these commands."""
    file = folder / "commands.lab"
    file.write_text("\n".join(lines) + "\n")
    return file
