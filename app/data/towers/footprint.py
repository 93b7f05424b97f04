"""The pixels over which a prediction for a tower is averaged: one pixel, a radius, or its flux footprint.

The footprint is the parameterisation of Kljun et al. (2015), Geosci. Model Dev. 8, 3695, in
``embeddings.towers.footprint``.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from fluxlens.app.data import areas
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.series import GPP_COLUMNS, SeriesReader
from fluxlens.app.data.towers.observations import TowerObservations
from fluxlens.embeddings.evaluation.tower_baselines import weighted_mean
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.towers import footprint as flux_footprint
from fluxlens.models.errors import InputError

FOOTPRINT_KINDS = {"pixel": "Pixel", "radius": "Radius", "footprint": "Footprint"}
RADIUS_RANGE_M = (50, 500)
CONTOUR_SHARES = (0.5, 0.8)
"""Shares of a footprint inside the lines that are drawn."""
REACH_M = 500.0
"""Footprints are cut to that distance from the tower on each side."""
MAX_HALF_HOURS = 240
"""Half-hours behind a footprint on screen: a second's work; ``fluxlens export --tower`` takes up to 2000."""


@dataclass(frozen=True)
class Footprint:
    """Pixels and their weights."""

    rows: np.ndarray
    """(pixel,) int."""
    cols: np.ndarray
    """(pixel,) int."""
    weights: np.ndarray
    """(pixel,) float, sum 1."""
    label: str
    """What is averaged, and over how many pixels."""
    outlines: tuple[tuple[list[float], list[float]], ...] = ()
    """(xs, ys) of lines on the map, metres; NaN between parts of one line."""

    def mean(self, values: xr.DataArray) -> xr.DataArray:
        """Weighted mean over ``pixel``; NaN where pixels with less than half of the weight are known.

        Parameters
        ----------
        values : xarray.DataArray
            (pixel, ...), NaN where unknown.
        """
        return weighted_mean(values, xr.DataArray(self.weights, dims="pixel"))


def tower_footprint(
    scene: SceneData, tower: TowerObservations, kind: str, size_m: float | None = None
) -> Footprint:
    """The footprint of a tower.

    Parameters
    ----------
    scene : SceneData
        The scene on whose grid it lies.
    tower : TowerObservations
        Its location and, for "footprint", its wind.
    kind : str
        A key of ``FOOTPRINT_KINDS``.
    size_m : float, optional
        For "radius" the radius; for "footprint" the height of the sensors above the displacement height, metres.

    Raises
    ------
    InputError
        A flux footprint without wind or height.
    """
    if kind == "pixel":
        row, col = tower.start_pixel
        return Footprint(np.array([row]), np.array([col]), np.ones(1), f"pixel {row}, {col}")
    lon, lat = (float(tower.dataset.attrs[name]) for name in ("lon", "lat"))
    # Weights on a window: beyond it a tower receives next to nothing.
    window, corner = _window_around(scene.grid, tower.start_pixel)
    if kind == "radius":
        weights = flux_footprint.disc(window, lon, lat, size_m)
        x, y = tower.xy
        angles = np.linspace(0, 2 * np.pi, 73)  # a point every 5 degrees
        outlines = (((x + size_m * np.cos(angles)).tolist(), (y + size_m * np.sin(angles)).tolist()),)
    else:
        weights = flux_footprint.flux(window, lon, lat, _select_air(tower, size_m, lat))
        outlines = find_contours(window, weights.values)
    share = float(weights.sum())
    label = weights.attrs["long_name"] + (f", {share:.0%} of it in the scene" if share < 0.995 else "")
    return _subsample(weights.values, corner, label, outlines)


def _select_air(tower: TowerObservations, height_m: float | None, lat: float) -> flux_footprint.Air:
    """Wind and turbulence of at most ``MAX_HALF_HOURS``, evenly spread."""
    if tower.wind is None:
        raise InputError("Got a tower without half-hourly wind, need it for a footprint; load its HH file.")
    if height_m is None:
        raise InputError("Got no height of the sensors, need metres above the displacement height; give it.")
    air = flux_footprint.Air.from_turbulence(tower.wind, height_m, lat)
    # Every nth half-hour, so that all seasons and hours stand in the footprint of a second's work.
    return air.take(slice(None, None, -(-len(air.wind_m_s) // MAX_HALF_HOURS)))


def predict_over(scene: SceneData, reader: SeriesReader, footprint: Footprint) -> xr.Dataset:
    """Mean over a footprint of what is predicted for each of its pixels.

    Parameters
    ----------
    scene : SceneData
        Embeddings, weather and GPP model.
    reader : SeriesReader
        Its cached series serves a footprint of one pixel.
    footprint : Footprint
        Pixels and weights.

    Returns
    -------
    xarray.Dataset
        ``gpp``, ``gpp_lo``, ``gpp_hi`` (time), gC m-2 d-1; empty where there is no GPP. The band is the mean of the
        pixels' bands: errors of neighbours are taken as fully correlated.
    """
    # The charts' own series of that pixel, which is cached already.
    if len(footprint.rows) == 1:
        return reader.pixel(int(footprint.rows[0]), int(footprint.cols[0]))
    if not scene.predict:
        return xr.Dataset()
    predicted = scene.predict(areas.read_pixels(scene, footprint.rows, footprint.cols), scene.weather)
    return xr.Dataset({name: footprint.mean(predicted[name]) for name in GPP_COLUMNS})


def find_contours(grid: Grid, weights: np.ndarray) -> tuple[tuple[list[float], list[float]], ...]:
    """Lines within which ``CONTOUR_SHARES`` of a footprint lie, the narrower first.

    Parameters
    ----------
    grid : Grid
        Grid of the weights.
    weights : numpy.ndarray
        (y, x), sum at most 1: what is missing lies outside the grid.

    Returns
    -------
    tuple of (list, list)
        xs and ys in metres with NaN between parts; fewer lines where the grid holds less of the footprint.
    """
    from contourpy import LineType, contour_generator

    # The level of a share is the weight of the last pixel needed when pixels are added from the heaviest on.
    falling = np.sort(weights.ravel())[::-1]  # (pixel,), heaviest first
    total = np.cumsum(falling)
    levels = [falling[np.searchsorted(total, share)] for share in CONTOUR_SHARES if total[-1] > share]
    contours = contour_generator(grid.x, grid.y, weights, line_type=LineType.ChunkCombinedNan)
    rings = []
    for level in levels:
        points = contours.lines(float(level))[0][0]  # one chunk: (point, 2) with NaN between lines
        points = np.empty((0, 2)) if points is None else points
        rings.append((points[:, 0].tolist(), points[:, 1].tolist()))
    return tuple(rings)


def _window_around(grid: Grid, pixel: tuple[int, int]) -> tuple[Grid, tuple[int, int]]:
    """The part of the grid within ``REACH_M`` of a pixel, and the row and column where it begins."""
    reach = int(REACH_M // grid.size_m) + 1
    row, col = pixel
    rows = slice(max(0, row - reach), min(grid.ny, row + reach + 1))
    cols = slice(max(0, col - reach), min(grid.nx, col + reach + 1))
    return grid.window(rows, cols), (rows.start, cols.start)


def _subsample(weights: np.ndarray, corner: tuple[int, int], label: str, outlines: tuple) -> Footprint:
    """At most ``areas.MAX_PIXELS`` pixels that stand for all of a footprint (y, x).

    Systematic sampling of the cumulative weight: a pixel is drawn as often as its weight covers one of
    ``MAX_PIXELS`` equal steps, so that heavy pixels keep their weight and light ones are represented by some.
    """
    rows, cols = np.nonzero(weights)
    share = weights[rows, cols] / weights.sum()
    count = len(rows)
    # Every nth part of the cumulated weight picks a pixel: heavy pixels are picked more often.
    if count > areas.MAX_PIXELS:
        steps = (np.arange(areas.MAX_PIXELS) + 0.5) / areas.MAX_PIXELS
        picks, times = np.unique(np.searchsorted(np.cumsum(share), steps), return_counts=True)
        rows, cols, share = rows[picks], cols[picks], times / areas.MAX_PIXELS
        label += f"; {len(picks)} of {count:,} pixels read"
    return Footprint(rows + corner[0], cols + corner[1], share, label, outlines)
