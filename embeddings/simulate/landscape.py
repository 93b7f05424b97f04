"""A random landscape: parcels and their land cover, roads, houses, water, and the soil."""

from dataclasses import dataclass

import numpy as np
from fluxlens.embeddings.simulate.noise import PlaneWaves, smoothstep

COVERS = (
    "needleleaf_forest",
    "broadleaf_forest",
    "grassland",
    "winter_cereal",
    "summer_crop",
    "settlement",
    "water",
)
NEEDLE, BROAD, GRASS, CEREAL, SUMMER, TOWN, WATER = range(len(COVERS))
PIXEL_M = 10.0


@dataclass(frozen=True)
class LandscapeConfig:
    """Composition of a random landscape."""

    forest: float = 0.25
    """Share of the land, 0-1; so are ``grass``, ``water``."""
    grass: float = 0.25
    """Share of the open land."""
    cereal: float = 0.5
    """Share of the cropland."""
    needle: float = 0.4
    """Share of the forest."""
    water: float = 0.03
    village: float = 0.06
    field_ha: float = 2.5
    """Typical field size; European fields mostly 0.5-10 ha (Lesiv et al. 2019, doi:10.1111/gcb.14492)."""
    roads: bool = True


@dataclass(frozen=True)
class Land:
    """Maps (y, x), and the cover of each unit; a unit is a field, a stand, a pond or a garden quarter."""

    unit: np.ndarray
    cover: np.ndarray
    """int8, index into COVERS."""
    unit_cover: np.ndarray
    """(unit,) int8."""
    vigour: np.ndarray
    """Leaf area relative to the unit's own, about 1."""
    lag_days: np.ndarray
    """How many days growth lags behind the unit's best spot, >= 0."""
    soil: np.ndarray
    """Soil brightness relative to the mean soil, about 1."""
    road: np.ndarray
    """Sealed share of the pixel, 0-1."""
    roof: np.ndarray
    """Share of roofs and yards, 0-1."""
    roof_tone: np.ndarray
    """Brightness of what is built there, about 1."""


def _nearest(x: np.ndarray, y: np.ndarray, sx: np.ndarray, sy: np.ndarray) -> tuple[np.ndarray, ...]:
    """(y, x) indices of the nearest and second nearest seed, and metres to the border between them."""
    # (y, x, seed); half the difference of the two smallest distances is the distance to their common border.
    d = np.hypot(x[..., None] - sx, y[..., None] - sy)
    first, second = np.moveaxis(np.argpartition(d, 1, axis=-1)[..., :2], -1, 0)
    near, far = (np.take_along_axis(d, i[..., None], -1)[..., 0] for i in (first, second))
    return first, second, (far - near) / 2


def _blocks(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, side_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Blocks (Voronoi cells of jittered seeds, gently warped) and metres to the road, if a border has one."""
    # Borders bend by some 10 m: roads are seldom straight.
    warp = [PlaneWaves.draw(rng, 250, 1200).at(x, y) for _ in range(2)]
    gx, gy = x[None, :] + 9 * warp[0], y[:, None] + 9 * warp[1]
    extent = int(np.ceil(max(np.ptp(x), np.ptp(y)) / side_m)) + 3
    step = (np.arange(extent) - 1) * side_m
    sx, sy = (a.ravel() for a in np.meshgrid(x.min() + step, y.min() + step))
    sx = sx + rng.uniform(-0.38, 0.38, sx.size) * side_m
    sy = sy + rng.uniform(-0.38, 0.38, sy.size) * side_m
    first, second, border_m = _nearest(gx, gy, sx, sy)
    # Symmetric: a border is a road from both of its sides.
    paved = np.triu(rng.random((sx.size, sx.size)) < 0.55)
    return first, np.where((paved | paved.T)[first, second], border_m, 99.0)


def _divide(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, block: np.ndarray, ha: float
) -> np.ndarray:
    """(y, x) parcel of each pixel: blocks cut again and again across their longer side, to about ``ha`` hectares."""
    xx, yy = (a.ravel() for a in np.meshgrid(x, y))
    out = np.zeros(block.size, dtype=np.int32)
    count = 0
    # Fields of one landscape share a direction, give or take 15 degrees.
    base = rng.uniform(0, np.pi)
    for b in np.unique(block):
        angle = base + rng.normal(0, 0.25)
        todo = [(np.flatnonzero(block.ravel() == b), float(ha * np.exp(rng.normal(0, 0.4))))]
        while todo:
            at, target = todo.pop()
            if at.size * PIXEL_M**2 / 1e4 < target * 1.5 or at.size < 12:
                out[at] = count
                count += 1
                continue
            u = xx[at] * np.cos(angle) + yy[at] * np.sin(angle)
            v = -xx[at] * np.sin(angle) + yy[at] * np.cos(angle)
            # A cut is never drawn right through the middle, and sometimes along the longer side: fields differ.
            along = u if np.ptp(u) * rng.uniform(0.6, 1.1) > np.ptp(v) * 0.8 else v
            cut = along.min() + np.ptp(along) * rng.uniform(0.33, 0.67)
            todo += [(at[along < cut], target), (at[along >= cut], target)]
    return out.reshape(block.shape)


def _top_share(field: np.ndarray, share: float) -> np.ndarray:
    """The highest ``share`` of a field."""
    if share <= 0:
        return np.zeros(field.shape, dtype=bool)
    return field > np.quantile(field, 1 - min(share, 1))


def _paths(parcel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Field margins: the sealed or grassy strip that some parcel borders carry, 0-1."""
    edge = np.zeros(parcel.shape, dtype=bool)
    edge[:, 1:] |= parcel[:, 1:] != parcel[:, :-1]
    edge[1:] |= parcel[1:] != parcel[:-1]
    return edge & (rng.random(parcel.max() + 1) < 0.5)[parcel]


def _draw_forest(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, parcel: np.ndarray, config: LandscapeConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Height of the hills, where forest stands and which stand it is (y, x), and which stands are of needle trees."""
    n = parcel.max() + 1
    # Forest stands on the hills, in stands (Voronoi cells) of one kind each; needle trees gather in regions.
    hills = PlaneWaves.draw(rng, 120, 1500, 1.2).at(x, y)
    # Cleared and wooded by parcel: some noise per parcel makes edges of the forest follow borders.
    wood = _top_share(hills + 0.25 * rng.standard_normal(n)[parcel] * 1.2, config.forest)
    stand, _, _ = _nearest(
        x[None, :] + 15 * PlaneWaves.draw(rng, 60, 300).at(x, y),
        y[:, None] + 15 * PlaneWaves.draw(rng, 60, 300).at(x, y),
        *rng.uniform(-50, len(x) * PIXEL_M + 50, (2, max(4, int(len(x) ** 2 / 350)))),
    )
    stands = stand.max() + 1
    regions = PlaneWaves.draw(rng, 200, 1500).at(x, y)
    lean = np.array([regions[stand == s].mean() if (stand == s).any() else 0.0 for s in range(stands)])
    needle_stand = (lean + 0.5 * rng.standard_normal(stands)) < np.quantile(
        lean, np.clip(config.needle, 0, 1)
    )
    return hills, wood, stand, needle_stand


def _draw_within_fields(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, cover: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vigour of plants, lag of their season in whole days, and brightness of the soil, each (y, x)."""
    # Within a field: patches of better and worse ground (tens to hundreds of metres) and grain of single pixels.
    patches = 0.6 * PlaneWaves.draw(rng, 25, 90, 0.5).at(x, y) + 0.6 * PlaneWaves.draw(rng, 90, 500).at(x, y)
    grain = rng.standard_normal(cover.shape)
    spread = np.array([0.16, 0.16, 0.13, 0.10, 0.12, 0.20, 0.0])[cover]
    clumpy = np.array([0.10, 0.10, 0.05, 0.03, 0.035, 0.15, 0.0])[cover]
    vigour = np.clip(1 + spread * patches + clumpy * grain, 0.25, 1.7)
    lag = np.clip(3.0 + 2.6 * PlaneWaves.draw(rng, 40, 400).at(x, y) - 1.5 * patches, 0, 11)
    soil = 1 + 0.13 * PlaneWaves.draw(rng, 60, 1200).at(x, y) + 0.025 * grain
    return vigour, np.round(lag), np.clip(soil, 0.5, 1.6)


def draw_land(rng: np.random.Generator, size_px: int, config: LandscapeConfig) -> Land:
    """Draw one landscape.

    Parameters
    ----------
    rng
        Random stream of the land.
    size_px
        Side length, pixels of 10 m.
    config
        Shares of the covers and size of the fields.
    """
    x = np.arange(size_px) * PIXEL_M + PIXEL_M / 2
    y = x[::-1].copy()
    side = float(np.clip(np.sqrt(config.field_ha * 1e4) * rng.uniform(2.2, 3.2), 180, 800))
    block, road_m = _blocks(rng, x, y, side)
    parcel = _divide(rng, x, y, block, config.field_ha)
    n = parcel.max() + 1
    # Drawn for every parcel, also where it is not needed: the stream must not depend on the shares.
    crop_draw = rng.random(n)
    kind = np.where(rng.random(n) < config.grass, GRASS, np.where(crop_draw < config.cereal, CEREAL, SUMMER))
    cover = kind[parcel]

    hills, wood, stand, needle_stand = _draw_forest(rng, x, y, parcel, config)
    stands = len(needle_stand)
    cover = np.where(wood, np.where(needle_stand[stand], NEEDLE, BROAD), cover)
    unit = np.where(wood, n + stand, parcel)

    # Villages grow along roads.
    village = PlaneWaves.draw(rng, 200, 900).at(x, y) - 0.02 * np.minimum(road_m, 60)
    town = _top_share(village, config.village) & ~wood
    unit = np.where(town, n + stands + block, unit)
    cover = np.where(town, TOWN, cover)

    # Water gathers below the hills.
    wet = PlaneWaves.draw(rng, 150, 1200, 1.2).at(x, y) - 0.6 * hills
    if rng.random() < 0.4:  # a stream, following the zero line of the wetness field
        wet = -np.abs(wet - np.quantile(wet, 0.75)) * 1.0
    lake = _top_share(wet, config.water)
    unit = np.where(lake, n + stands + block.max() + 1, unit)
    cover = np.where(lake, WATER, cover)

    # Numbers 0 ... n - 1 without holes.
    _, unit = np.unique(unit, return_inverse=True)
    unit = unit.reshape(cover.shape)
    units = unit.max() + 1
    unit_cover = np.zeros(units, dtype=np.int8)
    unit_cover[unit.ravel()] = cover.ravel()

    # Roads of 3 to 15 m width; in half of the landscapes none through the forest.
    lane = (1 - smoothstep(road_m, 1.5, 7.5)) * (~wood | (rng.random() < 0.5)) * config.roads
    lane = np.where(lake, 0, lane * rng.uniform(0.45, 0.9))
    margin = np.where(np.isin(cover, (GRASS, CEREAL, SUMMER)), 0.10 * _paths(parcel, rng), 0)
    road = np.maximum(lane, margin)
    built = np.where(town, np.clip(0.45 + 0.28 * rng.standard_normal(cover.shape), 0.05, 0.95), 0)
    # A farmstead on every thirtieth field.
    farms = (rng.random(units) < 0.03)[unit] & np.isin(cover, (GRASS, CEREAL, SUMMER))
    built = np.where(farms & (PlaneWaves.draw(rng, 60, 160).at(x, y) > 1.6), 0.6, built)

    vigour, lag_days, soil = _draw_within_fields(rng, x, y, cover)
    return Land(
        unit=unit,
        cover=cover.astype(np.int8),
        unit_cover=unit_cover,
        vigour=vigour.astype(np.float32),
        lag_days=lag_days.astype(np.int16),
        soil=soil.astype(np.float32),
        road=road.astype(np.float32),
        roof=built.astype(np.float32),
        roof_tone=np.exp(0.35 * rng.standard_normal(cover.shape)).astype(np.float32),
    )
