"""One raster file or store as it describes itself: dims, times, pixel centres, CRS and packing.

Nothing is decoded by xarray, for three reasons:

1. SCL and angles of some providers carry an integer ``scale_factor`` of 1 with a ``_FillValue``, at which its decoder
   fails.
2. Packed numbers are unpacked here to the float32 nearest to number x step, not to a float64 rounded twice.
3. Attributes are believed per variable and per file: those of one file never reach the files beside it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.embeddings import calendars
from fluxlens.embeddings.readers import reproject
from fluxlens.embeddings.readers.band_names import find_bands
from fluxlens.embeddings.readers.georeference import (
    FINEST_M,
    decoded_text,
    find_crs,
    is_geographic,
    note_web_mercator,
    with_centres,
)
from fluxlens.models.errors import InputError

TIME_NAMES = (
    "time",
    "timestamp",
    "t",
    "date",
    "datetime",
    "times",
    "dates",
    "acquisition_time",
    "system:time_start",
)
X_NAMES, Y_NAMES = (
    ("x", "easting", "eastings", "x_coord", "xc"),
    ("y", "northing", "northings", "y_coord", "yc"),
)
LON_NAMES, LAT_NAMES = ("lon", "longitude", "long", "lons"), ("lat", "latitude", "lats")
BAND_NAMES = ("band", "bands", "variable", "channel", "channels", "spectral", "b")
LABELS = ("band", "common_name", "name", "band_name", "eo:common_name", "description", "title", "long_name")
"""Coordinates along a band dimension that may hold its names, the dimension's own first."""
SENTINEL_DAYS = (16_000, 25_000)
"""Days since 1970 from 2013 to 2038: numbers without units in this range are no other count of days in use."""
IN_MEMORY_BYTES = 2**29
"""Files up to 512 MiB are read at once, larger ones lazily in the chunks they are stored in."""


def load(path: str | Path, names: Iterable[str] | None = None) -> xr.Dataset:
    """A NetCDF file or a Zarr store (v2 or v3), numbers as stored, times decoded.

    Parameters
    ----------
    path
        File or folder.
    names
        Variables to keep, where they are all there; default all.

    Returns
    -------
    xarray.Dataset
        Any dims, in the units of the file; in memory up to ``IN_MEMORY_BYTES``, else lazy.

    Raises
    ------
    InputError
        The file cannot be read, with its name and the library's reason.
    """
    path = Path(path)
    try:
        options = dict(mask_and_scale=False, chunks={})
        if path.is_dir():
            # Told beforehand: xarray warns where it has to find out that nothing is consolidated.
            described = path / "zarr.json"
            consolidated = (path / ".zmetadata").exists() or (
                described.exists() and '"consolidated_metadata"' in described.read_text(encoding="utf-8")
            )
            data = _decoded(path, engine="zarr", consolidated=consolidated, **options)
        else:
            check_is_raster(path, "NetCDF file")
            data = _decoded(path, **options)
            data = data if data.variables else _from_group(path, options)
        present = [name for name in names or () if name in data]
        data = data[present] if present else data
        return data.load() if data.nbytes <= IN_MEMORY_BYTES else data
    except InputError:
        raise
    except Exception as error:  # a damaged file makes HDF5, netCDF4 and zarr fail in any way they can
        kind = "Zarr store" if path.is_dir() else "NetCDF file"
        raise InputError(
            f"Got {path.name}, which cannot be read ({_first_line(error)}), need a whole {kind}; fetch it again."
        ) from error


def check_is_raster(path: Path, kind: str) -> None:
    """Tell files that were saved under the name of a raster and are none: downloads that failed.

    Parameters
    ----------
    path
        A file.
    kind
        What the error says is needed, such as "NetCDF file".

    Raises
    ------
    InputError
        The file is empty, text, a page of HTML or an archive.
    """
    with path.open("rb") as file:
        head = file.read(512)
    # A byte order mark and blanks may stand before the first letter.
    bare = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    what = None
    if not head:
        what = "an empty file"
    elif bare.startswith((b"<!doctype html", b"<html")):
        what = "a web page (a login or an error, perhaps)"
    elif bare.startswith(b"<"):
        what = "an XML document (an error of the server, perhaps)"
    elif bare.startswith((b"{", b"[")):
        what = "a JSON document (an error of the server, perhaps)"
    elif head.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        what = "an archive, to be unpacked first"
    # Text has no byte below the tab (9); the head of every binary raster has one.
    elif not any(byte < 9 for byte in head):
        what = "a text file"
    if what:
        raise InputError(f"Got {path.name}, which is {what}, need a whole {kind}; fetch it again.")


def _from_group(path: Path, options: dict) -> xr.Dataset:
    """The cube of a NetCDF file that keeps its variables in a group."""
    import netCDF4

    with netCDF4.Dataset(path) as file:
        groups = [name for name, group in file.groups.items() if len(group.variables)]
    if len(groups) != 1:
        got = f"groups {', '.join(groups)[:80]}" if groups else "no variables"
        raise InputError(f"Got {path.name} with {got}, need one cube; save the group with the bands alone.")
    return _decoded(path, group=groups[0], **options)


def _decoded(path: Path, **options) -> xr.Dataset:
    """Times are left as numbers where xarray cannot make dates of them; ``_times`` then says what is wrong."""
    try:
        return xr.open_dataset(path, **options)
    except (ValueError, OverflowError) as error:
        if "time" not in str(error):
            raise
        return xr.open_dataset(path, decode_times=False, **options)


def standardise(data: xr.Dataset, name: str, notes: list[str]) -> xr.Dataset:
    """The raster with dims ``time, y, x``, one variable per band, pixel centres, north up, and a CRS.

    Parameters
    ----------
    data
        As ``load`` gives it.
    name
        What errors call the file.
    notes
        Sentences on what was repaired are appended.

    Returns
    -------
    xarray.Dataset
        Variables still packed, with their attributes; coordinates ``time`` (datetime64[ns], as acquired), ``y``
        descending, ``x`` ascending, ``spatial_ref``, and those along time.

    Raises
    ------
    InputError
        No times, no pixel coordinates, no projected CRS, or bands without names.
    """
    data, geographic = _named_dims(data, name)
    geographic = geographic or is_geographic(data)
    crs = None if geographic else find_crs(data, name)
    # The CRS before the bands are split: it may stand in the attributes of the stacked array, which are then gone.
    data = _split_bands(data, name)
    data = _with_times(data, name)
    data = with_centres(data, name, notes)
    if geographic:
        data = reproject.to_utm(data.drop_vars(["spatial_ref", "crs"], errors="ignore"), name, notes)
        crs = data["spatial_ref"].variable
    else:
        for axis in ("x", "y"):
            steps = np.abs(np.diff(data[axis].values[:2]))
            if steps.size and 0 < steps[0] < FINEST_M:
                raise InputError(
                    f"Got {name} with pixels of {steps[0]:g} m along {axis}, need coordinates in metres; if they are"
                    " kilometres, set the attribute units of x and y to 'km'."
                )
        note_web_mercator(crs, data["y"].values, name, notes)
    # All other CRS variables go: there is one CRS, and it is ``spatial_ref``.
    # Without a date a raster is a map, not an image.
    gridded = [one for one in data.data_vars if {"x", "y", "time"} <= set(data[one].dims)]
    deep = [one for one in gridded if len(data[one].dims) > 3]
    if deep:
        raise InputError(
            f"Got {name} with {deep[0]} along {', '.join(map(str, data[deep[0]].dims))}, need time, y, x (and bands); "
            "select one of the other dims."
        )
    # maps without dates (elevation) are no images; of a mask it is told, for it looks like one of each date
    static = [one for one in find_bands(map(str, data.data_vars)).items() if one[0].startswith("mask:")]
    for _, one in static:
        if one not in gridded and {"x", "y"} <= set(data[one].dims):
            notes.append(f"its {one} has no dates and is not used")
    keep = gridded
    along = {one for one in data.coords if set(data[one].dims) <= {"time"} and one != "spatial_ref"}
    # what describes acquisitions (baseline, product names) may be a variable and not a coordinate
    facts = [one for one in data.data_vars if data[one].dims in ((), ("time",))]
    out = data[[*keep, *facts]].set_coords(facts)
    out = out.drop_vars(set(out.coords) - along - {"x", "y", *facts}).drop_vars(
        {"spatial_ref", "crs"} & (set(along) | set(facts)), errors="ignore"
    )
    if set(out.coords) & {"band"}:
        out = out.drop_vars("band")
    out = out.assign_coords(spatial_ref=crs).assign_attrs(data.attrs)
    # North up and in the order of time, whatever the order in the file: grids and series rely on it.
    return out.sortby("x").sortby("y", ascending=False).sortby("time")


def _named_dims(data: xr.Dataset, name: str) -> tuple[xr.Dataset, bool]:
    """Dims and coordinates renamed to time, y, x, and whether x and y are longitude and latitude by their names."""
    lower = {str(one).lower(): one for one in [*data.variables, *data.dims]}
    renames: dict[Hashable, str] = {}
    for ours, names in (("time", TIME_NAMES), ("x", X_NAMES), ("y", Y_NAMES)):
        dim = next((lower[one] for one in names if one in lower), None)
        if dim is not None and dim != ours:
            renames[dim] = ours
    geographic = False
    # No projected axes: then longitude and latitude are the axes, and the caller reprojects.
    if "x" not in {*renames.values(), *map(str, data.dims)} and "x" not in data.variables:
        for ours, names in (("x", LON_NAMES), ("y", LAT_NAMES)):
            dim = next((lower[one] for one in names if one in lower), None)
            if dim is None:
                raise InputError(f"Got {name} without x and y, need pixel centres in metres; fetch it again.")
            renames[dim] = ours
        geographic = True
    return (data.rename(renames) if renames else data), geographic


def _split_bands(data: xr.Dataset, name: str) -> xr.Dataset:
    """Variables with a band dimension become one variable per band."""
    dims = [one for one in data.dims if str(one).lower() in BAND_NAMES]
    for dim in dims:
        stacked = [
            one for one in data.data_vars if dim in data[one].dims and {"x", "y"} <= set(data[one].dims)
        ]
        if not stacked:
            data = data.drop_dims(dim)
            continue
        labels = _labels(data, dim, stacked[0], name)
        if len(labels) == 1 and labels[0] in ("1", "0"):
            # rioxarray's dimension of one: the variable's own name is the band's
            data = data.squeeze(dim, drop=True)
            continue
        bands = {}
        for one in stacked:
            for index, label in enumerate(labels):
                # a repeat keeps its own name: find_bands takes the first of a kind
                key = label if label not in bands else f"{one}:{label}"
                bands[key] = data[one].isel({dim: index}, drop=True)
        rest = data.drop_vars(stacked).drop_dims(dim)
        clash = [key for key in bands if key in rest.variables]
        data = rest.drop_vars([one for one in clash if one in rest.data_vars]).assign(
            {key: band for key, band in bands.items() if key not in rest.coords}
        )
    extra = [one for one in data.dims if one not in ("time", "y", "x") and data.sizes[one] == 1]
    return data.squeeze(extra, drop=True) if extra else data


def _labels(data: xr.Dataset, dim: Hashable, variable: Hashable, name: str) -> list[str]:
    """Names along a band dimension: the first coordinate, or ``long_name`` of the variable, that holds known bands."""
    from fluxlens.embeddings.readers.band_names import find_bands

    size = data.sizes[dim]
    candidates: list[list[str]] = []
    for one in (dim, *LABELS, *(other for other in data.coords if data[other].dims == (dim,))):
        if one in data.variables and data[one].dims == (dim,):
            candidates.append([decoded_text(value) for value in data[one].values])
    for key in ("long_name", "descriptions", "band_names", "bands"):
        attribute = data[variable].attrs.get(key, data.attrs.get(key))
        texts = (
            re.split(r"[,;\s]+", attribute.strip("()[] "))
            if isinstance(attribute, str)
            else list(attribute or ())
        )
        candidates.append([str(text).strip("'\" ") for text in texts])
    # stackstac has band, common_name and title along one dim: the one with most known bands names them all.
    fitting = [labels for labels in candidates if len(labels) == size]
    best = max(fitting, key=lambda labels: len(find_bands(labels)), default=[])
    if find_bands(best) or size == 1:
        return best or ["1"]
    got = f"{size} bands called {', '.join(best)[:60]}" if best else f"{size} unnamed bands"
    raise InputError(
        f"Got {name} with {got}, need names such as B02 or red along {dim!r}; assign the coordinate."
    )


def _with_times(data: xr.Dataset, name: str) -> xr.Dataset:
    """Times as datetime64[ns]; a single image gets a time dimension."""
    if "time" not in data.variables:
        # A single image often has its date in an attribute alone; these are the names of STAC, of ACDD and of common
        # exports.
        stamp = next(
            (
                data.attrs[one]
                for one in ("datetime", "time_coverage_start", "date", "time")
                if one in data.attrs
            ),
            None,
        )
        if stamp is None or "time" in data.dims:
            raise InputError(f"Got {name} without times, need a coordinate 'time'; add it.")
        data = data.assign_coords(time=np.array(str(stamp)))
    data = data.set_coords("time")
    if not data["time"].size:
        raise InputError(f"Got {name} without a single date, need at least one; widen the time range.")
    values = np.atleast_1d(data["time"].values)
    # Some tools write a time per pixel or per tile; which one an image has cannot be guessed.
    if values.ndim > 1 and "time" in data.dims:
        raise InputError(f"Got {name} with times of dims {data['time'].dims}, need one date per image; mend.")
    times = parse_times(values, name)
    # A scalar time becomes a dim of length one, on variables with pixels alone.
    if data["time"].ndim == 0:
        data = data.drop_vars("time")
        gridded = [one for one in data.data_vars if {"x", "y"} <= set(data[one].dims)]
        return data.assign({one: data[one].expand_dims("time") for one in gridded}).assign_coords(time=times)
    dim = data["time"].dims[0]
    # Exports call the dim "band", "image" or "t": the one that carries the times is the time axis.
    if dim != "time":
        data = data.drop_vars("time").rename({dim: "time"}) if dim not in ("x", "y") else data
    return data.drop_vars("time", errors="ignore").assign_coords(time=times)


def parse_times(values: np.ndarray, name: str) -> pd.DatetimeIndex:
    """Dates of a time coordinate.

    Parameters
    ----------
    values
        (time,) datetime64, ISO text, ``yyyymmdd`` numbers, days, seconds or milliseconds since 1970, or cftime
        objects.
    name
        What errors call the file.

    Returns
    -------
    pandas.DatetimeIndex
        UTC, naive, nanoseconds.

    Raises
    ------
    InputError
        A value is no date.
    """
    wrong = InputError(f"Got {name} with times that are no dates, need UTC dates; mend.")
    # As text they would be other days of the year, without a word.
    if calendars.calendar_of(values) is not None:
        return calendars.to_standard_times(values, name)
    try:
        if values.dtype.kind in "iuf":
            # The ranges do not overlap: 20190512 as seconds would be August 1970, before any Sentinel.
            low, high = float(values.min()), float(values.max())
            if low >= 19_000_101 and high <= 21_001_231:
                times = pd.to_datetime(values.astype("int64").astype(str), format="%Y%m%d")
            elif low >= SENTINEL_DAYS[0] and high <= SENTINEL_DAYS[1]:
                times = pd.to_datetime(values, unit="D")
            elif low > 1e8 and high < 1e10:
                times = pd.to_datetime(values, unit="s")
            elif low > 1e11 and high < 1e13:
                times = pd.to_datetime(values, unit="ms")
            elif low > 1e17 and values.dtype.kind != "f":
                times = pd.to_datetime(values, unit="ns")
            else:
                raise wrong
        elif values.dtype.kind == "M":
            times = pd.DatetimeIndex(values)
        else:
            # 2019_05_12 is a common spelling in exports of Earth Engine
            texts = [re.sub(r"^(\d{4})_(\d\d)_(\d\d)", r"\1-\2-\3", decoded_text(value)) for value in values]
            compact = all(re.fullmatch(r"\d{8}", text) for text in texts)
            times = pd.to_datetime(texts, format="%Y%m%d" if compact else "ISO8601", utc=True).tz_localize(
                None
            )
        times = pd.DatetimeIndex(times).as_unit("ns")
    except (ValueError, TypeError, OverflowError) as error:
        raise wrong from error
    if times.isna().any():
        raise InputError(
            f"Got {name} with {int(times.isna().sum())} missing times, need a date for each; drop the others."
        )
    return times


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:80]
