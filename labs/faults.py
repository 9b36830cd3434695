"""What can happen to a message: decided here, by the seed, for both worlds. A tap or the simulation carries it out."""

from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final, NamedTuple

REORDER_WINDOW: Final = 0.05
"""Seconds by which a reordered message is held back at most, so that later ones overtake it."""


class Fate(NamedTuple):
    """What happens to one request and its reply."""

    copies: tuple[float, ...]
    """One delay in seconds for each copy that reaches the server. Empty: the request is lost."""
    reply_lost: bool
    reply_delay: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The odds on one link. Each is drawn anew for every request.

    A caller learns at once that a request or a reply was lost (as from a connection that closes), but not which of
    the two it was; with `silent` it learns nothing and waits until it loses patience.
    """

    request_lost: float = 0.0
    reply_lost: float = 0.0
    """Odds among the requests that arrived."""
    duplicate: float = 0.0
    """Odds that the server gets the request twice. The caller gets the first reply."""
    reorder: float = 0.0
    """Odds that a request, or a reply, is held back for up to `REORDER_WINDOW` seconds."""
    delay: float = 0.0
    """Seconds added to every request."""
    silent: bool = False

    def draw(self, random: Random) -> Fate:
        """The fate of the next request on this link."""
        if random.random() < self.request_lost:
            return LOSE
        copies = 2 if random.random() < self.duplicate else 1
        return Fate(
            tuple(self.delay + self._held_back(random) for _ in range(copies)),
            random.random() < self.reply_lost,
            self._held_back(random),
        )

    @property
    def simplest(self) -> Fate:
        """The fate of a request to which nothing happens that need not happen."""
        if self.request_lost >= 1.0:
            return LOSE
        return Fate((self.delay,) * (2 if self.duplicate >= 1.0 else 1), self.reply_lost >= 1.0, 0.0)

    def in_words(self) -> str:
        """What is not as on a link without faults."""
        said = [f"{name.replace('_', ' ')} {value:g}" for name, value in asdict(self).items() if value]
        return ", ".join(word.removesuffix(" 1") for word in said) or "no faults"

    def _held_back(self, random: Random) -> float:
        return random.random() * REORDER_WINDOW if random.random() < self.reorder else 0.0


def as_json(fate: Fate) -> list[Any]:
    """A fate as the JSON value that it is in a file."""
    return [list(fate.copies), fate.reply_lost, fate.reply_delay]


LOSE: Final = Fate((), False, 0.0)
"""The request is lost."""
NONE: Final = Faults()
UNRELIABLE: Final = Faults(request_lost=0.1, reply_lost=0.2)
"""The course's unreliable server: 10 % of the requests are lost, then 20 % of the replies to the rest."""
EVIL: Final = Faults(request_lost=0.1, reply_lost=0.2, duplicate=0.1, reorder=0.2)
"""What the course never did: requests that arrive twice or late, too."""
