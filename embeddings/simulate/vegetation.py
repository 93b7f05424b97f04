"""What grows on each unit of land, day by day: leaves, colour, soil water, snow, and what farmers do."""

from dataclasses import dataclass

import numpy as np

from embeddings.simulate.canopy import LEAVES
from embeddings.simulate.farming import FARMING, Farming, Luck, Today
from embeddings.simulate.fields import BEET, CATCH, MAIZE, Fields
from embeddings.simulate.landscape import BROAD, NEEDLE, WATER
from embeddings.simulate.meadows import Meadows
from embeddings.simulate.soil import Ground
from embeddings.simulate.trees import Trees
from embeddings.simulate.weather import Climate, Weather

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
    """How far root-zone water allows photosynthesis, 0-1."""
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


def _days(weather: Weather) -> list[Today]:
    """The weather, one day at a time."""
    season = np.concatenate([[0], np.cumsum(np.diff(weather.phase) < -300)])
    series = (weather.tair, weather.precip, weather.sw_in, weather.phase, weather.daylength_h)
    rows = zip(*(values.tolist() for values in series), season.tolist(), strict=True)
    return [Today(*row) for row in rows]


def grow(
    rng: np.random.Generator,
    cover: np.ndarray,
    weather: Weather,
    climate: Climate,
    farming: Farming,
    main_season: int,
) -> Growth:
    """Run all units of ``cover`` (unit,) through the weather.

    ``main_season`` counts winter solstices from the first day: in it the crops are the land-cover map's.
    """
    units, days = len(cover), _days(weather)
    luck = Luck.draw(rng, units)
    fields = Fields(rng, cover, luck, climate, farming, days[-1].season + 3, main_season)
    meadows, trees = Meadows(rng, cover, luck, farming), Trees(cover, luck, climate, farming)
    broad, needle = cover == BROAD, cover == NEEDLE
    wood = broad | needle
    root_mm = np.where(wood, 420 if farming.evergreen_broad else 300, np.where(fields.are, 220, 180))
    ground = Ground(root_mm * np.exp(0.15 * luck.normal[13]), fields.watered)
    vigour = np.ones(units)

    out = {name: np.zeros((units, len(days)), dtype=np.float32) for name in DAILY}
    snow, skin = np.zeros((2, len(days)), dtype=np.float32)
    frozen = np.zeros(len(days), dtype=bool)
    leaf, c4 = np.zeros((units, len(days)), dtype=np.int8), np.zeros((units, len(days)), dtype=bool)
    for day, today in enumerate(days):
        fields.work(today)
        trees.feel(today)
        stress = ground.stress
        vigour += (0.25 + 0.75 * stress - vigour) / 18
        state = np.array(fields.leaves(today, stress, vigour))
        for here, other in (
            (meadows.are, meadows.grow(today, stress)),
            (broad, trees.broad(today, vigour)),
            (needle, trees.needle(today)),
        ):
            state = np.where(here, np.array(other), state)
        lai, green, cab = state
        lai = np.where(cover == WATER, 0, lai)
        ground.pass_day(today, lai, green)

        out["lai"][:, day], out["green"][:, day], out["cab"][:, day] = lai, green, cab
        juice = 0.0065 + 0.0095 * np.clip(green * (0.5 + 0.5 * stress), 0, 1)
        out["water"][:, day] = np.where(needle, 0.014, juice)
        out["litter"][:, day] = np.where(wood, 0.7, np.where(meadows.are, 0.45, fields.litter))
        out["rough_db"][:, day], out["moisture"][:, day] = fields.rough, ground.top
        out["stress"][:, day] = stress
        snow[day], skin[day] = min(ground.snow_mm / 12, 1), ground.skin
        frozen[day] = ground.cold < -1.5
        leafy = broad | (fields.crop == BEET) | (fields.crop == CATCH)
        leaf[:, day] = np.where(needle, NEEDLE_LEAF, np.where(leafy, BROAD_LEAF, GRASS_LEAF))
        c4[:, day] = fields.crop == MAIZE
    return Growth(**out, snow=snow, skin=skin, frozen=frozen, leaf=leaf, c4=c4)
