"""Which pixels and days of a store an export reads, in parts that fit in memory, with metadata and weights.

Long on purpose: one class reads, weighs and describes the same selection, and every part needs its facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr
from fluxlens.embeddings import __version__
from fluxlens.embeddings.export.geometries import Point, first_few, warn
from fluxlens.embeddings.export.polygons import (
    Region,
    boxes_with_centres,
    centres_inside,
    project_regions,
    regions_of,
)
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.scenes.acquisitions import parse_day
from fluxlens.embeddings.store.quantise import FEATURE_MISSING
from fluxlens.embeddings.variables import GPP_COLUMNS
from fluxlens.models.errors import InputError

WHOLE_SHARE = 0.999
"""Share of a polygon's area in the scene from which on it counts as whole: rounding of degrees is less."""

PIXEL_DAYS = 300_000
"""Read together where pixels are averaged: bounded memory."""

NEGLIGIBLE = 1e-3
"""Of the largest weight: farther out a footprint is not looked at."""

FootprintWeights = Callable[[Grid, Any], xr.DataArray]
"""Weights (y, x) of the footprint around a point, as ``embeddings.towers.footprint`` makes them."""


def metadata(store: Any, start: Any = None, end: Any = None) -> dict[str, Any]:
    """What every file of those days says of itself: data, model, snapshot, digests, software.

    Parameters
    ----------
    store
        A ``Store``, or a cube (time, y, x, feature).
    start, end
        First and last day, anything with the text YYYY-MM-DD; None: of the store.

    Returns
    -------
    dict
        Without those that are empty.
    """
    return CubeSelection(store, start, end, None).metadata()


class CubeSelection:
    """Dequantised features and GPP of one pixel or one window of a store or a cube, between two days.

    Parameters
    ----------
    store
        A ``Store``, or a cube (time, y, x, feature).
    start, end
        First and last day; None: of the store.
    weather
        Daily (time) in the units of the scene contract; None: that of the store's scene.
    """

    def __init__(self, store: Any, start: Any, end: Any, weather: xr.Dataset | None) -> None:
        # A published cube is given as a dataset; it has no layouts to choose from.
        self.store = None if isinstance(store, xr.Dataset) else store
        self.cube = store if self.store is None else store.cube()
        self.grid = Grid.from_cube(self.cube) if self.store is None else store.grid
        self.days = select_days(self.cube["time"].values, start, end)
        self.count = self.days.stop - self.days.start
        self.weather = self._weather() if weather is None else weather
        # Of a store it is an attribute of the object; a plain cube carries it in its attrs, where `predict` finds it.
        self.calibration = getattr(self.store, "calibration", None)
        self.footprint_weights = ""
        self.share_inside = ""

    def pixels(self, points: list[Point]) -> list[tuple[tuple[int, int], Point]]:
        """Row and column of each point in the grid; those outside are named in one warning.

        Parameters
        ----------
        points
            In lon, lat.

        Returns
        -------
        list of tuple
            (row, col) and the point.

        Raises
        ------
        InputError
            Where all are outside, or where they would be inside with longitude and latitude swapped.
        """
        inside, outside = [], []
        for point in points:
            try:
                inside.append((self.grid.pixel(point.lon, point.lat), point))
            except InputError as error:
                outside.append((point, error))
        if outside:
            first, error = outside[0]
            # Swapped coordinates are the usual reason for a point far outside.
            if self._is_in_grid(first.lat, first.lon):
                raise InputError(
                    f"Got lon {first.lon:g}, lat {first.lat:g}, which lies in the scene when they are swapped, need"
                    " longitude first; swap them."
                ) from error
            # All outside is an error, some outside a warning: the others are exported.
            if not inside:
                raise error
            names = [point.name or f"{point.lon:g},{point.lat:g}" for point, _ in outside]
            warn(
                f"{len(outside)} of {len(points)} points lie outside the scene: left out ({first_few(names)})."
            )
        return inside

    def _is_in_grid(self, lon: float, lat: float) -> bool:
        """Whether a place, which may be none on earth, lies in the grid."""
        try:
            self.grid.pixel(lon, lat)
        except InputError:
            return False
        return True

    def regions(self, polygon: list) -> list[tuple[Region, tuple[np.ndarray, np.ndarray]]]:
        """Regions with a pixel centre inside.

        The share of each region's area that lies in the grid is kept for ``metadata``, with a warning where it is not
        whole.

        Parameters
        ----------
        polygon
            As of ``polygons.regions_of``.

        Returns
        -------
        list of tuple
            The region, and the row and column indices (pixel,) of its pixels, row by row.

        Raises
        ------
        InputError
            Where no region has a pixel centre inside.
        """
        import shapely

        regions = regions_of(polygon)
        shapes = project_regions(self.grid, regions)
        frame = shapely.box(*self.grid.extent)
        # part by part: parts of a region may overlap, which an intersection of the whole does not take
        polygons, of = shapely.get_parts(shapes, return_index=True)  # (part,), and the region of each
        # (region,) m2: all of it, and what lies in the grid
        areas, within = (
            np.bincount(of, shapely.area(some), len(shapes))
            for some in (polygons, shapely.intersection(polygons, frame))
        )
        # An empty geometry has no area; its share is zero, not NaN.
        shares = within / np.where(areas > 0, areas, 1)
        xs, ys = self.grid.x, self.grid.y
        windows = []
        near = boxes_with_centres(xs, ys, polygons)
        # parts are in the order of their regions
        for at in np.unique(of[near]):
            region, those = regions[at], slice(*np.searchsorted(of, (at, at + 1)))
            indices = [centres_inside(xs, ys, shape) for shape in polygons[those][near[those]]]
            rows, cols = (np.concatenate(one) for one in zip(*indices, strict=True))
            if len(indices) > 1:  # parts of one region in the order of the grid, each pixel once
                rows, cols = np.divmod(np.unique(rows * self.grid.nx + cols), self.grid.nx)
            if len(rows):
                windows.append((region, (rows, cols)))
        if not windows:
            raise self._error_of_no_centre(regions)
        if note := self._note_of_left_out(regions, shares, [region for region, _ in windows]):
            warn(note)
        return windows

    def _error_of_no_centre(self, regions: list[Region]) -> InputError:
        """Why no region has a pixel centre inside."""
        import shapely

        # The usual mistake is latitude before longitude: whether it is one is found out by trying.
        swapped = [shapely.transform(region.geometry, lambda at: at[:, ::-1]) for region in regions]
        west, south, east, north = shapely.total_bounds(swapped)
        words = "need one in the scene; move it."
        if self._is_in_grid((west + east) / 2, (south + north) / 2):
            words = "while it would be with longitude and latitude swapped, need [lon, lat]; swap them."
        return InputError(f"Got a polygon without a pixel centre inside, {words}")

    def _note_of_left_out(self, regions: list[Region], shares: np.ndarray, found: list[Region]) -> str:
        """What is left out, in words; keeps the shares (region,) of area in the grid that are not whole."""
        names = [region.name or f"polygon {i}" for i, region in enumerate(regions, 1)]
        partly = [
            f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True) if share < WHOLE_SHARE
        ]
        notes = []
        if partly:
            self.share_inside = first_few(partly, 100)
            notes.append(
                f"Not all of the area lies in the scene, the rest is left out; inside: {first_few(partly)}."
            )
        # Whole in the scene and without a row in the answer: smaller than a pixel, or a narrow strip.
        taken = {id(region) for region in found}
        lost = [
            name
            for name, region, share in zip(names, regions, shares, strict=True)
            if share >= WHOLE_SHARE and id(region) not in taken
        ]
        if lost:
            notes.append(
                f"{len(lost)} of {len(regions)} polygons hold no pixel centre: left out ({first_few(lost)})."
            )
        return " ".join(notes)

    def region_numbers(self, polygon: list) -> tuple[np.ndarray, list[str]]:
        """The first region of each pixel.

        Parameters
        ----------
        polygon
            As of :meth:`regions`.

        Returns
        -------
        tuple
            Index of the region (row, col) int32, -1 of none; and the regions' names.
        """
        windows = self.regions(polygon)
        # -1 outside; a pixel in two regions belongs to the first of the file.
        number = np.full(self.grid.shape, -1, np.int32)
        for at in reversed(range(len(windows))):  # the first is written last and so wins
            number[windows[at][1]] = at
        return number, [region.name for region, _ in windows]

    def pixel(self, row: int, col: int) -> xr.Dataset:
        """Series of one pixel.

        Parameters
        ----------
        row, col
            Index of the pixel.

        Returns
        -------
        xarray.Dataset
            (time), ``y`` and ``x`` scalars in m; units as of ``EXPORT_VARIABLES``.
        """
        if self.store is None:
            series = self.cube.isel(time=self.days, y=row, x=col).compute()
        else:
            series = self.store.series(row, col).isel(time=self.days)
        return self._with_gpp(series)

    def series(
        self, row: int, col: int, point: Point, footprint_weights: FootprintWeights | None
    ) -> xr.Dataset:
        """Series of the pixel, or the weighted mean around the point.

        Parameters
        ----------
        row, col
            Index of the pixel.
        point
            In lon, lat.
        footprint_weights
            Weights (y, x) around a point; None: the pixel alone.

        Returns
        -------
        xarray.Dataset
            (time), ``y`` and ``x`` scalars in m; units as of ``EXPORT_VARIABLES``.
        """
        if footprint_weights is None:
            return self.pixel(row, col)
        weights = footprint_weights(self.grid, point)
        self.footprint_weights = str(weights.attrs.get("long_name", ""))
        # A footprint never ends; pixels that weigh less than a thousandth of the largest are not worth reading.
        inside = np.nonzero(weights.values > NEGLIGIBLE * float(weights.max()))
        rows, cols = (slice(int(i.min()), int(i.max()) + 1) for i in inside)
        # in groups of days, so that a wide footprint and many years fit in memory
        weights, step = weights[rows, cols], max(1, PIXEL_DAYS // weights[rows, cols].size)
        by_box = []
        for first in range(self.days.start, self.days.stop, step):
            days = slice(first, min(first + step, self.days.stop))
            by_box.append(weighted_means(self.window(rows, cols, days), weights))
        return xr.concat(by_box, "time").assign_coords(
            x=self.grid.x[col], y=self.grid.y[row], spatial_ref=self.cube["spatial_ref"]
        )

    def window(self, rows: slice, cols: slice, days: slice | None = None) -> xr.Dataset:
        """A box of pixels and days.

        Parameters
        ----------
        rows, cols
            Slices of the grid.
        days
            Slice along the time of the store; None: all of this selection.

        Returns
        -------
        xarray.Dataset
            (time, y, x); units as of ``EXPORT_VARIABLES``.
        """
        days = days or self.days
        if self.store is None:
            return self._with_gpp(self.cube.isel(time=days, y=rows, x=cols).compute())
        return self._with_gpp(self.store.window(days, rows, cols))

    def lonlat(self, row: int, col: int) -> tuple[float, float]:
        """Longitude and latitude of a pixel's centre, degrees; ``row`` and ``col`` are its indices."""
        lon, lat = self.grid.lonlat(self.grid.x[col], self.grid.y[row])
        return float(lon), float(lat)

    def metadata(self) -> dict[str, Any]:
        """What every file says of itself."""
        attrs = self.cube.attrs
        days = self.cube["time"].values[self.days].astype("datetime64[D]")
        out = {
            "title": attrs.get("title", "daily embeddings"),
            "simulated": int(attrs.get("simulated", 0)),
            "days": f"{days[0]} to {days[-1]}",
            # Days from this one on lie past the last acquisition; said where the export holds some.
            "extrapolated_from": first
            if (first := attrs.get("extrapolated_from", "")) <= str(days[-1])
            else "",
            "scene_id": attrs.get("scene_id", ""),
            "scene_digest": attrs.get("scene_digest", ""),
            "model": attrs.get("model", ""),
            "model_digest": attrs.get("model_digest", ""),
            "store_snapshot": "" if self.store is None else self.store.snapshot,
            "crs": self.grid.crs,
            "features": "e00, e01, ...: dimensionless"
            + (", stored int8 times the model's scale" if self.cube["embedding"].dtype == np.int8 else ""),
            "gpp": self._why_no_gpp(),
            "gpp_head_digest": self.head_digest,
            **self._calibration_attrs(),
            # The key is part of files written before; its value describes the weights.
            "seen": self.footprint_weights,
            "share_inside": self.share_inside,
            "software": f"fluxlens {__version__}",
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return {key: value for key, value in out.items() if value != ""}

    def _weather(self) -> xr.Dataset | None:
        # The scene inside the store carries the weather that GPP needs.
        scene = self.store.scene() if self.store is not None else None
        return (
            scene["weather"].to_dataset().load()
            if scene is not None and "weather" in scene.children
            else None
        )

    def _with_gpp(self, cube: xr.Dataset) -> xr.Dataset:
        features = cube["embedding"].astype(np.float32) * cube["scale"]
        if cube["embedding"].dtype == np.int8:
            # Pixels that no store of a mosaic holds; within a store there are none.
            features = features.where(cube["embedding"] != FEATURE_MISSING)
        out = cube.drop_vars(["embedding", "scale"]).drop_dims("feature", errors="ignore")
        names = {str(name): features.sel(feature=name, drop=True) for name in cube["feature"].values}
        out = xr.Dataset(names, attrs=cube.attrs).assign(out.data_vars)
        if "days_from_s2" in out:
            out["observed"] = (out["days_from_s2"] == 0).astype(np.int8).drop_attrs()
        gpp = self._gpp(cube)
        return out if gpp is None else out.assign(gpp)

    @property
    def head_digest(self) -> str:
        """Of the weights behind `gpp`; empty where there is none."""
        from fluxlens.embeddings import gpp

        return "" if self._why_no_gpp() else str(gpp.load_for(self.cube.attrs).digest)

    def _calibration_attrs(self) -> dict[str, str]:
        """Name and digest of the calibration behind `gpp`; empty where there is none."""
        from fluxlens.embeddings.gpp import cubes

        calibration = cubes.calibration_of(self.cube.attrs, self.calibration)
        if calibration is None or self._why_no_gpp():
            return {}
        return {"gpp_calibration": calibration.label, "gpp_calibration_digest": calibration.digest}

    def _why_no_gpp(self) -> str:
        from fluxlens.embeddings import gpp

        if self.weather is None:
            return "not given: no weather is known here"
        if not gpp.is_compatible(self.cube.attrs):
            return "not given: the GPP head was trained on embeddings of another model"
        return ""

    def _gpp(self, cube: xr.Dataset) -> dict[str, xr.DataArray] | None:
        from fluxlens.embeddings import gpp

        if self._why_no_gpp():
            return None
        predicted = gpp.predict(cube, self.weather, calibration=self.calibration)
        return {name: predicted[name] for name in (*GPP_COLUMNS, "ood") if name in predicted}


def blank_missing_days(cube: xr.Dataset) -> xr.Dataset:
    """Distances to an acquisition with NaN for "none": the code -1 must not enter a mean.

    Parameters
    ----------
    cube
        Any dims; ``days_from_*`` in days, -1 for none.

    Returns
    -------
    xarray.Dataset
        The same dims, ``days_from_*`` as float.
    """
    return cube.assign({name: cube[name].where(cube[name] >= 0) for name in _ages(cube)})


def restore_missing_days(cube: xr.Dataset) -> xr.Dataset:
    """The inverse of ``blank_missing_days``: the code of "none" that stores and files have.

    Parameters
    ----------
    cube
        Any dims; ``days_from_*`` in days, NaN for none.

    Returns
    -------
    xarray.Dataset
        The same dims, -1 for none.
    """
    return cube.assign({name: cube[name].fillna(-1) for name in _ages(cube)})


def _ages(cube: xr.Dataset) -> list[str]:
    """Names of the distances to an acquisition."""
    return [str(name) for name in cube if str(name).startswith("days_from_")]


def weighted_means(cube: xr.Dataset, weights: xr.DataArray) -> xr.Dataset:
    """Means of a box under weights.

    Parameters
    ----------
    cube
        (time, y, x); units as of ``EXPORT_VARIABLES``.
    weights
        (y, x), from 0 up; they need not sum to 1.

    Returns
    -------
    xarray.Dataset
        (time) means, with ``spread`` over features, ``gpp_spread`` in gC m-2 d-1 and ``share`` of the weights, 0-1.
    """
    from fluxlens.embeddings.towers import footprint

    cube = blank_missing_days(cube)
    mean, spread, share = footprint.weighted_mean(cube, weights)
    features = [str(name) for name in cube if re.fullmatch(r"e\d\d", str(name))]
    # root mean square, so that one number says how mixed the place is whatever the number of features
    mixed = np.sqrt(sum(spread[name] ** 2 for name in features) / len(features))
    out = restore_missing_days(mean).assign(spread=mixed, share=share[features[0]])
    return out.assign(gpp_spread=spread["gpp"]) if "gpp" in spread else out


def select_days(times: np.ndarray, start: Any, end: Any) -> slice:
    """Days of a cube between two dates.

    Parameters
    ----------
    times
        (time) datetime64, increasing.
    start, end
        First and last day, anything with the text YYYY-MM-DD; None: of the cube.

    Returns
    -------
    slice
        Indices along time.

    Raises
    ------
    InputError
        Where one is no date, the end is before the start, or no day remains.
    """
    days = times.astype("datetime64[D]")
    known = days[[0, -1]].astype(int)
    first, last = parse_day(start, known[0], "start"), parse_day(end, known[1], "end")
    first, last = np.datetime64(int(first), "D"), np.datetime64(int(last), "D")
    if last < first:
        raise InputError(f"Got the end {last} before the start {first}, need it on or after; swap them.")
    begin, stop = int(np.searchsorted(days, first)), int(np.searchsorted(days, last, side="right"))
    if begin >= stop:
        raise InputError(
            f"Got {first} to {last}, need days from {days[0]} to {days[-1]}; choose days inside."
        )
    return slice(begin, stop)
