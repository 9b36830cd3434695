"""Reads the transcripts of docs/debugging.md, and plays them: what the page shows is what comes.

A block of `console` begins with a command after `$`; what follows is its output. A line `…` stands for any lines, and
`…` within a line for anything. What was typed at `lab debug` follows its prompt. A comment `<!-- mine: lab1, NAME -->`
says which mistake is planted in `mine` from there on. Times, numbers of moments and of messages may be others, since
any change of the reference changes them; `--write` puts those that come into the page.

    python -m tests.harness.transcripts            says what is not as it was
    python -m tests.harness.transcripts --write    and brings the numbers up to date
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from labs.mistakes import load_all, plant
from labs.suites import SUITES

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "debugging.md"
WIDTH: Final = 100

_PART: Final = re.compile(r"<!-- mine: (\w+), (.+?) -->|^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LOOSE: Final = re.compile(
    r"#\d+\b|\b\d+\.\d{3,}\b|^ *\d+(?= +\d+\.\d{4} s  )|^\d+/\d+(?= \d+\.\d{4} s> )|(?<=moment )\d+"
)
"""Numbers that may be others."""
_PROMPT: Final = re.compile(r"^\d+/\d+ [\d.]+ s> ", re.MULTILINE)


class Transcript(NamedTuple):
    """One command, and what the page says comes of it."""

    lab: str
    mistake: str
    """What is planted in `mine`."""
    command: str
    typed: list[str]
    expected: str

    @property
    def pattern(self) -> "re.Pattern[str]":
        """What the output has to match. Its groups are the numbers that may be others."""
        return re.compile("".join(map(_line, self.expected.rstrip("\n").split("\n"))))

    def updated(self, came: "re.Match[str]") -> str:
        """What is expected, with the numbers that came."""
        numbers = iter(came.groups())
        return "".join(
            f"{_LOOSE.sub(lambda _: next(numbers), line)}\n" for line in self.expected.rstrip("\n").split("\n")
        )


def _line(line: str) -> str:
    """The pattern of one line."""
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    parts, end = [], 0
    for loose in _LOOSE.finditer(line):
        parts += [_words(line[end : loose.start()]), f"({re.sub(r'[0-9]+', '[0-9]+', re.sub('^ +', ' *', loose[0]))})"]
        end = loose.end()
    return "".join([*parts, _words(line[end:]), r"\n"])


def _words(text: str) -> str:
    return ".*".join(map(re.escape, text.split("…")))


def read() -> Iterator[Transcript]:
    """The page's transcripts, in their order."""
    lab = mistake = ""
    for part in _PART.finditer(PAGE.read_text()):
        if part[3] is None:
            lab, mistake = part[1], part[2]
            continue
        for block in re.split(r"^\$ ", part[3], flags=re.MULTILINE)[1:]:
            command, _, expected = block.partition("\n")
            typed = [line[line.index("> ") + 2 :] for line in expected.splitlines() if _PROMPT.match(line)]
            yield Transcript(lab, mistake, command, typed, expected.rstrip("\n") + "\n")


class Desk:
    """A folder in which the transcripts are played, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._planted = ("", "")

    def play(self, transcript: Transcript) -> str:
        """What comes of a command, with the paths of this machine left out."""
        self._plant(transcript.lab, transcript.mistake)
        program, *words = shlex.split(transcript.command)
        done = subprocess.run(
            [sys.executable, "-m", "labs", *words] if program == "./lab" else [program, *words],
            cwd=self.folder,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT)},
            input="\n".join(transcript.typed),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        script = os.path.relpath(ROOT / "lab", self.folder)
        came = done.stdout.replace(script, "./lab")
        for place in (f"{self.folder}/", f"{ROOT}/"):
            came = came.replace(place, "")
        return "\n".join(line.rstrip() for line in came.splitlines()) + "\n"

    def _plant(self, lab: str, mistake: str) -> None:
        if self._planted == (lab, mistake):
            return
        (meant,) = (each for each in load_all(ROOT / "tests" / "mistakes")[lab] if each.name == mistake)
        package = next(suite.package for suite in SUITES if suite.lab == lab)
        shutil.rmtree(self.folder / "mine", ignore_errors=True)
        plant(meant, ROOT / package, self.folder / "mine")
        self._planted = lab, mistake


def main() -> int:
    """Plays the page."""
    wrong = 0
    text = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder).resolve())
        for transcript in read():
            came = desk.play(transcript)
            matches = transcript.pattern.fullmatch(came)
            if matches:
                text = text.replace(transcript.expected, transcript.updated(matches))
            else:
                wrong += 1
                print(f"$ {transcript.command}\n{came}")
    if "--write" in sys.argv:
        PAGE.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
