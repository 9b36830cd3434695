"""Load and its measurement, in small: what is counted, what is compared, and what the page shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs.benchmark.load import Sample, summarise
from labs.benchmark.loadpage import page


def sample(system: str, number: int, speed: float, operation: str = "put") -> Sample:
    return Sample(system, operation, 8, number, speed, 1000 / speed, 2000 / speed, 9.0, 50.0, None, 25.0)  # type: ignore[arg-type]


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """In the second round the machine is slow for both: it changes the figures, and the ratio not at all."""
    samples = [sample("kv", 0, 4000), sample("etcd", 0, 1000), sample("etcd", 1, 100), sample("kv", 1, 400)]
    samples += [sample("kv", 2, 9000), sample("etcd", 2, 1500)]
    ours, theirs = summarise(samples)
    assert (ours.system, ours.operations_per_second, ours.least, ours.most) == ("kv", 4000, 400, 9000)
    assert (ours.throughput_ratio, ours.latency_ratio) == (4, 0.25)
    assert theirs.throughput_ratio is None


def test_an_append_is_compared_with_a_put_where_the_peer_has_no_append() -> None:
    rows = summarise([sample("kv", 0, 800), sample("etcd", 0, 200), sample("kv", 0, 600, "append")])
    assert [(row.operation, row.system, row.throughput_ratio) for row in rows] == [
        ("put", "kv", 4),
        ("put", "etcd", None),
        ("append", "kv", 3),
    ]


def test_a_submission_is_measured_in_the_place_of_the_reference(tmp_path: Path) -> None:
    package = tmp_path / "lab1_pbservice"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "roles.py").write_text("raise ZeroDivisionError('this is what was measured')\n")

    def measure(folder: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "labs", "bench", "pbservice", "--rounds", "1", "--submission", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert "ZeroDivisionError: this is what was measured" in measure(tmp_path).stderr
    (package / "roles.py").unlink()
    (tmp_path / "lab.toml").write_text('[lab1_pbservice]\ncommand = ["sh"]\n')
    assert "has no role `load`" in measure(tmp_path).stderr
    assert "there is no folder" in measure(tmp_path / "nowhere").stderr


@pytest.mark.parametrize("service", ["kvpaxos", "pbservice"])
def test_a_small_measurement_from_beginning_to_end(service: str, tmp_path: Path) -> None:
    """The command starts the service and its load, and writes a table, the figures and a page of its own."""
    command = [sys.executable, "-m", f"labs.benchmark.{service}", "--rounds", "1", "--seconds", "0.1"]
    command += [
        "--clerks",
        "1",
        "--clerks",
        "4",
        "--json",
        str(tmp_path / "a.json"),
        "--html",
        str(tmp_path / "a.html"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    report = json.loads((tmp_path / "a.json").read_text())
    assert [(row["operation"], row["clerks"]) for row in report["rows"]] == [
        (operation, clerks) for operation in ("put", "append", "get") for clerks in (1, 4)
    ]
    assert all(row["operations_per_second"] > 0 and row["throughput_ratio"] is None for row in report["rows"])
    # A request and its reply from the clerk to a server, and from there to one more: fewer if several share the latter.
    alone, together = (row["messages"] for row in report["rows"] if row["operation"] == "put")
    assert 4.0 <= alone < 6.0
    assert 2.0 < together < alone + 1.0
    text = (tmp_path / "a.html").read_text()
    assert text == page(report)
    assert text.count("<svg") == 6
    assert "://" not in text


def test_without_the_peer_the_rest_of_the_table_appears(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "labs.benchmark.kvpaxos", "--peers", "--rounds", "1", "--seconds", "0.1"]
    environment = {**os.environ, "PATH": str(tmp_path)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "apt-get install etcd-server golang-go golang-etcd-server-dev" in ran.stderr
    assert "kvpaxos" in ran.stdout
