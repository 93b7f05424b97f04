"""Pixels of the landscape, day by day: the units' state on the map, and the light reflected and absorbed."""

from dataclasses import dataclass

import numpy as np
from fluxlens.embeddings.simulate import canopy
from fluxlens.embeddings.simulate.canopy import CanopyTable
from fluxlens.embeddings.simulate.landscape import BROAD, NEEDLE, WATER, Land
from fluxlens.embeddings.simulate.vegetation import NEEDLE_LEAF, Growth

# Reflectance in the order of canopy.BANDS. Soil: a dry loam of the kind in Stoner & Baumgardner 1981;
# straw, roofs and asphalt in the range of the ECOSTRESS library (Meerdink et al. 2019,
# doi:10.1016/j.rse.2019.05.015); clear inland water as in Pahlevan et al. 2021; snow after Warren &
# Wiscombe 1980. Rounded by hand; simple by intention.
DRY_SOIL = np.array([0.098, 0.138, 0.186, 0.210, 0.228, 0.241, 0.254, 0.269, 0.375, 0.325], dtype=np.float32)
STRAW = np.array([0.085, 0.125, 0.180, 0.205, 0.235, 0.255, 0.275, 0.295, 0.370, 0.265], dtype=np.float32)
FOREST_FLOOR = np.array(
    [0.025, 0.040, 0.045, 0.070, 0.110, 0.125, 0.135, 0.150, 0.170, 0.110], dtype=np.float32
)
ROOF = np.array([0.115, 0.130, 0.150, 0.158, 0.166, 0.173, 0.180, 0.190, 0.225, 0.200], dtype=np.float32)
ASPHALT = np.array([0.085, 0.100, 0.115, 0.123, 0.130, 0.136, 0.142, 0.150, 0.185, 0.170], dtype=np.float32)
LAKE = np.array([0.030, 0.040, 0.028, 0.024, 0.016, 0.015, 0.013, 0.012, 0.007, 0.005], dtype=np.float32)
SNOW = np.array([0.92, 0.92, 0.91, 0.90, 0.88, 0.87, 0.85, 0.83, 0.10, 0.08], dtype=np.float32)
DARKENING = np.array([1.00, 1.00, 1.00, 1.00, 0.98, 0.97, 0.96, 0.96, 1.05, 1.25], dtype=np.float32)
"""How strongly wetness darkens the soil, relative to the visible
(Lobell & Asner 2002, doi:10.2136/sssaj2002.7220)."""
SUNLIT_SHARE = {NEEDLE: 0.66, BROAD: 0.82}
"""Sunlit share of a forest's crowns as seen from above (after Gerard & North 1997);
other covers cast no shade of note."""
CLUMPING = {NEEDLE: 0.60, BROAD: 0.82}
"""Clumping index (Chen et al. 2005, doi:10.1016/j.rse.2005.05.003): effective over true leaf area."""


@dataclass(frozen=True)
class Pixels:
    """Land and growth together; every method takes a day's index and returns maps flattened to (pixel,)."""

    land: Land
    growth: Growth

    def lai(self, day: int) -> np.ndarray:
        """Leaf area (pixel,), m2 m-2, on day ``day``: growth lags on poor spots, a harvest takes all at once."""
        unit = self.land.unit.ravel()
        # The smaller of today's and the lagged value: growth arrives late, loss does not.
        late = np.maximum(day - self.land.lag_days.ravel(), 0)
        now, before = self.growth.lai[unit, day], self.growth.lai[unit, late]
        return np.minimum(now, before) * self.land.vigour.ravel() * self.vegetated_share

    @property
    def vegetated_share(self) -> np.ndarray:
        """Share of the pixel (pixel,) that is neither sealed nor built on, 0-1."""
        return (1 - self.land.road.ravel()) * (1 - self.land.roof.ravel())

    def cab(self, day: int) -> np.ndarray:
        """Leaf chlorophyll (pixel,), ug cm-2, on day ``day``: better spots are greener."""
        return self.growth.cab[self.land.unit.ravel(), day] * (0.7 + 0.3 * self.land.vigour.ravel())

    def moisture(self, day: int) -> np.ndarray:
        """Water of the top soil (pixel,), m3 m-3, on day ``day``; dark soils hold more, open water is 1."""
        unit = self.land.unit.ravel()
        capacity = np.clip(1.5 - 0.5 * self.land.soil.ravel(), 0.7, 1.25)
        return np.where(
            self.land.cover.ravel() == WATER,
            1.0,
            np.clip(self.growth.moisture[unit, day] * capacity, 0.02, 0.5),
        )

    def canopy_channels(self, day: int, sun_deg: float, hotspot_weight: float) -> np.ndarray:
        """Channels of the canopy table for one acquisition.

        Parameters
        ----------
        day
            Index into the days of ``growth``.
        sun_deg
            Solar zenith angle, degrees.
        hotspot_weight
            1 where the sun stands at the sensor's back, 0 where the sensor looks against it.

        Returns
        -------
        (pixel, channel) of ``canopy.CanopyTable``.
        """
        table = CanopyTable.load()
        g, unit = self.growth, self.land.unit.ravel()
        acquisition = table.at_geometry(sun_deg, hotspot_weight)
        # Needles hold little brown pigment; other leaves brown as they lose their green.
        brown = np.where(g.leaf[:, day] == NEEDLE_LEAF, 0.15, 1.3 * (1 - g.green[:, day]))
        units = table.at_units(acquisition, g.leaf[:, day], brown, g.water[:, day])
        # Leaves stand on the vegetated share only; clumped crowns intercept as if they had fewer.
        effective_lai = self.lai(day) / np.maximum(self.vegetated_share, 0.05) * self._clumping()
        canopy_cab = self.cab(day) * (0.15 + 0.85 * g.green[unit, day])
        return CanopyTable.at_pixels(units, unit, effective_lai, canopy_cab)

    def fapar(self, channels: np.ndarray, day: int) -> np.ndarray:
        """Fraction of PAR absorbed by green leaves.

        Parameters
        ----------
        channels
            What ``canopy_channels`` returns for the day.
        day
            Index into the days of ``growth``.

        Returns
        -------
        (pixel,) 0-1.
        """
        green = self.growth.green[self.land.unit.ravel(), day]
        return np.clip(canopy.absorbed(channels) * green * self.vegetated_share, 0, 1)

    def reflectance(
        self, day: int, sun_deg: float, hotspot_weight: float, lake_tone: float = 1.0
    ) -> np.ndarray:
        """Surface reflectance, before atmosphere and sensor.

        Parameters
        ----------
        day
            Index into the days of ``growth``.
        sun_deg
            Solar zenith angle, degrees.
        hotspot_weight
            1 where the sun stands at the sensor's back, 0 where the sensor looks against it.
        lake_tone
            Brightness of open water on that day, about 1: waves and sun glint.

        Returns
        -------
        (pixel, band) float32, bands as ``canopy.BANDS``.
        """
        g, land, unit = self.growth, self.land, self.land.unit.ravel()
        cover = land.cover.ravel()
        top_filling = np.clip((self.moisture(day) - 0.05) / 0.35, 0, 1)[:, None]
        # Light sees the skin as much as the top layer: exponential darkening with their mean wetness.
        wet = 0.5 * top_filling + 0.5 * float(g.skin[day])
        soil = DRY_SOIL * land.soil.ravel()[:, None] * np.exp(-0.75 * wet * DARKENING)
        straw = STRAW * np.exp(-0.35 * wet)
        litter = g.litter[unit, day][:, None]
        wood = ((cover == NEEDLE) | (cover == BROAD))[:, None]
        ground = np.where(wood, 0.25 * soil + 0.75 * FOREST_FLOOR, soil * (1 - litter) + straw * litter)
        snow = float(g.snow[day])
        ground = ground * (1 - snow) + SNOW * snow
        out = canopy.over_soil(self.canopy_channels(day, sun_deg, hotspot_weight), ground)
        out = out * self._sunlit_share()[:, None]
        if snow > 0:  # some of it stays on the crowns and on short canopies
            on_top = np.where(wood, 0.12, 0.55) * snow
            out = out * (1 - on_top) + SNOW * on_top
        # Never wholly white: under full snow a fifth of a roof or a road still shows.
        bare = 1 - 0.8 * snow
        roof_tone = land.roof_tone.ravel()[:, None]
        for share, material, tone in ((land.roof, ROOF, roof_tone), (land.road, ASPHALT, 1.0)):
            weight = share.ravel()[:, None]
            out = out * (1 - weight) + (material * tone * bare * (1 - 0.2 * wet) + SNOW * (1 - bare)) * weight
        lake = cover == WATER
        out[lake] = LAKE * lake_tone
        return out.astype(np.float32)

    def _sunlit_share(self) -> np.ndarray:
        """(pixel,) share of the crowns that the sun lights; lower where the stand is thin and rough."""
        cover, vigour = self.land.cover.ravel(), self.land.vigour.ravel()
        sunlit = np.ones(cover.size, dtype=np.float32)
        for kind, share in SUNLIT_SHARE.items():
            sunlit[cover == kind] = np.clip(share * (0.75 + 0.25 * vigour[cover == kind]), 0.3, 1)
        return sunlit

    def _clumping(self) -> np.ndarray:
        """(pixel,) clumping index."""
        out = np.ones(self.land.cover.size, dtype=np.float32)
        for kind, value in CLUMPING.items():
            out[self.land.cover.ravel() == kind] = value
        return out
