"""Where pixels are: regular north-up grids in metres, their longitudes and latitudes, and regridding.

Long on purpose: all that knows of grids and coordinate reference systems is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.models.errors import InputError


def transform(grid: Grid) -> Any:
    """Affine transform of a ``grid`` from column and row to metres, in GDAL's order."""
    from affine import Affine

    return Affine(grid.size_m, 0.0, grid.left_m, 0.0, -grid.size_m, grid.top_m)


TARGET_SIZE_M = 10.0
"""Pixel size of the grid embeddings are made on."""


@dataclass(frozen=True)
class Grid:
    """A regular north-up grid of square pixels: row 0 is the northern edge, column 0 the western one."""

    crs: str
    """Projected CRS in metres, such as ``"EPSG:32631"``."""
    left_m: float
    """Western edge (not centre) of the first column."""
    top_m: float
    """Northern edge of the first row."""
    size_m: float
    """Side length of a pixel."""
    nx: int
    ny: int

    def __post_init__(self) -> None:
        if not (self.size_m > 0 and self.nx > 0 and self.ny > 0):
            raise InputError(
                f"Got a grid of {self.ny} x {self.nx} pixels of {self.size_m} m, need at least one pixel of "
                "positive size; check the coordinates."
            )

    @classmethod
    def from_cube(cls, cube: xr.Dataset | xr.DataArray) -> Grid:
        """The grid a cube lies on.

        Parameters
        ----------
        cube
            With 1-d ``x`` ascending, ``y`` descending (pixel centres, metres) and ``spatial_ref``.

        Returns
        -------
        Grid

        Raises
        ------
        InputError
            Where the coordinates are no regular north-up grid of square pixels in a projected CRS.
        """
        for axis in ("x", "y"):
            if axis not in cube.coords or cube[axis].ndim != 1:
                raise InputError(
                    f"Got data without a 1-d coordinate {axis!r}, need pixel centres in metres; assign it."
                )
        x, y = (np.asarray(cube[axis].values, dtype=float) for axis in ("x", "y"))
        if not (x.size and y.size):
            raise InputError(f"Got data of {y.size} x {x.size} pixels, need some; widen the box.")
        # One row or column has no step of its own: the other axis tells it, since pixels are square.
        size = _step(x, "x") if x.size > 1 else -_step(y, "y")
        step_y = _step(y, "y") if y.size > 1 else -size
        if size < 0:
            raise InputError("Got x descending, need x ascending (west to east); use .sortby('x').")
        if step_y > 0:
            raise InputError(
                "Got y ascending, need y descending (north-up); use .sortby('y', ascending=False)."
            )
        if abs(size + step_y) > 1e-3 * size:
            raise InputError(
                f"Got pixels of {size:g} x {-step_y:g} m, need square ones; resample to one pixel size."
            )
        # rounded to a micrometre, so that equal grids are equal however their centres were computed
        left, top, size = (round(float(metres), 6) for metres in (x[0] - size / 2, y[0] + size / 2, size))
        return cls(crs_name(cube), left, top, size, x.size, y.size)

    @property
    def x(self) -> np.ndarray:
        """Pixel centres (x,), metres, west to east."""
        return self.left_m + (np.arange(self.nx) + 0.5) * self.size_m

    @property
    def y(self) -> np.ndarray:
        """Pixel centres (y,), metres, north to south."""
        return self.top_m - (np.arange(self.ny) + 0.5) * self.size_m

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer edges in metres: left, bottom, right, top."""
        return (
            self.left_m,
            self.top_m - self.ny * self.size_m,
            self.left_m + self.nx * self.size_m,
            self.top_m,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.ny, self.nx

    def lonlat(self, x, y):
        """Geographic coordinates of projected ones.

        Parameters
        ----------
        x, y
            Metres in the grid's CRS; scalars or arrays.

        Returns
        -------
        tuple
            Longitude and latitude (WGS 84, degrees), shaped as ``x`` and ``y``.
        """
        return _transformer(self.crs, "EPSG:4326").transform(x, y)

    def xy(self, lon, lat):
        """Projected coordinates of geographic ones.

        Parameters
        ----------
        lon, lat
            WGS 84, degrees; scalars or arrays.

        Returns
        -------
        tuple
            x and y, metres in the grid's CRS, shaped as ``lon`` and ``lat``.
        """
        return _transformer("EPSG:4326", self.crs).transform(lon, lat)

    def lonlat_extent(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees: the box around the four corners."""
        left, bottom, right, top = self.extent
        lon, lat = self.lonlat(np.array([left, left, right, right]), np.array([bottom, top, bottom, top]))
        return lon.min(), lat.min(), lon.max(), lat.max()

    def pixel(self, lon: float, lat: float) -> tuple[int, int]:
        """The pixel that holds a point.

        Parameters
        ----------
        lon, lat
            WGS 84, degrees.

        Returns
        -------
        tuple of int
            Row and column.

        Raises
        ------
        InputError
            Outside the grid.
        """
        x, y = self.xy(lon, lat)
        left, bottom, right, top = self.extent
        if not (left <= x <= right and bottom <= y <= top):
            west, south, east, north = self.lonlat_extent()
            raise InputError(
                f"Got lon {lon:g}, lat {lat:g}, need a point inside lon {west:.5f} to {east:.5f}, "
                f"lat {south:.5f} to {north:.5f}; choose one in the scene (the order is LON,LAT)."
            )
        row, col = int((top - y) // self.size_m), int((x - left) // self.size_m)
        # Points on the lower and right edge belong to the last pixel.
        return min(row, self.ny - 1), min(col, self.nx - 1)

    def coords(self) -> dict[str, xr.Variable]:
        """The coordinates ``x``, ``y`` and ``spatial_ref`` a cube on this grid carries."""
        return {
            "x": xr.Variable("x", self.x, {"standard_name": "projection_x_coordinate", "units": "m"}),
            "y": xr.Variable("y", self.y, {"standard_name": "projection_y_coordinate", "units": "m"}),
            "spatial_ref": spatial_ref(self.crs),
        }

    def window(self, rows: slice, cols: slice) -> Grid:
        """The grid of a rectangle.

        Parameters
        ----------
        rows, cols
            Integer slices, step 1; clipped to the grid.

        Returns
        -------
        Grid
        """
        r0, r1, _ = rows.indices(self.ny)
        c0, c1, _ = cols.indices(self.nx)
        left, top = self.left_m + c0 * self.size_m, self.top_m - r0 * self.size_m
        return Grid(self.crs, left, top, self.size_m, c1 - c0, r1 - r0)

    def nearest_index(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns whose pixels hold projected coordinates.

        Parameters
        ----------
        x, y
            (column), (row): metres in the grid's CRS, such as the pixel centres of another grid.

        Returns
        -------
        tuple of numpy.ndarray
            Rows (row) and columns (column), int; below 0 or beyond the last one outside the grid.
        """
        # Floor and no rounding: a centre on the edge of two pixels goes to the southern or eastern one, always the
        # same.
        rows = np.floor((self.top_m - y) / self.size_m).astype(int)
        cols = np.floor((x - self.left_m) / self.size_m).astype(int)
        return rows, cols


def target_grid(scene: xr.DataTree) -> Grid:
    """The 10 m grid embeddings of a scene are made on.

    Parameters
    ----------
    scene
        With /s2, or /s1 where there is no Sentinel-2.

    Returns
    -------
    Grid
        Over the extent of that node, from its upper left corner.
    """
    node = next((name for name in ("s2", "s1") if name in scene.children), None)
    if node is None:
        raise InputError("Got a scene with neither /s2 nor /s1, need one of them; check what was opened.")
    grid = Grid.from_cube(scene[node].to_dataset())
    factor = grid.size_m / TARGET_SIZE_M
    # the tolerance is for sizes such as 19.999999 m, which must not add a column
    nx, ny = (int(np.ceil(n * factor - 1e-6)) for n in (grid.nx, grid.ny))
    return Grid(grid.crs, grid.left_m, grid.top_m, TARGET_SIZE_M, nx, ny)


def regrid_nearest(cube: xr.DataArray, grid: Grid) -> xr.DataArray:
    """Resample to another grid of the same CRS: each pixel takes the value of the pixel its centre lies in.

    Parameters
    ----------
    cube
        (..., y, x), lazy or not.
    grid
        The grid wanted. Where it is finer, coarse pixels are repeated, never smoothed.

    Returns
    -------
    xarray.DataArray
        (..., y, x) on ``grid``; outside of ``cube`` NaN, False, or 0 for integers.

    Raises
    ------
    InputError
        Where the CRS differ.
    """
    own = Grid.from_cube(cube)
    # Regridding is by nearest neighbour on one CRS; a change of CRS is a resampling that must be reported.
    if own.crs != grid.crs:
        raise InputError(f"Got data in {own.crs}, need {grid.crs}; reproject them first.")
    if own == grid:
        # Centres such as 5271987.576551932 differ in their last digits from file to file: the same grid gets the same
        # numbers, or rasters side by side would be joined along x and y.
        same = np.array_equal(cube["x"], grid.x) and np.array_equal(cube["y"], grid.y)
        return cube if same else cube.assign_coords(grid.coords())
    rows, cols = own.nearest_index(grid.x, grid.y)
    # Clipped for the selection, and blanked below: ``isel`` has no index outside.
    out = cube.isel(x=cols.clip(0, own.nx - 1), y=rows.clip(0, own.ny - 1)).assign_coords(grid.coords())
    inside_x = xr.DataArray((cols >= 0) & (cols < own.nx), dims="x")
    inside_y = xr.DataArray((rows >= 0) & (rows < own.ny), dims="y")
    if inside_x.all() and inside_y.all():
        return out
    # Integers have no NaN; zero is no data in every integer layer here.
    fill = np.asarray(np.nan if cube.dtype.kind == "f" else 0).astype(cube.dtype)
    return out.where(inside_x & inside_y, fill)


def block_mean(values: np.ndarray, missing: float | None = None) -> np.ndarray:
    """Means of two by two pixels; an odd last row or column is repeated.

    Parameters
    ----------
    values
        (..., y, x).
    missing
        A value that stands for no data: it does not enter a mean. None: every value counts, and NaN spreads.

    Returns
    -------
    numpy.ndarray
        (..., ceil(y / 2), ceil(x / 2)) in floating point; with ``missing``, that value where all four are.
    """
    # An odd side repeats its last row, so that the coarse grid covers the whole of the fine one.
    odd = [(0, 0)] * (values.ndim - 2) + [(0, side % 2) for side in values.shape[-2:]]
    if any(high for _, high in odd):
        values = np.pad(values, odd, mode="edge")
    *first, ny, nx = values.shape
    quads = values.reshape(*first, ny // 2, 2, nx // 2, 2)  # (..., y / 2, 2, x / 2, 2)
    if missing is None:
        return quads.mean((-3, -1))
    known = quads != missing
    count = known.sum((-3, -1))
    total = np.where(known, quads, 0).sum((-3, -1), dtype="float32")
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(missing))


def spatial_ref(crs: str) -> xr.Variable:
    """The ``spatial_ref`` coordinate that rioxarray and GDAL read.

    Parameters
    ----------
    crs
        Anything PROJ reads, such as ``"EPSG:32631"``.

    Returns
    -------
    xarray.Variable
        A scalar whose attributes hold the CRS as CF and as WKT.
    """
    return xr.Variable((), 0, dict(_cf(crs)))


def wrap_longitudes(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, int]:
    """Longitudes of global models, which count from 0 to 360 degrees, as from -180 to 180.

    Parameters
    ----------
    lon, lat
        (place,) degrees, NaN where missing.

    Returns
    -------
    lon
        (place,) degrees; as given where they are not of this kind, such as metres.
    count
        How many were beyond 180.
    """
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return lon, 0
    # All four conditions: metres, and degrees that never pass 180, stay as they are.
    low, high, north = lon[known].min(), lon[known].max(), np.abs(lat[known]).max()
    if not (low >= 0 and 180 < high <= 360 and north <= 90):
        return lon, 0
    return (lon + 180) % 360 - 180, int((lon[known] > 180).sum())


def crs_name(cube: xr.Dataset | xr.DataArray) -> str:
    """The CRS of a cube as short text.

    Parameters
    ----------
    cube
        With a coordinate ``spatial_ref``.

    Returns
    -------
    str
        ``"EPSG:32631"``, or WKT where the CRS has no such number.

    Raises
    ------
    InputError
        Where it is missing, unreadable, or not projected in metres.
    """
    # rioxarray, odc and GDAL write the CRS under either key.
    attrs = cube.coords["spatial_ref"].attrs if "spatial_ref" in cube.coords else {}
    wkt = attrs.get("crs_wkt") or attrs.get("spatial_ref")
    if not wkt:
        raise InputError(
            "Got data without a CRS, need a spatial_ref coordinate; use .rio.write_crs('EPSG:...')."
        )
    return _name(str(wkt))


@lru_cache(maxsize=64)
def _name(wkt: str) -> str:
    crs = _parsed(wkt)
    # By its size and not by its name: openEO writes the unit "m".
    if not crs.is_projected or crs.axis_info[0].unit_conversion_factor != 1:
        raise InputError(
            f"Got the CRS {crs.name!r}, need a projected one in metres; reproject to the UTM zone."
        )
    # The short name where there is one, since grids are compared by name.
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else crs.to_wkt()


@lru_cache(maxsize=64)
def _cf(crs: str) -> dict:
    parsed = _parsed(crs)
    return {**parsed.to_cf(), "spatial_ref": parsed.to_wkt()}


def _parsed(crs: str):
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InputError(f"Got the CRS {crs[:40]!r}, need one PROJ can read; write a UTM zone.") from error


@lru_cache(maxsize=64)
def _transformer(source: str, target: str):
    from pyproj import Transformer

    # Always longitude first: PROJ follows the axis order of the authority, which for EPSG:4326 is latitude first.
    return Transformer.from_crs(source, target, always_xy=True)


def _step(values: np.ndarray, axis: str) -> float:
    """The step between pixel centres; InputError where steps differ by more than a hundredth of a pixel."""
    if values.size < 2:
        raise InputError(
            f"Got a single pixel along {axis}, need at least two pixels to know their size; widen the cube."
        )
    steps = np.diff(values)
    # The mean step: single differences carry rounding of the coordinates.
    step = (values[-1] - values[0]) / (values.size - 1)
    if step == 0 or np.abs(steps - step).max() > 1e-2 * abs(step):
        raise InputError(
            f"Got {axis} with steps from {steps.min():g} to {steps.max():g} m, need a regular grid; resample."
        )
    return float(step)
