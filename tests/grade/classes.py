"""Small classes of submissions, and graders that grade them: what the tests of this folder share."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.commands import LAB, LIMIT, ROOT

QUICK: Final = ("--lab", "viewservice", "-k", "first_primary or first_backup or waits_for_ack")
"""Three short tests of two points each. `wrong` fails the last of them."""


def right(folder: Path) -> Path:
    """A submission of lab 1 that is right: the reference."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "lab1_pbservice", folder / "lab1_pbservice", ignore=ignored)
    return folder


def wrong(folder: Path) -> Path:
    """One whose view service does not wait for the primary's acknowledgement."""
    make_hasty(right(folder))
    return folder


def make_hasty(folder: Path) -> None:
    """Has the view service of a right submission go on to the backup as soon as that one, alone, knows a new view.

    No time has to pass for it, so it is noticed on a machine of any speed.
    """
    core = folder / "lab1_pbservice" / "viewservice" / "core.py"
    text = core.read_text()
    waits = "        if not self.acknowledged:\n            return\n"
    assert text.count(waits) == 1, "expected the lines that this mistake is put in the place of"
    core.write_text(
        text.replace(
            waits,
            "        if not self.acknowledged:\n"
            "            backup = self._servers.get(self.view.backup)\n"
            "            if backup is not None and backup.viewnum == self.view.viewnum:\n"
            '                self.view = View(self.view.viewnum + 1, self.view.backup, "")\n'
            "            return\n",
        )
    )


def broken(folder: Path) -> Path:
    """One that cannot be imported."""
    (right(folder) / "lab1_pbservice" / "roles.py").write_text("import nothing_that_exists\n")
    return folder


def started(*words: object) -> "subprocess.Popen[str]":
    """Runs `lab` with these words, and does not wait."""
    return subprocess.Popen([*LAB, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for the condition."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"expected {what}"
        time.sleep(0.05)


def results(out: Path) -> dict[str, dict[str, Any]]:
    """What `results.json` says of each submission."""
    return {each["id"]: each for each in json.loads((out / "results.json").read_text())["submissions"]}


def journal(out: Path) -> list[dict[str, Any]]:
    """The journal's whole lines."""
    return [json.loads(line) for line in (out / "journal.jsonl").read_text().split("\n")[:-1]]


def events(out: Path, kind: str) -> list[str]:
    """Of whom the journal says that: who began, who was graded."""
    return [event.get("id") or event["grade"]["id"] for event in journal(out) if event["event"] == kind]


def timeless(value: Any) -> Any:
    """Results without what differs between two runs: times, and what logs say of them."""
    if isinstance(value, dict):
        differs = ("seconds", "began", "slot", "logs", "time", "starved", "message")
        return {name: timeless(each) for name, each in value.items() if name not in differs}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def runs_of(out: Path) -> list[int]:
    """The processes that still work in an output folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and str(out / "runs").encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def check_gradescope(found: dict[str, Any]) -> None:
    """The shape that Gradescope's documentation gives."""
    types = {"score": (int, float), "execution_time": int, "output": str, "extra_data": dict, "tests": list}
    for name, value in found.items():
        if name in types:
            assert isinstance(value, types[name]), name  # type: ignore[arg-type]
    visibility = ("hidden", "after_due_date", "after_published", "visible")
    formats = ("text", "html", "simple_format", "md", "ansi")
    assert found["visibility"] in visibility
    assert found["stdout_visibility"] in visibility
    assert found["output_format"] in formats
    assert set(found) <= {*types, "output_format", "visibility", "stdout_visibility", "leaderboard"}
    for test in found["tests"]:
        assert set(test) <= {
            *("score", "max_score", "status", "name", "number", "output", "output_format", "tags", "visibility")
        }
        assert 0 <= test["score"] <= test["max_score"]
        assert test.get("status", "failed") in ("passed", "failed")
        assert test["output_format"] in formats
        assert all(isinstance(tag, str) for tag in test["tags"])
