"""Whether reflectance can be that of land: an offset left in or removed twice, or a wrong factor.

Since processing baseline 04.00 the numbers of Sentinel-2 hold an offset of 0.1, which some archives remove and others
do not. Each single spectrum with it looks like haze over land, and an embedding mends it in part, so that neither can
be told day by day. A season can: green leaves absorb blue and red light, hence some clear day of vegetated land is dark
in both. What counts as vegetated does not depend on the fault looked for: an offset leaves the difference of near
infrared and red as it is, a factor their ratio.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

VEGETATED_DIFFERENCE = 0.15
"""Near infrared less red reflectance above which a spectrum shows green leaves, whatever the offset."""
VEGETATED_NDVI = 0.5
"""The same of the normalised difference, whatever the factor."""
DARK_QUANTILE = 0.1
"""Share of vegetated spectra that haze and cloud surely spare."""
LEAST_OFFSET = 0.09
"""Reflectance in blue and in red that these exceed with an offset of 0.1. Without it one of them lies below at
every one of 277 grassland plots of Slovakia, 30 sites of Landsat and Sentinel-2 and 69 of MODIS, and at 93 % of 600
single parcels of Korea, some of them greenhouses."""
LEAST_OFFSET_RED_EDGE = 0.16
"""The same of B12 and B05, for scenes of 20 m bands alone: without an offset one of them lies below at all of the
plots, and at 95 % of the parcels."""
FAINT_NIR = 0.08
"""Near infrared reflectance that vegetation exceeds: the darkest hundredth of its spectra has 0.1 to 0.16 there."""
FAINT_QUANTILE = 0.9
"""Share of the vegetated spectra that must be fainter, so that shade and dark water do not count."""
LEAST_SHARE = 0.02
"""Share of the spectra that must be vegetated: fewer are noise of water, snow or rock."""
SAMPLE_PX, SAMPLE_DATES, SAMPLE_SPECTRA = 32, 24, 200
"""Middle of a scene, dates over its period, and vegetated spectra of these that decide."""
ATTR = "reflectance_fault"
"""Attribute of a cube whose scene has a fault; others lack it."""
TOO_HIGH = "reflectance about 0.1 too high, as with an offset left in"
TOO_LOW = "reflectance below zero over vegetation, as with an offset removed twice"
TOO_FAINT = "reflectance about ten times too small"


def find_fault(
    blue: np.ndarray,
    red: np.ndarray,
    nir: np.ndarray,
    least: int = SAMPLE_SPECTRA,
    least_offset: float = LEAST_OFFSET,
) -> str:
    """Tell what is wrong with the reflectance of many dates of one place.

    Parameters
    ----------
    blue, red, nir
        Reflectance of the same spectra, 0-1, any one shape; NaN is passed over.
    least
        Vegetated spectra without which nothing is told.
    least_offset
        Reflectance that the dark bands exceed with an offset: ``LEAST_OFFSET``, or with B12 and B05 in place of blue
        and red ``LEAST_OFFSET_RED_EDGE``.

    Returns
    -------
    str
        One of ``TOO_HIGH``, ``TOO_LOW``, ``TOO_FAINT``; empty where nothing is wrong or too little is known.
    """
    known = np.isfinite(blue) & np.isfinite(red) & np.isfinite(nir)
    blue, red, nir = (np.asarray(band, float)[known] for band in (blue, red, nir))  # (spectrum,)
    need = max(least, LEAST_SHARE * len(blue))
    green = nir - red > VEGETATED_DIFFERENCE
    if green.sum() >= need:
        if np.quantile(np.minimum(blue, red)[green], DARK_QUANTILE) > least_offset:
            return TOO_HIGH
        # The median and not a quantile: deep shadow is below zero on some days of any place.
        if np.median(np.maximum(blue, red)[green]) < 0:
            return TOO_LOW
    # Without division: sums near zero are those of water and shade.
    green = nir - red > VEGETATED_NDVI * np.maximum(nir + red, 1e-6)
    if green.sum() >= need and np.quantile(nir[green], FAINT_QUANTILE) < FAINT_NIR:
        return TOO_FAINT
    return ""


def scene_fault(scene: xr.DataTree) -> str:
    """Tell what is wrong with the Sentinel-2 reflectance of a scene.

    Parameters
    ----------
    scene
        Validated, lazy or not; of a lazy one the middle of some dates is read.

    Returns
    -------
    str
        As of :func:`find_fault`; empty also without Sentinel-2, without the bands, and of files that cannot be read,
        which embedding says.
    """
    if "s2" not in scene.children or "reflectance" not in scene["s2"]:
        return ""
    node = scene["s2"]
    values = node["reflectance"]
    names = [str(name) for name in values["band"].values]
    # The narrow band first: 20 m, as the red edge and short-wave bands that may stand in below.
    near_infrared = next((name for name in ("B8A", "B08") if name in names), "")
    dark, least_offset = ["B02", "B04"], LEAST_OFFSET
    if not set(dark) <= set(names):
        dark, least_offset = ["B12", "B05"], LEAST_OFFSET_RED_EDGE
    if not near_infrared or not set(dark) <= set(names):
        return ""
    count = values.sizes["time"]
    box: dict[str, object] = {
        "time": np.unique(np.linspace(0, count - 1, min(count, SAMPLE_DATES)).astype(int))
    }
    for dim in ("y", "x"):
        # One square of each date: it lies in few chunks, where scattered pixels would touch them all.
        first = max(0, (values.sizes[dim] - SAMPLE_PX) // 2)
        box[dim] = slice(first, first + SAMPLE_PX)
    try:
        # As blocks are read: Dask's pools inside its pools wait for each other when one fails.
        bands = values.sel(band=[*dark, near_infrared]).isel(box).compute(scheduler="synchronous")
        clear = node["clear"].isel(box).compute(scheduler="synchronous").values if "clear" in node else True
    except (OSError, ValueError, RuntimeError):
        return ""
    blue, red, nir = (np.where(clear, band, np.nan) for band in np.moveaxis(bands.values, 1, 0))
    return find_fault(blue, red, nir, least_offset=least_offset)
