"""The example submission in JavaScript: its codec, its manners, and some graded tests.

All graded tests: ./lab test lab1 --submission examples/lab1-node
"""

import asyncio
import shutil
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import aio_msgpack_rpc
import msgpack
import pytest

from common import links
from common.protocol import GetView, View
from common.tcp import ask_once
from common.wire import encode_notification, encode_request
from labs.cluster import ServerStopped
from labs.process.cluster import ProcessCluster
from labs.process.processes import Keeper
from labs.submission import commands
from tests.commands import LIMIT, lab

ROOT: Final = Path(__file__).parents[2]
NODE: Final = ROOT / "examples" / "lab1-node"
SOON: Final = 60.0
"""Seconds within which it does what takes it a moment."""

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


# --- its codec -------------------------------------------------------------------------------------------------------


def through_node(values: list[bytes]) -> list[str]:
    """What the example's codec makes of the bytes of each value."""
    done = subprocess.run(
        ["node", Path(__file__).parent / "codec.mjs", NODE / "messagepack.mjs"],
        input="".join(f"{value.hex()}\n" for value in values),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
    )
    return done.stdout.splitlines()


def test_its_codec_agrees_with_the_library() -> None:
    edges = [2**bits + less for bits in (0, 5, 7, 8, 15, 16, 31, 32, 52, 53, 63) for less in (-1, 0)] + [2**64 - 1]
    texts = [length * "é" for length in (0, 1, 15, 16, 127, 128, 32767, 32768)] + ["\ufeff\0\r\n日本 🦜"]
    values: list[Any] = [None, True, False, 0.5, -1e300, *edges, *(-edge for edge in edges if edge <= 2**63), *texts]
    values += [bytes(length) for length in (0, 255, 256, 65535, 65536)]
    values += [[1] * length for length in (0, 15, 16, 65535, 65536)]
    values += [dict.fromkeys(range(length), "x") for length in (0, 15, 16, 65535, 65536)]
    random = Random(1)
    values += [[random.choice(values[:60]) for _ in range(random.randrange(20))] for _ in range(200)]
    encoded = [msgpack.packb(value) for value in values]
    assert through_node(encoded) == [each.hex() for each in encoded]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "the bytes end within a value"),
        (b"\xc1", "0xc1 begins no value"),
        (b"\x93\x01", "the bytes end within a value"),
        (b"\xdd\xff\xff\xff\xff", "the bytes end within a value"),
        (b"\xd9\x05abcd", "the bytes end within a value"),
        (b"\x01\x02", "got 1 bytes after it"),
        (b"\xa2\xff\xfe", "expected text in UTF-8"),
        (b"\xd4\x01\x00", "extension types mean nothing here"),
        (b"\x91" * 1025 + b"\x01", "nested more than 1024 deep"),
    ],
)
def test_its_codec_says_what_is_wrong(data: bytes, complaint: str) -> None:
    (said,) = through_node([data])
    assert said.startswith("Malformed: ")
    assert complaint in said


# --- its manners -----------------------------------------------------------------------------------------------------

Play = Callable[[Callable[[ProcessCluster], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Runs a scenario with a cluster of servers in JavaScript."""
    keeper = Keeper("lab1_pbservice", f"test-{uuid.uuid4().hex}", command=commands(NODE)["lab1_pbservice"])

    def play(scenario: Callable[[ProcessCluster], Awaitable[None]]) -> None:
        async def main() -> None:
            async with ProcessCluster("lab1_pbservice", keeper, folder=tmp_path) as cluster:
                await scenario(cluster)

        asyncio.run(main())

    yield play
    keeper.close()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01",
        b"\xc1",
        b"\x91" * 2000 + b"\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\x7f\xff\xff\xff",
        msgpack.packb([0, 1, "GetView"]),
        msgpack.packb([1, 1, None, None]),
        msgpack.packb([7, 1, "GetView", []]),
    ],
    ids=lambda data: data[:8].hex(),
)
def test_nonsense_ends_its_connection_and_nothing_else(play: Play, data: bytes) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("viewserver", "vs")
        endpoint = links.read(cluster.net / "vs" / "vs")
        assert endpoint is not None
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(data)
        assert await asyncio.wait_for(reader.read(), SOON) == b""
        writer.close()
        assert await ask_once(endpoint, GetView()) == View(0, "", "")
        cluster.check()

    play(scenario)


def test_a_caller_who_goes_away_does_no_harm(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("viewserver", "vs")
        endpoint = links.read(cluster.net / "vs" / "vs")
        assert endpoint is not None
        for _ in range(20):
            _, writer = await asyncio.open_connection(*endpoint)
            writer.write(encode_request(1, GetView()) * 1000 + encode_notification(GetView()))
            writer.transport.abort()
        assert await ask_once(endpoint, GetView()) == View(0, "", "")
        cluster.check()

    play(scenario)


def test_a_client_that_we_did_not_write_can_talk_to_it(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("viewserver", "vs")
        endpoint = links.read(cluster.net / "vs" / "vs")
        assert endpoint is not None
        reader, writer = await asyncio.open_connection(*endpoint)
        client: Any = aio_msgpack_rpc.Client(reader, writer)
        views = await asyncio.gather(*(client.call("GetView") for _ in range(50)))
        assert views == [[0, "", ""]] * 50
        with pytest.raises(
            aio_msgpack_rpc.error.RPCResponseError, match=r"Ping\(me, viewnum\): expected viewnum to be"
        ):
            await client.call("Ping", "pb-1", "three")
        client.close()
        writer.close()
        await writer.wait_closed()

    play(scenario)


def test_a_method_may_be_named_in_binary(play: Play) -> None:
    """As the client of Neovim does."""

    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("viewserver", "vs")
        endpoint = links.read(cluster.net / "vs" / "vs")
        assert endpoint is not None
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(msgpack.packb([0, 7, b"GetView", []]))
        answer = msgpack.packb([1, 7, None, [0, "", ""]])
        assert await asyncio.wait_for(reader.readexactly(len(answer)), SOON) == answer
        writer.close()

    play(scenario)


def test_a_refusal_by_another_server_ends_it_with_a_stack_trace(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("clerk", "not-a-viewserver", viewserver="vs")
        await cluster.start("pbserver", "pb-1", viewserver="not-a-viewserver")
        await cluster.until(lambda: False, SOON, "the end of pb-1")

    with pytest.raises(
        ServerStopped, match=r"(?s)pb-1 \(pbserver\) ended.*CallRefused.*Ping was refused: .*host\.mjs:"
    ):
        play(scenario)


def test_an_unknown_role_is_said_to_be_unknown(play: Play) -> None:
    async def scenario(cluster: ProcessCluster) -> None:
        await cluster.start("butler", "b")

    with pytest.raises(ServerStopped, match=r"expected one of the roles viewserver, pbserver, clerk.* got butler"):
        play(scenario)


# --- graded tests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suite", "tests"),
    [
        ("viewservice", "test_first_backup or test_backup_takes_over or test_restarted_primary_is_dead"),
        ("pbservice", "test_single_primary or test_primary_failure or test_duplicates_move_with_data or test_any_text"),
    ],
)
def test_some_graded_tests(suite: str, tests: str, tmp_path: Path) -> None:
    words = ["test", suite, "-k", tests, "--submission", NODE, "-n", "2", "--out", tmp_path / "run"]
    done = lab(*words, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "left behind: 0 processes, 0 socket files"
