"""Water in the ground: a root-zone bucket under a thin top layer, a wet skin, and snow."""

import numpy as np

from embeddings.simulate.farming import Today

FIELD_CAPACITY, RESIDUAL, SATURATED = 0.36, 0.05, 0.46
"""Volumetric water of a loam, m3 m-3 (FAO-56, table 19; Saxton & Rawls 2006)."""
TOP_MM = 100.0
"""Depth of the top layer that dries and that the satellites see."""
IRRIGATION_MM = 6.0


class Ground:
    """One column of soil per unit, snow and frost for all.

    Evapotranspiration after FAO-56 (Allen et al. 1998), demand in Hargreaves' radiation form (Hargreaves &
    Samani 1985); snow melts 3 mm per day and degree (Hock 2003, doi:10.1016/S0022-1694(03)00257-9).
    """

    def __init__(self, root_mm: np.ndarray, watered: np.ndarray):
        self.root_mm, self.watered = root_mm, watered
        """Water that roots can hold and reach, mm; and whether the unit is irrigated."""
        self.store, self.top = root_mm * 0.8, np.full(root_mm.size, 0.3)
        self.snow_mm, self.cold, self.skin = 0.0, 0.0, 0.5

    @property
    def filled(self) -> np.ndarray:
        """Root-zone water over its capacity, 0-1."""
        return np.clip(self.store / self.root_mm, 0, 1)

    @property
    def stress(self) -> np.ndarray:
        """How far water allows photosynthesis, 0 (none) to 1 (unhindered)."""
        free = np.clip(self.filled / 0.4, 0, 1)
        return np.where(self.watered, np.maximum(free, 0.85), free)

    def pass_day(self, today: Today, lai: np.ndarray, green: np.ndarray) -> None:
        """Rain, snow and melt in; evaporation, transpiration and seepage out."""
        tair, filled, stress = today.tair, self.filled, self.stress
        falling = today.rain if tair < 0.3 else 0.0
        melt = min(self.snow_mm, 3.0 * max(tair, 0)) + 0.02 * self.snow_mm * (tair > -4)
        self.snow_mm = max(self.snow_mm + falling - melt, 0)
        self.cold = 0.85 * self.cold + 0.15 * tair
        liquid = today.rain - falling + melt
        soaked = liquid + np.where(self.watered & (filled < 0.5) & (lai > 0.4), IRRIGATION_MM, 0)
        demand = max(0.0135 * (tair + 17.8) * today.sun * 0.0864 / 2.45, 0)
        self.skin = min(self.skin + liquid / 4, 1) * np.exp(-demand / 3.0)
        shade = 1 - np.exp(-0.6 * lai * green)
        free = np.clip((self.top - RESIDUAL) / (FIELD_CAPACITY - RESIDUAL), 0, 1)
        bare = demand * (1 - shade) * np.clip(free * 1.3, 0, 1) ** 1.5
        drunk = demand * 1.05 * shade * stress
        top = self.top + (0.85 * soaked - bare - 0.12 * drunk) / TOP_MM
        seep = np.maximum(top - FIELD_CAPACITY, 0) * 0.55
        rise = 0.010 * (filled * 0.30 + 0.06 - top)
        self.top = np.clip(top - seep, RESIDUAL, SATURATED) + rise
        self.store = np.clip(self.store + soaked - bare - drunk, 0, self.root_mm * 1.08)
