"""`lab check`: everything that must hold before a change is done, which is also all that CI runs."""

import subprocess
import sys
import time

from rich.console import Console
from rich.text import Text

from labs.places import is_checkout, root
from labs.usage import FAILED, PASSED, BadUsage


def steps(workers: int, seeds: int) -> dict[str, list[str]]:
    """The commands, in their order. The tests come last: their closing line is what one looks for."""
    tests = f"pytest -q -n {workers} --dist worksteal --world both --seeds {seeds} tests"
    return {
        "lint": ["ruff", "check", "."],
        "format": ["ruff", "format", "--check", "."],
        "types": ["mypy"],
        "tests": tests.split(),
    }


def run(workers: int, seeds: int) -> int:
    """Runs all steps, also after one that failed. Returns the exit status. Raises `BadUsage` outside of a checkout."""
    if not is_checkout():
        raise BadUsage("lab check needs a checkout of the project: run ./lab check there")
    console = Console(highlight=False)
    failed: list[str] = []
    for name, (tool, *arguments) in steps(workers, seeds).items():
        console.print(Text(f"{name}: {tool} {' '.join(arguments)}", "bold"))
        started = time.monotonic()
        status = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=root(), check=False).returncode
        if status != 0:
            failed.append(name)
        said, colour = ("passed", "green") if status == 0 else ("failed", "red")
        console.print(Text(f"{name} {said} after {time.monotonic() - started:.1f} s\n", colour))
    console.print(
        Text(f"lab check: {', '.join(failed)} failed", "red") if failed else Text("lab check: all passed", "green")
    )
    return FAILED if failed else PASSED
