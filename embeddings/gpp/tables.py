"""Tables of sites and dates: reading, units and ranges checked, rows cleaned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings import text_cells, text_table
from fluxlens.embeddings.gpp.table_features import BANDS, MERRA2_COLUMNS
from fluxlens.embeddings.gpp.table_resolution import looks_coarse, row_resolution_m
from fluxlens.embeddings.readers.reflectance_units import DARKEST
from fluxlens.models.errors import InputError

MGRS_LATITUDE_BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""Latitude bands of 8 degrees of the Military Grid Reference System, from 80 S."""


def read(path: str | Path, need_gpp: bool = False, resolution_m: float | None = None) -> pd.DataFrame:
    """Read a CSV table of spectra.

    Parameters
    ----------
    path
        CSV with the columns ``SITE_ID`` or ``site``, ``date``, ``BANDS`` (reflectance 0-1) and, where there are,
        ``MERRA2_COLUMNS`` (MERRA-2 names and units), a latitude or a tile, ``PFT``, ``GPP`` (gC m-2 d-1), and
        ``sensor``, ``footprint_m`` or ``resolution_m`` (how much land a row shows, see ``table_resolution``).
    need_gpp
        Whether GPP must be there.
    resolution_m
        Metres of land a row shows, of all rows; counts before the columns.

    Returns
    -------
    DataFrame
        As ``clean`` returns it.

    Raises
    ------
    InputError
        When the file is missing or not such a table.
    """
    try:
        # pandas first, for plain files of any size; codes of sites such as 007 stay text.
        raw = pd.read_csv(path, dtype={"SITE_ID": str, "site": str})
    except FileNotFoundError as error:
        raise InputError(f"Got {path}, which does not exist, need a CSV file; check the path.") from error
    except IsADirectoryError as error:
        raise InputError(
            f"Got {path}, which is not a CSV table, need one with a header; check the file."
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        raw = pd.DataFrame()
    if not {"date", *BANDS} <= set(raw):
        # Semicolons, decimal commas, other encodings, lines above the header, Parquet.
        try:
            cells = text_table.read_table(path, "table")
        except InputError as error:
            if not raw.columns.size:
                raise InputError(
                    f"Got {path}, which is not a CSV table, need one with a header; check the file."
                ) from error
        else:
            raw = cells.replace("", np.nan)
    return clean(raw, need_gpp, resolution_m)


def clean(raw: pd.DataFrame, need_gpp: bool = False, resolution_m: float | None = None) -> pd.DataFrame:
    """Check names, dates, numbers and units of a table.

    Parameters
    ----------
    raw
        Columns as for ``read``; others are ignored, outputs of land models (``LHLAND``, ``SHLAND``) among them, which
        know the vegetation already.
    need_gpp
        Whether GPP must be there.
    resolution_m
        As for ``read``.

    Returns
    -------
    DataFrame
        ``site``, ``date`` (midnight), the bands, what there is of weather, ``lat`` (degrees, NaN where unknown),
        ``type`` (plant functional type), ``resolution_m`` (NaN where not told) and, where given, ``gpp``; rows in the
        order given, missing values NaN.

    Raises
    ------
    InputError
        When a column is missing, or a value is not what it should be.
    """
    raw = raw.rename(columns={"SITE_ID": "site"} if "site" not in raw else {})
    need = ["site", "date", *BANDS, *(["GPP"] if need_gpp else [])]
    if lost := [name for name in need if name not in raw]:
        raise InputError(
            f"Got a table without {', '.join(lost)}, need the columns SITE_ID, date, {', '.join(BANDS)}"
            f"{', GPP' if need_gpp else ''}; add them."
        )
    if raw.empty:
        raise InputError("Got a table without rows, need one or more; check the file.")
    if raw["site"].isna().any():
        raise InputError(
            f"Got row {int(raw['site'].isna().values.argmax()) + 1} without a site, need one in each; fill it in."
        )
    date = pd.to_datetime(raw["date"].astype(str), errors="coerce", format="ISO8601")
    if date.isna().any():
        bad = raw["date"][date.isna()].iloc[0]
        try:
            # The styles of spreadsheets and of Earth Engine.
            date = pd.Series(text_cells.to_times(raw["date"], "the table"), raw.index).dt.as_unit("us")
        except InputError as error:
            raise InputError(f"Got the date {bad!r}, need dates as YYYY-MM-DD; rewrite it.") from error
    date = date.dt.tz_localize(None) if date.dt.tz is not None else date
    out = pd.DataFrame({"site": raw["site"].astype(str).values, "date": date.dt.normalize().values})
    for name in (*BANDS, *MERRA2_COLUMNS, *(["GPP"] if need_gpp else [])):
        if name in raw:
            out[name] = _numbers(raw[name])
    # A table in other units gives plausible, wrong GPP: refuse rather than guess.
    _check_units(out)
    out["lat"] = _latitude(raw)
    out["type"] = raw["PFT"].fillna("unknown").astype(str).values if "PFT" in raw else "unknown"
    out["resolution_m"] = row_resolution_m(raw, resolution_m)
    out = out.rename(columns={"GPP": "gpp"})
    # Known from columns that are dropped here; who predicts decides whether it matters.
    out.attrs["looks_coarse"] = looks_coarse(raw, out)
    return out


def _numbers(column: pd.Series) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce")
    if (values.isna() & column.notna()).any():
        bad = column[values.isna() & column.notna()].iloc[0]
        raise InputError(f"Got {bad!r} in the column {column.name}, need a number or nothing; correct it.")
    return values.where(np.isfinite(values) & (values > -9000)).values.astype(float)  # -9999 is missing


def _check_units(table: pd.DataFrame) -> None:
    bands = table[list(BANDS)].stack()
    # The median: single bright pixels of snow or cloud may exceed 1.
    if (middle := bands.median()) > 2:
        # Percent, or the digital numbers of products.
        divisor = 100 if middle < 100 else 10_000
        raise InputError(f"Got bands above 2, need reflectance 0-1; divide by {divisor}.")
    if len(bands) and (high := bands.quantile(0.99)) < DARKEST:
        raise InputError(
            f"Got bands of {high:.2g} at most, need reflectance 0-1; if they were divided by 10000 twice, multiply by"
            " 10000."
        )
    for name in ("T2MIN", "T2MAX", "T2MEAN", "TSMDEWMEAN"):
        if name in table and table[name].notna().any() and table[name].median() < 150:
            raise InputError(f"Got {name} of {table[name].median():.0f}, need kelvin; add 273.15.")


def _latitude(raw: pd.DataFrame) -> np.ndarray:
    """Degrees: given, or the middle of the tile's latitude band; NaN if neither."""
    for name in ("lat", "latitude", "LAT"):
        if name in raw:
            return _numbers(raw[name])
    for name, pattern in (
        ("TILE_ID_x", r"^T?\d{2}([C-X])"),
        ("TILE_ID_y", r"^T?\d{2}([C-X])"),
        ("Chip", r"\.T\d{2}([C-X])"),
    ):
        if name in raw:
            # Half a band (4 degrees) is near enough: latitude counts by day length and season alone.
            letter = raw[name].astype(str).str.extract(pattern)[0]
            return letter.map(
                {one: -76.0 + 8 * i for i, one in enumerate(MGRS_LATITUDE_BANDS)}
            ).values.astype(float)
    return np.full(len(raw), np.nan)
