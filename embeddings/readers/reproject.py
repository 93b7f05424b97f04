"""Cubes on longitude and latitude resampled to the UTM zone they lie in, nearest neighbour."""

from __future__ import annotations

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.readers.cf_packing import FILLS
from fluxlens.models.errors import InputError

METRES_PER_DEGREE = 111_320.0
"""Of latitude, and of longitude at the equator (WGS 84); only to choose the pixel size."""
PIXEL_AT_MOST_M = 100.0
"""Coarser pixels are of weather or MODIS and not of a Sentinel."""


def to_utm(data: xr.Dataset, name: str, notes: list[str]) -> xr.Dataset:
    """Resample to square pixels in metres: each takes the value of the source pixel its centre lies in.

    Nearest neighbour, since the numbers are still packed and classes such as SCL have no mean.

    Parameters
    ----------
    data
        ``y`` latitude and ``x`` longitude of pixel centres (WGS 84, degrees; from 0 to 360 too), any order; variables
        as stored, any further dims.
    name
        What errors call the file.
    notes
        A sentence on what was done is appended.

    Returns
    -------
    xarray.Dataset
        ``y`` descending and ``x`` ascending in metres, ``spatial_ref`` of the UTM zone; pixels outside the source hold
        the variable's no-data value (NaN of floats, else 0 where it names none).

    Raises
    ------
    InputError
        The coordinates are no degrees, not evenly spaced, or the pixels are larger than 100 m.
    """
    # Sorted first: steps below are of ascending longitude and descending latitude, whatever the file's order.
    data = data.sortby("x").sortby("y", ascending=False)
    lon, lat = (np.asarray(data[axis].values, dtype="float64") for axis in ("x", "y"))
    _check_degrees(lon, lat, name)
    step_lon, step_lat = (lon[-1] - lon[0]) / (lon.size - 1), (lat[0] - lat[-1]) / (lat.size - 1)
    west, north = lon[0] - step_lon / 2, lat[0] + step_lat / 2
    east, south = west + step_lon * lon.size, north - step_lat * lat.size
    # Pixels of equal degrees are narrower than high: the side of the square of the same area, in steps of 10 m.
    side_m = METRES_PER_DEGREE * np.sqrt(step_lon * step_lat * np.cos(np.radians((south + north) / 2)))
    if side_m > PIXEL_AT_MOST_M:
        raise InputError(
            f"Got {name} on longitude and latitude with pixels of {side_m:.0f} m, need 10 or 20 m; export it finer."
        )
    grid = _utm_grid(west, east, south, north, max(10.0, 10.0 * round(side_m / 10)))
    at_lon, at_lat = grid.lonlat(*np.meshgrid(grid.x, grid.y))  # (y, x) each
    at_lon = west + (at_lon - west) % 360  # the source may count from 0 to 360
    cols, rows = np.floor((at_lon - west) / step_lon), np.floor((north - at_lat) / step_lat)
    inside = (cols >= 0) & (cols < lon.size) & (rows >= 0) & (rows < lat.size)
    where = {
        "y": xr.DataArray(np.where(inside, rows, 0).astype(int), dims=("row", "col")),
        "x": xr.DataArray(np.where(inside, cols, 0).astype(int), dims=("row", "col")),
    }
    known = xr.DataArray(inside, dims=("row", "col"))
    bare = data.drop_vars([one for one in data.coords if {"x", "y"} & set(data[one].dims)])
    out = {}
    for one, array in bare.data_vars.items():
        if not {"x", "y"} <= set(array.dims):
            out[one] = array
            continue
        fill_values = [
            value for key in FILLS for value in np.ravel(array.attrs.get(key, ())) if _is_finite(value)
        ]
        # The file's own no-data value, which a later step masks as it does that of the source.
        empty = np.nan if array.dtype.kind == "f" else fill_values[0] if fill_values else 0
        moved = array.isel(where).where(known, np.asarray(empty).astype(array.dtype))
        out[one] = moved.rename(row="y", col="x").assign_attrs(array.attrs)
    notes.append(
        f"{name} lies on longitude and latitude: resampled (nearest neighbour) to {grid.size_m:g} m in {grid.crs}, "
        f"{1 - inside.mean():.0%} of those pixels lie outside it"
    )
    return xr.Dataset(out, coords=bare.coords, attrs=data.attrs).assign_coords(grid.coords())


def _check_degrees(lon: np.ndarray, lat: np.ndarray, name: str) -> None:
    """InputError where coordinates, ascending (x) and descending (y), are no regular grid of degrees."""
    if lon.size < 2 or lat.size < 2:
        raise InputError(
            f"Got {name} on longitude and latitude with {lat.size} x {lon.size} pixels, need at least 2 x 2 to know "
            "their size; reproject it to its UTM zone."
        )
    if lon.min() < -180 or lon.max() > 360 or abs(lat).max() > 84:
        raise InputError(
            f"Got {name} on longitude and latitude with values up to {lon.max():.6g}, {lat.max():.6g}, need degrees "
            "within 84 of the equator, or a projected CRS in metres; correct the CRS."
        )
    # A tenth of a pixel: exports round degrees to five or six decimals.
    for axis, values in (("longitude", lon), ("latitude", lat)):
        step = (values[-1] - values[0]) / (values.size - 1)
        if np.abs(values - (values[0] + step * np.arange(values.size))).max() > 0.1 * abs(step):
            raise InputError(
                f"Got {name} with an uneven {axis}, need a regular grid; reproject it to its UTM zone."
            )


def _utm_grid(west: float, east: float, south: float, north: float, size_m: float) -> Grid:
    """The grid of the UTM zone of the middle of a box, degrees, that encloses the box."""
    # Also of a source that counts from 0 to 360: zones are counted from 180 degrees west.
    middle_lon = ((west + east) / 2 + 180) % 360 - 180
    zone = int((middle_lon + 180) // 6) + 1
    crs = f"EPSG:{(32600 if (south + north) / 2 >= 0 else 32700) + zone}"
    # Edges curve in UTM, so that points along them and not the corners alone give the extent.
    along = np.linspace(0, 1, 21)
    edge_lon = np.concatenate([west + (east - west) * along] * 2 + [np.full(21, west), np.full(21, east)])
    edge_lat = np.concatenate(
        [np.full(21, south), np.full(21, north)] + [south + (north - south) * along] * 2
    )
    x, y = Grid(crs, 0.0, 0.0, size_m, 1, 1).xy(edge_lon, edge_lat)
    left, top = np.floor(x.min() / size_m) * size_m, np.ceil(y.max() / size_m) * size_m
    nx, ny = int(np.ceil((x.max() - left) / size_m)), int(np.ceil((top - y.min()) / size_m))
    return Grid(crs, float(left), float(top), size_m, nx, ny)


def _is_finite(value: object) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False
