"""A real server process for the tests of `common`: the view server, run as a person would run it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from common import links

ROOT = Path(__file__).resolve().parents[2]


class RealServer(NamedTuple):
    """A view server that listens."""

    process: "subprocess.Popen[bytes]"
    endpoint: links.Endpoint
    log: Path


def command(*words: str) -> list[str]:
    """`python -m common.main` with these words."""
    return [sys.executable, "-m", "common.main", *words]


@contextmanager
def view_server(net: Path, loop: str) -> Iterator[RealServer]:
    """Runs a view server on uvloop or on asyncio's own loop, and kills it at the end."""
    log = net.parent / "vs.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("lab1_pbservice", "viewserver", "vs", str(net)),
            cwd=ROOT,
            env={**os.environ, "LAB_LOOP": loop},
            stdout=output,
            stderr=output,
        )
    try:
        while (endpoint := links.read(net / "vs" / "vs")) is None:
            assert process.poll() is None, f"the view server ended: {log.read_text()}"
            time.sleep(0.01)
        yield RealServer(process, endpoint, log)
    finally:
        process.kill()
        process.wait()
