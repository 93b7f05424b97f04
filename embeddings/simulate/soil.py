"""Soil water: a root-zone bucket under a thin top layer, a wet skin, and snow."""

import numpy as np
from fluxlens.embeddings.simulate.farming import DayForcing

FIELD_CAPACITY, RESIDUAL, SATURATED = 0.36, 0.05, 0.46
"""Volumetric water of a loam, m3 m-3 (FAO-56, table 19; Saxton & Rawls 2006)."""
TOP_MM = 100.0
"""Depth of the top layer that dries and that the satellites see."""
IRRIGATION_MM = 6.0
HARGREAVES_COEFFICIENT, HARGREAVES_OFFSET_K = 0.0135, 17.8
"""Reference evapotranspiration ``0.0135 (T + 17.8) Rs`` (Hargreaves & Samani 1985, radiation form)."""
MJ_PER_W_DAY = 0.0864
LATENT_HEAT_MJ_KG = 2.45
"""Of vaporisation (FAO-56, annex 3)."""
SNOWFALL_BELOW_DEGC = 0.3
DEGREE_DAY_FACTOR_MM = 3.0
"""Snow melt, mm per day and degree (Hock 2003, doi:10.1016/S0022-1694(03)00257-9)."""
READILY_AVAILABLE = 0.4
"""Filling of the root zone below which water limits growth: 1 - p of FAO-56 (table 22) with p = 0.6."""
IRRIGATED_STRESS = 0.85
"""Least water stress factor of an irrigated unit."""


class SoilColumn:
    """One column of soil per unit, with snow and frost common to all.

    Evapotranspiration follows FAO-56 (Allen et al. 1998) with demand in Hargreaves' radiation form.

    Parameters
    ----------
    root_mm
        (unit,) water that roots can hold and reach, mm.
    irrigated
        (unit,) bool.
    """

    def __init__(self, root_mm: np.ndarray, irrigated: np.ndarray):
        self.root_mm, self.irrigated = root_mm, irrigated
        self.store_mm, self.top = root_mm * 0.8, np.full(root_mm.size, 0.3)
        """Root-zone water (mm), and volumetric water of the top layer (m3 m-3), both (unit,)."""
        self.snow_mm, self.frost_index_degc, self.skin = 0.0, 0.0, 0.5
        """Snow water, exponential mean of air temperature, and wetness of the very surface (0-1)."""

    @property
    def filling(self) -> np.ndarray:
        """Root-zone water over its capacity (time,), 0-1."""
        return np.clip(self.store_mm / self.root_mm, 0, 1)

    @property
    def stress(self) -> np.ndarray:
        """Water stress factor of photosynthesis (time,) (FAO-56, eq. 84), unitless, 0 (no water) to 1 (no stress)."""
        factor = np.clip(self.filling / READILY_AVAILABLE, 0, 1)
        return np.where(self.irrigated, np.maximum(factor, IRRIGATED_STRESS), factor)

    def pass_day(self, today: DayForcing, lai: np.ndarray, green: np.ndarray) -> None:
        """Advance one day: rain, snow and melt in; evaporation, transpiration and seepage out.

        Parameters
        ----------
        today
            The day's weather.
        lai
            (unit,) leaf area, m2 m-2.
        green
            (unit,) its green share, 0-1.
        """
        tair, filling, stress = today.tair, self.filling, self.stress
        snowfall = today.precip if tair < SNOWFALL_BELOW_DEGC else 0.0
        melt = min(self.snow_mm, DEGREE_DAY_FACTOR_MM * max(tair, 0)) + 0.02 * self.snow_mm * (tair > -4)
        self.snow_mm = max(self.snow_mm + snowfall - melt, 0)
        self.frost_index_degc = 0.85 * self.frost_index_degc + 0.15 * tair
        liquid = today.precip - snowfall + melt
        infiltration = liquid + np.where(self.irrigated & (filling < 0.5) & (lai > 0.4), IRRIGATION_MM, 0)
        demand = max(
            HARGREAVES_COEFFICIENT
            * (tair + HARGREAVES_OFFSET_K)
            * today.sw_in
            * MJ_PER_W_DAY
            / LATENT_HEAT_MJ_KG,
            0,
        )
        # 4 mm of water fill the skin; a demand of 3 mm dries it to 1 / e.
        self.skin = min(self.skin + liquid / 4, 1) * np.exp(-demand / 3.0)
        # Beer's law shares the demand between leaves and soil; a dry top layer evaporates less (FAO-56's Kr).
        shade = 1 - np.exp(-0.6 * lai * green)
        top_filling = np.clip((self.top - RESIDUAL) / (FIELD_CAPACITY - RESIDUAL), 0, 1)
        evaporation = demand * (1 - shade) * np.clip(top_filling * 1.3, 0, 1) ** 1.5
        transpiration = demand * 1.05 * shade * stress
        # 12 % of the transpired water comes out of the top layer; the rest from below it.
        top = self.top + (0.85 * infiltration - evaporation - 0.12 * transpiration) / TOP_MM
        drainage = np.maximum(top - FIELD_CAPACITY, 0) * 0.55
        capillary_rise = 0.010 * (filling * 0.30 + 0.06 - top)
        self.top = np.clip(top - drainage, RESIDUAL, SATURATED) + capillary_rise
        # 8 % above capacity may stand for a while before it drains below the roots.
        self.store_mm = np.clip(
            self.store_mm + infiltration - evaporation - transpiration, 0, self.root_mm * 1.08
        )
