"""The primary's hand, on a host whose calls are answered by the test."""

import asyncio
from random import Random
from typing import Any, cast

import pytest

from common.host import Host
from common.protocol import View
from lab1_pbservice.pbservice.messages import Forward, NotSynced, Transfer, Write
from lab1_pbservice.pbservice.server import PBServer


class Answering:
    """A host that has its calls answered by `answer`, and keeps what was asked."""

    name = "pb-1"
    lives = 0
    random = Random(1)

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.server: PBServer | None = None
        self.news = View(2, "pb-2", "pb-3")

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def log(self, text: str) -> None:
        """Nobody reads it."""

    async def call(self, address: str, request: Any, timeout: float = 0.0) -> Any:
        """The backup has nothing; and when it says so, the view has just changed."""
        self.asked.append((address, request))
        assert isinstance(request, Forward)
        assert self.server is not None
        self.server.replica.learn(self.news)
        return NotSynced()


@pytest.mark.parametrize("news", [View(2, "pb-2", "pb-3"), View(2, "pb-1", ""), View(2, "pb-3", "pb-1")])
def test_a_backup_without_data_gets_none_of_a_view_that_is_over(news: View) -> None:
    """The next backup would take what is left here, nothing, for all there is."""

    async def play() -> list[tuple[str, Any]]:
        host = Answering()
        server = host.server = PBServer(cast(Host, host), "vs")
        server.replica.learn(View(1, "pb-1", "pb-2"))
        host.news = news
        assert not await server.forward([Write(7, 1, "k", "v", append=False)])
        return host.asked

    asked = asyncio.run(play())
    assert [address for address, _ in asked] == ["pb-2"]
    assert not any(isinstance(request, Transfer) for _, request in asked)
