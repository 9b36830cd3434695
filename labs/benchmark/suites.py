"""How long all graded suites take: in real processes, and one seed of each test in the simulation. Wall time."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from labs.benchmark.figures import Figure, Options, command

PROCESS_SECONDS: Final = 100.0
"""In which all suites should be through on two cores. The originals need 270 to 390 s one after another."""
SIM_SECONDS: Final = 15.0


def measure(options: Options) -> list[Figure]:
    """Both worlds, round after round."""
    found: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for world, words in (("process", []), ("sim", ["--seeds", "1"])):
            options.say(f"round {number + 1} of {options.rounds}: {world}")
            what = ["viewservice", "-k", "first"] if options.small else []
            seconds, failed = _run([*what, "--world", world, *words])
            found.setdefault(world, []).append(seconds)
            found.setdefault(f"{world}, failed", []).append(failed)
    return [
        Figure("all graded suites, in processes", "s", found["process"], at_most=PROCESS_SECONDS),
        Figure("  of their tests failed", "tests", found["process, failed"], at_most=0),
        Figure("one seed of all graded tests, simulated", "s", found["sim"], at_most=SIM_SECONDS),
        Figure("  of these failed", "tests", found["sim, failed"], at_most=0),
    ]


def _run(words: list[str]) -> tuple[float, int]:
    """The seconds that `lab test` takes, and how many tests did not pass."""
    with tempfile.TemporaryDirectory(prefix="lab-suites-") as folder:
        result = Path(folder) / "result.json"
        command_line = [sys.executable, "-m", "labs", "test", *words, "--json", str(result), "--out", f"{folder}/out"]
        began = time.perf_counter()
        subprocess.run(command_line, stdout=subprocess.DEVNULL, check=False)
        seconds = time.perf_counter() - began
        tests = json.loads(result.read_text())["tests"]
    return seconds, sum(test["status"] not in ("passed", "skipped") for test in tests)


main = command("suites", __doc__ or "", measure, rounds=1)

if __name__ == "__main__":
    main()
