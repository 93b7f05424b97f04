"""Forest phenology: budburst by thermal time, senescence by cold and short days; needles stay."""

import numpy as np
from fluxlens.embeddings.simulate.farming import YEAR_DAYS, DayForcing, Farming, UnitDraws
from fluxlens.embeddings.simulate.landscape import NEEDLE
from fluxlens.embeddings.simulate.noise import smoothstep
from fluxlens.embeddings.simulate.weather import Climate

WOOD_LAI = 0.75
"""Area of stems and branches, which a leafless forest still shows, m2 m-2."""
BUDBURST_BASE_DEGC = 5.0
CHILL_BASE_DEGC = 13.0
CHILL_DAYLENGTH_H = 13.2
"""Only days shorter than this add to the chilling that ends the season."""


class Trees:
    """State of the forest, computed for all units as if all were forest.

    Budburst follows degree days; leaf fall follows photoperiod and cold after Delpierre et al. 2009
    (doi:10.1016/j.agrformet.2008.11.014).

    Parameters
    ----------
    cover
        (unit,) land cover, index into ``landscape.COVERS``.
    draws
        Random numbers of the units.
    climate, farming
        Presets of the place.
    """

    def __init__(self, cover: np.ndarray, draws: UnitDraws, climate: Climate, farming: Farming):
        self.farming, self.draws = farming, draws
        typical_lai = np.where(cover == NEEDLE, farming.needle_lai, farming.broad_lai)
        self.peak_lai = typical_lai * np.exp(0.15 * draws.tree_lai)
        # Provenances of colder places need less warmth; 10.8 degC is the temperate preset's mean.
        warm = np.clip(climate.tair_mean_degc / 10.8, 0.6, 1.3)
        self.budburst_degree_days = (115 + 30 * draws.budburst) * warm
        """Degree days above 5 degC since the solstice that open the buds, (unit,)."""
        self.senescence_shift = 8 * draws.senescence
        self.cab = 46 * np.exp(0.1 * draws.leaf_chlorophyll)
        self.warmth, self.chill = 0.0, 0.0
        """Degree days of forcing in spring, and of chilling in autumn."""

    def accumulate_chill(self, today: DayForcing) -> None:
        """Add the day's degree days to spring warmth or autumn chill; both restart at the winter solstice."""
        if today.season_day < 2:
            self.warmth, self.chill = 0.0, 0.0
        if today.season_day < 230:
            self.warmth += max(today.tair - BUDBURST_BASE_DEGC, 0)
        if today.season_day > 215:
            self.chill += max(CHILL_BASE_DEGC - today.tair, 0) * (today.daylength_h < CHILL_DAYLENGTH_H)

    def broadleaf_state(self, today: DayForcing, vigour: np.ndarray) -> tuple[np.ndarray, ...]:
        """State of broad-leaved forest.

        Parameters
        ----------
        today
            The day's weather and calendar.
        vigour
            (unit,) how well the water supply of the past weeks allowed growth, 0-1.

        Returns
        -------
        Leaf area (m2 m-2), green share (0-1) and chlorophyll (ug cm-2), each (unit,).
        """
        if self.farming.evergreen_broad:
            # Open savanna thins with drought; closed evergreen stands hardly do.
            is_sparse = self.farming.broad_lai < 1.5
            share_of_peak = np.clip(vigour * 1.25, 0.3, 1) if is_sparse else 0.85 + 0.15 * vigour
            return self.peak_lai * share_of_peak, np.full(vigour.size, 0.94), self.cab
        since_budburst = self.warmth - self.budburst_degree_days
        unfolded = smoothstep(since_budburst / 160, 0, 1) * (today.season_day < 352) * (0.8 + 0.2 * vigour)
        cold, calendar = self.chill + self.senescence_shift, today.season_day + 0.3 * self.senescence_shift
        # Chill ends the season in most years; the calendar (photoperiod) ends it in warm autumns too.
        fading = np.maximum(smoothstep(cold / 170, 0.1, 1), smoothstep(calendar, 292, 330))
        fallen = np.maximum(smoothstep(cold / 230, 0.45, 1), smoothstep(calendar, 308, 345))
        leaf_lai = self.peak_lai * unfolded * (1 - fallen)
        # Wood counts as brown area; 0.22 is what mosses and understorey add to the green.
        green = np.clip((leaf_lai * (1 - 0.7 * fading) + 0.22) / (WOOD_LAI + leaf_lai), 0, 1)
        greening = 0.65 + 0.35 * smoothstep(since_budburst / 450, 0, 1)
        return WOOD_LAI + leaf_lai, green, self.cab * greening * (1 - 0.65 * fading)

    def needleleaf_state(self, today: DayForcing) -> tuple[np.ndarray, ...]:
        """Leaf area, green share and chlorophyll (unit,) of needle-leaved forest, a little fuller in summer.

        Parameters
        ----------
        today
            The day's calendar.
        """
        year = 2 * np.pi / YEAR_DAYS
        cab = (42 + 4 * self.draws.leaf_chlorophyll) * (0.88 + 0.12 * np.cos(year * (today.season_day - 210)))
        lai = self.peak_lai * (0.93 + 0.07 * np.cos(year * (today.season_day - 220)))
        return lai, np.full(lai.size, 0.86), cab
