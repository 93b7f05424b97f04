"""Similar places and clusters, of a day or of the whole period, as pictures of the map."""

import datetime as dt
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from app import labels
from app.pictures import CLASSES, Look, Picture, fmt
from embeddings import analysis

if TYPE_CHECKING:
    from app.data import Data

TRAJECTORY_DAYS = 24
"""The whole period is compared on that many days, evenly spread."""
TRAJECTORY_BYTES = 2**30
"""A larger scene is compared on fewer days, so that they stay in memory."""
SAMPLE_PX = 10_000
"""Cluster centres of trajectories are found on that many pixels."""


class Alike:
    """Compares the pixels of one store with each other; features less their mean over place and time."""

    def __init__(self, data: "Data"):
        self.data = data
        self.cosine = lru_cache(maxsize=16)(self._cosine)
        self._centres = lru_cache(maxsize=8)(self._find_centres)

    def similar(self, day: dt.date | None, pixel: tuple[int, int], threshold: float) -> Picture:
        """Cosine similarity to a pixel on a day (None: along the whole period); less than ``threshold`` is faded."""
        values = self.cosine(day, pixel)
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

    def clusters(self, day: dt.date | None, count: int) -> Picture:
        """k-means classes of a day, with centres common to all days; or (day None) of the whole period."""
        if day is None:
            values = self._trajectories
            kinds = analysis.assign(values, self._centres(True, count))
        else:
            kinds = analysis.assign(
                self._features(self.data.cube(day).embedding.values), self._centres(False, count)
            )
        shares = np.bincount(kinds, minlength=count) / kinds.size
        look = Look(f"{count} clusters", "", ("cluster",), (0.0,), (1.0,), classes=CLASSES[:count])
        note = f"k-means on {fmt(day)}, centres common to all days" if day else f"k-means {self.period}"
        values = kinds.reshape(*self.data.grid.shape, 1).astype("float32")
        return Picture(values, look, note, shares=tuple(shares.tolist()))

    def labels(self, day: dt.date | None, given: tuple[labels.Label, ...] = ()) -> Picture:
        """The map that a visitor's labels make; before there are two kinds of them, the embedding as it is."""
        if labels.enough(given):
            return labels.picture(self, day, given)
        shown = self.data.picture("pca", day or self.data.first)
        return replace(shown, note="type a class or a number, and tap pixels of two kinds or more")

    def described(self, day: dt.date | None) -> tuple[np.ndarray, np.ndarray]:
        """Values (pixel, feature) of a day or of the whole period, and what makes their spreads comparable."""
        if day is None:
            values = self._trajectories
            return values, 1 / np.maximum(values[:: max(1, len(values) // SAMPLE_PX)].std(0), 1e-6)
        values = self.data.cube(day).embedding.values
        spread = self.data.sample.embedding.values.reshape(-1, len(self.data.scale)).std(0)
        return values.reshape(-1, len(self.data.scale)), 1 / np.maximum(spread, 1e-6)

    # --- of a day, of the period ---

    def _cosine(self, day: dt.date | None, pixel: tuple[int, int]) -> np.ndarray:
        """(y, x) float32."""
        row, col = pixel
        cubes = [self.data.cube(day).embedding.values] if day else self._days
        scale, centre = self.data.scale, self.data.components[1]
        dot = length = np.zeros(self.data.grid.ny * self.data.grid.nx, "float32")
        for cube in cubes:
            more = analysis.agreement(cube.reshape(-1, len(scale)), scale, centre, cube[row, col] * scale)
            dot, length = dot + more[0], length + more[1]
        at = row * self.data.grid.nx + col
        return analysis.cosine(dot, length, float(length[at])).reshape(self.data.grid.shape)

    @cached_property
    def _days(self) -> list[np.ndarray]:
        """Embeddings (y, x, feature) int8 of days evenly spread over the period."""
        days, size = self.data.days, self.data.grid.ny * self.data.grid.nx * len(self.data.features)
        count = max(2, min(TRAJECTORY_DAYS, TRAJECTORY_BYTES // size, len(days)))
        picks = np.unique(np.linspace(0, len(days) - 1, count).round().astype(int))
        return [self.data.store.map(pd.Timestamp(days[i])).embedding.values for i in picks]

    @property
    def period(self) -> str:
        return f"along {len(self._days)} days from {fmt(self.data.first)} to {fmt(self.data.last)}"

    def _features(self, embedding: np.ndarray) -> np.ndarray:
        """(pixel, feature) float32."""
        return embedding.reshape(-1, len(self.data.scale)) * self.data.scale

    @cached_property
    def _trajectories(self) -> np.ndarray:
        """The three principal components of every day side by side, (pixel, day x 3) float32."""
        weights = self.data.components[0]
        return np.concatenate([self._features(cube) @ weights for cube in self._days], axis=1)

    def _find_centres(self, period: bool, count: int) -> np.ndarray:
        if period:
            values = self._trajectories
            return analysis.kmeans(values[:: max(1, len(values) // SAMPLE_PX)], count)
        return analysis.kmeans(self._features(self.data.sample.embedding.values), count)
