"""The command that runs one role as one process: what it says to a command line that makes no sense."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.common.real_server import ROOT, command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected: python -m common.main PACKAGE ROLE NAME NET [key=json …]"),
        (["lab1_pbservice", "viewserver", "vs"], "expected: python -m common.main"),
        (["no_such_lab", "viewserver", "vs", "NET"], "expected a lab's package with a module roles, got 'no_such_lab'"),
        (["common", "viewserver", "vs", "NET"], "expected a lab's package with a module roles, got 'common'"),
        (
            ["lab1_pbservice", "king", "vs", "NET"],
            "lab1_pbservice (clerk, load, pbserver, viewserver), got",
        ),
        (["lab1_pbservice", "viewserver", "../vs", "NET"], "expected a name of letters"),
        (["lab1_pbservice", "pbserver", "pb-1", "NET"], "missing a required argument: 'viewserver'"),
        (["lab1_pbservice", "pbserver", "pb-1", "NET", "viewserver=vs"], "text goes in quotes"),
        (["lab1_pbservice", "pbserver", "pb-1", "NET", "viewserver"], "expected key=json"),
        (["lab1_pbservice", "viewserver", "vs", "NET", "x=1"], "got an unexpected keyword argument 'x'"),
    ],
)
def test_bad_usage_is_one_clear_line(tmp_path: Path, words: list[str], said: str) -> None:
    words = [str(tmp_path) if word == "NET" else word for word in words]
    done = subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_mistake_in_a_callback_stops_the_server(tmp_path: Path, loop_name: str) -> None:
    lab = tmp_path / "broken_lab"
    lab.mkdir()
    (lab / "roles.py").write_text(
        """import asyncio

async def server(host):
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)

ROLES = {"server": server}
"""
    )
    environment = {**os.environ, "LAB_LOOP": loop_name, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command("broken_lab", "server", "s", str(tmp_path / "links")),
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
