"""Similar places and clusters, of a day or of the whole period, as pictures of the map."""

import datetime as dt
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from app import labels
from app.held import Held
from app.pictures import CLASSES, Look, Picture, Sight, fmt
from embeddings import analysis

if TYPE_CHECKING:
    from app.data import Data

TRAJECTORY_DAYS = 24
"""The whole period is compared on that many days, evenly spread."""
TRAJECTORY_BYTES = 2**30
"""A larger scene is compared on fewer days, so that they stay in memory."""
COSINE_BYTES = 2**28
"""Of similarities kept; one of 4 million pixels is 16 MB."""
SAMPLE_PX = 10_000
"""Cluster centres of trajectories are found on that many pixels."""


class Alike:
    """Compares the pixels of one store with each other; features less their mean over place and time."""

    def __init__(self, data: "Data"):
        self.data = data
        self.cosine = Held(self._cosine, COSINE_BYTES)
        self._days = Held(self._read_days, TRAJECTORY_BYTES)
        self._trajectories = Held(self._components, TRAJECTORY_BYTES // 4)
        self._centres = lru_cache(maxsize=8)(self._find_centres)
        self.learnt = lru_cache(maxsize=32)(partial(labels.learn, self))
        self._pillar = lru_cache(maxsize=512)(lambda row, col: data.store.series(row, col).embedding.values)

    def similar(
        self, day: dt.date | None, pixel: tuple[int, int], threshold: float, sight: Sight | None = None
    ) -> Picture:
        """Cosine similarity to a pixel on a day (None: along the whole period); less than ``threshold`` is faded."""
        values = self.cosine(day, pixel, sight)
        near = float((values >= threshold).mean())
        when = f"on {fmt(day)}" if day else self.period
        look = Look(
            f"Similarity to pixel {pixel[0]}, {pixel[1]}",
            "",
            ("cosine",),
            (0.0,),
            (1.0,),
            palette="CET_L17",
        )
        note = f"{when}: {near:.0%} of pixels at {threshold:.2f} or above"
        return Picture(values[..., None], look, note, values < threshold)

    def clusters(self, day: dt.date | None, count: int, sight: Sight | None = None) -> Picture:
        """k-means classes of a day, with centres common to all days; or (day None) of the whole period."""
        if day is None:
            kinds = analysis.assign(self._trajectories(sight), self._centres(True, count))
        else:
            embedding = self.data.cube(day, sight, quality=False).embedding.values
            kinds = analysis.assign(self._features(embedding), self._centres(False, count))
        shares = np.bincount(kinds, minlength=count) / kinds.size
        look = Look(f"{count} clusters", "", ("cluster",), (0.0,), (1.0,), classes=CLASSES[:count])
        note = f"k-means on {fmt(day)}, centres common to all days" if day else f"k-means {self.period}"
        values = kinds.reshape(*self.shape(sight), 1).astype("float32")
        return Picture(values, look, note, shares=tuple(shares.tolist()))

    def labels(
        self, day: dt.date | None, given: tuple[labels.Label, ...] = (), sight: Sight | None = None
    ) -> Picture:
        """The map that a visitor's labels make; before there are two kinds of them, the embedding as it is."""
        if labels.enough(given):
            return labels.picture(self, day, given, sight)
        shown = self.data.picture("pca", day or self.data.first, sight=sight)
        return replace(shown, note="type a class or a number, and tap pixels of two kinds or more")

    def described(self, day: dt.date | None, sight: Sight | None = None) -> np.ndarray:
        """Values (pixel, feature) of a day, as integers, or of the whole period."""
        if day is None:
            return self._trajectories(sight)
        embedding = self.data.cube(day, sight, quality=False).embedding.values
        return embedding.reshape(-1, len(self.data.scale))

    def at(self, day: dt.date | None, pixels: tuple[tuple[int, int], ...]) -> np.ndarray:
        """The same of single pixels at full resolution, (pixel, feature)."""
        series = [self._pillar(*pixel) for pixel in pixels]
        if day is None:
            weights = self.data.components[0]
            return np.stack([(self._features(one[self._picks]) @ weights).reshape(-1) for one in series])
        when = int(self.data.days.get_indexer([pd.Timestamp(day)])[0])
        return np.stack([one[when] for one in series])

    def evening(self, day: dt.date | None) -> np.ndarray:
        """What makes the spreads of ``described`` comparable, (feature,)."""
        values = self._thinned if day is None else self.data.sample.embedding.values
        return 1 / np.maximum(values.reshape(-1, values.shape[-1]).std(0), 1e-6)

    # --- of a day, of the period ---

    def _cosine(self, day: dt.date | None, pixel: tuple[int, int], sight: Sight | None = None) -> np.ndarray:
        """(y, x) float32."""
        scale, centre = self.data.scale, self.data.components[1]
        cubes = [self.data.cube(day, sight, quality=False).embedding.values] if day else self._days(sight)
        dates = [day] if day else [self.data.days[i] for i in self._picks]
        dot = length = own = np.float32(0)
        for date, cube in zip(dates, cubes, strict=True):
            here = self.at(date, (pixel,))[0]
            like = here * scale
            more = analysis.agreement(cube.reshape(-1, len(scale)), scale, centre, like)
            itself = analysis.agreement(here[None], scale, centre, like)[1]
            # a day alone is not copied
            dot, length, own = (
                (more[0], more[1], itself[0]) if day else (dot + more[0], length + more[1], own + itself[0])
            )
        return analysis.cosine(dot, length, float(own)).reshape(self.shape(sight))

    def shape(self, sight: Sight | None) -> tuple[int, int]:
        return (sight.bottom - sight.top, sight.right - sight.left) if sight else self.data.grid.shape

    @cached_property
    def _picks(self) -> np.ndarray:
        """Indices of days evenly spread over the period."""
        days, (ny, nx) = self.data.days, self.shape(self.data.overview)
        count = max(
            2, min(TRAJECTORY_DAYS, TRAJECTORY_BYTES // (ny * nx * len(self.data.features)), len(days))
        )
        return np.unique(np.linspace(0, len(days) - 1, count).round().astype(int))

    def _read_days(self, sight: Sight | None) -> list[np.ndarray]:
        """Embeddings (y, x, feature) int8 of those days."""
        days = [self.data.days[i] for i in self._picks]
        if sight is None:
            return [self.data.store.map(day).embedding.values for day in days]
        at = sight.level, sight.rows, sight.cols
        return [self.data.store.tile(day, *at, quality=False).embedding.values for day in days]

    @property
    def period(self) -> str:
        return f"along {len(self._picks)} days from {fmt(self.data.first)} to {fmt(self.data.last)}"

    def _features(self, embedding: np.ndarray) -> np.ndarray:
        """(pixel, feature) float32."""
        return embedding.reshape(-1, len(self.data.scale)) * self.data.scale

    def _components(self, sight: Sight | None) -> np.ndarray:
        """The three principal components of every day side by side, (pixel, day x 3) float32."""
        weights = self.data.components[0]
        return np.concatenate([self._features(cube) @ weights for cube in self._days(sight)], axis=1)

    @property
    def _thinned(self) -> np.ndarray:
        """Trajectories of about ``SAMPLE_PX`` pixels of the whole scene."""
        values = self._trajectories(self.data.overview)
        return values[:: max(1, len(values) // SAMPLE_PX)]

    def _find_centres(self, period: bool, count: int) -> np.ndarray:
        if period:
            return analysis.kmeans(self._thinned, count)
        return analysis.kmeans(self._features(self.data.sample.embedding.values), count)
