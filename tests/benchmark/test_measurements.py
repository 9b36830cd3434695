"""Every measurement in small, from beginning to end: what it tells, and the page of all of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.benchmark import MEASUREMENTS
from labs.benchmark.everything import run
from labs.benchmark.figures import Figure
from labs.benchmark.loadpage import apart, page
from labs.usage import BadUsage
from tests.commands import lab


def measured(name: str, folder: Path, *options: str) -> dict[str, Any]:
    """What a measurement writes as JSON."""
    file = folder / f"{name}.json"
    words = [sys.executable, "-m", f"labs.benchmark.{name}", *options, "--rounds", "1", "--json", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(file.read_text())
    return report


@pytest.mark.parametrize("name", ["start", "sim", "checker", "rpc", "overload", "curves", "model", "suites"])
def test_each_gives_figures_and_a_page(name: str, tmp_path: Path) -> None:
    report = measured(name, tmp_path, "--small", "--html", str(tmp_path / "a.html"))
    assert report["service"] == name
    assert report["machine"]["cores"] >= 1
    figures = {figure["what"]: figure for figure in report["figures"]}
    assert all(figure["least"] <= figure["median"] <= figure["most"] for figure in figures.values())
    assert any(figure["target"] or figure["curve"] for figure in figures.values())
    text = (tmp_path / "a.html").read_text()
    assert text == page(report)
    assert "://" not in text


def test_peers_that_are_missing_are_named_with_what_installs_them(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "labs.benchmark.rpc", "--small", "--rounds", "1", "--peers"]
    modules = ("grpc", "rpyc", "Pyro5", "zerorpc")
    hide = f"import sys\nfor name in {modules}: sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=600, check=False, env={"PYTHONPATH": str(tmp_path), "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    assert "no Pyro5: pip install Pyro5, or all peers: pip install '.[peers]'" in done.stderr
    assert "bare echo" in done.stdout


def test_everything_has_options_of_its_own() -> None:
    done = lab("bench", "--peers", "--rounds", 0)
    assert done.returncode == 2
    assert "Invalid value for '--rounds': 0 is not in the range" in done.stderr


def test_a_target_says_whether_it_is_reached() -> None:
    assert Figure("x", "s", (1, 5, 2), at_most=2).target == "<= 2: yes"
    assert Figure("x", "s", (1, 5, 2), at_least=3).target == ">= 3: no"
    assert Figure("x", "s", (1,)).target == ""


def test_curves_become_plots() -> None:
    points = [Figure(f"size {x}", "1/s", (100 / x,), curve=("size", "bytes", x)).as_json() for x in (1, 10, 100)]
    report = {"service": "curves", "taken": "now", "machine": {"cores": 2}, "plan": {"rounds": 1}, "figures": points}
    text = page(report)
    assert text.count("<svg") == 1
    assert text.count("<circle") == 3
    assert page(report, report).count("<svg") == 2


def test_names_of_lines_that_end_together_stand_apart() -> None:
    assert apart([100.0, 101.0, 40.0, 100.0], 13) == [100.0, 126.0, 40.0, 113.0]
    assert apart([], 13) == []


def test_an_unknown_measurement_is_bad_usage() -> None:
    with pytest.raises(BadUsage, match=f"expected a measurement.*{MEASUREMENTS[0]}.*got 'kvpaxoss'"):
        run(["kvpaxoss"])
