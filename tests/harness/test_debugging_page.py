"""docs/debugging.md tells the truth: whoever types what stands there sees what it shows."""

import re
from pathlib import Path

import pytest

from labs.mistakes import load_all
from tests.harness.transcripts import PAGE, ROOT, Desk, Transcript, read

LABS = ("lab1", "lab2", "lab3")


@pytest.mark.parametrize("lab", LABS)
def test_what_the_page_shows_comes(lab: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    transcripts = [transcript for transcript in read() if transcript.lab == lab]
    assert len(transcripts) >= 3
    for transcript in transcripts:
        came = desk.play(transcript)
        assert transcript.pattern.fullmatch(came), f"$ {transcript.command}\n{came}"


def test_the_lines_with_the_mistakes_are_those_that_were_planted() -> None:
    page = PAGE.read_text()
    mistakes = load_all(ROOT / "tests" / "mistakes")
    for lab in LABS:
        (name,) = {transcript.mistake for transcript in read() if transcript.lab == lab}
        (planted,) = (each for each in mistakes[lab] if each.name == name)
        lines = [line.strip() for edit in planted.edits for line in edit.new.strip().splitlines()]
        shown = [
            line.strip()
            for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()
        ]
        assert set(lines) & set(shown), lines


@pytest.mark.parametrize(
    ("expected", "came", "matches"),
    [
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a\n…\n", "a\nb\n", True),
        ("a … z\n", "a b z\n", True),
        ("a … z\n", "a b y\n", False),
        ("a\nz\n", "a\nb\nz\n", False),
        ("   146     1.3062 s  x  #74\n", "    99     0.9000 s  x  #7\n", True),
        ("146/148 1.3062 s> step\n", "99/111 0.9000 s> step\n", True),
        ("view 2\n", "view 3\n", False),
    ],
)
def test_a_transcript_matches(expected: str, came: str, matches: bool) -> None:
    transcript = Transcript("lab1", "", "x", [], expected)
    found = transcript.pattern.fullmatch(came)
    assert bool(found) == matches
    if found and "…" not in expected:
        assert transcript.updated(found).split() == came.split()
