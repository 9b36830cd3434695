"""Made-up traces: as many events as wanted, with everything in them that a trace can have."""

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from labs.traces.events import Event, Header, Kind

SERVERS: Final = ("vs", "pb-1", "pb-2", "pb-3", "pb-4")
CLIENTS: Final = ("ck-1", "ck-2", "ck-3")
KEYS: Final = ("a", "b", "counter")
TROUBLE: Final = 100
"""About so many messages and operations lie between two faults."""


def made_up(count: int, seed: int = 1) -> tuple[Header, list[Event]]:
    """A failing run of about so many events: messages, losses, faults, operations, logs, and a proof at its end."""
    story = _Story(seed)
    events = sorted(story.events(count), key=lambda event: event.t)
    for event in events:
        event.t = round(event.t, 6)
    last = round(events[-1].t + 0.01, 6)
    proof = [event.id for event in events if event.kind == "answer"][-2:]
    verdict = {"status": "failed", "where": "at test_made_up.py:12: await check()", "proof": proof}
    events.append(Event(last, "verdict", text='Get("a") by ck-1 gave "old", expected "new"', body=verdict))
    header = Header(
        world="sim", package="lab1_pbservice", test="test_made_up", title="A made-up run", suite="pbservice", seed=seed
    )
    return header, events


class _Story:
    """What happens, drawn from the seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._now = 0.0
        self._calls = 0
        self._operations = 0

    def events(self, count: int) -> Iterator[Event]:
        """At least so many, roughly in order."""
        made = 0
        for name in SERVERS + CLIENTS:
            role = "viewserver" if name == "vs" else "clerk" if name in CLIENTS else "pbserver"
            yield self._event("start", name, text=role)
            yield self._event("serve", name)
        while made < count:
            if self._random.random() < 1 / TROUBLE:
                some = self._fault()
            elif self._random.random() < 0.12:
                some = self._operation()
            else:
                some = self._message(*self._random.sample(SERVERS, 2))
            for event in some:
                made += 1
                yield event

    def _event(self, kind: Kind, src: str, dst: str = "", after: float = 0.0, **more: Any) -> Event:
        return Event(self._now + after, kind, src, dst, **more)

    def _message(self, src: str, dst: str, method: str = "", body: Any = None) -> list[Event]:
        random = self._random
        self._now += random.expovariate(2000)
        self._calls += 1
        method = method or random.choice(("Ping", "Forward", "Transfer") if src != "vs" else ("Tick",))
        if method == "Ping" and body is None:
            body = [src, 3]
        names: dict[str, Any] = {"src": src, "dst": dst, "id": self._calls, "method": method}
        there, back = random.expovariate(1500) + 0.0002, random.expovariate(1500) + 0.0003
        sent = self._event("request", after=0, body=body or {"batch": self._calls}, **names)
        if random.random() < 0.03:
            return [sent, self._event("fail", after=0.0001, text="there is no socket file", **names)]
        if random.random() < 0.05:
            lost = self._event("lose request", after=there / 2, **names)
            return [sent, lost, self._event("fail", after=there, text="network: lost", **names)]
        reply = [3 + self._calls // 5000, "pb-1", "pb-2"] if method == "Ping" else ["Accepted"]
        found = [sent, self._event("arrive", after=there, **names)]
        found.append(self._event("reply", after=there + 0.0001, body=reply, **names))
        if random.random() < 0.05:
            found.append(self._event("lose reply", after=there + back / 2, **names))
            return [*found, self._event("fail", after=there + back, text="network: lost", **names)]
        found.append(self._event("return", after=there + back, **names))
        if random.random() < 0.1:
            found.append(self._event("log", dst, after=there + 0.00005, text=f"batch {self._calls} of {src}"))
        return found

    def _operation(self) -> list[Event]:
        random = self._random
        client, key = random.choice(CLIENTS), random.choice(KEYS)
        self._operations += 1
        method, value = random.choice(("get", "put", "append")), f"v{self._operations}"
        body = {"key": key} if method == "get" else {"key": key, "value": value}
        called = self._event("call", client, id=self._operations, method=method, body=body)
        asked = self._message(client, "pb-1", "Read" if method == "get" else "Write", [key, value])
        after = asked[-1].t - self._now + 0.0001
        answer = self._event(
            "answer", client, after=after, id=self._operations, body=value if method == "get" else None
        )
        return [called, *asked, answer]

    def _fault(self) -> list[Event]:
        random = self._random
        name, lasts = random.choice(SERVERS[1:]), random.uniform(0.05, 0.4)
        kind = random.choice(("kill", "pause", "cut", "deaf", "hold", "tap", "crash"))
        if kind in ("kill", "crash"):
            end = [self._event("start", name, after=lasts, text="pbserver")]
            died = self._event("kill", name) if kind == "kill" else self._event("crash", name, text="exit status 1")
            return [died, *end, self._event("log", name, after=lasts, text="view 4: primary pb-1, backup pb-2")]
        if kind == "pause":
            return [self._event("pause", name), self._event("resume", name, after=lasts)]
        others = [each for each in SERVERS + CLIENTS if each != name]
        if kind == "deaf":
            links = [(each, name) for each in SERVERS + CLIENTS]
        elif kind == "cut":
            links = [pair for each in random.sample(others, 3) for pair in ((each, name), (name, each))]
        elif kind == "hold":
            links = [(random.choice(others), name)]
            held = self._event("hold", *links[0])
            return [held, self._event("release", *links[0], after=lasts)]
        else:
            return [
                self._event("tap", random.choice(others), name, text="request_lost=0.1 reply_lost=0.2"),
                self._event("note", "", text=f"{name} becomes unreliable"),
            ]
        down = [self._event("cut", src, dst) for src, dst in links]
        return down + [self._event("join", src, dst, after=lasts) for src, dst in links]
