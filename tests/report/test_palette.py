"""The colours of the diagram and of the panel, as they look to people of every kind of sight, in light and in dark."""

import re
from itertools import combinations
from pathlib import Path
from typing import Final

import pytest

from labs import page

Colour = tuple[float, float, float]

SHEETS: Final = ("report/static/diagram.css", "live/static/panel.css")
STYLE: Final = page.STYLE + "".join((Path(page.__file__).parent / sheet).read_text() for sheet in SHEETS)
PAIRS: Final = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLE)
}
TEXTS: Final = (
    *("ink", "soft", "request", "bad", "mark", "past", "future", "cut", "dead", "primary"),
    *("runs", "paused", "second", "tapped"),
)
"""Colours in which something is written."""
LINES: Final = ("reply", "read-edge", "write-edge", "backup", "line")
MEANINGS: Final = (
    *(("request", "bad", "mark"), ("past", "future"), ("read-edge", "write-edge"), ("primary", "mark")),
    *(("runs", "bad"), ("line", "request"), ("tapped", "request")),
)
"""Colours that stand beside each other and mean different things."""

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009:
# what is left of linear red, green and blue where one kind of cone is missing.
SIGHTS: Final[dict[str, tuple[Colour, Colour, Colour]]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
FAR: Final = 0.09
"""The distance in OKLab at which two colours can be told apart in thin lines."""


def linear(colour: str) -> Colour:
    """`#rrggbb` as amounts of light."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def seen(colour: Colour, sight: str) -> Colour:
    """A colour as this kind of sight has it."""
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, colour, strict=True)))) for row in SIGHTS[sight]
    )
    return red, green, blue


def oklab(colour: Colour) -> Colour:
    """A colour where distances are as people see them (Ottosson, 2020)."""
    red, green, blue = colour
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def contrast(one: str, other: str) -> float:
    """The contrast of WCAG 2.2: from 1, none, to 21, black on white."""
    light = [sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear(each), strict=True)) for each in (one, other)]
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_what_is_written_can_be_read(mode: int) -> None:
    paper, stripe = PAIRS["paper"][mode], PAIRS["stripe"][mode]
    for name in TEXTS:
        assert min(contrast(PAIRS[name][mode], ground) for ground in (paper, stripe)) >= 4.5, name
    for name in LINES:
        assert contrast(PAIRS[name][mode], paper) >= 3, name
    for ground in ("read", "write"):
        assert contrast(PAIRS["ink"][mode], PAIRS[ground][mode]) >= 4.5, ground


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_what_means_something_else_looks_different(mode: int, sight: str) -> None:
    for group in MEANINGS:
        for one, other in combinations(group, 2):
            places = [oklab(seen(linear(PAIRS[name][mode]), sight)) for name in (one, other)]
            distance = sum((a - b) ** 2 for a, b in zip(*places, strict=True)) ** 0.5
            assert distance >= FAR, (one, other, round(distance, 3))
