"""Whatever bytes come from the network, a real server answers its next good request."""

import asyncio
import contextlib
import random
import socket
import struct

import msgpack
import psutil
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import wire
from common.protocol import GetView
from common.tcp import ask_once
from labs.process.system import raise_file_limit
from tests.common.real_server import RealServer

SLOW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
GOOD = wire.encode_request(1, GetView())


def still_answers(server: RealServer) -> None:
    """Asks as a new client. The bound is for a machine that is held up, not for a server that thinks."""
    assert server.process.poll() is None, f"the server ended: {server.log.read_text()[-2000:]}"
    asyncio.run(ask_once(server.endpoint, GetView(), timeout=60))


def is_right(params: object) -> bool:
    """Whether a Ping with these would be one, after which the server has another view."""
    match params:
        case [str(), int()]:
            return True
    return False


def connect(server: RealServer) -> socket.socket:
    connection = socket.create_connection(server.endpoint, timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def send(server: RealServer, *pieces: bytes) -> bytes:
    """Sends the pieces on a connection of their own, says that no more will come, and reads what comes back."""
    answer = b""
    with connect(server) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                answer += data
        except TimeoutError:
            raise
        except OSError:
            pass  # it closed the connection, which is its right
    return answer


@SLOW
@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=5))
def test_random_bytes(server: RealServer, pieces: list[bytes]) -> None:
    send(server, *pieces)
    still_answers(server)


@SLOW
@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_a_truncated_frame(server: RealServer, length: int, more: bytes) -> None:
    send(server, GOOD[:length], more)
    still_answers(server)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@SLOW
@given(values, values, values, values.filter(lambda params: not is_right(params)))
def test_wrong_types_anywhere(server: RealServer, kind: object, msgid: object, method: object, params: object) -> None:
    frames = ([kind, msgid, method, params], [0, 1, method, params], [0, 1, "Ping", params], [0, 1, "GetView", params])
    for frame in frames:
        send(server, msgpack.packb(frame))
    still_answers(server)


def test_every_request_is_answered_however_wrong(server: RealServer) -> None:
    """A wrong request gets an error, and the good one after it on the same connection gets its view."""
    frames = [[0, 1, "Ping", ["x"]], [0, 2, "Nothing", []], [0, 3, "Ping", {"me": 1}], [0, 4, "GetView", []]]
    answers = list(msgpack.Unpacker(_reader(send(server, b"".join(map(msgpack.packb, frames))))))
    assert [(answer[1], answer[2] is None) for answer in answers] == [(1, False), (2, False), (3, False), (4, True)]


def test_a_wrong_notification_is_nobodys_business(server: RealServer) -> None:
    frames = [[2, "Ping", ["x"]], [2, "Nothing", [1]], [0, 4, "GetView", []]]
    answers = list(msgpack.Unpacker(_reader(send(server, b"".join(map(msgpack.packb, frames))))))
    assert [answer[1] for answer in answers] == [4]


def _reader(data: bytes):  # type: ignore[no-untyped-def]  # what msgpack.Unpacker wants
    import io

    return io.BytesIO(data)


def test_deep_nesting(server: RealServer) -> None:
    for depth in (100, wire.MAX_NESTING - 10, wire.MAX_NESTING + 10, 100_000):
        send(server, b"\x94\x00\x01\xa4Ping" + b"\x91" * depth + b"\xc0")
        still_answers(server)
    for depth in (100, 100_000):
        send(server, b"\x94\x00\x01\xa7GetView" + b"\x81\xa1k" * depth + b"\xc0")
        still_answers(server)


def test_giant_lengths_cost_no_memory(server: RealServer) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    connections = [connect(server) for _ in range(50)]
    for number, connection in enumerate(connections):
        kind = [b"\xdd", b"\xdf", b"\xdb", b"\xc6", b"\xc9"][number % 5]
        connection.sendall(
            b"\x94\x00\x01\xa4Ping" + (kind + struct.pack(">I", 0xFFFFFFF0)) * (200 if number % 5 < 2 else 1)
        )
        connection.sendall(b"\x01" * 1000)
    still_answers(server)
    assert psutil.Process(server.process.pid).memory_info().rss - before < 50_000_000
    for connection in connections:
        connection.close()
    still_answers(server)


def test_a_frame_over_the_limit_ends_its_connection_only(server: RealServer) -> None:
    with connect(server) as connection:
        header = b"\x94\x00\x01\xa4Ping\xc6" + struct.pack(">I", 2 * wire.MAX_FRAME)
        closed = False
        try:
            connection.sendall(header)
            for _ in range(2 * wire.MAX_FRAME // 1_000_000):
                connection.sendall(b"\x00" * 1_000_000)
            closed = connection.recv(1) == b""
        except ConnectionError:
            closed = True
        assert closed, "the connection should have been closed"
    still_answers(server)
    assert "expected frames of at most" in server.log.read_text()


def test_a_thousand_idle_connections(server: RealServer) -> None:
    raise_file_limit()
    connections = [connect(server) for _ in range(1000)]
    still_answers(server)
    connections[999].sendall(GOOD)
    assert connections[999].recv(100), "an idle connection can be used"
    for connection in connections:
        connection.close()
    still_answers(server)


def test_half_open_connections(server: RealServer) -> None:
    """One side closed, half a frame sent and then silence, or a reset in the middle."""
    connections = []
    for number in range(60):
        connection = connect(server)
        connection.sendall(GOOD[: 1 + number % (len(GOOD) - 1)])
        if number % 3 == 0:
            connection.shutdown(socket.SHUT_WR)
        elif number % 3 == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
            connection.close()
        connections.append(connection)
    still_answers(server)
    for connection in connections:
        connection.close()


def test_one_byte_at_a_time(server: RealServer) -> None:
    answer = send(server, *[bytes([byte]) for byte in GOOD])
    assert msgpack.unpackb(answer) == [1, 1, None, [0, "", ""]]


def test_a_flood_of_requests_that_nobody_reads(server: RealServer) -> None:
    """The server stops reading from one who does not read, and serves the others."""
    with connect(server) as connection:
        connection.settimeout(0.5)
        try:
            for _ in range(200):
                connection.sendall(GOOD * 20_000)
        except TimeoutError:
            pass  # as it should: our own buffer is full because the server does not read on
        still_answers(server)
        assert psutil.Process(server.process.pid).memory_info().rss < 500_000_000
    still_answers(server)


def test_good_and_bad_at_once(server: RealServer) -> None:
    """A steady client is answered while others misbehave."""
    noise = random.Random(1)

    async def steady() -> int:
        count = 0
        for _ in range(100):
            assert (await ask_once(server.endpoint, GetView(), timeout=60)).viewnum == 0
            count += 1
        return count

    async def bad() -> None:
        for _ in range(100):
            _, writer = await asyncio.open_connection(*server.endpoint)
            writer.write(noise.randbytes(100))
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def both() -> int:
        counts = await asyncio.gather(steady(), bad(), bad())
        return counts[0]

    assert asyncio.run(both()) == 100
