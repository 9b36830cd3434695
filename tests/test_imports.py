"""Who may import whom. The rules stand in ARCHITECTURE.md; this keeps them true."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
LABS: Final = ("lab1_pbservice", "lab2_kvpaxos", "lab3_shardkv")

BORROWS: Final = {"lab3_shardkv": ("lab2_kvpaxos.paxos", "lab2_kvpaxos.paxosrsm")}
"""What a lab may use of another, as in the course."""
SKELETONS: Final = "labs/handout/skeleton/**/*.py"
"""What students begin with: it lies in the harness and is no part of it."""
DATA_TOOLS: Final = (
    *("__future__", "bisect", "collections", "copy", "dataclasses", "enum", "functools", "hashlib", "heapq"),
    *("itertools", "math", "operator", "types", "typing", "zlib", "msgspec", "common.wire", "common.protocol"),
)
"""What a core may use besides its own messages: nothing here waits, draws lots, or knows the time."""


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """Each import of a file: its line, and the full name of what it brings in."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *(node.module or "").split(".")))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def within(name: str, *packages: str) -> bool:
    """Whether a name lies in one of these packages."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def files(*patterns: str) -> list[Path]:
    """The project's files of these kinds."""
    return sorted(file for pattern in patterns for file in ROOT.glob(pattern))


def name_of(file: Path) -> str:
    """How a test's id names a file."""
    return str(file.relative_to(ROOT))


def offences(file: Path, allowed: "list[str] | None" = None, forbidden: "list[str] | None" = None) -> list[str]:
    """The imports of a file that are forbidden, or that are not allowed, each with its line."""
    return [
        f"{name_of(file)}:{line} imports {name}"
        for line, name in imported(file)
        if (forbidden and within(name, *forbidden)) or (allowed is not None and not within(name, *allowed))
    ]


@pytest.mark.parametrize("file", files("lab?_*/**/core.py"), ids=name_of)
def test_a_core_imports_data_tools_and_messages_only(file: Path) -> None:
    own = file.relative_to(ROOT).parent.parts
    assert not offences(file, allowed=[*DATA_TOOLS, ".".join((*own, "messages"))])


@pytest.mark.parametrize("file", files("lab?_*/**/*.py"), ids=name_of)
def test_a_lab_knows_neither_worlds_nor_harness_nor_other_labs(file: Path) -> None:
    own = file.relative_to(ROOT).parts[0]
    worlds = ["common.tcp", "common.main", "labs", "tests"]
    borrowed = BORROWS.get(own, ())
    others = [name for name in LABS if name != own]
    assert not [
        offence
        for offence in offences(file, forbidden=[*worlds, *others])
        if not within(offence.rpartition(" ")[2], *borrowed)
    ]


@pytest.mark.parametrize("file", files("common/**/*.py"), ids=name_of)
def test_common_knows_neither_labs_nor_harness(file: Path) -> None:
    assert not offences(file, forbidden=["labs", "tests", *LABS])


@pytest.mark.parametrize("file", sorted(set(files("labs/**/*.py")) - set(files(SKELETONS))), ids=name_of)
def test_the_harness_imports_no_lab(file: Path) -> None:
    assert not offences(file, forbidden=["tests", *LABS])


@pytest.mark.parametrize("file", files("tests/graded/**/*.py"), ids=name_of)
def test_a_graded_test_knows_the_protocol_and_no_implementation(file: Path) -> None:
    rest_of_common = [
        f"common.{module.stem}" for module in files("common/*.py") if module.stem not in ("protocol", "__init__")
    ]
    assert not offences(file, forbidden=[*LABS, "tests", *rest_of_common])


def test_the_rules_are_about_files_that_exist() -> None:
    for pattern in ("lab?_*/**/core.py", "common/*.py", "labs/**/*.py", "tests/graded/**/*.py"):
        assert files(pattern), f"expected files matching {pattern}, found none"
