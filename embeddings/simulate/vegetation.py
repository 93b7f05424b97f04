"""Growth of every land unit, day by day: leaves, chlorophyll, soil water, snow, and field work."""

from dataclasses import dataclass

import numpy as np
from fluxlens.embeddings.simulate.canopy import LEAVES
from fluxlens.embeddings.simulate.farming import FARMING, DayForcing, Farming, UnitDraws
from fluxlens.embeddings.simulate.fields import BEET, CATCH, MAIZE, Fields
from fluxlens.embeddings.simulate.landscape import BROAD, NEEDLE, WATER
from fluxlens.embeddings.simulate.meadows import Meadows
from fluxlens.embeddings.simulate.soil import SoilColumn
from fluxlens.embeddings.simulate.trees import Trees
from fluxlens.embeddings.simulate.weather import Climate, Weather

__all__ = ["FARMING", "Farming", "Growth", "grow"]

GRASS_LEAF, BROAD_LEAF, NEEDLE_LEAF = (list(LEAVES).index(name) for name in ("grass", "broad", "needle"))
DAILY = ("lai", "green", "cab", "water", "litter", "rough_db", "moisture", "stress")


@dataclass(frozen=True)
class Growth:
    """The state of each unit on each day, (unit, day) float32 unless said otherwise."""

    lai: np.ndarray
    """Leaf (and other plant) area above the soil, green and brown, m2 m-2."""
    green: np.ndarray
    """The share of it that is green, 0-1."""
    cab: np.ndarray
    """Chlorophyll of the green leaves, ug cm-2."""
    water: np.ndarray
    """Leaf water, g cm-2."""
    litter: np.ndarray
    """Share of the ground under straw and dead leaves, 0-1."""
    rough_db: np.ndarray
    """What the soil's roughness adds to radar backscatter, dB."""
    moisture: np.ndarray
    """Water in the top 10 cm, m3 m-3."""
    stress: np.ndarray
    """Water stress factor of photosynthesis: 0 all stopped, 1 unhindered."""
    snow: np.ndarray
    """Share of the ground under snow, 0-1, (day,)."""
    skin: np.ndarray
    """How wet the very surface is, 0-1, (day,): rain fills it, a few warm days dry it."""
    frozen: np.ndarray
    """Ground frozen, (day,) bool."""
    leaf: np.ndarray
    """(unit, day) int8 index into canopy.LEAVES."""
    c4: np.ndarray
    """(unit, day) bool: a C4 crop stands here."""


def _daily_forcing(weather: Weather) -> list[DayForcing]:
    """The weather, one day at a time."""
    # The day of the season falls back by a year at each winter solstice.
    season = np.concatenate([[0], np.cumsum(np.diff(weather.season_day) < -300)])
    # Plain numbers: the loop over days looks each of them up many times, and NumPy scalars are slow at that.
    series = (weather.tair, weather.precip, weather.sw_in, weather.season_day, weather.daylength_h)
    rows = zip(*(values.tolist() for values in series), season.tolist(), strict=True)
    return [DayForcing(*row) for row in rows]


def grow(
    rng: np.random.Generator,
    cover: np.ndarray,
    weather: Weather,
    climate: Climate,
    farming: Farming,
    main_season: int,
) -> Growth:
    """Run all units through the weather.

    Parameters
    ----------
    rng
        Random stream of the growth model.
    cover
        (unit,) land cover of the main season, index into ``landscape.COVERS``.
    weather
        Daily weather, spin-up included.
    climate, farming
        Presets of the place.
    main_season
        Winter solstices from the first day to the season whose crops the land-cover map shows.
    """
    units, days = len(cover), _daily_forcing(weather)
    draws = UnitDraws.draw(rng, units)
    fields = Fields(rng, cover, draws, climate, farming, days[-1].season + 3, main_season)
    meadows, trees = Meadows(rng, cover, draws, farming), Trees(cover, draws, climate, farming)
    broad, needle = cover == BROAD, cover == NEEDLE
    wood = broad | needle
    # Available water of the root zone, mm: trees root deepest, evergreen trees of dry places most of all.
    root_mm = np.where(wood, 420 if farming.evergreen_broad else 300, np.where(fields.is_field, 220, 180))
    soil = SoilColumn(root_mm * np.exp(0.15 * draws.root_depth), fields.irrigated)
    vigour = np.ones(units)

    out = {name: np.zeros((units, len(days)), dtype=np.float32) for name in DAILY}
    snow, skin = np.zeros((2, len(days)), dtype=np.float32)
    frozen = np.zeros(len(days), dtype=bool)
    leaf, c4 = np.zeros((units, len(days)), dtype=np.int8), np.zeros((units, len(days)), dtype=bool)
    for day, today in enumerate(days):
        fields.manage(today)
        trees.accumulate_chill(today)
        # Of yesterday's water, since today's depends on the leaves computed below.
        stress = soil.stress  # (unit,)
        # Vigour follows water stress with a memory of 18 days: a dry week does not yet thin the canopy.
        vigour += (0.25 + 0.75 * stress - vigour) / 18
        state = np.array(fields.canopy_state(today, stress, vigour))  # (lai green cab, unit)
        for is_kind, of_kind in (
            (meadows.is_grass, meadows.grow(today, stress)),
            (broad, trees.broadleaf_state(today, vigour)),
            (needle, trees.needleleaf_state(today)),
        ):
            state = np.where(is_kind, np.array(of_kind), state)  # (lai green cab, unit)
        lai, green, cab = state
        lai = np.where(cover == WATER, 0, lai)
        # Last of the day: tomorrow's stress follows from the water that today's leaves took.
        soil.pass_day(today, lai, green)

        out["lai"][:, day], out["green"][:, day], out["cab"][:, day] = lai, green, cab
        leaf_water_g_cm2 = 0.0065 + 0.0095 * np.clip(green * (0.5 + 0.5 * stress), 0, 1)
        out["water"][:, day] = np.where(needle, 0.014, leaf_water_g_cm2)
        out["litter"][:, day] = np.where(wood, 0.7, np.where(meadows.is_grass, 0.45, fields.litter))
        out["rough_db"][:, day], out["moisture"][:, day] = fields.roughness_db, soil.top
        out["stress"][:, day] = stress
        # 12 mm of snow water cover the ground.
        snow[day], skin[day] = min(soil.snow_mm / 12, 1), soil.skin
        frozen[day] = soil.frost_index_degc < -1.5
        leafy = broad | (fields.crop == BEET) | (fields.crop == CATCH)
        leaf[:, day] = np.where(needle, NEEDLE_LEAF, np.where(leafy, BROAD_LEAF, GRASS_LEAF))
        c4[:, day] = fields.crop == MAIZE
    return Growth(**out, snow=snow, skin=skin, frozen=frozen, leaf=leaf, c4=c4)
