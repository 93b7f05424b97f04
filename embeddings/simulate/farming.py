"""The farming calendar of each climate, one day's forcing, and the random draws that make units differ."""

from dataclasses import dataclass, fields

import numpy as np

DRY_ENOUGH_MM = 2.5
"""Rain of a day, mm, below which machines drive on the field."""
YEAR_DAYS = 365.25


@dataclass(frozen=True)
class Farming:
    """Dates of field work, in days since the winter solstice, and typical leaf areas.

    Dates follow the crop calendars of the EU (JRC MARS); leaf areas (m2 m-2) are peaks of closed stands.
    """

    wheat_sown: float = 300
    wheat_ripe: float = 207
    spring_sown: float = 82
    spring_share: float = 0.1
    """Share of the cereals that are sown in spring; so are those whose field came free too late in autumn."""
    summer_sown: float = 122
    maize_ripe: float = 288
    beet_ripe: float = 312
    catch_share: float = 0.7
    """Share of the free fields that carry a catch crop over autumn."""
    irrigated: float = 0.0
    """Share of the summer crops that are irrigated."""
    cuts: tuple[int, int] = (2, 5)
    """Fewest and most mowings a year."""
    grass_lai: float = 4.2
    evergreen_broad: bool = False
    """Whether broad-leaved trees keep their leaves all year."""
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
class DayForcing:
    """Weather and calendar of one day, the same for every unit of the landscape."""

    tair: float
    """Air temperature, degC."""
    precip: float
    """Precipitation, mm d-1."""
    sw_in: float
    """Incoming shortwave radiation, W m-2."""
    season_day: float
    """Days since the last winter solstice of this hemisphere, 0-365."""
    daylength_h: float
    season: int
    """Number of winter solstices since the first day of the simulation."""

    @property
    def is_dry(self) -> bool:
        """Whether a farmer can drive onto the field."""
        return self.precip < DRY_ENOUGH_MM


@dataclass(frozen=True)
class UnitDraws:
    """Random numbers that make units of one kind differ, drawn once per landscape; every field is (unit,).

    The order of the fields is the order of the rows drawn: to move one changes every simulated scene of every seed.
    """

    # Standard normal, 16 rows.
    calendar: np.ndarray
    """Shifts cover-crop sowing and the latest harvest dates."""
    sowing: np.ndarray
    ripening: np.ndarray
    """Varies the degree days from sowing to ripeness."""
    catch_ripening: np.ndarray
    crop_lai: np.ndarray
    catch_lai: np.ndarray
    leaf_chlorophyll: np.ndarray
    """Of crops and trees."""
    first_cut: np.ndarray
    grass_lai: np.ndarray
    grass_chlorophyll: np.ndarray
    tree_lai: np.ndarray
    budburst: np.ndarray
    senescence: np.ndarray
    root_depth: np.ndarray
    seedbed_roughness: np.ndarray
    tillage_roughness: np.ndarray
    # Uniform on 0-1, the first 10 of 16 rows; the others are free for later use.
    summer_crop: np.ndarray
    """Below 0.55 maize, else beet."""
    early_tillage: np.ndarray
    tillage_delay: np.ndarray
    sows_catch: np.ndarray
    catch_end: np.ndarray
    few_weeds: np.ndarray
    weed_lai: np.ndarray
    irrigation: np.ndarray
    grazing: np.ndarray
    stubble_lai: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, units: int) -> "UnitDraws":
        """Draw the numbers of all units.

        Parameters
        ----------
        rng
            Random stream of the growth model.
        units
            Number of land units.
        """
        # 16 rows of each kind whatever the number of fields, so that a new field leaves the old numbers alone.
        normal, uniform = rng.standard_normal((16, units)), rng.random((16, units))
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, [*normal, *uniform[: len(names) - 16]], strict=True)))


def in_window(season_day: float, start: np.ndarray | float, length_days: float) -> np.ndarray:
    """Whether a day of the season lies in the window that opens on ``start``, across the turn of the year too.

    Parameters
    ----------
    season_day
        Days since the winter solstice.
    start
        First day of the window, days since the winter solstice, (unit,) or one number.
    length_days
        Length of the window.

    Returns
    -------
    bool of the shape of ``start``.
    """
    # Modulo a year: a window that opens in December closes in January.
    return (season_day - start) % YEAR_DAYS < length_days
