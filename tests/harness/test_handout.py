"""What students are given: all that they need, and nothing of the solution."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from labs import handout
from labs.handout import PACKAGES, SKELETON
from labs.usage import BadUsage

ROOT: Final = Path(__file__).parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef

SKELETONS: Final = sorted(SKELETON.rglob("*.py"))
TUTORIAL: Final = ROOT / "examples/counter"
PAIRS: Final = {
    **{skeleton: ROOT / skeleton.relative_to(SKELETON) for skeleton in SKELETONS},
    **{file: TUTORIAL / "solution" / file.relative_to(TUTORIAL / "start") for file in TUTORIAL.glob("start/*/*.py")},
}
"""Each file that a student begins with, and the reference's."""


def functions(file: Path) -> Iterator[tuple[str, Function]]:
    """The public functions and methods of a file, by their names within it."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and (inner.name == "__init__" or not inner.name.startswith("_")):
                    yield f"{node.name}.{inner.name}", inner


def signature(function: Function) -> str:
    """Arguments, result and the docstring's first sentence, as text."""
    result = ast.unparse(function.returns) if function.returns else ""
    meaning = (ast.get_docstring(function) or "").partition(". ")[0].removesuffix(".")
    return f"{type(function).__name__}({ast.unparse(function.args)}) -> {result}: {meaning}"


def name_of(file: Path) -> str:
    """How a test's id names a file."""
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("skeleton", PAIRS, ids=name_of)
def test_a_skeleton_has_the_signatures_of_the_reference(skeleton: Path) -> None:
    reference = dict(functions(PAIRS[skeleton]))
    for name, function in functions(skeleton):
        assert name in reference
        assert signature(function) == signature(reference[name]), name


@pytest.mark.parametrize("skeleton", [file for file in PAIRS if file.name != "roles.py"], ids=name_of)
def test_nothing_of_the_solution_is_in_a_skeleton(skeleton: Path) -> None:
    for name, function in functions(skeleton):
        body = [statement for statement in function.body if not _is_text(statement)]
        simple = all(isinstance(statement, ast.Assign | ast.AnnAssign | ast.Raise) for statement in body)
        assert simple, f"{name} has a body: {ast.unparse(function)}"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def test_a_starting_point_is_made_once(tmp_path: Path) -> None:
    package = handout.new("lab1", tmp_path)
    assert package == tmp_path / "lab1_pbservice"
    assert (package / "README.md").is_file()
    (package / "roles.py").write_text("mine")
    with pytest.raises(BadUsage, match="nothing is written over"):
        handout.new("lab1_pbservice", tmp_path)
    assert (package / "roles.py").read_text() == "mine"


def test_a_lab_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="expected a lab"):
        handout.new("lab4", tmp_path)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BadUsage, match="to be empty"):
        handout.handout(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's repository."""
    folder = tmp_path_factory.mktemp("handout") / "course"
    handout.handout(folder)
    return folder


def test_a_repository_holds_none_of_the_reference(repository: Path) -> None:
    given = {file.relative_to(SKELETON) for file in SKELETONS}
    secret = {
        file.relative_to(ROOT)
        for package in PACKAGES.values()
        for file in (ROOT / package).rglob("*.py")
        if file.name in ("core.py", "machine.py", "server.py", "clerk.py", "rsm.py", "paxos.py", "messages.py")
    }
    for file in secret:
        copy = repository / file
        if copy.is_file() and file in given:
            assert copy.read_bytes() == (SKELETON / file).read_bytes()
        elif copy.is_file():
            assert file.parts[1:] in (("paxos", "server.py"), ("paxosrsm", "server.py")), f"{file} is handed out"
    for name in ("tests/mistakes", "tests/lab1", "tests/lab2", "tests/lab3", "ARCHITECTURE.md", ".git"):
        assert not (repository / name).exists()


@pytest.mark.parametrize(
    ("target", "world"), [*((lab, "sim") for lab in PACKAGES), ("viewservice", "process"), ("shardmaster", "process")]
)
def test_a_bare_handout_fails_every_test_quickly_and_politely(
    repository: Path, target: str, world: str, tmp_path: Path
) -> None:
    results = tmp_path / "results.json"
    how = ["--world", "sim", "--seeds", "1", "-n", "0"] if world == "sim" else ["-n", "2"]
    command = [sys.executable, "-P", "-m", "labs", "test", target, *how]
    ran = subprocess.run(
        [*command, "--json", str(results)],
        cwd=repository,
        env={"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found = msgspec.json.decode(results.read_bytes())
    assert found["points"] == 0
    assert found["tests"]
    for test in found["tests"]:
        assert test["status"] == "failed", test
        assert "still to be written" in test["message"], test
