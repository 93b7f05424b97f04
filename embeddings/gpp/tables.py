"""Tables of sites and dates: reading, units and ranges checked, rows cleaned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fluxlens.embeddings import text_cells, text_table
from fluxlens.embeddings.gpp import stated_units
from fluxlens.embeddings.gpp.table_features import BANDS, MERRA2_COLUMNS
from fluxlens.embeddings.gpp.table_resolution import looks_coarse, row_resolution_m
from fluxlens.embeddings.meteorology import extraterrestrial_radiation
from fluxlens.embeddings.place_columns import (
    CRS_NAMES,
    LAT_WORDS,
    ZONE_NAMES,
    check_place_columns,
    columns_of_places,
    find_place_columns,
    read_places,
    to_degrees,
)
from fluxlens.embeddings.readers.reflectance_units import DARKEST
from fluxlens.embeddings.readers.series_columns import date_columns, to_utc_times
from fluxlens.embeddings.towers import plausibility
from fluxlens.embeddings.unpacking import GZIP_MAGIC, ZIP_MAGIC, has_magic
from fluxlens.models.errors import InputError

SITE_NAMES = ("siteid", "site", "sitecode", "sitename", "fluxnetid", "station", "stationid", "tower")
"""Columns of sites by ``plain_name``, the preferred one first; not ``id``, which may count rows."""
MIN_DAYS_OF_LIGHT = 10
"""Rows of radiation below which overcast days alone may stand in a table."""
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
    return clean(read_rows(path, ("date", *BANDS)), need_gpp, resolution_m)


def read_rows(path: str | Path, need: tuple[str, ...]) -> pd.DataFrame:
    """Rows of a CSV or Parquet table as they stand in the file.

    Parameters
    ----------
    path
        Of the file.
    need
        Columns that tell that plain CSV is understood; else other separators, decimal marks and encodings are tried.

    Returns
    -------
    DataFrame
        Empty cells are NaN.

    Raises
    ------
    InputError
        When the file is missing or no table.
    """
    if Path(path).suffix.lower() in text_table.PARQUET:
        return text_table.read_table(path, "table")
    if Path(path).is_file() and has_magic(path, (ZIP_MAGIC, GZIP_MAGIC)):
        return text_table.read_table(path, "table").replace("", np.nan)
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
    # Text among numbers, and comments among rows: headers once more, decimal commas in quotes.
    is_plain = set(need) <= set(raw) and not (
        any(pd.api.types.is_string_dtype(raw[name]) for name in need if name not in ("site", "date"))
        or raw.iloc[:, 0].astype(str).str.startswith("#").any()
    )
    if not is_plain:
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
    return raw


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
    raw = stated_units.check(rename_site_and_date(raw))
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
    date = pd.Series(text_cells.to_times(raw["date"], "the table")).dt.as_unit("us")
    out = pd.DataFrame({"site": raw["site"].astype(str).values, "date": date.dt.normalize().values})
    for name in (*BANDS, *MERRA2_COLUMNS, *(["GPP"] if need_gpp else [])):
        if name in raw:
            out[name] = text_cells.to_numbers(raw[name], "the table")
    # A table in other units gives plausible, wrong GPP: refuse rather than guess.
    _check_units(out)
    if "GPP" in out:
        plausibility.check_gpp("the table", out["GPP"].dropna().to_numpy(), "GPP", "gC m-2 d-1")
    out["lat"] = _latitude(raw)
    _check_light(out)
    out["type"] = raw["PFT"].fillna("unknown").astype(str).values if "PFT" in raw else "unknown"
    out["resolution_m"] = row_resolution_m(raw, resolution_m)
    out = out.rename(columns={"GPP": "gpp"})
    # Known from columns that are dropped here; who predicts decides whether it matters.
    out.attrs["looks_coarse"] = looks_coarse(raw, out)
    return out


def rename_site_and_date(raw: pd.DataFrame) -> pd.DataFrame:
    """A table whose columns of sites and dates are called ``site`` and ``date``; bands are not renamed.

    Parameters
    ----------
    raw
        Rows as they stand in the file, with ``SITE_ID``, ``Site``, ``Date`` or the like.

    Returns
    -------
    DataFrame
    """
    for name, spellings in (("site", SITE_NAMES), ("date", ("date",))):
        spelled = text_cells.find_column(raw, spellings)
        if name not in raw and spelled is not None:
            raw = raw.rename(columns={spelled: name})
    # Dates under another name, or in columns for year, month and day.
    if "date" not in raw and date_columns(raw):
        raw = raw.assign(date=to_utc_times(raw, "the table"))
    return raw


def check_reflectance(bands: pd.DataFrame) -> None:
    """InputError where reflectance is percent, digital numbers, or was divided twice.

    Parameters
    ----------
    bands
        (row, band) numbers, NaN where missing.
    """
    values = bands.stack()
    # Median and quantile: some wrong cells do not make other units.
    if (middle := values.median()) > 2:
        # Percent of land stay below 100, its digital numbers lie in the hundreds and thousands.
        divisor = 100 if middle < 100 else 10_000
        raise InputError(f"Got bands above 2, need reflectance 0-1; divide by {divisor}.")
    if len(values) and (high := values.quantile(0.99)) < DARKEST:
        raise InputError(
            f"Got bands of {high:.2g} at most, need reflectance 0-1; if they were divided by 10000 twice, multiply by"
            " 10000."
        )


def _check_units(table: pd.DataFrame) -> None:
    check_reflectance(table[list(BANDS)])
    for name in ("T2MIN", "T2MAX", "T2MEAN", "TSMDEWMEAN"):
        # No air is as cold as 150 K, nor as warm as 150 degC: the two units cannot be confused.
        if name in table and table[name].notna().any() and table[name].median() < 150:
            raise InputError(f"Got {name} of {table[name].median():.0f}, need kelvin; add 273.15.")


def _check_light(table: pd.DataFrame) -> None:
    """InputError where shortwave radiation (row,) cannot be W m-2 beside that above the atmosphere."""
    span = table["date"].max() - table["date"].min()
    # Without a place only tables of more than one season tell: of the middle latitudes of both hemispheres.
    if "SWLAND" not in table or (table["lat"].isna().all() and span < pd.Timedelta(days=120)):
        return
    day = table["date"].dt.day_of_year
    lat = table["lat"] if table["lat"].notna().any() else pd.Series(45.0, table.index)
    above = extraterrestrial_radiation(lat, day).radiation_w_m2
    if table["lat"].isna().all():
        above = (above + extraterrestrial_radiation(-lat, day).radiation_w_m2) / 2
    share = (table["SWLAND"] / above.where(above > 150)).dropna()
    if len(share) < MIN_DAYS_OF_LIGHT:
        return
    # The brightest days reach 0.7; MJ m-2 d-1 are 0.0864 of W m-2.
    if (bright := share.quantile(0.9)) < 0.1:
        raise InputError(
            f"Got SWLAND of {bright:.0%} of the radiation above the atmosphere on bright days, need W m-2; it looks"
            " like MJ m-2 d-1, multiply by 11.574."
        )
    if share.median() > 1.2:
        raise InputError(
            f"Got SWLAND of {share.median():.1f} times the radiation above the atmosphere, need W m-2 over 24 hours;"
            " convert it."
        )


def read_latitude(raw: pd.DataFrame) -> np.ndarray | None:
    """Latitude of each row, where the table gives it.

    Parameters
    ----------
    raw
        Rows as they stand in the file.

    Returns
    -------
    ndarray or None
        (row,) degrees, NaN where missing; None without such a column.

    Raises
    ------
    InputError
        Where it is beyond 90 degrees.
    """
    check_place_columns(raw, "the table")
    spelled = text_cells.find_column(raw, ("lat", *LAT_WORDS))
    # Not y or Breite, which stand for other things as well.
    if spelled is None and (pair := find_place_columns(raw)) and pair[1] in columns_of_places(raw):
        spelled = pair[1]
    if spelled is not None:
        lat = to_degrees(raw[spelled], "lat", "the table")
        if (np.abs(lat) > 90).any():
            raise InputError(
                f"Got {spelled} of {lat[np.abs(lat) > 90][0]:g}, beyond 90 degrees, need degrees north; correct it."
            )
        return lat
    # Columns x and y may be rows and columns of an image, unless a CRS stands beside them.
    says_crs = text_cells.find_column(raw, (*CRS_NAMES, *ZONE_NAMES)) is not None
    if says_crs and (places := read_places(raw, "the table")) is not None:
        return places[1]
    return None


def _latitude(raw: pd.DataFrame) -> np.ndarray:
    """Degrees: given, or the middle of the tile's latitude band; NaN if neither."""
    if (lat := read_latitude(raw)) is not None:
        return lat
    for name, pattern in (
        ("TILE_ID_x", r"^T?\d{2}([C-X])"),
        ("TILE_ID_y", r"^T?\d{2}([C-X])"),
        ("Chip", r"\.T\d{2}([C-X])"),
    ):
        if name in raw:
            # Half a band (4 degrees) is near enough: latitude counts by day length and season alone.
            letter = raw[name].astype(str).str.extract(pattern)[0]
            # C is 80 to 72 S, its middle 76 S.
            return letter.map(
                {one: -76.0 + 8 * i for i, one in enumerate(MGRS_LATITUDE_BANDS)}
            ).values.astype(float)
    return np.full(len(raw), np.nan)
