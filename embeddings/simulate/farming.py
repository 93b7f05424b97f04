"""The farmers' calendar of each climate, and the day as every unit meets it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Farming:
    """When things are done, in days since the winter solstice;
    usual dates of the EU crop calendars (JRC MARS)."""

    wheat_sown: float = 300
    wheat_ripe: float = 207
    spring_sown: float = 82
    spring_share: float = 0.1
    """Of the cereals, sown in spring; so are those whose field came free too late in autumn."""
    summer_sown: float = 122
    maize_ripe: float = 288
    beet_ripe: float = 312
    catch_share: float = 0.7
    irrigated: float = 0.0
    """Share of the summer crops that are watered."""
    cuts: tuple[int, int] = (2, 5)
    """Fewest and most mowings a year."""
    grass_lai: float = 4.2
    evergreen_broad: bool = False
    broad_lai: float = 4.8
    needle_lai: float = 5.0


FARMING = {
    "temperate": Farming(),
    "boreal": Farming(252, 235, 138, 0.75, 145, 275, 285, 0.2, 0.0, (1, 3), 3.6, False, 3.8, 3.6),
    "mediterranean": Farming(325, 172, 50, 0.05, 130, 270, 285, 0.1, 0.8, (0, 2), 2.6, True, 2.2, 2.0),
    "semi-arid": Farming(318, 110, 10, 0.0, 192, 290, 295, 0.0, 0.1, (0, 1), 2.0, True, 1.0, 1.2),
    "southern": Farming(310, 215, 85, 0.2, 125, 280, 300, 0.4, 0.3, (3, 6), 4.2, True, 4.4, 4.8),
}


@dataclass(frozen=True)
class Today:
    """The day's weather and place in the year, as every unit meets it."""

    tair: float
    """degC"""
    rain: float
    """mm d-1"""
    sun: float
    """W m-2"""
    phase: float
    """Days since the winter solstice of this hemisphere."""
    length_h: float
    season: int
    """Winter solstices since the first day."""

    @property
    def dry(self) -> bool:
        """Whether a farmer drives onto the field."""
        return self.rain < 2.5


@dataclass(frozen=True)
class Luck:
    """What makes units of one kind differ, drawn once; rows (16, unit)."""

    normal: np.ndarray
    uniform: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, units: int) -> "Luck":
        return cls(rng.standard_normal((16, units)), rng.random((16, units)))


def in_window(phase: float, start: np.ndarray, length: float) -> np.ndarray:
    """Whether the season's day lies in the ``length`` days after ``start``."""
    return (phase - start) % 365.25 < length
