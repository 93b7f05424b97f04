"""Cosine similarity and k-means clusters of pixels, on one day or over the whole period."""

import datetime as dt
from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
import shapely
from fluxlens.app.data.byte_cache import ByteLimitedCache
from fluxlens.app.data.layer_image import LayerImage, LayerStyle, Viewport, format_date
from fluxlens.app.data.scene import SceneData
from fluxlens.app.palette import CLASS_COLOURS
from fluxlens.embeddings import analysis
from fluxlens.embeddings.store.quantise import FEATURE_MISSING

PERIOD_DAYS = 24
"""The whole period is compared on that many days, evenly spread."""
PERIOD_BYTES = 2**30
"""Bytes of those days; a larger scene is compared on fewer days, so that they stay in memory."""
COSINE_BYTES = 2**28
"""Bytes of cached similarities; one of 4 million pixels is 16 MB."""
CENTRES_SAMPLE_PX = 10_000
"""Cluster centres of the whole period are found on about that many pixels."""
Reference = tuple[int, int] | shapely.MultiPolygon
"""What pixels are compared with: one of them, (row, col), or the mean of an area in lon, lat."""
MIN_STD = 1e-6
"""Constant features get this standard deviation, so that scaling by its inverse stays finite."""


class PixelSimilarity:
    """Compares the pixels of one scene by their embeddings.

    Parameters
    ----------
    scene : SceneData
        Its cube, sample and principal components are used.
    read_mean : callable, optional
        ``read_mean(area)`` returns the mean vectors (time, feature) of an area in steps of the stored int8; without it
        nothing can be compared with an area.

    Attributes
    ----------
    cosine : ByteLimitedCache
        (y, x) float32 by (day or None, (row, col) or area, viewport).
    """

    def __init__(
        self, scene: SceneData, read_mean: Callable[[shapely.MultiPolygon], np.ndarray] | None = None
    ):
        self.scene = scene
        self._area_series = lru_cache(maxsize=32)(read_mean) if read_mean else None
        self.cosine = ByteLimitedCache(self._compute_cosine, COSINE_BYTES)
        self._period_cubes = ByteLimitedCache(self._read_period, PERIOD_BYTES)
        self._trajectories = ByteLimitedCache(self._compute_trajectories, PERIOD_BYTES // 4)
        self._centres = lru_cache(maxsize=8)(self._find_centres)
        # Small: PERIOD_DAYS days of one pixel each.
        self._pixel_series = lru_cache(maxsize=512)(self._read_pixel_series)

    def similarity_image(
        self,
        day: dt.date | None,
        reference: Reference,
        threshold: float,
        viewport: Viewport | None = None,
    ) -> LayerImage:
        """Cosine similarity to a pixel or an area, values -1 to 1; what is less similar than ``threshold`` is masked.

        Parameters
        ----------
        day : date or None
            None: over the whole period.
        reference : tuple of int, or shapely.MultiPolygon
            (row, col) of the reference pixel, or an area in lon, lat, whose mean vector is the reference.
        threshold : float
            Cosine similarity.
        viewport : Viewport, optional
            None: the whole scene.
        """
        values = self.cosine(day, reference, viewport)
        # Pixels that no store of a mosaic covers do not count.
        stored = self.scene.covered_pixels(viewport) if self.scene.has_gaps else ...
        share = float((values[stored] >= threshold).mean())
        when = f"on {format_date(day)}" if day else self.period_label
        if isinstance(reference, tuple):
            label = f"Similarity to pixel {reference[0]}, {reference[1]}"
        else:
            label = "Similarity to the mean of the area"
        style = LayerStyle(label, "", ("cosine",), (0.0,), (1.0,), palette="CET_L17", value_name="similarity")
        caption = f"{when}: {share:.0%} of pixels at {threshold:.2f} or above"
        return LayerImage(values[..., None], style, caption, values < threshold, when=self._date(day))

    def cluster_image(self, day: dt.date | None, count: int, viewport: Viewport | None = None) -> LayerImage:
        """k-means classes, values 0 .. ``count`` - 1.

        Parameters
        ----------
        day : date or None
            A day, with centres common to all days so that colours do not change; None: of the whole period.
        count : int
            Number of clusters.
        viewport : Viewport, optional
            None: the whole scene.
        """
        if day is None:
            classes = analysis.assign(self._trajectories(viewport), self._centres(True, count))
        else:
            embedding = self.scene.cube(day, viewport, quality=False).embedding.values
            # Centres of all days: with those of one day colours would change their meaning while the season plays.
            classes = analysis.assign(self._dequantise(embedding), self._centres(False, count))
        shares = np.bincount(classes, minlength=count) / classes.size
        style = LayerStyle(
            f"{count} clusters", "", ("cluster",), (0.0,), (1.0,), classes=CLASS_COLOURS[:count]
        )
        caption = (
            f"k-means on {format_date(day)}, centres common to all days"
            if day
            else f"k-means {self.period_label}"
        )
        values = classes.reshape(*self.scene.shape(viewport), 1).astype("float32")
        return LayerImage(values, style, caption, shares=tuple(shares.tolist()), when=self._date(day))

    def _date(self, day: dt.date | None) -> str:
        """The day, or the whole period, as the hover has it."""
        return format_date(day) if day else self.period_label

    # --- features for fitting labels ---

    def feature_matrix(self, day: dt.date | None, viewport: Viewport | None = None) -> np.ndarray:
        """(pixel, feature) of a day as stored int8, or (pixel, day x component) float32 of the whole period.

        Parameters
        ----------
        day : date or None
            None: the whole period.
        viewport : Viewport, optional
            None: the whole scene.
        """
        if day is None:
            return self._trajectories(viewport)
        embedding = self.scene.cube(day, viewport, quality=False).embedding.values
        return embedding.reshape(-1, len(self.scene.scale))

    def features_at(self, day: dt.date | None, pixels: tuple[tuple[int, int], ...]) -> np.ndarray:
        """Rows of ``feature_matrix`` for single pixels at full resolution, whatever the viewport.

        Parameters
        ----------
        day : date or None
            None: the whole period.
        pixels : tuple of (int, int)
            (row, col) of each.
        """
        series = [self._pixel_series(*pixel) for pixel in pixels]  # each (time, feature) int8
        if day is None:
            weights = self.scene.components[0]  # (feature, 3)
            picks = self._period_indices
            return np.stack([(self._dequantise(one[picks]) @ weights).reshape(-1) for one in series])
        index = int(self.scene.days.get_indexer([pd.Timestamp(day)])[0])
        return np.stack([one[index] for one in series])

    def inverse_std(self, day: dt.date | None) -> np.ndarray:
        """(feature,) factors that give the columns of ``feature_matrix(day)`` a standard deviation of 1."""
        values = self._thinned_trajectories if day is None else self.scene.sample_codes
        return 1 / np.maximum(values.reshape(-1, values.shape[-1]).std(0), MIN_STD)

    # --- a day and the period ---

    def period_mean(self, viewport: Viewport | None = None) -> np.ndarray:
        """Mean embedding of the period's days, (y, x, feature) float32: what stays of a place over its season.

        Parameters
        ----------
        viewport : Viewport, optional
            None: the whole scene.
        """
        cubes = self._period_cubes(viewport)
        # Day by day, so that the days are never beside each other as floats; days without a value do not count.
        total, days = np.zeros(cubes[0].shape, np.int32), np.zeros(cubes[0].shape[:2], np.int32)
        for cube in cubes:
            known = (cube != FEATURE_MISSING).all(-1)
            total += np.where(known[..., None], cube, 0)
            days += known
        return total * (self.scene.scale / np.maximum(days, 1)[..., None]).astype("float32")

    def _compute_cosine(
        self, day: dt.date | None, reference: Reference, viewport: Viewport | None = None
    ) -> np.ndarray:
        """Cosine of centred features, (y, x) float32; over the period, features of all its days concatenated."""
        scale, centre = self.scene.scale, self.scene.components[1]
        if day:
            cubes, dates = [self.scene.cube(day, viewport, quality=False).embedding.values], [day]
        else:
            cubes, dates = self._period_cubes(viewport), [self.scene.days[i] for i in self._period_indices]
        # The dot product and the squared lengths of concatenated vectors are sums over days, so that the days need
        # never lie side by side in memory.
        dot = length = own_length = np.float32(0)
        for date, cube in zip(dates, cubes, strict=True):
            if isinstance(reference, tuple):
                steps = self.features_at(date, (reference,))[0]
                day_own = analysis.agreement(steps[None], scale, centre, steps * scale)[1][0]
            else:
                # The mean of an area is no stored int8, of which the kernel takes the length.
                index = int(self.scene.days.get_indexer([pd.Timestamp(date)])[0])
                steps = self._area_series(reference)[index]
                day_own = np.float32(((steps * scale - centre) ** 2).sum())
            pixels = cube.reshape(-1, len(scale))
            day_dot, day_length = analysis.agreement(pixels, scale, centre, steps * scale)
            if day:  # no sum, no copy
                dot, length, own_length = day_dot, day_length, day_own
            else:
                dot, length, own_length = dot + day_dot, length + day_length, own_length + day_own
        return analysis.cosine(dot, length, float(own_length)).reshape(self.scene.shape(viewport))

    @cached_property
    def _period_indices(self) -> np.ndarray:
        """Indices of days evenly spread over the period, as many as fit into ``PERIOD_BYTES``."""
        days, (ny, nx) = self.scene.days, self.scene.shape(self.scene.overview)
        fitting = PERIOD_BYTES // (ny * nx * len(self.scene.features))
        # Two at least, however large the scene: of one day the period would be that day.
        count = max(2, min(PERIOD_DAYS, fitting, len(days)))
        return np.unique(np.linspace(0, len(days) - 1, count).round().astype(int))

    @property
    def period_label(self) -> str:
        """Such as: along 24 days from 1 Mar 2020 to 31 Oct 2020."""
        first, last = format_date(self.scene.first), format_date(self.scene.last)
        return f"along {len(self._period_indices)} days from {first} to {last}"

    def _read_period(self, viewport: Viewport | None) -> list[np.ndarray]:
        """Embeddings (y, x, feature) int8 of the days of the period."""
        store, days = self.scene.store, [self.scene.days[i] for i in self._period_indices]
        if viewport is None:
            return [store.map(day).embedding.values for day in days]
        at = viewport.level, viewport.rows, viewport.cols
        return [store.tile(day, *at, quality=False).embedding.values for day in days]

    def _read_pixel_series(self, row: int, col: int) -> np.ndarray:
        return self.scene.store.series(row, col).embedding.values

    def _dequantise(self, embedding: np.ndarray) -> np.ndarray:
        """(pixel, feature) float32."""
        return embedding.reshape(-1, len(self.scene.scale)) * self.scene.scale

    def _compute_trajectories(self, viewport: Viewport | None) -> np.ndarray:
        """The three principal components of every day of the period, (pixel, day x 3) float32."""
        weights = self.scene.components[0]
        return np.concatenate(
            [self._dequantise(cube) @ weights for cube in self._period_cubes(viewport)], axis=1
        )

    @property
    def _thinned_trajectories(self) -> np.ndarray:
        """Trajectories of about ``CENTRES_SAMPLE_PX`` pixels of the whole scene."""
        values = self._trajectories(self.scene.overview)
        if self.scene.has_gaps:
            values = values[self.scene.covered_pixels(self.scene.overview).ravel()]
        return values[:: max(1, len(values) // CENTRES_SAMPLE_PX)]

    def _find_centres(self, whole_period: bool, count: int) -> np.ndarray:
        if whole_period:
            return analysis.kmeans(self._thinned_trajectories, count)
        return analysis.kmeans(self.scene.sample_vectors, count)
