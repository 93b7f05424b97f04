"""Facts of one scene: its period, grid, sensors and weather, one day of its cube, and a sample for fixed stretches."""

import copy
import datetime as dt
import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from fluxlens.app.data.byte_cache import ByteLimitedCache
from fluxlens.app.data.layer_image import QUICK_PX, WHOLE_PX, Viewport
from fluxlens.embeddings import analysis, cache, gpp, progress
from fluxlens.embeddings.gpp import Calibration, drivers
from fluxlens.embeddings.store.quantise import FEATURE_MISSING
from fluxlens.models.errors import InputError

CACHE_BYTES = 512 * 2**20
"""Days of the cube kept for maps. Images may take twice as many bytes; larger ones are read for each tap."""
SAMPLE_DAYS, SAMPLE_SIDE_PX = 16, 24
"""The sample behind fixed stretches and components: that many days, about that many pixels a side."""
DENSE_SAMPLE_PX = 1024
"""Scenes wider than this are sampled in clusters of 4 pixels a side, so that few chunks are read."""


class SceneData:
    """What a store says of its scene and of one day, without drawing anything; shared by all sessions.

    Parameters
    ----------
    store : embeddings.store.Store
        The open store.
    predict : callable, optional
        ``predict(cube, weather)`` returns a Dataset with ``gpp``, ``gpp_lo`` and ``gpp_hi`` in gC m-2 d-1.
        It is ignored where the store carries no weather.

    Attributes
    ----------
    grid : embeddings.geometry.Grid
        Pixel grid of the store.
    tree : xarray.DataTree or None
        The scene that the store carries: sensors, weather, tower.
    predictor : callable or None
        As given; None where there is no GPP.
    day_cubes : ByteLimitedCache
        Days of the cube, by (day, viewport, with_quality).
    """

    def __init__(self, store: Any, predict: Callable | None = None):
        self.store, self.grid = store, store.grid
        self._maps = store.cube("maps")
        self.tree: xr.DataTree | None = store.scene()
        # GPP is made of weather as well as of the embedding.
        self.predictor = predict if predict and self.node("weather") is not None else None
        self.day_cubes = ByteLimitedCache(self._read_day, CACHE_BYTES)

    @property
    def calibration(self) -> Calibration | None:
        """That of the store: of a catalog entry, or of the visit."""
        return getattr(self.store, "calibration", None)

    @property
    def predict(self) -> Callable | None:
        """``predictor`` with the calibration, where there is one; None where nothing predicts."""
        if self.predictor is None or self.calibration is None:
            return self.predictor
        return partial(self.predictor, calibration=self.calibration)

    def with_calibration(self, calibration: Calibration | None) -> "SceneData":
        """The same scene with calibrated GPP; days of the cube are shared.

        Parameters
        ----------
        calibration : Calibration or None
            To towers; None: uncalibrated.
        """
        other = copy.copy(self)
        # Exports read the store's own attribute, so the copy of the scene has a copy of the store.
        other.store = copy.copy(self.store)
        other.store.calibration = calibration
        # Predicted before the copy was made.
        other.__dict__.pop("sample_prediction", None)
        return other

    # --- facts ---

    @property
    def attrs(self) -> dict:
        """Attributes of the embedding cube."""
        return self._maps.attrs

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """Days of the cube, UTC, at midnight."""
        return pd.DatetimeIndex(self._maps.time.values).normalize()

    @property
    def first(self) -> dt.date:
        return self.days[0].date()

    @property
    def last(self) -> dt.date:
        return self.days[-1].date()

    @property
    def _tree_attrs(self) -> dict:
        return self.tree.attrs if self.tree is not None else {}

    @property
    def simulated(self) -> bool:
        """Whether the numbers were made by a simulator."""
        return bool(int(self.attrs.get("simulated", self._tree_attrs.get("simulated", 0))))

    @property
    def title(self) -> str:
        return str(self._tree_attrs.get("title") or self.attrs.get("title") or "Untitled scene")

    @cached_property
    def features(self) -> list[str]:
        """Names of the embedding features: e00, e01, ..."""
        return [str(name) for name in self._maps.feature.values]

    @cached_property
    def scale(self) -> np.ndarray:
        """(feature,) float32: value = stored int8 * scale."""
        return self._maps["scale"].values.astype("float32")

    def node(self, name: str) -> xr.Dataset | None:
        """The node ``name`` of the scene, such as "s2" or "weather"; None where the store has none."""
        if self.tree is None or name not in self.tree.children:
            return None
        return self.tree[name].to_dataset()

    @cached_property
    def weather(self) -> xr.Dataset | None:
        """Daily weather of the scene, in memory."""
        node = self.node("weather")
        return node if node is None else node.load()

    @cached_property
    def latitude(self) -> float:
        """Latitude of the middle of the scene, degrees north."""
        return drivers.latitude(xr.Dataset(coords=self.grid.coords(), attrs=self.attrs))

    @cached_property
    def sensor_tree(self) -> xr.DataTree:
        """The sensors of the scene, which is all a model reads; in memory where they fit."""
        nodes = {name: self.node(name) for name in ("s2", "s1", "landsat8")}
        nodes = {f"/{name}": node for name, node in nodes.items() if node is not None}
        if sum(node.nbytes for node in nodes.values()) <= 4 * CACHE_BYTES:
            nodes = {name: node.load() for name, node in nodes.items()}
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=self.tree.attrs), **nodes})

    @property
    def can_compute(self) -> bool:
        """Whether the store carries images that a model can encode."""
        return self.node("s2") is not None or self.node("s1") is not None

    @cached_property
    def acquisition_count(self) -> int:
        """Number of Sentinel-2 and Sentinel-1 images that a model encodes."""
        nodes = (self.node(name) for name in ("s2", "s1"))
        return sum(node.sizes["time"] for node in nodes if node is not None)

    # --- grid ---

    def locate(self, x: float, y: float) -> tuple[int, int]:
        """(row, col) of a point (x, y) in metres of the scene's CRS; InputError outside the scene."""
        lon, lat = self.grid.lonlat(x, y)
        row, col = self.grid.pixel(float(lon), float(lat))
        if self.has_gaps and not self.store.covers(row, col):
            raise InputError(
                f"Got lon {lon:.5f}, lat {lat:.5f}, need a place that one of the entry's stores holds; choose another."
            )
        return row, col

    def centre(self, row: int, col: int) -> tuple[float, float]:
        """(x, y) in metres of the centre of the pixel (row, col)."""
        return float(self.grid.x[col]), float(self.grid.y[row])

    @cached_property
    def overview(self) -> Viewport | None:
        """The whole of a scene too large to be sent pixel by pixel; None where it is not."""
        ny, nx = self.grid.shape
        if max(ny, nx) <= WHOLE_PX:
            return None
        return Viewport.covering((ny, nx), (0, ny), (0, nx), QUICK_PX)

    def shape(self, viewport: Viewport | None) -> tuple[int, int]:
        """(ny, nx) of a viewport, or of the whole scene for None."""
        return self.grid.shape if viewport is None else viewport.shape

    # --- one day ---

    def cube(self, day: dt.date, viewport: Viewport | None = None, quality: bool = True) -> xr.Dataset:
        """One day of the embedding cube, cached.

        Parameters
        ----------
        day : date
            A day of the cube, UTC.
        viewport : Viewport, optional
            Part and resolution; None: the whole scene at full resolution.
        quality : bool
            Whether sigma and the days from acquisitions are read; the whole scene always has them.

        Returns
        -------
        xarray.Dataset
            ``embedding`` (y, x, feature) int8; with ``quality`` ``sigma``, ``days_from_s2``, ``days_from_s1`` (y, x).
        """
        return self.day_cubes(day, viewport, quality or viewport is None)

    def _read_day(self, day: dt.date, viewport: Viewport | None, quality: bool) -> xr.Dataset:
        if viewport is not None:
            return self.store.tile(day, viewport.level, viewport.rows, viewport.cols, quality)
        cube = self.store.map(pd.Timestamp(day)).load()
        return cube.squeeze("time") if "time" in cube.dims else cube

    def predict_map(self, day: dt.date, viewport: Viewport | None) -> xr.Dataset:
        """GPP and its 90 % band (y, x) of one ``day`` in a ``viewport``, gC m-2 d-1."""
        cube = self.cube(day, viewport).expand_dims(time=[pd.Timestamp(day)])
        # The latitude of the middle of the scene, not of the viewport: day length must not change as the user pans.
        cube = cube.assign_coords(lat=self.latitude)
        # Who waits for a map waits alone, as a rule: the other cores help. No map shows the flag. A predictor that a
        # notebook hands in has neither choice.
        faster = {"threads": os.cpu_count() or 1, "with_ood": False} if self.predictor is gpp.predict else {}
        return self.predict(cube, self.weather, **faster).isel(time=0)

    # --- a sample of all days ---

    @cached_property
    def sample(self) -> xr.Dataset:
        """The cube on ``SAMPLE_DAYS`` days and a few hundred pixels, spread evenly over the period and the scene.

        Stretches and principal components come from it, so that they are the same on every day and at every zoom.
        """
        # ``unique``: a cube of few days would have the same day several times.
        picks = np.unique(np.linspace(0, len(self.days) - 1, SAMPLE_DAYS).round().astype(int))
        pixels = {"y": _sample_indices(self.grid.ny), "x": _sample_indices(self.grid.nx)}
        template = self._maps.isel(time=picks).isel(pixels)
        if self.overview is None:
            days = [self.store.map(day).isel(pixels) for day in self.days[picks]]
            return template.copy(
                data={name: np.stack([day[name].values for day in days]) for name in template}
            )
        # A large scene takes seconds to sample, so its sample is kept in the cache folder for the next start.
        name = cache.key("sample", self.store.snapshot, picks.tolist(), pixels)
        with np.load(
            progress.run(cache.build_once(name, lambda path: _save_sample(template, path)))
        ) as arrays:
            return template.copy(data=dict(arrays))

    @cached_property
    def sample_prediction(self) -> xr.Dataset | None:
        """GPP of the sample and its 90 % band, gC m-2 d-1; None where there is none."""
        if self.predict is None:
            return None
        return self.predict(self.sample.transpose("time", "y", "x", "feature", ...), self.weather)

    @cached_property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        """Principal components of the sample: (feature, 3) weights and (feature,) mean."""
        return analysis.principal(self.sample_vectors)

    @property
    def sample_vectors(self) -> np.ndarray:
        """(day x pixel, feature) float32, dequantised, without pixels that no store holds."""
        return self.sample_codes * self.scale

    @property
    def sample_codes(self) -> np.ndarray:
        """(day x pixel, feature) int8 as stored, without pixels that no store holds."""
        codes = self.sample.embedding.values.reshape(-1, len(self.features))
        return codes[codes[:, 0] != FEATURE_MISSING] if self.has_gaps else codes

    @property
    def has_gaps(self) -> bool:
        """Whether a mosaic has pixels that no store holds."""
        return getattr(self.store, "has_gaps", False)

    @property
    def covers(self) -> Callable | None:
        """From (pixel,) rows and columns to whether a store of a mosaic covers them; None where there is no gap."""
        return self.store.covers if self.has_gaps else None

    def covered_pixels(self, viewport: Viewport | None) -> np.ndarray:
        """Which pixels of a viewport a store of the mosaic covers.

        Parameters
        ----------
        viewport : Viewport or None
            None: the whole scene at full resolution.

        Returns
        -------
        numpy.ndarray
            (y, x) bool; of an overview, of the pixel in the middle of each larger one.
        """
        level = 1 if viewport is None else viewport.level
        ny, nx = self.grid.shape
        spans = (slice(0, ny), slice(0, nx)) if viewport is None else (viewport.rows, viewport.cols)
        rows, cols = (
            # The middle of a pixel of the viewport stands for all of it.
            np.minimum(np.arange(span.start, span.stop) * level + level // 2, size - 1)
            for span, size in zip(spans, (ny, nx), strict=True)
        )
        return self.store.covers(rows[:, None], cols)


def _save_sample(sample: xr.Dataset, path: Path) -> progress.Steps[None]:
    yield "reading a sample of the scene", 0.0
    # Opened here: to a name NumPy would add its own suffix.
    with path.open("wb") as file:
        np.savez(file, **{name: array.values for name, array in sample.load().items()})


def _sample_indices(size: int) -> slice | np.ndarray:
    """Pixels of the sample along one side of ``size`` pixels."""
    step = max(1, size // SAMPLE_SIDE_PX)
    if size <= DENSE_SAMPLE_PX:
        # From half a step on: the middle of each stretch, not its edge, where tiles and swaths may end.
        return slice(step // 2, None, step)
    # Clusters of 4 pixels, 32 apart, inside one map chunk of 128 pixels each: six chunks a side are read, not all.
    clusters = np.linspace(0, size - 1, 2 * (SAMPLE_SIDE_PX // 4) + 1)[1::2].astype(int)
    return (clusters[:, None] // 128 * 128 + np.arange(16, 128, 32)).clip(0, size - 1).ravel()
