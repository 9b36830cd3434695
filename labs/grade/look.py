"""What the pages of a class and of a student share: colours, marks and bars. Nothing is told by colour alone."""

from typing import Final

from labs.grade.results import Grade
from labs.page import text
from labs.results import Status

MARKS: Final[dict[Status, tuple[str, str]]] = {
    "passed": ("✓", "passed"),
    "failed": ("✗", "failed"),
    "error": ("✗", "error"),
    "inconclusive": ("?", "could not tell"),
    "skipped": ("○", "did not run"),
}
"""How a test ended: a mark, and words."""

STYLE: Final = """
:root { --good: #0b62a4; --bad: #b3470a; --unclear: #7a3e9d; --none: #6b7580; --card: #f4f5f4; --track: #e4e7ea; }
@media (prefers-color-scheme: dark) { :root { --good: #6cb2f0; --bad: #f2a35e; --unclear: #cf9bef; --none: #98a2ad;
  --card: #1d2126; --track: #2c323a; } }
body { max-width: 76rem; margin: 0 auto; padding: 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .3rem 0; max-width: 48rem; } a { color: var(--good); } .soft { color: var(--soft); }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.passed { color: var(--good); } .failed, .error { color: var(--bad); } .inconclusive { color: var(--unclear); }
.skipped { color: var(--none); } .mark { font-weight: 700; display: inline-block; width: 1.1em; text-align: center; }
.bar { display: block; height: .55rem; background: var(--track); border-radius: .3rem; overflow: hidden; }
.bar span { display: block; height: 100%; background: var(--good); } .bar.fails span { background: var(--bad); }
.note { border-left: 4px solid var(--bad); background: var(--card); padding: .5rem .8rem; margin: .8rem 0;
  max-width: 48rem; }
"""


def mark(status: Status) -> str:
    """The mark, with its words for who points at it or has it read out."""
    sign, words = MARKS[status]
    return f'<span class="mark {status}" role="img" aria-label="{text(words)}" title="{text(words)}">{sign}</span>'


def note(grade: Grade) -> str:
    """What a person should know of a submission, with the outcome in bold where it says more than "graded"."""
    if grade.outcome == "graded":
        return text(grade.note)
    if grade.note.startswith(grade.outcome):
        return f"<b>{text(grade.outcome)}</b>{text(grade.note.removeprefix(grade.outcome))}"
    return f"<b>{text(grade.outcome)}:</b> {text(grade.note)}"


def bar(part: float, whole: float, kind: str = "") -> str:
    """How much of the whole it is. The numbers stand beside it."""
    percent = 100 * part / whole if whole else 0.0
    return f'<span class="bar {kind}" aria-hidden="true"><span style="width:{percent:.1f}%"></span></span>'


def clock(seconds: float) -> str:
    """A duration for people: 48 s, 3 min 05 s, 1 h 12 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
