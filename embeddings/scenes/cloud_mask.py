"""Cloud masks of Sentinel-2: as the scene came, or by a named detector that looks at all its dates together.

A package adds detectors as entry points of the group ``fluxlens.clear``: functions from the Sentinel-2 node
(``reflectance`` and ``clear``, lazy or not) to bool (time, y, x). Only what is installed can be named, so that no
catalog brings code along.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np
import xarray as xr
from fluxlens.embeddings.scenes import schema
from fluxlens.embeddings.scenes.packing import is_chunked
from fluxlens.models.errors import InputError

GROUP = "fluxlens.clear"

SCL = "scl"

RISE = 0.03
"""Increase of blue reflectance over a clear day just before or after, from which on a pixel counts as haze
(Hagolle et al. 2010)."""

RISE_DAYS = 30
"""After so many days the increase must be twice as large: land changes too (ibid.)."""

REDDER = 1.5
"""Ratio of the increase in red to that in blue, from which on it is bare soil and no cloud (ibid.)."""

TILE_PX = 256
"""Side of the tiles a lazy scene is processed in, all dates at once."""

Detector = Callable[[xr.Dataset], xr.DataArray]
"""From the node /s2 to bool (time, y, x)."""


def scl(s2: xr.Dataset) -> xr.DataArray:
    """The mask the scene came with.

    Parameters
    ----------
    s2
        The node /s2.

    Returns
    -------
    xarray.DataArray
        ``clear`` (time, y, x) bool; where it is from Sen2Cor, classes 4, 5 and 6 of its scene classification.
    """
    return s2["clear"]


def haze(s2: xr.Dataset) -> xr.DataArray:
    """The mask the scene came with, less dates on which a pixel is brighter in blue than on clear days around it.

    The multi-temporal test of Hagolle et al. (2010, doi:10.1016/j.rse.2010.03.002), here against both sides: haze
    passes, a ploughed field stays. At either end of the series there is one side only.

    Parameters
    ----------
    s2
        The node /s2, with B02 and B04; lazy or not.

    Returns
    -------
    xarray.DataArray
        (time, y, x) bool.

    Raises
    ------
    InputError
        Without blue or red.
    """
    if lost := {"B02", "B04"} - set(s2["band"].values.tolist()):
        raise InputError(
            f"Got a scene without {', '.join(sorted(lost))}, need blue and red to tell haze; choose {SCL}."
        )
    # The test looks at all dates of a pixel and at no neighbour: tiles of all dates need no overlap.
    tiles = {"time": -1, "y": TILE_PX, "x": TILE_PX}
    chunked = s2.chunk(tiles) if is_chunked(s2) else s2
    blue, red = (chunked["reflectance"].sel(band=name, drop=True) for name in ("B02", "B04"))
    return xr.apply_ufunc(
        _without_haze,
        blue,
        red,
        chunked["clear"],
        kwargs={"day": schema.utc_days(s2).astype("datetime64[D]").astype(np.int64)},
        input_core_dims=[["time"]] * 3,
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[bool],
    ).transpose(*schema.MAPS)


DETECTORS: dict[str, Detector] = {SCL: scl, "haze": haze}


def apply_cloud_mask(scene: xr.DataTree, by: str) -> xr.DataTree:
    """Replace the cloud mask of a scene.

    Parameters
    ----------
    scene
        With /s2.
    by
        Name of the detector.

    Returns
    -------
    xarray.DataTree
        A copy whose ``/s2/clear`` is the detector's, and False where no band has data.

    Raises
    ------
    InputError
        Without Sentinel-2, for an unknown detector, and for one that fails or answers with another shape or dtype.
    """
    detect = detector(by)
    if "s2" not in scene.children:
        raise InputError(
            "Got a scene without Sentinel-2, need it to tell what is clear; choose another scene."
        )
    node = scene["s2"].to_dataset(inherit=False)
    try:
        detected = detect(node)
    except InputError:
        raise
    except Exception as error:  # somebody else's code
        raise InputError(f"Got the detector {by}, which failed ({error}); choose {SCL}.") from error
    # Shape and dtype before use: a mask of floats or of another order of dims would be broadcast without a word.
    before, need = node["clear"], (node["clear"].sizes, np.dtype(bool))
    got = (getattr(detected, "sizes", None), getattr(detected, "dtype", None))
    if got[0] is None or (dict(got[0]), got[1]) != (dict(need[0]), need[1]):
        raise InputError(
            f"Got the detector {by}, which gave {got[1] or type(detected).__name__} of {dict(got[0] or {})}, "
            f"need bool of {dict(need[0])}; choose {SCL}."
        )
    # A detector of others need not know that pixels without data are never clear.
    has_data = node["reflectance"].notnull().any("band")
    clear = (detected.transpose(*schema.MAPS) & has_data).assign_attrs(before.attrs, detector=by)
    out = scene.copy()
    out["s2"] = xr.DataTree(node.assign(clear=clear))
    return out


def detector(name: str) -> Detector:
    """A detector by name.

    Parameters
    ----------
    name
        Of ``DETECTORS``, or an installed entry point of the group ``fluxlens.clear``.

    Returns
    -------
    Detector

    Raises
    ------
    InputError
        Names those there are.
    """
    installed = {point.name: point for point in entry_points(group=GROUP)}
    # Own names first: a package that is installed cannot change what they mean.
    if name in DETECTORS:
        return DETECTORS[name]
    if name not in installed:
        known = ", ".join([*DETECTORS, *sorted(installed)])
        raise InputError(f"Got the detector {name!r}, need one of {known}; choose one or install it.")
    return installed[name].load()


def _without_haze(blue: np.ndarray, red: np.ndarray, clear: np.ndarray, day: np.ndarray) -> np.ndarray:
    """``clear`` less haze; arrays (..., time), ``day`` (time)."""
    before = _blue_increase(blue, red, clear, day)
    # backwards in time the day after is the day before
    after = _blue_increase(*(series[..., ::-1] for series in (blue, red, clear)), -day[::-1])[..., ::-1]
    # The smaller of the two increases: land that stays bright, such as bare soil, is brighter on one side only.
    return clear & ~(np.fmin(before, after) > RISE)  # NaN on a side that has no neighbour


def _blue_increase(blue: np.ndarray, red: np.ndarray, known: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Increase of blue since the clear dates before each, scaled to a date just before; NaN where there is none.

    Haze may stay for two dates: of the last two clear ones that with the larger increase counts. Arrays (..., time).
    """
    # index of the last clear date strictly before each date, -1 where there is none
    last = np.maximum.accumulate(np.where(known, np.arange(len(day)), -1), axis=-1)
    last = np.concatenate([np.full_like(last[..., :1], -1), last[..., :-1]], axis=-1)
    increase = np.full(blue.shape, np.nan)
    for _ in range(2):  # the last clear date, then the one before it
        at = np.maximum(last, 0)
        more, more_red = (value - np.take_along_axis(value, at, -1) for value in (blue, red))
        # Soil rises more in red than in blue, haze the other way round.
        rise = np.where(more_red > REDDER * more, 0, more) / (1 + (day - day[at]) / RISE_DAYS)
        increase = np.fmax(increase, np.where(last < 0, np.nan, rise))
        last = np.where(last < 0, -1, np.take_along_axis(last, at, -1))
    return increase
