"""Simulated Sentinel-1: backscatter of wet soil under leaves, trees, houses and water, with speckle."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from fluxlens.embeddings.geometry import block_mean
from fluxlens.embeddings.simulate.ground import Pixels
from fluxlens.embeddings.simulate.landscape import BROAD, NEEDLE, PIXEL_M, TOWN, WATER
from fluxlens.embeddings.simulate.noise import PlaneWaves
from fluxlens.embeddings.simulate.vegetation import GRASS_LEAF


@dataclass(frozen=True)
class WaterCloud:
    """Water-cloud parameters of a canopy, one polarisation (Attema & Ulaby 1978,
    doi:10.1029/RS013i002p00357).

    ``sigma = A V cos(t) (1 - T2) + T2 soil``, ``T2 = exp(-2 B V / cos(t))``, V = leaf area. Values fall in
    the ranges fitted to Sentinel-1 by Bousbih et al. 2017 (doi:10.3390/s17112617) and Vreugdenhil et al.
    2018 (doi:10.3390/rs10091396).
    """

    a: float
    """Scattering per leaf area, linear power."""
    b: float
    """Extinction per leaf area."""


@dataclass(frozen=True)
class BareSoil:
    """Backscatter of bare soil: ``dry_db + slope_db * moisture`` (Bousbih et al. 2017)."""

    dry_db: float
    slope_db: float
    """dB per m3 m-3."""


@dataclass(frozen=True)
class Tracks:
    """When Sentinel-1 passes."""

    every_days: int = 6
    orbits: tuple[str, ...] = ("ascending",)


POLARISATIONS = ("VV", "VH")
SOIL = {"VV": BareSoil(-17.0, 24.0), "VH": BareSoil(-25.0, 18.0)}
ERECT = {"VV": WaterCloud(0.018, 0.19), "VH": WaterCloud(0.0065, 0.09)}
"""Stems and blades stand along VV: it is weakened, as over wheat in May."""
LEAFY = {"VV": WaterCloud(0.048, 0.14), "VH": WaterCloud(0.0145, 0.12)}
FOREST_DB = {BROAD: (-8.9, -14.3), NEEDLE: (-9.6, -14.6)}
"""Closed canopies at 40 degrees incidence (Sentinel-1 statistics of Dostálová et al. 2018,
doi:10.1080/2150704X.2018.1479788)."""
TOWN_DB, LAKE_DB = (-5.5, -13.0), (-20.5, -27.0)
NOISE_FLOOR = 10 ** (-25 / 10)
"""Noise-equivalent sigma naught, better than -22 dB (Sentinel-1 User Handbook)."""
LOST_SHARE = 0.02
"""Of acquisitions that never reach the archive."""
LOOKS = {"VV": 3.1, "VH": 1.9}
"""Looks of a fine sample: after smoothing below, about 12 and 7 in a 20 m pixel, from IW GRD's 4.4
(S1 product guide)."""
SMOOTH = np.array([1.0, 4.2, 1.0]) / 6.2
"""Resampling leaves neighbours correlated by 0.43."""


def _db(power: np.ndarray) -> np.ndarray:
    """Linear power in dB, at least -60 dB."""
    return 10 * np.log10(np.maximum(power, 1e-6))


def _power(db: np.ndarray) -> np.ndarray:
    return 10 ** (np.asarray(db) / 10)


def water_cloud(lai: np.ndarray, soil: np.ndarray, canopy: WaterCloud, incidence_deg: float) -> np.ndarray:
    """Backscatter of a canopy over soil by the water-cloud model (Attema & Ulaby 1978).

    Parameters
    ----------
    lai
        Scattering leaf area, m2 m-2.
    soil
        Backscatter of the soil, linear power.
    canopy
        Parameters of the polarisation.
    incidence_deg
        Angle of incidence, degrees.

    Returns
    -------
    Linear power, of the shape of ``lai``.
    """
    cos = np.cos(np.radians(incidence_deg))
    two_way_transmission = np.exp(-2 * canopy.b * lai / cos)
    return canopy.a * lai * cos * (1 - two_way_transmission) + two_way_transmission * soil


def speckle(rng: np.random.Generator, shape: tuple[int, int], looks: float) -> np.ndarray:
    """Multiplicative gamma noise of mean 1, smoothed as resampled images are.

    Parameters
    ----------
    rng
        Random stream of the acquisition.
    shape
        (y, x) size.
    looks
        Number of looks of a sample before smoothing.

    Returns
    -------
    (y, x) float64.
    """
    ny, nx = shape
    # One pixel more on each side, so that smoothing does not fade at the edges.
    fine = rng.gamma(looks, 1 / looks, (ny + 2, nx + 2))
    rows = sum(SMOOTH[k] * fine[k : k + ny] for k in range(3))
    return sum(SMOOTH[k] * rows[:, k : k + nx] for k in range(3))


@dataclass(frozen=True)
class Scatterers:
    """Scatterers that do not change from date to date, (pixel,)."""

    fixed_db: np.ndarray
    """Effect of slope, rows and single bright objects, dB."""
    town_db: np.ndarray
    """Deviation of buildings from their mean backscatter, dB."""


def draw_scatterers(rng: np.random.Generator, pixels: Pixels) -> Scatterers:
    """Draw the fixed scatterers of the landscape of ``pixels`` from the random stream ``rng``."""
    land = pixels.land
    cover = land.cover.ravel()
    # Fields differ by row direction and slope, pixels by single objects; water has neither.
    per_unit = 1.0 * rng.standard_normal(len(land.unit_cover))[land.unit.ravel()]  # (pixel,)
    fixed = per_unit + 0.45 * rng.standard_normal(cover.size)
    town = np.where(
        cover == TOWN, 2.6 * rng.standard_normal(cover.size) + 4.0 * (rng.random(cover.size) < 0.06), 0
    )
    return Scatterers(np.where(cover == WATER, 0, fixed), town)


def surface_backscatter(
    pixels: Pixels,
    scatterers: Scatterers,
    day: int,
    tair: float,
    precip: float,
    wind_db: float,
    incidence_deg: float,
) -> dict[str, np.ndarray]:
    """Backscatter before speckle.

    Parameters
    ----------
    pixels
        Land and growth.
    scatterers
        What does not change from date to date.
    day
        Index into the days of growth.
    tair
        Air temperature, degC: decides whether snow is wet.
    precip
        Precipitation of the day, mm.
    wind_db
        Effect of waves on open water, dB.
    incidence_deg
        Angle of incidence, degrees.

    Returns
    -------
    Per polarisation (pixel,) linear power.
    """
    land, g = pixels.land, pixels.growth
    unit, cover = land.unit.ravel(), land.cover.ravel()
    lai, moisture = pixels.lai(day), pixels.moisture(day)
    frozen = bool(g.frozen[day])
    green = g.green[unit, day]
    # Green leaves hold the water that scatters; dry ones a third of it.
    wet_lai = lai * (0.35 + 0.65 * green)  # (pixel,)
    erect = g.leaf[unit, day] == GRASS_LEAF
    rough = g.rough_db[unit, day]
    out = {}
    for i, pol in enumerate(POLARISATIONS):
        soil = _power(_soil_db(pol, moisture, rough, frozen))
        # Grasses and cereals stand upright and weaken VV; other canopies scatter in all directions.
        power = np.where(
            erect,
            water_cloud(wet_lai, soil, ERECT[pol], incidence_deg),
            water_cloud(wet_lai, soil, LEAFY[pol], incidence_deg),
        )
        if g.snow[day] > 0.1:  # wet snow swallows the wave, dry snow does not (Nagler & Rott 2000)
            power = power * _power(-4.0 * g.snow[day] if tair > 0 else -0.4)
        # Forest is nearly opaque: the ground below its crowns hardly counts.
        for kind in FOREST_DB:
            at = cover == kind
            power[at] = _power(_forest_db(kind, pol, lai[at], moisture[at], frozen))
        power = power * _power(scatterers.fixed_db)
        # Roofs outside villages are single farms: weaker than double bounces of whole streets.
        built = np.clip(land.roof.ravel(), 0, 1) * np.where(cover == TOWN, 1, 0.6)
        power = power * (1 - built) + _power(TOWN_DB[i] + scatterers.town_db) * built
        power = power * (1 - 0.7 * land.road.ravel()) + 0.7 * land.road.ravel() * _power(
            -16.0 if pol == "VV" else -23.0
        )
        lake = cover == WATER
        power[lake] = _power(LAKE_DB[i] + wind_db)
        if precip > 4:
            power = power * _power(0.4)  # drops on the leaves scatter
        out[pol] = power
    return out


def _soil_db(pol: str, moisture: np.ndarray, rough_db: np.ndarray, frozen: bool) -> np.ndarray:
    """Backscatter of bare ground (pixel,) in dB, from soil moisture in m3 m-3 and the gain by roughness in dB."""
    # Above 0.45 m3 m-3 the pores are full. VH gains more from roughness than VV (depolarisation).
    soil_db = (
        SOIL[pol].dry_db
        + SOIL[pol].slope_db * np.minimum(moisture, 0.45)
        + rough_db * (1.0 if pol == "VV" else 1.2)
    )
    # Frozen ground looks dry (Baghdadi et al. 2018, doi:10.3390/rs10121971).
    return soil_db - 3.5 if frozen else soil_db


def _forest_db(kind: int, pol: str, lai: np.ndarray, moisture: np.ndarray, frozen: bool) -> np.ndarray:
    """Backscatter of forest (pixel,) in dB: the level of its kind, more where the ground is wet and in full leaf."""
    is_vv = pol == "VV"
    # Without leaves VV sees the stems; frozen wood has no liquid water.
    wood_db = (
        FOREST_DB[kind][POLARISATIONS.index(pol)]
        - (1.3 if frozen else 0)
        + (0.6 if kind == BROAD else 0.2) * (lai < 1.5) * is_vv
    )
    return wood_db + 3.0 * (moisture - 0.28) * (1 if is_vv else 0.6) + 0.25 * np.log(np.maximum(lai, 0.3) / 4)


def _pass_variation_db(rng: np.random.Generator, pixels: Pixels) -> np.ndarray:
    """(pixel,) dB that dew, wind in the leaves and the uneven drying of fields add to both polarisations of a pass."""
    unit, shape = pixels.land.unit.ravel(), pixels.land.unit.shape
    x, y = (np.arange(n) * PIXEL_M for n in shape[::-1])
    patches = PlaneWaves.draw(rng, 60, 400, n=24).at(x, y).ravel()
    return 0.4 * rng.standard_normal(unit.max() + 1)[unit] + 0.4 * patches


def acquire(
    rng: np.random.Generator,
    pixels: Pixels,
    tair: np.ndarray,
    precip: np.ndarray,
    first: int,
    days: int,
    tracks: Tracks,
) -> Iterator[tuple[int, str, np.ndarray]]:
    """Every Sentinel-1 acquisition of a scene, in order.

    Parameters
    ----------
    rng
        Random stream of Sentinel-1.
    pixels
        Land and growth.
    tair, precip
        (day,) air temperature, degC, and precipitation, mm d-1, spin-up included.
    first
        The scene's first day in them.
    days
        Number of days of the scene.
    tracks
        When Sentinel-1 passes.

    Yields
    ------
    Day of the scene, orbit direction, and backscatter (band, y, x), dB on the 20 m grid.
    """
    scatterers = draw_scatterers(rng, pixels)
    shape = pixels.land.unit.shape
    # Fixed for the scene: day of the first pass, tilt of the fields as each orbit sees it, and angle of incidence.
    offsets = {orbit: int(rng.integers(tracks.every_days)) for orbit in tracks.orbits}
    tilt = {orbit: 0.6 * rng.standard_normal(len(pixels.land.unit_cover)) for orbit in tracks.orbits}
    incidence = {orbit: rng.uniform(33, 43) for orbit in tracks.orbits}
    passes = sorted(
        (day, orbit)
        for orbit, first_day in offsets.items()
        for day in range(first_day, days, tracks.every_days)
    )
    for day, orbit in passes:
        if rng.random() < LOST_SHARE:
            continue
        at = first + day
        # As in ``optics.acquire_day``: a change in one acquisition leaves the others alone.
        local = np.random.default_rng(rng.integers(2**63))
        # By polarisation (pixel,), linear power: means over pixels and speckle are of power, not of dB.
        powers = surface_backscatter(
            pixels, scatterers, at, tair[at], precip[at], 2.5 * local.standard_normal(), incidence[orbit]
        )
        # The tilt of fields towards the sensor, the angle of incidence, and what the pass itself adds.
        pass_factor = _power(
            tilt[orbit][pixels.land.unit.ravel()]
            - 0.12 * (incidence[orbit] - 38)
            + _pass_variation_db(local, pixels)
        )
        image = []
        for pol, power in powers.items():
            mean = block_mean((power * pass_factor).reshape(shape))  # 10 m to 20 m
            # Speckle, a calibration error of the whole image, then the thermal noise that can make power negative.
            noisy = mean * speckle(local, mean.shape, LOOKS[pol]) * _power(0.22 * local.standard_normal())
            noisy = noisy + 0.3 * NOISE_FLOOR * local.standard_normal(mean.shape)
            image.append(np.clip(_db(np.maximum(noisy, 5e-4 if pol == "VV" else 2e-4)), -45, 15))
        yield day, orbit, np.stack(image).astype(np.float32)
