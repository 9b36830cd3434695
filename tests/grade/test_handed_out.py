"""What is given to Gradescope and to GitHub Classroom: it is run, in a folder like theirs."""

import base64
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from labs.handout import autograders
from labs.usage import BadUsage
from tests.commands import LIMIT, ROOT, lab
from tests.grade.classes import check_gradescope, right, wrong

SUITE: Final = ("viewservice",)


@pytest.fixture(scope="module")
def autograder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as /autograder is, with the bundle unpacked as Gradescope does it."""
    folder = tmp_path_factory.mktemp("autograder")
    bundle = autograders.gradescope(folder / "staff", SUITE, seconds=250.0)
    unpack(bundle, folder / "source")
    (folder / "run_autograder").write_bytes((folder / "source" / "run_autograder").read_bytes())
    (folder / "run_autograder").chmod(0o755)
    (folder / "results").mkdir()
    with_our_venv(folder / "source" / "project")
    return folder


def unpack(bundle: Path, folder: Path) -> None:
    """As `unzip` does, which keeps what is executable."""
    with zipfile.ZipFile(bundle) as archive:
        for info in archive.infolist():
            archive.extract(info, folder)
            (folder / info.filename).chmod(info.external_attr >> 16 & 0o777)


def with_our_venv(project: Path) -> None:
    """What setup.sh takes minutes for: a .venv of which the start script believes that it is up to date."""
    command = project / ".venv" / "bin" / "lab"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH={project} exec {sys.executable} -m labs "$@"\n')
    command.chmod(0o755)
    sums = "cat requirements*.txt setup.cfg pyproject.toml | cksum"
    made_of = subprocess.run(["sh", "-c", sums], cwd=project, capture_output=True, text=True, check=True).stdout.strip()
    (project / ".venv" / "stamp").write_text(f"{project.resolve()} {made_of}")


def graded(autograder: Path) -> tuple[int, dict[str, object]]:
    """Runs `run_autograder`: its exit status, and the results."""
    done = subprocess.run(
        [autograder / "run_autograder"],
        cwd=autograder,  # as it is there; `-m labs` would find this checkout here
        env={**os.environ, "AUTOGRADER_ROOT": str(autograder)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    file = autograder / "results" / "results.json"
    assert file.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(file.read_text())


def test_gradescope_runs_the_bundle(autograder: Path) -> None:
    wrong(autograder / "submission" / "my-repository")  # as an archive of a repository has it
    status, found = graded(autograder)
    assert status == 0
    check_gradescope(found)
    tests = {test["name"]: test for test in found["tests"]}  # type: ignore[attr-defined]
    assert len(tests) == 21
    assert tests["viewservice: First primary"]["status"] == "passed"
    failed = tests["viewservice: Viewserver waits for primary to ack view"]
    assert (failed["status"], failed["score"]) == ("failed", 0)
    assert "expected View(viewnum=2" in failed["output"]


def test_nothing_of_the_solution_is_in_the_bundle(autograder: Path) -> None:
    there = {str(file.relative_to(autograder / "source" / "project")) for file in autograder.rglob("source/**/core.py")}
    assert there == set()
    for script in ("setup.sh", "run_autograder", "project/lab"):
        assert os.access(autograder / "source" / script, os.X_OK)
        subprocess.run(["sh", "-n", autograder / "source" / script], check=True)


def test_a_reference_is_in_the_bundle_where_that_is_asked_for(tmp_path: Path) -> None:
    bundle = autograders.gradescope(tmp_path, ["lab3"], None, references=["lab2"])
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        assert archive.read("project/lab2_kvpaxos/paxos/core.py") == (ROOT / "lab2_kvpaxos/paxos/core.py").read_bytes()
    assert "project/lab3_shardkv/shardkv/core.py" not in names


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--gradescope",), "name what submissions are graded by"),
        (("--gradescope", "--lab", "lab9"), "expected a lab or a suite"),
        (("--gradescope", "--github", "--lab", "lab1"), "got both"),
        (("--lab", "lab1"), "are for --gradescope and --github"),
        (("--gradescope", "--lab", "lab1", "--reference", "lab9"), "for --reference, got 'lab9'"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    done = lab("handout", tmp_path / "out", *words)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "autograder.zip").touch()
    with pytest.raises(BadUsage, match="nothing is written over"):
        autograders.gradescope(tmp_path, ["lab1"], None)


def test_the_workflow_is_in_the_students_repository(tmp_path: Path) -> None:
    done = lab("handout", tmp_path / "course", "--github", "--lab", "lab1", "--lab", "paxos")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "course" / ".github" / "workflows" / "classroom.yml").read_text()
    (command,) = [line.partition("run: ")[2] for line in text.splitlines() if "./lab grade" in line]
    assert command == './lab grade . --out "$RUNNER_TEMP/graded" --lab lab1 --lab paxos --seconds 3000 --github'
    assert "@" not in text.replace("@v", "")
    yaml = pytest.importorskip("yaml")
    steps = yaml.safe_load(text)["jobs"]["grade"]["steps"]
    (reporter,) = [step for step in steps if "reporter" in step.get("uses", "")]
    assert reporter["env"] == {"LAB_RESULTS": "${{ steps.lab.outputs.result }}"}
    assert [step["id"] for step in steps if "id" in step] == ["lab"]


def test_a_step_of_the_workflow_tells_the_points(tmp_path: Path) -> None:
    wrong(tmp_path / "repository")
    (tmp_path / "repository" / "docs").mkdir()
    words = ["grade", tmp_path / "repository", "--out", tmp_path / "out", "--lab", "viewservice", "--github"]
    words += ["-k", "first_primary or waits_for_ack"]
    refused = lab(*words)
    assert refused.returncode == 2
    assert "GITHUB_OUTPUT" in refused.stderr
    output, summary = tmp_path / "output", tmp_path / "summary"
    done = lab(*words, GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stdout + done.stderr
    name, _, encoded = output.read_text().strip().partition("=")
    found = json.loads(base64.b64decode(encoded))
    assert (name, found["version"], found["status"], found["max_score"]) == ("result", 1, "fail", 4)
    assert [(test["status"], test["score"]) for test in found["tests"]] == [("pass", 2), ("fail", 0)]
    assert "## 2 of 4 points" in summary.read_text()
    assert "| ✗ | viewservice: Viewserver waits for primary to ack view | 0/2 |" in summary.read_text()


def test_a_submission_that_is_all_right_passes(tmp_path: Path) -> None:
    right(tmp_path / "repository")
    output = tmp_path / "output"
    words = ["grade", tmp_path / "repository", "--out", tmp_path / "out", "--github", "-k", "first_primary"]
    assert lab(*words, GITHUB_OUTPUT=str(output)).returncode == 0
    assert json.loads(base64.b64decode(output.read_text().partition("=")[2]))["status"] == "pass"
