"""A user's table of daily weather as the node of a scene."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from embeddings import schema
from models.errors import InputError

NO_DATA = -9990
"""-9999 and its like are missing values."""


def open(path: str | Path) -> xr.Dataset:
    """Daily weather from a CSV with a column ``time`` (or ``date``) and some of sw_in, tair, vpd, precip.

    Units are those of the scene contract: W m-2 (daily mean), degC, hPa, mm d-1.
    """
    try:
        table = pd.read_csv(path, comment="#", skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"Got {path}, which is no table, need a CSV; save it as one.") from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    day = next((name for name in ("time", "date") if name in table), None)
    names = [name for name in schema.WEATHER if name in table]
    if day is None or not names:
        known = ", ".join(f"{name} in {schema.units('weather', name)}" for name in schema.WEATHER)
        raise InputError(
            f"Got {path} with columns {', '.join(table.columns)[:80]}, need time and some of {known}; rename them."
        )
    try:
        days = pd.DatetimeIndex(pd.to_datetime(table[day].astype(str), format="ISO8601", utc=True))
        days = days.tz_localize(None).floor("D").as_unit("ns")
        values = table[names].astype("float32")
    except (ValueError, TypeError) as error:
        raise InputError(
            f"Got {path} with a value that is no number or no date, need daily rows; mend it."
        ) from error
    if days.has_duplicates:
        raise InputError(
            f"Got {path} with {days[days.duplicated()][0]:%Y-%m-%d} twice, need one row a day; average them."
        )
    values = values.where(values > NO_DATA)
    node = xr.Dataset(
        {name: ("time", values[name].values, {"units": schema.units("weather", name)}) for name in names},
        coords={"time": days.values},
        attrs={"source": Path(path).name},
    )
    return schema.check_node(schema.NODES["weather"], node.sortby("time"))
