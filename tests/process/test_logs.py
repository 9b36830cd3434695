"""A server that cannot stop writing does not fill the disk."""

from pathlib import Path

import pytest
from conftest import Play
from toy_lab.messages import Flood

from labs.process import logs
from labs.process.cluster import ProcessCluster

SOON = 60.0


def test_a_short_log_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    logs.shorten(log)  # there may be none
    assert not log.exists()
    log.write_bytes(b"x" * logs.MOST_BYTES)
    logs.shorten(log)
    assert log.stat().st_size == logs.MOST_BYTES


def test_a_long_log_loses_its_middle(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [f"line {number:9}\n" for number in range(logs.MOST_BYTES // 10)]
    log.write_text("".join(lines))
    logs.shorten(log)
    text = log.read_text()
    start, _, end = text.partition("\n---")
    note, _, end = end.partition("\n")
    assert "".join(lines).startswith(start)
    assert "".join(lines).endswith(end)
    assert end.startswith("line")
    left_out = int(note.split()[0])
    assert left_out + len(start) + len(end) == len("".join(lines))
    assert len(text) < logs.MOST_BYTES / 10


def test_a_flood_is_held_back_and_its_end_is_there(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 500_000)

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("adder", "a")
        file = cluster.logs / "a.log"
        for _ in range(3):
            await cluster.call("a", Flood(1000), timeout=SOON)
            await cluster.until(lambda: file.stat().st_size < 500_000, SOON, "the log to be cut")
            assert "bytes were left out here" in cluster.log("a")
            assert cluster.log("a").startswith("--- 0")
        monkeypatch.setattr(logs, "MOST_BYTES", 10**9)  # what is written while a log is cut may get lost
        await cluster.call("a", Flood(1000), timeout=SOON)
        monkeypatch.setattr(logs, "MOST_BYTES", 500_000)
        await cluster.until(lambda: file.stat().st_size < 500_000, SOON, "the log to be cut")
        assert "line 999 x" in cluster.log("a").splitlines()[-1]

    play(scenario)
