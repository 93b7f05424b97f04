"""Where towers stand: lists of sites as networks and people write them.

The column of site codes is found by its content (``XX-Xxx``), since lists number their rows under ``siteid`` or
write the code under ``sitename``; coordinates are found by the words of their column's name.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from pathlib import Path

import pandas as pd
from fluxlens.embeddings.place_columns import (
    check_place_columns,
    convert_metres,
    find_place_columns,
    to_degrees,
)
from fluxlens.embeddings.text_encoding import encoding_of
from fluxlens.embeddings.towers.data_files import SITE
from fluxlens.embeddings.unpacking import check_unpacked
from fluxlens.models.errors import DataWarning, InputError

# The list of all FLUXNET sites has 0.2 MB, the BIF of all AmeriFlux sites 20 MB.
MAX_BYTES = 128 * 2**20
# Sites named in a warning before it ends with a count.
NAMED_AT_MOST = 5
SITE_SHARE = 0.5
"""Share of a column's cells that are site codes, above which it is the column of sites."""

ALIASES = {
    "site": (
        "site",
        "site_id",
        "siteid",
        "fluxnetid",
        "fluxnet_id",
        "site_code",
        "site_name_short",
        "sitename",
        "tower",
        "id",
    ),
    "lat": ("lat", "latitude", "location_lat", "tower_lat", "site_lat", "lat_icos", "y"),
    "lon": (
        "lon",
        "long",
        "lng",
        "longitude",
        "location_long",
        "location_lon",
        "tower_lon",
        "site_lon",
        "lon_icos",
        "x",
    ),
    "igbp": ("igbp", "igbp_class", "igbp_land_use", "classid_icos", "pft", "veg_type"),
    "network": ("network", "network1"),
    "name": ("name", "site_name", "sitename", "site_long"),
}
WORDS = {"lat": {"lat", "latitude"}, "lon": {"lon", "long", "lng", "longitude"}, "igbp": {"igbp"}}


def sites(path: str | Path) -> pd.DataFrame:
    """Longitude, latitude and IGBP class of sites, indexed by site.

    Parameters
    ----------
    path : str or Path
        A table with a header (``,``, ``;`` or tabs; decimal points or commas; UTF-8, UTF-16 or Windows text), a
        headerless one (site, lat, lon, igbp, network), a BIF (variables LOCATION_LAT, LOCATION_LONG, IGBP per site;
        of a tower that moved the newest place), either as text or Excel, or GeoJSON points with the site in their
        properties.

    Returns
    -------
    pd.DataFrame
        ``lon``, ``lat`` in degrees, and ``igbp``, ``network``, ``name`` where there are any.

    Raises
    ------
    InputError
        Where it is no such table, no site has a place, or a place is off the globe.

    Warns
    -----
    DataWarning
        Counts and names the rows that were left out.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"Got {path}, which is no file, need a table of sites; check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            f"Got {path.name} of more than {MAX_BYTES // 2**20} MiB, need a list of sites; give another file."
        )
    left_out: dict[str, list[str]] = {}
    try:
        raw = _raw_table(path, left_out)
        table = _renamed(raw, path.name)
    # Parsers of tables fail in many ways on files that are none; an InputError already says what is wrong.
    except (ValueError, KeyError, TypeError, AttributeError, LookupError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"Got {path.name}, which is no table of sites, need site, lat, lon and igbp; repair it."
        ) from error
    except ImportError as error:
        raise InputError(f"Got {path.name}, need openpyxl for Excel; install it or save as CSV.") from error
    # Without coordinates a list cannot place anything.
    missing = [column for column in ("lat", "lon") if column not in table]
    if missing:
        raise InputError(f"Got {path.name} without {', '.join(missing)}, need lat and lon; add the columns.")
    # Rows that cannot be placed are counted and named, not dropped without a word.
    no_place = table["lat"].isna() | table["lon"].isna()
    if no_place.any():
        left_out["without a place"] = list(table.index[no_place])
    table = table[~no_place]
    nameless = table.index.isin(["", "nan", "None"])
    if nameless.any():
        left_out["without a site"] = ["?"] * int(nameless.sum())
        table = table[~nameless]
    # The same row twice is harmless; the same name at two places is told.
    twice = table.index.duplicated()
    other = twice & ~table.assign(_site=table.index).duplicated(["_site", "lat", "lon"]).to_numpy()
    if other.any():
        left_out["named twice with another place"] = list(table.index[other])
    table = table[~twice]
    if table.empty:
        raise InputError(
            f"Got {path.name} without a site that has a place, need site, lat and lon in degrees; repair it."
        )
    # Swapped columns and projected coordinates: a site off the globe means that all are doubtful.
    wrong = table[(table["lat"].abs() > 90) | (table["lon"].abs() > 180)]
    if len(wrong):
        raise InputError(
            f"Got {path.name} with {len(wrong)} sites off the globe such as {wrong.index[0]} at lat"
            f" {wrong['lat'].iloc[0]:g}, lon {wrong['lon'].iloc[0]:g}, need degrees; check it."
        )
    if left_out:
        listed = "; ".join(f"{len(names)} {why} ({_listed(names)})" for why, names in left_out.items())
        warnings.warn(f"rows of {path.name} left out: {listed}", DataWarning, stacklevel=2)
    return table[[column for column in ("lon", "lat", "igbp", "network", "name") if column in table]]


def _listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(map(str, names[:NAMED_AT_MOST])) + (f" and {more} more" if more > 0 else "")


def _raw_table(path: Path, left_out: dict[str, list[str]]) -> pd.DataFrame:
    """The table as text cells, one row per site."""
    content = path.read_bytes()
    if path.suffix.lower() in (".xlsx", ".xls"):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(info.file_size for info in archive.infolist())
            check_unpacked(path.name, unpacked, len(content), MAX_BYTES)
        try:
            sheets = pd.read_excel(io.BytesIO(content), dtype="str", sheet_name=None)
        except (zipfile.BadZipFile, ValueError) as error:
            raise InputError(
                f"Got {path.name}, a damaged Excel file, need a whole one; save it again."
            ) from error
        return _bif(_sheet_of_places(sheets, path.name))
    # Errors are replaced: one odd letter in a site's name must not cost the list.
    text = content.decode(encoding_of(content), errors="replace").lstrip("\ufeff")
    if path.suffix.lower() in (".geojson", ".json"):
        return _geojson(text, left_out)
    lines = text.splitlines()
    # Comments and empty lines before the header.
    skip = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    first = lines[skip] if lines else ""
    # The most frequent one in the header; names of sites may contain the others.
    separator = max(",;\t", key=first.count) if re.search("[,;\t]", first) else r"\s+"
    options: dict = {
        "sep": separator,
        "skiprows": skip,
        "dtype": "str",
        "skipinitialspace": True,
        "keep_default_na": False,
    }
    if SITE.match(first.strip().strip('"')):
        names = ["site", "lat", "lon", "igbp", "network"]
        count = max(len(first.split(separator)), 3) if separator != r"\s+" else 5
        names += [f"column {i}" for i in range(len(names), count)]
        return pd.read_csv(
            io.StringIO(text), header=None, names=names, index_col=False, engine="python", **options
        )
    return _bif(pd.read_csv(io.StringIO(text), index_col=False, engine="python", **options))


def _sheet_of_places(sheets: dict[str, pd.DataFrame], what: str) -> pd.DataFrame:
    """The only sheet of a workbook with sites and places, told where there are others."""
    filled = {str(name): sheet for name, sheet in sheets.items() if len(sheet)}
    if len(filled) < 2:
        return next(iter(filled.values()), pd.DataFrame())
    placed = []
    for name, sheet in filled.items():
        try:
            has_places = {"lon", "lat"} <= set(_renamed(_bif(sheet), what))
        except (KeyError, ValueError, TypeError, AttributeError):
            has_places = False
        placed += [name] if has_places else []
    if len(placed) > 1:
        raise InputError(
            f"Got {what} with {len(placed)} sheets of sites ({', '.join(placed[:4])}), need one; save the one you mean"
            " as CSV."
        )
    if not placed:
        return next(iter(filled.values()))
    not_read = ", ".join(name for name in filled if name != placed[0])
    warnings.warn(
        f"of the {len(filled)} sheets of {what}, {placed[0]!r} is read, not {not_read}",
        DataWarning,
        stacklevel=4,
    )
    return filled[placed[0]]


def _bif(table: pd.DataFrame) -> pd.DataFrame:
    """A long table of variables per site (BIF) as one row per site; other tables as they are."""
    table.columns = [str(column).strip() for column in table.columns]
    upper = {column.upper(): column for column in table.columns}
    if not {"SITE_ID", "VARIABLE", "DATAVALUE"} <= set(upper):
        return table
    long = table.rename(columns={column: name for name, column in upper.items()})
    long = long.apply(lambda column: column.astype("str").str.strip())
    rows = long.drop_duplicates(["SITE_ID", "VARIABLE"]).pivot(
        index="SITE_ID", columns="VARIABLE", values="DATAVALUE"
    )
    if "GROUP_ID" in long:
        # A tower that moved has a group per place, each with the date from which it holds.
        groups = long[long["VARIABLE"].str.startswith("LOCATION_")]
        places = groups.drop_duplicates(["SITE_ID", "GROUP_ID", "VARIABLE"]).pivot(
            index=["SITE_ID", "GROUP_ID"], columns="VARIABLE", values="DATAVALUE"
        )
        if {"LOCATION_LAT", "LOCATION_LONG"} <= set(places):
            places = places.dropna(subset=["LOCATION_LAT", "LOCATION_LONG"])
            start = places.get("LOCATION_DATE_START", pd.Series("", places.index)).fillna("")
            # 2004, 200407 and 20040701 compare as text once they are of one length.
            order = pd.DataFrame(
                {
                    "site": places.index.get_level_values("SITE_ID"),
                    "start": start.str.replace(r"\D", "", regex=True).str.ljust(12, "0").to_numpy(),
                    "group": pd.to_numeric(places.index.get_level_values("GROUP_ID"), errors="coerce"),
                }
            ).sort_values(["site", "start", "group"], kind="stable")
            # A tower that moved is looked up where it stands now.
            newest = order.groupby("site").tail(1)
            for row, site in zip(newest.index, newest["site"], strict=True):
                for variable in ("LOCATION_LAT", "LOCATION_LONG"):
                    rows.loc[site, variable] = places[variable].iloc[row]
    return rows.reset_index()


def _geojson(text: str, left_out: dict[str, list[str]]) -> pd.DataFrame:
    """One row per point feature, its properties as columns; what is no point goes to ``left_out``."""
    rows = []
    for number, feature in enumerate(json.loads(text)["features"]):
        geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
        # Outlines of sites are no places of towers.
        if geometry.get("type") != "Point":
            # A feature without a name is called by its number, so that the warning can name it.
            label = next(
                (str(v) for v in properties.values() if SITE.fullmatch(str(v))), f"feature {number + 1}"
            )
            left_out.setdefault("no points", []).append(label)
            continue
        lon, lat = geometry["coordinates"][:2]
        rows.append({"id": feature.get("id"), **properties, "lon": str(lon), "lat": str(lat)})
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _renamed(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Columns by our names, text stripped and places in degrees, indexed by site."""
    check_place_columns(table, what)
    plain = {}
    for column in table.columns:
        # "Latitude (deg)" and "latitude_deg" are one name: units in brackets and punctuation go.
        name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"\((deg\w*|°|m)\)", "", str(column).lower())).strip("_")
        plain.setdefault(name, column)
    column_of: dict[str, str] = {}
    for ours, aliases in ALIASES.items():
        column = next((plain[alias] for alias in aliases if alias in plain), None)
        # No known name: then one word of the header is enough, such as "station latitude".
        if column is None and ours in WORDS:
            column = next(
                (theirs for name, theirs in plain.items() if WORDS[ours] & set(name.split("_"))), None
            )
        if column is not None:
            column_of[ours] = column
    if not {"lon", "lat"} <= set(column_of) and (pair := find_place_columns(table)) is not None:
        column_of["lon"], column_of["lat"] = pair
    cells = {column: table[column].astype("str").str.strip().str.strip('"') for column in table.columns}
    codes = {column: cells[column].map(lambda cell: bool(SITE.fullmatch(cell))).mean() for column in cells}
    # Names of columns mislead ("site" may hold a full name): site codes are told by their pattern in the cells.
    if codes.get(column_of.get("site", ""), 0) < SITE_SHARE:
        by_content = [column for column, share in codes.items() if share >= SITE_SHARE]
        if by_content:
            column_of["site"] = by_content[0]
    # One column cannot be both; the code is what all else is looked up by.
    if column_of.get("name") == column_of.get("site"):
        column_of.pop("name", None)
    if "site" not in column_of:
        raise KeyError("site")
    if len(set(column_of.values())) < len(column_of):
        raise KeyError("one column of two meanings")
    out = pd.DataFrame({ours: cells[column] for ours, column in column_of.items()})
    blank = (out == "").all(axis=1)  # empty rows below the last one
    if {"lon", "lat"} <= set(column_of):
        pair = column_of["lon"], column_of["lat"]
        lon, lat = (
            to_degrees(cells[name], axis, what, False)
            for name, axis in zip(pair, ("lon", "lat"), strict=True)
        )
        out["lon"], out["lat"] = convert_metres(table, pair, lon, lat, what)
    return out[~blank].set_index("site")
