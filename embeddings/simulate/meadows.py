"""Grassland: grows logistically, is mown, grazed, or kept short in town, and gathers dead thatch."""

import numpy as np
from fluxlens.embeddings.simulate.farming import DayForcing, Farming, UnitDraws, in_window
from fluxlens.embeddings.simulate.landscape import GRASS, TOWN


class Meadows:
    """State of the grass, computed for all units as if all were grass; only those that are get mown or grazed.

    Parameters
    ----------
    rng
        Random stream of the growth model; it decides the days of mowing.
    cover
        (unit,) land cover, index into ``landscape.COVERS``.
    draws
        Random numbers of the units.
    farming
        Calendar of the climate.
    """

    def __init__(self, rng: np.random.Generator, cover: np.ndarray, draws: UnitDraws, farming: Farming):
        units = len(cover)
        self.rng, self.is_grass, town = rng, np.isin(cover, (GRASS, TOWN)), cover == TOWN
        cuts = rng.integers(farming.cuts[0], farming.cuts[1] + 1, units)
        # A quarter of the grass is grazed, and all that is never cut.
        grazed = (draws.grazing < 0.25) | (cuts == 0)
        self.grazed, self.mown = grazed & ~town, self.is_grass & ~grazed & ~town
        # The cuts share a mowing season of 190 days; 999 is never.
        self.cut_interval_days = np.where(cuts > 0, 190 / np.maximum(cuts, 1), 999)
        self.first_cut = 130 + draws.first_cut * 10
        """First mowing, days since the solstice: about the first week of May."""
        self.peak_lai = farming.grass_lai * np.exp(0.12 * draws.grass_lai) * np.where(town, 0.55, 1)
        self.cab = 40 * np.exp(0.12 * draws.grass_chlorophyll)
        self.stubble_lai = 0.45 + 0.25 * draws.stubble_lai
        self.lai, self.days_since_cut = np.full(units, 1.2), np.full(units, 99.0)
        self.thatch = np.full(units, 0.15)
        """Dead share of the sward, 0-1."""

    def grow(self, today: DayForcing, stress: np.ndarray) -> tuple[np.ndarray, ...]:
        """Advance one day of growth, grazing and mowing.

        Parameters
        ----------
        today
            The day's weather and calendar.
        stress
            (unit,) water stress factor, 0 (no growth) to 1 (unhindered).

        Returns
        -------
        Leaf area (m2 m-2), green share (0-1) and chlorophyll (ug cm-2), each (unit,).
        """
        frost, drought = today.tair < 0, 1 - stress
        growth = np.clip((today.tair - 2) / 9, 0, 1) * np.clip(today.sw_in / 120, 0.1, 1) * stress
        # Logistic growth, at most 15 % a day; then ageing, faster in drought and frost.
        lai = self.lai + 0.15 * growth * self.lai * (1 - self.lai / self.peak_lai)
        lai = lai - lai * (0.004 + 0.012 * drought + 0.006 * frost)
        lai = np.where(self.grazed & (lai > 1.9), lai - 0.05 * (lai - 1.6), lai)
        # A meadow that is due is mown on about every seventh dry day: farmers of one village do not all mow at once.
        mow = self.mown & (lai > 1.7) & (self.days_since_cut > self.cut_interval_days * 0.8) & today.is_dry
        mow &= in_window(today.season_day, self.first_cut, 175) & (self.rng.random(lai.size) < 0.14)
        self.lai = np.maximum(np.where(mow, self.stubble_lai, lai), 0.2)
        self.days_since_cut = np.where(mow, 0, self.days_since_cut + 1)
        thatch = (
            self.thatch + 0.010 * drought + 0.0015 * (today.tair < 2) - 0.05 * growth * self.thatch - 0.0008
        )
        self.thatch = np.clip(np.where(mow, 0.5, thatch), 0.04, 0.65)
        dead_lai = self.thatch * self.lai / (1 - self.thatch) * 0.8
        return self.lai + dead_lai, self.lai / (self.lai + dead_lai), self.cab * (0.7 + 0.3 * stress)
