"""Embeddings others published, as a layer beside ours: the image nearest to a day, with gaps where clouds were."""

import datetime as dt
from contextlib import suppress
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
import xarray as xr

from app.pictures import Look, Picture, Sight, apart, seen
from embeddings import analysis
from embeddings.geometry import Grid
from models.errors import InputError

LOOKED_AT = 8
"""Images nearest to a day of which the clearest is shown, where none is half clear."""
SAMPLE_IMAGES, SAMPLE_SIDE = 12, 48
"""The sample behind the fixed stretch: that many images, that many pixels a side."""
ROUGH_PX = 64
"""Whether a cube lies over a scene is asked at that many places a side."""


def over(catalog, grid: Grid) -> tuple["Published | None", str]:
    """The first cube of published features in a catalog that lies over a scene; else why one could not be read."""
    from embeddings.catalog import entries

    told = ""
    for entry in entries(catalog):
        found = _source(catalog, entry.name) if entry.kind == "embeddings" else None
        if getattr(found, "features", None) is None:
            continue
        try:
            published = Published(found.read(), grid)
        except InputError as error:
            told = f"No published embedding of {entry.name!r}: {error}"
        else:
            if published.lies_here:
                return published, ""
    return None, told


def _source(catalog, name: str):
    """None for an entry that is wrong, which is told to who chooses it."""
    from embeddings.catalog import source

    with suppress(InputError):
        return source(catalog, name)


class Published:
    """``cube`` as ``embeddings.readers.feature_cube`` opens it, laid over the grid of a scene in any CRS."""

    def __init__(self, cube: xr.Dataset, grid: Grid):
        if cube.sizes["feature"] < 3:
            raise InputError(f"Got {cube.sizes['feature']} features, need three or more to colour a map.")
        self.cube, self.grid = cube, grid
        self._own = Grid.from_cube(cube)
        self._under = lru_cache(maxsize=16)(self._lay_under)
        self._clear = lru_cache(maxsize=1024)(self._clear_share)

    @property
    def lies_here(self) -> bool:
        """Whether some of the scene lies in the cube."""
        ny, nx = self.grid.shape
        under = self._under(seen((ny, nx), (0, ny), (0, nx), ROUGH_PX))
        return bool((under[0] >= 0).any())

    @property
    def source(self) -> str:
        """What an export says of where these numbers come from."""
        facts = self.cube.attrs
        return f"{facts['title']}, model {facts['model']}, scene {facts['scene_id']}"

    def picture(self, day: dt.date, sight: Sight | None = None) -> Picture:
        """Three components of the image nearest to ``day``; NaN where it has none."""
        index = self._nearest(day)
        rows, cols = self._under(sight)
        inside = rows >= 0
        values = np.full((*rows.shape, 3), np.nan, np.float32)
        if inside.any():
            held = self._image(index, *(_span(part[inside]) for part in (rows, cols)))
            values[inside] = held[rows[inside] - rows[inside].min(), cols[inside] - cols[inside].min()]
        made_up = ", simulated" if int(self.cube.attrs["simulated"]) else ""
        taken = self.cube.time.values[index]
        return Picture(
            values, self.look, f"{self.cube.attrs['model']}{made_up}, image of {apart(taken, day)}"
        )

    @cached_property
    def look(self) -> Look:
        """The same colours for every day."""
        weights, mean = self._components
        held = (self._sample - mean) @ weights if len(self._sample) else np.zeros((1, 3))
        low, high = np.percentile(held, [1, 99], axis=0)
        label = "Published embedding, first three components"
        return Look(label, "", ("PC1", "PC2", "PC3"), tuple(low.tolist()), tuple(high.tolist()))

    @cached_property
    def _sample(self) -> np.ndarray:
        """Vectors (pixel, feature) of some images and pixels, those under cloud left out."""
        images = np.unique(np.linspace(0, self.cube.sizes["time"] - 1, SAMPLE_IMAGES).round().astype(int))
        thin = {n: slice(None, None, max(1, self.cube.sizes[n] // SAMPLE_SIDE)) for n in ("y", "x")}
        # image by image: a cube may be larger than memory
        parts = [self.cube.embedding.isel(time=i).isel(thin).values for i in images]
        vectors = np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])
        return vectors[np.isfinite(vectors).all(1)]

    @cached_property
    def _components(self) -> tuple[np.ndarray, np.ndarray]:
        if len(self._sample) < 3:  # a cube of clouds has no components
            count = self.cube.sizes["feature"]
            return np.eye(count, 3, dtype=np.float32), np.zeros(count, np.float32)
        return analysis.principal(self._sample)

    def _nearest(self, day: dt.date) -> int:
        """The image nearest to a day that is half clear, or the clearest of those near."""
        order = np.argsort(np.abs(self.cube.time.values - _noon(day)), kind="stable")[:LOOKED_AT]
        for index in order:
            if self._clear(int(index)) >= 0.5:
                return int(index)
        return int(max(order, key=lambda index: self._clear(int(index))))

    def _clear_share(self, index: int) -> float:
        thin = {n: slice(None, None, max(1, self.cube.sizes[n] // SAMPLE_SIDE)) for n in ("y", "x")}
        return float(np.isfinite(self.cube.embedding.isel(time=index, feature=0).isel(thin).values).mean())

    def _image(self, index: int, rows: slice, cols: slice) -> np.ndarray:
        """(y, x, 3) of a part of the cube."""
        weights, mean = self._components
        vectors = self.cube.embedding.isel(time=index, y=rows, x=cols).values
        return analysis.project(vectors, weights, -mean @ weights)

    def _lay_under(self, sight: Sight | None) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the cube of each pixel (y, x) of a sight, by its middle; -1 outside the cube."""
        ny, nx = self.grid.shape
        sight = sight or Sight(1, 0, ny, 0, nx)
        rows, cols = (
            np.minimum(np.arange(part.start, part.stop) * sight.level + sight.level // 2, size - 1)
            for part, size in ((sight.rows, ny), (sight.cols, nx))
        )
        x, y = np.meshgrid(self.grid.x[cols], self.grid.y[rows])
        if self.grid.crs != self._own.crs:
            x, y = self._own.xy(*self.grid.lonlat(x, y))
        left, bottom, right, top = self._own.extent
        inside = (x >= left) & (x < right) & (y > bottom) & (y <= top)
        row, col = (top - y) // self._own.size_m, (x - left) // self._own.size_m
        return tuple(np.where(inside, part, -1).astype(int) for part in (row, col))


def _span(at: np.ndarray) -> slice:
    return slice(at.min(), at.max() + 1)


def _noon(day: dt.date) -> np.datetime64:
    return np.datetime64(pd.Timestamp(day) + pd.Timedelta(hours=12))
