"""The facade of ``app.data``: one store with its caches, as the screen asks it."""

import copy
import datetime as dt
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from fluxlens.app.data.areas import mean_embedding, read_area
from fluxlens.app.data.imagery import Imagery
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport
from fluxlens.app.data.layers import MapLayers
from fluxlens.app.data.published import PublishedEmbeddings
from fluxlens.app.data.scene import SceneData
from fluxlens.app.data.series import SeriesReader
from fluxlens.app.data.similarity import PixelSimilarity
from fluxlens.app.data.start_day import clearest_day
from fluxlens.app.data.towers.calibration import calibrate
from fluxlens.app.data.towers.comparison import ComparisonInputs, TowerComparison, compare
from fluxlens.app.data.towers.footprint import FOOTPRINT_KINDS, Footprint, tower_footprint
from fluxlens.app.data.towers.observations import TowerObservations
from fluxlens.app.state.layer_key import LayerKey
from fluxlens.app.state.place import Place
from fluxlens.embeddings.geometry import Grid
from fluxlens.embeddings.gpp import Calibration
from fluxlens.models.errors import InputError


class ExplorerData:
    """One store and its scene, with caches on small keys (day, layer, pixel), never on arrays; shared by all sessions.

    Parameters
    ----------
    store : embeddings.store.Store
        The open store.
    predict : callable, optional
        ``predict(cube, weather)`` returns ``gpp``, ``gpp_lo``, ``gpp_hi``; without it, or without weather, there is
        no GPP.
    published : PublishedEmbeddings, optional
        Embeddings of other authors to compare with.
    published_error : str
        Why there are none, one sentence.

    Attributes
    ----------
    scene : SceneData
        Facts, grid, cube and sample.
    imagery : Imagery
        Sentinel-2 and Sentinel-1 images.
    similarity : PixelSimilarity
        Similarity and clusters.
    map_layers : MapLayers
        Images and styles of the map.
    observations : TowerObservations
        The tower of the scene, or of the session.
    """

    def __init__(
        self,
        store: Any,
        predict: Callable | None = None,
        published: PublishedEmbeddings | None = None,
        published_error: str = "",
    ):
        self.scene = SceneData(store, predict)
        self.imagery = Imagery(self.scene)
        self.similarity = PixelSimilarity(self.scene, lambda area: mean_embedding(self.scene, area))
        self.map_layers = MapLayers(self.scene, self.imagery, self.similarity, published, published_error)
        self._reader = SeriesReader(self.scene, self.imagery)
        # Charts of all places are drawn again on every tap, which must not read their areas again.
        self._areas = lru_cache(maxsize=32)(self._read_area)
        self._set_tower(TowerObservations(self.scene))

    def _set_tower(self, observations: TowerObservations) -> None:
        """The tower, with caches of what depends on it."""
        self.observations = observations
        self._footprints = lru_cache(maxsize=32)(self._find_footprint)
        # Made anew per tower and not keyed by it: the cache of an uploaded tower dies with its session.
        self._comparisons = lru_cache(maxsize=32)(self._compare_tower)

    def with_tower(self, tower: xr.Dataset, wind: pd.DataFrame | None = None) -> "ExplorerData":
        """The same data with another tower, for the session that uploaded it; everything else is shared, caches too.

        Parameters
        ----------
        tower : xarray.Dataset
            As ``UploadedTower.tower``.
        wind : pandas.DataFrame, optional
            Half-hours of wind and turbulence.
        """
        # Shallow: gigabytes of images are shared, only tower and its caches are replaced.
        other = copy.copy(self)
        other._set_tower(TowerObservations(self.scene, tower, wind))
        return other

    def with_calibration(self, calibration: Calibration | None) -> "ExplorerData":
        """The same data with calibrated GPP, for one session; images and embeddings are shared.

        Parameters
        ----------
        calibration : Calibration or None
            To towers; None: uncalibrated.
        """
        other, layers = copy.copy(self), self.map_layers
        other.scene = self.scene.with_calibration(calibration)
        # Layers, charts and areas keep what was predicted: theirs are made anew.
        other.map_layers = MapLayers(
            other.scene, self.imagery, self.similarity, layers.published, layers.published_error
        )
        other._reader = SeriesReader(other.scene, self.imagery)
        other._areas = lru_cache(maxsize=32)(other._read_area)
        other._set_tower(self.observations)
        return other

    # --- forwarded to the scene ---

    @property
    def store(self) -> Any:
        return self.scene.store

    @property
    def grid(self) -> Grid:
        return self.scene.grid

    @property
    def attrs(self) -> dict:
        return self.scene.attrs

    @property
    def days(self) -> pd.DatetimeIndex:
        return self.scene.days

    @property
    def first(self) -> dt.date:
        return self.scene.first

    @property
    def last(self) -> dt.date:
        return self.scene.last

    @property
    def simulated(self) -> bool:
        return self.scene.simulated

    @property
    def title(self) -> str:
        return self.scene.title

    @property
    def features(self) -> list[str]:
        return self.scene.features

    @property
    def scale(self) -> np.ndarray:
        return self.scene.scale

    @property
    def components(self) -> tuple[np.ndarray, np.ndarray]:
        return self.scene.components

    @property
    def weather(self) -> xr.Dataset | None:
        return self.scene.weather

    @property
    def predict(self) -> Callable | None:
        return self.scene.predict

    @property
    def overview(self) -> Viewport | None:
        return self.scene.overview

    def locate(self, x: float, y: float) -> tuple[int, int]:
        """(row, col) of the point (x, y) in metres; InputError outside the scene."""
        return self.scene.locate(x, y)

    def centre(self, row: int, col: int) -> tuple[float, float]:
        """(x, y) in metres of the centre of the pixel (row, col)."""
        return self.scene.centre(row, col)

    def cube(self, day: dt.date, viewport: Viewport | None = None, quality: bool = True) -> xr.Dataset:
        """One ``day`` of the cube in a ``viewport``, with ``quality``: see ``SceneData.cube``."""
        return self.scene.cube(day, viewport, quality)

    # --- map ---

    @property
    def layers(self) -> list[str]:
        return self.map_layers.keys

    @property
    def missing_reasons(self) -> list[str]:
        return self.map_layers.missing_reasons

    @property
    def published(self) -> PublishedEmbeddings | None:
        return self.map_layers.published

    def layer_image(self, key: LayerKey, viewport: Viewport | None = None) -> LayerImage:
        """The image of a layer: see ``MapLayers.image`` for ``key`` and ``viewport``."""
        return self.map_layers.image(key, viewport)

    def layer_style(self, layer: str, feature: int = 0) -> LayerStyle:
        """Colours of a ``layer`` (of the ``feature`` with that index): see ``MapLayers.style``."""
        return self.map_layers.style(layer, feature)

    @cached_property
    def start_day(self) -> dt.date:
        """Day of the first map: the clearest one of the growing season."""
        return clearest_day(self.scene, self.imagery)

    # --- series ---

    @property
    def has_ndvi(self) -> bool:
        return self.imagery.has_ndvi

    @property
    def has_radar(self) -> bool:
        return self.imagery.has_radar

    def pixel_series(self, row: int, col: int) -> xr.Dataset:
        """All that the charts show of the pixel (row, col): see ``SeriesReader.pixel``."""
        return self._reader.pixel(row, col)

    def area_series(self, area: shapely.MultiPolygon) -> xr.Dataset:
        """Means and percentiles over an ``area`` in lon, lat: see ``areas.read_area``."""
        return self._areas(area)

    def _read_area(self, area: shapely.MultiPolygon) -> xr.Dataset:
        return read_area(self.scene, self.imagery, self._reader, area)

    def place_series(self, place: Place) -> xr.Dataset:
        """What the charts show of a place, pixel or area."""
        return self.area_series(place.area) if place.area else self.pixel_series(place.row, place.col)

    # --- tower ---

    @property
    def tower(self) -> xr.Dataset | None:
        return self.observations.dataset

    @property
    def start_pixel(self) -> tuple[int, int]:
        return self.observations.start_pixel

    def tower_footprint(self, kind: str, size_m: float | None = None) -> Footprint:
        """The tower's footprint of a ``kind`` and size (``size_m``): see ``towers.footprint.tower_footprint``."""
        return self._footprints(kind, size_m)

    def _find_footprint(self, kind: str, size_m: float | None) -> Footprint:
        return tower_footprint(self.scene, self.observations, kind, size_m)

    def compare_tower(self, flux: str, min_qc: float, footprint_args: tuple = ("pixel",)) -> TowerComparison:
        """The tower's GPP with the prediction and the baselines.

        Parameters
        ----------
        flux : str
            "gpp_nt" or "gpp_dt".
        min_qc : float
            Lowest quality of a day, 0-1.
        footprint_args : tuple
            Arguments of ``tower_footprint``; where that footprint cannot be had, the pixel is used and ``missing``
            of the result says why.
        """
        return self._comparisons(flux, min_qc, footprint_args)

    def _compare_tower(self, flux: str, min_qc: float, footprint_args: tuple) -> TowerComparison:
        missing: tuple[str, ...] = ()
        try:
            footprint = self.tower_footprint(*footprint_args)
        except InputError as error:
            # A comparison at the tower's pixel, with the reason beside it, says more than no comparison.
            footprint = self.tower_footprint("pixel")
            missing = (f"No {FOOTPRINT_KINDS[footprint_args[0]].lower()}: {error}",)
        inputs = ComparisonInputs(self.scene, self.imagery, self._reader, self.observations)
        return compare(inputs, flux, min_qc, footprint, missing)

    def calibrate_tower(self, flux: str, min_qc: float, footprint_args: tuple = ("pixel",)) -> Calibration:
        """GPP of this scene calibrated to its tower.

        Parameters
        ----------
        flux : str
            "gpp_nt" or "gpp_dt".
        min_qc : float
            Lowest quality of a day, 0-1.
        footprint_args : tuple
            Arguments of ``tower_footprint``.
        """
        # Of the uncalibrated prediction: a second calibration would else be fitted to the first.
        return calibrate(
            self.scene.with_calibration(None),
            self.imagery,
            self.observations,
            flux,
            min_qc,
            self.tower_footprint(*footprint_args),
        )

    # --- caches ---

    def preload(self) -> None:
        """Compute once what the first map and the first tap would else wait for."""
        self.map_layers.preload()
        self.pixel_series(*self.start_pixel)
        _ = self.start_day

    def load_images(self) -> None:
        """Read the images into memory where they fit, so that taps need no file."""
        self.imagery.load()

    def clear_caches(self) -> None:
        """Forget days, images and similarities, as benchmarks need it; series, samples and styles stay."""
        for results in (
            self.scene.day_cubes,
            self.imagery.photo_cache,
            self.map_layers.image_cache,
            self.map_layers.gpp_cache,
            self.similarity.cosine,
        ):
            results.clear()
