"""What the charts show of the chosen places, as a table or a cube: one row per place and day, observed or filled."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from app import export
from embeddings.store import QUALITY

if TYPE_CHECKING:
    from app.data import Data
    from app.state import Place

WEATHER = ("sw_in", "tair", "vpd", "precip")
TOWER = ("gpp_nt", "gpp_dt", "qc")


def table(data: "Data", places: list["Place"], names: list[str]) -> pd.DataFrame:
    """As the tidy export has it: time, name, lon, lat, x, y and a column for each line of the charts."""
    parts = []
    for place, name in zip(places, names, strict=True):
        found = series(data, place)
        part = found.to_dataframe().reset_index()
        for at, (column, value) in enumerate({"name": name, **where(data, place)}.items(), 1):
            part.insert(at, column, value)
        parts.append(part)
    out = pd.concat(parts, ignore_index=True)
    out.attrs = told(data, places)
    return out


def cube(data: "Data", places: list["Place"], names: list[str]) -> xr.Dataset:
    """The same as (point, time), for NetCDF."""
    out = xr.concat([series(data, place) for place in places], "point", join="exact")
    at = [{"name": name, **where(data, place)} for place, name in zip(places, names, strict=True)]
    out = out.assign_coords({column: ("point", [one[column] for one in at]) for column in at[0]})
    out = out.assign_coords(spatial_ref=data.grid.coords()["spatial_ref"])
    out.attrs = told(data, places)
    return out


def where(data: "Data", place: "Place") -> dict[str, float]:
    """The pixel's centre; of an area that of the pixel in its middle."""
    x, y = data.centre(place.row, place.col)
    lon, lat = data.grid.lonlat(x, y)
    return {"lon": float(lon), "lat": float(lat), "x": x, "y": y}


def series(data: "Data", place: "Place") -> xr.Dataset:
    """Columns (time) of one place, an area's being means over it; NaN where nothing was measured on a day."""
    found, out = data.series(place), xr.Dataset(coords={"time": data.days})
    for name in ("ndvi_told", "gpp", "gpp_lo", "gpp_hi", *QUALITY):
        if name in found:
            out[name] = ("time", found[name].values)
    out["observed"] = ("time", (found.days_from_s2.values == 0).astype(np.int8))
    seen = {"acquisition": ("ndvi", "clear"), "passage": ("VV", "VH")}
    for axis, names in seen.items():
        for name in names:
            if name in found:
                out[name] = ("time", _by_day(found[axis].values, found[name].values, data.days))
    for prefix, node, names in (("", data.weather, WEATHER), ("tower_", data.tower, TOWER)):
        for name in names:
            if node is not None and name in node:
                out[prefix + name] = ("time", _by_day(node.time.values, node[name].values, data.days))
    return out


def told(data: "Data", places: list["Place"]) -> dict:
    """What every export says of itself, and which tower stands beside it."""
    out = {name: value for name, value in export.metadata(data.store).items() if name != "features"}
    if data.tower is not None:
        simulated = int(data.tower.attrs.get("simulated", data.simulated))
        out["tower"] = f"{data.tower.attrs.get('site', 'tower')}{', simulated' if simulated else ''}"
    if any(place.area for place in places):
        out["areas"] = "means over their pixels; lon, lat, x, y of the pixel in the middle"
    return out


def _by_day(times: np.ndarray, values: np.ndarray, days: pd.DatetimeIndex) -> np.ndarray:
    """The first value of each day, NaN on days without."""
    found = pd.Series(values.astype("float64"), pd.DatetimeIndex(times).normalize())
    return found[~found.index.duplicated()].reindex(days).values
