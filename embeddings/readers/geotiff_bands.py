"""What the bands of a GeoTIFF are and when they were seen: by descriptions, the file's name, or a STAC item beside it.

Earth Engine's ``toBands`` puts the image's ``system:index`` before each band (``20200501T105031_..._T31UES_B4``): one
file holds many dates. Where the index only counts (``0_B4``, ``B4_1``) the dates are lost and the file is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
from fluxlens.embeddings.readers.band_names import OTHER_BANDS, find_bands
from fluxlens.models.errors import InputError

CLOCK = r"(?:[T_-]?([0-2]\d)[:_-]?([0-5]\d)[:_-]?([0-5]\d))?(?!\d)"
DATE = re.compile(r"(?<!\d)(20\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)" + CLOCK)
DAY_OF_YEAR = re.compile(r"(?<!\d)(20\d\d)[-_.]?([0-3]\d\d)" + CLOCK)
"""As in names of HLS and MODIS products: ``HLS.S30.T31UES.2019132T105031.v2.0.B04.tif``."""
DAY_FIRST = re.compile(r"(?<!\d)([0-3]\d)[-_.]([01]\d)[-_.](20\d\d)(?!\d)")
COUNTED = re.compile(r"\d{1,4}_(?P<after>.+)|(?P<before>.+)_\d{1,4}")
"""A band with the number of its image."""
SIDECAR_BYTES_AT_MOST = 2**22


def date_in(name: str, day_first: bool = False) -> pd.Timestamp | None:
    """The first date of a name, with its time where there is one.

    Parameters
    ----------
    name : str
        Of a file or a band.
    day_first : bool
        Whether ``12-05-2019`` may be read, as 12 May; else only year, month, day and year, day of year.
    """
    # Eight digits may be a tile number or a version: the first that is a date of the calendar counts.
    for match in DATE.finditer(name):
        year, month, day, *clock = match.groups()
        text = f"{year}-{month}-{day}" + (f"T{clock[0]}:{clock[1]}:{clock[2]}" if clock[0] else "")
        stamp = pd.to_datetime(text, errors="coerce")
        if not pd.isna(stamp):
            return stamp
    # Year and day of the year, as NASA's products have it.
    for match in DAY_OF_YEAR.finditer(name):
        year, day, *clock = match.groups()
        text = f"{year} {day} " + (" ".join(clock) if clock[0] else "00 00 00")
        stamp = pd.to_datetime(text, format="%Y %j %H %M %S", errors="coerce")
        if not pd.isna(stamp):
            return stamp
    # SNAP writes 12May2019.
    for match in re.finditer(r"(?<!\d)(\d{1,2})[-_]?([A-Za-z]{3})[-_]?(20\d\d)(?!\d)", name):
        stamp = pd.to_datetime(f"{match[1]}-{match[2]}-{match[3]}", format="%d-%b-%Y", errors="coerce")
        if not pd.isna(stamp):
            return stamp
    match = DAY_FIRST.search(name) if day_first else None
    stamp = pd.to_datetime(f"{match[3]}-{match[2]}-{match[1]}", errors="coerce") if match else pd.NaT
    return None if pd.isna(stamp) else stamp


def split_dates(names: list[str], date: pd.Timestamp | None) -> dict[pd.Timestamp | None, dict[int, str]]:
    """Bands of each image in a file.

    Parameters
    ----------
    names : list of str
        Of all bands, empty where a band has none.
    date : Timestamp or None
        Of bands whose names tell none.

    Returns
    -------
    dict
        By date the bands: index in the file and name without the image's part.
    """
    out: dict[pd.Timestamp | None, dict[int, str]] = {}
    for index, name in enumerate(names):
        stamp, band = date, name
        # Longest ending first: `_B04_10m` has its size, `_T31UES_B4` its tile before the band.
        for cut in re.finditer(r"[_. -]", name):
            ending = name[cut.end() :]
            if (find_bands([ending]) or OTHER_BANDS.match(ending)) and not find_bands([name]):
                stamp, band = date_in(name[: cut.start()]) or date, ending
                break
        else:
            # a band of no known name stays with the image it was seen in
            stamp = date_in(name) or date
        if name:
            out.setdefault(stamp, {})[index] = band
    return out


def refuse_counted(path: Path, names: list[str]) -> None:
    """InputError where bands are numbered by image, so that their dates are lost.

    Parameters
    ----------
    path : Path
        Of the file, for the message.
    names : list of str
        Of its bands.
    """
    counted = [
        name
        for name in names
        if not find_bands([name])
        and (match := COUNTED.fullmatch(name))
        and find_bands([match["after"] or match["before"]])
    ]
    if counted:
        raise InputError(
            f"Got {path.name} with {len(counted)} bands such as {counted[0]}, which count their images and tell no"
            " dates, need dates: export the collection with its system:index (20200501T105031_..._B4), or one file per"
            " date."
        )


def read_sidecar_item(path: Path, count: int) -> tuple[list[str], pd.Timestamp | None]:
    """Band names and date of a file by a STAC item beside it (``NAME.json``, ``NAME.tif.json``, ``NAME.stac.json``).

    Parameters
    ----------
    path : Path
        The GeoTIFF.
    count : int
        Number of its bands.

    Returns
    -------
    tuple of list of str and Timestamp or None
        No names where there is no such item, or it tells of another number of bands.
    """
    # How items are named beside their files: image.json, image.tif.json and image.stac.json.
    for suffix in (".json", f"{path.suffix}.json", ".stac.json"):
        item = path.with_suffix(suffix)
        if not item.is_file() or item.stat().st_size > SIDECAR_BYTES_AT_MOST:
            continue
        try:
            content = json.loads(item.read_text(encoding="utf-8"))
        # Any file may be called .json; one that cannot be read says nothing of the image, which is then named by other
        # means.
        except (ValueError, RecursionError, OSError):
            continue
        if not isinstance(content, dict):
            continue
        properties = content.get("properties") if isinstance(content.get("properties"), dict) else {}
        assets = content.get("assets") if isinstance(content.get("assets"), dict) else {}
        # the asset that is this file, else what the item says of all
        mine = [
            one
            for one in assets.values()
            if isinstance(one, dict) and str(one.get("href", "")).endswith(path.name)
        ]
        for section in (*mine, properties, content):
            for key in ("bands", "eo:bands"):
                names = [
                    str(band.get("name", "")) if isinstance(band, dict) else str(band)
                    for band in (section.get(key) if isinstance(section.get(key), list) else [])
                ]
                # The names must be as many as the raster has bands, and known ones: an item may list bands of other
                # files.
                if len(names) == count and find_bands(names):
                    stamp = pd.to_datetime(str(properties.get("datetime")), errors="coerce", utc=True)
                    return names, None if pd.isna(stamp) else stamp.tz_localize(None)
    return [], None
