"""MessagePack-RPC: typed messages to frames and back. Bytes only: nothing here waits or sends.

The specification (github.com/msgpack-rpc/msgpack-rpc, spec.md) has three messages, each one MessagePack array:

    request       [0, msgid, method, params]     answered by exactly one response
    response      [1, msgid, error, result]      one of error and result is nil
    notification  [2, method, params]            never answered

A frame carries no length. `FrameReader` walks over each value without building anything, so what a frame
announces (a list of four thousand million elements, say) costs nothing until the bytes for it are really there;
only whole frames are decoded, straight into the types that the receiver expects.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, TypeVar, get_args

import msgpack
import msgspec

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes in one frame. A longer one ends the connection."""
MAX_NESTING: Final = 1024
"""Arrays and maps inside each other in one frame (what msgpack itself can hold). A deeper one ends the connection."""
LOST: Final = "network: the request or its reply was lost"
"""The error by which a tap on a link says at once what a dropped connection would: no reply will come."""

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2


class Record(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A value inside a message: an array of its fields, in their order."""


class Reply(Record, tag=True):
    """One of several replies to a request: an array that opens with the reply's name, as in `["Value", "x"]`."""


class Request(Record, Generic[R_co]):
    """A request whose reply is an `R`. Its class's name is the method, its fields in their order are the params."""


class Malformed(Exception):
    """These bytes are not MessagePack-RPC. There is no request to answer, so the connection has to end."""


MessageId = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class RequestFrame(msgspec.Struct, array_like=True, tag=REQUEST, forbid_unknown_fields=True, gc=False):
    """A request (`msgid` is a number) or a notification (`msgid` is None). `params` is still encoded."""

    msgid: MessageId | None
    method: str
    params: msgspec.Raw


class ResponseFrame(msgspec.Struct, array_like=True, tag=RESPONSE, forbid_unknown_fields=True, gc=False):
    """The answer to the request `msgid`: an error in words, or a result that is still encoded."""

    msgid: MessageId
    error: str | None
    result: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode

_usual_frame: msgspec.msgpack.Decoder[RequestFrame | ResponseFrame] = msgspec.msgpack.Decoder(
    RequestFrame | ResponseFrame
)
_request_envelope = msgspec.msgpack.Decoder(tuple[int, int, Any, msgspec.Raw])
_response_envelope = msgspec.msgpack.Decoder(tuple[int, int, Any, msgspec.Raw])
_notification_envelope = msgspec.msgpack.Decoder(tuple[int, Any, msgspec.Raw])
_any_envelope = msgspec.msgpack.Decoder(list[msgspec.Raw])
_integer = msgspec.msgpack.Decoder(int)


def encode_request(msgid: int, request: Request[Any]) -> bytes:
    """The frame that asks `request` and wants an answer under the number `msgid` (0 to 2**32 - 1)."""
    return _encoder.encode((REQUEST, msgid, type(request).__name__, request))


def request_frame(msgid: int, method: str, params: bytes) -> bytes:
    """As `encode_request`, of a request that is already encoded."""
    return _encoder.encode((REQUEST, msgid, method, msgspec.Raw(params)))


def encode_notification(request: Request[Any]) -> bytes:
    """The frame that tells `request` and wants no answer."""
    return _encoder.encode((NOTIFICATION, type(request).__name__, request))


def encode_result(msgid: int, result: Any) -> bytes:
    """The frame that answers the request `msgid`."""
    return _encoder.encode((RESPONSE, msgid, None, result))


def response_frame(msgid: int, error: str | None, result: bytes) -> bytes:
    """As `encode_result` or `encode_error`, of a result that is already encoded."""
    return _encoder.encode((RESPONSE, msgid, error, msgspec.Raw(result)))


def encode_error(msgid: int, error: str) -> bytes:
    """The frame that refuses the request `msgid`, saying why."""
    return _encoder.encode((RESPONSE, msgid, error, None))


def reply_type(request: type[Request[Any]]) -> Any:
    """The `R` of a `class SomeRequest(Request[R])`."""
    for base in getattr(request, "__orig_bases__", ()):
        if getattr(base, "__origin__", None) is Request:
            return get_args(base)[0]
    raise TypeError(f"expected class {request.__name__}(Request[TheReply]), got a class that names no reply")


_reply_decoders: dict[type[Request[Any]], msgspec.msgpack.Decoder[Any]] = {}
_param_decoders: dict[type[Request[Any]], msgspec.msgpack.Decoder[Any]] = {}


def decode_result(request: type[Request[R]], result: msgspec.Raw | bytes) -> R:
    """What a peer answered to a request of that type. Raises `msgspec.ValidationError` if it is of another type."""
    decoder = _reply_decoders.get(request)
    if decoder is None:
        decoder = _reply_decoders[request] = msgspec.msgpack.Decoder(reply_type(request))
    reply: R = decoder.decode(result)
    return reply


class Methods:
    """The requests that a service answers, found by their method's name."""

    def __init__(self, requests: Mapping[type[Request[Any]], Any]) -> None:
        self._by_name = {request.__name__: request for request in requests}
        for request in requests:
            reply_type(request)

    def decode(self, method: str, params: msgspec.Raw | bytes) -> Request[Any]:
        """The typed request. Raises `ValueError`, in words for the caller, where it fits no method."""
        request = self._by_name.get(method)
        if request is None:
            known = ", ".join(sorted(self._by_name))
            raise ValueError(f"expected a method that this server has ({known}), got {method[:100]!r}")
        decoder = _param_decoders.get(request)
        if decoder is None:
            decoder = _param_decoders[request] = msgspec.msgpack.Decoder(request)
        try:
            decoded: Request[Any] = decoder.decode(params)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            fields = ", ".join(request.__struct_fields__)
            raise ValueError(f"{method}({fields}): {error}") from None
        return decoded


def decode_frame(frame: bytes) -> RequestFrame | ResponseFrame:
    """One whole frame, its params or result still encoded. Raises `Malformed`."""
    usual = decode_single(frame)  # one step, where the rest of this function takes many
    if usual is not None:
        return usual
    try:
        parts = _any_envelope.decode(frame)
        kind = _integer.decode(parts[0])
        if kind == REQUEST and len(parts) == 4:
            return _request(frame)
        if kind == RESPONSE and len(parts) == 4:
            return _response(frame)
        if kind == NOTIFICATION and len(parts) == 3:
            return _notification(frame)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, IndexError) as error:
        raise Malformed(f"expected a MessagePack-RPC message, got {frame[:24]!r}: {error}") from None
    raise Malformed(
        f"expected [0, msgid, method, params], [1, msgid, error, result] or [2, method, params], got {frame[:24]!r}"
    )


def _msgid(number: int) -> int:
    if not 0 <= number < 2**32:
        raise Malformed(f"expected a msgid from 0 to 2**32 - 1, got {number}")
    return number


def _text(method: object) -> str:
    if isinstance(method, bytes):
        return method.decode()  # some clients write a method's name as binary
    if not isinstance(method, str):
        raise Malformed(f"expected a method's name, got {method!r:.100}")
    return method


def _request(frame: bytes) -> RequestFrame:
    _, msgid, method, params = _request_envelope.decode(frame)
    return RequestFrame(_msgid(msgid), _text(method), params)


def _response(frame: bytes) -> ResponseFrame:
    _, msgid, error, result = _response_envelope.decode(frame)
    if error is not None and not isinstance(error, str):
        error = repr(error)[:1000]
    return ResponseFrame(_msgid(msgid), error, result)


def _notification(frame: bytes) -> RequestFrame:
    _, method, params = _notification_envelope.decode(frame)
    return RequestFrame(None, _text(method), params)


def decode_single(data: bytes) -> RequestFrame | ResponseFrame | None:
    """The frame, if these bytes are one whole request or response and nothing else. None otherwise."""
    try:
        frame = _usual_frame.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return frame if frame.msgid is not None else None


class FrameReader:
    """Cuts the bytes of one connection into frames. Give it each piece as it arrives."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._unpacker = msgpack.Unpacker(max_buffer_size=2 * max_frame)
        self._kept = bytearray()  # what the unpacker holds and no frame has ended in yet
        self._start = 0  # where, by the unpacker's count, `_kept` begins

    @property
    def is_between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._kept

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that end within `data`, in order. Raises `Malformed`."""
        frames: list[bytes] = []
        # Pieces go in by the limit's size: with what is kept, that is the most which the unpacker may have to hold.
        for at in range(0, len(data), self._max_frame):
            self._feed(data[at : at + self._max_frame], frames)
        return frames

    def _feed(self, data: bytes, frames: list[bytes]) -> None:
        unpacker = self._unpacker
        unpacker.feed(data)
        kept: bytes | bytearray = data
        if self._kept:
            self._kept += data
            kept = self._kept
        start, position = self._start, 0
        try:
            while True:
                unpacker.skip()
                end = unpacker.tell() - start
                if end - position > self._max_frame:
                    break
                frames.append(bytes(kept[position:end]))
                position = end
        except msgpack.OutOfData:
            pass
        except (msgpack.StackError, ValueError) as error:
            raise Malformed(
                f"expected MessagePack, nested {MAX_NESTING} deep at most, got other bytes: {error!r}"
            ) from None
        self._check_length(len(kept) - position)
        if position == len(kept):
            if self._kept:
                self._kept = bytearray()
        elif kept is data:
            self._kept = bytearray(data[position:])
        else:
            del self._kept[:position]
        self._start = start + position

    def _check_length(self, length: int) -> None:
        if length > self._max_frame:
            raise Malformed(f"expected frames of at most {self._max_frame} bytes, got a longer one")
