"""Which pixels of Sentinel-2 are clear: as the scene came, or as a detector by name says of all its dates together.

A package adds detectors as entry points of the group ``fluxlens.clear``: functions from the Sentinel-2 node
(``reflectance`` and ``clear``, lazy or not) to bool (time, y, x). Only what is installed can be named, so that no
catalog brings code along.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np
import xarray as xr

from embeddings import schema
from models.errors import InputError

GROUP = "fluxlens.clear"
AS_IT_CAME = "scl"
RISE = 0.03
"""In blue, of reflectance: what it takes to be called haze beside a clear day just before or after."""
RISE_DAYS = 30
"""After so many days it takes twice as much: land changes too."""
REDDER = 1.5
"""Times as much rise in red as in blue, from where on it is soil laid bare and no cloud."""
TILE_PX = 256

Detector = Callable[[xr.Dataset], xr.DataArray]


def scl(s2: xr.Dataset) -> xr.DataArray:
    """As the scene came: where it is from Sen2Cor, classes 4, 5 and 6 of its scene classification."""
    return s2["clear"]


def haze(s2: xr.Dataset) -> xr.DataArray:
    """What came as clear, less the dates on which a pixel is brighter in blue than on its clear days before and after.

    The multi-temporal test of Hagolle et al. (2010, doi:10.1016/j.rse.2010.03.002), here against both sides: haze
    passes, a ploughed field stays. At either end of the series there is one side only.
    """
    if lost := {"B02", "B04"} - set(s2["band"].values.tolist()):
        raise InputError(
            f"Got a scene without {', '.join(sorted(lost))}, need blue and red to tell haze; choose {AS_IT_CAME}."
        )
    tiles = {"time": -1, "y": TILE_PX, "x": TILE_PX}
    part = s2.chunk(tiles) if s2.chunks else s2
    blue, red = (part["reflectance"].sel(band=name, drop=True) for name in ("B02", "B04"))
    return xr.apply_ufunc(
        _without_haze,
        blue,
        red,
        part["clear"],
        kwargs={"day": schema.days(s2).astype("datetime64[D]").astype(np.int64)},
        input_core_dims=[["time"]] * 3,
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[bool],
    ).transpose(*schema.MAPS)


DETECTORS: dict[str, Detector] = {AS_IT_CAME: scl, "haze": haze}


def marked(scene: xr.DataTree, by: str) -> xr.DataTree:
    """The scene with ``clear`` of its Sentinel-2 as the detector ``by`` says; InputError names those there are."""
    detect = detector(by)
    if "s2" not in scene.children:
        raise InputError(
            "Got a scene without Sentinel-2, need it to tell what is clear; choose another scene."
        )
    node = scene["s2"].to_dataset(inherit=False)
    try:
        told = detect(node)
    except InputError:
        raise
    except Exception as error:  # somebody else's code
        raise InputError(f"Got the detector {by}, which failed ({error}); choose {AS_IT_CAME}.") from error
    there, need = node["clear"], (node["clear"].sizes, np.dtype(bool))
    got = (getattr(told, "sizes", None), getattr(told, "dtype", None))
    if got[0] is None or (dict(got[0]), got[1]) != (dict(need[0]), need[1]):
        raise InputError(
            f"Got the detector {by}, which gave {got[1] or type(told).__name__} of {dict(got[0] or {})}, "
            f"need bool of {dict(need[0])}; choose {AS_IT_CAME}."
        )
    seen = node["reflectance"].notnull().any("band")
    clear = (told.transpose(*schema.MAPS) & seen).assign_attrs(there.attrs, detector=by)
    out = scene.copy()
    out["s2"] = xr.DataTree(node.assign(clear=clear))
    return out


def detector(name: str) -> Detector:
    """Ours or an installed one; InputError where there is none of that name."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in DETECTORS:
        return DETECTORS[name]
    if name not in installed:
        known = ", ".join([*DETECTORS, *sorted(installed)])
        raise InputError(f"Got the detector {name!r}, need one of {known}; choose one or install it.")
    return installed[name].load()


def _without_haze(blue: np.ndarray, red: np.ndarray, clear: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Arrays (..., time)."""
    before = _risen(blue, red, clear, day)
    after = _risen(*(part[..., ::-1] for part in (blue, red, clear)), -day[::-1])[..., ::-1]
    return clear & ~(np.fmin(before, after) > RISE)  # NaN on a side that has no neighbour


def _risen(blue: np.ndarray, red: np.ndarray, known: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Rise of blue since the known dates before each, as of one just before; NaN where there is none.

    Haze may stay for two dates: of the last two known ones that with more rise counts.
    """
    last = np.maximum.accumulate(np.where(known, np.arange(len(day)), -1), axis=-1)
    last = np.concatenate([np.full_like(last[..., :1], -1), last[..., :-1]], axis=-1)
    found = np.full(blue.shape, np.nan)
    for _ in range(2):
        at = np.maximum(last, 0)
        more, more_red = (value - np.take_along_axis(value, at, -1) for value in (blue, red))
        rise = np.where(more_red > REDDER * more, 0, more) / (1 + (day - day[at]) / RISE_DAYS)
        found = np.fmax(found, np.where(last < 0, np.nan, rise))
        last = np.where(last < 0, -1, np.take_along_axis(last, at, -1))
    return found
