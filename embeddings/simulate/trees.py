"""Forest: buds open on warmth, leaves fade and fall with short cold days; needles stay."""

import numpy as np

from embeddings.simulate.farming import Farming, Luck, Today
from embeddings.simulate.landscape import NEEDLE
from embeddings.simulate.noise import smoothstep
from embeddings.simulate.weather import Climate

WOOD_LAI = 0.75
"""Area of stems and branches, which a leafless forest still shows, m2 m-2."""


class Trees:
    """All units as if they were forest.

    Leaf fall follows photoperiod and cold after Delpierre et al. 2009 (doi:10.1016/j.agrformet.2008.11.014).
    """

    def __init__(self, cover: np.ndarray, luck: Luck, climate: Climate, farming: Farming):
        self.farming, self.luck = farming, luck
        usual = np.where(cover == NEEDLE, farming.needle_lai, farming.broad_lai)
        self.lai = usual * np.exp(0.15 * luck.normal[10])
        warm = np.clip(climate.tair_mean_degc / 10.8, 0.6, 1.3)
        self.bud_warmth = (115 + 30 * luck.normal[11]) * warm
        """Degree days above 5 degC since the solstice that open the buds."""
        self.hurry = 8 * luck.normal[12]
        self.cab = 46 * np.exp(0.1 * luck.normal[6])
        self.warmth, self.chill = 0.0, 0.0

    def feel(self, today: Today) -> None:
        """Add the day's warmth or chill."""
        if today.phase < 2:
            self.warmth, self.chill = 0.0, 0.0
        self.warmth += max(today.tair - 5, 0) if today.phase < 230 else 0
        self.chill += max(13 - today.tair, 0) * (today.length_h < 13.2) if today.phase > 215 else 0

    def broad(self, today: Today, vigour: np.ndarray) -> tuple[np.ndarray, ...]:
        """(lai, green share, chlorophyll) of broad-leaved forest."""
        if self.farming.evergreen_broad:
            sparse = self.farming.broad_lai < 1.5
            kept = np.clip(vigour * 1.25, 0.3, 1) if sparse else 0.85 + 0.15 * vigour
            return self.lai * kept, np.full(vigour.size, 0.94), self.cab
        since = self.warmth - self.bud_warmth
        leaves = smoothstep(since / 160, 0, 1) * (today.phase < 352) * (0.8 + 0.2 * vigour)
        cold, calendar = self.chill + self.hurry, today.phase + 0.3 * self.hurry
        # chill does it in most years; warm autumns end too
        fading = np.maximum(smoothstep(cold / 170, 0.1, 1), smoothstep(calendar, 292, 330))
        fallen = np.maximum(smoothstep(cold / 230, 0.45, 1), smoothstep(calendar, 308, 345))
        held = self.lai * leaves * (1 - fallen)
        green = np.clip((held * (1 - 0.7 * fading) + 0.22) / (WOOD_LAI + held), 0, 1)
        young = 0.65 + 0.35 * smoothstep(since / 450, 0, 1)
        return WOOD_LAI + held, green, self.cab * young * (1 - 0.65 * fading)

    def needle(self, today: Today) -> tuple[np.ndarray, ...]:
        """(lai, green share, chlorophyll) of needle-leaved forest: a little fuller and greener in summer."""
        year = 2 * np.pi / 365.25
        cab = (42 + 4 * self.luck.normal[6]) * (0.88 + 0.12 * np.cos(year * (today.phase - 210)))
        lai = self.lai * (0.93 + 0.07 * np.cos(year * (today.phase - 220)))
        return lai, np.full(lai.size, 0.86), cab
