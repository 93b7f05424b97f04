"""What stands beside an embedding when GPP is asked: light, air, recent weather, season, nearness of the satellites."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
import pandas as pd
import xarray as xr

from models.errors import InputError

RECENT_DAYS = 15
"""Leaves follow the weather of about two weeks (Mengoli et al. 2022, doi:10.1029/2021MS002767)."""
COVERS = {"wet_thin": 0.3, "wet_full": 1.0}
"""Share of the ground under leaves; plants that dry the ground are as different as the fields of one place."""
ROOTS_MM = 200.0
"""Water that roots reach (FAO-56, Allen et al. 1998, tables 19 and 22: a loam, 1.2 m deep)."""
ENOUGH = 0.45
"""Share of it that lets plants drink freely (FAO-56, table 22)."""
USUAL_CLEARNESS = 0.55
"""Share of clear-sky light that reaches the ground where no radiation is known."""
GAP_TOP_DAYS = 60


def drivers(weather: xr.Dataset | None, days: pd.DatetimeIndex, lat: float) -> tuple[np.ndarray, np.ndarray]:
    """Shortwave (day,) W m-2 and ``models.gpp.DRIVERS`` (day, driver), float32; the last two, of the pixel, stay 0."""
    from models.gpp import DRIVERS

    known = _daily(weather, days)
    hours, clear_sky = sky(lat, days.day_of_year.values)
    no_sw = np.isnan(known["sw_in"])
    sw = np.where(no_sw, USUAL_CLEARNESS * clear_sky, known["sw_in"])
    air = np.zeros((len(days), len(DRIVERS)))
    columns = {
        "tair": (known["tair"] - 10) / 10,
        "tair_recent": (known["tair_recent"] - 10) / 10,
        "vpd": np.log1p(np.maximum(known["vpd"], 0)) - 1.8,
        "vpd_recent": np.log1p(np.maximum(known["vpd_recent"], 0)) - 1.8,
        **{name: np.clip(1.5 * (known[name] / ENOUGH - 1), -1.5, 0.75) for name in COVERS},
        "day_length": (hours - 12) / 3,
        "clear_sky": (clear_sky - 220) / 90,
        "no_tair": np.isnan(known["tair"]),
        "no_vpd": np.isnan(known["vpd"]),
        "no_rain": np.isnan(known["precip"]),
        "no_sw": no_sw,
    }
    for name, values in columns.items():
        air[:, DRIVERS.index(name)] = np.nan_to_num(np.asarray(values, dtype=float))
    return sw.astype(np.float32), air.astype(np.float32)


def nearness(days_from_s2: np.ndarray) -> np.ndarray:
    """Days to the nearest clear acquisition as a driver, 0 near to 1 far; -1 (none) is far."""
    days = np.where(np.asarray(days_from_s2) < 0, GAP_TOP_DAYS, days_from_s2)
    return (np.log1p(np.minimum(days, GAP_TOP_DAYS)) / np.log1p(GAP_TOP_DAYS)).astype(np.float32)


def unsureness(sigma: np.ndarray) -> np.ndarray:
    """Expected error of the reconstruction as a driver, near 0-2."""
    return np.minimum(np.nan_to_num(np.asarray(sigma, dtype=np.float32), nan=0.1275) * 40, 4)


def sky(lat: float, day_of_year: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Day length, h, and clear-sky shortwave at the ground, W m-2 (FAO-56, equations 21 to 37)."""
    from embeddings.gpp_features import sun

    hours, above = sun(np.float64(lat), np.asarray(day_of_year))
    return hours, 0.75 * np.maximum(above, 0)


def latitude(cube: xr.Dataset) -> float:
    """Degrees north of the middle of the cube."""
    for name in ("lat", "latitude"):
        if name in cube.coords:
            return float(np.mean(cube[name].values))
        if name in cube.attrs:
            return float(cube.attrs[name])
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


def _daily(weather: xr.Dataset | None, days: pd.DatetimeIndex) -> dict[str, np.ndarray]:
    """Weather of the days and of the weeks before, NaN where there is none."""
    names = ("sw_in", "tair", "vpd", "precip")
    if weather is None or not any(name in weather for name in names):
        return dict.fromkeys((*names, "tair_recent", "vpd_recent", *COVERS), np.full(len(days), np.nan))
    given = np.asarray(weather["time"].values, "datetime64[ns]")
    every = _past(
        given.tobytes(), tuple((n, weather[n].values.astype(float).tobytes()) for n in names if n in weather)
    )
    rows = every.index.get_indexer(days)
    return {name: np.where(rows < 0, np.nan, every[name].values[rows]) for name in every}


@lru_cache(maxsize=8)
def _past(times: bytes, columns: tuple[tuple[str, bytes], ...]) -> pd.DataFrame:
    """Every day from first to last with the weeks before it; by the numbers themselves, since maps ask day by day."""
    given = pd.DatetimeIndex(np.frombuffer(times, "datetime64[ns]")).normalize()
    held = {name: np.frombuffer(values) for name, values in columns}
    frame = pd.DataFrame({n: held.get(n, np.nan) for n in ("sw_in", "tair", "vpd", "precip")}, given)
    frame = frame[~frame.index.duplicated()].sort_index()
    every = frame.reindex(pd.date_range(frame.index[0], frame.index[-1], freq="D"))
    for source in ("tair", "vpd"):
        past = every[source].ewm(alpha=1 / RECENT_DAYS, adjust=True, ignore_na=False).mean()
        every[f"{source}_recent"] = past.where(every[source].notna())
    demand = 0.0135 * (every["tair"] + 17.8) * every["sw_in"] * 0.0864 / 2.45
    for name, cover in COVERS.items():
        every[name] = water(every["precip"].values, demand.values, cover)
    return every


def water(rain: np.ndarray, demand: np.ndarray, cover: float) -> np.ndarray:
    """Water in the ground over what roots reach, 0-1, on each morning; NaN where rain or demand, mm d-1, is.

    A bucket that rain fills and plants empty, ever slower once they lack water (FAO-56, Allen et al. 1998; demand after
    Hargreaves and Samani 1985). It begins as the first year would leave it.
    """
    gain = np.where(np.isnan(rain + demand), 0.0, rain).tolist()
    loss = np.nan_to_num(cover * np.maximum(demand, 0)).tolist()
    held, out = ROOTS_MM / 2, np.empty(len(gain))
    for days in (range(min(len(gain), 365)), range(len(gain))):
        for day in days:
            out[day] = held / ROOTS_MM
            drunk = loss[day] * min(held / (ENOUGH * ROOTS_MM), 1.0)
            held = min(max(held + gain[day] - drunk, 0.0), ROOTS_MM)
    return np.where(np.isnan(rain + demand), np.nan, out)
