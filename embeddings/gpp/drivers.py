"""Drivers of daily GPP beside the embedding: radiation, weather of the day and of the recent past, soil water, gaps.

Drivers that a place shares are computed once per day (``daily_drivers``), those of a pixel once per pixel and day
(``pixel_drivers``). Their names, order and scaling are facts of the head: ``models.gpp.drivers``.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings.meteorology import clear_sky_radiation, reference_evapotranspiration_mm_d
from fluxlens.embeddings.scenes.schema import WEATHER
from fluxlens.models.errors import InputError
from fluxlens.models.gpp.drivers import DRIVERS, NORMALISATIONS, PIXEL_DRIVERS

RECENT_DAYS = 15
"""Memory of the recent past: leaves acclimate to the weather of about two weeks (Mengoli et al. 2022,
doi:10.1029/2021MS002767)."""

COVERS = {"wet_thin": 0.3, "wet_full": 1.0}
"""Vegetation cover of the water balances, as a share of the ground; crops of one place dry the soil as differently."""

TOTAL_AVAILABLE_WATER_MM = 200.0
"""Water that roots can reach, from field capacity to wilting point (Allen et al. 1998, tables 19 and 22: a loam,
1.2 m deep)."""

WATER_STRESS_THRESHOLD = 0.45
"""Share of the total available water below which transpiration is reduced: 1 - p, with the readily available share
p = 0.55 (Allen et al. 1998, table 22)."""

MEAN_CLEARNESS = 0.55
"""Share of clear-sky radiation that stands in where no radiation is known."""

MAX_GAP_DAYS = 60
"""A longer gap counts as this long."""

MISSING_SIGMA = 0.1275
"""Expected error where none is known: the largest that a cube stores."""

SPIN_UP_DAYS = 365
"""Days of the first pass of the water balance, whose end is the start of the second."""


def daily_drivers(
    weather: xr.Dataset | None, days: pd.DatetimeIndex, lat: float
) -> tuple[np.ndarray, np.ndarray]:
    """Radiation and the drivers that all pixels of a place share.

    Parameters
    ----------
    weather
        Daily ``sw_in`` (W m-2), ``tair`` (degC), ``vpd`` (hPa), ``precip`` (mm d-1) on ``time``; variables and days may
        be missing, and all of it. Days before the first wanted day count: the recent past and the soil water.
    days
        Days wanted, (day,), at midnight.
    lat
        Latitude, degrees north.

    Returns
    -------
    sw
        (day,) float32, daily mean shortwave radiation, W m-2; clear-sky radiation stands in where unknown.
    drivers
        (day, driver) float32, scaled, in the order of ``models.gpp.drivers.DRIVERS``; the ``PIXEL_DRIVERS`` are 0.
    """
    known = _weather_of(weather, days)
    day_length, clear_sky = clear_sky_radiation(lat, days.day_of_year.values)
    no_sw = np.isnan(known["sw_in"])
    sw = np.where(no_sw, MEAN_CLEARNESS * clear_sky, known["sw_in"])
    physical = {
        "tair": known["tair"],
        "tair_recent": known["tair_recent"],
        # A deficit just below 0 is rounding of saturated air, and has no logarithm.
        "vpd": np.maximum(known["vpd"], 0),
        "vpd_recent": np.maximum(known["vpd_recent"], 0),
        "day_length": day_length,
        "clear_sky": clear_sky,
    }
    columns = {name: NORMALISATIONS[name].normalise(values) for name, values in physical.items()}
    # Relative to the stress threshold; far above it more water changes nothing.
    columns |= {
        name: np.clip(1.5 * (known[name] / WATER_STRESS_THRESHOLD - 1), -1.5, 0.75) for name in COVERS
    }
    columns |= {
        "no_tair": np.isnan(known["tair"]),
        "no_vpd": np.isnan(known["vpd"]),
        "no_rain": np.isnan(known["precip"]),
        "no_sw": no_sw,
    }
    drivers = np.zeros((len(days), len(DRIVERS)))
    for name, values in columns.items():
        # Missing weather is 0, the mean, and its flag is 1.
        drivers[:, DRIVERS.index(name)] = np.nan_to_num(np.asarray(values, dtype=float))
    return sw.astype(np.float32), drivers.astype(np.float32)


def pixel_drivers(days_from_s2: np.ndarray | None, sigma: np.ndarray | None, shape: tuple) -> np.ndarray:
    """Drivers that differ between pixels.

    Parameters
    ----------
    days_from_s2
        Days to the nearest clear Sentinel-2 acquisition, -1 where there is none; None where a cube has none.
    sigma
        Expected error of the embedding's reconstruction, reflectance; None where a cube has none.
    shape
        Shape of both, such as (day, pixel).

    Returns
    -------
    ndarray
        (``shape``, pixel driver) float32, scaled, in the order of ``PIXEL_DRIVERS``; 0 where not given.
    """
    out = np.zeros((*shape, len(PIXEL_DRIVERS)), np.float32)
    if days_from_s2 is not None:
        out[..., PIXEL_DRIVERS.index("gap")] = gap_driver(days_from_s2)
    if sigma is not None:
        out[..., PIXEL_DRIVERS.index("sigma")] = sigma_driver(sigma)
    return out


def gap_driver(days_from_s2: np.ndarray) -> np.ndarray:
    """Scale the time to the nearest clear acquisition.

    Parameters
    ----------
    days_from_s2
        Days, -1 where there is no acquisition; any shape.

    Returns
    -------
    ndarray
        float32, 0 (acquired that day) to 1 (``MAX_GAP_DAYS`` or more, or none).
    """
    # Logarithmic: the first days of a gap matter more than its fiftieth.
    days = np.where(np.asarray(days_from_s2) < 0, MAX_GAP_DAYS, days_from_s2)
    return (np.log1p(np.minimum(days, MAX_GAP_DAYS)) / np.log1p(MAX_GAP_DAYS)).astype(np.float32)


def sigma_driver(sigma: np.ndarray) -> np.ndarray:
    """Scale the expected error of the reconstruction.

    Parameters
    ----------
    sigma
        Reflectance, NaN where unknown; any shape.

    Returns
    -------
    ndarray
        float32, mostly 0 to 2, at most 4.
    """
    # Usual errors are up to 0.05 in reflectance; 0.1 and more count alike.
    return np.minimum(np.nan_to_num(np.asarray(sigma, dtype=np.float32), nan=MISSING_SIGMA) * 40, 4)


def latitude(cube: xr.Dataset) -> float:
    """Latitude of the middle of a cube.

    Parameters
    ----------
    cube
        With a coordinate or attribute ``lat`` or ``latitude``, or with ``x``, ``y`` and ``spatial_ref``.

    Returns
    -------
    float
        Degrees north.

    Raises
    ------
    InputError
        When it has none of these.
    """
    for name in ("lat", "latitude"):
        if name in cube.coords:
            return float(np.mean(cube[name].values))
        if name in cube.attrs:
            return float(cube.attrs[name])
    # The middle is enough: over a scene day length changes by a minute.
    if {"x", "y", "spatial_ref"} <= set(cube.coords):
        crs = cube["spatial_ref"].attrs.get("crs_wkt") or cube["spatial_ref"].attrs.get("spatial_ref")
        if crs:
            x, y = float(np.mean(cube["x"].values)), float(np.mean(cube["y"].values))
            return float(_to_degrees(crs).transform(x, y)[1])
    raise InputError("Got a cube without a place, need x, y and spatial_ref or an attribute lat; add one.")


@cache
def _to_degrees(crs: str):
    from pyproj import Transformer

    return Transformer.from_crs(crs, 4326, always_xy=True)


def _weather_of(weather: xr.Dataset | None, days: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    """Weather, recent past and soil water on the days wanted, (day,) each, NaN where unknown."""
    if weather is None or not any(name in weather for name in WEATHER):
        return dict.fromkeys((*WEATHER, "tair_recent", "vpd_recent", *COVERS), np.full(len(days), np.nan))
    time = np.asarray(weather["time"].values, "datetime64[ns]")
    # Bytes, since arrays cannot be keys of the cache below.
    columns = tuple((n, weather[n].values.astype(float).tobytes()) for n in WEATHER if n in weather)
    first, every = _with_past(time.tobytes(), columns)
    count = len(every["tair"])
    rows = (np.asarray(days.values, "datetime64[D]") - first).astype(np.int64)
    # Whole days alone are in the weather: a time within a day is none of them.
    outside = (rows < 0) | (rows >= count) | (days.values != days.normalize().values)
    # Row 0 stands in for days outside, and is blanked on the next line.
    rows = np.where(outside, 0, rows)
    return {name: np.where(outside, np.nan, values[rows]) for name, values in every.items()}


@lru_cache(maxsize=8)
def _with_past(
    times: bytes, columns: tuple[tuple[str, bytes], ...]
) -> tuple[np.datetime64, dict[str, np.ndarray]]:
    """First day, and for every day from it to the last (day,): weather, recent past and soil water.

    Cached by the bytes of the weather: maps are predicted day by day with the weather of the whole period.
    """
    time = np.frombuffer(times, "datetime64[ns]").astype("datetime64[D]")
    # A day twice has one place; the first one counts.
    days, row = np.unique(time, return_index=True)
    at = (days - days[0]).astype(np.int64)
    every = {name: np.full(at[-1] + 1, np.nan) for name in WEATHER}
    for name, values in columns:
        every[name][at] = np.frombuffer(values)[row]
    # Exponential memory; a missing day keeps the state but gets no value of its own. Both at once: a table of
    # thousands of places calls this for each, and pandas' own steps are most of its time.
    sources = ("tair", "vpd")
    frame = pd.DataFrame({source: every[source] for source in sources})
    past = frame.ewm(alpha=1 / RECENT_DAYS, adjust=True, ignore_na=False).mean().to_numpy()
    for column, source in enumerate(sources):
        every[f"{source}_recent"] = np.where(np.isnan(every[source]), np.nan, past[:, column])
    demand = reference_evapotranspiration_mm_d(every["tair"], every["sw_in"])
    for name, cover in COVERS.items():
        every[name] = soil_water_balance(every["precip"], demand, cover)
    return days[0], every


def soil_water_balance(rain: np.ndarray, demand: np.ndarray, cover: float) -> np.ndarray:
    """Relative soil water on each morning, by a bucket model (Allen et al. 1998, FAO-56, chapter 8).

    Rain fills the bucket, what overflows is lost; vegetation empties it at the demand times its cover, and slower in
    proportion once less than ``WATER_STRESS_THRESHOLD`` is left (equation 84). A first pass over the first year gives
    the state the series starts from.

    Parameters
    ----------
    rain
        (day,) mm d-1, NaN where unknown.
    demand
        (day,) evaporative demand, mm d-1, NaN where unknown.
    cover
        Share of the ground under vegetation, 0-1.

    Returns
    -------
    ndarray
        (day,) share of ``TOTAL_AVAILABLE_WATER_MM``, 0-1; NaN where rain or demand is, on which days the bucket stays
        as it is.
    """
    # Plain floats and comparisons: a loop over days cannot be vectorised, NumPy scalars take ten times as long and
    # calls of min and max twice as long.
    gain = np.where(np.isnan(rain + demand), 0.0, rain).tolist()
    loss = np.nan_to_num(cover * np.maximum(demand, 0)).tolist()
    full, stressed = TOTAL_AVAILABLE_WATER_MM, WATER_STRESS_THRESHOLD * TOTAL_AVAILABLE_WATER_MM
    # Half full is an arbitrary start, which the first pass forgets.
    water = full / 2
    for days in (min(len(gain), SPIN_UP_DAYS), len(gain)):
        # Those of the first pass are dropped: it only finds the water to start with.
        mornings = []
        for rain_mm, most_mm in zip(gain[:days], loss[:days], strict=True):
            mornings.append(water)
            share = water / stressed
            water = water + rain_mm - (most_mm * share if share < 1.0 else most_mm)
            water = 0.0 if water < 0.0 else full if water > full else water
    out = np.array(mornings) / full
    return np.where(np.isnan(rain + demand), np.nan, out)
