"""What the map is given to draw: values of one layer on one day, and how they are coloured."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

CLASSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555")
"""Of Okabe and Ito (2008), told apart by the colour-blind."""


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


def fmt(day) -> str:
    """14 Jun 2020."""
    day = pd.Timestamp(day)
    return f"{day.day} {day:%b %Y}"
