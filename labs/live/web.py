"""The panel of a live cluster: a page in the browser, which shows the session and drives it by the same commands.

It is served on loopback only, at an address with a secret token. Whoever does not have the token gets nothing; a page
of another origin cannot use it either, since every request's Host is looked at (a foreign name that leads here is
refused) and a WebSocket's Origin has to be the panel's own. What servers and clients say reaches the page as JSON, and
the page writes it as text.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from importlib import resources
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from labs import page
from labs.live import scripts
from labs.live.language import carry_out, choices_of, complete
from labs.live.session import Entry, Session, Trouble
from labs.live.table import ALL, for_suite
from labs.live.teaching import experiments_of
from labs.traces.events import Event
from labs.traces.recorder import Recorder

SHOW_EVERY: Final = 0.25
"""Seconds between two pictures."""
KEPT_EVENTS: Final = 30_000
"""Events of the trace that a page gets when it is opened, the newest ones."""
KEPT_LINES: Final = 500
"""Lines of the transcript, likewise."""
MOST_BYTES: Final = 64 * 1024
"""Of a message from the page."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TYPES: Final = {"js": "text/javascript", "css": "text/css", "html": "text/html"}


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """What the page wants."""

    id: int
    """Comes back with the answer."""
    line: str | None = None
    """A command to be carried out."""
    complete: list[str] | None = None
    """Words whose next one may be completed."""
    save: str | None = None
    """The session as text: a script ("lab") or a test ("py")."""


class Panel:
    """Serves the page, and tells it what happens."""

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self.token = secrets.token_urlsafe(24)
        self._session = session
        self._header = recorder.header
        self._pages: set[web.WebSocketResponse] = set()
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._fresh: list[Event] = []
        """Events that no page has been told of yet."""
        self._transcript: deque[dict[str, Any]] = deque(maxlen=KEPT_LINES)
        self._files = _files()
        self._hosts: set[str] = set()
        self._runner: web.AppRunner | None = None
        self._showing: asyncio.Task[None] | None = None
        self._encode = msgspec.json.Encoder().encode
        recorder.subscribe(self._happened)
        session.hearers.append(lambda text: self._note({"notice": text}))
        session.followers.append(self._done)

    # --- its life ----------------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Serves from now on, and gives the address."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/ws", self._connect),
                web.get("/{folder:static|diagram}/{name}", self._static),
            ]
        )
        app.on_response_prepare.append(_add_headers)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._showing = asyncio.create_task(self._show())
        return f"http://127.0.0.1:{port}/?token={self.token}"

    async def close(self) -> None:
        """Ends it."""
        if self._showing is not None:
            self._showing.cancel()
        for each in list(self._pages):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(each.close(), 0.5)
        if self._runner is not None:
            await self._runner.cleanup()

    # --- who may have what -------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Refuses whoever calls the panel by a name that is not its own, or comes from another page."""
        if request.host not in self._hosts:
            raise web.HTTPForbidden(text=f"expected one of the hosts {', '.join(sorted(self._hosts))}\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") != request.host:
            raise web.HTTPForbidden(text="expected a request from the panel's own page, not from another origin\n")
        response: web.StreamResponse = await handler(request)
        return response

    def _check_token(self, request: web.Request) -> None:
        given = request.query.get("token", "")
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            raise web.HTTPForbidden(text="expected the address with the token that `lab up --web` has printed\n")

    # --- what it gives -----------------------------------------------------------------------------------------------

    async def _index(self, request: web.Request) -> web.Response:
        self._check_token(request)
        return web.Response(text=self._files["static/panel.html"], content_type=TYPES["html"])

    async def _static(self, request: web.Request) -> web.Response:
        name = f"{request.match_info['folder']}/{request.match_info['name']}"
        if name not in self._files:
            raise web.HTTPNotFound
        return web.Response(text=self._files[name], content_type=TYPES[name.rpartition(".")[2]])

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        self._check_token(request)
        if "Origin" not in request.headers:
            raise web.HTTPForbidden(text="expected a WebSocket of the panel's own page\n")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=MOST_BYTES, compress=False)
        await socket.prepare(request)
        await self._send(socket, self._hello())
        self._pages.add(socket)
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                task = asyncio.create_task(self._answer(socket, message.data))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            self._pages.discard(socket)
            for task in tasks:
                task.cancel()
        return socket

    def _hello(self) -> dict[str, Any]:
        """What a page has to know when it is opened."""
        suite = self._session.shape.suite
        fields = ("usage", "does", "example", "learn", "topic", "recorded")
        own_first = sorted(for_suite(suite.name), key=lambda each: each.suites == ALL)
        known = [{field: getattr(each, field) for field in fields} for each in own_first]
        return {
            "hello": {
                "suite": suite.name,
                "title": suite.title,
                "commands": known,
                "experiments": [msgspec.to_builtins(each) for each in experiments_of(suite.name)],
                "transcript": list(self._transcript),
                "header": self._header,
                "events": [*self._events],
                "groups": {str(gid): names for gid, names in self._session.shape.groups.items()},
            },
            **self._shown(),
        }

    def _shown(self) -> dict[str, Any]:
        return {"picture": self._session.picture(), "choices": choices_of(self._session)}

    async def _answer(self, socket: web.WebSocketResponse, text: str) -> None:
        try:
            ask = msgspec.json.decode(text, type=Ask)
        except msgspec.DecodeError as error:
            await self._send(socket, {"refused": str(error)})
            return
        answer: dict[str, Any] = {"answer": ask.id}
        if ask.line is not None:
            answer |= await self._carry_out(ask.line)
        if ask.complete is not None:
            answer["completions"] = complete(self._session, ask.complete)
        if ask.save is not None:
            answer["text"] = (scripts.as_test if ask.save == "py" else scripts.as_script)(self._session)
        await self._send(socket, answer)

    async def _carry_out(self, line: str) -> dict[str, Any]:
        before = len(self._session.entries)
        try:
            said, failed = await carry_out(self._session, line), False
        except Trouble as error:
            said, failed = str(error), True
        recorded = any(entry.line == line for entry in self._session.entries[before:])
        return {"said": said, "failed": failed, "recorded": recorded}

    # --- what happens ------------------------------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        self._events.append(event)
        self._fresh.append(event)

    def _done(self, entry: Entry) -> None:
        self._note({"at": entry.began, "line": entry.line, "said": entry.said, "failed": entry.failed})

    def _note(self, line: dict[str, Any]) -> None:
        """A line of the transcript, which every page shows."""
        self._transcript.append(line)
        self._tell({"transcript": line})

    async def _show(self) -> None:
        before = b""
        while True:
            await asyncio.sleep(SHOW_EVERY)
            if not self._pages:
                self._fresh.clear()
                before = b""
                continue
            shown = self._shown()
            fresh, self._fresh = self._fresh, []
            now = shown["picture"].now
            shown["picture"].now = 0.0
            encoded = self._encode(shown)
            shown["picture"].now = now
            self._tell({"now": now, "events": fresh, **(shown if encoded != before else {})})
            before = encoded

    def _tell(self, what: dict[str, Any]) -> None:
        text = self._encode(what).decode()
        for socket in list(self._pages):
            asyncio.get_running_loop().create_task(_send_text(socket, text))

    async def _send(self, socket: web.WebSocketResponse, what: dict[str, Any]) -> None:
        await _send_text(socket, self._encode(what).decode())


async def _send_text(socket: web.WebSocketResponse, text: str) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):  # the page has been closed
        await socket.send_str(text)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _files() -> dict[str, str]:
    """Everything that a page consists of, by its path."""
    found = {"static/page.css": page.STYLE}
    for folder, package in (("static", "labs.live"), ("diagram", "labs.report")):
        for file in resources.files(package).joinpath("static").iterdir():
            if file.name.rpartition(".")[2] in TYPES:
                found[f"{folder}/{file.name}"] = file.read_text(encoding="utf-8")
    return found
