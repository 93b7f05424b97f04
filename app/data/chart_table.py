"""The charts as a file: one row (or one time step) per place and day, with what was observed and what was decoded."""

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.explorer_data import ExplorerData
from fluxlens.app.state.place import Place
from fluxlens.embeddings.export import selection
from fluxlens.embeddings.store import QUALITY

WEATHER_COLUMNS = ("sw_in", "tair", "vpd", "precip")
TOWER_COLUMNS = ("gpp_nt", "gpp_dt", "qc")
DAILY_COLUMNS = {
    "ndvi_decoded": "ndvi_told",  # files keep the name that earlier versions wrote
    "gpp": "gpp",
    "gpp_lo": "gpp_lo",
    "gpp_hi": "gpp_hi",
} | {name: name for name in QUALITY}
"""Columns of files, by the variable of ``ExplorerData.place_series`` on daily ``time``."""
OBSERVED_COLUMNS = {"acquisition": ("ndvi", "clear"), "passage": ("VV", "VH")}
"""Variables on the axes of acquisitions, which fall on some days only."""


def make_table(data: ExplorerData, places: list[Place], names: list[str]) -> pd.DataFrame:
    """A tidy table as the other exports have it.

    Parameters
    ----------
    data : ExplorerData
        What the charts show.
    places : list of Place
        Pixels or areas.
    names : list of str
        Name of each place.

    Returns
    -------
    pandas.DataFrame
        ``time``, ``name``, ``lon``, ``lat``, ``x``, ``y`` and a column for each line of the charts; metadata in
        ``.attrs``.
    """
    tables = []
    for place, name in zip(places, names, strict=True):
        table = daily_columns(data, place).to_dataframe().reset_index()
        for position, (column, value) in enumerate({"name": name, **coordinates_of(data, place)}.items(), 1):
            # After ``time``, before the values, in the order that the other exports have.
            table.insert(position, column, value)
        tables.append(table)
    out = pd.concat(tables, ignore_index=True)
    out.attrs = metadata(data, places)
    return out


def make_cube(data: ExplorerData, places: list[Place], names: list[str]) -> xr.Dataset:
    """The same as a Dataset (point, time), for NetCDF; parameters as in ``make_table``.

    Parameters
    ----------
    data : ExplorerData
        What the charts show.
    places : list of Place
        Pixels or areas.
    names : list of str
        Name of each place.
    """
    # All places have the same days; anything else is an error here and no reason to fill with NaN.
    out = xr.concat([daily_columns(data, place) for place in places], "point", join="exact")
    points = [
        {"name": name, **coordinates_of(data, place)} for place, name in zip(places, names, strict=True)
    ]
    out = out.assign_coords({column: ("point", [point[column] for point in points]) for column in points[0]})
    out = out.assign_coords(spatial_ref=data.grid.coords()["spatial_ref"])
    out.attrs = metadata(data, places)
    return out


def coordinates_of(data: ExplorerData, place: Place) -> dict[str, float]:
    """lon, lat (degrees) and x, y (metres) of a ``place`` in ``data``; of an area those of its middle pixel."""
    x, y = data.centre(place.row, place.col)
    lon, lat = data.grid.lonlat(x, y)
    return {"lon": float(lon), "lat": float(lat), "x": x, "y": y}


def daily_columns(data: ExplorerData, place: Place) -> xr.Dataset:
    """Columns (time) of a ``place`` in ``data``, means over an area; NaN where nothing was measured on a day."""
    series, out = data.place_series(place), xr.Dataset(coords={"time": data.days})
    for name, column in DAILY_COLUMNS.items():
        if name in series:
            out[column] = ("time", series[name].values)
    # 0 days to the nearest clear view: the day has one.
    out["observed"] = ("time", (series.days_from_s2.values == 0).astype(np.int8))
    for axis, names in OBSERVED_COLUMNS.items():
        for name in names:
            if name in series:
                out[name] = ("time", _by_day(series[axis].values, series[name].values, data.days))
    for prefix, node, names in (("", data.weather, WEATHER_COLUMNS), ("tower_", data.tower, TOWER_COLUMNS)):
        for name in names:
            if node is not None and name in node:
                out[prefix + name] = ("time", _by_day(node.time.values, node[name].values, data.days))
    return out


def metadata(data: ExplorerData, places: list[Place]) -> dict:
    """Metadata of ``data`` as in every export, with the tower and a note where ``places`` are areas."""
    out = {name: value for name, value in selection.metadata(data.store).items() if name != "features"}
    if data.tower is not None:
        simulated = int(data.tower.attrs.get("simulated", data.simulated))
        out["tower"] = f"{data.tower.attrs.get('site', 'tower')}{', simulated' if simulated else ''}"
    if any(place.area for place in places):
        out["areas"] = "means over their pixels; lon, lat, x, y of the pixel in the middle"
    return out


def _by_day(times: np.ndarray, values: np.ndarray, days: pd.DatetimeIndex) -> np.ndarray:
    """The first value of each day, NaN on days without one."""
    # Two acquisitions of one day: the first, since a row of the table is a day.
    column = pd.Series(values.astype("float64"), pd.DatetimeIndex(times).normalize())
    return column[~column.index.duplicated()].reindex(days).values
