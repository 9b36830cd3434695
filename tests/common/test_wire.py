"""Frames and typed messages: what the specification says, and what is done with everything else."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import wire
from common.protocol import Ping, Value, View
from common.wire import FrameReader, Malformed, Methods, RequestFrame, ResponseFrame, decode_frame
from lab1_pbservice.pbservice.messages import Forward, NotPrimary, Read, Write

# What any other implementation would send and expect (MessagePack-RPC, spec.md), built by the msgpack package.


def test_a_request_is_type_msgid_method_params() -> None:
    assert msgpack.unpackb(wire.encode_request(7, Ping("pb-1", 3))) == [0, 7, "Ping", ["pb-1", 3]]


def test_a_response_is_type_msgid_error_result() -> None:
    assert msgpack.unpackb(wire.encode_result(7, View(3, "pb-1", ""))) == [1, 7, None, [3, "pb-1", ""]]
    assert msgpack.unpackb(wire.encode_error(7, "why not")) == [1, 7, "why not", None]


def test_a_notification_is_type_method_params() -> None:
    assert msgpack.unpackb(wire.encode_notification(Ping("pb-1", 3))) == [2, "Ping", ["pb-1", 3]]


def test_one_of_several_replies_carries_its_name() -> None:
    assert msgpack.unpackb(wire.encode_result(1, Value("x"))) == [1, 1, None, ["Value", "x"]]
    for reply in (Value("x"), NotPrimary()):
        frame = decode_frame(wire.encode_result(1, reply))
        assert isinstance(frame, ResponseFrame)
        assert wire.decode_result(Read, frame.result) == reply


def test_messages_inside_messages_come_back_as_they_were() -> None:
    request = Forward(3, 1, [Write(2**62, 1, "k", "v", True), Write(1, 2, "", "\N{SNOWMAN}", False)])
    frame = decode_frame(wire.encode_request(9, request))
    assert isinstance(frame, RequestFrame)
    assert Methods({Forward: None}).decode(frame.method, frame.params) == request


def assert_ping(data: bytes) -> None:
    frame = decode_frame(data)
    assert isinstance(frame, RequestFrame)
    assert (frame.msgid, frame.method) == (5, "Ping")


def test_a_longer_header_for_the_same_array_is_understood() -> None:
    frame = b"\xdc\x00\x04" + msgpack.packb(0) + msgpack.packb(5) + msgpack.packb("Ping") + msgpack.packb(["a", 1])
    assert_ping(frame)


def test_a_method_name_may_be_binary() -> None:
    assert_ping(msgpack.packb([0, 5, b"Ping", []]))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (["pb-1", "three"], "Ping(me, viewnum): Expected `int`, got `str`"),
        (["pb-1"], "at least length 2"),
        (["pb-1", 3, 4], "at most length 2"),
        ({"me": "pb-1"}, "Expected `array`, got `object`"),
        (7, "Expected `array`, got `int`"),
    ],
)
def test_wrong_params_are_refused_in_words(params: object, words: str) -> None:
    frame = decode_frame(msgpack.packb([0, 1, "Ping", params]))
    assert isinstance(frame, RequestFrame)
    with pytest.raises(ValueError, match="Ping") as refusal:
        Methods({Ping: None}).decode(frame.method, frame.params)
    assert words in str(refusal.value)


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    frame = decode_frame(msgpack.packb([0, 1, "Pong", []]))
    assert isinstance(frame, RequestFrame)
    with pytest.raises(ValueError, match=r"expected a method that this server has \(Ping, Read\), got 'Pong'"):
        Methods({Read: None, Ping: None}).decode(frame.method, frame.params)


@pytest.mark.parametrize(
    "message",
    [3, "text", [], [0], [0, 1, "Ping"], [1, 1, None], [2, "Ping", [], 4], [3, 1, "Ping", []], [0, -1, "Ping", []],
     [0, 2**32, "Ping", []], [0, 1, 5, []], [0, None, "Ping", []], {"a": 1}, [[0], 1, "Ping", []],
     [0, "1", "Ping", []]],
)  # fmt: skip
def test_what_is_no_message_is_malformed(message: object) -> None:
    with pytest.raises(Malformed, match="expected"):
        decode_frame(msgpack.packb(message))


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_frames_or_malformed(data: bytes) -> None:
    try:
        for frame in FrameReader(1000).feed(data):
            decode_frame(frame)
    except Malformed:
        pass


messages = st.one_of(
    st.builds(
        wire.encode_request, st.integers(0, 2**32 - 1), st.builds(Ping, st.text(max_size=20), st.integers(0, 99))
    ),
    st.builds(wire.encode_result, st.integers(0, 2**32 - 1), st.builds(Value, st.text(max_size=400))),
    st.builds(wire.encode_error, st.integers(0, 2**32 - 1), st.text(max_size=20)),
)


@given(st.lists(messages, max_size=8), st.lists(st.integers(1, 60), min_size=1, max_size=50))
def test_frames_come_out_whole_however_the_stream_was_cut(frames: list[bytes], sizes: list[int]) -> None:
    stream, reader, out, turn = b"".join(frames), FrameReader(), [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        out += reader.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert out == frames


def test_a_frame_over_the_limit_is_malformed() -> None:
    frame = wire.encode_result(1, Value("x" * 2000))
    assert FrameReader(len(frame)).feed(frame) == [frame]
    with pytest.raises(Malformed, match="at most 1000 bytes"):
        FrameReader(1000).feed(frame)


def test_many_frames_in_one_piece_may_exceed_the_limit_of_one() -> None:
    frame = wire.encode_result(1, Value("x" * 100))
    assert FrameReader(len(frame) + 3).feed(frame * 50) == [frame] * 50


def test_a_frame_nested_too_deep_is_malformed() -> None:
    FrameReader().feed(b"\x91" * (wire.MAX_NESTING - 1) + b"\xc0")
    with pytest.raises(Malformed, match=f"nested {wire.MAX_NESTING} deep"):
        FrameReader().feed(b"\x91" * (wire.MAX_NESTING + 1) + b"\xc0")


def test_an_announced_length_costs_nothing_until_it_is_there() -> None:
    """Four thousand million elements are announced, inside each other. Nothing may be set aside for them."""
    reader = FrameReader()
    assert reader.feed(b"\xdd\xff\xff\xff\xff" * 500) == []
    assert reader.feed(b"\xc6\xff\xff\xff\xff") == []


def test_a_request_must_say_what_its_reply_is() -> None:
    class Shrug(wire.Request):  # type: ignore[type-arg]  # that is the mistake
        pass

    with pytest.raises(TypeError, match=r"class Shrug\(Request\[TheReply\]\)"):
        Methods({Shrug: None})


def test_bytes_that_are_one_frame_need_no_cutting() -> None:
    """The way that most messages take: it gives what cutting would give, or says that it cannot."""
    request, result = wire.encode_request(7, Ping("pb-1", 3)), wire.encode_result(7, Value("y"))
    for frame in (request, result):
        assert wire.decode_single(frame) == decode_frame(frame)
    for data in (
        request + result,
        request[:-1],
        request + request[:3],
        wire.encode_notification(Ping("pb-1", 3)),
        b"\xc1",
        b"",
    ):
        assert wire.decode_single(data) is None


def test_a_reader_knows_whether_a_frame_has_begun() -> None:
    frame = wire.encode_request(7, Ping("pb-1", 3))
    reader = FrameReader()
    assert reader.is_between_frames
    reader.feed(frame + frame[:2])
    assert not reader.is_between_frames
    assert reader.feed(frame[2:]) == [frame]
    assert reader.is_between_frames
