"""Simulated Sentinel-2: acquisition dates, haze, clouds, shadows, blur, noise, and a cloud mask that errs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from fluxlens.embeddings.geometry import block_mean
from fluxlens.embeddings.simulate.canopy import BANDS
from fluxlens.embeddings.simulate.ground import Pixels
from fluxlens.embeddings.simulate.noise import PlaneWaves
from fluxlens.embeddings.simulate.weather import Weather, sun_zenith_deg

OVERPASS_H = 10.6
"""Local solar time of the descending node, 10:30 (Sentinel-2 User Handbook, ESA), and a little."""
CLOUD_TINT = np.array([1.00, 1.00, 1.00, 1.00, 0.99, 0.98, 0.97, 0.96, 0.72, 0.55], dtype=np.float32)
"""Brightness of cloud relative to the visible:
droplets and ice absorb in the shortwave infrared (Nakajima & King 1990)."""
SKYLIGHT = np.array([0.42, 0.33, 0.25, 0.22, 0.20, 0.18, 0.16, 0.15, 0.04, 0.02], dtype=np.float32)
"""Share of light left in a cloud's shadow: the blue sky still shines."""
HAZE_SLOPE = (np.array([band.centre_nm for band in BANDS.values()]) / 492.4) ** -1.4
"""Aerosol scattering by wavelength, Ångström exponent 1.4 (continental aerosol, Dubovik et al. 2002)."""
PARALLAX = np.array([-0.9, 0.0, 0.55, 0.75, 0.9, 1.1, -0.45, 1.3, 1.0, 1.8], dtype=np.float32)
"""Push-broom bands look in turn: a high cloud is displaced between them
(Sentinel-2 MSI technical guide); relative."""


@dataclass(frozen=True)
class Orbits:
    """When Sentinel-2 passes, how cloudy it is, and how good the cloud mask is."""

    every_days: int = 5
    second: bool = False
    """A second relative orbit covers the place too, seen 2 or 3 days apart and from the other side."""
    lost_share: float = 0.04
    """Share of acquisitions that never reach the archive."""
    cloud_logit: float = 0.0
    """Added to the cloud cover's logit."""
    mask_skill: float = 1.0
    """Around 1; less makes the mask miss more haze, thin cloud and shadow."""


@dataclass(frozen=True)
class Pass:
    """One acquisition."""

    day: int
    """Index into the scene's days."""
    second: bool
    hotspot_weight: float
    """1: sun at the sensor's back; 0: the sensor looks against the sun."""


@dataclass(frozen=True)
class Atmosphere:
    """Optical effects over the scene at one acquisition, (y, x)."""

    cloud_thickness: np.ndarray
    """Optical thickness of cloud."""
    shadow: np.ndarray
    """Share of direct sunlight taken away, 0-1."""
    haze: np.ndarray
    """Reflectance added in the blue."""


Image = tuple[Pass, np.ndarray, np.ndarray, np.ndarray]
"""An acquisition: pass, reflectance (y, x, band), clear (y, x), true cloud (y, x)."""


def passes(rng: np.random.Generator, days: int, orbits: Orbits) -> list[Pass]:
    """All acquisitions of the scene's days, in order; at least one.

    Parameters
    ----------
    rng
        Random stream of Sentinel-2.
    days
        Number of days.
    orbits
        Repeat cycle, second orbit and share of lost acquisitions.
    """
    first = int(rng.integers(orbits.every_days))
    # The neighbouring orbit passes two or three days later and looks from the other side of the swath.
    other = (first + int(rng.integers(2, 4))) % orbits.every_days
    edge = rng.uniform(0.1, 0.4)
    planned = [
        Pass(day, False, edge if orbits.second else rng.uniform(0.35, 0.65))
        for day in range(first, days, orbits.every_days)
    ]
    if orbits.second:
        planned += [Pass(day, True, 1 - edge) for day in range(other, days, orbits.every_days)]
    # Lost at random: tiles that were never produced or published.
    delivered = [p for p in sorted(planned, key=lambda p: p.day) if rng.random() > orbits.lost_share]
    # A scene without one image is no scene.
    return delivered or sorted(planned, key=lambda p: p.day)[:1]


def draw_atmosphere(
    rng: np.random.Generator, cover: float, x: np.ndarray, y: np.ndarray, sun_deg: float
) -> Atmosphere:
    """Clouds, shadows and haze of one moment: fractal fields cut at a level, shadows thrown away from the sun.

    Parameters
    ----------
    rng
        Random stream of the acquisition.
    cover
        Cloud cover, 0-1; it sets the level.
    x, y
        Axes of the grid, (x,) and (y,), metres.
    sun_deg
        Solar zenith angle, degrees; with the cloud's height it sets how far the shadow falls.
    """
    # Two scales of cloud: systems of kilometres, and the cells inside them.
    broad = PlaneWaves.draw(rng, 2500, 14000, 0.6, 16)
    fine = PlaneWaves.draw(rng, 45, 2500, 0.62, 96)
    patchy = rng.uniform(0.35, 0.75)
    # Fields are roughly normal: the level is where the covered share lies above it.
    level = np.clip(2.1 - 3.8 * cover, -2.6, 2.6)
    # Optical thickness gained per unit above the level: low for a soft veil, high for sharp cumulus.
    rise = rng.uniform(4, 16)

    def thickness(dx: float, dy: float) -> np.ndarray:
        value = np.sqrt(1 - patchy**2) * broad.at(x + dx, y + dy) + patchy * fine.at(x + dx, y + dy)
        return rise * np.maximum(value - level, 0) ** 1.3

    height_m = rng.uniform(600, 3000)
    # At most 75 degrees: towards the horizon the distance of the shadow grows without bound.
    reach = height_m * np.tan(np.radians(min(sun_deg, 75)))
    azimuth = np.radians(rng.uniform(140, 170))
    # The cloud that shades a pixel stands towards the sun: the same field, looked up there.
    shading_cloud = thickness(reach * np.sin(azimuth), reach * np.cos(azimuth))
    shadow = (1 - np.exp(-0.35 * shading_cloud)) * 0.9
    thick = thickness(0, 0)
    # Cirrus comes with other cloud more often than alone.
    if rng.random() < 0.25 + 0.3 * cover:  # cirrus: thin, wide, streaky
        veil = PlaneWaves.draw(rng, 500, 6000, 1.0, 32).at(x, y)
        thick = thick + rng.gamma(1.2, 0.25) * np.clip(veil + rng.uniform(-0.8, 1.0), 0, 2)
    haze = np.zeros_like(thick)
    if rng.random() < 0.15:
        level_haze = rng.gamma(1.5, 0.010)
        haze = level_haze * np.clip(1 + 0.45 * PlaneWaves.draw(rng, 300, 5000).at(x, y), 0.1, 2.5)
    return Atmosphere(thick, shadow, haze)


def _blur(image: np.ndarray, dx: float, dy: float, width: float) -> np.ndarray:
    """``image`` (y, x, band) blurred by a Gaussian of ``width`` pixels and displaced by ``dx``, ``dy`` pixels."""
    for axis, shift in ((1, dx), (0, dy)):
        # Five taps of a shifted Gaussian along each axis: blur and displacement in one pass.
        taps = np.exp(-0.5 * ((np.arange(-2, 3) - shift) / width) ** 2)
        taps = (taps / taps.sum()).astype(np.float32)
        pad = [(0, 0)] * 3
        pad[axis] = (2, 2)
        wide = np.pad(image, pad, mode="edge")
        n = image.shape[axis]
        image = sum(np.take(wide, range(k, k + n), axis=axis) * taps[k] for k in range(5))
    return image


def _average_to_20m(image: np.ndarray, where: list[int]) -> None:
    """Average the listed bands of (y, x, band) over 2 x 2 pixels, in place."""
    ny, nx, _ = image.shape
    block = image[..., where].reshape(ny // 2, 2, nx // 2, 2, -1).mean(axis=(1, 3))  # (y / 2, x / 2, band)
    image[..., where] = block.repeat(2, axis=0).repeat(2, axis=1)


BANDS_20M = [i for i, band in enumerate(BANDS.values()) if band.native_m == 20]


def observe(
    rng: np.random.Generator, surface: np.ndarray, air: Atmosphere, snow: float, mask_skill: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a level-2A product shows of a surface under an atmosphere.

    Cloud: two-stream albedo with asymmetry 0.85 (after Lacis & Hansen 1974); level-2A correction errs by a
    few percent, correlated over bands, and more in the blue (validated uncertainty of Sen2Cor: 5 % + 0.005,
    Doxani et al. 2018, doi:10.3390/rs10020352); sensor noise as small as on the calmest ground of measured
    scenes (0.001 in the visible): it keeps the mission's requirement (> 100 to 170) with a margin.

    Parameters
    ----------
    rng
        Random stream of the acquisition.
    surface
        (y, x, band) surface reflectance.
    air
        Clouds, shadows and haze.
    snow
        Share of the ground under snow, 0-1; the mask takes bright snow for cloud.
    mask_skill
        Around 1; less makes the mask miss more.

    Returns
    -------
    reflectance (y, x, band) float32; clear by the mask (y, x) bool; true cloud, shadow or haze (y, x) bool.
    """
    bands = surface.shape[-1]
    # Geolocation errs by about a quarter of a pixel, anew at each pass.
    image = _blur(surface, *(0.28 * rng.standard_normal(2)), 0.55)
    thick, shadow = air.cloud_thickness[..., None], air.shadow[..., None]  # (y, x, 1)
    image = image * (1 - shadow * (1 - SKYLIGHT))
    # Two-stream albedo (1 - g) tau / (2 + (1 - g) tau) with g = 0.85, scaled to the level-2A view of bright cloud.
    albedo = 0.15 * thick / (2 + 0.15 * thick) * 1.55
    if air.cloud_thickness.max() > 0.05:  # parallax: bands see a high cloud displaced along the track
        displacement_px = rng.uniform(0, 1.3)
        slope = np.gradient(albedo[..., 0], axis=0)[..., None]
        albedo = np.clip(albedo + slope * displacement_px * PARALLAX, 0, 1)
    albedo = np.minimum(albedo, 0.95)
    image = image * (1 - albedo) ** 1.6 + albedo * CLOUD_TINT * 0.95
    # Haze adds path reflectance and takes away a little more of the surface.
    hazy = air.haze[..., None] * HAZE_SLOPE
    image = image * (1 - 1.2 * hazy) + hazy

    # Errors of the atmospheric correction: an offset that falls with wavelength, and gains with a slope over bands.
    aerosol = 0.0065 * rng.standard_normal() * HAZE_SLOPE
    gain = 1 + 0.042 * rng.standard_normal() + 0.030 * rng.standard_normal() * np.linspace(-1, 1, bands)
    gain = gain + 0.012 * rng.standard_normal(bands)
    image = image * gain + aerosol + 0.0015 * rng.standard_normal(bands)
    # A 20 m band has about 1.2 times the noise of a 10 m band, in the mean of four pixels.
    native = np.where([b.native_m == 10 for b in BANDS.values()], 1.0, 2.4)
    image = image + (0.0006 + 0.004 * image) * native * rng.standard_normal(image.shape)
    image = image.astype(np.float32)
    _average_to_20m(image, BANDS_20M)
    # Products come in steps of 1e-4 and clip at low and high values.
    image = np.clip(np.round(image, 4), 1e-4, 1.6).astype(np.float32)

    # Truth is generous: thin cloud, faint shadow and haze count, since they change the reflectance.
    cloud_truth = (air.cloud_thickness > 0.25) | (air.shadow > 0.12) | (air.haze > 0.02)
    return image, _scl_clear(rng, image, air, snow, mask_skill), cloud_truth


def _scl_clear(
    rng: np.random.Generator, image: np.ndarray, air: Atmosphere, snow: float, mask_skill: float
) -> np.ndarray:
    """A mask with the known faults of Sen2Cor's scene classification, on 20 m (Baetens et al. 2019,
    doi:10.3390/rs11040433).

    It finds thick cloud, but some dates not thin cloud and haze; it takes cloud edges for land, misses
    faint shadows and on many dates all of them, and takes bright ground for cloud and dark ground for shadow.
    """

    # The mask is on 20 m, twice the pixels of the image.
    thick, shadow, haze = block_mean(air.cloud_thickness), block_mean(air.shadow), block_mean(air.haze)
    wobble = rng.standard_normal(thick.shape)
    # Thresholds differ from date to date, by far more than from pixel to pixel.
    cloud_threshold = np.exp(rng.normal(-0.2, 0.8)) / mask_skill
    flagged = thick + 18 * haze * (rng.random() < 0.5) > cloud_threshold * (1 + 0.15 * wobble)
    # 1.2: no shadow is found at all on that date.
    shadow_threshold = rng.choice([0.2, 0.38, 0.6, 1.2], p=[0.2, 0.2, 0.25, 0.35]) / mask_skill
    flagged |= shadow > shadow_threshold * (1 + 0.1 * wobble)
    if rng.random() < 0.35:  # a buffer, some dates
        grown = flagged.copy()
        grown[1:] |= flagged[:-1]
        grown[:-1] |= flagged[1:]
        grown[:, 1:] |= flagged[:, :-1]
        grown[:, :-1] |= flagged[:, 1:]
        flagged = grown
    blue, nir = block_mean(image[..., 0]), block_mean(image[..., 6])  # B02 and B08
    # On some dates bright soil and roofs pass for cloud, dark forest and water for shadow.
    bright = (blue > 0.20) & (rng.random() < 0.7) & (thick < 0.2)
    dark = (nir < 0.10) & (blue < 0.035) & (rng.random() < 0.35)
    snowy = (snow > 0.25) & (blue > 0.25)
    bad = flagged | bright | dark | snowy
    # Rarely the mask is speckled all over.
    if rng.random() < 0.06:
        bad |= wobble > 1.2
    return ~bad.repeat(2, axis=0).repeat(2, axis=1)


def _pass_variation(rng: np.random.Generator, pixels: Pixels, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(pixel, 1) factor by which sun, rows, wind and dew change reflectance from pass to pass, field by field:
    a few percent (Roy et al. 2017)."""
    unit = pixels.land.unit.ravel()
    fields = 0.025 * rng.standard_normal(unit.max() + 1)[unit]
    patches = 0.012 * PlaneWaves.draw(rng, 60, 600, n=24).at(x, y).ravel()
    return np.exp(fields + patches).astype(np.float32)[:, None]


def acquire(
    rng: np.random.Generator, pixels: Pixels, weather: Weather, first: int, days: int, orbits: Orbits
) -> Iterator[Image]:
    """Every Sentinel-2 acquisition of a scene, in order.

    Parameters
    ----------
    rng
        Random stream of Sentinel-2.
    pixels
        Land and growth.
    weather
        Daily weather, spin-up included.
    first
        The scene's first day in ``weather``.
    days
        Number of days of the scene.
    orbits
        When Sentinel-2 passes, cloudiness and skill of the mask.

    Yields
    ------
    The pass, and what ``observe`` returns.
    """
    for p in passes(rng, days, orbits):
        yield (p, *acquire_day(rng, pixels, weather, first + p.day, p.hotspot_weight, OVERPASS_H, orbits))


def acquire_day(
    rng: np.random.Generator,
    pixels: Pixels,
    weather: Weather,
    day: int,
    hotspot_weight: float,
    local_h: float,
    orbits: Orbits,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One acquisition under clouds of its own.

    Parameters
    ----------
    rng
        Random stream of the sensor; one number is drawn, the seed of this acquisition.
    pixels
        Land and growth.
    weather
        Daily weather; its cloud cover is the mean of what the moment may show.
    day
        Index into ``weather``.
    hotspot_weight
        1 where the sun stands at the sensor's back, 0 where the sensor looks against it.
    local_h
        Local solar time, hours.
    orbits
        Cloudiness and skill of the mask.

    Returns
    -------
    As ``observe``: reflectance (y, x, band) 0-1, the mask's and the true state of clouds (y, x) bool.
    """
    shape = pixels.land.unit.shape
    x = np.arange(shape[1]) * 10.0
    y = -np.arange(shape[0]) * 10.0
    # A stream of its own: a change in one acquisition leaves all others as they are.
    local = np.random.default_rng(rng.integers(2**63))
    sun_deg = sun_zenith_deg(weather.lat, weather.days[day].day_of_year, local_h)
    surface = pixels.reflectance(day, sun_deg, hotspot_weight, np.exp(0.25 * local.standard_normal()))
    surface = surface * _pass_variation(local, pixels, x, y)
    # The moment's cover scatters around the day's, in the logit.
    daily = np.clip(weather.cloud[day], 0.01, 0.99)
    moment = 1 / (
        1 + np.exp(-(np.log(daily / (1 - daily)) * 0.9 + 0.5 * local.standard_normal() + orbits.cloud_logit))
    )
    air = draw_atmosphere(local, moment, x, y, sun_deg)
    snow = float(pixels.growth.snow[day])
    return observe(local, surface.reshape(*shape, -1), air, snow, orbits.mask_skill)
