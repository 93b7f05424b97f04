"""What grows on each unit of land, day by day: leaves, colour, soil water, snow, and what farmers do."""

from dataclasses import dataclass, field

import numpy as np

from embeddings.simulate.canopy import LEAVES
from embeddings.simulate.landscape import BROAD, CEREAL, GRASS, NEEDLE, SUMMER, TOWN, WATER
from embeddings.simulate.noise import smoothstep
from embeddings.simulate.weather import Climate, Weather

FALLOW, WHEAT, MAIZE, BEET, CATCH, SPRING = range(6)
"""What stands on a field: nothing, winter cereal, maize, a leafy root crop, a cover crop over autumn,
spring cereal."""
GRASS_LEAF, BROAD_LEAF, NEEDLE_LEAF = (list(LEAVES).index(name) for name in ("grass", "broad", "needle"))

FIELD_CAPACITY, WILTING, RESIDUAL = 0.36, 0.12, 0.05
"""Volumetric soil water of a loam, m3 m-3 (FAO-56, table 19; Saxton & Rawls 2006)."""
TOP_MM = 100.0
"""Depth of the top soil layer that dries and that radar and optics see."""


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

    def on(self, days: np.ndarray) -> "Growth":
        """Only these days (indices)."""
        return Growth(**{name: value[..., days] for name, value in self.__dict__.items()})


@dataclass
class _Fields:
    """What every unit remembers from one day to the next."""

    units: int
    tt: np.ndarray = field(init=False)
    """Thermal time since sowing, degree days."""
    crop: np.ndarray = field(init=False)
    since: np.ndarray = field(init=False)
    """Days since harvest."""

    def __post_init__(self) -> None:
        self.tt = np.zeros(self.units)
        self.crop = np.full(self.units, FALLOW)
        self.since = np.full(self.units, 400)


def _normal_warmth(climate: Climate, sown: float, ripe: float, base_degc: float) -> float:
    """Degree days of an average year from sowing to ripeness."""
    span = np.arange((ripe - sown) % 365.25) + sown
    normal = climate.tair_mean_degc - climate.tair_swing_k * np.cos(2 * np.pi * (span - 28) / 365.25)
    return float(np.maximum(normal - base_degc, 0).sum())


def _in_window(phase: float, start: np.ndarray, length: float) -> np.ndarray:
    """Whether the season's day lies in the ``length`` days after ``start``."""
    return (phase - start) % 365.25 < length


BASE_DEGC = np.array([0.0, 0.0, 7.0, 4.0, 2.0, 0.0])
"""Below it no development: cereals 0, maize 7, beet 4
(Bonhomme 2000, doi:10.1016/S1161-0301(00)00058-7), mustard 2."""


def _course(crop: np.ndarray, stage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leaf area relative to its peak, and its green share, at a stage of development (1 = ripe)."""
    wheat = 0.32 * smoothstep(stage, 0.05, 0.22) + 0.68 * smoothstep(stage, 0.27, 0.53)
    wheat_green = 1 - smoothstep(stage, 0.74, 0.93)
    maize = smoothstep(stage, 0.12, 0.52)
    maize_green = 1 - 0.85 * smoothstep(stage, 0.80, 1.04)
    beet = smoothstep(stage, 0.12, 0.46) * (1 - 0.25 * smoothstep(stage, 0.7, 1.0))
    beet_green = 1 - 0.2 * smoothstep(stage, 0.75, 1.0)
    catch = smoothstep(stage, 0.1, 0.8)
    nothing = np.zeros_like(stage)
    straw = 1 - 0.3 * smoothstep(stage, 0.8, 1)
    spring = smoothstep(stage, 0.10, 0.52)
    size = np.choose(crop, [nothing, wheat * straw, maize, beet, catch, spring * straw])
    green = np.choose(crop, [nothing + 1, wheat_green, maize_green, beet_green, nothing + 1, wheat_green])
    return size, green


def grow(
    rng: np.random.Generator,
    cover: np.ndarray,
    weather: Weather,
    climate: Climate,
    farming: Farming,
    main_season: int,
) -> Growth:
    """Run all units of ``cover`` (unit,) through the weather; ``main_season`` counts solstices from
    the first day.

    Soil water is a two-layer bucket after FAO-56 (Allen et al. 1998), reference evapotranspiration
    Hargreaves' radiation form (Hargreaves & Samani 1985), snow a degree-day store. Crops follow thermal
    time scaled to the climate's own calendar; grass grows logistically and is mown or grazed; deciduous
    trees leaf out on warmth and lose colour with short, cold days (after Delpierre et al. 2009,
    doi:10.1016/j.agrformet.2008.11.014).
    """
    units, days = len(cover), len(weather.days)
    draw = rng.standard_normal((16, units))
    luck = rng.random((16, units))
    is_field, is_grass = np.isin(cover, (CEREAL, SUMMER)), np.isin(cover, (GRASS, TOWN))
    is_town, is_water = cover == TOWN, cover == WATER
    broad, needle = cover == BROAD, cover == NEEDLE

    # --- the rotation: what is harvested in which season
    season = np.concatenate([[0], np.cumsum(np.diff(weather.phase) < -300)])
    summer = np.where(luck[0] < 0.55, MAIZE, BEET)
    rotation = np.where(rng.random((units, season[-1] + 3)) < 0.5, WHEAT, summer[:, None])
    rotation[:, main_season] = np.where(cover == CEREAL, WHEAT, summer)
    rotation[(rotation == WHEAT) & (rng.random(rotation.shape) < farming.spring_share)] = SPRING
    spread = draw[0] * 6
    sown = {
        WHEAT: farming.wheat_sown + draw[1] * 9,
        MAIZE: farming.summer_sown + 10 + draw[1] * 7,
        BEET: farming.summer_sown - 10 + draw[1] * 7,
        SPRING: farming.spring_sown + draw[1] * 6,
    }
    ripe = {
        WHEAT: farming.wheat_ripe,
        SPRING: farming.wheat_ripe + 8,
        MAIZE: farming.maize_ripe,
        BEET: farming.beet_ripe,
    }
    need = np.ones((6, units))
    for crop, when in ripe.items():
        start = float(np.mean(sown[crop] - draw[1] * {WHEAT: 9, SPRING: 6}.get(crop, 7)))
        need[crop] = _normal_warmth(climate, start, when, BASE_DEGC[crop]) * (1 + 0.05 * draw[2])
    need[CATCH] = 520 * (1 + 0.2 * draw[3])
    middling, thick = (
        np.array([[0.0], [5.2], [4.4], [4.6], [3.2], [4.3]]),
        np.array([[0.0], [0.8], [0.7], [0.7], [0.9], [0.7]]),
    )
    peak = middling + thick * np.where(np.arange(6)[:, None] == CATCH, draw[5], draw[4])
    peak *= np.clip(0.45 + farming.grass_lai / 7.5, 0.5, 1)
    peak = np.maximum(peak, 0.3) * (np.arange(6) > 0)[:, None]
    till_after = np.where(luck[1] < 0.35, luck[2] * 12, 12 + luck[2] * 70)
    wants_catch = luck[3] < farming.catch_share
    catch_killed = 330 + luck[4] * 110
    weeds = np.where(luck[5] < 0.35, 0.3, 0.5 + 1.1 * luck[6])
    watered = luck[7] < farming.irrigated
    crop_cab = np.array([30, 48, 50, 45, 38, 46])[:, None] * np.exp(0.12 * draw[6])

    # --- grass: mown a number of times a year, or grazed, or (in town) kept short
    cuts = rng.integers(farming.cuts[0], farming.cuts[1] + 1, units)
    grazed = (luck[8] < 0.25) | (cuts == 0)
    cut_gap = np.where(cuts > 0, 190 / np.maximum(cuts, 1), 999)
    cut_ready = 130 + draw[7] * 10  # first mowing about the first week of May
    grass_max = farming.grass_lai * np.exp(0.12 * draw[8]) * np.where(is_town, 0.55, 1)
    grass_cab = 40 * np.exp(0.12 * draw[9])
    trees_lai = np.where(needle, farming.needle_lai, farming.broad_lai) * np.exp(0.15 * draw[10])
    bud_warmth = (115 + 30 * draw[11]) * np.clip(climate.tair_mean_degc / 10.8, 0.6, 1.3)
    leaf_fall = 16 * draw[12] * 0.5

    f = _Fields(units)
    root_mm = np.where(
        broad | needle, 420 if farming.evergreen_broad else 300, np.where(is_field, 220, 180)
    ) * np.exp(0.15 * draw[13])
    store, top = root_mm * 0.8, np.full(units, 0.3)
    grass_lai, litter = np.full(units, 1.2), np.full(units, 0.2)
    rough, vigour, last_cut, thatch = (
        np.zeros(units),
        np.ones(units),
        np.full(units, 99.0),
        np.full(units, 0.15),
    )
    warmth, chill, snow_mm, cold, skin = 0.0, 0.0, 0.0, 0.0, 0.5
    out = {
        name: np.zeros((units, days), dtype=np.float32)
        for name in ("lai", "green", "cab", "water", "litter", "rough_db", "moisture", "stress")
    }
    snow_cover, skins = np.zeros((2, days), dtype=np.float32)
    frozen = np.zeros(days, dtype=bool)
    leaf, c4 = np.zeros((units, days), dtype=np.int8), np.zeros((units, days), dtype=bool)

    for day in range(days):
        t, rain, sun = weather.tair[day], weather.precip[day], weather.sw_in[day]
        phase, length = weather.phase[day], weather.daylength_h[day]
        dry = rain < 2.5
        coming, following = rotation[:, season[day]], rotation[:, season[day] + 1]

        # fields: sow, grow, harvest, till
        idle = is_field & (f.crop == FALLOW)
        meant = {
            WHEAT: (following == WHEAT) & (phase > 200),
            SPRING: (coming == SPRING) | (coming == WHEAT),  # what autumn left unsown
            MAIZE: (coming == MAIZE) & (phase < 260),
            BEET: (coming == BEET) & (phase < 260),
        }
        for crop, wanted in meant.items():
            window = _in_window(phase, sown[crop], 30 if crop == SPRING else 45)
            due = idle & (f.crop == FALLOW) & wanted & window & dry & (f.since > 8)
            f.crop[due], f.tt[due], litter[due] = crop, 0, 0.05
            rough[due] = draw[14, due] * 0.8 - 0.3
        due = idle & (f.crop == FALLOW) & wants_catch & (following != WHEAT) & (f.since > 8) & dry
        due &= _in_window(phase, 236 + spread, 25)
        f.crop[due], f.tt[due], litter[due] = CATCH, 0, 0.1
        killed = np.where(
            coming == SPRING, np.minimum(catch_killed, 365 + farming.spring_sown - 25), catch_killed
        )
        kill = (f.crop == CATCH) & _in_window(phase, killed % 365.25, 60)
        f.crop[kill], f.since[kill], litter[kill], rough[kill] = FALLOW, 0, 0.25, 1.2
        f.tt += np.maximum(t - BASE_DEGC[f.crop], 0) * (f.crop > 0)
        stage = f.tt / need[f.crop, np.arange(units)]
        cereal = np.isin(f.crop, (WHEAT, SPRING))
        late = (
            (cereal & _in_window(phase, farming.wheat_ripe + 30 + spread, 60))
            | ((f.crop == MAIZE) & _in_window(phase, farming.maize_ripe + 20 + spread, 60))
            | ((f.crop == BEET) & _in_window(phase, farming.beet_ripe + 25 + spread, 60))
        )
        ready = (stage > 1.0) & (f.crop != FALLOW) & (f.crop != CATCH) & dry
        cut = is_field & (ready | (late & (stage > 0.3)))
        straw = np.where(cereal, 0.75, np.where(f.crop == MAIZE, 0.45, 0.25))
        litter[cut], f.since[cut] = straw[cut], 0
        rough[cut] = np.where(f.crop[cut] == BEET, 1.5, 0.3)
        f.crop[cut], f.tt[cut] = FALLOW, 0
        till = is_field & (f.crop == FALLOW) & (f.since == np.round(till_after)) & ~cut
        litter[till], rough[till] = 0.08, 1.2 + 0.8 * np.abs(draw[15, till])
        f.since += 1
        rough *= np.where(rain > 8, 0.93, 0.997)
        litter *= 0.9965

        # how well the plants drink
        wet = np.clip(store / root_mm, 0, 1)
        stress = np.clip(wet / 0.4, 0, 1)
        stress = np.where(watered & is_field, np.maximum(stress, 0.85), stress)
        vigour += (np.clip(0.25 + 0.75 * stress, 0, 1) - vigour) / 18

        size, green = _course(f.crop, stage)
        lai = peak[f.crop, np.arange(units)] * size * np.clip(vigour + 0.1, 0, 1)
        fresh = (f.crop == FALLOW) & is_field
        ages = (
            np.clip((f.since - 6) / 35, 0, 1)
            * np.where(f.since < till_after, 1, 0.45)
            * np.where(phase > 60, 1, 0.8)
        )
        lai = np.where(fresh, weeds * ages * stress, lai)
        cereal = np.isin(f.crop, (WHEAT, SPRING))
        green = np.where(cereal, np.minimum(green, np.clip(vigour * 1.4 - 0.1, 0, 1)), green)
        cab = crop_cab[f.crop, np.arange(units)] * np.where(
            cereal, 1 - 0.35 * smoothstep(stage, 0.68, 0.9), 1
        )
        cab = cab * np.where(cereal & (stage < 0.35), 0.8, 1)

        # grass
        ease = np.clip((t - 2) / 9, 0, 1) * np.clip(sun / 120, 0.1, 1) * stress
        grass_lai += np.where(is_grass, 0.15 * ease * grass_lai * (1 - grass_lai / grass_max), 0)
        grass_lai -= np.where(is_grass, grass_lai * (0.004 + 0.012 * (1 - stress) + 0.006 * (t < 0)), 0)
        grass_lai = np.where(
            grazed & ~is_town & (grass_lai > 1.9), grass_lai - 0.05 * (grass_lai - 1.6), grass_lai
        )
        mow = is_grass & ~grazed & ~is_town & (grass_lai > 1.7) & (last_cut > cut_gap * 0.8) & dry
        mow &= _in_window(phase, cut_ready, 175) & (rng.random(units) < 0.14)
        grass_lai = np.maximum(np.where(mow, 0.45 + 0.25 * luck[9], grass_lai), 0.2)
        last_cut = np.where(mow, 0, last_cut + 1)
        thatch = np.clip(
            np.where(
                mow, 0.5, thatch + 0.010 * (1 - stress) + 0.0015 * (t < 2) - 0.05 * ease * thatch - 0.0008
            ),
            0.04,
            0.65,
        )
        dead = np.where(is_grass, thatch * grass_lai / (1 - thatch) * 0.8, 0)
        lai = np.where(is_grass, grass_lai + dead, lai)
        green = np.where(is_grass, grass_lai / np.maximum(grass_lai + dead, 1e-3), green)
        cab = np.where(is_grass, grass_cab * (0.7 + 0.3 * stress), cab)
        litter = np.where(is_grass, 0.45, litter)

        # trees
        if phase < 2:
            warmth, chill = 0.0, 0.0
        warmth += max(t - 5, 0) if phase < 230 else 0
        chill += max(13 - t, 0) * (length < 13.2) if phase > 215 else 0
        if farming.evergreen_broad:
            drought = np.clip(vigour * 1.25, 0.3, 1) if farming.broad_lai < 1.5 else 0.85 + 0.15 * vigour
            tree, tree_green, tree_cab = (
                trees_lai * drought,
                0.94 * np.ones(units),
                46 * np.exp(0.1 * draw[6]),
            )
        else:
            out_leaf = smoothstep((warmth - bud_warmth) / 160, 0, 1) * (phase < 352) * (0.8 + 0.2 * vigour)
            fading = smoothstep((chill + leaf_fall) / 170, 0.1, 1)
            fallen = smoothstep((chill + leaf_fall) / 230, 0.45, 1)
            fading = np.maximum(fading, smoothstep(phase + 0.3 * leaf_fall, 292, 330))  # warm autumns end too
            fallen = np.maximum(fallen, smoothstep(phase + 0.3 * leaf_fall, 308, 345))
            wood = 0.75
            tree = wood + trees_lai * out_leaf * (1 - fallen)
            tree_green = np.clip(
                (trees_lai * out_leaf * (1 - fallen) * (1 - 0.7 * fading) + 0.22) / tree, 0, 1
            )
            young = 0.65 + 0.35 * smoothstep((warmth - bud_warmth) / 450, 0, 1)
            tree_cab = 46 * np.exp(0.1 * draw[6]) * young * (1 - 0.65 * fading)
        lai = np.where(broad, tree, lai)
        green = np.where(broad, tree_green, green)
        cab = np.where(broad, tree_cab, cab)
        yearly = 0.93 + 0.07 * np.cos(2 * np.pi * (phase - 220) / 365.25)
        lai = np.where(needle, trees_lai * yearly, lai)
        green = np.where(needle, 0.86, green)
        cab = np.where(
            needle, (42 + 8 * draw[6] * 0.5) * (0.88 + 0.12 * np.cos(2 * np.pi * (phase - 210) / 365.25)), cab
        )
        litter = np.where(broad | needle, 0.7, litter)
        lai = np.where(is_water, 0, lai)

        # water and snow
        falling = rain if t < 0.3 else 0.0
        melt = min(snow_mm, 3.0 * max(t, 0)) + 0.02 * snow_mm * (t > -4)
        snow_mm = max(snow_mm + falling - melt, 0)
        cold = 0.85 * cold + 0.15 * t
        soaked = rain - falling + melt + np.where(watered & (wet < 0.5) & is_field & (lai > 0.4), 6.0, 0)
        demand = max(0.0135 * (t + 17.8) * sun * 0.0864 / 2.45, 0)
        skin = min(skin + (rain - falling + melt) / 4, 1) * np.exp(-demand / 3.0)
        shade = 1 - np.exp(-0.6 * lai * green)
        top_free = np.clip((top - RESIDUAL) / (FIELD_CAPACITY - RESIDUAL), 0, 1)
        bare = demand * (1 - shade) * np.clip(top_free * 1.3, 0, 1) ** 1.5
        drunk = demand * 1.05 * shade * stress
        top += (0.85 * soaked - bare - 0.12 * drunk) / TOP_MM
        seep = np.maximum(top - FIELD_CAPACITY, 0) * 0.55
        top = np.clip(top - seep, RESIDUAL, 0.46) + 0.010 * (np.clip(wet, 0, 1) * 0.30 + 0.06 - top)
        store = np.clip(store + soaked - bare - drunk, 0, root_mm * 1.08)

        row = {
            "lai": lai,
            "green": green,
            "cab": cab,
            "litter": litter,
            "rough_db": rough,
            "moisture": top,
            "stress": stress,
            "water": np.where(needle, 0.014, 0.0065 + 0.0095 * np.clip(green * (0.5 + 0.5 * stress), 0, 1)),
        }
        for name, value in row.items():
            out[name][:, day] = value
        snow_cover[day] = np.clip(snow_mm / 12, 0, 1)
        skins[day] = skin
        frozen[day] = cold < -1.5
        leaf[:, day] = np.where(
            needle, NEEDLE_LEAF, np.where(broad | np.isin(f.crop, (BEET, CATCH)), BROAD_LEAF, GRASS_LEAF)
        )
        c4[:, day] = f.crop == MAIZE
    return Growth(**out, snow=snow_cover, skin=skins, frozen=frozen, leaf=leaf, c4=c4)
