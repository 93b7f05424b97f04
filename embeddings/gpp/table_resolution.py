"""How much land a row of a table shows: told by its sensor or in metres, or assumed.

The correction of the daily head was learnt at towers seen at 10 to 30 m and makes pixels of 500 m worse (MODIS towers
left out: NSE 0.833 without it, 0.787 with it), so that each row must say what it shows. Prediction, calibration and
evaluation ask ``is_fine`` alone.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
from fluxlens.embeddings.text_cells import is_missing
from fluxlens.models.errors import DataWarning, InputError

FINEST_COARSE_M = 100.0
"""Rows that show this much land or more go without the correction: between the 30 m and the 500 m of the towers that
taught, in the ratio of both (122 m), rounded."""
ASSUMED_M = 30.0
"""Of rows that say nothing, as in the tables that taught the correction."""
RESOLUTION_COLUMNS = ("footprint_m", "resolution_m")
"""Metres of land a spectrum shows. The first that has a value counts: pixels of 10 m averaged over 500 m show 500 m."""
MODIS_M, DAILY_ROWS = 500.0, 30
"""Rows of one site on consecutive days from which on a table looks like a daily composite of a coarse sensor."""

# On names in lower case without other signs, as `LANDSAT/LC08/C02/T1_L2` or `Sentinel-2A MSI` become. Product guides:
# Sentinel-2, Landsat, HLS v2, MODIS collection 6.1, VIIRS collection 2, Sentinel-3, PROBA-V.
SENSOR_PATTERNS = (
    (r"(copernicus)?s2|sentinel2|msi$", 10.0),
    (r"hls|[sl]30$|landsat|l[ceot]0?[45789](?!\d)|l[45789]$|etm|tm$|oli", 30.0),
    (r"(terra|aqua)?modis|(terra|aqua)$|m[oyc]d\d\d", MODIS_M),
    (r"viirs|v(np|j1|j2)\d|suominpp|npp$", 500.0),
    (r"(copernicus)?s3|sentinel3|olci|probav|spotv", 300.0),
    (r"avhrr|noaa", 1000.0),
)
"""Beginnings of a sensor's or product's name, and the metres its pixels show."""
KNOWN_SENSORS = "Sentinel-2, Landsat, HLS, MODIS, VIIRS, Sentinel-3, PROBA-V or AVHRR"
HINT_COLUMNS = ("satellite", "platform", "instrument", "product", "collection", "source", "dataset")
"""Columns that may name a coarse sensor; they only cause a warning, since people use these names for other things."""
HINT_BANDS = re.compile(
    r"swir1240|swir1640|swir2130|sur_refl_b0\d|nadir_reflectance_band\d|lst_(terra|aqua)_k"
)
"""Names of bands that MODIS alone has."""


def sensor_resolution_m(name: str) -> float | None:
    """Metres of land that a pixel of a sensor shows.

    Parameters
    ----------
    name
        Of a sensor, satellite or product, such as ``Sentinel-2``, ``L30`` or ``MODIS/061/MCD43A4``.

    Returns
    -------
    float or None
        Metres; None of a name that is not known.
    """
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    return next((metres for pattern, metres in SENSOR_PATTERNS if re.match(pattern, plain)), None)


def row_resolution_m(raw: pd.DataFrame, resolution_m: float | None = None) -> np.ndarray:
    """Metres of land that each row shows, from ``RESOLUTION_COLUMNS``, else from the column ``sensor``.

    Parameters
    ----------
    raw
        Table as it was read.
    resolution_m
        Metres of land, of all rows; counts before the columns.

    Returns
    -------
    ndarray
        (row,) metres, NaN where the table does not say it.

    Raises
    ------
    InputError
        Where a value is no number of metres, or a sensor is not known and nothing else says how much land a row shows.
    """
    if resolution_m is not None:
        _check_metres(np.array([resolution_m]), "--resolution-m")
        return np.full(len(raw), float(resolution_m))
    out = np.full(len(raw), np.nan)
    for name in RESOLUTION_COLUMNS:
        if name in raw:
            values = pd.to_numeric(raw[name], errors="coerce")
            values = values.where(~is_missing(values.to_numpy(float)))
            if (pd.to_numeric(raw[name], errors="coerce").isna() & raw[name].notna()).any():
                bad = raw[name][values.isna() & raw[name].notna()].iloc[0]
                raise InputError(f"Got {bad!r} in the column {name}, need metres or nothing; correct it.")
            _check_metres(values.values, f"the column {name}")
            out = np.where(np.isnan(out), values.values, out)
    if "sensor" not in raw:
        return out
    # Only rows that the columns of metres leave open, and each spelling once.
    for name in raw["sensor"][np.isnan(out)].dropna().astype(str).unique():
        metres = sensor_resolution_m(name)
        # Not assumed to be fine: a misspelt coarse sensor would be corrected as 30 m, which makes it worse.
        if metres is None and name.strip():
            raise InputError(
                f"Got the sensor {name!r}, need {KNOWN_SENSORS}, or a column resolution_m; correct it."
            )
        if metres is not None:
            out[np.isnan(out) & (raw["sensor"].astype(str) == name).values] = metres
    return out


def _check_metres(values: np.ndarray, where: str) -> None:
    # Below 1 m lie degrees and kilometres, which would pass for fine pixels.
    bad = values[~np.isnan(values) & ~((values >= 1) & np.isfinite(values))]
    # A cell may be empty, an option may not.
    if bad.size or (where.startswith("--") and np.isnan(values).any()):
        got = bad[0] if bad.size else np.nan
        raise InputError(
            f"Got {got:g} in {where}, need the metres of land a row shows, 1 or more; convert it."
        )


def looks_coarse(raw: pd.DataFrame, table: pd.DataFrame) -> str:
    """Why a table that does not say its resolution looks like one of a coarse sensor.

    Parameters
    ----------
    raw
        Table as it was read, whose further columns may tell.
    table
        Its rows, checked: ``site``, ``date``, and the bands ``b4`` and ``b5``, reflectance 0-1.

    Returns
    -------
    str
        Empty where nothing does.
    """
    # Names first, which are surer than the dates.
    for column in raw:
        if HINT_BANDS.match(str(column).casefold()):
            return f"has the column {column}"
        if str(column).casefold() in HINT_COLUMNS:
            for name in raw[column].dropna().astype(str).unique():
                # Words that name no sensor are people's own, and no hint.
                if (sensor_resolution_m(name) or 0) >= FINEST_COARSE_M:
                    return f"has {name} in the column {column}"
    for _, date in table["date"][table[["b4", "b5"]].notna().all(axis=1)].groupby(table["site"]):
        step = np.diff(np.unique(date.values.astype("datetime64[D]")).astype(int))
        # No satellite of 30 m pixels passes on as many days.
        if len(step) >= DAILY_ROWS and np.median(step) == 1:
            return "has spectra of consecutive days"
    return ""


def is_fine(table: pd.DataFrame) -> np.ndarray:
    """Which rows show land at 10 to 30 m, for which the head is corrected.

    Parameters
    ----------
    table
        As ``tables.read`` returns it.

    Returns
    -------
    ndarray
        (row,) bool. Rows that do not say it are taken for fine; where they look coarse, with a ``DataWarning``.
    """
    metres = table["resolution_m"].values if "resolution_m" in table else np.full(len(table), np.nan)
    if np.isnan(metres).any() and table.attrs.get("looks_coarse"):
        warnings.warn(
            f"The table {table.attrs['looks_coarse']}, as those of coarse sensors, and does not say how much land a row"
            " shows: 10 to 30 m is assumed; add a column sensor or resolution_m, or give --resolution-m.",
            DataWarning,
            stacklevel=2,
        )
    # Negated, so that rows of unknown size (NaN) count as fine.
    return ~(metres >= FINEST_COARSE_M)
