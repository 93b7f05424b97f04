"""A tower's file as a visitor gives it: read as data, never kept, and placed in the scene on screen."""

import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from embeddings import towers
from models.errors import InputError

if TYPE_CHECKING:
    from app.data import Data

UPLOAD_BYTES = 64 * 2**20
"""Holds what the networks give for a site: a zip, a daily file, or some ten years of half-hours."""
UNPACKED_BYTES = 512 * 2**20
"""A zip with a larger table in it is refused before it is unpacked."""
_ONE_AT_A_TIME = Lock()
"""A table of that size takes a gigabyte while it is read."""
DAYS_AT_LEAST = 2
"""Fewer days in common with the scene cannot be compared."""


@dataclass(frozen=True)
class Visitor:
    """A tower that stands in one session's scene."""

    tower: xr.Dataset
    wind: pd.DataFrame | None
    """Its half-hours on the days of the scene; None where the file has none."""


def place(data: "Data", text: str, pixel: tuple[int, int]) -> tuple[float, float]:
    """Longitude and latitude of ``LON, LAT``, or of the pixel where nothing is said; InputError off the scene."""
    if not text.strip():
        lon, lat = data.grid.lonlat(*data.centre(*pixel))
        return float(lon), float(lat)
    try:
        lon, lat = (float(part) for part in re.split(r"[,;\s]+", text.strip()))
    except ValueError as error:
        raise InputError(
            f"Got {text[:60]!r} as the tower's place, need LON, LAT in degrees such as 4.2, 50.75; "
            "or leave it empty for the tapped pixel."
        ) from error
    data.grid.pixel(lon, lat)
    return lon, lat


def read(data: "Data", name: str, content: bytes, lon: float, lat: float) -> Visitor:
    """The tower of an uploaded file, at that place; InputError where it is none, or tells of no day of the scene."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[-100:].lstrip(".") or "tower.csv"
    with tempfile.TemporaryDirectory(prefix="fluxlens-") as folder:
        path = Path(folder) / plain
        path.write_bytes(content)
        try:
            _check_zip(path)
            with _ONE_AT_A_TIME:
                tower, wind = towers.read(path), _wind(path, data)
        except InputError as error:
            raise InputError(str(error).replace(str(path), plain)) from error
    if tower.attrs["resolution"] != "daily":
        raise InputError(
            f"Got {plain}, a {tower.attrs['resolution']} file, need days or half-hours; load its DD or HH file."
        )
    tower = tower.assign_attrs(lon=lon, lat=lat)
    check(data, tower)
    return Visitor(tower, wind)


def _check_zip(path: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            largest = max((entry.file_size for entry in archive.infolist()), default=0)
        if largest > UNPACKED_BYTES:
            raise InputError(
                f"Got {path.name} with a table of {largest / 2**20:,.0f} MiB in it, need at most "
                f"{UNPACKED_BYTES // 2**20}; load its daily (DD) file alone."
            )


def check(data: "Data", tower: xr.Dataset) -> None:
    """InputError where a tower stands off the scene, or has too few days of GPP in its period."""
    data.grid.pixel(tower.attrs["lon"], tower.attrs["lat"])
    name = tower.attrs["source"]
    known = [tower[flux].dropna("time").indexes["time"] for flux in ("gpp_nt", "gpp_dt") if flux in tower]
    held = max(known, key=len, default=pd.DatetimeIndex([]))
    if not len(held):
        raise InputError(f"Got {name} without a single day of GPP, need some; load another file.")
    if max(len(days.intersection(data.days)) for days in known) < DAYS_AT_LEAST:
        raise InputError(
            f"Got {name} with GPP from {held[0].date()} to {held[-1].date()}, need days between {data.first} and "
            f"{data.last}; load a file of those years."
        )


def _wind(path: Path, data: "Data") -> pd.DataFrame | None:
    """Half-hours of the scene's period with wind and turbulence, or None where the file has none."""
    try:
        wind = towers.turbulence(path).loc[str(data.first) : str(data.last)]
    except InputError:
        return None
    return wind if len(wind) else None
