"""A tower file that the user uploads: read as data, never stored, and located in the scene on screen."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pandas as pd
import xarray as xr
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.typed_place import parse_typed_place
from fluxlens.app.data.uploaded_file import uploaded_file
from fluxlens.embeddings import towers
from fluxlens.models.errors import DataWarning, InputError

UPLOAD_BYTES = 64 * 2**20
"""Largest upload: a network's zip for a site, a daily file, or some ten years of half-hours."""
_READ_LOCK = Lock()
"""One file at a time: within the bounds of ``embeddings.unpacking`` a table takes up to 0.5 GB while it is read."""
MIN_COMMON_DAYS = 2
"""Fewer days in common with the scene cannot be compared."""


@dataclass(frozen=True)
class UploadedTower:
    """A tower of one session."""

    tower: xr.Dataset
    """Daily GPP (gC m-2 d-1) and quality; attrs ``lon``, ``lat``, ``site``, ``source``."""
    wind: pd.DataFrame | None
    """Half-hours of wind and turbulence on the days of the scene; None where the file has none."""


def parse_location(scene: SceneData, text: str, pixel: tuple[int, int]) -> tuple[float, float]:
    """Longitude and latitude, degrees, of what was typed as "LAT, LON".

    Parameters
    ----------
    scene : SceneData
        The scene in which the tower must be.
    text : str
        What the user typed, as ``parse_typed_place`` reads it; empty for the chosen pixel.
    pixel : tuple of int
        (row, col) of the chosen pixel.

    Raises
    ------
    InputError
        The text is no location, or one outside the scene.
    """
    if not text.strip():
        lon, lat = scene.grid.lonlat(*scene.centre(*pixel))
        return float(lon), float(lat)
    place = parse_typed_place(scene.grid, text)
    return place.lon, place.lat


def read_tower_file(scene: SceneData, name: str, content: bytes, lon: float, lat: float) -> UploadedTower:
    """Read an uploaded FLUXNET, AmeriFlux or ICOS file.

    Parameters
    ----------
    scene : SceneData
        The scene whose days the file must share.
    name : str
        The user's file name; only its letters, digits and ``_.-`` are used.
    content : bytes
        The file, at most ``UPLOAD_BYTES``.
    lon, lat : float
        Location of the tower, degrees.

    Raises
    ------
    InputError
        The file is no tower file of days or half-hours, or has no GPP on days of the scene.
    """
    # One file at a time, since each may take 0.5 GB.
    with uploaded_file(name, content, "tower.csv") as path, _READ_LOCK:
        tower, wind = towers.read(path), _read_wind(path, scene)
    if tower.attrs["resolution"] != "daily":
        raise InputError(
            f"Got {tower.attrs['source']}, a {tower.attrs['resolution']} file, need days or half-hours; load its DD or"
            " HH file."
        )
    tower = tower.assign_attrs(lon=lon, lat=lat)
    check_tower(scene, tower)
    return UploadedTower(tower, wind)


def check_tower(scene: SceneData, tower: xr.Dataset) -> None:
    """Raise InputError where a tower is outside the scene or has too few days of GPP in its period.

    Parameters
    ----------
    scene : SceneData
        The scene on screen.
    tower : xarray.Dataset
        With attrs ``lon``, ``lat``, ``source``.
    """
    # Raises outside the scene, with the words of every other place that is not in it.
    scene.grid.pixel(tower.attrs["lon"], tower.attrs["lat"])
    name = tower.attrs["source"]
    # Days with GPP, not rows: a file may be all gaps in the scene's years.
    known = [tower[flux].dropna("time").indexes["time"] for flux in ("gpp_nt", "gpp_dt") if flux in tower]
    days = max(known, key=len, default=pd.DatetimeIndex([]))
    if not len(days):
        raise InputError(f"Got {name} without a single day of GPP, need some; load another file.")
    if max(len(days.intersection(scene.days)) for days in known) < MIN_COMMON_DAYS:
        raise InputError(
            f"Got {name} with GPP from {days[0].date()} to {days[-1].date()}, need days between {scene.first} and "
            f"{scene.last}; load a file of those years."
        )


def _read_wind(path: Path, scene: SceneData) -> pd.DataFrame | None:
    """Half-hours of the scene's period with wind and turbulence, or None where the file has none."""
    try:
        wind = towers.turbulence(path).loc[str(scene.first) : str(scene.last)]
    except towers.WindUnitError as error:
        # GPP is of use without a footprint; but it must be told why there is none.
        warnings.warn(f"no footprint: {error}", DataWarning, stacklevel=3)
        return None
    # Daily files have no wind; the footprint is then not offered.
    except InputError:
        return None
    return wind if len(wind) else None
