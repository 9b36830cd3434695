"""docs/process-contract.md tells the truth: its bytes are those of `common.wire`, and real servers answer with them."""

import asyncio
import json
import re
import shlex
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from common import links, protocol
from common.wire import (
    FrameReader,
    Methods,
    Request,
    RequestFrame,
    ResponseFrame,
    decode_frame,
    decode_result,
)
from labs.places import packages_folder
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper
from labs.submission import commands
from tests.harness.contract_page import PAGE, Block, Frame, blocks, exchanges

SOON: Final = 20.0
NODE: Final = Path(__file__).parents[2] / "examples" / "lab1-node"
PUBLIC: Final = {
    name: each
    for name, each in vars(protocol).items()
    if isinstance(each, type) and issubclass(each, Request) and each is not Request
}
FRAMES: Final = [frame for block in blocks("frames", "refused") for frame in block.frames]


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: f"{frame.kind} {frame.words}")
def test_the_bytes_of_an_example_are_what_the_words_say(frame: Frame) -> None:
    assert frame.encoded.hex(" ") == frame.data.hex(" ")
    assert FrameReader().feed(frame.data) == [frame.data]


@pytest.mark.parametrize("block", blocks("frames"), ids=lambda block: block.frames[0].words)
def test_the_bytes_of_an_example_mean_what_the_words_say(block: Block) -> None:
    for asked, answer in exchanges(block):
        request = decode_frame(asked.data)
        assert isinstance(request, RequestFrame)
        assert request.msgid == asked.msgid
        assert Methods(dict.fromkeys(PUBLIC.values())).decode(request.method, request.params) == asked.value
        if answer is not None:
            response = decode_frame(answer.data)
            assert isinstance(response, ResponseFrame)
            if answer.kind == "error":
                assert response.error == answer.value
            else:
                assert decode_result(type(asked.value), response.result) == answer.value


def test_there_is_an_example_of_every_public_request() -> None:
    shown = {type(frame.value).__name__ for frame in FRAMES if frame.kind == "request"}
    assert shown >= set(PUBLIC)


def test_the_socket_file_is_what_servers_write(tmp_path: Path) -> None:
    ((words, text),) = [block.text.strip().split("\n") for block in blocks("file")]
    path, content = words.split(": ")
    file = tmp_path.joinpath(*path.split("/")[1:])
    links.publish(tmp_path, "vs", "vs", links.Endpoint("127.0.0.1", 40123))
    assert file.read_bytes() == bytes.fromhex(text) == f"{content}\n".encode()


def test_the_command_line_is_what_servers_are_started_with(tmp_path: Path) -> None:
    (written,) = [block.text for block in blocks("toml")]
    (line,) = [shlex.split(block.text) for block in blocks("console")]
    (tmp_path / "lab.toml").write_text(written.replace("node", "sh"))  # there may be no node
    command = commands(tmp_path)["lab1_pbservice"]
    arguments = {"viewserver": "vs"}
    assert ["sh", *line[1:]] == command.line("pbserver", "pb-1", Path("/tmp/run/net"), arguments)


def test_the_arguments_of_all_roles_are_json() -> None:
    cells = re.findall(r"^\|.*`(\{.*?\})`", PAGE.read_text(), re.MULTILINE)
    assert len(cells) == 13
    assert all(isinstance(json.loads(cell), dict) for cell in cells)


# --- against real servers --------------------------------------------------------------------------------------------


@pytest.fixture(params=["reference", "lab1-node"])
def keeper(request: pytest.FixtureRequest) -> Iterator[Keeper]:
    """A keeper of lab 1: of the reference, and of the example in another language."""
    run, package = f"test-{uuid.uuid4().hex}", "lab1_pbservice"
    if request.param == "reference":
        keeper = Keeper(package, run, [packages_folder()])
    else:
        if shutil.which("node") is None:
            pytest.skip("node is not installed, so no server in JavaScript can be started")
        keeper = Keeper(package, run, command=commands(NODE)[package])
    yield keeper
    keeper.close()


async def start(cluster: ProcessCluster, role: str) -> links.Endpoint:
    """Starts a server of this role, with all that it needs. Gives where it listens."""
    await cluster.start("viewserver", "vs")
    if role == "viewserver":
        name = "vs"
    else:
        await cluster.start("pbserver", "pb-1", viewserver="vs")
        name = (await cluster.clerk("ck-1", viewserver="vs")).name
    endpoint = links.read(cluster.net / name / name)
    assert endpoint is not None
    return endpoint


class Connection:
    """Bytes out, frames in, by nothing but the page."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._frames = FrameReader()
        self._read: list[bytes] = []

    async def frame(self) -> bytes:
        """The next frame."""
        async with asyncio.timeout(SOON):
            while not self._read:
                data = await self._reader.read(65536)
                assert data, "the server closed the connection"
                self._read += self._frames.feed(data)
        return self._read.pop(0)


@pytest.mark.parametrize("block", [block for block in blocks("frames", "refused") if block.role], ids=lambda b: b.role)
def test_a_real_server_answers_with_these_bytes(block: Block, keeper: Keeper, tmp_path: Path) -> None:
    async def play() -> None:
        async with ProcessCluster(keeper.package, keeper, folder=tmp_path) as cluster:
            connection = Connection(*await asyncio.open_connection(*await start(cluster, block.role)))
            with closing(connection.writer):
                for asked, answer in exchanges(block):
                    connection.writer.write(asked.data)
                    if asked.kind == "notification":
                        continue
                    came = await connection.frame()
                    if answer is not None:
                        assert came.hex(" ") == answer.data.hex(" "), asked.words
                    else:
                        refusal = decode_frame(came)
                        assert isinstance(refusal, ResponseFrame)
                        assert (refusal.msgid, bool(refusal.error)) == (asked.msgid, True), asked.words
            cluster.check()

    asyncio.run(play())
