"""Simulated Landsat 8 over the same land: bands of the Operational Land Imager, every 16 days, 30 m pixels."""

from collections.abc import Iterator

import numpy as np
from fluxlens.embeddings.simulate import optics
from fluxlens.embeddings.simulate.canopy import BANDS
from fluxlens.embeddings.simulate.ground import Pixels
from fluxlens.embeddings.simulate.landscape import PIXEL_M
from fluxlens.embeddings.simulate.optics import Image, Orbits, Pass
from fluxlens.embeddings.simulate.weather import Weather

OVERPASS_H = 10.2
"""Local solar time of the descending node (Landsat 8 Data Users Handbook, USGS, LSDS-1574)."""
EVERY_DAYS = 16
NEXT_PATH_DAYS = 7
"""The neighbouring path to the west is seen seven days later (same handbook)."""
SWATH_KM, SPACING_KM = 185.0, 172.0
"""Width of a path, and its distance from the next at the equator: towards the poles more places lie on two."""
LOST_SHARE = 0.1
"""Share of acquisitions that never reach the archive."""
PATHS = ("P198", "P199")
PIXEL30_M, EDGE_M = 30.0, 15.0
"""Pixel centres lie on multiples of 30 m in UTM, edges half a pixel beside."""

# Sentinel-2A to OLI by band, slope and offset fitted on 500 Hyperion spectra: Claverie et al. 2018, table 5,
# doi:10.1016/j.rse.2018.09.002.
BANDPASS = {
    "B02": (0.9778, -0.0040),
    "B03": (1.0053, -0.0009),
    "B04": (0.9765, 0.0009),
    "B8A": (0.9983, -0.0001),
    "B11": (0.9987, -0.0011),
    "B12": (1.0030, -0.0012),
}
S2_INDEX = [list(BANDS).index(name) for name in BANDPASS]
SLOPE, OFFSET = np.array(list(BANDPASS.values())).T


def passes(rng: np.random.Generator, days: int, lat: float) -> list[Pass]:
    """All acquisitions of the scene's days, in order; at least one.

    Parameters
    ----------
    rng
        Random stream of Landsat 8.
    days
        Number of days.
    lat
        Latitude, degrees: towards the poles paths overlap more, so that more places lie on two.
    """
    first = int(rng.integers(EVERY_DAYS))
    # The share of a parallel that lies on two paths: the paths keep their width where parallels shrink.
    on_two_paths = rng.random() < SWATH_KM / (SPACING_KM * np.cos(np.radians(lat))) - 1
    hotspot_weight = rng.uniform(0.25, 0.45) if on_two_paths else rng.uniform(0.35, 0.65)
    planned = [Pass(day, False, hotspot_weight) for day in range(first, days, EVERY_DAYS)]
    if on_two_paths:
        later = (first + NEXT_PATH_DAYS) % EVERY_DAYS
        planned += [Pass(day, True, 1 - hotspot_weight) for day in range(later, days, EVERY_DAYS)]
    planned = sorted(planned, key=lambda p: p.day) or [Pass(days - 1, False, hotspot_weight)]
    return [p for p in planned if rng.random() > LOST_SHARE] or planned[:1]


def acquire(
    rng: np.random.Generator,
    pixels: Pixels,
    weather: Weather,
    first: int,
    days: int,
    cloud_logit: float,
    x: np.ndarray,
    y: np.ndarray,
) -> Iterator[Image]:
    """Every Landsat 8 acquisition of a scene, 30 m pixels repeated on the 10 m grid.

    Atmosphere, errors of the correction and the mask are those of ``optics.acquire_day``, at another hour with random
    numbers of its own; averaging over nine pixels leaves a third of the noise, as OLI's better signal-to-noise ratio
    does.

    Parameters
    ----------
    rng
        Random stream of Landsat 8.
    pixels
        Land and growth.
    weather
        Daily weather, spin-up included.
    first
        The scene's first day in ``weather``.
    days
        Number of days of the scene.
    cloud_logit
        Added to the cloud cover's logit.
    x, y
        Pixel centres of the 10 m grid, UTM metres.

    Yields
    ------
    The pass, and what ``optics.observe`` returns, bands as ``BANDPASS``.
    """
    orbits = Orbits(cloud_logit=cloud_logit, mask_skill=float(np.exp(rng.normal(0, 0.3))))
    (rows, row), (cols, col) = coverage(-y), coverage(x)
    for p in passes(rng, days, weather.lat):
        image, clear, cloud = optics.acquire_day(
            rng, pixels, weather, first + p.day, p.hotspot_weight, OVERPASS_H, orbits
        )

        def at_30m(field: np.ndarray) -> np.ndarray:
            # The mean over each 30 m pixel, (coarse y, coarse x), repeated on the 10 m pixels in it.
            return np.einsum("ry,yx...,cx->rc...", rows, field, cols, optimize=True)[row][:, col]

        reflectance = np.round(at_30m(image[..., S2_INDEX]) * SLOPE + OFFSET, 4).astype(np.float32)
        # CFMask buffers what it finds (Foga et al. 2017, doi:10.1016/j.rse.2017.03.026): a part is enough.
        yield p, reflectance, at_30m(clear) > 0.99, at_30m(cloud) > 0.1


def coverage(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How 30 m pixels lie over 10 m pixels along one axis.

    Parameters
    ----------
    centre
        (fine,) ascending pixel centres of the 10 m grid, metres.

    Returns
    -------
    Weights (coarse, fine) of the mean over each 30 m pixel, adding up to one, and the index (fine,) of the 30 m pixel
    that each centre lies in.
    """
    index = np.floor((centre - EDGE_M) / PIXEL30_M).astype(int)
    left = (np.arange(index[0], index[-1] + 1) * PIXEL30_M + EDGE_M)[:, None]
    half = PIXEL_M / 2
    overlap = np.minimum(left + PIXEL30_M, centre + half) - np.maximum(left, centre - half)
    share = np.clip(overlap, 0, None)
    return share / share.sum(1, keepdims=True), index - index[0]
