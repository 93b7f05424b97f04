"""What the map draws: the values of one layer on one day in one viewport, and how they are coloured."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

WHOLE_PX = 512
"""A scene with at most that many pixels a side is sent whole: the browser pans and zooms without the server."""
QUICK_PX, SHARP_PX = 256, 800
"""Longest side of the image of a larger scene: at once after a move, and when the view rests."""
ALIGN_PX = 4
"""Viewports start at multiples of that many pixels, where pixels of sensors of 20 and 40 m have their edges too."""


@dataclass(frozen=True)
class LayerStyle:
    """How a layer is coloured: one stretch for the whole period, so that colours do not flicker between days."""

    label: str
    unit: str
    channels: tuple[str, ...]
    """Names of the value channels: one for a palette, three for red, green and blue."""
    low: tuple[float, ...]
    """Value of the lowest colour, one for each channel."""
    high: tuple[float, ...]
    """Value of the highest colour, one for each channel."""
    gamma: float = 1.0
    """Exponent of the stretched value; below 1 brightens dark pixels, as photographs do."""
    palette: str | None = None
    """A colorcet palette that is safe with colour-vision deficiency, or None when the channels are the colours."""
    classes: tuple[str, ...] = ()
    """Colours #rrggbb of class 0, 1, ...; then the one channel holds class numbers."""
    names: tuple[str, ...] = ()
    """Names of the classes, where the user gave them; else classes are numbered."""
    value_name: str = ""
    """What the one value is called for people, where the channel's name is that of a variable."""

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of the channels for people."""
        return (self.value_name,) if self.value_name else self.channels

    def class_label(self, index: int) -> str:
        """Label of class ``index`` (0, 1, ...) in the legend: counted from 1, with its name where it has one."""
        return f"{index + 1} {self.names[index]}" if self.names else str(index + 1)


@dataclass(frozen=True)
class Viewport:
    """A part of the scene at one resolution; edges in pixels of that resolution, the last ones exclusive."""

    level: int
    """Scene pixels a side in one pixel of the viewport: 1, 2, 4, ..."""
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def covering(
        cls,
        shape: tuple[int, int],
        rows: tuple[float, float],
        cols: tuple[float, float],
        max_px: int,
        margin: float = 0.125,
    ) -> "Viewport":
        """The finest viewport of a part of a scene with at most ``max_px`` pixels a side.

        Parameters
        ----------
        shape : tuple of int
            (ny, nx) of the scene.
        rows, cols : tuple of float
            First and last row and column of the part, in scene pixels.
        max_px : int
            Longest side of the viewport before the margin is aligned, in pixels of its level.
        margin : float
            Share of the part that is added at each edge, as far as the scene goes, so that small moves need no read.
        """
        # A margin around the view, so that a small pan needs no new image.
        spans = []
        for (low, high), size in zip((rows, cols), shape, strict=True):
            extra = (high - low) * margin
            # At least one pixel, also of a view that lies beside the scene: an empty image cannot be drawn.
            low, high = max(0.0, min(low - extra, size - 1)), min(float(size), max(high + extra, 1))
            spans.append((low, max(high, low + 1), size))
        level = 1
        # Levels are powers of two, as the overviews of the store are.
        while max(high - low for low, high, _ in spans) > max_px * level:
            level *= 2
        edges = []
        for low, high, size in spans:
            # Aligned, so that neighbouring views read the same chunks and hit the same cache entries.
            first = int(low / level) // ALIGN_PX * ALIGN_PX
            edges += [first, min(int(np.ceil(high / level)), -(-size // level))]
        return cls(level, *edges)

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def cols(self) -> slice:
        return slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) in pixels of this level."""
        return self.bottom - self.top, self.right - self.left

    def covers(self, other: "Viewport", level: int | None = None) -> bool:
        """Whether this viewport contains all of ``other`` at its resolution (or that of ``level``) or a finer one."""
        inside = (
            self.top * self.level <= other.top * other.level,
            self.left * self.level <= other.left * other.level,
            self.bottom * self.level >= other.bottom * other.level,
            self.right * self.level >= other.right * other.level,
        )
        # A finer image covers a coarser view; the other way round it would be blurred.
        return self.level <= (level or other.level) and all(inside)


@dataclass(frozen=True)
class LayerImage:
    """One layer on one day."""

    values: np.ndarray
    """(y, x, channel) float32 in the unit of the style; NaN where the value is unknown."""
    style: LayerStyle
    caption: str
    """The date shown and where it comes from."""
    masked: np.ndarray | None = None
    """(y, x) bool, True where the value is drawn pale: under cloud or shadow, or below a threshold."""
    shares: tuple[float, ...] = ()
    """Share of all pixels in each class, 0-1."""
    score: str = ""
    """Cross-validated accuracy as a sentence, where the layer is fitted to labels."""
    when: str = ""
    """Day or period of the values, where the caption says more than that."""

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.masked is None else self.masked.nbytes)

    @property
    def date(self) -> str:
        """Day or period of the values, for the hover."""
        return self.when or self.caption


def format_date(day) -> str:
    """The date of ``day`` as on screen: 14 Jun 2020."""
    day = pd.Timestamp(day)
    return f"{day.day} {day:%b %Y}"


def format_offset(acquired, day) -> str:
    """The date of an image with its distance from ``day``: 14 Jun 2020, 2 d earlier.

    Parameters
    ----------
    acquired : datetime-like
        When the image was taken, UTC.
    day : date-like
        The day on screen.
    """
    days = (pd.Timestamp(acquired).normalize() - pd.Timestamp(day)).days
    offset = "that day" if not days else f"{abs(days)} d {'later' if days > 0 else 'earlier'}"
    return f"{format_date(acquired)}, {offset}"
