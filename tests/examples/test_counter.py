"""The tutorial: its solution passes, its start fails politely, and its tests notice what a newcomer gets wrong."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from labs import handout
from labs.collecting import graded_items
from labs.results import RunResult
from labs.suites import TUTORIAL
from tests.commands import LIMIT

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "examples/counter/README.md").read_text()

Lab = Callable[..., RunResult]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Runs the tutorial's tests with these words. Gives what `--json` wrote."""

    def run(*words: object) -> RunResult:
        file = tmp_path / "result.json"
        subprocess.run(
            [sys.executable, "-m", "labs", "test", *map(str, words), "--json", file],
            cwd=tmp_path,
            capture_output=True,
            timeout=LIMIT,
            check=False,
        )
        return msgspec.json.decode(file.read_bytes(), type=RunResult)

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """What `lab new counter mine` makes."""
    handout.new("counter", tmp_path / "mine")
    return tmp_path / "mine"


def solve(mine: Path) -> None:
    """Lays the solution over it."""
    for file in (ROOT / "examples/counter/solution/counter").glob("*.py"):
        (mine / "counter" / file.name).write_bytes(file.read_bytes())


def change(file: Path, before: str, after: str) -> None:
    """Puts one text in the place of another, which has to be there once."""
    text = file.read_text()
    assert text.count(before) == 1
    file.write_text(text.replace(before, after))


@pytest.mark.parametrize("world", ["process", "sim"])
def test_the_solution_gets_all_points(lab: Lab, world: str) -> None:
    found = lab("counter", "--world", world, *(["--seeds", "10", "-n0"] if world == "sim" else ["-n2"]))
    assert (found.points, found.max_points) == (100, 100), found
    assert found.lab == "counter"


def test_a_submission_that_has_it_is_tested_without_being_asked_for_it(lab: Lab, mine: Path) -> None:
    solve(mine)
    found = lab("--submission", mine, "--world", "sim", "--seeds", "2", "-n0")
    assert found.points == 100, found


@pytest.mark.parametrize("world", ["process", "sim"])
def test_the_start_fails_every_test_politely(lab: Lab, mine: Path, world: str) -> None:
    found = lab(TUTORIAL.name, "--submission", mine, "--world", world, "-n0")
    assert [test.status for test in found.tests] == ["failed"] * 7
    assert all("the server is still to be written: counter/server.py" in test.message for test in found.tests)


@pytest.mark.parametrize(
    ("file", "before", "after", "noticed"),
    [
        ("server.py", "if request.number > newest:", "if True:", [6, 7]),
        ("server.py", "if request.number > newest:", "if request.number != newest:", [7]),
        ("server.py", "return Count(answer)", "return Count(self.value)", [6]),
        ("clerk.py", "except CallFailed:", "except ZeroDivisionError:", [5, 6, 7]),
        (
            "clerk.py",
            "self.number += 1\n        return",
            "self.number += 1\n        self.client += 1\n        return",
            [],
        ),
        ("clerk.py", "getrandbits(62)", "getrandbits(1)", [4]),
    ],
)
def test_what_newcomers_get_wrong_is_noticed(
    lab: Lab, mine: Path, file: str, before: str, after: str, noticed: list[int]
) -> None:
    solve(mine)
    change(mine / "counter" / file, before, after)
    found = lab("counter", "--submission", mine, "--world", "sim", "--seeds", "20", "-n0")
    failed = [number for number, test in enumerate(found.tests, 1) if test.status != "passed"]
    assert set(noticed) <= set(failed), found
    assert bool(failed) == bool(noticed)


def test_the_text_names_the_tests_as_they_are() -> None:
    named = set(re.findall(r"\*\*([A-Z].+?)\*\*", TEXT.replace("\n", " ")))
    titles = {item.grade.title for item in graded_items(TUTORIAL).values()}
    assert titles == named


def test_the_steps_of_the_text_lead_to_the_end(lab: Lab, mine: Path) -> None:
    """Its code as it stands there, with what it leaves to the reader filled in."""
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    server, get_count, _add, again, add = blocks
    package = mine / "counter"
    imports = "from common.protocol import Count, GetCount\nfrom common.wire import Request\n"
    (package / "messages.py").write_text(f"{imports}\n\n{add}")
    get_count = re.sub(r"reply = await .*\n +return reply.value", "return await self._ask(GetCount())", get_count)
    (package / "clerk.py").write_text(
        f"from common.host import CallFailed, Host\n{imports}from counter.messages import Add\n\n\nclass Clerk:\n"
        "    def __init__(self, host: Host, server: str) -> None:\n        self.host, self.server = host, server\n"
        f"        self.client, self.number = host.random.getrandbits(62), 0\n\n{get_count}\n"
        "    async def increment(self) -> int:\n        self.number += 1\n"
        "        return await self._ask(Add(self.client, self.number))\n\n"
        f"    async def _ask(self, request: Request[Count]) -> int:\n{again}"
    )
    server = server.replace("{GetCount: self.get_count}", "{GetCount: self.get_count, Add: self.add}")
    (package / "server.py").write_text(
        f"from counter.messages import Add\n{server}\n"
        "    def add(self, request: Add) -> Count:\n"
        "        self.answers = getattr(self, 'answers', {})\n"
        "        if request.number > self.answers.get(request.client, (0, 0))[0]:\n"
        "            self.value += 1\n            self.answers[request.client] = request.number, self.value\n"
        "        return Count(self.answers[request.client][1])\n"
    )
    found = lab("counter", "--submission", mine, "--world", "sim", "--seeds", "5", "-n0")
    assert found.points == 100, found
