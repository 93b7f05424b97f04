"""From a scene to the arrays of the networks: one sensor's acquisitions on the 10 m grid, at most one a day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.scenes.compositing import composite_daily
from fluxlens.models.errors import InputError
from fluxlens.models.sensors import SensorSpec

EPOCH = np.datetime64("1970-01-01", "D")
"""Day 0 of all day numbers."""


@dataclass(frozen=True)
class AcquisitionSeries:
    """All acquisitions of one sensor over a rectangle of the 10 m grid."""

    values: np.ndarray
    """(time, band, y, x) float32 in the sensor's unit, bands in the order of its spec; NaN = not measured."""
    valid: np.ndarray
    """(time, y, x) bool: measured and clear of cloud."""
    day: np.ndarray
    """(time) int64, days since 1970-01-01 UTC, strictly increasing."""

    def select(self, keep: np.ndarray) -> AcquisitionSeries:
        """Some of the acquisitions.

        Parameters
        ----------
        keep
            (time) bool, or indices.

        Returns
        -------
        AcquisitionSeries
        """
        return AcquisitionSeries(self.values[keep], self.valid[keep], self.day[keep])


def to_epoch_day(times: np.ndarray) -> np.ndarray:
    """Day numbers of times.

    Parameters
    ----------
    times
        datetime64 of any unit, any shape, UTC.

    Returns
    -------
    numpy.ndarray
        int64 days since 1970-01-01, the same shape.
    """
    # Cut to days before the subtraction, which rounds down also before 1970.
    return (np.asarray(times).astype("datetime64[D]") - EPOCH).astype(np.int64)


def from_epoch_day(days: np.ndarray) -> np.ndarray:
    """Midnights of day numbers.

    Parameters
    ----------
    days
        Whole days since 1970-01-01, any shape.

    Returns
    -------
    numpy.ndarray
        datetime64[ns] UTC, the same shape.
    """
    return (EPOCH + np.asarray(days, dtype="timedelta64[D]")).astype("datetime64[ns]")


def first_and_last_day(scene: xr.DataTree, sensors: tuple[str, ...]) -> tuple[int, int]:
    """The period over which a scene has acquisitions.

    Parameters
    ----------
    scene
        Validated.
    sensors
        Names of the sensors that count; those the scene lacks are passed over.

    Returns
    -------
    tuple of int
        First and last day since 1970-01-01, both included.

    Raises
    ------
    InputError
        Where none of the sensors has an acquisition.
    """
    days = [to_epoch_day(scene[name]["time"].values) for name in sensors if name in scene.children]
    days = [d for d in days if d.size]
    if not days:
        raise InputError(
            f"the scene {scene.attrs.get('id', '?')} has no acquisition of {' or '.join(sensors)};"
            " give a scene with at least one."
        )
    return int(min(d.min() for d in days)), int(max(d.max() for d in days))


def read_acquisitions(
    scene: xr.DataTree, spec: SensorSpec, grid: Grid, rows: slice, cols: slice, halo_px: int = 0
) -> AcquisitionSeries | None:
    """Read one sensor's acquisitions over a rectangle.

    Parameters
    ----------
    scene
        Validated, lazy or not; only the rectangle is read.
    spec
        The sensor: its node, variable, bands and the range of values that counts as measured.
    grid
        The 10 m grid; coarser sensors are repeated onto it.
    rows, cols
        Integer slices of ``grid``.
    halo_px
        Pixels read around the rectangle, so that the encoder sees the same neighbours whatever the block. Beyond the
        scene's edge they are missing, never made up.

    Returns
    -------
    AcquisitionSeries or None
        Over (rows + 2 halo, cols + 2 halo) pixels, images of one day composited; None where the scene lacks the sensor.

    Raises
    ------
    InputError
        Where the scene's files cannot be read.
    """
    if spec.name not in scene.children:
        return None
    node = scene[spec.name]
    own = Grid.from_cube(node.to_dataset(inherit=False))
    # Centres of the pixels asked for, halo included: rows count from the north, so that y falls.
    y = grid.top_m - (np.arange(rows.start - halo_px, rows.stop + halo_px) + 0.5) * grid.size_m
    x = grid.left_m + (np.arange(cols.start - halo_px, cols.stop + halo_px) + 0.5) * grid.size_m
    # Nearest pixel and no interpolation: a value is one the sensor measured, or missing.
    row, col = own.nearest_index(x, y)
    in_y, in_x = (row >= 0) & (row < own.ny), (col >= 0) & (col < own.nx)
    days = to_epoch_day(node["time"].values)
    shape = (len(days), len(spec.bands), len(y), len(x))
    values = np.full(shape, np.nan, np.float32)  # (time, band, y, x)
    clear = np.zeros((shape[0], *shape[2:]), bool)  # (time, y, x)
    # A block beside a coarser or smaller sensor's images: all missing, on the days it was seen elsewhere.
    if not (in_y.any() and in_x.any()):
        return AcquisitionSeries(values, clear, days)
    box = {
        "y": slice(row[in_y].min(), row[in_y].max() + 1),
        "x": slice(col[in_x].min(), col[in_x].max() + 1),
    }
    # Indices into the box just read, and where its pixels lie in the rectangle with its halo.
    source = np.ix_(row[in_y] - box["y"].start, col[in_x] - box["x"].start)
    target = np.ix_(np.flatnonzero(in_y), np.flatnonzero(in_x))
    measured = node[spec.variable].isel(box)
    bands = [band for band in spec.bands if band in measured["band"].values]
    stack = _load(scene, measured.sel(band=bands))  # one read: stored chunks hold all bands
    for i, band in enumerate(bands):
        values[:, spec.bands.index(band), *target] = stack[:, i][:, *source]
    # Comparisons with NaN are false: missing values are unknown as well.
    low, high = spec.valid_range
    known = (values >= low) & (values <= high)
    values[~known] = np.nan
    # Sensors without a mask, such as radar, are clear wherever they measured.
    clear[:] = True
    if "clear" in node:
        clear[:, *target] = _load(scene, node["clear"].isel(box))[:, *source]
    return AcquisitionSeries(*composite_daily(values, clear & known.any(1), days, is_db=spec.unit == "dB"))


def _load(scene: xr.DataTree, values: xr.DataArray) -> np.ndarray:
    """Values in memory; what a reader raises becomes an InputError."""
    try:
        # Blocks are read in threads of Dask's; its pools inside its pools wait for each other when one fails.
        return values.compute(scheduler="synchronous").values
    except (OSError, ValueError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:80]
        raise InputError(
            f"Got the scene {scene.attrs.get('id', '?')}, whose files cannot be read ({why}), need whole ones;"
            " write or fetch it again."
        ) from error


def parse_day(value: object, default: int | None, name: str) -> int | None:
    """A day as a whole number.

    Parameters
    ----------
    value
        YYYY-MM-DD, or anything whose text is; None: the default.
    default
        Days since 1970-01-01.
    name
        What the day is, for the error.

    Returns
    -------
    int
        Days since 1970-01-01.

    Raises
    ------
    InputError
        Where it is no date.
    """
    if value is None:
        return default
    try:
        # By its text, which is YYYY-MM-DD of a string and of a date alike.
        return int(to_epoch_day(np.datetime64(str(value), "D")))
    except ValueError as error:
        raise InputError(
            f"Got the {name} {value!r}, not a date, need a date such as 2020-05-01; correct it."
        ) from error
