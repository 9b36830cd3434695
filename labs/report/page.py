"""The page of a report: one self-contained file. The tables are plain HTML; the pictures are made by its script.

Traces lie in it compressed, as text that holds no markup. Whatever a submission wrote is text, here and in the script.
"""

import gzip
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from labs.page import document, text
from labs.places import command, short
from labs.report.columns import columns
from labs.report.gathering import Run, Scene
from labs.results import TestResult
from labs.traces import events
from labs.traces.events import Event, Header

MODULES: Final = ("dom", "model", "painter", "list", "details", "diagram", "report")
"""The parts of the script, each after those that it imports."""
STYLES: Final = ("diagram", "report")
MOST: Final = 48 * 1024**2
"""Bytes of all traces that go into a page at most, as they lie on disk. The failures come first."""
MOST_PASSED: Final = 8 * 1024**2
"""The same, of runs that passed."""
COMPRESSION: Final = 6
SIGNS: Final = {"passed": "✓", "failed": "✗", "error": "✗", "inconclusive": "?", "skipped": "·"}

_IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|class|function) (\w+))", re.MULTILINE)


def page(run: Run) -> str:
    """The whole page."""
    data: list[str] = []
    room = MOST
    sections = []
    for number, scene in enumerate(run.scenes):
        size = scene.trace.stat().st_size if scene.trace else 0
        fits = size <= (room if scene.failure else min(room, room - MOST + MOST_PASSED))
        room -= size if fits else 0
        sections.append(_scene(number, scene, data, fits))
    title = f"{run.result.lab}: {run.name}" if run.result else run.name
    body = f"<header><h1>{text(title)}</h1>{_tools()}</header><main>{_overview(run)}{''.join(sections)}</main>"
    return document(f"Report of {title}", body + "".join(data), _styles(), _script())


def _static(name: str) -> str:
    return (files("labs.report") / "static" / name).read_text()


def _styles() -> str:
    return "".join(_static(f"{name}.css") for name in STYLES)


def _script() -> str:
    """All modules as one script: each a function that gives what it exports."""
    parts = []
    for name in MODULES:
        source = _static(f"{name}.js")
        exported = ", ".join(_EXPORT.findall(source))
        inside = _EXPORT.sub("", _IMPORT.sub(r"const \1 = \2_js;", source))
        parts.append(f"const {name}_js = (() => {{\n{inside}\nreturn {{{exported}}};\n}})();\n")
    return f'"use strict";\n{{\n{"".join(parts)}}}\n'


def _tools() -> str:
    return (
        '<nav><a href="#overview">overview</a>'
        '<label>colours <select id="theme"><option value="">as the system</option><option value="light">light</option>'
        '<option value="dark">dark</option></select></label></nav>'
    )


# --- the overview ----------------------------------------------------------------------------------------------------


def _overview(run: Run) -> str:
    failed = [(number, scene) for number, scene in enumerate(run.scenes) if scene.failure]
    others = [(number, scene) for number, scene in enumerate(run.scenes) if not scene.failure]
    parts = [_summary(run), _failures(failed), _tests(run)]
    if others:
        links = "".join(f'<li><a href="#scene-{number}">{text(_name(scene))}</a></li>' for number, scene in others)
        parts.append(f"<h2>Pictures of runs that did not fail</h2><ul>{links}</ul>")
    return f'<section id="overview" class="view">{"".join(parts)}</section>'


def _summary(run: Run) -> str:
    if run.result is None:
        return ""
    result = run.result
    of = f"the submission {text(result.submission)}" if result.submission else "the reference"
    world = {"process": "real processes", "sim": "the simulation", "both": "both worlds"}.get(
        result.world, result.world
    )
    counts = ", ".join(
        f"{SIGNS[status]} {count} {status}"
        for status in SIGNS
        if (count := sum(test.status == status for test in run.tests))
    )
    points = f"<b>{result.points:g} of {result.max_points:g} points</b>"
    return f'<p class="summary">{points}; {text(counts)}. Of {of}, in {text(world)}.</p>'


def _failures(failed: Iterable[tuple[int, Scene]]) -> str:
    cards = [
        f'<li class="card"><a href="#scene-{number}">{SIGNS.get(scene.status, "✗")} {text(_name(scene))}</a>'
        f"<p>{text(_first_line(scene))}</p></li>"
        for number, scene in failed
    ]
    return f'<h2>What failed</h2><ol class="cards">{"".join(cards)}</ol>' if cards else ""


def _first_line(scene: Scene) -> str:
    return next(iter(scene.failure.message.splitlines()), "")[:400] if scene.failure else ""


def _name(scene: Scene) -> str:
    place = ", ".join(filter(None, (scene.suite, scene.world, f"seed {scene.failure.seed}" if scene.failure else "")))
    return f"{scene.title} ({place})" if place else scene.title


def _tests(run: Run) -> str:
    if not run.tests:
        return ""
    places: dict[str, int] = {}
    for number, scene in enumerate(run.scenes):
        places.setdefault(f"{scene.suite} {scene.title}", number)
    rows = "".join(_row(test, places.get(f"{test.suite} {test.title}")) for test in run.tests)
    heads = "<th>test</th><th>suite</th><th>verdict</th><th>points</th><th>runs</th><th>failed seeds</th><th>s</th>"
    return (
        f'<h2>All tests</h2><div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(test: TestResult, scene: int | None) -> str:
    title = text(test.title) if scene is None else f'<a href="#scene-{scene}">{text(test.title)}</a>'
    points = f"{test.points:g}/{test.max_points:g}" if test.max_points else ""
    seeds = ", ".join(map(str, test.failed_seeds[:8])) + (" …" if len(test.failed_seeds) > 8 else "")
    cells = text(test.suite), f"{SIGNS[test.status]} {text(test.status)}", points, f"{test.passes}/{test.runs}", seeds
    return (
        f'<tr class="{text(test.status)}"><th scope="row" title="{text(test.id)}">{title}</th>'
        f"{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{test.seconds:.1f}</td></tr>"
    )


# --- one failure -----------------------------------------------------------------------------------------------------


def _scene(number: int, scene: Scene, data: list[str], fits: bool) -> str:
    """A failure with its picture. The picture's trace is added to `data`."""
    failure = scene.failure
    parts = [f"<h2>{text(_name(scene))}</h2>"]
    if failure:
        parts.append(f'<pre class="message">{text(failure.message, lines=True)}</pre>')
        if failure.where:
            parts.append(f'<p class="where"><code>{text(failure.where)}</code></p>')
        commands = [("replay", failure.replay), ("shrink", failure.shrink), ("debug", failure.debug)]
        parts += [_command(name, line) for name, line in commands if line]
    parts.append(_picture(number, scene, data, fits))
    if scene.stuck:
        told = text(scene.stuck, lines=True)
        parts.append(f"<details open><summary>Who waited for whom</summary><pre>{told}</pre></details>")
    if failure and failure.logs:
        logs = "".join(
            f"<h3>{text(name)} wrote</h3><pre>{text(log, lines=True)}</pre>" for name, log in failure.logs.items()
        )
        parts.append(f"<details><summary>The end of each log</summary>{logs}</details>")
    if failure:
        parts.append(f'<p class="files">files: <code>{text(short(Path(failure.folder)))}</code></p>')
    return f'<section id="scene-{number}" class="view scene">{"".join(parts)}</section>'


def _command(name: str, line: str) -> str:
    button = f'<button type="button" class="copy" aria-label="copy the command: {name}">copy</button>'
    return f'<p class="command"><span>{name}</span><code>{text(line)}</code>{button}</p>'


def _picture(number: int, scene: Scene, data: list[str], fits: bool) -> str:
    if scene.trace is None:
        return '<p class="none">There is no trace of this run, so there is no picture of it.</p>'
    if not fits:
        return _command("picture", f"{command()} show {shlex.quote(short(scene.trace))}")
    try:
        header, found = events.read(scene.trace)
    except (events.Unreadable, OSError) as error:
        return f'<p class="none">The trace cannot be shown: {text(error)}</p>'
    data.append(f'<script type="application/gzip" id="trace-{number}">{pack(header, found)}</script>')
    return f'<div class="picture" data-trace="trace-{number}"><p>The picture needs JavaScript.</p></div>'


def pack(header: Header, found: list[Event]) -> str:
    """A trace as text that holds no markup."""
    whole = msgspec.json.encode({"header": header, "columns": columns(found)})
    return b64encode(gzip.compress(whole, COMPRESSION, mtime=0)).decode()
