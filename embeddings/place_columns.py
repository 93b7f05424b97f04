"""Where the rows of a table lie: degrees in any spelling, coordinates of a CRS that the table says, geometries.

The one reader of places for points to export, series tables, tables of GPP and lists of towers; long, so that what
each of them accepts is the same.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from fluxlens.embeddings.geometry import wrap_longitudes
from fluxlens.embeddings.month_words import without_accents
from fluxlens.embeddings.text_cells import (
    GROUPED,
    MISSING_TEXT,
    SPREADSHEET_ERROR,
    find_column,
    plain_name,
    to_plain_number,
)
from fluxlens.models.errors import DataWarning, InputError

LON_WORDS = (
    "longitude", "longitud", "longitudine", "langengrad", "laengengrad", "lengtegraad", "lengdegrad", "laengdegrad",
    "lengdargrad", "boylam", "pituusaste", "pikkuskraad", "ilguma", "долгота",
    "довгота",
)  # fmt: skip
LAT_WORDS = (
    "latitude", "latitud", "latitudine", "breitengrad", "breedtegraad", "breddegrad", "breiddargrad", "enlem",
    "leveysaste", "laiuskraad", "platuma", "широта",
)  # fmt: skip
"""Words that mean nothing else, by ``without_accents``: Romance and Germanic languages, Turkish, Finnish, Estonian,
Lithuanian, Russian, Ukrainian."""
_GEOGRAPHIC = (
    "geogr", "geographische", "geografische", "geograficzna", "zemepisna", "zemepis", "zem", "zemljepisna",
    "geografska", "zemljopisna", "foldrajzi", "geografica", "geografisk", "γεωγραφικο",
)  # fmt: skip
# Length and width, which are longitude and latitude behind or before a word for geographic: German, Polish, Czech,
# Slovak, Slovene, Croatian, Hungarian, Greek.
_LENGTHS = (
    "lange", "laenge", "dlugosc", "delka", "dlzka", "dolzina", "duzina", "hosszusag", "μηκοσ",
)  # fmt: skip
_WIDTHS = (
    "breite", "szerokosc", "sirka", "sirina", "szelesseg", "πλατοσ",
)  # fmt: skip


def _geographic(sizes: tuple[str, ...]) -> tuple[str, ...]:
    """Words for a length or width with each word for geographic before and behind it."""
    pairs = [(size, word) for size in sizes for word in _GEOGRAPHIC]
    return tuple(name for size, word in pairs for name in (word + size, size + word))


_GEOGRAPHIC_LENGTHS, _GEOGRAPHIC_WIDTHS = _geographic((*_LENGTHS, "dl")), _geographic((*_WIDTHS, "szer"))
LON_NAMES = (
    "lon", "longitude", "long", "lng", "x", "decimallongitude", "pointx", "xcoord", "xcoordinate", "xkoord",
    "xkoordinate", "coordx", *LON_WORDS, *_GEOGRAPHIC_LENGTHS, *_LENGTHS,
)  # fmt: skip
LAT_NAMES = (
    "lat", "latitude", "y", "decimallatitude", "pointy", "ycoord", "ycoordinate", "ykoord", "ykoordinate", "coordy",
    *LAT_WORDS, *_GEOGRAPHIC_WIDTHS, *_WIDTHS,
)  # fmt: skip
"""Columns of places by ``find_column``, the preferred one first; they hold metres where the table says a CRS."""
SIZE_NAMES = (*_LENGTHS, *_WIDTHS)
"""Of these, words that also mean the length and width of a plot."""
EAST_NAMES = ("easting", "utmx", "xutm", "utmeasting", "utme", "eastingm", "rechtswert", "e")
NORTH_NAMES = ("northing", "utmy", "yutm", "utmnorthing", "utmn", "northingm", "hochwert", "n")
GEOMETRY_NAMES = ("geo", "geometry", "geom", "wkt", "thegeom")
"""Columns of geometries: GeoJSON as Earth Engine writes it, WKT, or the WKB of GeoParquet."""
CRS_NAMES = ("epsg", "epsgcode", "srid", "crs", "srs", "coordinatesystem", "projection")
ZONE_NAMES = ("utmzone", "zone", "utm", "zoneutm")
HEMISPHERE_NAMES = ("hemisphere", "hemi", "utmhemisphere")
WORDS = {"lon": {"lon", "long", "lng", *LON_WORDS}, "lat": {"lat", *LAT_WORDS}}
_AXIS = "|".join(
    sorted({re.escape(word) for words in WORDS.values() for word in words}, key=len, reverse=True)
)
_MINUTES = re.compile(rf"(?i)({_AXIS})[\s_.(\[-]*(mins?|minutes?|minuten|minutos|minuti|')[)\]]?")
_SECONDS = re.compile(
    rf"(?i)({_AXIS})[\s_.(\[-]*(secs?|seconds?|sekunden|segundos|secondes?|secondi|\")[)\]]?"
)
MISSING_PLACES = (-999.0, -9999.0, -99999.0)
"""Codes for a missing place."""
OUTSIDE_DEG = 5.0
"""Degrees beyond the area that a CRS is made for at which its two columns must be swapped, or the CRS another one."""
# Marks of minutes and seconds as keyboards, word processors and maps write them, as those of ASCII.
_MARKS = str.maketrans(
    "\u2032\u2019\u2018\u00b4`\u2033\u201d\u201c\u00ba\u02da\u2212\u00a0", "'''''\"\"\"\u00b0\u00b0- "
)
# Hemisphere, sign, degrees, minutes, seconds, hemisphere: a number ends at its mark, a blank, a letter or the end.
_DEGREES = re.compile(
    r"([NSEW]?)\s*([-+]?)\s*(\d{1,3}(?:\.\d+)?)(?:\s*[\u00b0:]\s*|\s+|$|(?=[NSEW]$))"
    r"(?:(\d{1,2}(?:\.\d+)?)(?:\s*[':]\s*|\s+|$|(?=[NSEW]$))(?:(\d{1,2}(?:\.\d+)?)\s*\"?\s*)?)?([NSEW]?)"
)
# Blanks or marks between thousands, as in northings.
_GROUPED = re.compile(r"[-+]?\d{1,3}([ \u202f']\d{3})+(\.\d+)?")
_CODE_IN_NAME = re.compile(r"(?i)^(?:x|y|e|n|east|north|easting|northing)[ _.:-]*(?:epsg)?[ _.:-]*(\d{4,5})$")


def parse_degrees(text: str) -> tuple[float, str]:
    """Degrees of a cell, and its letter of the hemisphere.

    Parameters
    ----------
    text : str
        ``50.746``, ``50,746``, ``50.746 N``, ``S 33.4``, ``50 44' 45.6" N``, ``50 44.76`` or ``50:44:45.6``.

    Returns
    -------
    float
        Degrees, negative to the south and west; NaN for anything else, such as 60 minutes or more.
    str
        N, S, E or W; empty where there is none.
    """
    # Two apostrophes stand for the seconds where a keyboard has no double prime.
    cell = str(text).translate(_MARKS).replace("''", '"').strip().upper()
    # A comma between digits is a decimal comma: pairs are parted before.
    match = _DEGREES.fullmatch(re.sub(r"(\d),(\d)", r"\1.\2", cell))
    if match is None or (match[1] and match[6]):
        return np.nan, ""
    letter, numbers = match[1] or match[6], [float(number) for number in match.groups()[2:5] if number]
    # Only the last of degrees, minutes and seconds has decimals.
    if any(number != int(number) for number in numbers[:-1]) or max(numbers[1:], default=0) >= 60:
        return np.nan, ""
    # A minus contradicts N and E; before S and W it says the same twice.
    if match[2] == "-" and letter in ("N", "E"):
        return np.nan, ""
    degrees = sum(number / 60**power for power, number in enumerate(numbers))
    return (-degrees if match[2] == "-" or letter in ("S", "W") else degrees), letter


def to_degrees(column: pd.Series, axis: str, what: str, is_strict: bool = True) -> np.ndarray:
    """A column of degrees, or of metres, as numbers.

    Parameters
    ----------
    column : pandas.Series
        Numbers, or text in any spelling of ``parse_degrees``.
    axis : str
        ``lon`` or ``lat``.
    what : str
        The table in words, for messages.
    is_strict : bool
        Whether a cell that is neither is refused; else it is NaN.

    Returns
    -------
    numpy.ndarray
        (row,) degrees, or metres where the column holds them; NaN where it is empty.

    Raises
    ------
    InputError
        Where a cell is neither, or its letter is one of the other axis.
    """
    # Plots repeat their place in each row.
    codes, unique = pd.factorize(column)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        unique = pd.Series(unique).astype(str).str.strip()
    values = pd.to_numeric(pd.Series(unique), errors="coerce").to_numpy(float, copy=True)
    for at in np.flatnonzero(np.isnan(values)):
        cell = str(unique[at]).translate(_MARKS)
        if cell.lower() in (*MISSING_TEXT, "<na>") or re.fullmatch(SPREADSHEET_ERROR, cell):
            continue
        values[at], letter = parse_degrees(cell)
        if letter and letter in ("NS" if axis == "lon" else "EW"):
            raise InputError(
                f"Got {cell!r} in the column {column.name} of {what}: lon and lat look swapped, need them in their"
                " columns; swap the columns."
            )
        if np.isnan(values[at]) and _GROUPED.fullmatch(cell):
            values[at] = float(re.sub(r"[^-+\d.]", "", cell))
        if np.isnan(values[at]) and re.fullmatch(GROUPED, cell):
            values[at] = float(to_plain_number(cell))
        if np.isnan(values[at]) and is_strict:
            raise InputError(
                f"Got {cell!r} in the column {column.name} of {what}, need a number or nothing; write degrees such as"
                " 50.746 or 50\u00b044'45.6\"N."
            )
    # Not every number below -9000 as in other columns: metres west or south of an origin are such.
    values[np.isin(values, MISSING_PLACES) | ~np.isfinite(values)] = np.nan
    return np.append(values, np.nan)[codes]  # a missing cell has the code -1


def find_place_columns(table: pd.DataFrame) -> tuple[str, str] | None:
    """The columns of longitude and latitude, or of east and north.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.

    Returns
    -------
    tuple of str or None
        As they stand in the table, east-west first; None where it has not both.
    """
    pair = [find_column(table, LON_NAMES), find_column(table, LAT_NAMES)]
    # Columns such as `gps_lat` or `longitude_wgs84`: by a word, where only one has it.
    for at, axis in enumerate(("lon", "lat")):
        if pair[at] is None:
            named = [
                c for c in table.columns if WORDS[axis] & set(re.split(r"[\W\d_]+", without_accents(str(c))))
            ]
            pair[at] = named[0] if len(named) == 1 else None
    # Beside any other word, Breite is the width of a plot.
    sizes = [name is not None and _is_size(name) for name in pair]
    pair = [None if size and not all(sizes) else name for name, size in zip(pair, sizes, strict=True)]
    if None in pair:
        pair = [find_column(table, EAST_NAMES), find_column(table, NORTH_NAMES)]
    if None in pair:
        coded = sorted(column for column in table.columns if _CODE_IN_NAME.match(str(column)))
        pair = coded if len(coded) == 2 else pair
    return None if None in pair or pair[0] == pair[1] else (pair[0], pair[1])


def columns_of_places(table: pd.DataFrame) -> list[str]:
    """Columns whose names have a word for longitude or latitude; x, y, e and n alone are of images as well.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.

    Returns
    -------
    list of str
        As they stand in the table.
    """
    # Not "long", as in long_name.
    words = "|".join(sorted({"lon", "lng", "lat", *LON_WORDS, *LAT_WORDS}, key=len, reverse=True))
    word = re.compile(rf"(?<![^\W\d_])({words})(?![^\W\d_])")
    return [
        str(name)
        for name in table.columns
        if word.search(without_accents(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name))))
        or without_accents(plain_name(name)) in (*_GEOGRAPHIC_LENGTHS, *_GEOGRAPHIC_WIDTHS)
    ]


def _is_size(name: str) -> bool:
    """Whether a column's name is a word for a length or a width as well."""
    return without_accents(plain_name(name)) in SIZE_NAMES


def check_place_columns(table: pd.DataFrame, what: str) -> None:
    """Refuse degrees, minutes and seconds in columns of their own: the degrees alone would lie up to 100 km off.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    what : str
        The table in words, for messages.

    Raises
    ------
    InputError
        Where there are such columns.
    """
    names = [str(name).strip() for name in table.columns]
    plain = {plain_name(name) for name in names}
    # One letter each: beside d, m is no metre.
    letters = [
        name for name in names if plain_name(name)[-1:] in ("m", "s") and plain_name(name)[:-1] + "d" in plain
    ]
    letters = [name for name in letters if re.fullmatch(_AXIS, plain_name(name)[:-1])]
    parts = letters + [name for name in names if _MINUTES.fullmatch(name) or _SECONDS.fullmatch(name)]
    # The least and the largest latitude of a box are no minutes.
    has_largest = any(re.fullmatch(rf"(?i)({_AXIS})[\s_.-]*max(imum)?", name) for name in names)
    has_seconds = any(_SECONDS.fullmatch(name) for name in parts)
    if parts and (letters or has_seconds or not has_largest):
        raise InputError(
            f"Got {what} with {', '.join(parts[:4])}, minutes or seconds of degrees in columns of their own, need one"
            " column each for lon and lat; write degrees + minutes / 60 + seconds / 3600."
        )


def _split_pair(table: pd.DataFrame) -> pd.DataFrame:
    """With columns lon and lat where one column has both and says their order: ``latlon``, ``lon_lat``."""
    for column in table.columns:
        if match := re.fullmatch(r"(lat|lon|lng)(?:lon|lng|long|lat)", plain_name(column)):
            halves = (
                table[column].astype(str).str.extract(r"^[\[(]?\s*(.+?)\s*[,; ]\s*(.+?)\s*[\])]?$").fillna("")
            )
            at = 1 if match[1] == "lat" else 0
            return table.assign(lon=halves[at], lat=halves[1 - at])
    return table


def read_places(
    table: pd.DataFrame, what: str, only_points: bool = False
) -> tuple[np.ndarray, np.ndarray] | None:
    """Longitude and latitude of each row.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file: columns for longitude and latitude, or coordinates of a projected CRS that a
        column (``epsg``, ``crs``, ``utm_zone``) or their name (``x_32631``) says, or a column of geometries.
    what : str
        The table in words, for messages.
    only_points : bool
        Whether another geometry than a point is refused; else a polygon stands for its middle.

    Returns
    -------
    tuple of numpy.ndarray or None
        Longitude and latitude (row,), degrees (WGS 84), NaN where a row has none; None without such columns.

    Raises
    ------
    InputError
        Where a cell is none, the two are swapped, or metres are of a CRS that nothing says.

    Warns
    -----
    DataWarning
        Longitudes from 0 to 360, which are wrapped, and rows whose geometry is none, with their count.
    """
    check_place_columns(table, what)
    table = table if find_place_columns(table) else _split_pair(table)
    pair, shape = find_place_columns(table), find_geometry_column(table)
    if pair is None and shape is None:
        return None
    if pair is None:
        lon, lat, kinds = read_geometries(table[shape], what)
        is_filled = (table[shape].notna() & (table[shape] != "")).to_numpy()
        is_wrong = kinds != "Point" if only_points else (kinds == "") & is_filled
        if only_points and is_wrong.any():
            row = int(is_wrong.argmax())
            got = kinds[row] or str(table[shape].iloc[row])[:40] or "nothing"
            raise InputError(
                f"Got {got} in row {row + 1} of {what}, need a point, or columns lon and lat; correct it."
            )
        if is_wrong.any():
            warnings.warn(
                f"{int(is_wrong.sum())} of {len(kinds)} rows of {what} have no geometry in {shape}: without a place.",
                DataWarning,
                stacklevel=3,
            )
        pair = "lon", "lat"
    else:
        lon, lat = (
            to_degrees(table[name], axis, what) for name, axis in zip(pair, ("lon", "lat"), strict=True)
        )
        lon, lat = convert_metres(table, pair, lon, lat, what)
    # Grids of the whole Earth often count longitude from 0 to 360.
    lon, wrapped = wrap_longitudes(lon, lat)
    if wrapped:
        warnings.warn(
            f"{wrapped} longitudes of {what} are beyond 180: taken as degrees from 0 to 360.",
            DataWarning,
            stacklevel=3,
        )
    _check_degrees(lon, lat, pair, what)
    if _is_size(pair[0]) or _is_size(pair[1]):
        warnings.warn(
            f"{pair[0]} and {pair[1]} of {what} are taken for longitude and latitude in degrees; if they are the size"
            " of the plots, rename them.",
            DataWarning,
            stacklevel=3,
        )
    return lon, lat


def convert_metres(
    table: pd.DataFrame, pair: tuple[str, str], lon: np.ndarray, lat: np.ndarray, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Metres as longitude and latitude, where the table says their CRS; other numbers as they are.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.
    pair : tuple of str
        Its columns of places.
    lon, lat : numpy.ndarray
        (row,) their numbers, degrees or metres.
    what : str
        The table in words, for messages.

    Returns
    -------
    tuple of numpy.ndarray
        Longitude and latitude (row,), degrees.
    """
    # A CRS beside degrees is that of the image, which Earth Engine exports.
    is_metres = bool((np.abs(lon) > 360).any() or (np.abs(lat) > 180).any())
    codes = _crs_of_rows(table, pair, lat, what) if is_metres else None
    return (lon, lat) if codes is None else _from_crs(lon, lat, codes, what)


def _check_degrees(lon: np.ndarray, lat: np.ndarray, names: tuple[str, str], what: str) -> None:
    """InputError where places (row,) are no degrees, or longitude and latitude are swapped."""
    beyond = (np.abs(lon) > 180) | (np.abs(lat) > 180)
    if beyond.any():
        at = int(beyond.argmax())
        metres = ", which are metres" if plain_name(names[0]) in EAST_NAMES else ""
        raise InputError(
            f"Got {names[0]} {lon[at]:g}, {names[1]} {lat[at]:g} in row {at + 1} of {what}, which are no degrees, need"
            f" lon and lat in degrees (WGS 84); convert {names[0]} and {names[1]}{metres}, or add a column epsg with"
            " their CRS, such as 32631."
        )
    if (np.abs(lat) > 90).any():
        at = int(np.nanargmax(np.abs(lat)))
        # A latitude beyond 90 beside a longitude that could be one: the two are swapped.
        swapped = "lon and lat look swapped, " if np.nanmax(np.abs(lon)) <= 90 else ""
        raise InputError(
            f"Got {names[1]} of {lat[at]:g} in row {at + 1} of {what}, beyond 90 degrees: {swapped}need them in their"
            " columns; swap the columns."
        )


def _crs_of_rows(
    table: pd.DataFrame, pair: tuple[str, str], north: np.ndarray, what: str
) -> pd.Series | None:
    """Text (row,) of the CRS of two columns of metres; None where nothing says it."""
    # The most explicit first: a column of codes, a code in the columns' names, a zone.
    column = find_column(table, CRS_NAMES)
    if column is not None:
        return table[column].astype(str).str.strip().str.removesuffix(".0")
    if named := [_CODE_IN_NAME.match(str(name)) for name in pair]:
        numbers = {one[1] for one in named if one}
        if len(numbers) == 1:
            return pd.Series(numbers.pop(), table.index)
    column = find_column(table, ZONE_NAMES)
    if column is None:
        return None
    zone = table[column].astype(str).str.strip().str.removesuffix(".0").str.upper()
    side = find_column(table, HEMISPHERE_NAMES)
    if side is not None:
        zone = (
            zone
            + " "
            + table[side].astype(str).str.strip().str.upper().str[:1].map({"N": "NORTH", "S": "SOUTH"})
        )
    # Bands of latitude leave out I and O, which look like digits.
    zone_and_side = zone.str.extract(r"^(?:UTM)?\s*(?:ZONE)?\s*(\d{1,2})\s*(NORTH|SOUTH|[C-HJ-NP-X])$")
    number = pd.to_numeric(zone_and_side[0])
    # N and S are hemispheres or bands of latitude; the band S is north of the equator, at 32 to 40 degrees.
    unclear = (zone_and_side[1] == "S") & (north > 3.5e6) & (north < 4.5e6)
    if number.isna().any() or not number.between(1, 60).all() or unclear.any():
        at = int((number.isna() | ~number.between(1, 60) | unclear).argmax())
        raise InputError(
            f"Got the zone {table[column].iloc[at]!r} in row {at + 1} of {what}, need its hemisphere too, such as 31"
            " north; write a column epsg, which is 326 and the zone in the north and 327 and the zone in the south."
        )
    # EPSG codes of WGS 84 / UTM: 326 and the zone in the north, 327 and the zone in the south.
    is_south = (zone_and_side[1] == "SOUTH") | zone_and_side[1].isin([*"CDEFGHJKLM", "S"])
    return (32600 + 100 * is_south + number.astype(int)).astype(str)


def _from_crs(x: np.ndarray, y: np.ndarray, codes: pd.Series, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (row,), degrees, of coordinates (row,) of the CRS of each row."""
    lon, lat = x.copy(), y.copy()
    groups, unique = pd.factorize(codes)
    for at, code in enumerate(unique):
        rows = (groups == at) & np.isfinite(x) & np.isfinite(y)
        crs = crs_of_text(str(code), what)
        # Numbers of a geographic CRS are degrees already.
        if crs.is_geographic or not rows.any():
            continue
        lon[rows], lat[rows] = _transformer_to_lonlat(crs.to_wkt()).transform(x[rows], y[rows])
        area = crs.area_of_use
        inside = np.isfinite(lon[rows]) & np.isfinite(lat[rows])
        if area is not None:
            inside &= (lat[rows] > area.south - OUTSIDE_DEG) & (lat[rows] < area.north + OUTSIDE_DEG)
            width = (area.east - area.west) % 360 or 360  # an area may reach over 180 degrees
            inside &= (lon[rows] - area.west + OUTSIDE_DEG) % 360 < width + 2 * OUTSIDE_DEG
        if not inside.all():
            first = int(np.flatnonzero(rows)[~inside][0])
            raise InputError(
                f"Got {x[first]:g}, {y[first]:g} in row {first + 1} of {what}, far outside of {crs.name}, need"
                " coordinates of it; check which of them is east, and the CRS."
            )
    return lon, lat


def crs_of_text(code: str, what: str):
    """The CRS of ``32631``, ``EPSG:32631`` or anything else that PROJ reads; InputError otherwise.

    Parameters
    ----------
    code : str
        As it stands in the table.
    what : str
        The table in words, for messages.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(f"EPSG:{code}" if code.isdigit() else code)
    except CRSError as error:
        raise InputError(
            f"Got the CRS {code[:40]!r} in {what}, need one that PROJ knows, such as 32631; correct it."
        ) from error


@lru_cache(maxsize=64)
def _transformer_to_lonlat(wkt: str):
    from pyproj import Transformer

    return Transformer.from_crs(wkt, "EPSG:4326", always_xy=True)


def find_geometry_column(table: pd.DataFrame) -> str | None:
    """The first column of geometries, by its name.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows as they stand in the file.

    Returns
    -------
    str or None
    """
    return find_column(table, GEOMETRY_NAMES)


def parse_geometry(cell: str | bytes) -> tuple[Any, int]:
    """The geometry of a cell, and the EPSG code it says.

    Parameters
    ----------
    cell : str or bytes
        GeoJSON, WKT (also with ``SRID=`` before it), or WKB.

    Returns
    -------
    shapely.Geometry or None
        None where the cell is none.
    int
        0 where it says none.
    """
    import shapely

    if isinstance(cell, bytes):
        shape = shapely.from_wkb(cell, on_invalid="ignore")
        return shape, int(shapely.get_srid(shape))
    if cell.lstrip().startswith("{"):
        return shapely.from_geojson(cell, on_invalid="ignore"), 0
    # PostGIS writes the CRS before the text: SRID=32631;POINT (575000 5622100).
    code = re.match(r"\s*SRID=(\d+);", cell)
    shape = shapely.from_wkt(cell[code.end() if code else 0 :].strip(), on_invalid="ignore")
    return shape, int(code[1]) if code else 0


def read_geometries(column: pd.Series, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, and the middle of polygons, of GeoJSON, WKT (also with ``SRID=``) or WKB.

    Parameters
    ----------
    column : pandas.Series
        Text or bytes.
    what : str
        The table in words, for messages.

    Returns
    -------
    lon, lat : numpy.ndarray
        (row,) degrees (WGS 84), or the metres of a geometry without a CRS; NaN for lines and what is no geometry.
    kind : numpy.ndarray
        (row,) str, such as ``Point``; empty where the cell is no geometry.
    """
    # Plots repeat their geometry in each row: each text is parsed once.
    codes, unique = pd.factorize(column.map(lambda cell: cell if isinstance(cell, bytes) else str(cell)))
    places, kinds = np.full((len(unique), 2), np.nan), np.full(len(unique), "", object)
    srids = np.zeros(len(unique), int)
    for at, one in enumerate(unique):
        shape, srids[at] = parse_geometry(one)
        if shape is None:
            continue
        kinds[at] = shape.geom_type
        if not shape.is_empty and not shape.geom_type.endswith("LineString"):
            places[at] = shape.centroid.x, shape.centroid.y
    lon, lat = places[codes, 0], places[codes, 1]
    if (srids > 0).any():
        # 4326: those that say none stay as they are.
        lon, lat = _from_crs(lon, lat, pd.Series(np.where(srids > 0, srids, 4326)[codes].astype(str)), what)
    return lon, lat, kinds[codes]
