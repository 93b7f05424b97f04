"""Daily series of reflectance and weather at towers, a row per site and day, with the bands of MODIS.

These are the tables ``train gpp --towers`` and ``evaluate gpp --towers`` take beside single spectra; ``predict gpp
--table`` reads them by the same functions, so that a user gets the numbers that are scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import meteorology, text_cells, text_table
from fluxlens.embeddings.gpp import tables
from fluxlens.embeddings.gpp.drivers import daily_drivers, pixel_drivers
from fluxlens.embeddings.gpp.table_days import UNKNOWN_LATITUDE, embed_series
from fluxlens.embeddings.gpp.table_resolution import MODIS_M, row_resolution_m
from fluxlens.embeddings.scenes.acquisitions import to_epoch_day
from fluxlens.embeddings.towers import plausibility
from fluxlens.models.embedder import Embedder
from fluxlens.models.errors import InputError
from fluxlens.models.fusion import WINDOW_DAYS
from fluxlens.models.gpp.drivers import PAR_MOL_PER_J, PIXEL

DAILY_COLUMNS = ("blue", "green", "red", "nir", "swir1640", "swir2130")
"""Reflectance of a daily series in the order of ``HLS_BANDS``: bands 3, 4, 1, 2, 6, 7 of MODIS."""
DAILY_WEATHER = ("temp", "vpd", "ppfd", "prec")
"""degC, Pa, mol m-2 s-1 (daily mean), mm s-1."""
EVERY_DAYS = 4
"""Of a daily 16-day composite, spectra this far apart are taken: those between repeat them."""


def is_daily_file(path: str | Path) -> bool:
    """Whether a file is a table of daily series and not of single spectra.

    Parameters
    ----------
    path
        Its path.

    Returns
    -------
    bool
        True of ``.parquet``, and of a text, also packed, with the names of the shortwave bands, which no table of
        spectra has.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        return True
    try:
        return {"swir1640", "swir2130"} <= set(text_table.column_names(path))
    except (OSError, InputError):  # told by the reader of tables of spectra
        return False


def read(path: str | Path, need_gpp: bool = False, resolution_m: float | None = None) -> pd.DataFrame:
    """Read a table of daily series.

    Parameters
    ----------
    path
        ``.parquet`` or ``.csv`` with ``site``, ``date``, ``DAILY_COLUMNS`` (reflectance 0-1), ``DAILY_WEATHER`` and,
        where there are, ``gpp`` (gC m-2 d-1), ``lat``, ``sensor``, ``resolution_m``. A ``sites.parquet`` beside it may
        give ``lat``, ``igbp`` and ``koeppen_code`` of each ``site``.
    need_gpp
        Whether GPP must be there.
    resolution_m
        Metres of land a row shows, of all rows.

    Returns
    -------
    DataFrame
        The rows in the order given, with ``date`` at midnight, ``lat`` (degrees, NaN where unknown), ``type`` (plant
        functional type), ``koeppen`` and ``resolution_m`` (500 m where the table does not say it: the bands are those
        of MODIS).

    Raises
    ------
    InputError
        Where it is no such table.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".csv", ".zip", ".gz") or not path.is_file():
        raise InputError(f"Got {path.name}, need an existing .csv or .parquet of tower-days; check the path.")
    need = ("site", "date", *(["gpp"] if need_gpp else []), *DAILY_COLUMNS, *DAILY_WEATHER)
    table = tables.rename_site_and_date(tables.read_rows(path, need))
    if lost := [name for name in need if name not in table]:
        raise InputError(f"Got {path.name} without {', '.join(lost)}, need daily series with them; add them.")
    if table.empty:
        raise InputError(f"Got {path.name} without rows, need one or more; check the file.")
    if table["site"].isna().any():
        raise InputError(f"Got {path.name} with a row without site, need one in each; fill it in.")
    # A table may hold the series of another sensor under these names; without a word they are those of MODIS.
    known = row_resolution_m(table, resolution_m)
    lat = tables.read_latitude(table)
    table = table.assign(
        site=table["site"].astype(str),
        date=pd.Series(text_cells.to_times(table["date"], path.name), table.index).dt.normalize(),
        resolution_m=np.where(np.isnan(known), MODIS_M, known),
        **({} if lat is None else {"lat": lat}),
    )
    for name in (*DAILY_COLUMNS, *DAILY_WEATHER, *(["gpp"] if "gpp" in table else [])):
        table[name] = text_cells.to_numbers(table[name], path.name)
    if "gpp" in table:
        plausibility.check_gpp(path.name, table["gpp"].dropna().to_numpy(), "gpp", "gC m-2 d-1")
    # Another unit gives plausible, wrong GPP: refuse rather than guess.
    tables.check_reflectance(table[list(DAILY_COLUMNS)])
    _check_weather(table, path.name)
    # FLUXNET-like sets keep what a site is in a second table.
    places = path.with_name("sites.parquet")
    of = pd.read_parquet(places).set_index("site") if places.exists() else pd.DataFrame()
    # Names differ between releases of the set; a site in neither is "unknown", as a group of its own.
    kind = of.get("igbp", of.get("igbp_land_use", pd.Series(dtype=object)))
    own = {"type": kind, "koeppen": of.get("koeppen_code", pd.Series(dtype=object))}
    if "lat" not in table:
        own["lat"] = of.get("lat", pd.Series(dtype=float))
    table = table.assign(**{name: table["site"].map(values) for name, values in own.items()})
    table["type"] = table["type"].astype(object).fillna("unknown").astype(str)
    return table


def _check_weather(table: pd.DataFrame, name: str) -> None:
    """InputError where the weather of a table cannot be in the units of ``DAILY_WEATHER``."""
    # High quantiles and medians, so that a few wrong cells do not decide on the unit of a column.
    light = table["ppfd"].quantile(0.99)
    # Of what the air can hold, Pa: it is neither ever almost saturated nor drier than dry.
    dryness = (table["vpd"] / (100 * meteorology.saturation_vapour_pressure_hpa(table["temp"]))).median()
    for column, is_wrong, unit, way in (
        ("temp", table["temp"].median() > 100, "degC", "subtract 273.15"),
        ("vpd", dryness < 0.02, "Pa", "multiply hPa by 100, kPa by 1000"),
        ("vpd", dryness > 1, "Pa", "check the column"),
        ("ppfd", light > 0.01, "mol m-2 s-1", f"divide by {'1e6' if light > 120 else '86400'}"),
        ("prec", table["prec"].quantile(0.99) > 0.01, "mm s-1", "divide mm d-1 by 86400"),
    ):
        if is_wrong:
            middle = table[column].median()
            raise InputError(f"Got {name} with {column} of {middle:.3g} at the median, need {unit}; {way}.")


def embed_site(
    rows: pd.DataFrame, model: Embedder, wanted: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...], bool]]:
    """Embed the days of one site, year by year: beyond the fusion's window nothing counts.

    Parameters
    ----------
    rows
        Of one site, as ``read`` returns them, by date without repeats.
    model
        The embedder.
    wanted
        (row,) bool, days to embed; None: all. Acquisitions and weather of the others count all the same.

    Yields
    ------
    at
        (day,) positions of the wanted rows of a year.
    z, sw, drivers
        As ``table_days.embed_rows`` returns them, of these rows.
    has_spectrum
        Whether any spectrum is within the fusion's window of the year; without one the embedding is that of nothing.
    """
    weather = xr.Dataset(
        {
            # From the units of the table to those of the scene contract.
            "sw_in": ("time", rows["ppfd"].values / PAR_MOL_PER_J),
            "tair": ("time", rows["temp"].values),
            "vpd": ("time", rows["vpd"].values / 100),
            "precip": ("time", rows["prec"].values * 86400),
        },
        {"time": rows["date"].values},
    )
    every = to_epoch_day(rows["date"].values)
    values = rows[list(DAILY_COLUMNS)].values.astype(float)
    acquired = np.flatnonzero(np.isfinite(values).all(1))
    # Greedy: the first spectrum, then each that is far enough from the one kept before.
    keep = list(acquired[:1])
    for i in acquired[1:]:
        if every[i] - every[keep[-1]] >= EVERY_DAYS:
            keep.append(i)
    lat = float(rows["lat"].iloc[0])
    # Of the whole series at once: soil water and acclimation remember the year before.
    sw, drivers = daily_drivers(
        weather, pd.DatetimeIndex(rows["date"]), lat if np.isfinite(lat) else UNKNOWN_LATITUDE
    )
    day, spectra = every[keep], values[keep]
    # The window is that of all rows of the year, wanted or not: no answer may hang on which other days are asked.
    wanted = np.ones(len(rows), bool) if wanted is None else wanted
    for year in np.unique(rows["date"].dt.year[wanted]):
        in_year = rows["date"].dt.year.values == year
        first, last = every[in_year].min() - WINDOW_DAYS, every[in_year].max() + WINDOW_DAYS
        at, near = np.flatnonzero(in_year & wanted), (day >= first) & (day <= last)
        if near.any():
            z, sigma = embed_series(model, day[near], spectra[near], every[at])
            gap = np.abs(every[at][:, None] - day[near]).min(1)
        else:
            z, sigma = embed_series(model, every[at][:1], np.full((1, values.shape[1]), np.nan), every[at])
            gap = np.full(len(at), -1)
        # A copy: the years share the array of the site.
        own = drivers[at].copy()
        own[:, PIXEL] = pixel_drivers(gap, sigma, gap.shape)
        yield at, (z, sw[at], own), bool(near.any())
