"""CF packing: stored numbers to values, as each variable's own attributes say.

Sections 2.5.1 (missing data, valid range) and 8.1 (packed data) of the conventions, and the spellings of rioxarray
(``scales``, ``offsets``), odc-stac and GDAL (``nodata``).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.scenes import packing as scenes_packing

FILLS = ("_FillValue", "missing_value", "nodata", "nodatavals", "_nodata", "no_data", "missing")
STEP = 1e-4
"""Reflectance per digital number where a file does not say otherwise."""


def is_packed(array: xr.DataArray) -> bool:
    """Whether a variable says how its numbers are to be scaled.

    Parameters
    ----------
    array
        A variable of any dims with its attributes, digital numbers as stored.

    Returns
    -------
    bool
        True where ``scale_factor`` or ``add_offset`` do something.
    """
    return (
        _attribute(array, ("scale_factor", "scales"), 1.0) != 1.0
        or _attribute(array, ("add_offset", "offsets"), 0.0) != 0.0
    )


def unpack(
    array: xr.DataArray, step: float | None = None, fill: float | None = None, added: xr.DataArray | int = 0
) -> xr.DataArray:
    """Numbers as the variable's own attributes say: CF packing, fill values and valid range.

    Parameters
    ----------
    array
        A variable with its attributes, numbers as stored; any dims.
    step
        Value of one digital number where the variable says nothing; None leaves the numbers.
    fill
        Number that means no data where the variable names none; None: no number does.
    added
        Digital numbers to add before scaling, for all dates or along ``time``: the offset of a processing baseline.

    Returns
    -------
    xarray.DataArray
        float32 of the same dims in the variable's units, NaN where there is no data, without packing attributes.
    """
    scale = _attribute(array, ("scale_factor", "scales"), 1.0)
    offset = _attribute(array, ("add_offset", "offsets"), 0.0)
    # Variables and not arrays: all share the array's coordinates, which xarray would compare again at each step, a
    # third of the time that a small file takes to open.
    numbers = _unsigned(array)
    added = added.variable if isinstance(added, xr.DataArray) else added
    fills = [value for key in FILLS for value in np.ravel(array.attrs.get(key, ())) if _is_number(value)]
    # NetCDF 3 writes the fill value of unsigned numbers as the signed number of the same bits: -1 is 65535.
    bits = 2.0 ** (8 * array.dtype.itemsize) if numbers.dtype != array.dtype else 0.0
    fills = [float(value) + (bits if float(value) < 0 else 0.0) for value in fills]
    valid = numbers.notnull()
    if fill is not None:
        # NaN alone is what xarray adds to all floats it writes, and tells nothing of 0
        fills = fills if any(map(np.isfinite, fills)) else [fill]
        # 65535 is "saturated" of Sentinel-2's products and what casts make of -1; -9999 and -32768 are the usual
        # values for no data. None is a measurement, whether the file says so or not.
        if numbers.dtype == np.uint16:
            fills.append(65535.0)
        elif numbers.dtype == np.int16:
            fills += [-9999.0, -32768.0]
    for value in fills:
        if np.isfinite(value):
            valid &= numbers != (np.float32(value) if numbers.dtype == np.float32 else value)
    low, high = _valid_range(array, scale)
    if low is not None:
        valid &= numbers >= low
    if high is not None:
        valid &= numbers <= high
    packed = scale != 1.0 or offset != 0.0
    # Floats of digital numbers (stackstac, cubo) are scaled by ``step`` too: the caller has looked at them.
    if not packed and step is not None:
        scale = step
    if numbers.dtype.kind == "f":
        valid &= numbers > scenes_packing.NO_DATA_AT_MOST
    shift = offset / scale if scale else 0.0
    if numbers.dtype.kind in "iu" and np.isclose(scale, STEP, rtol=1e-6) and abs(shift - round(shift)) < 1e-3:
        # whole steps of 0.0001: exact, and bit for bit what our own scenes hold
        values = scenes_packing.unpack(numbers.astype("float32") + np.float32(round(shift)) + added, STEP)
    elif scale == 1.0 and offset == 0.0 and isinstance(added, int) and added == 0:
        values = numbers.astype("float32")
    else:
        values = ((numbers.astype("float64") + added) * scale + offset).astype("float32")
    packing = {
        "scale_factor",
        "add_offset",
        "scales",
        "offsets",
        "valid_min",
        "valid_max",
        "valid_range",
        "_Unsigned",
    }
    out = array.copy(deep=False, data=values.where(valid).data)
    out.encoding = {}
    out.attrs = {key: value for key, value in array.attrs.items() if key not in packing | set(FILLS)}
    return out


def _attribute(array: xr.DataArray, keys: tuple[str, ...], default: float) -> float:
    """A packing attribute as float; integers, text and one-element arrays are met in the wild."""
    for key in keys:
        if key in array.attrs:
            values = np.ravel(array.attrs[key])
            if values.size and _is_number(values[0]):
                return float(values[0])
    return default


def _unsigned(array: xr.DataArray) -> xr.Variable:
    """NetCDF 3 has no unsigned integers: ``_Unsigned`` says that bytes are to be read as such."""
    if str(array.attrs.get("_Unsigned", "")).lower() == "true" and array.dtype.kind == "i":
        return array.variable.astype(f"u{array.dtype.itemsize}")
    return array.variable


def _valid_range(array: xr.DataArray, scale: float) -> tuple[float | None, float | None]:
    """Bounds of valid packed numbers (CF 2.5.1); those that can only be meant of unpacked values are not used."""
    bounds = np.ravel(array.attrs.get("valid_range", ()))
    low, high = (
        (bounds[0], bounds[1])
        if bounds.size == 2
        else (array.attrs.get("valid_min"), array.attrs.get("valid_max"))
    )
    # An upper bound of 1 beside a step of 0.0001 allows two numbers: it is meant of reflectance.
    if high is not None and _is_number(high) and array.dtype.kind in "iu" and 0 < float(high) * scale < 0.01:
        return None, None
    out = []
    for value in (low, high):
        fits = value is not None and _is_number(value)
        if fits and array.dtype.kind in "iu" and float(value) != round(float(value)):
            fits = False
        out.append(float(value) if fits else None)
    return out[0], out[1]


def _is_number(value: object) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
