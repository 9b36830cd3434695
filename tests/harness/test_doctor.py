"""What `lab doctor` says of other languages."""

from pathlib import Path

import pytest

from labs import doctor


def runtime(folder: Path, name: str, text: str) -> None:
    """A program that says this."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_the_runtimes_of_other_languages_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    runtime(tmp_path, "node", "echo v20.1.2")
    runtime(tmp_path, "go", "echo go version go1.22.3 linux/amd64")
    finding = doctor._runtimes()
    assert (finding.found, finding.good, finding.follows) == ("node 20.1.2, go 1.22.3", True, "")


def test_a_runtime_that_is_missing_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    runtime(tmp_path, "node", "exit 1")
    finding = doctor._runtimes()
    assert (finding.found, finding.good) == ("node, which does not run", False)
    assert finding.follows == "no go: a submission whose lab.toml names it cannot be run"
