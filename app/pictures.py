"""What the map is given to draw: values of one layer on one day in one sight, and how they are coloured."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

CLASSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555")
"""Of Okabe and Ito (2008), told apart by the colour-blind."""

WHOLE_PX = 512
"""A scene with at most that many pixels a side is shown whole, and the browser pans and zooms without asking."""
QUICK_PX, SHARP_PX = 256, 800
"""Sides of the view of a larger one: at once, and when it rests."""
STARTS_PX = 4


@dataclass(frozen=True)
class Look:
    """How a layer is coloured: one stretch for the whole period, so that nothing flickers."""

    label: str
    unit: str
    planes: tuple[str, ...]
    """Names of the value planes: one for a palette, three for red, green, blue."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    gamma: float = 1.0
    """Below 1 brightens what is dark, as photographs do."""
    palette: str | None = None
    """A colour-blind-safe colorcet palette, or None when the planes are the colours."""
    classes: tuple[str, ...] = ()
    """Colours of class 0, 1, ...; then the one plane holds class numbers."""
    names: tuple[str, ...] = ()
    """Of the classes, where a visitor gave them; else they are numbered."""

    def legend(self, number: int) -> str:
        """What class 0, 1, ... is called: counted from 1, with its name."""
        return f"{number + 1} {self.names[number]}" if self.names else str(number + 1)


@dataclass(frozen=True)
class Sight:
    """A part of the scene at one resolution; edges in pixels of that resolution, the last ones excluded."""

    level: int
    """How many of the scene's pixels a side are one here: 1, 2, 4 ..."""
    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def cols(self) -> slice:
        return slice(self.left, self.right)

    def covers(self, other: "Sight") -> bool:
        """Whether all that ``other`` shows is here, as finely or more so."""
        inside = (
            self.top * self.level <= other.top * other.level,
            self.left * self.level <= other.left * other.level,
            self.bottom * self.level >= other.bottom * other.level,
            self.right * self.level >= other.right * other.level,
        )
        return self.level <= other.level and all(inside)


def seen(
    shape: tuple[int, int],
    rows: tuple[float, float],
    cols: tuple[float, float],
    most_px: int,
    around: float = 0.125,
) -> Sight:
    """The finest sight of ``rows`` and ``cols`` (scene pixels, from and to) with at most ``most_px`` a side.

    A share ``around`` of what is asked for is added at each edge, as far as the scene (``shape``) goes.
    """
    ends = []
    for (low, high), size in zip((rows, cols), shape, strict=True):
        more = (high - low) * around
        low, high = max(0.0, min(low - more, size - 1)), min(float(size), max(high + more, 1))
        ends.append((low, max(high, low + 1), size))
    level = 1
    while max(high - low for low, high, _ in ends) > most_px * level:
        level *= 2
    edges = []
    for low, high, size in ends:
        first = int(low / level) // STARTS_PX * STARTS_PX  # sensors of 20 and 40 m have their edges there too
        edges += [first, min(int(np.ceil(high / level)), -(-size // level))]
    return Sight(level, *edges)


@dataclass(frozen=True)
class Picture:
    """One layer on one day: ``values`` (y, x, plane), NaN where nothing is known."""

    values: np.ndarray
    look: Look
    note: str
    """The date shown and where it comes from."""
    faded: np.ndarray | None = None
    """(y, x) bool, True where the value was seen but masked (cloud, shadow) or is not what is asked for."""
    shares: tuple[float, ...] = ()
    """Of all pixels, by class."""
    score: str = ""
    """How well what is shown is known, where that was tried."""

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.faded is None else self.faded.nbytes)


def fmt(day) -> str:
    """14 Jun 2020."""
    day = pd.Timestamp(day)
    return f"{day.day} {day:%b %Y}"


def apart(taken, day) -> str:
    """When an image was taken and how far that is from the day asked for: 14 Jun 2020, 2 d earlier."""
    days = (pd.Timestamp(taken).normalize() - pd.Timestamp(day)).days
    when = "that day" if not days else f"{abs(days)} d {'later' if days > 0 else 'earlier'}"
    return f"{fmt(taken)}, {when}"
