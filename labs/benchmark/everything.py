"""`lab bench`: one measurement, or all of them one after the other, with one page and one file for all."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec

from labs.benchmark import MEASUREMENTS, loadpage
from labs.usage import FAILED, PASSED, BadUsage


def run(words: Sequence[str]) -> int:
    """What the words ask for. Returns the exit status. Raises `BadUsage`."""
    if words and not words[0].startswith("-"):
        name, *options = words
        if name not in MEASUREMENTS:
            raise BadUsage(f"expected a measurement ({', '.join(MEASUREMENTS)}), got {name!r}")
        return _run(name, options)
    with suppress(click.exceptions.Exit):
        status: int = _everything.main(list(words), prog_name="lab bench", standalone_mode=False)
        return status
    return PASSED  # it was asked for help


def _run(name: str, options: Sequence[str]) -> int:
    words = [sys.executable, "-m", f"labs.benchmark.{name}", *options]
    return subprocess.run(words, check=False).returncode


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(min=1), help="Of each measurement; each has a number of its own if not.")
@click.option("--peers", is_flag=True, help="In turns with what else one might take, where there is such a thing.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE")
def _everything(rounds: int | None, peers: bool, json_file: Path | None, html_file: Path | None) -> int:
    """All measurements, one after the other; with all options about half an hour."""
    common = [*(["--rounds", str(rounds)] if rounds else []), *(["--peers"] if peers else [])]
    reports: list[dict[str, Any]] = []
    statuses: list[int] = []
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as folder:
        for name in MEASUREMENTS:
            click.echo(f"\n{name}", err=True)
            file = Path(folder) / f"{name}.json"
            statuses.append(_run(name, [*common, "--json", str(file)]))
            if file.exists():
                reports.append(json.loads(file.read_bytes()))
            if json_file is not None:  # after each: what was measured stays, whatever happens to the rest
                whole = {"version": 1, "reports": reports}
                json_file.write_bytes(msgspec.json.format(json.dumps(whole).encode(), indent=1))
            if html_file is not None and reports:
                html_file.write_text(loadpage.page(*reports))
    return FAILED if any(statuses) else PASSED
